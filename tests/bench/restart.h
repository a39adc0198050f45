// How long a killed server takes to serve again.
#pragma once

#include <string>
#include <vector>

namespace nfsbench {

// `nfsbench restart --target LABEL,URL --log FILE [--files N] [--dirs D] [--file-bytes B] [--reps R] -- COMMAND...`:
// starts the server by COMMAND, its output going to FILE, fills it (once) with N files, and kills it with -9, R times
// in a quiet state and R times in the middle of a burst of changes, late in a checkpoint, when most lies behind the
// last one. Prints the time from the exec to the reply to a GETATTR whose handle is from before.
int RestartMain(std::vector<std::string> arguments);

}  // namespace nfsbench
