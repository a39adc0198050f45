// Arbitrary bytes as the payload of a record; the first byte is the type. What decodes is encoded, and must decode to
// what gives the same bytes again.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "journal/wasix/decode.h"
#include "journal/wasix/encode.h"

namespace {

using namespace strata;
using namespace strata::journal::wasix;

constexpr std::uint64_t kPosition = 1000 * 8;  // of the payload

std::vector<std::byte> MustEncode(const Entry& entry) {
  std::vector<std::byte> bytes;
  if (!Encode(entry, kPosition - kHeaderBytes, bytes)) std::abort();
  if (bytes.size() != EncodedSize(entry, kPosition - kHeaderBytes)) std::abort();
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1 || size > 1 << 16) return 0;
  const auto type = static_cast<EntryType>(data[0]);
  const ByteSpan payload(reinterpret_cast<const std::byte*>(data) + 1, size - 1);
  const auto entry = Decode(type, payload, kPosition);
  if (!entry) {
    if (entry.error().code() != (IsKnown(type) ? Errc::kCorrupt : Errc::kNotSupported)) std::abort();
    return 0;
  }
  const std::vector<std::byte> bytes = MustEncode(*entry);
  const auto again = Decode(type, ByteSpan(bytes).subspan(kHeaderBytes), kPosition);
  if (!again || MustEncode(*again) != bytes) std::abort();
  return 0;
}
