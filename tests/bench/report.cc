#include "tests/bench/report.h"

#include <algorithm>
#include <cstdio>

namespace nfsbench {
namespace {

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

template <typename Field>
std::vector<double> Column(const std::vector<Sample>& samples, Field field) {
  std::vector<double> column;
  for (const Sample& sample : samples) column.push_back(field(sample));
  return column;
}

}  // namespace

void PrintResult(const Metric& metric, const Target& target, const Options& options,
                 const std::vector<Sample>& samples) {
  const auto median = [&](auto field) { return Median(Column(samples, field)); };
  const auto values = Column(samples, [](const Sample& s) { return s.value; });
  const auto per_cpu = Column(samples, [](const Sample& s) { return s.server_cpu > 0 ? s.work / s.server_cpu : 0; });
  std::uint64_t errors = 0;
  long rss = 0;
  long peak_rss = 0;
  for (const Sample& sample : samples) {
    errors += sample.errors;
    rss = std::max(rss, sample.rss_kb);
    peak_rss = std::max(peak_rss, sample.peak_rss_kb);
  }
  std::printf(
      "{\"metric\":\"%s\",\"server\":\"%s\",\"client\":\"%s\",\"conns\":%d,\"depth\":%u,\"unit\":\"%s\",\"reps\":%zu",
      std::string(metric.name).c_str(), target.spec().label.c_str(), options.client.c_str(), options.connections,
      DepthOf(metric, options), std::string(metric.unit).c_str(), samples.size());
  std::printf(",\"median\":%.1f,\"min\":%.1f,\"max\":%.1f,\"first\":%.1f", Median(values),
              *std::ranges::min_element(values), *std::ranges::max_element(values), values.front());
  std::printf(",\"per_server_cpu_s\":%.1f,\"per_server_cpu_s_best\":%.1f", Median(per_cpu),
              *std::ranges::max_element(per_cpu));
  std::printf(",\"server_util\":%.2f,\"client_util\":%.2f,\"other_util\":%.2f,\"steal\":%.3f",
              median([](const Sample& s) { return s.server_cpu / s.wall; }),
              median([](const Sample& s) { return s.client_cpu / s.wall; }),
              median([](const Sample& s) { return s.other_cpu / s.wall; }),
              median([](const Sample& s) { return s.steal / s.wall; }));
  if (samples.front().is_latency) {
    std::printf(",\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f",
                median([](const Sample& s) { return s.p50; }), median([](const Sample& s) { return s.p99; }),
                median([](const Sample& s) { return s.p999; }), median([](const Sample& s) { return s.slowest; }));
  }
  std::printf(",\"per_server_cpu_s_each\":[");
  for (std::size_t i = 0; i < per_cpu.size(); ++i) std::printf("%s%.0f", i == 0 ? "" : ",", per_cpu[i]);
  std::printf("]");
  if (samples.front().getattrs > 0)
    std::printf(",\"getattrs\":%.2f", median([](const Sample& s) { return s.getattrs; }));
  std::printf(",\"work\":%.0f,\"rss_kb\":%ld,\"peak_rss_kb\":%ld,\"errors\":%llu,\"note\":\"%s\"}\n",
              median([](const Sample& s) { return s.work; }), rss, peak_rss, static_cast<unsigned long long>(errors),
              samples.front().note.c_str());
}

}  // namespace nfsbench
