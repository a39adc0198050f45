// Loader: brings into memory what calls need (need.h): objects and names, from the index where the upper holds them,
// else from the layers. It knows no operation. In its parts:
//   loader.cc    objects, their numbers, what of them has changed in the layers
//   entries.cc   the names of a directory, listings
//   extents.cc   extents of large files, of which some are in memory and for others the index is asked
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/env.h"
#include "base/mutex.h"
#include "vfs/layer/lower_tree.h"
#include "vfs/workspace/keeper.h"
#include "vfs/workspace/need.h"
#include "vfs/workspace/number_filter.h"

namespace strata::vfs {

class Loader {
 public:
  // All must outlive it.
  Loader(Env& env, const std::string& path, const SipHashKey& name_key, const MemoryBudget& budget, LowerTree& lower,
         InodeTable& table)
      : env_(env), path_(path), name_key_(name_key), budget_(budget), lower_(lower), table_(table) {}

  // Before anything is loaded. `index` is null where there is none; `keeper` for a reader, whose index covers the
  // journal up to `position`.
  void Begin(store::Index* index, const Keeper* keeper, Lsn position) {
    index_ = index;
    keeper_ = keeper;
    reader_position_ = position;
  }
  // Up to where the index covers the journal.
  Lsn position() const { return keeper_ != nullptr ? keeper_->position() : reader_position_; }
  // Which of the layers' numbers the upper holds, and which are known by another. Whoever makes the upper hold one adds
  // it first.
  NumberFilter& copied_up() { return *copied_up_; }

  // Fetches what is needed, if memory, index and layers can tell it; of other kinds nothing. kWouldBlock where that
  // takes longer than `context` allows (vfs/layer.h).
  Result<void> Supply(const OpContext& context, Need& need);
  Result<void> LoadObject(const OpContext& context, const ObjectId& id, bool any_generation, bool upper_only = false);
  // The object of the index; null where it has none.
  Result<std::unique_ptr<Inode>> FromIndex(const OpContext& context, InodeNumber ino);
  // Hangs on an inode of the upper, whose record was just taken over, what the layers have beneath it.
  Result<void> Attach(const OpContext& context, Inode& inode);
  // The number by which an object of the layers, or a directory, is known here. kNoInode: it is not shown.
  Result<InodeNumber> NumberOf(const OpContext& context, const LowerFound& found);
  Result<InodeNumber> NumberOf(const OpContext& context, const LowerNode& directory);
  // Calls there for each inode of the upper; again, or gone, where memory knows more of it than the index.
  Result<void> VisitUpper(const std::function<void(const InodeRecord&)>& there,
                          const std::function<void(InodeNumber)>& gone);
  // Calls visit for each entry and whiteout of the upper's own in the directory.
  Result<void> VisitOwn(const ObjectId& directory, const std::function<void(std::string_view, const NameSlot&)>& visit);

  // With the object's stripe held: the inode, or a failure with `need` filled. kStale for what is gone. What it shows
  // of the layers may be old.
  Result<Inode*> Find(const ObjectId& id, Need& need) {
    Inode* inode = table_.Find(id.ino);
    if (inode == nullptr) return need.Object(id);
    if (inode->removed || inode->record.generation != id.generation) return Fail(Errc::kStale);
    return inode;
  }
  // With the stripe held: whether the directory's names can be walked from `position` on; else fails with `need`
  // filled.
  Result<void> CanWalk(Inode& directory, std::uint64_t position, bool with_layers, OwnPage& own, Need& need);
  // With the file's stripe held: all extents in [from, to) are in memory; else fails with `need` filled.
  static Result<void> KnowExtents(Inode& file, std::uint64_t from, std::uint64_t to, Need& need);
  // With the file's stripe held: it can be truncated to `size`, which is less than it has.
  static Result<void> KnowForTruncation(Inode& file, std::uint64_t size, Need& need);

 private:
  // -- loader.cc --
  // Of what lies in the directory `directory` and is known by `number`. `asked`: when the layers were asked for
  // `found`.
  Result<std::unique_ptr<Inode>> FromLower(const OpContext& context, const LowerFound& found, InodeNumber number,
                                           InodeNumber directory, std::int64_t asked);
  // kStale where the upper hides what the layers show as `name` in `parent`; else the number of `parent`.
  Result<InodeNumber> CheckShown(const OpContext& context, const LowerNode& parent, std::string_view name,
                                 InodeNumber ino);
  // Puts a loaded inode into the table unless it is there already; false: what was read may be outdated, read again.
  // `read_at`: position() before it was read.
  bool Adopt(std::unique_ptr<Inode> inode, Lsn read_at);
  // The same for what was made of `found`, unless it is there under `other`, its other number (or kNoInode), or a
  // living object of the upper has its place.
  void AdoptLower(std::unique_ptr<Inode> inode, const LowerFound& found, InodeNumber other, Lsn read_at);
  // Who bears a number, in the upper or in memory.
  enum class Bearer : std::uint8_t {
    kNone,
    kThis,     // the object in question
    kRemoved,  // the same, but the upper has removed it
    kOther,    // one that lives on in the upper
  };
  Result<Bearer> BearerOf(const OpContext& context, InodeNumber number, const LowerFound& found, std::int64_t asked);
  // By which of its numbers an object of the layers is known (vfs/layer/lower_tree.h). kNoInode: by none, and it is not
  // shown.
  struct Choice {
    InodeNumber number = kNoInode;
    InodeNumber other = kNoInode;
    bool make = false;  // it is neither in memory nor in the upper
  };
  // `wanted`: a number by which it was known, if there is the choice.
  Result<Choice> Choose(const OpContext& context, const LowerFound& found, std::int64_t asked, InodeNumber wanted);
  // Loads what a name in `directory` leads to in the layers, by the index, else by `found`, and adopts it. kNoInode:
  // the name is not shown, since the upper has removed that object.
  Result<InodeNumber> LoadLower(const OpContext& context, const LowerFound& found, InodeNumber directory,
                                std::int64_t asked, InodeNumber wanted = kNoInode);
  Result<void> LoadChild(const OpContext& context, const Need& need);
  // Whether `found` is the object that `inode` was made of.
  static bool IsSame(const Inode& inode, const LowerFound& found);
  // With the object's stripe held: takes over what the layers say of it now.
  void Refresh(Inode& inode, const LowerFound& found, std::int64_t asked);
  Result<void> Recheck(const OpContext& context, const ObjectId& id);
  // Whether a change at that time may be followed by another one that bears the same time.
  bool IsFresh(Time changed) const;

  // -- entries.cc --
  Result<void> LoadEntries(const ObjectId& directory);
  Result<void> LoadName(const OpContext& context, const Need& need);
  Result<void> LoadListing(const OpContext& context, const Need& need);
  Result<void> LoadOwnPage(const Need& need);
  // Puts into the directory's filter, which it makes, all names that the index holds of it.
  Result<void> FillFilter(const ObjectId& directory);

  // -- extents.cc --
  Result<void> LoadExtents(const Need& need);
  Result<void> CountExtents(const Need& need) STRATA_EXCLUDES(count_mutex_);

  Env& env_;
  const std::string& path_;
  const SipHashKey& name_key_;
  const MemoryBudget& budget_;
  LowerTree& lower_;
  InodeTable& table_;
  store::Index* index_ = nullptr;
  const Keeper* keeper_ = nullptr;
  Lsn reader_position_;
  const std::unique_ptr<NumberFilter> copied_up_ = std::make_unique<NumberFilter>();
  Mutex count_mutex_;  // before the stripes; held over reads of the index
};

}  // namespace strata::vfs
