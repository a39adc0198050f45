// The inode of a workspace's upper as the journal records it and the index keeps it: the whole after-image of its
// attributes, so that applying a record twice gives what applying it once gave.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/attributes.h"
#include "base/bytes.h"
#include "base/ids.h"

namespace strata {

// Where in a layer an upper inode came from (copy-up). Data that was not written since still lies there.
struct Origin {
  // One of the layers that contribute. Only directories have more than one; the highest comes first.
  struct Source {
    std::uint32_t layer = 0;   // position in the workspace's list of layers, 0 is the highest
    std::uint64_t node = 0;    // the layer's own number of the node
    std::uint64_t parent = 0;  // the layer's own number of the directory that holds it
    friend bool operator==(const Source&, const Source&) = default;
  };
  std::vector<Source> sources;
  // What the lower file was when it was copied up; a lower file that differs has been changed under us.
  std::uint64_t size = 0;
  Time mtime;

  bool empty() const { return sources.empty(); }
  friend bool operator==(const Origin&, const Origin&) = default;
};

// An origin on disk, in journal and index alike: size 8, mtime 8, then each source: layer 4, node 8, parent 8. How many
// sources there are is known from elsewhere.
inline constexpr std::size_t kOriginHeadBytes = 16;
inline constexpr std::size_t kOriginSourceBytes = 20;
// Each writes or reads its part at `out`, which has room for it, or at the reader, which may fail.
void StoreOriginHead(const Origin& origin, std::byte* out);
void StoreOriginSources(const Origin& origin, std::byte* out);
void ReadOriginHead(ByteReader& reader, Origin& origin);
void ReadOriginSources(ByteReader& reader, std::size_t count, Origin& origin);

struct InodeRecord {
  InodeNumber ino;
  Generation generation;
  // Says where a layer finds the object again (vfs::ObjectId); part of the object's handle, so kept for its whole life.
  std::uint64_t locator = 0;
  FileType type = FileType::kRegular;
  std::uint32_t mode = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t nlink = 0;  // 0: removed; the record stays as a tombstone where a layer still holds the object
  std::uint64_t size = 0;
  DeviceNumber rdev;
  Time atime;
  Time mtime;
  Time ctime;
  // Of a directory: the directory that holds it.
  InodeNumber parent;
  // Of a directory: lower content no longer shows through. Set too where there is no lower content at all.
  bool opaque = false;
  // Of a file with an origin: bytes [0, base_size) not covered by an extent are those of the lower file; all others are
  // 0.
  std::uint64_t base_size = 0;
  // RFC 1813 3.3.8: the verifier of the exclusive CREATE that made it; all zero where there was none.
  std::array<std::uint8_t, 8> create_verifier{};
  Origin origin;
  std::string symlink_target;

  friend bool operator==(const InodeRecord&, const InodeRecord&) = default;
};

}  // namespace strata
