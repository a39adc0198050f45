// WorkspaceImpl: Workspace as it is. What it consists of:
//   need.h           what a call found missing in memory; the shape of a call
//   loader.{h,cc}    the Loader: brings that into memory, with entries.cc and extents.cc
//   inode_table.{h,cc}   the inodes in memory, and their locks
//   opening.{h,cc}   journal and index, opened and put together
//   keeper.{h,cc}    checkpoints, and who waits for them
//   checkpointer.{h,cc}  the journal's way into the index
//   cleaner.{h,cc}   giving up journal segments
//   replay.{h,cc}    the journal's tail into memory, for a reader beside the server
//   changes.cc, conflicts.cc   `strata diff`
// Its own, the operations:
//   open.cc    opening, closing                       names.cc    objects and names in memory
//   read.cc    attributes, lookup, file data          write.cc    SETATTR, WRITE, COMMIT
//   list.cc    READDIR; whether a directory is empty  beneath.cc  copying up
//   create.cc  CREATE and its like, LINK              remove.cc   REMOVE, RMDIR
//   rename.cc  RENAME                                 move.cc     writing anew what lives
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "journal/change_log.h"
#include "store/index/index.h"
#include "vfs/layer/lower_tree.h"
#include "vfs/workspace/cleaner.h"
#include "vfs/workspace/inode_table.h"
#include "vfs/workspace/keeper.h"
#include "vfs/workspace/loader.h"
#include "vfs/workspace/past_requests.h"
#include "vfs/workspace/workspace.h"

namespace strata::vfs {

// An inode as it will be after a change; becomes true with Take.
struct Touched {
  Inode* inode = nullptr;
  std::uint32_t nlink = 0;
  std::uint64_t size = 0;
  std::uint32_t mode = 0;
  Time mtime;
  Time ctime;

  // ctime changes, at a moment `now`; the rest stays.
  static Touched Status(Inode& inode, Time now);
  // mtime and ctime change.
  static Touched Content(Inode& inode, Time now);

  // One directory more, or less, lies in it. 1: they are not counted.
  void GainDirectory() { nlink += nlink > 1; }
  void LoseDirectory() { nlink -= nlink > 2; }
  // Adds the after-image to the record. In a record it stands before the effects on what hangs on the inode, its
  // entries and data.
  void AddTo(journal::Change& change) const;
  void Take(Lsn end) const;
};

class WorkspaceImpl final : public Workspace, private Cleaner::Volume {
 public:
  WorkspaceImpl(Env& env, std::string path, WorkspaceConfig config, std::vector<std::unique_ptr<Layer>> layers,
                const WorkspaceOptions& options);
  ~WorkspaceImpl() override;
  // `resolutions`: of the layers as they were opened; null where it was opened over others.
  Result<void> Start(const std::vector<Resolution>* resolutions);

