// What a call finds in memory, or needs: objects, and the names of directories.
#include "vfs/workspace/workspace_impl.h"

namespace strata::vfs {

Result<Inode*> WorkspaceImpl::Get(const ObjectId& id, Need& need) {
  STRATA_ASSIGN(Inode * inode, loader_.Find(id, need));
  if (!Believed(*inode, need)) return Fail(Errc::kWouldBlock);
  return inode;
}

Result<Inode*> WorkspaceImpl::GetDirectory(const ObjectId& id, Need& need) {
  STRATA_ASSIGN(Inode * inode, Get(id, need));
  if (!inode->is_directory()) return Fail(Errc::kNotDirectory);
  return inode;
}

Result<Inode*> WorkspaceImpl::GetChild(const Inode& directory, std::string_view name, const NameSlot& slot,
                                       Need& need) {
  Inode* child = table_.Find(slot.ino);
  if (child == nullptr) return need.Child(directory.id(), directory.lower, name, slot);
  if (child->removed) {
    if (slot.state == NameSlot::State::kLower) return need.Child(directory.id(), directory.lower, name, slot);
    return Fail(Errc::kIo, "an entry of " + path_ + " leads to inode " + std::to_string(slot.ino.value) +
                               ", which is removed: strata check tells more");
  }
  if (!Believed(*child, need)) return Fail(Errc::kWouldBlock);
  return child;
}

Result<void> WorkspaceImpl::Supply(const OpContext& context, Need& need) {
  switch (need.kind) {
    case Need::Kind::kEmptiness:
    case Need::Kind::kRoom:
    case Need::Kind::kCopyUp:
      break;
    default:
      return loader_.Supply(context, need);
  }
  if (!context.may_block) return Fail(Errc::kWouldBlock);
  if (need.kind == Need::Kind::kEmptiness) return FindEmptiness(context, need);
  if (need.kind == Need::Kind::kRoom) return keeper_->AwaitRoom(kLargeFilesPart);
  return CopyUp(context, need.id, need.room);
}

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
  names.names.Set(hash, name, slot);
  // While all names are here; later it would take a pass over the index.
  if (!names.filter && names.loaded && names.names.size() > budget_.whole_directory_names) {
    names.MakeFilter(budget_.name_filter);
  } else if (names.filter && slot.InIndex()) {
    names.filter->Add(hash);
  }
}

}  // namespace strata::vfs
