// What a checkpoint costs those who are served meanwhile.
#pragma once

#include <string>
#include <vector>

namespace nfsbench {

// `nfsbench checkpoint --target LABEL,URL[,PID] --log FILE [--creators N] [--secs S]`: creators make files (CREATE,
// WRITE 4 KiB FILE_SYNC) as fast as they are answered; beside them, on a connection of its own, one GETATTR or READ
// every half millisecond. The server's log (strata --log-level debug) tells when checkpoints ran: files per second and
// latencies are printed of the stretches with one and of those without.
int CheckpointMain(std::vector<std::string> arguments);

}  // namespace nfsbench
