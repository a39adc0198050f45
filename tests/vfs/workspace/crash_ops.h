// One change, chosen by a seed and a step number alone: the process that is to be killed makes it, and the test makes
// it on the model.
#pragma once

#include <cstdint>
#include <optional>

#include "harness.h"

namespace strata::vfs::testing {

struct CrashOutcome {
  std::optional<Errc> code;
  std::optional<ObjectId> made;  // of a call that makes an object
};

// Makes one changing call, the step-th of `seed`, and waits until it may be answered.
CrashOutcome CrashOp(Client& client, std::uint64_t seed, std::uint64_t step);

}  // namespace strata::vfs::testing
