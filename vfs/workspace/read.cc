// What changes nothing: attributes, lookup, file data.
#include <absl/container/inlined_vector.h>

#include <algorithm>

#include "vfs/workspace/workspace_impl.h"

namespace strata::vfs {
namespace {

// Of many stretches, those that are smaller are copied: each that is referred to is a piece of its own to be sent.
constexpr std::size_t kSmallestReferenced = 1024;
constexpr std::size_t kFewStretches = 16;

}  // namespace

Result<Attributes> WorkspaceImpl::GetAttributes(const OpContext& context, const ObjectId& id) {
  return Run(context, [&](StripeLock& lock, Need& need) -> Result<Attributes> {
    lock.Lock({id.ino});
    STRATA_ASSIGN(Inode * inode, Get(id, need));
    return inode->attributes();
  });
}

Result<std::uint32_t> WorkspaceImpl::Access(const OpContext& context, const ObjectId& id, std::uint32_t wanted,
                                            std::optional<Attributes>* after) {
  return Run(context, [&](StripeLock& lock, Need& need) -> Result<std::uint32_t> {
    lock.Lock({id.ino});
    STRATA_ASSIGN(Inode * inode, Get(id, need));
    const Attributes attributes = inode->attributes();
    if (after != nullptr) *after = attributes;
    std::uint32_t grantable = wanted;
    if (volume_.read_only) grantable &= ~(kAccessModify | kAccessExtend | kAccessDelete);
    if (inode->is_directory() && !IsListable(*inode)) grantable &= ~kAccessRead;
    return AccessByMode(attributes, context.credentials, grantable);
  });
}

Result<std::string> WorkspaceImpl::ReadLink(const OpContext& context, const ObjectId& id,
                                            std::optional<Attributes>* after) {
  return Run(context, [&](StripeLock& lock, Need& need) -> Result<std::string> {
    lock.Lock({id.ino});
    STRATA_ASSIGN(Inode * inode, Get(id, need));
    if (after != nullptr) *after = inode->attributes();
    if (inode->record.type != FileType::kSymlink) return Fail(Errc::kInvalid);
    return inode->record.symlink_target;
  });
}

Result<Entry> WorkspaceImpl::Lookup(const OpContext& context, const ObjectId& directory, std::string_view name,
                                    std::optional<Attributes>* directory_after) {
  const std::uint64_t hash = NameHash(config_.name_key, name);
  InodeNumber missing = kNoInode;  // what the name leads to, once it was not found in memory
  return Run(context, [&](StripeLock& lock, Need& need) -> Result<Entry> {
    lock.Lock({directory.ino, missing});
    STRATA_ASSIGN(Inode * parent, GetDirectory(directory, need));
    const Attributes parent_attributes = parent->attributes();
    if (directory_after != nullptr) *directory_after = parent_attributes;
    if (!Permits(parent->ownership(), true, context.credentials, kMayExecute)) return Fail(Errc::kAccess);
    if (name == ".") return Entry{parent->id(), parent_attributes};
    if (name == "..") {
      const InodeNumber above = parent->record.parent;
      if (above == directory.ino) return Entry{parent->id(), parent_attributes};
      lock.Unlock();
      lock.Lock({above});
      Inode* inode = table_.Find(above);
      if (inode == nullptr) return need.Number(above);
      if (inode->removed) return need.Again();
      if (!Believed(*inode, need)) return Fail(Errc::kWouldBlock);
      return Entry{inode->id(), inode->attributes()};
    }
    STRATA_TRY(CheckName(name));
    STRATA_ASSIGN(NameSlot * slot, FindVisible(*parent, hash, name, need));
    if (slot == nullptr) return Fail(Errc::kNotFound);
    const InodeNumber ino = slot->ino;
    if (ino != missing && InodeTable::Index(ino) != InodeTable::Index(directory.ino)) {
      // Most often it is in memory, and the two need not be held together.
      lock.Unlock();
      lock.Lock({ino});
      if (const Inode* child = table_.Find(ino); child != nullptr && !child->removed) {
        if (!Believed(*child, need)) return Fail(Errc::kWouldBlock);
        return Entry{child->id(), child->attributes()};
      }
      missing = ino;
      return need.Again();
    }
    STRATA_ASSIGN(Inode * child, GetChild(*parent, name, *slot, need));
    return Entry{child->id(), child->attributes()};
  });
}

namespace {

// A stretch of a READ, in order.
struct Stretch {
  enum class Source : std::uint8_t { kJournal, kLower, kZeros };
  Source source = Source::kZeros;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  Lsn position;
  Lsn record;
};
using Stretches = absl::InlinedVector<Stretch, 8>;

// So many are read at once.
constexpr std::size_t kMostStretches = 4096;

// How often one READ looks again because the layer's file has just changed. Times tell of some hundred changes a
// second, far fewer than one READ can meet.
constexpr int kMostChanges = 16;

// What bytes [offset, end) of the file are made of; its extents there are known. It returns how far it came.
std::uint64_t Plan(const Inode& inode, std::uint64_t offset, std::uint64_t end, Stretches& plan) {
  const std::uint64_t base_end = inode.lower ? inode.record.base_size : 0;
  while (offset < end && plan.size() < kMostStretches) {
    const auto extent = inode.extents.FirstAt(offset);
    if (extent && extent->offset == offset) {
      const std::uint64_t length = std::min(extent->length, end - offset);
      plan.push_back({Stretch::Source::kJournal, offset, length, extent->position, extent->record});
      offset += length;
      continue;
    }
    std::uint64_t gap_end = extent ? std::min(extent->offset, end) : end;
    Stretch::Source source = Stretch::Source::kZeros;
    if (offset < base_end) {
      source = Stretch::Source::kLower;
      gap_end = std::min(gap_end, base_end);
    }
    plan.push_back({source, offset, gap_end - offset, Lsn(), Lsn()});
    offset = gap_end;
  }
  return offset;
}

}  // namespace

Result<ReadResult> WorkspaceImpl::Read(const OpContext& context, const ObjectId& id, std::uint64_t offset,
                                       std::uint32_t count, ReadSink& sink) {
  for (int attempt = 0; attempt < kMostChanges; ++attempt) {
    auto read = ReadState(context, id, offset, count, sink);
    if (read || read.error().code() != Errc::kNotSync) return read;
    // The layer's file is no longer what its attributes say, which are to be asked for anew.
    StripeLock lock(table_);
    lock.Lock({id.ino});
    Inode* inode = table_.Find(id.ino);
    if (inode != nullptr && !inode->upper) inode->asked = Inode::kNotAsked;
  }
  return Fail(Errc::kJukebox);
}

Result<void> WorkspaceImpl::ReadBeneath(const OpContext& context, const LowerNode& lower, const LayerVersion& version,
                                        std::uint64_t offset, std::size_t length, ReadSink& sink) {
  const auto got = lower_.Read(context, lower, offset, length, &version, sink);
  if (got && *got == length) return {};
  if (got) sink.Trim(*got);  // of a file that was cut, which a layer copies from
  if (!got && got.error().code() != Errc::kNotSync && !IsAbsence(got.error().code())) return Fail(got.error());
  // To ask anew is of no use.
  if (lower_.IsImmutable(lower)) {
    const std::string why = got ? "fewer bytes than the file has" : got.error().ToString();
    return Fail(Errc::kIo, "a layer that never changes gave " + why + "; mend what it is kept in, or fetch it anew");
  }
  if (!version.ctime) {
    return Fail(Errc::kIo, "the layer's file changed after it was changed here; strata diff --conflicts tells which");
  }
  return Fail(Errc::kNotSync);
}

Result<ReadResult> WorkspaceImpl::ReadState(const OpContext& context, const ObjectId& id, std::uint64_t offset,
                                            std::uint32_t count, ReadSink& sink) {
  Stretches plan;
  std::shared_ptr<const LowerNode> lower;
  LayerVersion version;
  auto look = [&](StripeLock& lock, Need& need) -> Result<ReadResult> {
    plan.clear();
    lock.Lock({id.ino});
    STRATA_ASSIGN(Inode * inode, Get(id, need));
    if (inode->is_directory()) return Fail(Errc::kIsDirectory);
    if (inode->record.type != FileType::kRegular) return Fail(Errc::kInvalid);
    // The owner may read through an open handle whatever the mode (spec nfsv3 4.6); a program that may be executed may
    // be paged in.
    const Credentials& caller = context.credentials;
    if (caller.uid != inode->record.uid && !Permits(inode->ownership(), false, caller, kMayRead) &&
        !Permits(inode->ownership(), false, caller, kMayExecute)) {
      return Fail(Errc::kAccess);
    }
    ReadResult read;
    read.after = inode->attributes();
    const std::uint64_t size = inode->record.size;
    const std::uint64_t begin = std::min(offset, size);
    const std::uint64_t wanted = begin + std::min<std::uint64_t>(count, size - begin);
    const std::uint64_t known = inode->extents.KnownUntil(begin, wanted);
    const std::uint64_t end = Plan(*inode, begin, known, plan);
    // What follows is likely to be read next.
    if (end == known && known < wanted) return need.Range(Need::Kind::kExtents, *inode, known, ExtentMap::kEnd);
    read.count = end - begin;
    read.eof = offset >= size || end == size;
    if (std::ranges::any_of(plan, [](const Stretch& stretch) { return stretch.source == Stretch::Source::kLower; })) {
      lower = inode->lower;
      version = inode->base_version();
    }
    return read;
  };
  auto result = Run(context, look);
  absl::InlinedVector<journal::PinnedBytes, 8> pinned;
  for (std::size_t i = 0; result && i < plan.size();) {
    const Stretch& stretch = plan[i++];
    if (stretch.source != Stretch::Source::kJournal) continue;
    auto data = journal_->Data(stretch.record, stretch.position, stretch.length, context.may_block);
    if (data) {
      pinned.push_back(std::move(*data));
      continue;
    }
    // Its segment may have been given up since we looked, after what it held was moved.
    if (journal_->Holds(stretch.record)) return Fail(data.error());
    pinned.clear();
    i = 0;
    result = Run(context, look);
  }
  if (!result) return result;
  auto next_pinned = pinned.begin();
  for (const Stretch& stretch : plan) {
    switch (stretch.source) {
      case Stretch::Source::kJournal: {
        journal::PinnedBytes& data = *next_pinned++;
        const bool worth = plan.size() <= kFewStretches || stretch.length >= kSmallestReferenced;
        if (!data.unmapped && worth && sink.OnlyPassesOn()) {
          sink.Reference(data.bytes, std::move(data.pin));
          break;
        }
        if (auto copied = journal_->Copy(stretch.position, sink.Allocate(stretch.length), context.may_block); !copied) {
          // Its segment was given up just now: the call comes again.
          if (!journal_->Holds(stretch.record)) return Fail(context.may_block ? Errc::kJukebox : Errc::kWouldBlock);
          return Fail(copied.error());
        }
        break;
      }
      case Stretch::Source::kZeros:
        sink.Zeros(stretch.length);
        break;
      case Stretch::Source::kLower: {
        STRATA_TRY(ReadBeneath(context, *lower, version, stretch.offset, stretch.length, sink));
        break;
      }
    }
  }
  return result;
}

Result<WorkspaceImpl::XattrPlace> WorkspaceImpl::FindXattrs(const OpContext& context, const ObjectId& id) {
  return Run(context, [&](StripeLock& lock, Need& need) -> Result<XattrPlace> {
    lock.Lock({id.ino});
    STRATA_ASSIGN(Inode * inode, Get(id, need));
    return XattrPlace{inode->attributes(), inode->lower, inode->upper};
  });
}

Result<std::vector<std::string>> WorkspaceImpl::ListXattr(const OpContext& context, const ObjectId& id) {
  STRATA_ASSIGN(const XattrPlace place, FindXattrs(context, id));
  if (!place.lower) return std::vector<std::string>();
  auto listed = lower_.ListXattr(context, *place.lower);
  if (!listed && place.upper && IsAbsence(listed.error().code())) return std::vector<std::string>();
  STRATA_ASSIGN(std::vector<std::string> names, std::move(listed));
  std::erase_if(names,
                [&](const std::string& name) { return !MayReadXattr(place.attributes, context.credentials, name); });
  return names;
}

Result<std::string> WorkspaceImpl::GetXattr(const OpContext& context, const ObjectId& id, std::string_view name) {
  STRATA_ASSIGN(const XattrPlace place, FindXattrs(context, id));
  if (!MayReadXattr(place.attributes, context.credentials, name)) return Fail(Errc::kAccess);
  if (!place.lower) return Fail(Errc::kNotFound);
  auto value = lower_.GetXattr(context, *place.lower, name);
  if (!value && place.upper && IsAbsence(value.error().code())) return Fail(Errc::kNotFound);
  return value;
}

Result<std::vector<std::string>> WorkspaceImpl::Sources(const ObjectId& id) {
  struct Parts {
    bool upper = false;
    std::shared_ptr<const LowerNode> lower;
  };
  STRATA_ASSIGN(const Parts parts, Run(kBackground, [&](StripeLock& lock, Need& need) -> Result<Parts> {
                  lock.Lock({id.ino});
                  STRATA_ASSIGN(const Inode* inode, Get(id, need));
                  const bool hides = inode->is_directory() && inode->directory->upper_only;
                  return Parts{inode->upper, hides ? nullptr : inode->lower};
                }));
  std::vector<std::string> sources;
  if (parts.upper) sources.push_back("workspace " + path_);
  if (parts.lower) lower_.Describe(*parts.lower, sources);
  return sources;
}

Result<SpaceUsage> WorkspaceImpl::Usage(const OpContext& context, const ObjectId& id) {
  STRATA_TRY(GetAttributes(context, id));
  if (path_.empty()) return SpaceUsage();  // there is no room for anything
  STRATA_ASSIGN(Env::Space space, env_.SpaceOf(path_));
  SpaceUsage usage;
  usage.total_bytes = space.total;
  usage.free_bytes = space.free;
  // What removals need was given up: who writes gets none of it.
  const std::uint64_t kept = journal_->missing_reserve();
  usage.available_bytes = space.available - std::min(space.available, kept);
  usage.total_files = space.files;
  usage.free_files = usage.available_files = space.free_files;
  return usage;
}

}  // namespace strata::vfs
