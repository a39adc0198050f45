// nfsbench: drives NFSv3 servers with calls in flight and compares them in one run. README.md.
#include <csignal>
#include <cstdio>
#include <deque>
#include <string>
#include <vector>

#include "tests/bench/checkpoint.h"
#include "tests/bench/disk_floor.h"
#include "tests/bench/floor.h"
#include "tests/bench/memory.h"
#include "tests/bench/metrics.h"
#include "tests/bench/options.h"
#include "tests/bench/prepared.h"
#include "tests/bench/report.h"
#include "tests/bench/restart.h"
#include "tests/bench/support.h"

namespace nfsbench {
namespace {

// The targets take turns within each repetition, so that what else the machine does falls on all of them alike.
void MeasureOne(const Metric& metric, std::deque<Target>& targets, const Options& options) {
  std::vector<std::vector<Sample>> samples(targets.size());
  for (int repetition = 0; repetition < options.repetitions; ++repetition) {
    for (std::size_t i = 0; i < targets.size(); ++i) {
      const bool plus = metric.run == RunReaddirplus;
      if (plus && targets[i].no_readdirplus) continue;
      Pool pool(targets[i].spec(), options, options.connections);
      const Sample sample = metric.run(targets[i], options, pool, repetition);
      if (sample.left_out) {
        if (repetition == 0) {
          std::fprintf(stderr, "# %s: %s is left out: %s\n", targets[i].spec().label.c_str(),
                       std::string(metric.name).c_str(), sample.note.c_str());
        }
        continue;
      }
      samples[i].push_back(sample);
      if (plus && sample.work == 0) targets[i].no_readdirplus = true;
    }
  }
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (!samples[i].empty()) PrintResult(metric, targets[i], options, samples[i]);
  }
}

int SuiteMain(const std::vector<std::string>& arguments) {
  const Options options = ParseOptions(arguments);
  Payload();
  std::deque<Target> targets;
  for (const TargetSpec& spec : options.targets) targets.emplace_back(spec, options);
  for (const auto& name : options.metrics) MeasureOne(*FindMetric(name), targets, options);
  if (!options.keep && !options.prepared) {
    for (Target& target : targets) target.CleanUp(options);
  }
  return 0;
}

}  // namespace
}  // namespace nfsbench

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  std::vector<std::string> arguments(argv + 1, argv + argc);
  const std::string command = arguments.empty() ? "" : arguments.front();
  if (!arguments.empty()) arguments.erase(arguments.begin());
  if (command == "suite") return nfsbench::SuiteMain(arguments);
  if (command == "floor") return nfsbench::FloorMain(arguments);
  if (command == "disk") return nfsbench::DiskFloorMain(arguments);
  if (command == "memory") return nfsbench::MemoryMain(arguments);
  if (command == "prepare") return nfsbench::PrepareMain(arguments);
  if (command == "walk") return nfsbench::WalkMain(arguments);
  if (command == "checkpoint") return nfsbench::CheckpointMain(arguments);
  if (command == "restart") return nfsbench::RestartMain(arguments);
  nfsbench::PrintUsage();
  return command == "--help" || command == "-h" ? 0 : 2;
}
