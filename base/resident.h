// What of mapped files is in this process's memory.
#pragma once

#include <cstdint>

namespace strata {

// Bytes; Linux counts some pages of each processor late. 0 where the system does not tell. A microsecond.
std::uint64_t ResidentFileBytes();

}  // namespace strata
