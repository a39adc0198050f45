// The names of directories that index and layers hold: whole where they are few, else one by one; listings.
#include "vfs/workspace/loader.h"

namespace strata::vfs {
namespace {

// So many questions to the index in vain are worth a pass over all that it holds of the directory.
constexpr std::uint32_t kMissesForFilter = 64;
// Entries read of the index at a time, while others wait to read: all of a directory's, and for a call that lists it.
constexpr std::size_t kEntriesAtOnce = 1024;
constexpr std::size_t kOwnPageEntries = 512;

}  // namespace

Result<void> Loader::LoadEntries(const ObjectId& id) {
  const Lsn read_at = position();
  NameMap names;
  bool more = false;
  if (index_) {
    STRATA_ASSIGN(more,
                  index_->LoadEntries(id.ino, 0, budget_.whole_directory_names, [&](const store::IndexEntry& entry) {
                    names.Set(entry.hash, entry.name, SlotOf(entry));
                  }));
  }
  StripeLock lock(table_);
  lock.Lock({id.ino});
  Inode* inode = table_.Find(id.ino);
  if (inode == nullptr || !inode->directory || inode->directory->loaded || inode->directory->large) return {};
  if (more) {
    inode->directory->large = true;  // which says nothing of what is in it
    return {};
  }
  if (table_.DroppedSince(read_at)) return {};  // the call finds it still missing and comes again
  // What is there already came with the journal's replay and is newer.
  for (const NameMap::Item& item : inode->directory->names) names.Set(item.hash(), item.name(), item.slot());
  inode->directory->names = std::move(names);
  inode->directory->loaded = true;
  table_.Recount(*inode);
  return {};
}

Result<void> Loader::LoadName(const OpContext& context, const Need& need) {
  const std::uint64_t hash = NameHash(name_key_, need.name);
  const Lsn read_at = position();
  const bool ask_index = need.kind == Need::Kind::kName;
  std::optional<store::IndexEntry> own;
  if (ask_index && index_) {
    STRATA_ASSIGN(own, index_->LoadEntry(need.id.ino, hash, need.name));
  }
  std::optional<LowerFound> found;
  InodeNumber shown = kNoInode;
  const bool ask_layers = !own && need.lower;
  if (ask_layers) {
    const std::int64_t asked = env_.MonotonicNs();
    auto looked = lower_.Lookup(context, *need.lower, need.name);
    if (!looked && !IsAbsence(looked.error().code())) return Fail(looked.error());
    if (looked) {
      STRATA_ASSIGN(shown, LoadLower(context, *looked, need.id.ino, asked));
      found = std::move(*looked);
    }
  }
  const auto beneath = found ? NameSlot::Beneath::kYes : NameSlot::Beneath::kNo;
  bool want_filter = false;
  {
    StripeLock lock(table_);
    lock.Lock({need.id.ino});
    Inode* inode = table_.Find(need.id.ino);
    if (inode == nullptr || !inode->directory) return {};
    Directory& names = *inode->directory;
    if (ask_layers && names.lower_since != need.lower_since) return {};  // what they said may be outdated
    if (NameSlot* slot = names.Find(hash, need.name)) {
      if (!ask_layers) return {};
      slot->beneath = beneath;
      if (slot->state == NameSlot::State::kAbsent && shown != kNoInode) {
        slot->state = NameSlot::State::kLower;
        slot->ino = shown;
        slot->type = found->attributes.type;
      }
      return {};
    }
    if (names.large) {
      // What was read may be older than what was given up; or the name was made, and given up, since the filter did not
      // hold it.
      const bool sound = ask_index ? !table_.DroppedSince(read_at) : names.filter && !names.filter->MayHold(hash);
      if (!sound) return {};
    } else if (!names.loaded || ask_index) {
      return {};
    }
    NameSlot slot = own ? SlotOf(*own) : NameSlot();
    slot.referenced = true;
    if (!own) {
      slot.beneath = beneath;
      if (shown != kNoInode) {
        slot.state = NameSlot::State::kLower;
        slot.ino = shown;
        slot.type = found->attributes.type;
      }
      want_filter = ask_index && !names.filter && ++names.misses >= kMissesForFilter;
    }
    names.names.Set(hash, need.name, slot);
    table_.Recount(*inode);
  }
  return want_filter ? FillFilter(need.id) : Result<void>();
}

Result<void> Loader::FillFilter(const ObjectId& id) {
  const auto filter = std::make_shared<NameFilter>(budget_.name_filter);
  {
    StripeLock lock(table_);
    lock.Lock({id.ino});
    Inode* inode = table_.Find(id.ino);
    if (inode == nullptr || !inode->directory || !inode->directory->large || inode->directory->filter) return {};
    // From here on it learns of every new name. What was made before and is not here is in the index, whose reading
    // begins after this.
    for (const NameMap::Item& item : inode->directory->names) {
      if (item.slot().InIndex()) filter->Add(item.hash());
    }
    inode->directory->filter = filter;
  }
  std::uint64_t first = 0;
  for (bool more = index_ != nullptr; more;) {
    STRATA_ASSIGN(more, index_->LoadEntries(id.ino, first, kEntriesAtOnce, [&](const store::IndexEntry& entry) {
      filter->Add(entry.hash);
      first = entry.hash + 1;
    }));
  }
  filter->SetComplete();
  StripeLock lock(table_);
  lock.Lock({id.ino});
  if (Inode* inode = table_.Find(id.ino); inode != nullptr && inode->directory) table_.Recount(*inode);
  return {};
}

Result<void> Loader::LoadListing(const OpContext& context, const Need& need) {
  auto listed = need.lower ? lower_.List(context, *need.lower) : Result<LowerListing>(LowerListing());
  if (!listed && !IsAbsence(listed.error().code())) return Fail(listed.error());
  auto listing = std::make_shared<const LowerListing>(listed ? std::move(*listed) : LowerListing());
  StripeLock lock(table_);
  lock.Lock({need.id.ino});
  Inode* inode = table_.Find(need.id.ino);
  if (inode == nullptr || !inode->directory) return {};
  Directory& names = *inode->directory;
  if (names.lower_since != need.lower_since) return {};  // what it lists may be outdated
  names.listing = std::move(listing);
  table_.Recount(*inode);
  return {};
}

Result<void> Loader::CanWalk(Inode& directory, std::uint64_t position, bool with_layers, OwnPage& own, Need& need) {
  const Directory& names = *directory.directory;
  if (!names.loaded && !names.large) return need.Of(Need::Kind::kEntries, directory);
  if (with_layers && !names.upper_only && !names.listing) return need.Of(Need::Kind::kListing, directory);
  if (names.loaded || (own.Covers(position) && !table_.DroppedSince(own.read_at))) return {};
  own.first = position;
  need.own_page = &own;
  return need.Of(Need::Kind::kOwnPage, directory);
}

Result<void> Loader::LoadOwnPage(const Need& need) {
  OwnPage& own = *need.own_page;
  own.read_at = position();
  own.entries.clear();
  bool more = false;
  if (index_) {
    STRATA_ASSIGN(more, index_->LoadEntries(need.id.ino, own.first, kOwnPageEntries,
                                            [&](const store::IndexEntry& entry) { own.entries.push_back(entry); }));
  }
  own.end = !more;
  own.last = more ? own.entries.back().hash : 0;
  own.loaded = true;
  return {};
}

Result<void> Loader::VisitOwn(const ObjectId& directory,
                              const std::function<void(std::string_view, const NameSlot&)>& visit) {
  OwnPage own;
  std::vector<std::pair<std::string, NameSlot>> found;
  std::uint64_t position = kFirstNameHash;
  bool end = false;
  while (!end) {
    const auto look = [&](StripeLock& lock, Need& need) -> Result<void> {
      lock.Lock({directory.ino});
      STRATA_ASSIGN(Inode * inode, Find(directory, need));
      if (!inode->is_directory()) return Fail(Errc::kNotDirectory);
      STRATA_TRY(CanWalk(*inode, position, false, own, need));
      Directory& names = *inode->directory;
      found.clear();
      end = names.loaded || own.end;
      const std::uint64_t last = end ? kNoHash : own.last;
      for (auto at = names.names.From(position); at != names.names.end() && at->hash() <= last; ++at) {
        if (at->slot().InIndex()) found.emplace_back(at->name(), at->slot());
      }
      if (!names.loaded) {
        for (const store::IndexEntry& entry : own.entries) {
          if (names.Find(entry.hash, entry.name) == nullptr) found.emplace_back(entry.name, SlotOf(entry));
        }
      }
      return {};
    };
    STRATA_TRY(RunUnderLocks(table_, look, [this](Need& need) { return Supply(kBackground, need); }));
    for (const auto& [name, slot] : found) visit(name, slot);
    position = own.last + 1;
  }
  return {};
}

}  // namespace strata::vfs
