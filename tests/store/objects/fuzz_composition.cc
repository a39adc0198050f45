// Arbitrary bytes as a composition file. What parses keeps what the header says of it.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "store/composition.h"

namespace {

using strata::store::Composition;
using strata::store::CompositionInstance;

// How deep instances stand before one another; the end of the program where one is missing or they do not end.
std::size_t CompositionDepth(const Composition::Instances& instances, const std::string& name, std::size_t limit) {
  const auto found = instances.find(name);
  if (found == instances.end() || limit == 0) std::abort();
  if (found->second.kind == CompositionInstance::Kind::kStore) return 1;
  return 1 + std::max(CompositionDepth(instances, found->second.near, limit - 1),
                      CompositionDepth(instances, found->second.far, limit - 1));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace strata::store;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto composition = ParseComposition(text, "/stores.json");
  if (!composition) return 0;
  for (const auto* family : {&composition->blobs, &composition->directories, &composition->roots}) {
    for (const auto& [name, instance] : *family) CompositionDepth(*family, name, kMaxCompositionDepth);
  }
  return 0;
}
