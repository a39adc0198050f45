#include "journal/window.h"

#include <algorithm>
#include <utility>

namespace strata::journal {

Result<ByteSpan> Window::Read(File& file, std::uint64_t key, std::uint64_t offset, std::uint64_t length,
                              std::uint64_t limit) {
  length = offset < limit ? std::min(length, limit - offset) : 0;
  if (length == 0) return ByteSpan{};
  const bool held = key_ == key && offset >= begin_ && offset + length <= begin_ + size_;
  if (!held) {
    const std::uint64_t wanted = std::min(std::max(length, read_ahead_), limit - offset);
    key_.reset();
    if (!bytes_ || std::exchange(given_, false) || room_ < wanted) {
      room_ = std::max(wanted, read_ahead_);
      bytes_ = std::make_shared_for_overwrite<std::byte[]>(room_);
    }
    STRATA_ASSIGN(size_, file.ReadAt(offset, MutableByteSpan(bytes_.get(), wanted)));
    begin_ = offset;
    key_ = key;
  }
  const ByteSpan all = ByteSpan(bytes_.get(), size_).subspan(std::min<std::size_t>(offset - begin_, size_));
  return all.first(std::min<std::size_t>(all.size(), length));
}

}  // namespace strata::journal
