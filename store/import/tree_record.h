// TreeRecord: what an archive says of one path, as it is sorted (record_sorter.h), and the paths themselves.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/attributes.h"
#include "base/status.h"
#include "store/castore/attributes.h"
#include "store/castore/directory.h"

namespace strata::store {

// A path is its names with a NUL between each two. No name holds one, so that the bytes of paths sort as trees are
// walked: a directory, what lies in it by name, what comes after it. The root is empty.
inline constexpr char kPathSeparator = '\0';
inline constexpr std::size_t kMaxPathDepth = 4096;
// The path of an archive's entry (CA-45): "." is dropped, ".." takes the name before away. kInvalid for an absolute
// one, one that leads out of the archive, one whose names no directory can hold, and one of more than kMaxPathDepth
// names.
Result<std::string> ArchivePath(std::string_view path);
// With slashes, for messages.
std::string ShownPath(std::string_view path);

enum class RecordKind : std::uint8_t {
  kNode,     // a directory (its node has no digest yet), a file or a symlink
  kLink,     // another name of an entry that came before
  kSpecial,  // something that castore has no node for
};

struct TreeRecord {
  RecordKind kind = RecordKind::kNode;
  Node node;
  std::string link;                 // of kLink: the path of that entry
  FileType type = FileType::kFifo;  // of kSpecial
  DeviceNumber device;
  NodeAttributes attributes;

  bool IsDirectory() const { return kind == RecordKind::kNode && node.kind == NodeKind::kDirectory; }
  friend bool operator==(const TreeRecord&, const TreeRecord&) = default;
};

// `with_attributes`: they are kept too. kInvalid for extended attributes that no file can have.
Result<std::string> EncodeTreeRecord(const TreeRecord& record, bool with_attributes);
// kCorrupt for what that did not give.
Result<TreeRecord> DecodeTreeRecord(std::string_view text);

}  // namespace strata::store
