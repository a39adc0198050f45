// Arbitrary bytes as workspace.json. What parses must be the same after it is written and parsed again.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "vfs/workspace/workspace.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace strata::vfs;
  const auto config =
      ParseWorkspaceConfig(std::string_view(reinterpret_cast<const char*>(data), size), "workspace.json");
  if (!config) return 0;
  const auto text = FormatWorkspaceConfig(*config);
  if (!text) std::abort();
  const auto again = ParseWorkspaceConfig(*text, "workspace.json");
  if (!again || *again != *config) std::abort();
  return 0;
}
