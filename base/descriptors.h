// How many files this process may have open.
#pragma once

#include <cstdint>

namespace strata {

// Raises what the system lets this process open to what it may ask for itself; gives that. To be called first thing:
// who opens many files derives from it how many.
std::uint64_t RaiseDescriptorLimit();

}  // namespace strata
