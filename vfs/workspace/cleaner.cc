#include "vfs/workspace/cleaner.h"

#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "vfs/workspace/pace.h"

namespace strata::vfs {
namespace {

// So many segments of dead weight are borne: cleaning costs less the more there is to gain.
constexpr std::uint64_t kSlackSegments = 4;
// A segment is not worth cleaning for less than this part of it.
constexpr std::uint64_t kLeastGain = 16;
// One that is not the first is chosen where this part of what the first holds lives in it, or less.
constexpr double kOutOfTurn = 0.7;
// What is written anew waits between pieces, so that no more than this passes in a second.
constexpr std::uint64_t kMoveBytesASecond = 64 << 20;
constexpr std::uint64_t kMovePieceBytes = 1 << 20;
constexpr std::chrono::seconds kCleanInterval(1);
// So many segments wait for one checkpoint together, or those of which a segment's worth was written anew.
constexpr std::size_t kTogether = 16;
// It is in no hurry unless the disk is full, or so many segments are dead that should not be.
constexpr double kCleanerEase = 3;
constexpr double kBehindSegments = 8;

bool IsIn(const std::vector<std::uint64_t>& segments, std::uint64_t segment) {
  return std::ranges::find(segments, segment) != segments.end();
}

// What a record says.
class RecordParts final : public journal::EffectVisitor {
 public:
  struct Name {
    InodeNumber directory;
    std::string name;
    bool absent = false;
  };

  void Clear() {
    images.clear();
    touched.clear();
    names.clear();
    data.clear();
    truncations.clear();
    requests.clear();
  }
  Result<void> On(const InodeRecord& inode) override {
    images.push_back(inode.ino);
    return {};
  }
  Result<void> On(const journal::TouchEffect& effect) override {
    touched.push_back(effect.ino);
    return {};
  }
  Result<void> On(const journal::PurgeEffect& effect) override {
    touched.push_back(effect.ino);
    return {};
  }
  Result<void> On(const journal::EntryEffect& effect) override {
    names.push_back({effect.directory, std::string(effect.name), effect.state == journal::EntryEffect::State::kAbsent});
    return {};
  }
  Result<void> On(const journal::DataEffect& effect) override {
    data.push_back(effect);
    return {};
  }
  Result<void> On(const journal::TruncateEffect& effect) override {
    truncations.push_back(effect);
    return {};
  }

  Result<void> On(const journal::RequestEffect& effect) override {
    requests.push_back(effect);
    return {};
  }