  const VolumeInfo& Volume() const override { return volume_; }
  ObjectId Root() const override { return root_; }
  Result<Attributes> GetAttributes(const OpContext& context, const ObjectId& id) override;
  Result<Entry> Lookup(const OpContext& context, const ObjectId& directory, std::string_view name,
                       std::optional<Attributes>* directory_after) override;
  Result<std::uint32_t> Access(const OpContext& context, const ObjectId& id, std::uint32_t wanted,
                               std::optional<Attributes>* after) override;
  Result<std::string> ReadLink(const OpContext& context, const ObjectId& id, std::optional<Attributes>* after) override;
  Result<ReadResult> Read(const OpContext& context, const ObjectId& id, std::uint64_t offset, std::uint32_t count,
                          ReadSink& sink) override;
  Result<Listing> ReadDirectory(const OpContext& context, const ObjectId& directory, Cookie cookie,
                                bool want_attributes, DirectorySink& sink) override;
  Result<std::vector<std::string>> ListXattr(const OpContext& context, const ObjectId& id) override;
  Result<std::string> GetXattr(const OpContext& context, const ObjectId& id, std::string_view name) override;
  Result<SpaceUsage> Usage(const OpContext& context, const ObjectId& id) override;
  Result<void> SetAttributesOf(const OpContext& context, const ObjectId& id, const SetAttributes& set,
                               std::optional<Time> guard, Mutation& mutation) override;
  Result<std::uint32_t> Write(const OpContext& context, const ObjectId& id, std::uint64_t offset, ByteSpan data,
                              Stability stability, Mutation& mutation) override;
  Result<Entry> Create(const OpContext& context, const ObjectId& directory, std::string_view name, CreateMode mode,
                       const SetAttributes& set, const CreateVerifier& verifier, Mutation& mutation) override;
  Result<Entry> MakeDirectory(const OpContext& context, const ObjectId& directory, std::string_view name,
                              const SetAttributes& set, Mutation& mutation) override;
  Result<Entry> MakeSymlink(const OpContext& context, const ObjectId& directory, std::string_view name,
                            std::string_view target, const SetAttributes& set, Mutation& mutation) override;
  Result<Entry> MakeNode(const OpContext& context, const ObjectId& directory, std::string_view name, FileType type,
                         DeviceNumber device, const SetAttributes& set, Mutation& mutation) override;
  Result<void> Remove(const OpContext& context, const ObjectId& directory, std::string_view name,
                      Mutation& mutation) override;
  Result<void> RemoveDirectory(const OpContext& context, const ObjectId& directory, std::string_view name,
                               Mutation& mutation) override;
  Result<void> Rename(const OpContext& context, const ObjectId& from_directory, std::string_view from,
                      const ObjectId& to_directory, std::string_view to, Mutation& mutation) override;
  Result<void> Link(const OpContext& context, const ObjectId& id, const ObjectId& directory, std::string_view name,
                    std::optional<Attributes>* after, Mutation& mutation) override;
  Result<void> Commit(const OpContext& context, const ObjectId& id, Mutation& mutation) override;
  WriteVerifier CurrentWriteVerifier() const override;
  std::vector<PastRequest> PastRequests() override;
  void WatchRemovals(std::shared_ptr<RemovalWatch> watch) override STRATA_EXCLUDES(watch_mutex_);
  void LendMemory(std::size_t bytes) override;
  Result<void> Flush() override;
  void Sync(Lsn lsn, std::move_only_function<void(Result<void>)> done) override;

  Result<void> Checkpoint() override;
  Result<void> GiveUpHistory(const HistoryPolicy& policy) override;
  Lsn journal_end() const override { return journal_->end(); }
  std::size_t cache_bytes() const override { return table_.bytes(); }
  Result<std::vector<PathChange>> Changes() override;
  Result<std::vector<Conflict>> Conflicts() override;
  Result<std::vector<std::string>> Sources(const ObjectId& id) override;

 private:
  // Who writes to a file of more than kFewExtents waits for a checkpoint at so much of what makes all others wait: they
  // are not held up by what one file takes.
  static constexpr double kLargeFilesPart = 0.75;

  // Runs `body(StripeLock&, Need&)` until it needs nothing more.
  template <typename Body>
  auto Run(const OpContext& context, Body body) -> decltype(body(std::declval<StripeLock&>(), std::declval<Need&>()));
  // As Run, for a change: refused on a read-only workspace; afterwards the checkpointer hears of it.
  template <typename Body>
  auto RunChange(const OpContext& context, Body body)
      -> decltype(body(std::declval<StripeLock&>(), std::declval<Need&>()));

  // -- read.cc --
  // READ of one state; kNotSync if the layer's file, of which nothing was written here, is no longer what is known of
  // it.
  Result<ReadResult> ReadState(const OpContext& context, const ObjectId& id, std::uint64_t offset, std::uint32_t count,
                               ReadSink& sink);
  // Gives the sink what the layer's file holds, which has to be of `version`.
  Result<void> ReadBeneath(const OpContext& context, const LowerNode& lower, const LayerVersion& version,
                           std::uint64_t offset, std::size_t length, ReadSink& sink);

  // Of what its extended attributes lie in: of a file that was changed here, the layer's all the same. Null: in
  // nothing.
  struct XattrPlace {
    Attributes attributes;
    std::shared_ptr<const LowerNode> lower;
    bool upper = false;  // it lives on where the layer no longer has it, then without any
  };
  Result<XattrPlace> FindXattrs(const OpContext& context, const ObjectId& id);

