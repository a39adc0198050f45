// The names of directories in memory: whole where they are few, else one by one.
#include "vfs/workspace/workspace_impl.h"

namespace strata::vfs {
namespace {

// So many questions to the index in vain are worth a pass over all that it holds of the directory.
constexpr std::uint32_t kMissesForFilter = 64;
// Entries read of the index at a time, while others wait to read.
constexpr std::size_t kEntriesAtOnce = 1024;

}  // namespace

Result<NameSlot*> WorkspaceImpl::FindName(Inode& directory, std::uint64_t hash, std::string_view name, Need& need) {
  Directory& names = *directory.directory;
  if (NameSlot* slot = names.Find(hash, name)) {
    slot->referenced = true;
    // The upper no longer has it; the layers have changed since they were asked.
    const bool ask = slot->state == NameSlot::State::kAbsent && slot->beneath == NameSlot::Beneath::kUnknown;
    if (ask && !names.upper_only) return need.Of(Need::Kind::kLowerName, directory, name);
    return slot;
  }
  if (!names.loaded) {
    if (!names.large) return need.Of(Need::Kind::kEntries, directory);
    if (!names.filter || names.filter->MayHold(hash)) return need.Of(Need::Kind::kName, directory, name);
  }
  if (names.upper_only || (names.listing && names.Listed(hash, name) == nullptr)) return nullptr;
  return need.Of(Need::Kind::kLowerName, directory, name);
}

Result<NameSlot*> WorkspaceImpl::FindVisible(Inode& directory, std::uint64_t hash, std::string_view name, Need& need) {
  STRATA_ASSIGN(NameSlot * slot, FindName(directory, hash, name, need));
  return slot != nullptr && slot->visible() ? slot : nullptr;
}

void WorkspaceImpl::SetName(Inode& directory, std::uint64_t hash, std::string_view name, NameSlot slot, Lsn end) {
  Directory& names = *directory.directory;
  slot.changed = end;
  names.Set(hash, name, slot);
  // While all names are here; later it would take a pass over the index.
  if (!names.filter && names.loaded && names.names.size() > budget_.whole_directory_names) {
    names.MakeFilter(budget_.name_filter);
  } else if (names.filter && slot.InIndex()) {
    names.filter->Add(hash);
  }
}

Result<void> WorkspaceImpl::LoadEntries(const ObjectId& id) {
  const Lsn read_at = IndexPosition();
  Directory::Names names;
  bool more = false;
  if (index_) {
    STRATA_ASSIGN(more,
                  index_->LoadEntries(id.ino, 0, budget_.whole_directory_names, [&](const store::IndexEntry& entry) {
                    NameSlot slot;
                    slot.ino = entry.ino;
                    slot.type = entry.type;
                    slot.state = entry.whiteout ? NameSlot::State::kWhiteout : NameSlot::State::kUpper;
                    names.emplace_hint(names.end(), Directory::Key{entry.hash, entry.name}, slot);
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
  for (const auto& [key, slot] : inode->directory->names) names[key] = slot;
  inode->directory->names = std::move(names);
  inode->directory->loaded = true;
  table_.Recount(*inode);
  return {};
}

Result<void> WorkspaceImpl::LoadName(const Need& need) {
  const std::uint64_t hash = NameHash(config_.name_key, need.name);
  const Lsn read_at = IndexPosition();
  const bool ask_index = need.kind == Need::Kind::kName;
  std::optional<store::IndexEntry> own;
  if (ask_index && index_) {
    STRATA_ASSIGN(own, index_->LoadEntry(need.id.ino, hash, need.name));
  }
  std::optional<LowerFound> found;
  bool shown = false;
  const bool ask_layers = !own && need.lower;
  if (ask_layers) {
    const std::int64_t asked = env_.MonotonicNs();
    auto looked = lower_.Lookup(*need.lower, need.name);
    if (!looked && !IsAbsence(looked.error().code())) return Fail(looked.error());
    if (looked) {
      STRATA_ASSIGN(shown, LoadLower(*looked, asked));
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
      if (slot->state == NameSlot::State::kAbsent && shown) {
        slot->state = NameSlot::State::kLower;
        slot->ino = found->node.number;
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
    NameSlot slot;
    slot.referenced = true;
    if (own) {
      slot.state = own->whiteout ? NameSlot::State::kWhiteout : NameSlot::State::kUpper;
      slot.ino = own->ino;
      slot.type = own->type;
    } else {
      slot.beneath = beneath;
      if (shown) {
        slot.state = NameSlot::State::kLower;
        slot.ino = found->node.number;
        slot.type = found->attributes.type;
      }
      want_filter = ask_index && !names.filter && ++names.misses >= kMissesForFilter;
    }
    names.Set(hash, need.name, slot);
    table_.Recount(*inode);
  }
  return want_filter ? FillFilter(need.id) : Result<void>();
}

Result<void> WorkspaceImpl::FillFilter(const ObjectId& id) {
  const auto filter = std::make_shared<NameFilter>(budget_.name_filter);
  {
    StripeLock lock(table_);
    lock.Lock({id.ino});
    Inode* inode = table_.Find(id.ino);
    if (inode == nullptr || !inode->directory || !inode->directory->large || inode->directory->filter) return {};
    // From here on it learns of every new name. What was made before and is not here is in the index, whose reading
    // begins after this.
    for (const auto& [key, slot] : inode->directory->names) {
      if (slot.InIndex()) filter->Add(key.hash);
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

Result<void> WorkspaceImpl::LoadListing(const Need& need) {
  auto listed = need.lower ? lower_.List(*need.lower) : Result<LowerListing>(LowerListing());
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

}  // namespace strata::vfs
