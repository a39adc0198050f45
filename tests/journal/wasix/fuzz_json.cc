// Arbitrary text as the JSON of a record. What is read is written as JSON and as a record, and both must be read as
// what gives the same text again.
#include <cstdint>
#include <cstdlib>
#include <memory_resource>
#include <string>
#include <string_view>
#include <vector>

#include "journal/wasix/decode.h"
#include "journal/wasix/encode.h"
#include "journal/wasix/json.h"

namespace {

using namespace strata;
using namespace strata::journal::wasix;

std::string MustWrite(const Entry& entry, JsonStyle style) {
  const auto text = WriteJson(entry, style);
  if (!text) std::abort();
  return *text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 1 << 16) return 0;
  std::pmr::monotonic_buffer_resource arena;
  const auto entry = ReadJson({reinterpret_cast<const char*>(data), size}, arena);
  if (!entry) return 0;
  const std::string line = MustWrite(*entry, JsonStyle::kLine);
  for (const JsonStyle style : {JsonStyle::kLine, JsonStyle::kPretty}) {
    const auto again = ReadJson(MustWrite(*entry, style), arena);
    if (!again || MustWrite(*again, JsonStyle::kLine) != line) std::abort();
  }
  std::vector<std::byte> bytes;
  if (!Encode(*entry, 0, bytes)) std::abort();
  const auto decoded = Decode(TypeOf(*entry), ByteSpan(bytes).subspan(kHeaderBytes), kHeaderBytes);
  if (!decoded || MustWrite(*decoded, JsonStyle::kLine) != line) std::abort();
  return 0;
}
