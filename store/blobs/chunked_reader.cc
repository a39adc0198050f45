#include "store/blobs/chunked_reader.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/mutex.h"
#include "store/blobs/verifying_reader.h"

namespace strata::store {
namespace {

// Chunks within chunks: a store may cut into smaller ones what another gave it as one.
constexpr int kMostLevels = 4;

// How many chunked readers of this thread read through each other, whatever lies between them. Whoever makes lists of
// lists without end would else exhaust the stack.
thread_local int levels = 0;
struct Level {
  Level() { ++levels; }
  ~Level() { --levels; }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;
};

class ChunkedReader final : public BlobReader {
 public:
  // Of each chunk, `size` is where it ends within the blob.
  ChunkedReader(std::shared_ptr<BlobService> service, const Digest& blob, ChunkList ends)
      : service_(std::move(service)), blob_(blob), ends_(std::move(ends)) {}

  std::uint64_t size() const override { return ends_.back().size; }

  Result<std::size_t> ReadAt(const Waiting& waiting, std::uint64_t offset, MutableByteSpan out) override {
    std::size_t done = 0;
    for (std::size_t index = IndexAt(offset); index < ends_.size() && done < out.size(); ++index) {
      const std::uint64_t begin = BeginOf(index), within = offset + done - begin;
      const auto wanted =
          static_cast<std::size_t>(std::min<std::uint64_t>(out.size() - done, ends_[index].size - begin - within));
      const Level level;
      STRATA_ASSIGN(const auto chunk, OpenChunk(waiting, index));
      STRATA_ASSIGN(const std::size_t got, chunk->ReadAt(waiting, within, out.subspan(done, wanted)));
      if (got != wanted) return ChunkEndsEarly(index);
      done += got;
    }
    return done;
  }

  Result<BlobBytes> Pin(const Waiting& waiting, std::uint64_t offset, std::size_t length) override {
    const std::size_t index = IndexAt(offset);
    if (index == ends_.size() || length == 0) return BlobBytes();
    const Level level;
    STRATA_ASSIGN(const auto chunk, OpenChunk(waiting, index));
    STRATA_ASSIGN(BlobBytes pinned, chunk->Pin(waiting, offset - BeginOf(index), length));
    if (pinned.bytes.empty()) return ChunkEndsEarly(index);
    return pinned;
  }

 private:
  struct Open {
    std::size_t index = 0;
    std::shared_ptr<BlobReader> reader;
  };

  std::uint64_t BeginOf(std::size_t index) const { return index == 0 ? 0 : ends_[index - 1].size; }
  // Of the chunk that holds `offset`; the number of chunks beyond the end.
  std::size_t IndexAt(std::uint64_t offset) const {
    return static_cast<std::size_t>(std::ranges::upper_bound(ends_, offset, {}, &ChunkMeta::size) - ends_.begin());
  }

  std::string Which(std::size_t index) const {
    return "chunk " + ends_[index].digest.Text() + " at byte " + std::to_string(BeginOf(index)) + " of the blob " +
           blob_.Text() + " in " + service_->Describe();
  }
  std::unexpected<Status> ChunkEndsEarly(std::size_t index) const {
    return Fail(Errc::kCorrupt, Which(index) + " ends early");
  }

  Result<std::shared_ptr<BlobReader>> OpenChunk(const Waiting& waiting, std::size_t index) STRATA_EXCLUDES(mutex_) {
    if (levels > kMostLevels) {
      return Fail(Errc::kCorrupt,
                  Which(index) + ": chunks lie within chunks, more than " + std::to_string(kMostLevels) + " deep");
    }
    {
      const MutexLock lock(mutex_);
      for (const Open& open : open_) {
        if (open.reader && open.index == index) return open.reader;
      }
    }
    const std::uint64_t wanted = ends_[index].size - BeginOf(index);
    STRATA_ASSIGN(auto chunk, service_->Open(waiting, ends_[index].digest));
    if (!chunk) {
      return Fail(Errc::kNotFound, Which(index) + ": chunk not found; put the blob anew, or fetch it from elsewhere");
    }
    if (chunk->size() != wanted) {
      return Fail(Errc::kCorrupt, Which(index) + " has " + std::to_string(chunk->size()) +
                                      " bytes, and by the blob's chunk list " + std::to_string(wanted));
    }
    const MutexLock lock(mutex_);
    std::ranges::rotate(open_, open_.end() - 1);
    open_.front() = {index, chunk};
    return chunk;
  }

  const std::shared_ptr<BlobService> service_;
  const Digest blob_;
  const ChunkList ends_;
  Mutex mutex_;
  std::array<Open, 2> open_ STRATA_GUARDED_BY(mutex_);  // the last opened first
};

}  // namespace

Result<std::shared_ptr<BlobReader>> OpenChunked(std::shared_ptr<BlobService> service, const Digest& blob,
                                                ChunkList chunks) {
  const auto refuse = [&](const std::string& why) {
    return Fail(Errc::kInvalid,
                "open the blob " + blob.Text() + " in " + service->Describe() + " by its chunks: " + why);
  };
  if (chunks.empty()) return refuse("the list is empty");
  const bool is_whole = chunks.size() == 1;
  if (is_whole && chunks[0].digest != blob) return refuse("its one chunk is " + chunks[0].digest.Text());
  std::uint64_t end = 0;
  for (ChunkMeta& chunk : chunks) {
    if (chunk.size == 0) return refuse("the chunk " + chunk.digest.Text() + " has no bytes");
    if (__builtin_add_overflow(end, chunk.size, &end)) return refuse("its size has more than 64 bits");
    chunk.size = end;
  }
  auto reader = std::make_shared<ChunkedReader>(std::move(service), blob, std::move(chunks));
  if (is_whole) return reader;
  return VerifyInOrder(std::move(reader), blob);
}

}  // namespace strata::store
