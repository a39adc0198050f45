#include "vfs/workspace/inode.h"

#include <algorithm>

namespace strata::vfs {
namespace {

// The longest tick of a kernel's clock: 100 a second.
constexpr std::int64_t kClockTickNs = 10'000'000;

}  // namespace

Attributes Inode::attributes() const {
  Attributes attributes;
  attributes.type = record.type;
  attributes.mode = record.mode;
  attributes.nlink = record.nlink;
  attributes.uid = record.uid;
  attributes.gid = record.gid;
  attributes.size = record.size;
  attributes.rdev = record.rdev;
  attributes.ino = shared != 0 ? InodeNumber(shared) : record.ino;
  attributes.atime = record.atime;
  attributes.mtime = record.mtime;
  attributes.ctime = record.ctime;
  if (record.type == FileType::kRegular) {
    const std::uint64_t base = upper ? std::min(base_used, record.base_size) : base_used;
    attributes.used = extents.bytes() + base;
  } else if (record.type == FileType::kDirectory || record.type == FileType::kSymlink) {
    attributes.used = record.size;
  }
  return attributes;
}

void Inode::TakeOver(const Attributes& of_layer) {
  record.mode = of_layer.mode;
  record.uid = of_layer.uid;
  record.gid = of_layer.gid;
  record.nlink = of_layer.nlink;
  record.size = of_layer.size;
  record.rdev = of_layer.rdev;
  record.atime = of_layer.atime;
  record.mtime = of_layer.mtime;
  record.ctime = of_layer.ctime;
  if (record.type != FileType::kRegular) return;
  record.base_size = record.origin.size = of_layer.size;
  record.origin.mtime = of_layer.mtime;
}

InodeRecord Inode::FullRecord() const {
  InodeRecord full = record;
  if (lower) full.origin.sources = lower->sources;
  return full;
}

Time Inode::ChangeTime(Time now) const { return std::max(now, record.ctime.Next()); }

Time Inode::ContentTime(Time now) const {
  const Time tick_end{now.ns + kClockTickNs};
  // Like ctime, so that no mtime comes twice.
  const Time changed = ChangeTime(now);
  const Time time = changed <= tick_end ? changed : now;
  return time <= record.mtime && record.mtime <= tick_end ? record.mtime.Next() : time;
}

std::size_t Inode::HeadFootprint() const {
  // Table slot and allocator overhead are estimated.
  std::size_t bytes = sizeof *this + 64 + record.symlink_target.size();
  if (lower) bytes += sizeof(LowerNode) + 48 + lower->sources.size() * sizeof(Origin::Source);
  return bytes;
}

}  // namespace strata::vfs
