#include "journal/wasix/framing.h"

#include <algorithm>

namespace strata::journal::wasix {
namespace {

constexpr std::size_t kTypeBytes = 2;
constexpr std::uint64_t kPayloadAlignment = 8;

// Headers are the only big-endian part of the format.
std::uint64_t LoadBe(const std::byte* at, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) value = value << 8 | std::to_integer<std::uint64_t>(at[i]);
  return value;
}

void StoreBe(std::byte* at, std::size_t size, std::uint64_t value) {
  for (std::size_t i = size; i > 0; --i, value >>= 8) at[i - 1] = static_cast<std::byte>(value & 0xff);
}

bool IsMagic(ByteSpan bytes) {
  return bytes.size() >= kMagicBytes && std::ranges::equal(bytes.first(kMagicBytes), kMagic);
}

}  // namespace

void EncodeHeader(const RecordHeader& header, std::byte* at) {
  StoreBe(at, kTypeBytes, static_cast<std::uint64_t>(header.type));
  StoreBe(at + kTypeBytes, kHeaderBytes - kTypeBytes, header.payload_size);
}

RecordHeader DecodeHeader(const std::byte* at) {
  return {.type = static_cast<EntryType>(LoadBe(at, kTypeBytes)),
          .payload_size = LoadBe(at + kTypeBytes, kHeaderBytes - kTypeBytes)};
}

Beginning CheckBeginning(ByteSpan bytes) {
  if (bytes.empty()) return Beginning::kEmpty;
  if (bytes.size() < kMagicBytes) return Beginning::kCutShort;
  return IsMagic(bytes) ? Beginning::kMagic : Beginning::kWrongMagic;
}

Frame FrameReader::Next() {
  while (IsMagic(rest_)) Advance(kMagicBytes);
  Frame frame;
  frame.position = position_;
  if (left_in_file() == 0) return frame;
  if (left_in_file() < kHeaderBytes) {
    frame.kind = Frame::Kind::kTornTail;
    frame.torn = Frame::Torn::kShortHeader;
    return frame;
  }
  if (rest_.size() < kHeaderBytes) {
    frame.kind = Frame::Kind::kBeyondWindow;
    return frame;
  }
  frame.header = DecodeHeader(rest_.data());
  if (frame.header == RecordHeader{}) {
    frame.kind = Frame::Kind::kTornTail;
    frame.torn = Frame::Torn::kZeroHeader;
    return frame;
  }
  const std::uint64_t size = frame.header.payload_size;
  frame.odd_size = size % kPayloadAlignment != 0;
  if (!IsKnown(frame.header.type)) {
    frame.kind = Frame::Kind::kUnknownType;
  } else if (size > left_in_file() - kHeaderBytes) {
    frame.kind = Frame::Kind::kTornTail;
    frame.torn = Frame::Torn::kPayloadPastEnd;
  } else if (size > rest_.size() - kHeaderBytes) {
    frame.kind = Frame::Kind::kBeyondWindow;
  } else {
    frame.kind = Frame::Kind::kRecord;
    frame.payload = rest_.subspan(kHeaderBytes, size);
    Advance(kHeaderBytes + size);
  }
  return frame;
}

bool FrameReader::Skip(const Frame& unknown) {
  if (unknown.kind != Frame::Kind::kUnknownType || unknown.position != position_) return false;
  if (unknown.header.payload_size > rest_.size() - kHeaderBytes) return false;
  Advance(kHeaderBytes + unknown.header.payload_size);
  return true;
}

void FrameReader::Advance(std::uint64_t bytes) {
  rest_ = rest_.subspan(bytes);
  position_ += bytes;
}

}  // namespace strata::journal::wasix
