// Any bytes as a handover. What decodes must be the same after it is encoded and decoded again.
#include <cstdint>
#include <cstdlib>

#include "server/handover.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace strata;
  const auto handover = DecodeHandover(std::as_bytes(std::span(data, size)));
  if (!handover) return 0;
  const auto bytes = EncodeHandover(*handover);
  if (!bytes) std::abort();
  const auto again = DecodeHandover(*bytes);
  if (!again) std::abort();
  const auto twice = EncodeHandover(*again);
  if (!twice || *twice != *bytes) std::abort();
  return 0;
}
