// Arbitrary bytes as the address of a store. What parses is the same after it is written and parsed again.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "store/address.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace strata::store;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const std::string_view base : {std::string_view(), std::string_view("/base")}) {
    const auto address = ParseStoreAddress(text, base);
    if (!address) continue;
    const std::string spelled = FormatStoreAddress(*address);
    const auto again = ParseStoreAddress(spelled);
    if (!again || *again != *address || FormatStoreAddress(*again) != spelled) std::abort();
  }
  return 0;
}