  // -- names.cc --
  // With the object's stripe held: the inode, or a failure with `need` filled. kStale for what is gone.
  Result<Inode*> Get(const ObjectId& id, Need& need);
  // With the object's stripe held: whether what is remembered of the layers' part of it may be believed; else `need` is
  // filled.
  bool Believed(const Inode& inode, Need& need) {
    if (inode.asked == Inode::kForEver) return true;
    if (*need.began == 0) *need.began = env_.MonotonicNs();
    if (inode.asked >= *need.began - options_.layer_recheck_ns && inode.asked != Inode::kNotAsked) return true;
    (void)need.The(Need::Kind::kRecheck, inode);
    return false;
  }
  // Whether the layers tell the directory's names, or have no part in them.
  bool IsListable(const Inode& directory) const {
    return directory.directory->upper_only || !directory.lower || lower_.MayBeListed(*directory.lower);
  }
  // As Get, and kNotDirectory for anything else.
  Result<Inode*> GetDirectory(const ObjectId& id, Need& need);
  // With the child's stripe held too.
  Result<Inode*> GetChild(const Inode& directory, std::string_view name, const NameSlot& slot, Need& need);
  Result<void> Supply(const OpContext& context, Need& need);
  // With the directory's stripe held: the slot of `name`, null where nothing has it. The slot may be a whiteout or
  // kAbsent.
  Result<NameSlot*> FindName(Inode& directory, std::uint64_t hash, std::string_view name, Need& need);
  // As FindName, but null unless visible.
  Result<NameSlot*> FindVisible(Inode& directory, std::uint64_t hash, std::string_view name, Need& need);
  // With the directory's stripe held: the name is `slot` since the record that ends at `end`. The caller counts it in
  // Take.
  void SetName(Inode& directory, std::uint64_t hash, std::string_view name, NameSlot slot, Lsn end);

  // -- list.cc --
  struct Walk;
  // Takes the next page out of the directory, under its lock.
  Result<void> NextPage(const OpContext& context, const ObjectId& directory, Walk& walk);
  // The object that a name of the page leads to; an absence (IsAbsence) for what is gone by now.
  Result<Entry> EntryOf(const OpContext& context, const ObjectId& directory, const Walk& walk, std::string_view name,
                        const NameSlot& slot);
  // Gives all names of the page at `at` that have one hash, or none of them. False: they do not fit in.
  Result<bool> Give(const OpContext& context, const ObjectId& directory, Walk& walk, std::size_t& at,
                    DirectorySink& sink, Listing& listing);
  Result<void> FindEmptiness(const OpContext& context, const Need& need);
  // Whether the directory shows no entry. `known` is the call's own, kept from one start-over to the next.
  Result<bool> IsEmptyDirectory(Inode& directory, Emptiness& known, Need& need);

  // -- beneath.cc --
  // With the object's stripe held: whether the journal has a record of it, as it must before it is changed; else fails
  // with `need` filled.
  // `room`: of the journal, for the record of that.
  Result<void> Own(const Inode& inode, Need& need, journal::Room room = journal::Room::kOrdinary) {
    if (inode.upper) return {};
    need.room = room;
    return need.The(Need::Kind::kCopyUp, inode);
  }
  // Makes an object of the layers the upper's own, with the name that leads to it, and the directory that holds that.
  // Nothing that clients see changes.
  Result<void> CopyUp(const OpContext& caller, const ObjectId& id, journal::Room room);
  struct LowerPlace {
    ObjectId id;
    ObjectId
        directory;  // ino kNoInode where no name is to be kept: of the root, of directories, of one with several links
    std::string name;
  };
  Result<void> CopyUpAt(const OpContext& context, const LowerPlace& place, journal::Room room);

  // -- write.cc --
  // Appends the change, with the request that it serves and what it made for it; then all that it touches is changed by
  // the caller.
  Result<journal::Appended> Log(const OpContext& context, journal::Change& change, const Inode* made = nullptr);
  Result<void> SetUnderLock(const OpContext& context, Inode& inode, const SetAttributes& set, std::optional<Time> guard,
                            Mutation& mutation, Need& need);
  void CommitNameSpace(Mutation& mutation, Lsn lsn) const;
  // For an answer that promises what was so already. `changed`: of the name or the inode that shows it; 0 where that
  // has not changed since it was loaded, and so was durable then.
  void CommitFound(Mutation& mutation, Lsn changed) const;    // of a call that changes the name space
  void CommitWritten(Mutation& mutation, Lsn changed) const;  // of COMMIT and its like

