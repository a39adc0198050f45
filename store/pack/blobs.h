// The blobs of a pack store: chunks, and lists of chunks.
#pragma once

#include <memory>
#include <optional>

#include "store/blobs/blob_service.h"
#include "store/pack/engine.h"
#include "store/pack/list_record.h"

namespace strata::store::pack {

// Thread-safe.
class PackBlobs final : public BlobService {
 public:
  // `engine` must live as long.
  explicit PackBlobs(Engine& engine) : engine_(engine) {}

  // A blob of several chunks is there when all of its chunks are: so what was lost of one is put again.
  Result<bool> Has(const Waiting& waiting, const Digest& digest) override;
  // Of one of several chunks it asks the indexes for each, or for each part of its list, and reads none.
  Result<std::shared_ptr<BlobReader>> Open(const Waiting& waiting, const Digest& digest) override;
  Result<std::unique_ptr<BlobWriter>> Create() override;
  Result<Digest> Put(ByteSpan blob) override;
  Result<std::optional<ChunkList>> Chunks(const Waiting& waiting, const Digest& digest) override;
  Result<void> Sync() override { return engine_.Sync(); }
  std::string Describe() const override { return engine_.Describe(); }

 private:
  // A blob that is there: a chunk of so many bytes, or a list.
  struct Known {
    std::uint64_t chunk = 0;
    std::optional<ListContent> list;
  };
  Result<std::optional<Known>> Look(const Waiting& waiting, const Digest& digest);

  Engine& engine_;
};

// The list of a blob; nothing where the store has none. It may be there without its chunks.
Result<std::optional<ListContent>> ReadBlobList(Engine& engine, const Waiting& waiting, const Digest& digest);
// A part of a list, which says to be of `size` bytes.
Result<ListContent> ReadListPart(Engine& engine, const Waiting& waiting, const Digest& digest, std::uint64_t size);
// Calls visit for each chunk of a list, in order, until it says false.
Result<void> VisitChunks(Engine& engine, const Waiting& waiting, const ListContent& list,
                         const std::function<Result<bool>(const ChunkMeta&)>& visit);

}  // namespace strata::store::pack
