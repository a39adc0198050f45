// ClosureWalk: what names and leases reach, marked in the indexes by a bit for each entry.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "base/status.h"
#include "store/castore/root_nodes.h"
#include "store/leases.h"
#include "store/pack/engine.h"
#include "store/pack/list_record.h"
#include "store/pack/problem.h"

namespace strata::store::pack {

// Its memory is two bits for each record of the store, and what is in no index yet. It marks what the store has when it
// is made; records that come later count as marked when they are met. Not thread-safe.
class ClosureWalk {
 public:
  // `told`: hears of everything that is missing or damaged.
  explicit ClosureWalk(Engine& engine, std::function<void(const Problem&)> told = {});

  // Marks what it names, without walking.
  Result<void> AddRoot(const Root& root);
  Result<void> AddLease(const LeaseState& lease);
  // Walks what was added and not walked yet. `step` is called now and then; when it says false, that is kInvalid
  // ("stopped").
  Result<void> Run(const std::function<bool()>& step = {});
  // Runs; kNotFound where anything is missing, and says what.
  Result<void> CheckWhole();

  // Whether a record that the indexes have is marked; of one that they do not have, whether another of its digest is,
  // and true where there is no other.
  Result<bool> IsMarked(const Digest& digest, const Location& location);
  // The same by its number in an index of the view.
  bool IsMarked(std::size_t index, std::uint64_t place) const { return Bit(marks_[index].live, place); }
  const CatalogView& view() const { return *view_; }

  std::uint64_t directories() const { return directories_; }
  std::uint64_t files() const { return files_; }
  std::uint64_t problems() const { return problems_; }

 private:
  using Bits = std::vector<std::uint64_t>;
  struct Marks {
    Bits live;
    Bits waiting;  // directories that are yet to be walked and did not fit into stack_
  };
  struct Marked {
    bool there = false;
    bool fresh = false;  // and was not marked before
    bool list = false;   // one of its records is a list, a part of one
    bool part = false;
  };

  static bool Bit(const Bits& bits, std::uint64_t i) { return (bits[i / 64] >> (i % 64) & 1) != 0; }
  static bool SetBit(Bits& bits, std::uint64_t i);  // whether it was not set
  Result<Marked> Mark(PackClass pack_class, const Digest& digest);
  Result<void> MarkDirectory(const Digest& digest, const std::string& from);
  Result<void> MarkBlob(const Digest& digest, const std::string& from);
  Result<void> MarkList(const ListContent& list, const std::string& from);
  Result<void> WalkDirectory(const Digest& digest);
  Result<void> WalkWaiting(const std::function<bool()>& step);
  void Tell(Problem problem);

  Engine& engine_;
  const std::function<void(const Problem&)> told_;
  const std::shared_ptr<const CatalogView> view_;
  std::vector<Marks> marks_;
  absl::flat_hash_set<Digest> loose_[2];                // marked, and not in the view's indexes; by class
  std::vector<Digest> stack_;                           // directories that are yet to be walked
  absl::flat_hash_map<PackId, std::uint64_t> waiting_;  // how many of a pack have their bit set
  std::uint64_t directories_ = 0;
  std::uint64_t files_ = 0;
  std::uint64_t problems_ = 0;
  std::optional<Problem> first_problem_;
};

}  // namespace strata::store::pack
