#include "vfs/layer/host_layer.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <optional>
#include <utility>

#include "vfs/layer/host_markers.h"
#include "vfs/layer/host_nodes.h"
#include "vfs/layer/host_xattr.h"

namespace strata::vfs {
namespace {

using host::DescriptorRef;
using host::FileStatus;
using host::HostNodes;

constexpr std::uint64_t kStatxBlock = 512;  // the unit of stx_blocks

Time TimeOf(const struct statx_timestamp& stamp) { return Time::From(stamp.tv_sec, stamp.tv_nsec); }

Attributes AttributesOf(const FileStatus& status, std::uint64_t id) {
  Attributes attributes;
  attributes.type = host::TypeOf(status);
  attributes.mode = status.stx_mode & kModeMask;
  attributes.nlink = status.stx_nlink;
  attributes.uid = status.stx_uid;
  attributes.gid = status.stx_gid;
  attributes.size = status.stx_size;
  attributes.used = status.stx_blocks * kStatxBlock;
  attributes.rdev = {status.stx_rdev_major, status.stx_rdev_minor};
  attributes.ino = InodeNumber(id);
  attributes.atime = TimeOf(status.stx_atime);
  attributes.mtime = TimeOf(status.stx_mtime);
  attributes.ctime = TimeOf(status.stx_ctime);
  return attributes;
}

// Of any length: some file systems hold names longer than NFS clients send.
bool IsOneName(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == name.npos && name.find('\0') == name.npos;
}

bool SeveralLinks(const FileStatus& status) { return !host::IsDirectory(status) && status.stx_nlink > 1; }

// Bytes read at once without waiting; kWouldBlock where a disk would have to be waited for.
Result<std::size_t> ReadCached(const host::Descriptor& file, std::uint64_t offset, MutableByteSpan out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const struct iovec piece{out.data() + done, out.size() - done};
    const ssize_t got = preadv2(file.fd(), &piece, 1, static_cast<off_t>(offset + done), RWF_NOWAIT);
    if (got > 0) {
      done += static_cast<std::size_t>(got);
    } else if (got == 0) {
      break;
    } else if (errno == EAGAIN || errno == EOPNOTSUPP) {
      return Fail(Errc::kWouldBlock);
    } else if (errno != EINTR) {
      return Fail(ErrcFromErrno(errno));
    }
  }
  return done;
}

Result<std::size_t> ReadWaiting(const host::Descriptor& file, std::uint64_t offset, MutableByteSpan out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = pread(file.fd(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got > 0) {
      done += static_cast<std::size_t>(got);
    } else if (got == 0) {
      break;
    } else if (errno != EINTR) {
      return Fail(ErrcFromErrno(errno));
    }
  }
  return done;
}

class HostLayer final : public Layer {
 public:
  HostLayer(std::string folder, const MarkerStyles& markers, std::unique_ptr<HostNodes> nodes)
      : folder_(std::move(folder)), markers_(markers), nodes_(std::move(nodes)) {}

  const LayerTraits& Traits() const override { return traits_; }
  LayerNode Root() const override { return {nodes_->root_id(), 0}; }
  Result<LayerStat> Stat(const OpContext& context, const LayerNode& node) override;
  Result<LayerStat> Lookup(const OpContext& context, const LayerNode& directory, std::string_view name) override;
  Result<void> ReadDirectory(const OpContext& context, const LayerNode& directory,
                             const std::function<bool(const LayerEntry&)>& visit) override;
  Result<std::size_t> Read(const OpContext& context, const LayerNode& node, std::uint64_t offset, std::size_t length,
                           const LayerVersion* expected, ReadSink& sink) override;
  Result<std::string> ReadLink(const OpContext& context, const LayerNode& node) override;
  Result<std::string> PathOf(const OpContext& context, const LayerNode& node) override;
  Result<std::vector<std::string>> ListXattr(const OpContext& context, const LayerNode& node) override;
  Result<std::string> GetXattr(const OpContext& context, const LayerNode& node, std::string_view name) override;
  std::string Describe() const override { return folder_; }

 private:
  LayerStat StatOf(std::uint64_t parent, const FileStatus& status) const;
  Result<LayerStat> Evaluate(int directory, std::uint64_t parent, std::string_view name, const FileStatus& status);
  Result<bool> IsWhiteout(int directory, std::string_view name, const FileStatus& status) const;
  Result<LayerStat> LookupMarker(const LayerNode& directory, int fd, std::string_view name);
  Result<DescriptorRef> OpenFile(const LayerNode& node);
  // Fills `out` until the file ends. kNotSync where it is not of the state `expected`.
  Result<std::size_t> ReadInto(const OpContext& context, const LayerNode& node, const host::Descriptor& file,
                               std::uint64_t offset, MutableByteSpan out, const LayerVersion* expected);

