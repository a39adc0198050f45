// From libnfs's reply structures to ours.
#pragma once

#include "tests/bench/protocol.h"

namespace nfsbench {

// `result` is what libnfs hands to a callback of that procedure.
void DecodeLibnfsResult(Procedure procedure, const void* result, Reply& reply);

}  // namespace nfsbench
