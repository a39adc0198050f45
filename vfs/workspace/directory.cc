#include "vfs/workspace/directory.h"

#include <algorithm>

namespace strata::vfs {

const LowerListing::Item* Directory::Listed(std::uint64_t hash, std::string_view name) const {
  auto at = std::lower_bound(listing->items.begin(), listing->items.end(), hash,
                             [](const LowerListing::Item& item, std::uint64_t value) { return item.hash < value; });
  for (; at != listing->items.end() && at->hash == hash; ++at) {
    if (listing->Name(*at) == name) return &*at;
  }
  return nullptr;
}

void Directory::ForgetLower(std::int64_t now) {
  listing = nullptr;
  lower_since = now;
  for (auto at = names.begin(); at != names.end();) {
    NameSlot& slot = at->slot();
    const bool remembered = slot.state == NameSlot::State::kLower || slot.state == NameSlot::State::kAbsent;
    if (remembered && slot.changed.value == 0) {
      at = names.Erase(at);
      continue;
    }
    if (remembered) slot.state = NameSlot::State::kAbsent;  // it hides what the index still has
    if (slot.state != NameSlot::State::kWhiteout) slot.beneath = NameSlot::Beneath::kUnknown;
    ++at;
  }
}

bool Directory::IsEmpty() {
  for (const NameMap::Item& item : names) {
    if (item.slot().visible()) return false;
  }
  if (upper_only) return true;
  for (const LowerListing::Item& item : listing->items) {
    const NameSlot* slot = Find(item.hash, listing->Name(item));
    if (slot == nullptr || slot->visible()) return false;
  }
  return true;
}

void Directory::MakeFilter(std::size_t max_bytes) {
  filter = std::make_shared<NameFilter>(max_bytes);
  for (const NameMap::Item& item : names) {
    if (item.slot().InIndex()) filter->Add(item.hash());
  }
  filter->SetComplete();
}

Directory::Shed Directory::ShedNames(Lsn checkpoint, std::size_t limit, std::size_t filter_bytes) {
  Shed shed;
  if (!large && (!loaded || erased > checkpoint)) return shed;
  if (!large && !filter) MakeFilter(filter_bytes);
  auto at = names.From(shed_from_);
  for (; at != names.end() && limit > 0; --limit) {
    NameSlot& slot = at->slot();
    if (slot.changed > checkpoint) {
      ++at;
    } else if (slot.referenced) {
      slot.referenced = false;
      shed.cleared = true;
      ++at;
    } else {
      shed.newest = std::max(shed.newest, slot.changed);
      ++shed.dropped;
      at = names.Erase(at);
    }
  }
  shed_from_ = at == names.end() ? 0 : at->hash();
  if (shed.dropped > 0) {
    large = true;
    loaded = false;
  }
  return shed;
}

std::size_t Directory::Footprint() const {
  return sizeof *this + names.Footprint() + (listing ? listing->Footprint() : 0) + (filter ? filter->Footprint() : 0);
}

}  // namespace strata::vfs
