// What servers serve that cannot be written to: the files that the metrics ask for, made beforehand; and a walk over a
// whole tree.
#pragma once

#include <string>
#include <vector>

namespace nfsbench {

// The folder of an export in which `suite --prepared` finds them.
inline constexpr char kPreparedFolder[] = "nfsbench";

// `nfsbench prepare FOLDER [--file-mb N] [--dir-entries N]`: makes FOLDER/nfsbench with the names, the large file and
// the large directory of the read-only metrics.
int PrepareMain(std::vector<std::string> arguments);

// `nfsbench walk --target LABEL,URL[,PID]`: lists every directory below the export by libnfs, which asks READDIRPLUS,
// one call in flight, as find(1) does; prints how many files and directories there were and the time.
int WalkMain(std::vector<std::string> arguments);

}  // namespace nfsbench
