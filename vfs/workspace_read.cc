// What changes nothing: attributes, lookup, file data, listings.
#include <absl/container/inlined_vector.h>

#include <algorithm>

#include "vfs/workspace_impl.h"

namespace strata::vfs {

Result<Attributes> WorkspaceImpl::GetAttributes(const OpContext& context, const ObjectId& id) {
  return Run(context, [&](StripeLock& lock, Need& need) -> Result<Attributes> {
    lock.Lock({id.ino});
    STRATA_ASSIGN(Inode * inode, Get(id, need));
    return inode->attributes();
  });
}

Result<std::uint32_t> WorkspaceImpl::Access(const OpContext& context, const ObjectId& id, std::uint32_t wanted,
                                            std::optional<Attributes>* after) {
  STRATA_ASSIGN(Attributes attributes, GetAttributes(context, id));
  if (after != nullptr) *after = attributes;
  if (volume_.read_only) wanted &= ~(kAccessModify | kAccessExtend | kAccessDelete);
  return AccessByMode(attributes, context.credentials, wanted);
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
};
using Stretches = absl::InlinedVector<Stretch, 8>;

// What bytes [offset, end) of the file are made of.
void Plan(const Inode& inode, std::uint64_t offset, std::uint64_t end, Stretches& plan) {
  const std::uint64_t base_end = inode.lower ? inode.record.base_size : 0;
  while (offset < end) {
    const auto extent = inode.extents.FirstAt(offset);
    if (extent && extent->offset == offset) {
      const std::uint64_t length = std::min(extent->length, end - offset);
      plan.push_back({Stretch::Source::kJournal, offset, length, extent->position});
      offset += length;
      continue;
    }
    std::uint64_t gap_end = extent ? std::min(extent->offset, end) : end;
    Stretch::Source source = Stretch::Source::kZeros;
    if (offset < base_end) {
      source = Stretch::Source::kLower;
      gap_end = std::min(gap_end, base_end);
    }
    plan.push_back({source, offset, gap_end - offset, Lsn()});
    offset = gap_end;
  }
}

}  // namespace

Result<ReadResult> WorkspaceImpl::Read(const OpContext& context, const ObjectId& id, std::uint64_t offset,
                                       std::uint32_t count, ReadSink& sink) {
  Stretches plan;
  std::shared_ptr<const LowerNode> lower;
  auto result = Run(context, [&](StripeLock& lock, Need& need) -> Result<ReadResult> {
    lock.Lock({id.ino});
    STRATA_ASSIGN(Inode * inode, Get(id, need));
    if (inode->is_directory()) return Fail(Errc::kIsDirectory);
    if (inode->record.type != FileType::kRegular) return Fail(Errc::kInvalid);
    // The owner may read through an open handle whatever the mode (spec nfsv3 4.6); a program that may be executed may be paged in.
    const Credentials& caller = context.credentials;
    if (caller.uid != inode->record.uid && !Permits(inode->ownership(), false, caller, kMayRead) &&
        !Permits(inode->ownership(), false, caller, kMayExecute)) {
      return Fail(Errc::kAccess);
    }
    ReadResult read;
    read.after = inode->attributes();
    const std::uint64_t size = inode->record.size;
    const std::uint64_t begin = std::min(offset, size);
    const std::uint64_t end = begin + std::min<std::uint64_t>(count, size - begin);
    read.count = end - begin;
    read.eof = offset >= size || end == size;
    Plan(*inode, begin, end, plan);
    for (const Stretch& stretch : plan) {
      if (stretch.source != Stretch::Source::kLower) continue;
      if (inode->base_changed) {
        return Fail(Errc::kIo, "the layer's file changed after it was modified here: " + path_);
      }
      lower = inode->lower;
      break;
    }
    return read;
  });
  if (!result) return result;
  for (const Stretch& stretch : plan) {
    switch (stretch.source) {
      case Stretch::Source::kJournal: {
        STRATA_ASSIGN(journal::PinnedBytes data, journal_->Data(stretch.position, stretch.length));
        sink.Reference(data.bytes, std::move(data.pin));
        break;
      }
      case Stretch::Source::kZeros:
        sink.Zeros(stretch.length);
        break;
      case Stretch::Source::kLower: {
        MutableByteSpan room = sink.Allocate(stretch.length);
        STRATA_ASSIGN(std::size_t got, lower_.Read(*lower, stretch.offset, room, context.may_block));
        if (got != stretch.length) {
          return Fail(Errc::kIo, "a layer's file is shorter than it was; layers must not change while they are served");
        }
        break;
      }
    }
  }
  return result;
}

