// What of a host's file an import reads: its attributes, its content, its extended attributes. Symlinks are never
// followed.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/attributes.h"
#include "base/env.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "store/castore/attributes.h"
#include "store/castore/node.h"
#include "store/import/blob_sink.h"
#include "store/import/import_cache.h"

namespace strata::store {

// Buffers of kStreamFrom bytes and one, used again. Thread-safe.
class BufferPool {
 public:
  class Lease;
  Lease Take() STRATA_EXCLUDES(mutex_);

 private:
  Mutex mutex_;
  std::vector<std::unique_ptr<std::byte[]>> free_ STRATA_GUARDED_BY(mutex_);
};
class BufferPool::Lease {
 public:
  Lease(BufferPool& pool, std::unique_ptr<std::byte[]> buffer) : pool_(pool), buffer_(std::move(buffer)) {}
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease();
  MutableByteSpan bytes() const;

 private:
  BufferPool& pool_;
  std::unique_ptr<std::byte[]> buffer_;
};

// A file of a directory that is open. `shown`: its path, for messages.
struct HostPlace {
  int directory = -1;  // or AT_FDCWD
  std::string name;
  std::string shown;
};

Result<struct stat> StatHost(const HostPlace& place);
Result<std::string> ReadHostLink(const HostPlace& place);
// What of the two an import keeps. `fd`: of the file itself, or -1.
Result<NodeAttributes> AttributesOfHost(const struct stat& st, const HostPlace& place, int fd, bool with_xattrs);
FileState StateOfHost(const struct stat& st);

struct ReadHostFile {
  Node node;
  struct stat st{};     // as it was when it was read
  bool cached = false;  // it was not read
};

// Puts a regular file into the store. One that changes meanwhile is read again, three times at most; then kBusy,
// "unexpected size for PATH wanted: X got: Y" where that is what shows it. `cache` may be null. `grew` is told of bytes
// as they are read, and that they were taken back where it is read again.
Result<ReadHostFile> PutHostFile(Env& env, const HostPlace& place, BlobSink& sink, ImportCache* cache,
                                 BufferPool& buffers, const std::function<void(std::int64_t)>& grew);

}  // namespace strata::store
