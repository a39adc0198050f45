#include "tests/bench/support.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>

namespace nfsbench {

std::uint64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

void Die(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::fputs("nfsbench: ", stderr);
  std::vfprintf(stderr, format, arguments);
  std::fputc('\n', stderr);
  va_end(arguments);
  std::exit(1);
}

const std::vector<char>& Payload() {
  static const std::vector<char> payload = [] {
    std::vector<char> bytes(4u << 20);
    std::mt19937_64 random(1);
    for (std::size_t i = 0; i < bytes.size(); i += 8) {
      const std::uint64_t word = random();
      std::memcpy(&bytes[i], &word, 8);
    }
    return bytes;
  }();
  return payload;
}

std::string NumberedName(const char* prefix, std::uint64_t number) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%s-%08llu", prefix, static_cast<unsigned long long>(number));
  return buffer;
}

}  // namespace nfsbench
