// WorkspaceImpl: Workspace as it is. Its parts:
//   open.cc     opening, recovery, closing          load.cc           bringing objects and names into memory
//   read.cc     attributes, lookup, file data       write.cc          SETATTR, WRITE, COMMIT
//   names.cc    names of directories in memory      list.cc           READDIR; whether a directory is empty
//   beneath.cc  layers that change; copying up
//   create.cc   CREATE and its like, LINK           remove.cc         REMOVE, RMDIR, RENAME
//   move.cc     writing anew what lives             changes.cc        `strata diff`
//   extents.cc  extents of large files
//   opening.{h,cc}   journal and index, opened and put together    keeper.{h,cc}    checkpoints, and who waits for them
//   conflicts.cc     `strata diff --conflicts`
//   cleaner.{h,cc}   giving up journal segments                    checkpointer.{h,cc}   the journal's way into the
//   index replay.{h,cc}    the journal's tail into memory, for a reader beside the server
//
// The shape of a call: take the locks, look. If all is in memory, check, write one record into the journal, change the
// inodes, answer. If something is missing, say what (Need), let go of the locks, fetch it (Supply), start over. So no
// lock is held over a disk, and a call that may not wait (OpContext::may_block) fails with kWouldBlock before it has
// changed anything.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "journal/journal.h"
#include "journal/record.h"
#include "store/index/index.h"
#include "vfs/layer/lower_tree.h"
#include "vfs/workspace/cleaner.h"
#include "vfs/workspace/inode_table.h"
#include "vfs/workspace/keeper.h"
#include "vfs/workspace/number_filter.h"
#include "vfs/workspace/past_requests.h"
#include "vfs/workspace/workspace.h"

namespace strata::vfs {

// A stretch of what the index holds of a directory's own entries, for a call that lists one which is not loaded. What
// is in memory is newer.
struct OwnPage {
  std::uint64_t first = 0;  // of the hashes
  std::uint64_t last = 0;   // all up to and with this hash, if not `end`
  bool end = false;         // all there are
  bool loaded = false;
  Lsn read_at;                             // the index's position was at least this
  std::vector<store::IndexEntry> entries;  // in directory order

  bool Covers(std::uint64_t hash) const { return loaded && hash >= first && (end || hash <= last); }
};

// Whether a directory shows nothing, found out without its lock.
struct Emptiness {
  std::uint64_t serial = 0;  // of the inode, 0: not known
  Lsn changed;               // the inode's, throughout
  bool empty = false;
};

// What a call found missing in memory.
struct Need {
  enum class Kind : std::uint8_t {
    kNothing,
    kAgain,      // nothing: the guess of what to lock was wrong, or an object went away meanwhile
    kObject,     // the object `id`
    kChild,      // the object that `slot` of the directory leads to
    kEntries,    // the upper's own entries of the directory `id`
    kName,       // what the upper and the layers say of `name` in the directory `id`, which is large
    kLowerName,  // what the layers say of `name` in the directory `id`; the upper says nothing, or that is in memory
    kOwnPage,    // the upper's own entries of the large directory `id` from own_page->first on
    kEmptiness,  // whether the large directory `id` shows no entry
    kListing,    // the layers' merged listing of the directory `id`
    kExtents,    // what the index holds of the large file `id` from `from` to `to`, or some of it
    kRoom,       // a checkpoint, so that others need not wait for one
    kCount,      // how many bytes the extents of the large file `id` have from `from` to `to`
    kRecheck,    // whether what is remembered of the layers' part of `id` still holds
    kCopyUp,     // `id` as the upper's own
  };
  Kind kind = Kind::kNothing;
  ObjectId id;
  bool any_generation = false;  // kObject: only the number is known
  bool upper_only = false;      // kObject: kStale where the upper does not hold it; no layer is asked
  bool seen = false;            // kChild: the slot is of a moment ago; kStale if it leads nowhere any more
  std::string_view name;
  NameSlot slot;
  std::shared_ptr<const LowerNode> lower;         // of the directory; null where it is not to be asked
  std::int64_t lower_since = 0;                   // of the directory
  journal::Room room = journal::Room::kOrdinary;  // kCopyUp
  std::int64_t* began = nullptr;                  // when the call began, in CLOCK_MONOTONIC; 0 until it is wanted
  OwnPage* own_page = nullptr;
  Emptiness* emptiness = nullptr;
  std::uint64_t from = 0, to = 0;

