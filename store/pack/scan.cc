#include "store/pack/scan.h"

#include <algorithm>

#include "base/hash.h"

namespace strata::store::pack {
namespace {

constexpr std::size_t kStoredWindow = 1 << 20;
constexpr std::size_t kHeadersWindow = 64 << 10;

}  // namespace

PackScan::PackScan(File& file, PackId pack, std::uint64_t begin, std::uint64_t end, Depth depth)
    : file_(file), pack_(pack), end_(end), depth_(depth), next_(begin), sound_end_(begin) {}

Location PackScan::location() const {
  return {.pack = pack_,
          .offset = static_cast<std::uint32_t>(offset_),
          .stored = header_.stored,
          .raw = header_.raw,
          .kind = header_.kind,
          .method = header_.method};
}

Result<PackScan::Found> PackScan::Next() {
  if (next_ >= end_) return Found::kEnd;
  STRATA_ASSIGN(const ByteSpan bytes, Window(next_, kRecordHeaderBytes));
  const auto header = DecodeRecordHeader(bytes, pack_, next_);
  // What would end behind the scanned bytes is not all there.
  if (!header || header->RecordBytes() > end_ - next_ || next_ > kMaxPackBytes) {
    damage_ = {next_, 0, header};
    STRATA_ASSIGN(next_, FindRecord(next_ + 1));
    damage_.end = next_;
    return Found::kDamage;
  }
  offset_ = next_;
  header_ = *header;
  next_ += header->RecordBytes();
  if (depth_ == Depth::kStored) {
    STRATA_ASSIGN(const bool sound, StoredChecks());
    if (!sound) {
      damage_ = {offset_, next_, header_};
      return Found::kDamage;
    }
  }
  sound_end_ = next_;
  return Found::kRecord;
}

Result<bool> PackScan::StoredChecks() {
  std::uint32_t crc = 0;
  for (std::uint64_t at = offset_ + kRecordHeaderBytes; at < next_;) {
    STRATA_ASSIGN(ByteSpan bytes, Window(at, std::min<std::uint64_t>(next_ - at, kStoredWindow)));
    if (bytes.empty()) return false;  // the file has become shorter
    bytes = bytes.first(std::min<std::uint64_t>(bytes.size(), next_ - at));
    crc = Crc32c(bytes, crc);
    at += bytes.size();
  }
  return crc == header_.stored_crc;
}

Result<std::uint64_t> PackScan::FindRecord(std::uint64_t from) {
  for (std::uint64_t at = from; at + kRecordHeaderBytes <= end_;) {
    STRATA_ASSIGN(const ByteSpan bytes, Window(at, kRecordHeaderBytes));
    if (bytes.size() < kRecordHeaderBytes) break;
    const std::size_t found = AsText(bytes).find("STPR");
    if (found == std::string_view::npos) {
      at += bytes.size() - 3;
    } else if (found + kRecordHeaderBytes > bytes.size() && found > 0) {
      at += found;
    } else {
      if (DecodeRecordHeader(bytes.subspan(found), pack_, at + found)) return at + found;
      at += found + 1;
    }
  }
  return end_;
}

Result<ByteSpan> PackScan::Window(std::uint64_t offset, std::size_t size) {
  size = std::min<std::uint64_t>(size, end_ - offset);
  if (offset < window_begin_ || offset + size > window_begin_ + window_size_) {
    if (window_.empty()) window_.resize(depth_ == Depth::kStored ? kStoredWindow : kHeadersWindow);
    const std::size_t wanted = std::min<std::uint64_t>(window_.size(), end_ - offset);
    window_size_ = 0;
    STRATA_ASSIGN(window_size_, file_.ReadAt(offset, MutableByteSpan(window_).first(wanted)));
    window_begin_ = offset;
  }
  const std::size_t skip = offset - window_begin_;
  return ByteSpan(window_).subspan(skip, window_size_ - std::min(skip, window_size_));
}

}  // namespace strata::store::pack