  // -- create.cc --
  struct NewObject {
    journal::RecordKind kind = journal::RecordKind::kCreate;
    FileType type = FileType::kRegular;
    std::uint32_t default_mode = 0644;
    DeviceNumber device;
    std::string_view target;
    CreateVerifier verifier{};
  };
  Result<Entry> Make(const OpContext& context, const ObjectId& directory, std::string_view name, const NewObject& what,
                     const SetAttributes& set, Mutation& mutation);
  // With the stripes of the directory and of `ino` held, and the name known to be invisible.
  Result<Entry> MakeUnderLock(const OpContext& context, Inode& directory, std::uint64_t hash, std::string_view name,
                              const NameSlot* slot, InodeNumber ino, const NewObject& what, const SetAttributes& set,
                              Mutation& mutation, Need& need);
  // As it will be once the record of it is written.
  std::unique_ptr<Inode> NewInode(const NewObject& what, InodeNumber ino, const Ownership& owned,
                                  const SetAttributes& set, Time now, const Inode& directory) const;
  InodeNumber NewNumber() { return InodeNumber(next_ino_.fetch_add(1, std::memory_order_relaxed)); }

  // -- remove.cc --
  // Removes the entry `name` (its slot is visible, its `beneath` known) from the directory in memory, as the record
  // that ends at `end` does.
  void DropEntry(Inode& directory, std::uint64_t hash, std::string_view name, Lsn end);
  static journal::EntryEffect DropEffect(const Inode& directory, std::string_view name, const NameSlot& slot);
  // Fills need unless it is known whether a layer has the name too.
  Result<void> KnowBeneath(Inode& directory, std::string_view name, const NameSlot& slot, Need& need);
  // One link of `child` goes: what the record says of it, and what becomes of it.
  static void AddUnlink(journal::Change& change, Inode& child, Time now);
  void TakeUnlink(Inode& child, Time now, Lsn end);
  void TellOfRemoval(const ObjectId& id) STRATA_EXCLUDES(watch_mutex_);
  Result<void> RemoveName(const OpContext& context, const ObjectId& directory, std::string_view name,
                          bool want_directory, Mutation& mutation);

  // -- rename.cc --
  struct RenameRequest {
    ObjectId from_directory;
    std::string_view from;
    std::uint64_t from_hash;
    ObjectId to_directory;
    std::string_view to;
    std::uint64_t to_hash;
    bool same_directory() const { return from_directory.ino == to_directory.ino; }
  };
  // What a rename has found out so far, from one start-over to the next.
  struct RenameState {
    InodeNumber source;            // what `from` leads to
    InodeNumber target;            // what `to` leads to; kNoInode where nothing is replaced
    InodeNumber ancestry_checked;  // the source that is known not to hold the target directory
    bool ancestry_wanted = false;
    Emptiness emptiness;  // of the directory that is replaced
  };
  // What a rename takes hold of, under its locks.
  struct Renamed {
    Inode* source_parent = nullptr;
    Inode* target_parent = nullptr;
    NameSlot* source_slot = nullptr;
    NameSlot* target_slot = nullptr;  // null where nothing has the name
    Inode* source = nullptr;
    Inode* target = nullptr;  // null where nothing is replaced
  };
  Result<void> RenameUnderLock(const OpContext& context, const RenameRequest& request, RenameState& state,
                               Mutation& mutation, StripeLock& lock, Need& need);
  // All but what is replaced.
  Result<Renamed> FindRenamed(const OpContext& context, const RenameRequest& request, RenameState& state,
                              Mutation& mutation, StripeLock& lock, Need& need);
  // Whether the directory that is renamed may have that place.
  Result<void> MayMoveDirectory(const OpContext& context, const RenameRequest& request, const Renamed& renamed,
                                RenameState& state);
  // What is replaced; null where nothing is. Fails where it may not be.
  Result<Inode*> FindReplaced(const OpContext& context, const RenameRequest& request, const Renamed& renamed,
                              RenameState& state, Need& need);
  Result<void> LogRename(const OpContext& context, const RenameRequest& request, const Renamed& renamed,
                         Mutation& mutation);
  // kInvalid if `ancestor` is `directory` or above it. Holds no stripe.
  Result<void> CheckNotBeneath(const OpContext& context, InodeNumber ancestor, const ObjectId& directory);

