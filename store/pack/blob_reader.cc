#include "store/pack/blob_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "store/pack/blobs.h"

namespace strata::store::pack {
namespace {

// A list with the places of its entries.
class Placed {
 public:
  explicit Placed(ListContent list) : of_parts_(list.of_parts), entries_(std::move(list.entries)) {
    ends_.reserve(entries_.size());
    std::uint64_t end = 0;
    for (const ChunkMeta& entry : entries_) ends_.push_back(end += entry.size);
  }

  bool of_parts() const { return of_parts_; }
  std::uint64_t size() const { return ends_.back(); }
  struct At {
    const ChunkMeta* entry = nullptr;
    std::uint64_t begin = 0;
  };
  // `offset`: before the end.
  At Find(std::uint64_t offset) const {
    const auto end = std::ranges::upper_bound(ends_, offset);
    const auto i = static_cast<std::size_t>(end - ends_.begin());
    return {&entries_[i], *end - entries_[i].size};
  }

 private:
  const bool of_parts_;
  const ChunkList entries_;
  std::vector<std::uint64_t> ends_;
};

// What all readers of this store do by Pin.
class PinningReader : public BlobReader {
 public:
  Result<std::size_t> ReadAt(const Waiting& waiting, std::uint64_t offset, MutableByteSpan out) final {
    std::size_t done = 0;
    while (done < out.size()) {
      STRATA_ASSIGN(const BlobBytes piece, Pin(waiting, offset + done, out.size() - done));
      if (piece.bytes.empty()) break;
      std::memcpy(out.data() + done, piece.bytes.data(), piece.bytes.size());
      done += piece.bytes.size();
    }
    return done;
  }
};

class ChunkReader final : public PinningReader {
 public:
  ChunkReader(Engine& engine, const ChunkMeta& chunk) : engine_(engine.shared_from_this()), chunk_(chunk) {}

  std::uint64_t size() const override { return chunk_.size; }
  Result<BlobBytes> Pin(const Waiting& waiting, std::uint64_t offset, std::size_t length) override {
    if (offset >= chunk_.size || length == 0) return BlobBytes{};
    return engine_->Piece(waiting, chunk_, 0, offset, length);
  }

 private:
  const std::shared_ptr<Engine> engine_;
  const ChunkMeta chunk_;
};

class ListReader final : public PinningReader {
 public:
  ListReader(Engine& engine, const Digest& digest, ListContent list)
      : engine_(engine.shared_from_this()), digest_(digest), list_(std::move(list)) {}

  std::uint64_t size() const override { return list_.size(); }
  Result<BlobBytes> Pin(const Waiting& waiting, std::uint64_t offset, std::size_t length) override {
    if (offset >= list_.size() || length == 0) return BlobBytes{};
    Placed::At at = list_.Find(offset);
    std::shared_ptr<const Placed> part;
    if (list_.of_parts()) {
      STRATA_ASSIGN(part, Part(waiting, *at.entry));
      const std::uint64_t begin = at.begin;
      at = part->Find(offset - begin);
      at.begin += begin;
    }
    auto piece = engine_->Piece(waiting, *at.entry, at.begin, offset, length);
    if (piece || piece.error().code() == Errc::kWouldBlock) return piece;
    return Fail(piece.error().WithContext("byte " + std::to_string(offset) + " of the blob " + digest_.Text()));
  }

 private:
  // The one that was read last is kept: who reads on finds it.
  Result<std::shared_ptr<const Placed>> Part(const Waiting& waiting, const ChunkMeta& entry) STRATA_EXCLUDES(mutex_) {
    {
      const MutexLock lock(mutex_);
      if (part_ && part_digest_ == entry.digest) return part_;
    }
    STRATA_ASSIGN(ListContent content, ReadListPart(*engine_, waiting, entry.digest, entry.size));
    auto part = std::make_shared<const Placed>(std::move(content));
    const MutexLock lock(mutex_);
    part_ = part;
    part_digest_ = entry.digest;
    return part;
  }

  const std::shared_ptr<Engine> engine_;
  const Digest digest_;
  const Placed list_;
  Mutex mutex_;
  std::shared_ptr<const Placed> part_ STRATA_GUARDED_BY(mutex_);
  Digest part_digest_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace

std::shared_ptr<BlobReader> ReaderOfChunk(Engine& engine, const ChunkMeta& chunk) {
  return std::make_shared<ChunkReader>(engine, chunk);
}

std::shared_ptr<BlobReader> ReaderOfList(Engine& engine, const Digest& digest, ListContent list) {
  return std::make_shared<ListReader>(engine, digest, std::move(list));
}

}  // namespace strata::store::pack
