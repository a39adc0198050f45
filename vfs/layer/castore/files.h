// Files: the blobs of a store that are read, open while they are in use. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/fetch.h"
#include "base/status.h"
#include "store/blobs/blob_service.h"
#include "vfs/layer/castore/recent.h"
#include "vfs/types.h"

namespace strata::vfs::castore {

class Files {
 public:
  // `bytes`: of what open blobs take, chunk lists above all.
  Files(std::shared_ptr<store::BlobService> blobs, std::size_t bytes) : blobs_(std::move(blobs)), readers_(bytes) {}

  // Gives the sink `length` bytes of the blob from `offset` on, by reference, fewer only where it ends. kIo, with a
  // message, for a blob that is missing, damaged, or not of `size`. After a failure the sink has got nothing.
  Result<std::size_t> Read(const Waiting& waiting, const store::Digest& digest, std::uint64_t size,
                           std::uint64_t offset, std::size_t length, ReadSink& sink);

 private:
  struct OpenBlob {
    std::shared_ptr<store::BlobReader> reader;
  };
  using OpenBlobRef = std::shared_ptr<const OpenBlob>;

  Result<OpenBlobRef> Open(const Waiting& waiting, const store::Digest& digest);

  const std::shared_ptr<store::BlobService> blobs_;
  Recent<store::Digest, OpenBlob> readers_;
};

}  // namespace strata::vfs::castore
