// NameMap: names of one directory that are in memory, in the directory's order, with what each leads to.
#pragma once

#include <absl/container/btree_set.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>
#include <utility>

#include "base/attributes.h"
#include "base/ids.h"

namespace strata::vfs {

// What a name leads to.
struct NameSlot {
  enum class State : std::uint8_t {
    kUpper,     // an entry of the upper's own
    kWhiteout,  // deleted by the upper; a layer has the name
    kLower,     // remembered: a layer has it, the upper says nothing
    kAbsent,    // remembered: neither shows it, or the upper no longer; `beneath` may be kUnknown then
  };
  // Of kUpper: whether a layer has the name too, so that removing the entry needs a whiteout.
  enum class Beneath : std::uint8_t { kUnknown, kNo, kYes };

  InodeNumber ino;
  Lsn changed;  // the end of the last record that changed it; 0: none since it was loaded, or only remembered
  State state = State::kAbsent;
  FileType type = FileType::kRegular;
  Beneath beneath = Beneath::kUnknown;
  bool referenced = false;  // looked up since Shed last passed by

  // Whether the index has, or will have, an entry of it.
  bool InIndex() const { return state == State::kUpper || state == State::kWhiteout; }
  bool visible() const { return state == State::kUpper || state == State::kLower; }
  // Whether a whiteout has to be left where the upper removes it.
  bool NeedsWhiteout() const { return state == State::kLower || beneath == Beneath::kYes; }
};

// Not thread-safe. A B-tree of hashes, each with a pointer to its name: with the names in its nodes, a node of four
// cache lines would hold three of them, and to find one of 10,000 would touch ten.
class NameMap {
  struct Named {
    NameSlot slot;
    std::uint32_t size;
    char* name() { return reinterpret_cast<char*>(this + 1); }  // behind it, in the same allocation
  };
  struct Free {
    void operator()(Named* named) const { ::operator delete(named); }
  };

 public:
  class Item {
   public:
    Item(std::uint64_t hash, std::string_view name, const NameSlot& slot)
        : hash_(hash),
          named_(new(::operator new(sizeof(Named) + name.size()))
                     Named{slot, static_cast<std::uint32_t>(name.size())}) {
      std::memcpy(named_->name(), name.data(), name.size());
    }
    std::uint64_t hash() const { return hash_; }
    std::string_view name() const { return {named_->name(), named_->size}; }
    // To be changed, too: the order does not depend on it.
    NameSlot& slot() const { return named_->slot; }

   private:
    std::uint64_t hash_;
    std::unique_ptr<Named, Free> named_;
  };

 private:
  struct Key {
    std::uint64_t hash_;
    std::string_view name_;
    std::uint64_t hash() const { return hash_; }
    std::string_view name() const { return name_; }
  };
  struct Order {
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return a.hash() != b.hash() ? a.hash() < b.hash() : a.name() < b.name();
    }
  };
  using Items = absl::btree_set<Item, Order>;

 public:
  using const_iterator = Items::const_iterator;

  const_iterator begin() const { return items_.begin(); }
  const_iterator end() const { return items_.end(); }
  std::size_t size() const { return items_.size(); }
  // The first whose hash is `hash` or greater.
  const_iterator From(std::uint64_t hash) const { return items_.lower_bound(Key{hash, {}}); }
  NameSlot* Find(std::uint64_t hash, std::string_view name) const {
    const auto found = items_.find(Key{hash, name});
    return found == items_.end() ? nullptr : &found->slot();
  }
  void Set(std::uint64_t hash, std::string_view name, const NameSlot& slot) {
    const auto at = items_.lower_bound(Key{hash, name});
    if (at != items_.end() && at->hash() == hash && at->name() == name) {
      at->slot() = slot;
      return;
    }
    items_.emplace_hint(at, hash, name, slot);
    bytes_ += Footprint(name);
  }
  void Erase(std::uint64_t hash, std::string_view name) {
    if (const auto found = items_.find(Key{hash, name}); found != items_.end()) Erase(found);
  }
  // What comes after it.
  const_iterator Erase(const_iterator at) {
    bytes_ -= Footprint(at->name());
    return items_.erase(at);
  }

  // About how many bytes of memory all of them take, and one more would.
  std::size_t Footprint() const { return bytes_; }
  static std::size_t Footprint(std::string_view name) {
    // A leaf of the tree is on average three quarters full; the allocator hands out multiples of 16 bytes, and keeps 8.
    return sizeof(Item) * 4 / 3 + (sizeof(Named) + name.size() + 8 + 15) / 16 * 16;
  }

 private:
  Items items_;
  std::size_t bytes_ = 0;
};

}  // namespace strata::vfs
