#include "tests/bench/memory.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <thread>

#include "tests/bench/options.h"
#include "tests/bench/pool.h"
#include "tests/bench/sample.h"
#include "tests/bench/support.h"
#include "tests/bench/target.h"

namespace nfsbench {
namespace {

constexpr std::chrono::milliseconds kInterval(20);

// Watches /proc/PID/status from its construction to Stop.
class MemoryWatch {
 public:
  enum Field { kRss, kAnonymous, kFile, kFields };

  explicit MemoryWatch(int pid) : path_("/proc/" + std::to_string(pid) + "/status"), thread_([this] { Loop(); }) {}
  ~MemoryWatch() { Stop(); }

  void Stop() {
    {
      const std::lock_guard hold(mutex_);
      stops_ = true;
    }
    wakes_.notify_one();
    if (thread_.joinable()) thread_.join();
  }
  // In KiB; after Stop.
  long most(Field field) const { return most_[field]; }
  // VmHWM: the kernel's own count, which misses no moment, but counts from the server's start.
  long high_water() const { return high_water_; }

 private:
  void Loop() {
    std::unique_lock lock(mutex_);
    do {
      std::ifstream status(path_);
      for (std::string key; status >> key;) {
        long* field = key == "VmRSS:"     ? &most_[kRss]
                      : key == "RssAnon:" ? &most_[kAnonymous]
                      : key == "RssFile:" ? &most_[kFile]
                      : key == "VmHWM:"   ? &high_water_
                                          : nullptr;
        long value = 0;
        if (field != nullptr && status >> value) *field = std::max(*field, value);
        std::getline(status, key);
      }
    } while (!wakes_.wait_for(lock, kInterval, [this] { return stops_; }));
  }

  const std::string path_;
  std::array<long, kFields> most_{};
  long high_water_ = 0;
  std::mutex mutex_;
  std::condition_variable wakes_;
  bool stops_ = false;
  std::thread thread_;
};

// Takes `--dirs D` out of the arguments.
std::uint64_t TakeDirectories(std::vector<std::string>& arguments) {
  const auto at = std::find(arguments.begin(), arguments.end(), "--dirs");
  if (at == arguments.end()) return 1;
  if (at + 1 == arguments.end()) Die("--dirs wants a value");
  const std::uint64_t directories = std::strtoull((at + 1)->c_str(), nullptr, 10);
  if (directories == 0) Die("--dirs is at least 1");
  arguments.erase(at, at + 2);
  return directories;
}

}  // namespace

int MemoryMain(std::vector<std::string> arguments) {
  if (arguments.empty() || (arguments[0] != "create" && arguments[0] != "lookup")) Die("memory: create or lookup?");
  const std::string what = arguments[0];
  const bool create = what == "create";
  arguments.erase(arguments.begin());
  const std::uint64_t directories = TakeDirectories(arguments);
  const Options options = ParseOptions(arguments);
  const TargetSpec& spec = options.targets.front();
  if (spec.pid == 0) Die("memory: --target wants the server's PID");

  const Handle root = MountRoot(spec.host, spec.mount_port, spec.path);
  Pool pool(spec, options, options.connections);
  const std::uint64_t each = options.files / directories;
  std::uint64_t errors = 0;
  std::vector<std::uint32_t> latencies;
  latencies.reserve(each * directories);
  MemoryWatch watch(spec.pid);
  Sample sample;
  const Stopwatch stopwatch(spec.pid);
  for (std::uint64_t d = 0; d < directories; ++d) {
    const std::string name = NumberedName("dir", d);
    const Handle directory = create ? MakeDirectory(pool, root, name) : MustLookUp(pool, root, name);
    std::uint64_t issued = 0;
    pool.Run(
        [&](std::uint32_t, const Reply* previous, Call& call) {
          if (previous != nullptr && !previous->ok()) ++errors;
          if (issued == each) return false;
          call.procedure = create ? Procedure::kCreate : Procedure::kLookup;
          call.handle = &directory;
          call.name = NumberedName("file", issued++);
          return true;
        },
        options.depth, &latencies);
  }
  stopwatch.Finish(static_cast<double>(each * directories), sample);
  watch.Stop();
  sample.SetLatencies(latencies);
  std::printf(
      "{\"metric\":\"memory_%s\",\"server\":\"%s\",\"files\":%llu,\"dirs\":%llu,\"files_per_s\":%.0f,\"wall\":%.1f,"
      "\"server_cpu\":%.1f,\"rss_kb\":%ld,\"anon_kb\":%ld,\"file_kb\":%ld,\"peak_rss_kb\":%ld,\"p50_us\":%.0f,"
      "\"p99_us\":%.0f,\"p999_us\":%.0f,\"slowest_us\":%.0f,\"errors\":%llu}\n",
      what.c_str(), spec.label.c_str(), static_cast<unsigned long long>(each * directories),
      static_cast<unsigned long long>(directories), sample.work / sample.wall, sample.wall, sample.server_cpu,
      watch.most(MemoryWatch::kRss), watch.most(MemoryWatch::kAnonymous), watch.most(MemoryWatch::kFile),
      watch.high_water(), sample.p50, sample.p99, sample.p999, sample.slowest, static_cast<unsigned long long>(errors));
  return errors == 0 ? 0 : 1;
}

}  // namespace nfsbench
