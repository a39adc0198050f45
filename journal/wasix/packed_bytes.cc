#include "journal/wasix/packed_bytes.h"

#include <lz4.h>

#include <cstdint>
#include <vector>

#include "base/base64.h"

namespace strata::journal::wasix {
namespace {

// The size of the bytes, little-endian, stands before the block.
constexpr std::size_t kSizeBytes = 4;
// A byte of a block stands for at most so many: a length that is continued grows by 255 with each byte.
constexpr std::uint64_t kMostBytesPerByte = 255;

}  // namespace

Result<std::string> PackBytes(ByteSpan bytes) {
  if (bytes.size() > LZ4_MAX_INPUT_SIZE) return Fail(Errc::kFileTooBig, "a byte string of 2 GiB has no form in JSON");
  const int bound = LZ4_compressBound(static_cast<int>(bytes.size()));
  std::vector<std::byte> packed(kSizeBytes + static_cast<std::size_t>(bound));
  StoreLe(packed.data(), static_cast<std::uint32_t>(bytes.size()));
  const char empty = 0;  // LZ4 refuses a null pointer
  const int size =
      LZ4_compress_default(bytes.empty() ? &empty : reinterpret_cast<const char*>(bytes.data()),
                           reinterpret_cast<char*>(packed.data() + kSizeBytes), static_cast<int>(bytes.size()), bound);
  std::string text;
  AppendBase64(ByteSpan(packed).first(kSizeBytes + static_cast<std::size_t>(size)), text);
  return text;
}

Result<ByteSpan> UnpackBytes(std::string_view text, std::pmr::memory_resource& arena) {
  std::vector<std::byte> packed;
  if (!DecodeBase64(text, packed)) return Fail(Errc::kInvalid, "not base64");
  if (packed.size() <= kSizeBytes) return Fail(Errc::kInvalid, "no LZ4 block with its size before it");
  const std::uint64_t size = LoadLe<std::uint32_t>(packed.data());
  const ByteSpan block = ByteSpan(packed).subspan(kSizeBytes);
  if (size > LZ4_MAX_INPUT_SIZE || size > kMostBytesPerByte * block.size() || block.size() > LZ4_MAX_INPUT_SIZE) {
    return Fail(Errc::kInvalid, "an LZ4 block of " + std::to_string(block.size()) + " bytes cannot hold " +
                                    std::to_string(size) + ", the size before it");
  }
  // One byte more than there is: LZ4 takes no null pointer.
  auto* const bytes = static_cast<std::byte*>(arena.allocate(size + 1, 1));
  const int made = LZ4_decompress_safe(reinterpret_cast<const char*>(block.data()), reinterpret_cast<char*>(bytes),
                                       static_cast<int>(block.size()), static_cast<int>(size));
  if (made < 0 || static_cast<std::uint64_t>(made) != size) {
    return Fail(Errc::kInvalid,
                "an LZ4 block that does not decompress to the " + std::to_string(size) + " bytes that stand before it");
  }
  return ByteSpan(bytes, size);
}

}  // namespace strata::journal::wasix
