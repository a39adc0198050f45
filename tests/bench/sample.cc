#include "tests/bench/sample.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "tests/bench/support.h"

namespace nfsbench {
namespace {

double Seconds(clockid_t clock) {
  timespec time;
  return clock_gettime(clock, &time) == 0 ? static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9
                                          : 0;
}

}  // namespace

void Sample::Add(const Sample& other) {
  work += other.work;
  wall += other.wall;
  server_cpu += other.server_cpu;
  client_cpu += other.client_cpu;
  other_cpu += other.other_cpu;
  steal += other.steal;
  errors += other.errors;
  rss_kb = std::max(rss_kb, other.rss_kb);
  peak_rss_kb = std::max(peak_rss_kb, other.peak_rss_kb);
  value = wall > 0 ? work / wall : 0;
}

void Sample::SetLatencies(std::vector<std::uint32_t>& latencies) {
  if (latencies.empty()) return;
  std::ranges::sort(latencies);
  const auto quantile = [&](double fraction) {
    const auto index = static_cast<std::size_t>(fraction * static_cast<double>(latencies.size()));
    return latencies[std::min(latencies.size() - 1, index)] / 1000.0;
  };
  is_latency = true;
  p50 = quantile(0.5);
  p99 = quantile(0.99);
  p999 = quantile(0.999);
  slowest = latencies.back() / 1000.0;
  value = p50;
}

Stopwatch::Stopwatch(int server_pid) : server_pid_(server_pid), begin_(Read()) {}

Stopwatch::Reading Stopwatch::Read() const {
  Reading reading;
  clockid_t clock;
  if (server_pid_ > 0 && clock_getcpuclockid(server_pid_, &clock) == 0) reading.server = Seconds(clock);
  reading.client = Seconds(CLOCK_PROCESS_CPUTIME_ID);
  if (std::FILE* file = std::fopen("/proc/stat", "r")) {
    unsigned long long user, nice, system, idle, wait, irq, soft_irq, steal;
    if (std::fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &wait, &irq,
                    &soft_irq, &steal) == 8) {
      const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
      reading.busy = static_cast<double>(user + nice + system + irq + soft_irq) / ticks;
      reading.steal = static_cast<double>(steal) / ticks;
    }
    std::fclose(file);
  }
  reading.wall = static_cast<double>(NowNs()) * 1e-9;
  return reading;
}

void Stopwatch::Finish(double work, Sample& sample) const {
  const Reading end = Read();
  sample.wall = end.wall - begin_.wall;
  sample.server_cpu = end.server - begin_.server;
  sample.client_cpu = end.client - begin_.client;
  sample.steal = end.steal - begin_.steal;
  sample.other_cpu = std::max(0.0, end.busy - begin_.busy - sample.server_cpu - sample.client_cpu);
  sample.work = work;
  sample.value = work / sample.wall;
  if (server_pid_ <= 0) return;
  const std::string path = "/proc/" + std::to_string(server_pid_) + "/status";
  if (std::FILE* file = std::fopen(path.c_str(), "r")) {
    char line[256];
    while (std::fgets(line, sizeof line, file) != nullptr) {
      std::sscanf(line, "VmRSS: %ld", &sample.rss_kb);
      std::sscanf(line, "VmHWM: %ld", &sample.peak_rss_kb);
    }
    std::fclose(file);
  }
}

}  // namespace nfsbench
