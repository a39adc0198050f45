#include "tests/e2e/service.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "base/hash.h"
#include "server/server.h"

namespace strata::e2e {

namespace fs = std::filesystem;

struct Service::Running {
  std::shared_ptr<vfs::FileSystem> volume;
  std::unique_ptr<Server> server;  // ends first
};

Service::Service(const ServiceOptions& options) : options_(options), lower_(folder_ / "lower") {
  fs::create_directory(lower_);
}

Service::~Service() { Stop(); }

bool Service::Start() {
  Env& env = Env::System();
  if (!vfs::IsWorkspace(env, workspace())) {
    auto made = vfs::InitWorkspace(env, workspace(), {vfs::LayerSpec{.path = lower_, .markers = {}}});
    if (!made) {
      ADD_FAILURE() << made.error().ToString();
      return false;
    }
  }
  auto opened = vfs::Workspace::Open(env, workspace(), options_.workspace);
  if (!opened) {
    ADD_FAILURE() << opened.error().ToString();
    return false;
  }
  auto running = std::make_unique<Running>();
  running->volume = std::move(*opened);
  ExportOptions exported;
  exported.insecure_ports = true;
  if (options_.squash_root) exported.squash = Squash::kRoot;
  ServerOptions server_options;
  server_options.listen = {{"127.0.0.1", port_}};
  auto started = Server::Start(server_options, {{exported, running->volume}});
  if (!started) {
    ADD_FAILURE() << started.error().ToString();
    return false;
  }
  running->server = std::move(*started);
  port_ = running->server->endpoints()[0].port;
  running_ = std::move(running);
  return true;
}

void Service::Stop() {
  if (running_) running_->server->Stop();
  running_.reset();
}

void WriteHostFile(const std::string& path, std::string_view content) {
  std::ofstream out(path, std::ios::binary);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  if (!out.flush()) std::abort();
}

std::string ReadHostFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream content;
  content << in.rdbuf();
  return content.str();
}

std::string Fingerprint(const std::string& folder) {
  std::vector<std::string> lines;
  auto add = [&](const fs::path& path) {
    struct stat st{};
    if (::lstat(path.c_str(), &st) != 0) std::abort();
    std::string content;
    if (S_ISREG(st.st_mode)) content = ReadHostFile(path);
    if (S_ISLNK(st.st_mode)) content = fs::read_symlink(path).string();
    char line[256];
    std::snprintf(line, sizeof line, " mode=%o nlink=%ju uid=%u gid=%u size=%jd mtime=%jd.%09ld hash=%016" PRIx64,
                  st.st_mode, static_cast<std::uintmax_t>(st.st_nlink), st.st_uid, st.st_gid,
                  static_cast<std::intmax_t>(st.st_size), static_cast<std::intmax_t>(st.st_mtim.tv_sec),
                  st.st_mtim.tv_nsec, SipHash24({1, 2}, AsBytes(content)));
    lines.push_back(path.lexically_relative(folder).string() + line);
  };
  add(folder);
  for (const auto& entry : fs::recursive_directory_iterator(folder)) add(entry.path());
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

std::string RandomBytes(std::uint64_t seed, std::size_t size) {
  std::string bytes((size + 7) / 8 * 8, '\0');
  std::uint64_t state = seed * 0x9e3779b97f4a7c15ULL + 1;
  for (std::size_t i = 0; i < bytes.size(); i += 8) {
    state += 0x9e3779b97f4a7c15ULL;  // splitmix64
    std::uint64_t word = state;
    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9ULL;
    word = (word ^ (word >> 27)) * 0x94d049bb133111ebULL;
    word ^= word >> 31;
    std::memcpy(bytes.data() + i, &word, sizeof word);
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace strata::e2e
