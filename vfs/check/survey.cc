#include "vfs/check/survey.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "vfs/check/tree.h"
#include "vfs/workspace/index_file.h"

namespace strata::vfs {
namespace {

constexpr const char* kRestore = "restore the file from a copy, or drop what cannot be read: strata check --repair";
constexpr std::size_t kMostLostKept = 100'000;
constexpr std::size_t kMostLostNamed = 20;

// The place of a journal position, for people.
std::string At(Lsn position) { return "journal position " + std::to_string(position.value); }

}  // namespace

// What a record touches.
class Survey::Effects final : public journal::EffectVisitor {
 public:
  explicit Effects(Survey& survey, bool lost) : survey_(survey), lost_(lost) {}
  Result<void> On(const InodeRecord& inode) override { return Touches(inode.ino); }
  Result<void> On(const journal::TouchEffect& e) override { return Touches(e.ino); }
  Result<void> On(const journal::DataEffect& e) override { return Touches(e.ino); }
  Result<void> On(const journal::TruncateEffect& e) override { return Touches(e.ino); }
  Result<void> On(const journal::PurgeEffect& e) override { return Touches(e.ino); }
  Result<void> On(const journal::EntryEffect& e) override {
    if (lost_ && e.ino != kNoInode && survey_.lost_names_.size() < kMostLostKept) survey_.lost_names_[e.ino] = e.name;
    return Touches(e.ino == kNoInode ? e.directory : e.ino);
  }
  Result<void> On(const journal::BeginEffect& e) override {
    survey_.begin_allowed_ = std::max(survey_.begin_allowed_, e.begin);
    return {};
  }

 private:
  Result<void> Touches(InodeNumber ino) {
    if (lost_ && survey_.lost_inodes_.size() < kMostLostKept) survey_.lost_inodes_.insert(ino);
    return {};
  }

