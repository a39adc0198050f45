// Files: the blobs of a store that are read, open while they are in use, and what of them is brought into memory before
// it is asked for. Thread-safe.
//
// What is brought lies where the store keeps what it read: in its cache of chunks. A read that finds it there is
// answered by the thread that asks. Where it cannot be brought, nobody hears of it: the read that wants it does.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/fetch.h"
#include "base/recent.h"
#include "base/status.h"
#include "store/blobs/blob_service.h"
#include "vfs/layer/castore/background.h"
#include "vfs/layer/castore/castore_layer.h"
#include "vfs/layer/castore/read_ahead.h"
#include "vfs/types.h"

namespace strata::vfs::castore {

class Files {
 public:
  // `bytes`: of what open blobs take, chunk lists above all.
  Files(std::shared_ptr<store::BlobService> blobs, std::size_t bytes, const AheadOptions& ahead);

  // Gives the sink `length` bytes of the blob from `offset` on, by reference, fewer only where it ends. kIo, with a
  // message, for a blob that is missing, damaged, or not of `size`. After a failure the sink has got nothing. `waited`
  // (may be null) gets whether some of it was not in memory, where that is found out: where something may be fetched
  // ahead, by a call that may block.
  Result<std::size_t> Read(const Waiting& waiting, const store::Digest& digest, std::uint64_t size,
                           std::uint64_t offset, std::size_t length, ReadSink& sink, bool* waited = nullptr);
  // Brings a whole blob, of `size` bytes, in the background. False: there is too much to do already.
  bool Bring(const store::Digest& digest, std::uint64_t size);

 private:
  struct OpenBlob {
    std::shared_ptr<store::BlobReader> reader;
  };
  using OpenBlobRef = std::shared_ptr<const OpenBlob>;

  Result<OpenBlobRef> Open(const Waiting& waiting, const store::Digest& digest);
  // The blob from `offset` on as it lies in memory, `length` bytes or fewer. `waited` is set where it did not lie there
  // before.
  Result<store::BlobBytes> Pin(const Waiting& waiting, store::BlobReader& reader, std::uint64_t offset,
                               std::size_t length, bool& waited);
  // Background's Work.
  Result<void> BringPiece(const Waiting& waiting, Piece& piece);
  void FetchAhead(const store::Digest& digest, std::uint64_t size, const ReadAhead::Range& range);

  const std::shared_ptr<store::BlobService> blobs_;
  const bool fetches_;
  Recent<store::Digest, OpenBlob> readers_;
  ReadAhead ahead_;
  Background background_;  // the last: its threads end first
};

}  // namespace strata::vfs::castore
