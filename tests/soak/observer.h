// Looks at the server's process and at its journal from outside, and judges what it sees each second.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "tests/soak/findings.h"
#include "tests/soak/pulse.h"
#include "tests/soak/watch.h"

namespace strata::soak {

// User and system time of a process so far; 0 where there is none.
double CpuSeconds(pid_t pid);

// What a process has and has used.
struct Reading {
  bool alive = false;
  double at = 0, cpu = 0;                            // seconds
  std::uint64_t rss = 0, anonymous = 0, shared = 0;  // VmRSS, and what of it is RssAnon and RssShmem
  std::uint64_t peak = 0;                            // VmHWM: the largest VmRSS of this process
  std::uint64_t descriptors = 0, mappings = 0;
  std::uint64_t reads = 0, bytes_read = 0;  // syscr and rchar of /proc/PID/io
};
Reading Look(pid_t pid);

// What the files of a folder take on the disk.
std::uint64_t DiskBytes(const std::string& folder);

struct Limits {
  std::uint64_t memory = 0, descriptors = 0, mappings = 0;
  double undurable = 0;  // seconds from a write to the end of its sync; 0: not bounded
};

// The largest that was seen.
struct Largest {
  std::uint64_t journal = 0, rss = 0, descriptors = 0, mappings = 0, seconds = 0;
  double undurable = 0, sync = 0;
};

class Observer {
 public:
  // `journal`: the folder. `watch_file`: where the preloaded library tells.
  Observer(const Limits& limits, std::string journal, const std::string& watch_file, Findings& findings, Pulse& pulse);
  ~Observer();
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;
  // Before a server starts, which maps the file anew.
  void Reset();
  // It serves.
  void Attach(pid_t pid);
  // It is about to die: looks once more.
  void Detach();
  Largest largest() const;

 private:
  void Run();
  void LookOnce();
  void JudgeUndurable(double now);

  const Limits limits_;
  const std::string journal_;
  Findings& findings_;
  Pulse& pulse_;
  Watch* watch_ = nullptr;
  mutable std::mutex mutex_;
  pid_t pid_ = 0;
  double attached_ = 0;
  Largest largest_;
  std::atomic<bool> ends_ = false;
  std::thread thread_;
};

}  // namespace strata::soak
