#include "tests/bench/prepared.h"

#include <nfsc/libnfs.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <vector>

#include "tests/bench/options.h"
#include "tests/bench/sample.h"
#include "tests/bench/support.h"
#include "tests/bench/target.h"

namespace nfsbench {
namespace {

namespace fs = std::filesystem;

void MakeEmptyFiles(const fs::path& folder, const char* prefix, std::uint64_t count) {
  fs::create_directories(folder);
  for (std::uint64_t i = 0; i < count; ++i) {
    if (!std::ofstream(folder / NumberedName(prefix, i))) Die("%s cannot be written to", folder.c_str());
  }
}

struct Walk {
  nfs_context* nfs = nullptr;
  std::uint64_t files = 0, directories = 0;

  void Into(const std::string& path) {
    ++directories;
    nfsdir* listing = nullptr;
    if (nfs_opendir(nfs, path.c_str(), &listing) != 0) Die("%s: %s", path.c_str(), nfs_get_error(nfs));
    std::vector<std::string> below;
    while (const nfsdirent* entry = nfs_readdir(nfs, listing)) {
      const std::string name = entry->name;
      if (name == "." || name == "..") continue;
      if (S_ISDIR(entry->mode)) {
        below.push_back(name);
      } else {
        ++files;
      }
    }
    nfs_closedir(nfs, listing);
    for (const std::string& name : below) Into(path == "/" ? path + name : path + "/" + name);
  }
};

}  // namespace

int PrepareMain(std::vector<std::string> arguments) {
  if (arguments.empty()) Die("prepare: which folder?");
  const fs::path folder = fs::path(arguments.front()) / kPreparedFolder;
  arguments.erase(arguments.begin());
  const Options defaults;
  const auto number = [&](const char* option, std::uint64_t otherwise) {
    return std::stoull(TakeOption(arguments, option, std::to_string(otherwise)));
  };
  const std::uint64_t mib = number("--file-mb", defaults.file_mib);
  const std::uint64_t entries = number("--dir-entries", defaults.directory_entries);
  if (!arguments.empty()) Die("prepare: unknown option %s", arguments.front().c_str());
  MakeEmptyFiles(folder / "names", "name", kNames);
  MakeEmptyFiles(folder / "directory", "entry", entries);
  std::vector<std::uint64_t> piece((1 << 20) / sizeof(std::uint64_t));
  std::ofstream large(folder / "large", std::ios::binary);
  for (std::uint64_t i = 0; i < mib; ++i) {
    // No two pieces alike: a store that keeps equal chunks once must keep all of it.
    std::mt19937_64 random(i);
    std::ranges::generate(piece, random);
    large.write(reinterpret_cast<const char*>(piece.data()), 1 << 20);
  }
  if (!large.flush()) Die("%s/large cannot be written", folder.c_str());
  return 0;
}

int WalkMain(std::vector<std::string> arguments) {
  const Options options = ParseOptions(arguments);
  const TargetSpec& spec = options.targets.front();
  Walk walk{.nfs = nfs_init_context()};
  const std::string url = "nfs://" + spec.host + spec.path + "?version=3&nfsport=" + std::to_string(spec.nfs_port) +
                          "&mountport=" + std::to_string(spec.mount_port != 0 ? spec.mount_port : spec.nfs_port) +
                          "&auto-traverse-mounts=0";
  nfs_url* const parsed = nfs_parse_url_dir(walk.nfs, url.c_str());  // sets the ports
  if (parsed == nullptr) Die("%s: %s", url.c_str(), nfs_get_error(walk.nfs));
  nfs_destroy_url(parsed);
  if (nfs_mount(walk.nfs, spec.host.c_str(), spec.path.c_str()) != 0) {
    Die("%s cannot be mounted: %s", spec.label.c_str(), nfs_get_error(walk.nfs));
  }
  Sample sample;
  const Stopwatch stopwatch(spec.pid);
  walk.Into("/");
  stopwatch.Finish(static_cast<double>(walk.files + walk.directories), sample);
  nfs_destroy_context(walk.nfs);
  std::printf(
      "{\"metric\":\"walk\",\"server\":\"%s\",\"files\":%llu,\"directories\":%llu,\"wall\":%.3f,\"server_cpu\":%.3f,"
      "\"client_cpu\":%.3f,\"rss_kb\":%ld,\"peak_rss_kb\":%ld,\"errors\":0}\n",
      spec.label.c_str(), static_cast<unsigned long long>(walk.files),
      static_cast<unsigned long long>(walk.directories), sample.wall, sample.server_cpu, sample.client_cpu,
      sample.rss_kb, sample.peak_rss_kb);
  return 0;
}

}  // namespace nfsbench