  std::unexpected<Status> Again() {
    kind = Kind::kAgain;
    return Fail(Errc::kWouldBlock);
  }
  std::unexpected<Status> Object(const ObjectId& object) {
    kind = Kind::kObject;
    id = object;
    return Fail(Errc::kWouldBlock);
  }
  std::unexpected<Status> Number(InodeNumber ino) {
    any_generation = true;
    return Object({ino, Generation(0), 0});
  }
  std::unexpected<Status> Upper(InodeNumber ino) {
    upper_only = true;
    return Number(ino);
  }
  std::unexpected<Status> Of(Kind what, const Inode& directory, std::string_view name_within = {}) {
    kind = what;
    id = directory.id();
    if (!directory.directory->upper_only) lower = directory.lower;
    lower_since = directory.directory->lower_since;
    name = name_within;
    return Fail(Errc::kWouldBlock);
  }
  std::unexpected<Status> Room() {
    kind = Kind::kRoom;
    return Fail(Errc::kWouldBlock);
  }
  std::unexpected<Status> Range(Kind what, const Inode& file, std::uint64_t range_from, std::uint64_t range_to) {
    kind = what;
    id = file.id();
    from = range_from;
    to = range_to;
    return Fail(Errc::kWouldBlock);
  }
  std::unexpected<Status> The(Kind what, const Inode& object) {
    kind = what;
    id = object.id();
    return Fail(Errc::kWouldBlock);
  }
  std::unexpected<Status> Child(const ObjectId& directory, std::shared_ptr<const LowerNode> directory_lower,
                                std::string_view name_within, const NameSlot& leads_to) {
    kind = Kind::kChild;
    id = directory;
    lower = std::move(directory_lower);
    name = name_within;
    slot = leads_to;
    return Fail(Errc::kWouldBlock);
  }
};

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
  void AddTo(journal::RecordWriter& writer) const;
  void Take(Lsn end) const;
};

class WorkspaceImpl final : public Workspace, private Cleaner::Volume {
 public:
  WorkspaceImpl(Env& env, std::string path, WorkspaceConfig config, std::vector<std::unique_ptr<Layer>> layers,
                const WorkspaceOptions& options);
  ~WorkspaceImpl() override;
  Result<void> Start();

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
  Result<void> Flush() override;
  void Sync(Lsn lsn, std::move_only_function<void(Result<void>)> done) override;

  Result<void> Checkpoint() override;
  Result<void> GiveUpHistory(const HistoryPolicy& policy) override;
  Lsn journal_end() const override { return journal_->end(); }
  std::size_t cache_bytes() const override { return table_.bytes(); }
  Result<std::vector<PathChange>> Changes() override;
  Result<std::vector<Conflict>> Conflicts() override;

 private:
  friend class MemoryReplay;
  friend class ChangeFinder;
  friend class ConflictFinder;

  // How often a call starts over before it gives up with kJukebox: far beyond what any contention does.
  static constexpr int kMaxAttempts = 1000;
  // Who writes to a file of more than kFewExtents waits for a checkpoint at so much of what makes all others wait: they
  // are not held up by what one file takes.
  static constexpr double kLargeFilesPart = 0.75;
  // After so many attempts a call keeps the evictor away until it is through.
  static constexpr int kPatience = 8;

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
  // Fills `room` with what the layer's file holds, which has to be of `version`.
  Result<void> ReadBeneath(const OpContext& context, const LowerNode& lower, const LayerVersion& version,
                           std::uint64_t offset, MutableByteSpan room);

  // -- names.cc --
  // With the directory's stripe held: the slot of `name`, null where nothing has it. The slot may be a whiteout or
  // kAbsent.
  Result<NameSlot*> FindName(Inode& directory, std::uint64_t hash, std::string_view name, Need& need);
  // As FindName, but null unless visible.
  Result<NameSlot*> FindVisible(Inode& directory, std::uint64_t hash, std::string_view name, Need& need);
  // With the directory's stripe held: the name is `slot` since the record that ends at `end`. The caller counts it in
  // Take.
  void SetName(Inode& directory, std::uint64_t hash, std::string_view name, NameSlot slot, Lsn end);
  Result<void> LoadEntries(const ObjectId& directory);
  Result<void> LoadName(const Need& need);
  Result<void> LoadListing(const Need& need);
  // Puts into the directory's filter, which it makes, all names that the index holds of it.
  Result<void> FillFilter(const ObjectId& directory);