  Survey& survey_;
  const bool lost_;
};

Result<void> Survey::Run() {
  STRATA_ASSIGN(scratch_, Scratch::Make(env_, path_, options_.temporary_folder));
  STRATA_TRY(OpenIndex());
  STRATA_TRY(ReadJournal());
  JudgeIndex();
  if (journal_readable()) {
    auto replayed = Replay();
    if (!replayed && replayed.error().code() != Errc::kCorrupt) return replayed;
    if (!replayed) {
      findings_.Add(Severity::kDamage, path_ + "/journal",
                    "the journal cannot be replayed: " + std::string(replayed.error().message()));
      fresh_.reset();
    }
  }
  return CheckWhole();
}

Result<void> Survey::OpenIndex() {
  const std::string file = IndexPath(path_);
  STRATA_ASSIGN(const std::vector<std::string> names, env_.ListDirectory(path_));
  const auto there = [&](const char* name) { return std::ranges::find(names, name) != names.end(); };
  index_there_ = there("index.db");
  if (!index_there_) {
    findings_.Add(Severity::kInformation, file, "there is no index; it is made from the journal at the next start");
    return {};
  }
  Stage("index", 0);
  const MemoryBudget budget = MemoryBudget::Of(options_.memory_bytes);
  // A log without the memory that its users share is only read by who may make that: it is made for a copy.
  const bool log_alone = there("index.db-wal") && !there("index.db-shm");
  if (log_alone) {
    for (const char* suffix : {"", "-wal"}) STRATA_TRY(CopyFile(env_, file + suffix, scratch_->copy() + suffix));
  }
  auto opened = store::Index::Open(log_alone ? scratch_->copy() : file,
                                   log_alone ? store::IndexMode::kReadWrite : store::IndexMode::kInspect,
                                   config_.volume_id, {budget.index_read_pages, budget.index_read_pages});
  if (!opened && opened.error().code() == Errc::kNotSupported) return Fail(opened.error());
  Result<void> sound;
  if (opened) {
    index_ = std::move(*opened);
    sound = index_->Check();
    if (auto checkpoint = index_->LastCheckpoint()) {
      checkpoint_ = *checkpoint;
    } else if (sound) {
      sound = Fail(checkpoint.error());
    }
  } else {
    sound = Fail(opened.error());
  }
  if (sound && IsIndexMarkedDamaged(env_, path_))
    sound = Fail(Errc::kCorrupt, "it was found damaged while it was served");
  if (!sound) {
    findings_.Add(Severity::kDamage, file, "the index is damaged: " + std::string(sound.error().message()),
                  kRebuildIndex);
    index_.reset();
    checkpoint_ = {};
    return {};
  }
  Stage("index", 1);
  index_good_ = true;
  return {};
}

Result<void> Survey::ReadJournal() {
  const std::string directory = path_ + "/journal";
  const auto take = [this](const journal::RecordView& record, bool behind) { TakeRecord(record, behind); };
  auto verified = journal::VerifyJournal(env_, directory, config_.volume_id, take, StageOf("journal"));
  if (!verified && verified.error().code() == Errc::kNotFound) {
    findings_.Add(Severity::kDamage, directory, "there is no journal: without it nothing of the workspace is left",
                  "restore the folder from a copy");
    return {};
  }
  if (!verified) return Fail(verified.error());
  journal_ = std::move(*verified);
  JudgeJournal();
  return {};
}

void Survey::TakeRecord(const journal::RecordView& record, bool behind) {
  Effects effects(*this, behind);
  if (behind) ++lost_records_;
  if (record.begin == checkpoint_.record && record.check == checkpoint_.record_check) record_found_ = true;
  if (auto visited = record.Visit(effects); !visited) {
    if (!undecodable_) undecodable_ = record.begin;
    findings_.Add(Severity::kDamage, path_ + "/journal",
                  "the record at " + At(record.begin) +
                      " checks and cannot be understood: " + std::string(visited.error().message()),
                  "use the version of strata that wrote it");
  }
}

void Survey::JudgeJournal() {
  findings_.Count("journal segments", journal_.segments);
  findings_.Count("journal records", journal_.records + journal_.records_behind);
  findings_.Count("bytes of records", journal_.record_bytes);
  sound_end_ = journal_.end;
  if (undecodable_ && *undecodable_ < sound_end_) sound_end_ = *undecodable_;
  const std::uint64_t base =
      journal_.segment_size == 0 ? 0 : journal_.begin.value / journal_.segment_size * journal_.segment_size;
  const bool told = journal_.faults.empty() || journal_.faults.front().kind != journal::JournalFault::Kind::kHeader ||
                    journal_.faults.front().file != journal_.files.front();
  const bool complete = base <= begin_allowed_.value && (journal_.records > 0 || base == 0);
  begins_right_ = told && complete;
  if (journal_.segment_size != 0 && told && !complete) {
    findings_.Add(Severity::kDamage, path_ + "/journal",
                  "the first segments are missing: it begins at position " + std::to_string(journal_.begin.value) +
                      ", and nothing in it says that those before were given up",
                  "restore them from a copy: what is left cannot be told without them");
  }
  for (const journal::JournalFault& fault : journal_.faults) {
    std::string what = At(fault.position) + ": " + fault.what;
    if (fault.until > fault.position)
      what += "; nothing can be read up to position " + std::to_string(fault.until.value);
    findings_.Add(Severity::kDamage, fault.file, std::move(what), kRestore);
  }
  if (!journal_.faults.empty() && lost_records_ > 0) {
    findings_.Add(Severity::kDamage, path_ + "/journal",
                  std::to_string(lost_records_) +
                      " records behind that check cannot be applied safely without those that are missing",
                  kRestore);
  }
  if (journal_.segment_size != 0 && journal_.records == 0 && journal_.faults.empty() && base == 0) {
    findings_.Add(Severity::kDamage, path_ + "/journal",
                  "the journal is empty, and has not even the record of the workspace's making",
                  "restore the folder from a copy");
  }
  if (journal_.tail_bytes > 0) {
    findings_.Add(Severity::kInformation, journal_.files.back(),
                  std::to_string(journal_.tail_bytes) + " bytes behind " + At(journal_.end) +
                      " are of records that were not whole when the process or the machine stopped; nothing in them "
                      "was answered as durable, and the next "
                      "start cuts them");
  }
}

void Survey::JudgeIndex() {
  if (!index_good_ || journal_.segment_size == 0) return;
  const std::string file = IndexPath(path_);
  // Where the journal was cut by a fault, the index may well know what lay behind.
  if (journal_.faults.empty() && checkpoint_.lsn > journal_.end) {
    index_good_ = false;
    findings_.Add(Severity::kDamage, file,
                  "the index is ahead of the journal: it knows it up to position " +
                      std::to_string(checkpoint_.lsn.value) + ", and it ends at " + std::to_string(journal_.end.value) +
                      "; records are missing at the journal's end",
                  "restore the journal as it was; or go on without what is missing: strata check --repair");
  } else if (checkpoint_.record.value != 0 && !record_found_ &&
             (journal_.faults.empty() || checkpoint_.record < journal_.end)) {
    index_good_ = false;
    findings_.Add(Severity::kDamage, file,
                  "the index was made from another journal than the one beside it: a copy that went another way",
                  "put the journal that belongs to it back; or go on with the one that is here: strata check --repair");
  }
}

Result<void> Survey::Replay() {
  journal::JournalOptions options;
  options.volume_id = config_.volume_id;
  options.read_only = true;
  options.ends_at = sound_end_;
  STRATA_ASSIGN(const auto journal, journal::Journal::Open(env_, path_ + "/journal", options));
  const MemoryBudget budget = MemoryBudget::Of(options_.memory_bytes);
  STRATA_ASSIGN(fresh_, store::Index::Open(scratch_->fresh(), store::IndexMode::kReadWrite, config_.volume_id,
                                           {budget.index_written_pages, budget.index_read_pages}));
  const auto copied_up = std::make_unique<NumberFilter>();
  Checkpointer checkpointer(*journal, *fresh_, config_.name_key, *copied_up, {}, budget.index_batch);
  const auto apply = [&](Lsn to) -> Result<void> {
    while (checkpointer.reached().lsn < to) {
      STRATA_ASSIGN(const bool advanced, checkpointer.Apply(to));
      if (!advanced) break;
      Stage("replay",
            static_cast<double>(checkpointer.reached().lsn.value) / static_cast<double>(sound_end_.value + 1));
    }
    return {};
  };
  if (index_good_ && checkpoint_.lsn <= sound_end_) {
    STRATA_TRY(apply(checkpoint_.lsn));
    const std::uint64_t before = findings_.damage();
    if (auto compared = CompareIndexes(*index_, *fresh_, findings_, StageOf("compare")); !compared) {
      findings_.Add(Severity::kDamage, IndexPath(path_),
                    "the index is damaged: " + std::string(compared.error().message()), kRebuildIndex);
    }
    if (findings_.damage() != before) index_good_ = false;
  }
  STRATA_TRY(apply(sound_end_));
  Stage("replay", 1);
  return {};
}

Result<void> Survey::CheckWhole() {
  // What the index has of a part of the journal that cannot be read is more than the journal has.
  const bool index_knows_more = index_good_ && (!fresh_ || checkpoint_.lsn > sound_end_);
  store::Index* const whole = index_knows_more ? index_.get() : fresh_.get();
  if (whole == nullptr) return {};
  if (index_knows_more && !journal_.faults.empty()) STRATA_TRY(FindUnreadable());
  if (auto checked = CheckTree(*whole, lower_, config_.name_key, findings_, StageOf("tree")); !checked) {
    findings_.Add(Severity::kDamage, path_,
                  "the tree cannot be read to its end: " + std::string(checked.error().message()));
  }
  if (index_knows_more) fresh_.reset();
  return {};
}

Result<void> Survey::FindUnreadable() {
  STRATA_ASSIGN(const auto scan, index_->Scan());
  std::unordered_map<InodeNumber, std::uint64_t> bytes;
  while (true) {
    STRATA_ASSIGN(const auto row, scan->NextExtent());
    if (!row) break;
    const bool gone = std::ranges::any_of(journal_.faults, [&](const journal::JournalFault& fault) {
      return row->extent.record >= fault.position && row->extent.record < fault.until;
    });
    if (gone) bytes[row->ino] += row->extent.length;
  }
  for (const auto& [ino, count] : bytes) {
    findings_.Add(Severity::kDamage, ino,
                  std::to_string(count) + " bytes of the file lie where the journal cannot be read; reading them fails",
                  "restore the journal's file from a copy, or write or remove this one");
  }
  return {};
}

bool Survey::serves_as_it_is() const {
  if (!index_good_ || !journal_readable() || checkpoint_.lsn <= sound_end_) return false;
  // What is wrong must lie before, and what comes after must be readable.
  for (const journal::JournalFault& fault : journal_.faults) {
    if (fault.until > checkpoint_.lsn) return false;
  }
  if (undecodable_ && *undecodable_ >= checkpoint_.lsn) return false;
  journal::JournalOptions options;
  options.volume_id = config_.volume_id;
  options.read_only = true;
  if (checkpoint_.record.value != 0) options.known = {checkpoint_.record, checkpoint_.record_check};
  const auto opened = journal::Journal::Open(env_, path_ + "/journal", options);
  return opened && (*opened)->end() >= checkpoint_.lsn;
}

std::string Survey::Lost() const {
  if (lost_records_ == 0) return "";
  std::vector<InodeNumber> inodes(lost_inodes_.begin(), lost_inodes_.end());
  std::string words = std::to_string(lost_records_) + " records, which changed " + std::to_string(inodes.size()) +
                      " files and directories: ";
  const std::size_t named = std::min(inodes.size(), kMostLostNamed);
  std::vector<std::string> paths = PathsOf(index_ ? index_.get() : fresh_.get(), lower_,
                                           {inodes.begin(), inodes.begin() + static_cast<std::ptrdiff_t>(named)});
  for (std::size_t i = 0; i < named; ++i) {
    const auto name = lost_names_.find(inodes[i]);
    const bool unknown = !paths[i].starts_with('/') && name != lost_names_.end();
    words += (i == 0 ? "" : ", ") + (unknown ? "'" + name->second + "'" : paths[i]);
  }
  if (named < inodes.size()) words += " and others";
  return words;
}

}  // namespace strata::vfs
