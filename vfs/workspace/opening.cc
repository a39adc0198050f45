#include "vfs/workspace/opening.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "vfs/layer.h"
#include "vfs/workspace/index_file.h"

namespace strata::vfs {

Result<void> Opening::OpenIndex(Opened& opened) {
  const std::string file = IndexPath(path_);
  const auto mode = options_.read_only ? store::IndexMode::kReadOnly : store::IndexMode::kReadWrite;
  const store::IndexMemory memory{budget_.index_written_pages, budget_.index_read_pages};
  if (!options_.read_only && IsIndexMarkedDamaged(env_, path_)) {
    log::Warning("index_damaged", {{"file", file},
                                   {"found", "when it was last used"},
                                   {"then", "rebuilding it from the journal"},
                                   {"kept_as", DamagedIndexPath(path_)}});
    STRATA_TRY(MoveIndexAside(env_, path_));
  }
  auto index = store::Index::Open(file, mode, config_.volume_id, memory);
  if (options_.read_only) {
    if (index) {
      opened.index = std::move(*index);
    } else if (index.error().code() != Errc::kNotFound) {
      return Fail(index.error().WithContext("opening " + file));
    }
    return {};  // never served: all there is lies in the journal
  }
  if (!index && index.error().code() == Errc::kCorrupt) {
    log::Warning("index_damaged", {{"file", file},
                                   {"error", index.error()},
                                   {"then", "rebuilding it from the journal"},
                                   {"kept_as", DamagedIndexPath(path_)}});
    STRATA_TRY(MoveIndexAside(env_, path_));
    index = store::Index::Open(file, mode, config_.volume_id, memory);
  }
  if (!index && index.error().code() == Errc::kNoSpace) {
    return Fail(Errc::kNoSpace,
                "opening " + file + ": " + std::string(index.error().message()) +
                    "; nothing is lost: free space on its disk, or look at it meanwhile with --read-only");
  }
  if (!index) return Fail(index.error().WithContext("opening " + file));
  opened.index = std::move(*index);
  return {};
}

Result<void> Opening::CheckBegin(const journal::ChangeLog& journal, const store::Index::Checkpoint& checkpoint) const {
  if (journal.begin().value <= checkpoint.journal_begin.value + journal::kSegmentHeaderBytes) return {};
  return Fail(Errc::kCorrupt, "the first segments of the journal of " + path_ + " are missing: it begins at position " +
                                  std::to_string(journal.begin().value) + ", and all before " +
                                  std::to_string(checkpoint.journal_begin.value) + " may be; put them back into " +
                                  path_ + "/journal, or go on with what the rest of it holds: strata check --repair " +
                                  path_);
}

Result<void> Opening::CheckBelongTogether(journal::ChangeLog& journal,
                                          const store::Index::Checkpoint& checkpoint) const {
  const std::string what_to_do =
      "; restore " + path_ + "/journal as it was, or go on with what the journal in it holds: strata check --repair " +
      path_;
  if (checkpoint.lsn > journal.end()) {
    return Fail(
        Errc::kCorrupt,
        "the index of " + path_ + " is ahead of its journal: segments or records are missing at the end" + what_to_do);
  }
  if (checkpoint.lsn.value != 0) STRATA_TRY(CheckBegin(journal, checkpoint));
  if (checkpoint.record.value == 0) return {};
  STRATA_ASSIGN(const std::optional<journal::RecordView> record, journal.NextHead(checkpoint.record));
  if (!record || record->begin != checkpoint.record || record->check != checkpoint.record_check) {
    return Fail(Errc::kCorrupt,
                "the index of " + path_ + " was made from another journal than the one beside it" + what_to_do);
  }
  return {};
}

// What removals and the cleaner may use once the disk is full: enough to write anew what lives in a segment, and for a
// checkpoint.
std::uint64_t Opening::ReserveBytes() const {
  constexpr std::uint64_t kMost = 128 << 20;
  constexpr std::uint64_t kPartOfDisk = 16;
  const auto space = env_.SpaceOf(path_);
  return space ? std::min(kMost, space->total / kPartOfDisk) : 0;
}

Result<void> Opening::OpenJournal(Opened& opened) {
  journal::JournalOptions options;
  if (!options_.read_only) options.reserve_bytes = ReserveBytes();
  if (options_.durability == Durability::kRelaxed) options.sync_interval_ns = options_.relaxed_interval_ns;
  options.volume_id = config_.volume_id;
  options.read_only = options_.read_only;
  options.mapped_bytes = budget_.journal_pages;
  options.on_failure = [path = path_](const Status& status) {
    log::Error("journal_failed",
               {{"workspace", path},
                {"error", status},
                {"meaning", "nothing is changed any more, and clients are told to send again what was not durable"},
                {"hint", "look after its disk, then start the server again"}});
  };
  if (opened.index) {
    STRATA_ASSIGN(const store::Index::Checkpoint checkpoint, opened.index->LastCheckpoint());
    if (checkpoint.record.value != 0) options.known = {checkpoint.record, checkpoint.record_check};
  }
  STRATA_ASSIGN(opened.journal, journal::Journal::Open(env_, path_ + "/journal", options));
  const journal::ChangeLog& journal = *opened.journal;
  if (journal.end().value == journal::kSegmentHeaderBytes) {
    return Fail(Errc::kCorrupt,
                "the journal in " + path_ +
                    "/journal is empty, and has not even the record of the workspace's making; restore it from a copy");
  }
  if (journal.cut_bytes() != 0 || journal.cut_segments() != 0) {
    log::Warning("journal_tail_cut",
                 {{"workspace", path_},
                  {"position", journal.end().value},
                  {"bytes", journal.cut_bytes()},
                  {"segments", journal.cut_segments()},
                  {"meaning", "it was not whole; as far as the journal tells, nothing answered as durable was in it"}});
  }
  return {};
}

Result<void> Opening::Recover(Opened& opened, const store::Index::Checkpoint& checkpoint) {
  KeeperOptions options;
  options.checkpoint_bytes = options_.checkpoint_bytes;
  options.checkpoint_records = options_.checkpoint_records;
  options.dirty_bytes = budget_.dirty;
  options.quiet_ns = options_.quiet_checkpoint_ns;
  options.behind_ns = options_.behind_checkpoint_ns;
  opened.keeper = std::make_unique<Keeper>(
      env_, *opened.journal, *opened.index,
      Checkpointer(*opened.journal, *opened.index, config_.name_key, copied_up_, checkpoint, budget_.index_batch),
      options, path_);
  if (auto recovered = opened.keeper->Checkpoint(); !recovered) {
    if (recovered.error().code() != Errc::kNoSpace) return recovered;
    return Fail(Errc::kNoSpace, std::string(recovered.error().message()) +
                                    "; nothing is lost: free space on the disk of " + path_ +
                                    ", or look at it meanwhile with --read-only");
  }
  STRATA_ASSIGN(const store::Index::Checkpoint reached, opened.index->LastCheckpoint());
  STRATA_TRY(CheckBegin(*opened.journal, reached));  // an index that was made anew knows only now
  STRATA_TRY(opened.index->LoadInode(kRootInode));   // if the index cannot tell this, it is found damaged here
  opened.next_ino = InodeNumber(std::max<std::uint64_t>(2, reached.highest_ino.value + 1));
  STRATA_ASSIGN(PastRequestsFound found, FindPastRequests(*opened.journal, reached.requests, reached.record));
  opened.keeper->KnowRequests(found);
  opened.past_requests = std::move(found.requests);
  return {};
}

Result<void> Opening::OpenAll(Opened& opened) {
  // A reader beside the server takes the index first: what it does not hold is then in the journal, whatever is
  // checkpointed meanwhile.
  STRATA_TRY(OpenIndex(opened));
  STRATA_TRY(OpenJournal(opened));
  if (!opened.index) return {};
  STRATA_ASSIGN(const store::Index::Checkpoint checkpoint, opened.index->LastCheckpoint());
  STRATA_TRY(CheckBelongTogether(*opened.journal, checkpoint));
  opened.position = checkpoint.lsn;
  STRATA_TRY(
      opened.index->VisitNumbers(InodeNumber(1ULL << kLayerIdBits), [&](InodeNumber ino) { copied_up_.Add(ino); }));
  return options_.read_only ? Result<void>() : Recover(opened, checkpoint);
}

Result<Opened> Opening::Run() {
  Opened opened;
  auto done = OpenAll(opened);
  if (done) return opened;
  // What else does not check cannot be mended here.
  const bool mendable = done.error().code() == Errc::kCorrupt && !options_.read_only && opened.index;
  if (!mendable || (!opened.index->damaged() && opened.index->Check())) return Fail(done.error());
  log::Warning("index_damaged", {{"file", IndexPath(path_)},
                                 {"error", done.error()},
                                 {"then", "rebuilding it from the journal"},
                                 {"kept_as", DamagedIndexPath(path_)}});
  opened = Opened();
  STRATA_TRY(MoveIndexAside(env_, path_));
  STRATA_TRY(OpenAll(opened));
  return opened;
}

}  // namespace strata::vfs