namespace {

inline constexpr std::uint64_t kAfterDot = 1;
inline constexpr std::uint64_t kAfterDotDot = 2;

// Names and numbers copied out of a directory under its lock, to be given to the sink without it.
struct Page {
  struct Item {
    std::uint64_t hash;
    NameSlot slot;
    std::uint32_t name_offset;
    std::uint32_t name_size;
  };
  static constexpr std::size_t kItems = 256;
  std::vector<Item> items;
  std::string names;
  bool last = false;  // nothing comes after

  void Clear() {
    items.clear();
    names.clear();
    last = false;
  }
  void Add(std::uint64_t hash, std::string_view name, const NameSlot& slot) {
    items.push_back({hash, slot, static_cast<std::uint32_t>(names.size()), static_cast<std::uint32_t>(name.size())});
    names.append(name);
  }
  std::string_view Name(const Item& item) const { return {names.data() + item.name_offset, item.name_size}; }
};

// Merges the upper's names and the layers' listing from behind `after` on. A page ends between two hashes, never within one.
void FillPage(Directory& directory, std::uint64_t after, Page& page) {
  auto upper = directory.names.lower_bound(Directory::KeyView{after + 1, {}});
  static const LowerListing kNone;
  const LowerListing& listing = directory.listing && !directory.upper_only ? *directory.listing : kNone;
  auto lower = std::upper_bound(listing.items.begin(), listing.items.end(), after,
                                [](std::uint64_t value, const LowerListing::Item& item) { return value < item.hash; });
  page.Clear();
  while (upper != directory.names.end() || lower != listing.items.end()) {
    const std::uint64_t upper_hash = upper != directory.names.end() ? upper->first.hash : ~0ULL;
    const std::uint64_t lower_hash = lower != listing.items.end() ? lower->hash : ~0ULL;
    const std::uint64_t next = std::min(upper_hash, lower_hash);
    if (page.items.size() >= Page::kItems && page.items.back().hash != next) return;
    if (upper_hash == next) {
      if (upper->second.state == NameSlot::State::kUpper) page.Add(next, upper->first.name, upper->second);
      ++upper;
      continue;
    }
    const std::string_view name = listing.Name(*lower);
    const NameSlot* slot = directory.Find(next, name);
    // Where the upper has a slot of the name, what it says counts; its own entries have been given already.
    if (slot == nullptr || slot->state == NameSlot::State::kLower) {
      NameSlot shown;
      shown.state = NameSlot::State::kLower;
      shown.ino = lower->number;
      shown.type = lower->type;
      page.Add(next, name, shown);
    }
    ++lower;
  }
  page.last = true;
}

}  // namespace

