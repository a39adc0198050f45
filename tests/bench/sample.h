// What one repetition of one metric measured.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nfsbench {

struct Sample {
  double value = 0;  // in the metric's unit
  double work = 0;   // operations, files, MiB or entries, for the figure per CPU second
  double wall = 0;   // seconds, as the rest
  double server_cpu = 0, client_cpu = 0, other_cpu = 0, steal = 0;
  long rss_kb = 0, peak_rss_kb = 0;
  std::uint64_t errors = 0;
  bool is_latency = false;
  double p50 = 0, p99 = 0, p999 = 0, slowest = 0;  // microseconds
  double getattrs = 0;  // server_cpu of one operation, in those of a GETATTR made in turns with it; 0: not measured
  std::string note;
  bool left_out = false;  // the server has no such thing; nothing was measured

  // Both as one.
  void Add(const Sample& other);
  // From latencies in ns, which it sorts.
  void SetLatencies(std::vector<std::uint32_t>& latencies);
};

// Runs from its construction to Finish, which fills in wall and CPU times and memory; value becomes work / wall.
class Stopwatch {
 public:
  explicit Stopwatch(int server_pid);
  void Finish(double work, Sample& sample) const;

 private:
  struct Reading {
    double server = 0, client = 0, busy = 0, steal = 0, wall = 0;
  };
  Reading Read() const;

  int server_pid_;
  Reading begin_;
};

}  // namespace nfsbench