  // -- list.cc --
  // With the stripe held: whether the directory's names can be walked from `position` on; else fails with `need`
  // filled.
  Result<void> CanWalk(Inode& directory, std::uint64_t position, bool with_layers, OwnPage& own, Need& need);
  Result<void> LoadOwnPage(const Need& need);
  Result<void> FindEmptiness(const Need& need);
  // Whether the directory shows no entry. `known` is the call's own, kept from one start-over to the next.
  Result<bool> IsEmptyDirectory(Inode& directory, Emptiness& known, Need& need);
  // Calls visit for each entry and whiteout of the upper's own in the directory.
  Result<void> VisitOwn(const ObjectId& directory, const std::function<void(std::string_view, const NameSlot&)>& visit);

  // -- load.cc --
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
  // As Get, and kNotDirectory for anything else.
  Result<Inode*> GetDirectory(const ObjectId& id, Need& need);
  // With the child's stripe held too.
  Result<Inode*> GetChild(const Inode& directory, std::string_view name, const NameSlot& slot, Need& need);
  Result<void> Supply(Need& need);
  Result<void> LoadObject(const ObjectId& id, bool any_generation, bool upper_only = false);
  Result<void> LoadChild(const Need& need);
  // The object of the index; null where it has none.
  Result<std::unique_ptr<Inode>> FromIndex(InodeNumber ino);
  // Of what lies in the directory `directory` and is known by `number`. `asked`: when the layers were asked for
  // `found`.
  Result<std::unique_ptr<Inode>> FromLower(const LowerFound& found, InodeNumber number, InodeNumber directory,
                                           std::int64_t asked);
  // kStale where the upper hides what the layers show as `name` in `parent`; else the number of `parent`.
  Result<InodeNumber> CheckShown(const LowerNode& parent, std::string_view name, InodeNumber ino);
  // Puts a loaded inode into the table unless it is there already; false: what was read may be outdated, read again.
  // `read_at`: IndexPosition() before it was read.
  bool Adopt(std::unique_ptr<Inode> inode, Lsn read_at);
  // The same for what was made of `found`, unless it is there under `other`, its other number (or kNoInode), or a
  // living object of the upper has its place.
  void AdoptLower(std::unique_ptr<Inode> inode, const LowerFound& found, InodeNumber other, Lsn read_at);
  Lsn IndexPosition() const { return keeper_ ? keeper_->position() : reader_position_; }
  // Who bears a number, in the upper or in memory.
  enum class Bearer : std::uint8_t {
    kNone,
    kThis,     // the object in question
    kRemoved,  // the same, but the upper has removed it
    kOther,    // one that lives on in the upper
  };
  Result<Bearer> BearerOf(InodeNumber number, const LowerFound& found, std::int64_t asked);
  // By which of its numbers an object of the layers is known (vfs/layer/lower_tree.h). kNoInode: by none, and it is not
  // shown.
  struct Choice {
    InodeNumber number = kNoInode;
    InodeNumber other = kNoInode;
    bool make = false;  // it is neither in memory nor in the upper
  };
  // `wanted`: a number by which it was known, if there is the choice.
  Result<Choice> Choose(const LowerFound& found, std::int64_t asked, InodeNumber wanted);
  Result<InodeNumber> NumberOf(const LowerFound& found);
  Result<InodeNumber> NumberOf(const LowerNode& directory);
  // Loads what a name in `directory` leads to in the layers, by the index, else by `found`, and adopts it. kNoInode:
  // the name is not shown, since the upper has removed that object.
  Result<InodeNumber> LoadLower(const LowerFound& found, InodeNumber directory, std::int64_t asked,
                                InodeNumber wanted = kNoInode);

  // -- beneath.cc --
  // Whether `found` is the object that `inode` was made of.
  static bool IsSame(const Inode& inode, const LowerFound& found);
  // With the object's stripe held: takes over what the layers say of it now.
  void Refresh(Inode& inode, const LowerFound& found, std::int64_t asked);
  Result<void> Recheck(const ObjectId& id);
  // Whether a change at that time may be followed by another one that bears the same time.
  bool IsFresh(Time changed) const;
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
  Result<void> CopyUp(const ObjectId& id, journal::Room room);
  struct LowerPlace {
    ObjectId id;
    ObjectId
        directory;  // ino kNoInode where no name is to be kept: of the root, of directories, of one with several links
    std::string name;
  };
  Result<void> CopyUpAt(const LowerPlace& place, journal::Room room);

  // -- extents.cc --
  // With the file's stripe held: all extents in [from, to) are in memory; else fails with `need` filled.
  static Result<void> KnowExtents(Inode& file, std::uint64_t from, std::uint64_t to, Need& need);
  // With the file's stripe held: it can be truncated to `size`, which is less than it has.
  static Result<void> KnowForTruncation(Inode& file, std::uint64_t size, Need& need);
  Result<void> LoadExtents(const Need& need);
  Result<void> CountExtents(const Need& need) STRATA_EXCLUDES(count_mutex_);

