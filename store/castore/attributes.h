// What castore cannot say of the nodes of a tree: owners, modes, times, extended attributes, hard links, and the
// entries that are no nodes of it (devices, fifos, sockets). A name carries it as a blob (docs/formats/attributes.md),
// and so the tree's digest stays what it is.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/attributes.h"
#include "base/bytes.h"
#include "base/fetch.h"
#include "base/status.h"
#include "store/blobs/blob_service.h"
#include "store/digest.h"

namespace strata::store {

struct Xattr {
  std::string name;   // with its name space: "user.mime_type"
  std::string value;  // any bytes
  friend auto operator<=>(const Xattr&, const Xattr&) = default;
};

// Of one node. The other times are not kept: reading a tree to import it changes one, and nobody can set the other.
struct NodeAttributes {
  std::uint32_t mode = 0;  // kModeMask
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  Time mtime;
  std::vector<Xattr> xattrs;  // by name, each name once
  friend bool operator==(const NodeAttributes&, const NodeAttributes&) = default;
};

// What the blob has in one record of fixed size, and where it has the rest. Numbers are those of the nodes in
// pre-order, each directory's entries by the bytes of their names (CA-68); the root is 0.
struct StoredAttributes {
  std::uint32_t mode = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  Time mtime;
  // Of a file or symlink with several names: how many, and the number of the first. All have the same attributes.
  std::uint32_t links = 1;
  std::uint64_t first_link = 0;
  // Of a directory: its entries that are no nodes, by their index among all such.
  std::uint64_t first_special = 0;
  std::uint32_t specials = 0;
  std::uint64_t xattrs_at = 0;
  std::uint32_t xattrs_size = 0;
  friend bool operator==(const StoredAttributes&, const StoredAttributes&) = default;
};

// An entry of a directory that is no node.
struct SpecialEntry {
  std::string name;
  FileType type = FileType::kFifo;  // a device, a fifo or a socket
  DeviceNumber device;
  std::uint32_t mode = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  Time mtime;
  std::uint64_t parent = 0;  // the directory's number
  std::uint64_t xattrs_at = 0;
  std::uint32_t xattrs_size = 0;
  friend bool operator==(const SpecialEntry&, const SpecialEntry&) = default;
};

// Reads such a blob. Thread-safe. Nothing in it is believed unchecked: kCorrupt for what cannot be.
class AttributesReader {
 public:
  // `root`: the digest of the tree that the blob must belong to (zeros for a symlink).
  static Result<std::unique_ptr<AttributesReader>> Open(const Waiting& waiting, std::shared_ptr<BlobReader> blob,
                                                        const Digest& root);

  std::uint64_t nodes() const { return nodes_; }
  std::uint64_t specials() const { return specials_; }

  // One read of 24 bytes, and one more for the few that have more. kCorrupt for a number that the blob does not have:
  // the tree is larger than it should be.
  Result<StoredAttributes> Get(const Waiting& waiting, std::uint64_t number) const;
  // Two reads. kCorrupt also for a name that a directory cannot hold, or a type that is none of these.
  Result<SpecialEntry> Special(const Waiting& waiting, std::uint64_t index) const;
  // Of what Get or Special gave; no read where there are none.
  Result<std::vector<Xattr>> Xattrs(const Waiting& waiting, std::uint64_t xattrs_at, std::uint32_t xattrs_size) const;

 private:
  AttributesReader(std::shared_ptr<BlobReader> blob) : blob_(std::move(blob)) {}
  Result<void> ReadExactly(const Waiting& waiting, std::uint64_t offset, MutableByteSpan out) const;
  Result<void> ReadStrings(const Waiting& waiting, std::uint64_t at, MutableByteSpan out) const;

  const std::shared_ptr<BlobReader> blob_;
  std::uint64_t nodes_ = 0, extras_ = 0, specials_ = 0, strings_ = 0;
  std::uint64_t extras_at_ = 0, specials_at_ = 0, strings_at_ = 0;
};

// ---- the format, for who writes it

namespace attributes_format {

inline constexpr std::string_view kMagic = "STRATAAT";
inline constexpr std::uint32_t kVersion = 1;
inline constexpr std::size_t kHeaderBytes = 96;
inline constexpr std::size_t kRecordBytes = 24;
inline constexpr std::size_t kExtraBytes = 40;
inline constexpr std::size_t kSpecialBytes = 56;
inline constexpr std::uint32_t kMaxXattrsBytes = 1 << 20;  // of one object, names and values

struct Header {
  std::uint64_t nodes = 0, extras = 0, specials = 0, strings = 0;
  Digest root;
};
std::array<std::byte, kHeaderBytes> EncodeHeader(const Header& header);
Result<Header> DecodeHeader(ByteSpan bytes);

struct Record {
  std::uint32_t mode = 0, uid = 0, gid = 0;
  Time mtime;
  std::uint32_t extra = 0;  // one more than the index of the node's row there; 0: it has none
};
std::array<std::byte, kRecordBytes> EncodeRecord(const Record& record);

struct Extra {
  std::uint64_t xattrs_at = 0;
  std::uint32_t xattrs_size = 0;
  std::uint32_t links = 0;  // 0 for one
  std::uint64_t first_link = 0;
  std::uint64_t first_special = 0;
  std::uint32_t specials = 0;
};
std::array<std::byte, kExtraBytes> EncodeExtra(const Extra& extra);

// The name stands at `strings_at` among the strings, and its extended attributes behind it.
std::array<std::byte, kSpecialBytes> EncodeSpecial(const SpecialEntry& special, std::uint64_t strings_at);

// kInvalid where they are more than kMaxXattrsBytes, or a name cannot be.
Result<std::string> EncodeXattrs(const std::vector<Xattr>& xattrs);
Result<std::vector<Xattr>> DecodeXattrs(std::string_view text);

}  // namespace attributes_format
}  // namespace strata::store
