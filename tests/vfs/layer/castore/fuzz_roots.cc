// Arbitrary bytes as roots.table: as the file, and as the rows of a frame whose checksum is right. What decodes must be
// the same after it is written and decoded again.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "vfs/layer/castore/roots_format.h"

namespace {

using namespace strata;
using namespace strata::vfs::castore::roots_format;

void Try(ByteSpan bytes, std::uint64_t position) {
  const auto frame = DecodeFrame(bytes, position, kFirstId);
  if (!frame || !*frame) return;
  if ((*frame)->size > kMostFrame || (*frame)->size > bytes.size()) std::abort();
  std::uint64_t next = kFirstId;
  for (const auto& range : (*frame)->ranges) {
    if (range.first < next || range.ids == 0 || range.ids > kEndId - range.first) std::abort();
    next = range.first + range.ids;
  }
  const auto again = DecodeFrame(EncodeFrame(position, (*frame)->ranges), position, kFirstId);
  if (!again || !*again || (*again)->ranges != (*frame)->ranges) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan bytes = std::as_bytes(std::span(data, size));
  if (CheckHeader(bytes)) Try(bytes.subspan(kHeaderBytes), kHeaderBytes);
  (void)HoldsFrame(bytes, 0);
  if (FrameBytes(size) <= kMostFrame) Try(FrameOf(kHeaderBytes, bytes), kHeaderBytes);
  return 0;
}
