// ObjectBucket: whole objects by key, as S3 has them. What the layout of object stores (docs/formats/objectstore.md)
// stands on, so that a folder, memory, S3 and HTTP are one to it. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/fetch.h"
#include "base/status.h"

namespace strata::store {

// What must be there before what. An object becomes durable, and visible to others, after those of lower rank that were
// put before it.
enum class ObjectRank : std::uint8_t { kChunk, kBlob, kDirectory, kRoot };
inline constexpr std::size_t kObjectRanks = 4;

// An object, open for reading. Thread-safe. Stays readable when the object is replaced or removed.
class ObjectReader {
 public:
  virtual ~ObjectReader() = default;
  virtual std::uint64_t size() const = 0;
  // Fills `out` until it is full or the object ends; the number of bytes.
  virtual Result<std::size_t> ReadAt(const Waiting& waiting, std::uint64_t offset, MutableByteSpan out) = 0;
};

// Takes an object in pieces. Nothing is visible before Close; dropped without it, nothing stays. Not thread-safe.
class ObjectWriter {
 public:
  virtual ~ObjectWriter() = default;
  virtual Result<void> Write(ByteSpan bytes) = 0;
  // Once.
  virtual Result<void> Close() = 0;
};

class ObjectBucket {
 public:
  virtual ~ObjectBucket() = default;

  // Null: there is none.
  virtual Result<std::unique_ptr<ObjectReader>> Open(const Waiting& waiting, const std::string& key) = 0;
  // The whole object; nothing where there is none. kCorrupt for one of more than `limit` bytes: it is none of ours.
  // Default: by Open.
  virtual Result<std::optional<std::vector<std::byte>>> Get(const Waiting& waiting, const std::string& key,
                                                            std::size_t limit);
  virtual Result<bool> Has(const Waiting& waiting, const std::string& key) = 0;

  // Puts an object where there is none; where there is one, that stays. Of two who put at once, one wins. This bucket
  // shows it at once, others after the next Sync. Default of this and the next three: kReadOnly.
  virtual Result<void> PutIfAbsent(const std::string& key, ObjectRank rank, ByteSpan bytes);
  // The same, in pieces: the object that Close finds there stays.
  virtual Result<std::unique_ptr<ObjectWriter>> Create(const std::string& key, ObjectRank rank);
  // Puts an object over the one that is there.
  virtual Result<void> Replace(const std::string& key, ObjectRank rank, ByteSpan bytes);
  // False: there was none. Durable after Sync.
  virtual Result<bool> Remove(const std::string& key);

  // The keys below `folder` ("roots"), in the order of their bytes, until `visit` says false.
  virtual Result<void> List(const Waiting& waiting, const std::string& folder,
                            const std::function<bool(std::string_view key)>& visit) = 0;
  // Makes durable, and visible to all, what was put so far. Default: it is so already.
  virtual Result<void> Sync();

  // For messages: the bucket, such as "objectstore+file:///srv/store", and one object of it.
  virtual std::string Describe() const = 0;
  virtual std::string DescribeObject(const std::string& key) const { return key + " of " + Describe(); }
};

// Components joined by '/': none empty, "." or "..", none with a NUL or of more than 255 bytes. kInvalid else. A key
// that passes cannot lead out of the folder of a bucket.
Result<void> CheckObjectKey(std::string_view key);

}  // namespace strata::store
