// What the parts of nfsbench share and that has to do with no protocol.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nfsbench {

// Monotonic.
std::uint64_t NowNs();

// Prints "nfsbench: ..." to stderr and exits with 1: a benchmark that cannot go on has no result to save.
[[noreturn]] void Die(const char* format, ...) __attribute__((format(printf, 1, 2)));

// 4 MiB of bytes that do not compress.
const std::vector<char>& Payload();

// "PREFIX-00000017".
std::string NumberedName(const char* prefix, std::uint64_t number);

}  // namespace nfsbench
