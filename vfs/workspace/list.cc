// Walking a directory: READDIR, and whether it is empty.
#include <algorithm>

#include "vfs/workspace/workspace_impl.h"

namespace strata::vfs {
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
  std::uint64_t through = 0;  // it has all up to and with this hash
  bool last = false;          // nothing comes after

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

// Whether the page has the name, as an entry or a whiteout.
bool PageHas(const OwnPage& own, std::vector<store::IndexEntry>::const_iterator at, std::uint64_t hash,
             std::string_view name) {
  for (; at != own.entries.end() && at->hash == hash; ++at) {
    if (at->name == name) return true;
  }
  return false;
}

// Merges the names in memory, those of the index where not all are in memory, and the layers' listing, from behind
// `after` on, as far as `own` (null: all are in memory) goes. A page ends between two hashes, never within one. Before
// a name of the layers whose number `held` may hold, and which may be known by another, it ends too, unless that is in
// memory. False: the very next one is such a name, and the page has that alone (`held` null: there are none).
bool FillPage(Directory& directory, const OwnPage* own, std::uint64_t after, const NumberFilter* held, Page& page) {
  static const LowerListing kNone;
  static const OwnPage kAllInMemory = [] {
    OwnPage page;
    page.end = true;
    return page;
  }();
  if (own == nullptr) own = &kAllInMemory;
  const LowerListing& listing = directory.listing && !directory.upper_only ? *directory.listing : kNone;
  auto upper = directory.names.From(after + 1);
  auto index = std::lower_bound(own->entries.begin(), own->entries.end(), after + 1,
                                [](const store::IndexEntry& entry, std::uint64_t value) { return entry.hash < value; });
  auto lower = std::upper_bound(listing.items.begin(), listing.items.end(), after,
                                [](std::uint64_t value, const LowerListing::Item& item) { return value < item.hash; });
  page.Clear();
  const std::uint64_t limit = own->end ? kNoHash : own->last;
  for (;;) {
    std::uint64_t next = upper != directory.names.end() ? upper->hash() : kNoHash;
    if (index != own->entries.end()) next = std::min(next, index->hash);
    if (lower != listing.items.end()) next = std::min(next, lower->hash);
    if (next == kNoHash || next > limit) break;
    if (page.items.size() >= Page::kItems) {
      page.through = page.items.back().hash;
      return true;
    }
    const std::size_t before = page.items.size();
    const auto index_begin = index;
    for (; upper != directory.names.end() && upper->hash() == next; ++upper) {
      if (upper->slot().state == NameSlot::State::kUpper) page.Add(next, upper->name(), upper->slot());
    }
    // Where a name is in memory, what that says counts.
    for (; index != own->entries.end() && index->hash == next; ++index) {
      if (!index->whiteout && directory.Find(next, index->name) == nullptr) page.Add(next, index->name, SlotOf(*index));
    }
    for (; lower != listing.items.end() && lower->hash == next; ++lower) {
      const std::string_view name = listing.Name(*lower);
      const NameSlot* slot = directory.Find(next, name);
      const bool shown =
          slot == nullptr ? !PageHas(*own, index_begin, next, name) : slot->state == NameSlot::State::kLower;
      if (!shown) continue;
      if (slot != nullptr) {
        page.Add(next, name, *slot);
        continue;
      }
      if (held != nullptr && held->MayHold(lower->number)) {
        page.items.resize(before);
        if (before == 0) page.Add(next, name, {});
        page.through = page.items.back().hash;
        return before > 0;
      }
      NameSlot entry;
      entry.state = NameSlot::State::kLower;
      entry.ino = lower->number;
      entry.type = lower->type;
      page.Add(next, name, entry);
    }
  }
  page.through = limit;
  page.last = own->end;
  return true;
}

}  // namespace

// How far a READDIR has come.
struct WorkspaceImpl::Walk {
  std::uint64_t position = 0;
  bool want_attributes = false;
  Page page;
  OwnPage own;
  Entry self, above;
  std::shared_ptr<const LowerNode> lower;

  bool Add(DirectorySink& sink, std::string_view name, const Entry& entry, Cookie cookie) const {
    if (want_attributes) return sink.Add({name, entry.id, cookie, &entry.attributes});
    return sink.Add({name, {entry.attributes.ino, Generation(0), 0}, cookie, nullptr});
  }
  // False: they do not fit in.
  bool GiveDots(DirectorySink& sink, Listing& listing) {
    if (position == 0) {
      if (!Add(sink, ".", self, Cookie(kAfterDot))) return false;
      ++listing.count;
      position = kAfterDot;
    }
    if (position == kAfterDot) {
      if (!Add(sink, "..", above, Cookie(kAfterDotDot))) return false;
      ++listing.count;
      position = kAfterDotDot;
    }
    return true;
  }
};

Result<void> WorkspaceImpl::NextPage(const OpContext& context, const ObjectId& directory, Walk& walk) {
  return Run(context, [&](StripeLock& lock, Need& need) -> Result<void> {
    lock.Lock({directory.ino});
    STRATA_ASSIGN(Inode * inode, GetDirectory(directory, need));
    if (!Permits(inode->ownership(), true, context.credentials, kMayRead)) return Fail(Errc::kAccess);
    if (!IsListable(*inode)) return Fail(Errc::kPermission);
    Directory& names = *inode->directory;
    const std::uint64_t after = std::max(walk.position, kAfterDotDot);
    STRATA_TRY(loader_.CanWalk(*inode, after + 1, true, walk.own, need));
    walk.self = {inode->id(), inode->attributes()};
    walk.lower = inode->lower;
    if (!FillPage(names, names.loaded ? nullptr : &walk.own, after, &loader_.copied_up(), walk.page)) {
      STRATA_TRY(FindName(*inode, walk.page.through, walk.page.Name(walk.page.items.front()), need));
      return need.Again();
    }
    if (walk.position >= kAfterDotDot) return {};
    const InodeNumber parent = inode->record.parent;
    if (parent == directory.ino) {
      walk.above = walk.self;
      return {};
    }
    lock.Unlock();
    lock.Lock({parent});
    Inode* found = table_.Find(parent);
    if (found == nullptr) return need.Number(parent);
    if (found->removed) return need.Again();
    if (!Believed(*found, need)) return Fail(Errc::kWouldBlock);
    walk.above = {found->id(), found->attributes()};
    return {};
  });
}

