#include "store/pack/blob_writer.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "store/pack/blobs.h"
#include "store/pack/list_record.h"

namespace strata::store::pack {
namespace {

class PackBlobWriter final : public BlobWriter {
 public:
  explicit PackBlobWriter(Engine& engine)
      : engine_(engine.shared_from_this()),
        splitter_(engine.options().chunker),
        most_under_way_(2 * engine.pool().threads()) {}
  ~PackBlobWriter() override { (void)Settle(); }

  Result<void> Write(ByteSpan bytes) override {
    if (state_ != State::kOpen) return AlreadyClosed();
    size_ += bytes.size();
    auto written = splitter_.Write(bytes, [this](ByteSpan chunk) { return Take(chunk); });
    if (!written) state_ = State::kFailed;
    return written;
  }

  Result<Digest> Close() override {
    if (state_ == State::kClosed) return digest_;
    if (state_ == State::kFailed) return AlreadyClosed();
    state_ = State::kFailed;
    STRATA_TRY(splitter_.Finish([this](ByteSpan chunk) { return Take(chunk); }));
    digest_ = hasher_.Finish();
    STRATA_TRY(PutWhole());
    state_ = State::kClosed;
    return digest_;
  }

 private:
  enum class State : std::uint8_t { kOpen, kFailed, kClosed };

  static std::unexpected<Status> AlreadyClosed() { return Fail(Errc::kInvalid, "write a blob: already closed"); }

  // The first chunk waits for the second: a blob of one chunk is put under its own digest, when it is whole.
  Result<void> Take(ByteSpan chunk) {
    // While the chunk is in the processor's cache: it was just cut, and is copied next.
    hasher_.Update(chunk);
    std::vector<std::byte> copy(chunk.begin(), chunk.end());
    if (chunks_++ == 0) {
      first_ = std::move(copy);
      return {};
    }
    if (!first_.empty()) STRATA_TRY(PutChunk(std::exchange(first_, {})));
    return PutChunk(std::move(copy));
  }

  Result<void> PutChunk(std::vector<std::byte> chunk) {
    if (entries_.size() == engine_->options().list_entries) STRATA_TRY(EndPart());
    const std::size_t place = entries_.size();
    entries_.push_back({.digest = {}, .size = chunk.size()});
    {
      const MutexLock lock(mutex_);
      while (under_way_ >= most_under_way_) changed_.Wait(mutex_);
      if (error_) return Fail(*error_);
      ++under_way_;
    }
    engine_->pool().Run([this, place, chunk = std::move(chunk)] {
      const Digest digest = Digest::Of(chunk);
      const auto put = engine_->Put(RecordKind::kChunk, digest, chunk);
      const MutexLock lock(mutex_);
      if (put) {
        done_.emplace_back(place, digest);
      } else if (!error_) {
        error_ = put.error();
      }
      --under_way_;
      changed_.NotifyAll();
    });
    return {};
  }

  // All that was given to the pool is done; their digests are in entries_.
  Result<void> Settle() {
    const MutexLock lock(mutex_);
    while (under_way_ > 0) changed_.Wait(mutex_);
    if (error_) return Fail(*error_);
    for (const auto& [place, digest] : done_) entries_[place].digest = digest;
    done_.clear();
    return {};
  }

  Result<void> EndPart() {
    STRATA_TRY(Settle());
    if (parts_.size() == engine_->options().list_entries) {
      return Fail(Errc::kFileTooBig, engine_->Describe() + ": a blob of more than " + std::to_string(size_) +
                                         " bytes has too many chunks");
    }
    const std::vector<std::byte> list = EncodeList(false, entries_);
    ChunkMeta part{.digest = Digest::Of(list), .size = 0};
    for (const ChunkMeta& entry : entries_) part.size += entry.size;
    STRATA_TRY(engine_->Put(RecordKind::kListPart, part.digest, list));
    parts_.push_back(part);
    entries_.clear();
    return {};
  }

  Result<void> PutWhole() {
    if (chunks_ == 0) return engine_->Put(RecordKind::kChunk, digest_, {});
    if (chunks_ == 1) return engine_->Put(RecordKind::kChunk, digest_, first_);
    if (!parts_.empty()) STRATA_TRY(EndPart());
    STRATA_TRY(Settle());
    // A list of other chunks, which another chunker cut, does as well, if they are there. One of which something was
    // lost is as good as new if it names what was put now; else it gets a second beside it.
    STRATA_ASSIGN(const bool there, PackBlobs(*engine_).Has({}, digest_));
    if (there) return {};
    const bool of_parts = !parts_.empty();
    return engine_->PutAnew(RecordKind::kList, digest_, EncodeList(of_parts, of_parts ? parts_ : entries_));
  }

  const std::shared_ptr<Engine> engine_;
  ChunkSplitter splitter_;
  const std::size_t most_under_way_;
  Hasher hasher_;
  State state_ = State::kOpen;
  Digest digest_;
  std::uint64_t size_ = 0;
  std::uint64_t chunks_ = 0;
  std::vector<std::byte> first_;
  ChunkList entries_;  // of the part that is being made
  ChunkList parts_;

  Mutex mutex_;
  CondVar changed_;
  std::size_t under_way_ STRATA_GUARDED_BY(mutex_) = 0;
  std::vector<std::pair<std::size_t, Digest>> done_ STRATA_GUARDED_BY(mutex_);
  std::optional<Status> error_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<BlobWriter> NewBlobWriter(Engine& engine) { return std::make_unique<PackBlobWriter>(engine); }

}  // namespace strata::store::pack