  const LayerTraits traits_;
  const std::string folder_;
  const MarkerStyles markers_;
  const std::unique_ptr<HostNodes> nodes_;
};

Result<bool> HostLayer::IsWhiteout(int directory, std::string_view name, const FileStatus& status) const {
  if (markers_.chardev && host::IsDeviceWhiteout(status)) return true;
  if (!markers_.xattr || !S_ISREG(status.stx_mode) || status.stx_size != 0) return false;
  STRATA_ASSIGN(const bool marked, host::HasWhiteoutAttribute(directory, name));
  if (!marked) return false;
  STRATA_ASSIGN(const host::DirectoryMarks marks, host::ReadMarks(directory, ".", markers_));
  return marks.whiteouts_by_attribute;
}

// What the status alone tells.
LayerStat HostLayer::StatOf(std::uint64_t parent, const FileStatus& status) const {
  const std::uint64_t id = nodes_->identity().IdOf(status);
  LayerStat stat;
  stat.node = {id, SeveralLinks(status) ? 0 : parent};
  stat.attributes = AttributesOf(status, id);
  stat.generation = host::GenerationOf(status);
  return stat;
}

// All that is said of what `directory` holds under `name`; of the root, `name` is empty.
Result<LayerStat> HostLayer::Evaluate(int directory, std::uint64_t parent, std::string_view name,
                                      const FileStatus& status) {
  LayerStat stat = StatOf(parent, status);
  if (host::IsDirectory(status)) {
    STRATA_ASSIGN(const host::DirectoryMarks marks, host::ReadMarks(directory, name.empty() ? "." : name, markers_));
    if (marks.redirected) {
      return Fail(Errc::kIo, folder_ + ": directory " + std::string(name) +
                                 " has overlay.redirect, which is not followed; copy the merged tree instead");
    }
    // Beside a whiteout of its own name the directory is all there is of it (X1).
    stat.opaque = marks.opaque;
    if (markers_.files && !name.empty() && !stat.opaque) {
      STRATA_ASSIGN(stat.opaque, host::HasWhiteoutFile(directory, name));
    }
  } else {
    STRATA_ASSIGN(stat.whiteout, IsWhiteout(directory, name, status));
  }
  return stat;
}

Result<LayerStat> HostLayer::Stat(const OpContext& context, const LayerNode& node) {
  if (!context.may_block) return Fail(Errc::kWouldBlock);
  // Of a file with several links nothing but a walk tells where it lies; a descriptor that is open on it answers too.
  if (node.parent == 0 && nodes_->RememberedParent(node.id) == 0) {
    if (DescriptorRef opened = nodes_->OpenedOn(node.id); opened && !opened->directory()) {
      STRATA_ASSIGN(const FileStatus status, host::StatDescriptor(opened->fd()));
      if (SeveralLinks(status)) return StatOf(0, status);
      if (status.stx_nlink == 0) nodes_->Forget(node.id);
    }
  }
  STRATA_ASSIGN(const host::Spot spot, nodes_->Locate(node));
  if (spot.name.empty()) return Evaluate(spot.directory->fd(), spot.parent, spot.name, spot.status);
  return StatOf(spot.parent, spot.status);
}

Result<LayerStat> HostLayer::Lookup(const OpContext& context, const LayerNode& directory, std::string_view name) {
  if (!context.may_block) return Fail(Errc::kWouldBlock);
  if (!IsOneName(name)) return Fail(Errc::kInvalid);
  if (markers_.files && name.starts_with(host::kWhiteoutPrefix)) return Fail(Errc::kNotFound);
  STRATA_ASSIGN(const DescriptorRef opened, nodes_->OpenDirectory(directory));
  auto status = nodes_->StatAt(opened->fd(), name);
  if (!status) {
    const Errc code = status.error().code();
    // A name that this file system cannot hold, it does not hold.
    if (code != Errc::kNotFound && code != Errc::kNameTooLong && code != Errc::kInvalid)
      return Fail(std::move(status.error()));
    return LookupMarker(directory, opened->fd(), name);
  }
  auto stat = Evaluate(opened->fd(), directory.id, name, *status);
  if (!stat && IsAbsence(stat.error().code())) return Fail(Errc::kNotFound);  // it went away meanwhile
  if (stat && !stat->whiteout) nodes_->Remember(stat->node.id, directory.id, name);
  return stat;
}

// What there is to say of a name that the directory does not hold.
Result<LayerStat> HostLayer::LookupMarker(const LayerNode& directory, int fd, std::string_view name) {
  if (markers_.files) {
    std::string marker(host::kWhiteoutPrefix);
    marker += name;
    const auto status = nodes_->StatAt(fd, marker);
    const Errc code = status ? Errc::kNotFound : status.error().code();
    if (!IsAbsence(code) && code != Errc::kNameTooLong && code != Errc::kInvalid) return Fail(status.error());
    if (status && S_ISREG(status->stx_mode) && !host::WhitedOut(marker).empty()) {
      LayerStat stat;
      stat.node = {nodes_->identity().IdOf(*status), directory.id};
      stat.whiteout = true;
      return stat;
    }
  }
  STRATA_ASSIGN(const FileStatus self, host::StatDescriptor(fd));
  if (self.stx_nlink == 0) {
    nodes_->Forget(directory.id);
    return Fail(Errc::kStale);
  }
  return Fail(Errc::kNotFound);
}

Result<void> HostLayer::ReadDirectory(const OpContext& context, const LayerNode& directory,
                                      const std::function<bool(const LayerEntry&)>& visit) {
  if (!context.may_block) return Fail(Errc::kWouldBlock);
  STRATA_ASSIGN(const DescriptorRef opened, nodes_->OpenDirectory(directory));
  auto readable = host::OpenReadableAt(opened->fd(), ".");
  if (!readable) {
    if (readable.error().code() != Errc::kNotFound) return Fail(std::move(readable.error()));
    nodes_->Forget(directory.id);
    return Fail(Errc::kStale);
  }
  const int fd = (*readable)->fd();
  MarkerStyles attributes;
  attributes.xattr = markers_.xattr;
  STRATA_ASSIGN(const host::DirectoryMarks marks, host::ReadMarks(fd, attributes));
  const bool by_attribute = marks.whiteouts_by_attribute;
  const auto want_status = [&](const host::RawEntry& entry) {
    return (markers_.chardev && entry.type == DT_CHR) || (by_attribute && entry.type == DT_REG);
  };
  std::optional<Status> failure;
  STRATA_TRY(nodes_->ForEachEntry(fd, want_status, [&](const HostNodes::Entry& found) {
    LayerEntry entry;
    entry.name = found.name;
    entry.type = found.type;
    entry.node = {found.id, found.status != nullptr && SeveralLinks(*found.status) ? 0 : directory.id};
    if (markers_.files && found.name.starts_with(host::kWhiteoutPrefix)) {
      entry.name = host::WhitedOut(found.name);
      if (entry.name.empty() || found.type != FileType::kRegular) return true;
      entry.whiteout = true;
    } else if (found.status != nullptr) {
      entry.whiteout = markers_.chardev && host::IsDeviceWhiteout(*found.status);
      if (by_attribute && S_ISREG(found.status->stx_mode) && found.status->stx_size == 0) {
        const auto marked = host::HasWhiteoutAttribute(fd, found.name);
        if (!marked && IsAbsence(marked.error().code())) return true;
        if (!marked) return failure = marked.error(), false;
        entry.whiteout = *marked;
      }
    }
    return visit(entry);
  }));
  if (failure) return Fail(std::move(*failure));
  return {};
}

Result<DescriptorRef> HostLayer::OpenFile(const LayerNode& node) {
  STRATA_ASSIGN(const host::Spot spot, nodes_->Locate(node));
  if (host::IsDirectory(spot.status)) return Fail(Errc::kIsDirectory);
  // A fifo would wait for its writer, and opening a device may do anything.
  if (!S_ISREG(spot.status.stx_mode)) return Fail(Errc::kInvalid);
  auto file = host::OpenFileAt(spot.directory->fd(), spot.name, nodes_->identity().MemoryBacked(spot.status));
  if (!file) return Fail(IsAbsence(file.error().code()) ? Status(Errc::kStale) : std::move(file.error()));
  STRATA_ASSIGN(const FileStatus status, host::StatDescriptor((*file)->fd()));
  if (!S_ISREG(status.stx_mode) || nodes_->identity().IdOf(status) != node.id) return Fail(Errc::kStale);
  STRATA_ASSIGN(const bool metadata_only, markers_.xattr ? host::IsMetadataCopy((*file)->fd()) : Result<bool>(false));
  if (metadata_only) {
    return Fail(Errc::kIo, folder_ + ": file " + spot.name + " has overlay.metacopy, its data lies elsewhere");
  }
  nodes_->Keep(node.id, *file);
  return file;
}

Result<std::size_t> HostLayer::Read(const OpContext& context, const LayerNode& node, std::uint64_t offset,
                                    std::size_t length, const LayerVersion* expected, ReadSink& sink) {
  DescriptorRef file = nodes_->OpenedOn(node.id);
  if (file && file->directory()) return Fail(Errc::kIsDirectory);
  if (!file) {
    if (!context.may_block) return Fail(Errc::kWouldBlock);
    STRATA_ASSIGN(file, OpenFile(node));
  }
  constexpr auto kEnd = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
  length = offset >= kEnd ? 0 : std::min<std::uint64_t>(length, kEnd - offset);
  const MutableByteSpan room = sink.Allocate(length);
  auto got = ReadInto(context, node, *file, offset, room, expected);
  sink.Trim(length - got.value_or(0));
  return got;
}

Result<std::size_t> HostLayer::ReadInto(const OpContext& context, const LayerNode& node, const host::Descriptor& file,
                                        std::uint64_t offset, MutableByteSpan out, const LayerVersion* expected) {
  STRATA_ASSIGN(const std::size_t got, context.may_block || file.memory_backed() ? ReadWaiting(file, offset, out)
                                                                                 : ReadCached(file, offset, out));
  if (expected == nullptr) return got;
  // Times only grow: what still looks as expected has looked so since. The inode of an open file is in memory.
  struct stat now;
  if (fstat(file.fd(), &now) != 0) return Fail(ErrcFromErrno(errno));
  if (now.st_nlink == 0) {
    nodes_->Forget(node.id);
    return Fail(Errc::kStale);
  }
  const auto time = [](const timespec& stamp) { return Time::From(stamp.tv_sec, stamp.tv_nsec); };
  if (!expected->Matches(static_cast<std::uint64_t>(now.st_size), time(now.st_mtim), time(now.st_ctim))) {
    return Fail(Errc::kNotSync);
  }
  return got;
}

Result<std::string> HostLayer::ReadLink(const OpContext& context, const LayerNode& node) {
  if (!context.may_block) return Fail(Errc::kWouldBlock);
  STRATA_ASSIGN(const host::Spot spot, nodes_->Locate(node));
  if (!S_ISLNK(spot.status.stx_mode)) return Fail(Errc::kInvalid);
  return host::ReadLinkAt(spot.directory->fd(), spot.name);
}

Result<std::string> HostLayer::PathOf(const OpContext& context, const LayerNode& node) {
  if (!context.may_block) return Fail(Errc::kWouldBlock);
  return nodes_->PathOf(node);
}

Result<std::vector<std::string>> HostLayer::ListXattr(const OpContext& context, const LayerNode& node) {
  if (!context.may_block) return Fail(Errc::kWouldBlock);
  STRATA_ASSIGN(const host::Spot spot, nodes_->Locate(node));
  return host::ListXattrAt(spot.directory->fd(), spot.name);
}

Result<std::string> HostLayer::GetXattr(const OpContext& context, const LayerNode& node, std::string_view name) {
  if (!context.may_block) return Fail(Errc::kWouldBlock);
  STRATA_ASSIGN(const host::Spot spot, nodes_->Locate(node));
  return host::GetXattrAt(spot.directory->fd(), spot.name, name);
}

}  // namespace

std::size_t OpenFilesOfEach(std::size_t layers) {
  // Beside those: the folder's root, the folder that is hidden, and the table of mounts.
  constexpr std::size_t kOwn = 3;
  constexpr std::size_t kFewest = 1, kMost = 256;
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kMost;
  const std::size_t each = limit.rlim_cur / 4 / std::max<std::size_t>(layers, 1);
  return std::clamp(each > kOwn ? each - kOwn : 0, kFewest, kMost);
}

Result<std::unique_ptr<Layer>> OpenHostLayer(const std::string& folder, const HostLayerOptions& options) {
  STRATA_ASSIGN(auto nodes, HostNodes::Open(folder, options));
  return std::make_unique<HostLayer>(folder, options.markers, std::move(nodes));
}

}  // namespace strata::vfs