  // -- open.cc --
  Result<void> TakeLock();
  Result<void> Rebase(const std::vector<Resolution>& found);
  Result<void> CheckNothingLiesOver(const std::vector<bool>& moved);
  void NoteChange();
  // Before `inode` is marked as changed: counts what then cannot be dropped, the inode and `more` bytes that hang on
  // it.
  void NoteDirty(const Inode& inode, std::size_t more = 0) {
    if (!keeper_->Counted(inode.changed)) more += inode.OwnFootprint();
    if (more > 0) keeper_->NoteDirty(more);
  }
  void Take(const Touched& touched, Lsn end, std::size_t more = 0) {
    NoteDirty(*touched.inode, more);
    touched.Take(end);
  }
  // Drops what can be dropped from the cache.
  void Relieve();

  // -- move.cc: Cleaner::Volume --
  Result<void> MoveInode(InodeNumber ino, Cleaner::What what) override;
  Result<void> MoveEntry(InodeNumber directory, std::string_view name, Cleaner::What what) override;
  Result<bool> MoveTruncation(InodeNumber ino, std::uint64_t size) override;
  Result<bool> DataLives(const journal::RecordView& record, const journal::DataEffect& effect) override;
  Result<void> MoveData(const journal::RecordView& record, const journal::DataEffect& effect) override;
  Result<void> MoveRequest(const journal::RequestEffect& request) override;
  Result<Lsn> LogBegin(Lsn begin) override;
  std::uint64_t moved_bytes() const override { return moved_bytes_; }
  // Runs `body(Inode&, Need&)` with the inode of the upper; kStale if it is gone.
  template <typename Body>
  Result<void> RunMove(InodeNumber ino, Body body);
  Result<journal::Appended> LogMove(journal::Change& change);

  Time Now() const { return env_.Now(); }

  Env& env_;
  const std::string path_;
  const WorkspaceConfig config_;
  const WorkspaceOptions options_;
  const MemoryBudget budget_;
  VolumeInfo volume_;
  ObjectId root_;
  std::unique_ptr<File> lock_file_;
  LowerTree lower_;
  bool shares_numbers_ = false;  // LayerTraits::shares_numbers
  std::unique_ptr<journal::ChangeLog> journal_;
  std::unique_ptr<store::Index> index_;  // null for a reader of a workspace that was never served
  std::unique_ptr<Keeper> keeper_;       // null for a reader
  InodeTable table_;
  Loader loader_;
  WriteVerifier verifier_{};
  Generation generation_;  // of what is made by this process
  std::atomic<std::uint64_t> next_ino_{2};
  std::deque<FoundRequest> past_requests_;  // until they are asked for
  // Renames of directories across directories, one at a time: ancestry stands still meanwhile.
  Mutex rename_mutex_;

  std::atomic<bool> watched_{false};
  Mutex watch_mutex_;  // after the stripes
  std::shared_ptr<RemovalWatch> watch_ STRATA_GUARDED_BY(watch_mutex_);

  std::uint64_t moved_bytes_ = 0;  // by the cleaner alone, which does one thing at a time
  std::optional<Cleaner> cleaner_;
};

template <typename Body>
auto WorkspaceImpl::Run(const OpContext& context, Body body)
    -> decltype(body(std::declval<StripeLock&>(), std::declval<Need&>())) {
  return RunUnderLocks(table_, std::move(body), [&](Need& need) -> Result<void> {
    STRATA_TRY(Supply(context, need));
    if (table_.over_budget()) Relieve();
    return {};
  });
}

template <typename Body>
auto WorkspaceImpl::RunChange(const OpContext& context, Body body)
    -> decltype(body(std::declval<StripeLock&>(), std::declval<Need&>())) {
  // A journal that has failed takes nothing more: what it holds is served until the workspace is opened anew.
  if (volume_.read_only || journal_->failed()) return Fail(Errc::kReadOnly);
  if (keeper_->FarBehind()) {
    if (!context.may_block) return Fail(Errc::kWouldBlock);
    STRATA_TRY(keeper_->AwaitRoom());
  }
  auto result = Run(context, std::move(body));
  NoteChange();
  return result;
}

}  // namespace strata::vfs
