#include "store/import/tree_record.h"

#include <algorithm>
#include <array>
#include <vector>

#include "store/castore/names.h"

namespace strata::store {
namespace {

// A byte of what it is; of a file its size and digest; of a special entry its type and device; with attributes: mtime,
// uid, gid, mode. Then the text (a link's path or a symlink's target) with its size, and the extended attributes.
constexpr unsigned kNodeKindShift = 2, kExecutable = 1 << 4, kWithAttributes = 1 << 5;

template <typename T>
void Append(std::string& out, T value) {
  std::array<std::byte, sizeof(T)> bytes;
  StoreLe(bytes.data(), value);
  out += AsText(bytes);
}

}  // namespace

Result<std::string> ArchivePath(std::string_view path) {
  const auto refused = [&](std::string_view why) {
    return Fail(Errc::kInvalid, "the path " + QuoteName(path) + " in the archive " + std::string(why));
  };
  if (path.starts_with('/')) return refused("is absolute; make the archive with relative paths (tar does without -P)");
  std::string names;
  std::vector<std::size_t> begins;  // of each name in `names`
  while (!path.empty()) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    const std::string_view name = path.substr(0, slash);
    path.remove_prefix(std::min(slash + 1, path.size()));
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      if (begins.empty()) return refused("leads out of it by ..");
      names.resize(begins.back() == 0 ? 0 : begins.back() - 1);
      begins.pop_back();
      continue;
    }
    if (auto valid = CheckNodeName(name); !valid) {
      return refused("holds a name that a directory cannot: " + std::string(valid.error().message()));
    }
    if (begins.size() == kMaxPathDepth) return refused("is deeper than " + std::to_string(kMaxPathDepth) + " names");
    if (!begins.empty()) names += kPathSeparator;
    begins.push_back(names.size());
    names += name;
  }
  return names;
}

std::string ShownPath(std::string_view path) {
  std::string shown(path.empty() ? "." : path);
  std::ranges::replace(shown, kPathSeparator, '/');
  return shown;
}

Result<std::string> EncodeTreeRecord(const TreeRecord& record, bool with_attributes) {
  const std::string& text = record.kind == RecordKind::kLink ? record.link : record.node.target;
  std::string encoded;
  Append(encoded, static_cast<std::uint8_t>(
                      static_cast<unsigned>(record.kind) | static_cast<unsigned>(record.node.kind) << kNodeKindShift |
                      (record.node.executable ? kExecutable : 0) | (with_attributes ? kWithAttributes : 0)));
  if (record.kind == RecordKind::kNode && record.node.kind == NodeKind::kFile) {
    Append(encoded, record.node.size);
    encoded += AsText(record.node.digest.bytes);
  } else if (record.kind == RecordKind::kSpecial) {
    Append(encoded, static_cast<std::uint8_t>(record.type));
    Append(encoded, record.device.major);
    Append(encoded, record.device.minor);
  }
  if (with_attributes) {
    Append(encoded, record.attributes.mtime.ns);
    Append(encoded, record.attributes.uid);
    Append(encoded, record.attributes.gid);
    Append(encoded, record.attributes.mode);
  }
  Append(encoded, static_cast<std::uint32_t>(text.size()));
  encoded += text;
  if (with_attributes) {
    STRATA_ASSIGN(const std::string xattrs, attributes_format::EncodeXattrs(record.attributes.xattrs));
    encoded += xattrs;
  }
  return encoded;
}

Result<TreeRecord> DecodeTreeRecord(std::string_view text) {
  TreeRecord record;
  ByteReader in(AsBytes(text));
  const unsigned what = in.Read<std::uint8_t>();
  record.kind = static_cast<RecordKind>(what & 3);
  record.node.kind = static_cast<NodeKind>(what >> kNodeKindShift & 3);
  record.node.executable = (what & kExecutable) != 0;
  if (record.kind == RecordKind::kNode && record.node.kind == NodeKind::kFile) {
    record.node.size = in.Read<std::uint64_t>();
    std::ranges::copy(in.ReadBytes(Digest::kSize), record.node.digest.bytes.begin());
  } else if (record.kind == RecordKind::kSpecial) {
    record.type = static_cast<FileType>(in.Read<std::uint8_t>());
    record.device.major = in.Read<std::uint32_t>();
    record.device.minor = in.Read<std::uint32_t>();
  }
  if ((what & kWithAttributes) != 0) {
    record.attributes.mtime.ns = in.Read<std::int64_t>();
    record.attributes.uid = in.Read<std::uint32_t>();
    record.attributes.gid = in.Read<std::uint32_t>();
    record.attributes.mode = in.Read<std::uint32_t>();
  }
  const auto text_size = in.Read<std::uint32_t>();
  const std::string_view name = AsText(in.ReadBytes(text_size));
  const std::string_view xattrs = AsText(in.ReadBytes(in.remaining()));
  if (!in.ok() || record.kind > RecordKind::kSpecial || record.node.kind > NodeKind::kSymlink) {
    return Fail(Errc::kCorrupt, "a sorted entry does not decode");
  }
  if (record.kind == RecordKind::kLink) {
    record.link = name;
  } else {
    record.node.target = name;
    if (record.node.kind == NodeKind::kSymlink) record.node.size = name.size();
  }
  STRATA_ASSIGN(record.attributes.xattrs, attributes_format::DecodeXattrs(xattrs));
  return record;
}

}  // namespace strata::store
