// Directory: what a workspace has in memory of one directory's names.
#pragma once

#include <absl/container/btree_map.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/attributes.h"
#include "base/ids.h"
#include "vfs/lower_tree.h"

namespace strata::vfs {

// What a name leads to.
struct NameSlot {
  enum class State : std::uint8_t {
    kUpper,     // an entry of the upper's own
    kWhiteout,  // deleted by the upper; a layer has the name
    kLower,     // remembered: a layer has it, the upper says nothing
    kAbsent,    // remembered: neither has it
  };
  // Of kUpper: whether a layer has the name too, so that removing the entry needs a whiteout.
  enum class Beneath : std::uint8_t { kUnknown, kNo, kYes };

  InodeNumber ino;
  State state = State::kAbsent;
  FileType type = FileType::kRegular;
  Beneath beneath = Beneath::kUnknown;

  bool visible() const { return state == State::kUpper || state == State::kLower; }
};

// Not thread-safe: guarded by its inode's lock.
class Directory {
 public:
  struct Key {
    std::uint64_t hash;
    std::string name;
  };
  struct KeyView {
    std::uint64_t hash;
    std::string_view name;
  };
  struct Order {
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return a.hash != b.hash ? a.hash < b.hash : std::string_view(a.name) < std::string_view(b.name);
    }
  };
  using Names = absl::btree_map<Key, NameSlot, Order>;

  // All of the upper's own entries are in `names`.
  bool loaded = false;
  // No layer shows through: what is not in `names` does not exist.
  bool upper_only = false;
  // The merged entries of the layers, once they have been needed; null before.
  std::shared_ptr<const LowerListing> listing;
  Names names;

  NameSlot* Find(std::uint64_t hash, std::string_view name) {
    auto found = names.find(KeyView{hash, name});
    return found == names.end() ? nullptr : &found->second;
  }
  void Set(std::uint64_t hash, std::string_view name, const NameSlot& slot) {
    if (NameSlot* old = Find(hash, name)) {
      *old = slot;
    } else {
      names.emplace(Key{hash, std::string(name)}, slot);
    }
  }
  void Erase(std::uint64_t hash, std::string_view name) {
    auto found = names.find(KeyView{hash, name});
    if (found != names.end()) names.erase(found);
  }
  // Whether `listing` (not null) has the name.
  bool ListingHas(std::uint64_t hash, std::string_view name) const;

  // Whether nothing is visible. Needs loaded, and upper_only or a listing.
  bool IsEmpty();

  // Bytes of memory that it holds, and that one more name would take.
  std::size_t Footprint() const;
  static std::size_t NameFootprint(std::string_view name);
};

}  // namespace strata::vfs
