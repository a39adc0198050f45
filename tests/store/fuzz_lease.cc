// Arbitrary bytes as a lease's file: what is taken says the same when it is written and read again.
#include <cstdint>
#include <cstdlib>

#include "store/leases.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace strata;
  using namespace strata::store;
  const auto lease = DecodeLease({reinterpret_cast<const std::byte*>(data), size});
  if (!lease) return 0;
  const auto again = DecodeLease(EncodeLease(*lease));
  if (!again || again->holder != lease->holder || again->items != lease->items || again->times != lease->times) {
    std::abort();
  }
  return 0;
}
