// One JSON line a metric and target: README.md says what the fields mean.
#pragma once

#include <vector>

#include "tests/bench/metrics.h"

namespace nfsbench {

void PrintResult(const Metric& metric, const Target& target, const Options& options,
                 const std::vector<Sample>& samples);

}  // namespace nfsbench