  // -- write.cc --
  // Appends the record, with the request that it serves and what it made for it; then all that it touches is changed by
  // the caller. `room`: kReserve for what makes room on a full disk.
  Result<journal::Appended> Log(const OpContext& context, journal::RecordWriter& writer, ByteSpan payload = {},
                                const Inode* made = nullptr, journal::Room room = journal::Room::kOrdinary);
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
  InodeNumber NewNumber() { return InodeNumber(next_ino_.fetch_add(1, std::memory_order_relaxed)); }

  // -- remove.cc --
  // Removes the entry `name` (its slot is visible, its `beneath` known) from the directory in memory, as the record
  // that ends at `end` does.
  void DropEntry(Inode& directory, std::uint64_t hash, std::string_view name, Lsn end);
  static journal::EntryEffect DropEffect(const Inode& directory, std::string_view name, const NameSlot& slot);
  // Fills need unless it is known whether a layer has the name too.
  Result<void> KnowBeneath(Inode& directory, std::string_view name, const NameSlot& slot, Need& need);
  // One link of `child` goes: what the record says of it, and what becomes of it.
  static void AddUnlink(journal::RecordWriter& writer, Inode& child, Time now);
  void TakeUnlink(Inode& child, Time now, Lsn end);
  Result<void> RemoveName(const OpContext& context, const ObjectId& directory, std::string_view name,
                          bool want_directory, Mutation& mutation);
  // What a rename has found out so far, from one start-over to the next.
  struct RenameState {
    InodeNumber source;            // what `from` leads to
    InodeNumber target;            // what `to` leads to; kNoInode where nothing is replaced
    InodeNumber ancestry_checked;  // the source that is known not to hold the target directory
    bool ancestry_wanted = false;
    Emptiness emptiness;  // of the directory that is replaced
  };
  Result<void> RenameUnderLock(const OpContext& context, const ObjectId& from_directory, std::string_view from,
                               const ObjectId& to_directory, std::string_view to, RenameState& state,
                               Mutation& mutation, StripeLock& lock, Need& need);
  // kInvalid if `ancestor` is `directory` or above it. Holds no stripe.
  Result<void> CheckNotBeneath(const OpContext& context, InodeNumber ancestor, const ObjectId& directory);

  // -- open.cc --
  Result<void> TakeLock();
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
  // Runs `body(Inode&, Need&)` with the inode of the upper; kStale if it is gone.
  template <typename Body>
  Result<void> RunMove(InodeNumber ino, Body body);
  Result<journal::Appended> LogMove(journal::RecordWriter& writer, ByteSpan payload = {});

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
  std::unique_ptr<journal::Journal> journal_;
  std::unique_ptr<store::Index> index_;  // null for a reader of a workspace that was never served
  std::unique_ptr<Keeper> keeper_;       // null for a reader
  Lsn reader_position_;                  // what the index covers, for a reader
  // Which of the layers' numbers the upper holds, and which are known by another.
  const std::unique_ptr<NumberFilter> copied_up_ = std::make_unique<NumberFilter>();
  InodeTable table_;
  WriteVerifier verifier_{};
  Generation generation_;  // of what is made by this process
  std::atomic<std::uint64_t> next_ino_{2};
  std::deque<FoundRequest> past_requests_;  // until they are asked for
  Mutex count_mutex_;                       // before the stripes; held over reads of the index
  // Renames of directories across directories, one at a time: ancestry stands still meanwhile.
  Mutex rename_mutex_;

  std::optional<Cleaner> cleaner_;
};

template <typename Body>
auto WorkspaceImpl::Run(const OpContext& context, Body body)
    -> decltype(body(std::declval<StripeLock&>(), std::declval<Need&>())) {
  std::optional<InodeTable::Hold> hold;
  std::int64_t began = 0;
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    if (attempt == kPatience) hold.emplace(table_);
    Need need;
    need.began = &began;
    {
      StripeLock lock(table_);
      auto result = body(lock, need);
      if (need.kind == Need::Kind::kNothing) return result;
    }
    if (need.kind == Need::Kind::kAgain) continue;
    if (!context.may_block) return Fail(Errc::kWouldBlock);
    STRATA_TRY(Supply(need));
    if (table_.over_budget()) Relieve();
  }
  return Fail(Errc::kJukebox);
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