  std::vector<InodeNumber> images;
  std::vector<InodeNumber> touched;  // changed, or gone
  std::vector<Name> names;
  std::vector<journal::DataEffect> data;
  std::vector<journal::TruncateEffect> truncations;
  std::vector<journal::RequestEffect> requests;  // as long as the record is there
};

}  // namespace

Cleaner::Cleaner(Env& env, journal::ChangeLog& journal, store::Index& index, Keeper& keeper, Volume& volume,
                 std::string path)
    : env_(env), journal_(journal), index_(index), keeper_(keeper), volume_(volume), path_(std::move(path)) {}

void Cleaner::Start(const HistoryPolicy& policy) {
  thread_ = std::thread([this, policy] { Loop(policy); });
}

void Cleaner::Stop() {
  {
    const MutexLock lock(rest_mutex_);
    stops_ = true;
    wakes_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

Result<Cleaner::Balance> Cleaner::Weigh(const HistoryPolicy& policy) const {
  Balance balance;
  const std::uint64_t held = journal_.held_bytes();
  // What the index does not know of yet is taken to live.
  balance.unknown = journal_.end().value - keeper_.position().value;
  balance.living = index_.LivingBytes();
  // What has been moved is as good as gone.
  balance.dead = held - std::min(held, balance.living + balance.unknown + moved_gain_);
  balance.full = hurried();
  balance.allowed = balance.living + kSlackSegments * journal_.segment_size();
  if (balance.dead + balance.unknown > 0) {
    STRATA_ASSIGN(const Env::Space space, env_.SpaceOf(path_));
    balance.available = space.available;
    balance.allowed = balance.full ? 0 : std::min(balance.allowed, space.available);
  }
  balance.allowed += policy.bytes;
  return balance;
}

Result<bool> Cleaner::IsOldEnough(const HistoryPolicy& policy, std::uint64_t segment) const {
  // As old as what comes next, or older.
  STRATA_ASSIGN(const std::optional<journal::RecordView> next,
                journal_.NextHead(Lsn((segment + 1) * journal_.segment_size())));
  if (!next) return false;
  STRATA_ASSIGN(const journal::RecordHeader header, next->Header());
  return env_.Now().ns - header.time.ns >= policy.age_ns;
}

Result<std::uint64_t> Cleaner::EndOfOld(const HistoryPolicy& policy, std::uint64_t first, std::uint64_t end) const {
  if (policy.age_ns == 0) return end;
  while (first < end) {
    const std::uint64_t middle = first + (end - first) / 2;
    STRATA_ASSIGN(const bool old, IsOldEnough(policy, middle));
    (old ? first : end) = old ? middle + 1 : middle;
  }
  return end;
}

Result<std::vector<Cleaner::Living>> Cleaner::LivingIn(std::uint64_t first, std::uint64_t end,
                                                       const Balance& balance) const {
  const std::uint64_t size = journal_.segment_size();
  std::vector<Living> living(end - first);
  STRATA_ASSIGN(const std::vector<store::LivingSegment> rows, index_.LivingIn(first, end - 1));
  for (const store::LivingSegment& row : rows) living[row.segment - first].data = row.bytes;
  const std::uint64_t held = std::max<std::uint64_t>(journal_.held_bytes(), 1);
  const std::uint64_t data = std::min(balance.living, index_.Counts().data);
  const double share = static_cast<double>(balance.living - data) / static_cast<double>(held);
  const auto other = static_cast<std::uint64_t>(share * static_cast<double>(size));
  for (Living& in : living) in.all = std::min(in.data + other, size);
  return living;
}

Result<std::optional<Cleaner::Candidate>> Cleaner::Choose(const HistoryPolicy& policy, Lsn newest) {
  if (policy.all) return std::nullopt;
  STRATA_ASSIGN(Balance balance, Weigh(policy));
  // What was removed since the last checkpoint is not known to be dead yet. One is to come where something was moved.
  const bool worth_knowing = moved_.empty() && (balance.full || balance.unknown >= journal_.segment_size());
  if (balance.dead <= balance.allowed && balance.dead + balance.unknown > balance.allowed && worth_knowing) {
    STRATA_TRY(keeper_.Checkpoint(hurried()));
    STRATA_ASSIGN(balance, Weigh(policy));
  }
  if (balance.dead <= balance.allowed) return std::nullopt;
  const std::uint64_t size = journal_.segment_size();
  // Where room is short, each makes some before the next takes any.
  if (!moved_.empty() && (balance.full || balance.available < kTogether * size / 4)) return std::nullopt;
  const std::uint64_t least_gain = size / kLeastGain;
  // What lives is estimated. Where the last segment that went gave nothing, there has to be more to gain first.
  if (futile_dead_ && balance.dead < *futile_dead_ + least_gain) return std::nullopt;

  // The index tells what lives, and must have what is moved from there. The last bytes stay where the policy says so.
  const std::uint64_t first = BeginAfter().value / size;
  const std::uint64_t kept_from = journal_.end().value - std::min(journal_.end().value, policy.bytes);
  STRATA_ASSIGN(const std::uint64_t end,
                EndOfOld(policy, first, std::min({keeper_.position().value, kept_from, newest.value}) / size));
  if (first >= end) return std::nullopt;
  STRATA_ASSIGN(const std::vector<Living> living, LivingIn(first, end, balance));
  // What lives has to fit, and leave room for removals and for the index. That is told of file data alone: all else is
  // an average, and where it were taken for certain, no segment might ever fit.
  const std::uint64_t fits = balance.full ? balance.available / 2 : size;
  const auto pays = [&](const Living& in) { return size - in.all >= least_gain && in.data <= fits; };
  std::optional<std::uint64_t> best;
  for (std::uint64_t segment = first; segment < end; ++segment) {
    if (!MayGo(segment) || IsIn(stuck_, segment) || !pays(living[segment - first])) continue;
    if (!best || living[segment - first].all < living[*best - first].all) best = segment;
  }
  // To give up the first costs less, and rids the journal of what tells only that things are gone.
  const double in_first = kOutOfTurn * static_cast<double>(living[0].all);
  if (MayGo(first) && pays(living[0]) && (!best || static_cast<double>(living[*best - first].all) > in_first))
    best = first;
  if (!best) return std::nullopt;
  const double too_much = static_cast<double>(balance.dead - balance.allowed) / static_cast<double>(size);
  return Candidate{*best, *best == first, too_much / kBehindSegments};
}

Result<bool> Cleaner::MoveRecord(const journal::RecordView& record, What what) {
  // A record says of an inode what it is now, so that once a segment is enough: what is moved twice does no harm.
  static thread_local RecordParts parts;
  parts.Clear();
  STRATA_TRY(record.Visit(parts));
  for (const InodeNumber ino : parts.images) {
    if (moved_inodes_.insert(ino).second) STRATA_TRY(volume_.MoveInode(ino, what));
  }
  const bool gone = what == What::kLivingAndGone;
  if (gone) {
    for (const InodeNumber ino : parts.touched) {
      if (moved_inodes_.insert(ino).second) STRATA_TRY(volume_.MoveInode(ino, what));
    }
  }
  for (const RecordParts::Name& name : parts.names) {
    if (gone || !name.absent) STRATA_TRY(volume_.MoveEntry(name.directory, name.name, what));
  }
  if (gone) {
    for (const journal::TruncateEffect& effect : parts.truncations) {
      STRATA_ASSIGN(const bool moved, volume_.MoveTruncation(effect.ino, effect.size));
      if (!moved) return false;
    }
  }
  if (record.begin >= requests_from_) {
    for (const journal::RequestEffect& effect : parts.requests) STRATA_TRY(volume_.MoveRequest(effect));
  }
  std::optional<journal::RecordView> whole;  // most of what is old is dead, and need not be read
  for (const journal::DataEffect& effect : parts.data) {
    STRATA_ASSIGN(const bool lives, volume_.DataLives(record, effect));
    if (!lives) continue;
    if (!whole) {
      STRATA_ASSIGN(whole, journal_.Next(record.begin));
    }
    STRATA_TRY(volume_.MoveData(*whole, effect));
  }
  return true;
}

Result<bool> Cleaner::MoveSegment(const Candidate& candidate) {
  moved_inodes_.clear();
  STRATA_ASSIGN(const store::Index::Checkpoint checkpoint, index_.LastCheckpoint());
  requests_from_ = checkpoint.requests;
  const Lsn until((candidate.segment + 1) * journal_.segment_size());
  const What what = candidate.first ? What::kLiving : What::kLivingAndGone;
  std::uint64_t piece = volume_.moved_bytes();
  const double ease = std::max(0.0, 1 - candidate.behind);
  Pace pace([this, ease] { return hurried() || keeper_.hurried() ? 0.0 : kCleanerEase * ease; });
  Lsn at(candidate.segment * journal_.segment_size());
  while (true) {
    pace.Step();
    if (!Rest({})) return false;
    STRATA_ASSIGN(const std::optional<journal::RecordView> record, journal_.NextHead(at));
    if (!record || record->begin >= until) return true;
    STRATA_ASSIGN(const bool moved, MoveRecord(*record, what));
    if (!moved) {
      stuck_.push_back(candidate.segment);
      return false;
    }
    at = record->end;
    if (volume_.moved_bytes() - piece < kMovePieceBytes) continue;
    const double rest = 1e9 * static_cast<double>(kMovePieceBytes) / static_cast<double>(kMoveBytesASecond) * ease;
    if (!hurried() && !Rest(std::chrono::nanoseconds(static_cast<std::int64_t>(rest)))) return false;
    piece = volume_.moved_bytes();
  }
}

bool Cleaner::MayGo(std::uint64_t segment) const {
  return !journal_.IsGivenUp(segment) && !IsMoved(segment) && !IsIn(unfit_, segment);
}

bool Cleaner::IsMoved(std::uint64_t segment) const {
  return std::ranges::find(moved_, segment, &Candidate::segment) != moved_.end();
}

Lsn Cleaner::BeginAfter() const {
  std::uint64_t segment = journal_.begin().value / journal_.segment_size();
  if (std::ranges::none_of(moved_, &Candidate::first)) return Lsn(segment * journal_.segment_size());
  while (IsMoved(segment) || journal_.IsGivenUp(segment)) ++segment;
  return Lsn(segment * journal_.segment_size());
}

Result<bool> Cleaner::Finish() {
  if (moved_.empty()) return true;
  if (!moved_end_) {
    // Also where nothing changes by it: the index then names a record that comes after the segments. What was said
    // before and not done, as by a process that was killed in between, may have been said in one of them.
    STRATA_ASSIGN(const store::Index::Checkpoint known, index_.LastCheckpoint());
    STRATA_TRY(volume_.LogBegin(std::max(BeginAfter(), known.journal_begin)));
    moved_end_ = journal_.end();
  }
  STRATA_TRY(keeper_.Checkpoint(hurried()));
  // A reader of the index keeps what it may still look up.
  if (keeper_.settled() < *moved_end_) return false;
  const Lsn begin = BeginAfter();
  // Where that fails, those that stay are weighed, and moved, again.
  const std::vector<Candidate> all = std::exchange(moved_, {});
  moved_end_.reset();
  moved_gain_ = 0;
  for (const Candidate& moved : all) {
    if (!moved.first) STRATA_TRY(journal_.GiveUp(moved.segment));
  }
  if (begin != journal_.begin()) {
    STRATA_TRY(journal_.Retire(begin));
    stuck_.clear();
  }
  return true;
}

Result<bool> Cleaner::Gather(const HistoryPolicy& policy, Lsn newest) {
  const std::uint64_t size = journal_.segment_size(), begin = volume_.moved_bytes();
  std::optional<Status> no_room;
  while (moved_.empty() || (moved_.size() < kTogether && volume_.moved_bytes() - begin < size)) {
    STRATA_ASSIGN(const std::optional<Candidate> candidate, Choose(policy, newest));
    if (!candidate) {
      if (moved_.empty() && no_room) return std::unexpected(*no_room);
      return !moved_.empty();
    }
    const std::uint64_t before = volume_.moved_bytes();
    const Result<bool> whole = MoveSegment(*candidate);
    if (!whole && whole.error().IsOutOfSpace()) {
      // More lives in it than the index counts by segment. Another may fit.
      unfit_.push_back(candidate->segment);
      no_room = whole.error();
      continue;
    }
    if (!whole) return whole;
    if (!*whole) {
      if (!Rest({})) return false;
      continue;
    }
    const std::uint64_t moved = volume_.moved_bytes() - before;
    moved_.push_back(*candidate);
    moved_gain_ += size - std::min(size, moved);
    log::Debug("segment_moved", {{"segment", candidate->segment}, {"bytes", moved}, {"hurry", hurried()}});
    futile_dead_.reset();
    if (moved > size - size / kLeastGain / 2) {
      STRATA_ASSIGN(const Balance balance, Weigh(policy));
      futile_dead_ = balance.dead;
    }
  }
  return true;
}

Result<void> Cleaner::Clean(const HistoryPolicy& policy) {
  const MutexLock one(clean_mutex_);
  // What this call writes anew is none of its business.
  const Lsn newest = journal_.end();
  unfit_.clear();
  while (true) {
    STRATA_ASSIGN(const bool finished, Finish());
    if (!finished) return {};
    STRATA_ASSIGN(const bool more, Gather(policy, newest));
    if (!more) return {};
  }
}

bool Cleaner::Rest(std::chrono::nanoseconds time) {
  const MutexLock lock(rest_mutex_);
  if (time.count() > 0) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (!stops_ && wakes_.WaitUntil(rest_mutex_, end)) {
    }
  }
  return !stops_;
}

void Cleaner::Loop(const HistoryPolicy& policy) {
  bool failed = false;
  while (Rest(kCleanInterval)) {
    auto cleaned = Clean(policy);
    // Once, until it works again: it is tried every time.
    if (!cleaned && !std::exchange(failed, true)) {
      log::Warning("cleaning_failed", {{"workspace", path_},
                                       {"error", cleaned.error()},
                                       {"meaning", "the journal grows until it works again, which is tried"}});
    }
    if (cleaned) failed = false;
  }
}

}  // namespace strata::vfs
