// Arbitrary bytes as a Node message, with a name and without: refused, or written and read as the same.
#include <cstdint>
#include <cstdlib>

#include "store/castore/node.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace strata::store;
  const auto bytes = std::as_bytes(std::span(data, size));
  if (const auto node = ParseNode(bytes)) {
    const auto again = ParseNode(EncodeNode(*node));
    if (!again || *again != *node) std::abort();
  }
  if (const auto named = ParseNamedNode(bytes)) {
    const auto again = ParseNamedNode(EncodeNamedNode(named->first, named->second));
    if (!again || *again != *named) std::abort();
  }
  return 0;
}
