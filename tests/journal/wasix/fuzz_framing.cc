// Arbitrary bytes as a journal. The first byte is the size of a window. Frames must lie one behind the other within the
// file, and a reader of windows must find those that a reader of the whole file finds.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "journal/wasix/framing.h"

namespace {

using namespace strata;
using namespace strata::journal::wasix;

std::vector<Frame> Walk(ByteSpan file) {
  std::vector<Frame> frames;
  FrameReader reader(file);
  std::uint64_t last = 0;
  while (true) {
    const Frame frame = reader.Next();
    if (frame.kind == Frame::Kind::kBeyondWindow || frame.position < last || frame.position > file.size()) std::abort();
    if ((frame.torn != Frame::Torn::kNo) != (frame.kind == Frame::Kind::kTornTail)) std::abort();
    frames.push_back(frame);
    last = frame.position;
    if (frame.kind == Frame::Kind::kRecord) {
      if (frame.end() > file.size() || reader.position() != frame.end()) std::abort();
      if (frame.payload.size() != frame.header.payload_size) std::abort();
      if (!frame.payload.empty() && frame.payload.data() != file.data() + frame.payload_position()) std::abort();
    } else if (frame.kind != Frame::Kind::kUnknownType || !reader.Skip(frame)) {
      return frames;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1 || size > 1 << 16) return 0;
  const std::size_t least = data[0];
  const ByteSpan file(reinterpret_cast<const std::byte*>(data) + 1, size - 1);
  (void)CheckBeginning(file.first(std::min(file.size(), kMagicBytes)));
  std::size_t window = least, begin = 0;
  for (const Frame& expected : Walk(file)) {
    // Each frame in a window that begins behind the one before it, and that grows until it is large enough.
    while (true) {
      FrameReader reader(file.subspan(begin, std::min(window, file.size() - begin)), begin, file.size());
      const Frame frame = reader.Next();
      if (frame.kind == Frame::Kind::kBeyondWindow) {
        if (window >= file.size()) std::abort();
        begin = frame.position;
        window = 2 * window + 1;
        continue;
      }
      if (frame.kind != expected.kind || frame.torn != expected.torn || frame.position != expected.position ||
          frame.header != expected.header || frame.payload.data() != expected.payload.data() ||
          frame.payload.size() != expected.payload.size() || frame.odd_size != expected.odd_size) {
        std::abort();
      }
      break;
    }
    if (expected.end() > file.size()) break;
    begin = expected.end();
    window = least;
  }
  return 0;
}
