// The floor: a TCP server that answers every MOUNT, NFSv3 and NLM call of nfsbench with a constant, from no state and
// no file system. What it reaches is the ceiling of the loopback and of this client on this machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/bench/send_queue.h"

namespace nfsbench {

// Answers one call record into the queue; false if it is malformed. `directory_entries` is the length of every listing.
bool AnswerWithConstant(const char* record, std::size_t length, std::uint32_t directory_entries, SendQueue& queue);

// `nfsbench floor ARGUMENTS`; does not return but on an error.
int FloorMain(const std::vector<std::string>& arguments);

}  // namespace nfsbench