Result<Entry> WorkspaceImpl::EntryOf(const OpContext& context, const ObjectId& directory, const Walk& walk,
                                     std::string_view name, const NameSlot& slot) {
  auto child = Run(context, [&](StripeLock& lock, Need& need) -> Result<Entry> {
    lock.Lock({slot.ino});
    Inode* inode = table_.Find(slot.ino);
    const bool hidden = inode != nullptr && inode->removed;
    if (inode == nullptr || (hidden && slot.state == NameSlot::State::kLower)) {
      need.seen = true;
      return need.Child(directory, walk.lower, name, slot);
    }
    if (hidden) return Fail(Errc::kStale);
    if (!Believed(*inode, need)) return Fail(Errc::kWouldBlock);
    return Entry{inode->id(), inode->attributes()};
  });
  // The layer may have put another object in its place.
  if (!child && IsAbsence(child.error().code()) && slot.state == NameSlot::State::kLower) {
    OpContext anybody = context;
    anybody.credentials = {};
    child = Lookup(anybody, directory, name, nullptr);
  }
  return child;
}

Result<bool> WorkspaceImpl::Give(const OpContext& context, const ObjectId& directory, Walk& walk, std::size_t& at,
                                 DirectorySink& sink, Listing& listing) {
  const std::vector<Page::Item>& items = walk.page.items;
  const std::uint64_t hash = items[at].hash;
  const std::size_t mark = sink.Mark();
  std::size_t given = 0;
  for (; at < items.size() && items[at].hash == hash; ++at) {
    const std::string_view name = walk.page.Name(items[at]);
    Entry entry;
    entry.attributes.ino = items[at].slot.ino;
    // A number that is shared is known of what was looked at.
    if (walk.want_attributes || shares_numbers_) {
      auto child = EntryOf(context, directory, walk, name, items[at].slot);
      // Removed since the page was made: as if it had been removed before.
      if (!child && IsAbsence(child.error().code())) continue;
      if (!child) return Fail(child.error());
      entry = std::move(*child);
    }
    if (!walk.Add(sink, name, entry, Cookie(hash))) {
      sink.Rewind(mark);
      return false;
    }
    ++given;
  }
  listing.count += given;
  walk.position = hash;
  return true;
}

Result<Listing> WorkspaceImpl::ReadDirectory(const OpContext& context, const ObjectId& directory, Cookie cookie,
                                             bool want_attributes, DirectorySink& sink) {
  if (cookie.value >> 63 != 0 || (cookie.value > kAfterDotDot && cookie.value < kFirstNameHash)) {
    return Fail(Errc::kBadCookie);
  }
  Walk walk;
  walk.position = cookie.value;
  walk.want_attributes = want_attributes;
  Listing listing;
  do {
    STRATA_TRY(NextPage(context, directory, walk));
    bool fits = walk.GiveDots(sink, listing);
    for (std::size_t at = 0; fits && at < walk.page.items.size();) {
      STRATA_ASSIGN(fits, Give(context, directory, walk, at, sink, listing));
    }
    if (!fits) return listing.count == 0 ? Result<Listing>(Fail(Errc::kTooSmall)) : listing;
    walk.position = std::max(walk.position, walk.page.through);
  } while (!walk.page.last);
  listing.eof = true;
  return listing;
}

Result<bool> WorkspaceImpl::IsEmptyDirectory(Inode& directory, Emptiness& known, Need& need) {
  Directory& names = *directory.directory;
  if (!names.loaded && !names.large) return need.Of(Need::Kind::kEntries, directory);
  if (!names.upper_only && !names.listing) return need.Of(Need::Kind::kListing, directory);
  if (names.loaded) return names.IsEmpty();
  if (known.serial == directory.serial && known.changed == directory.changed) return known.empty;
  need.emptiness = &known;
  return need.Of(Need::Kind::kEmptiness, directory);
}

Result<void> WorkspaceImpl::FindEmptiness(const OpContext& context, const Need& need) {
  Emptiness& known = *need.emptiness;
  known.serial = 0;
  Page page;
  OwnPage own;
  std::uint64_t position = kAfterDotDot;
  bool same = true;
  do {
    auto filled = Run(context, [&](StripeLock& lock, Need& within) -> Result<void> {
      lock.Lock({need.id.ino});
      STRATA_ASSIGN(Inode * inode, GetDirectory(need.id, within));
      STRATA_TRY(loader_.CanWalk(*inode, position + 1, true, own, within));
      if (position == kAfterDotDot) {
        known.serial = inode->serial;
        known.changed = inode->changed;
      }
      same = known.serial == inode->serial && known.changed == inode->changed;
      FillPage(*inode->directory, inode->directory->loaded ? nullptr : &own, position, nullptr, page);
      return {};
    });
    if (!filled || !same) known.serial = 0;
    // Gone, or changed: the call that asks finds that, and asks again.
    if (!filled) return filled.error().code() == Errc::kStale ? Result<void>() : filled;
    position = page.through;
  } while (same && page.items.empty() && !page.last);
  known.empty = page.items.empty();
  return {};
}

}  // namespace strata::vfs