Result<Listing> WorkspaceImpl::ReadDirectory(const OpContext& context, const ObjectId& directory, Cookie cookie,
                                             bool want_attributes, DirectorySink& sink) {
  if (cookie.value >> 63 != 0 || (cookie.value > kAfterDotDot && cookie.value < kFirstNameHash)) {
    return Fail(Errc::kBadCookie);
  }
  Page page;
  Entry self, above;
  std::shared_ptr<const LowerNode> lower;
  std::uint64_t position = cookie.value;
  // One page of the directory under its lock.
  auto next_page = [&](StripeLock& lock, Need& need) -> Result<void> {
    lock.Lock({directory.ino});
    STRATA_ASSIGN(Inode * inode, GetDirectory(directory, need));
    if (!Permits(inode->ownership(), true, context.credentials, kMayRead)) return Fail(Errc::kAccess);
    Directory& names = *inode->directory;
    if (!names.loaded) return need.Of(Need::Kind::kEntries, *inode);
    if (!names.upper_only && !names.listing) return need.Of(Need::Kind::kListing, *inode);
    self = {inode->id(), inode->attributes()};
    lower = inode->lower;
    FillPage(names, std::max(position, kAfterDotDot), page);
    if (position >= kAfterDotDot) return {};
    const InodeNumber parent = inode->record.parent;
    if (parent == directory.ino) {
      above = self;
      return {};
    }
    lock.Unlock();
    lock.Lock({parent});
    Inode* found = table_.Find(parent);
    if (found == nullptr) return need.Number(parent);
    if (found->removed) return need.Again();
    above = {found->id(), found->attributes()};
    return {};
  };

  Listing listing;
  auto add_dots = [&]() -> bool {
    const Attributes* self_attributes = want_attributes ? &self.attributes : nullptr;
    const Attributes* above_attributes = want_attributes ? &above.attributes : nullptr;
    if (position == 0) {
      if (!sink.Add({".", self.id, Cookie(kAfterDot), self_attributes})) return false;
      ++listing.count;
      position = kAfterDot;
    }
    if (position == kAfterDot) {
      if (!sink.Add({"..", above.id, Cookie(kAfterDotDot), above_attributes})) return false;
      ++listing.count;
      position = kAfterDotDot;
    }
    return true;
  };

  for (;;) {
    STRATA_TRY(Run(context, next_page));
    if (!add_dots()) return listing.count == 0 ? Result<Listing>(Fail(Errc::kTooSmall)) : listing;
    for (std::size_t at = 0; at < page.items.size();) {
      // All names of one hash, or none of them.
      const std::uint64_t hash = page.items[at].hash;
      const std::size_t mark = sink.Mark();
      std::size_t given = 0;
      for (; at < page.items.size() && page.items[at].hash == hash; ++at) {
        const Page::Item& item = page.items[at];
        const std::string_view name = page.Name(item);
        DirectoryEntry entry{name, {item.slot.ino, Generation(0), 0}, Cookie(hash), nullptr};
        Attributes attributes;
        if (want_attributes) {
          auto child = Run(context, [&](StripeLock& lock, Need& need) -> Result<Entry> {
            lock.Lock({item.slot.ino});
            Inode* inode = table_.Find(item.slot.ino);
            if (inode == nullptr) return need.Child(directory, lower, name, item.slot);
            if (inode->removed) return Fail(Errc::kStale);
            return Entry{inode->id(), inode->attributes()};
          });
          if (!child) {
            // Removed since the page was made: as if it had been removed before.
            if (child.error().code() == Errc::kStale || child.error().code() == Errc::kNotFound) continue;
            return Fail(child.error());
          }
          entry.id = child->id;
          attributes = child->attributes;
          entry.attributes = &attributes;
        }
        if (!sink.Add(entry)) {
          sink.Rewind(mark);
          if (listing.count == 0) return Fail(Errc::kTooSmall);
          return listing;
        }
        ++given;
      }
      listing.count += given;
      position = hash;
    }
    if (page.last) {
      listing.eof = true;
      return listing;
    }
  }
}

Result<SpaceUsage> WorkspaceImpl::Usage(const OpContext& context, const ObjectId& id) {
  STRATA_TRY(GetAttributes(context, id));
  STRATA_ASSIGN(Env::Space space, env_.SpaceOf(path_));
  SpaceUsage usage;
  usage.total_bytes = space.total;
  usage.free_bytes = space.free;
  usage.available_bytes = space.available;
  usage.total_files = space.files;
  usage.free_files = usage.available_files = space.free_files;
  return usage;
}

}  // namespace strata::vfs
