// Arbitrary bytes as home.json. What parses must be the same after it is written and parsed again.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "vfs/home.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace strata::vfs;
  const auto home = ParseHome(std::string_view(reinterpret_cast<const char*>(data), size), "home.json");
  if (!home) return 0;
  const auto again = ParseHome(FormatHome(*home), "home.json");
  if (!again || *again != *home) std::abort();
  return 0;
}
