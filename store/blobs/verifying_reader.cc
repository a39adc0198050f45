#include "store/blobs/verifying_reader.h"

#include <atomic>
#include <optional>
#include <string>
#include <utility>

#include "base/mutex.h"

namespace strata::store {
namespace {

class VerifyingReader final : public BlobReader {
 public:
  VerifyingReader(std::shared_ptr<BlobReader> reader, const Digest& digest)
      : reader_(std::move(reader)),
        digest_(digest),
        size_(reader_->size()),
        wrong_(size_ == 0 && digest != Digest::OfEmpty()),
        hasher_(Hasher()) {}

  std::uint64_t size() const override { return size_; }

  Result<std::size_t> ReadAt(const Waiting& waiting, std::uint64_t offset, MutableByteSpan out) override {
    STRATA_TRY(Check());
    STRATA_ASSIGN(const std::size_t got, reader_->ReadAt(waiting, offset, out));
    STRATA_TRY(Note(offset, out.first(got)));
    return got;
  }

  Result<BlobBytes> Pin(const Waiting& waiting, std::uint64_t offset, std::size_t length) override {
    STRATA_TRY(Check());
    STRATA_ASSIGN(BlobBytes pinned, reader_->Pin(waiting, offset, length));
    STRATA_TRY(Note(offset, pinned.bytes));
    return pinned;
  }

 private:
  Result<void> Check() const {
    if (!wrong_.load(std::memory_order_acquire)) return {};
    return Fail(Errc::kCorrupt, "the parts of the blob " + digest_.Text() +
                                    " make another one: its chunk list is wrong; fetch it anew, or from elsewhere");
  }

  // Of bytes that were read.
  Result<void> Note(std::uint64_t offset, ByteSpan bytes) STRATA_EXCLUDES(mutex_) {
    const auto goes_on = [&] {
      const std::uint64_t next = next_.load(std::memory_order_acquire);
      return offset <= next && next < offset + bytes.size();
    };
    if (!goes_on()) return {};
    const MutexLock lock(mutex_);
    // Another thread may have read the same.
    if (!goes_on()) return Check();
    const std::uint64_t next = next_.load(std::memory_order_relaxed);
    hasher_->Update(bytes.subspan(static_cast<std::size_t>(next - offset)));
    const std::uint64_t end = offset + bytes.size();
    if (end >= size_) {
      wrong_.store(hasher_->Finish() != digest_, std::memory_order_release);
      hasher_.reset();
    }
    next_.store(end, std::memory_order_release);
    return Check();
  }

  const std::shared_ptr<BlobReader> reader_;
  const Digest digest_;
  const std::uint64_t size_;
  std::atomic<bool> wrong_;
  // All before it is in the hash. Changed with the mutex held.
  std::atomic<std::uint64_t> next_ = 0;
  Mutex mutex_;
  std::optional<Hasher> hasher_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace

std::shared_ptr<BlobReader> VerifyInOrder(std::shared_ptr<BlobReader> reader, const Digest& digest) {
  return std::make_shared<VerifyingReader>(std::move(reader), digest);
}

}  // namespace strata::store
