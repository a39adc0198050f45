// Mapped files: what of them is in this process's memory, and whether they are all there.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/bytes.h"

namespace strata {

// Bytes; Linux counts some pages of each processor late. 0 where the system does not tell. A microsecond.
std::uint64_t ResidentFileBytes();

// How often a system call could not read mapped bytes that it was given (EFAULT): their file was cut by somebody else,
// or its disk failed. To read such bytes without a system call is the process's end, by a signal.
inline std::atomic<std::uint64_t> mapping_faults{0};

// Copies mapped bytes by a system call; `to` has as much room. False where they cannot be read, which is counted.
bool CopyMapped(ByteSpan from, std::byte* to);

}  // namespace strata
