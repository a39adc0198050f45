// Arbitrary bytes as the text that names a layer. What parses must be the same after it is written and parsed again,
// and what is written must be one line.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "vfs/layer/spec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace strata::vfs;
  const auto spec = ParseLayerSpec(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!spec) return 0;
  const std::string text = FormatLayerSpec(*spec);
  if (std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < ' '; })) std::abort();
  const auto again = ParseLayerSpec(text);
  if (!again || *again != *spec) std::abort();
  if (FormatLayerSpec(*again) != text) std::abort();
  return 0;
}
