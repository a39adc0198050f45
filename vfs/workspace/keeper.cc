#include "vfs/workspace/keeper.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "vfs/workspace/index_file.h"
#include "vfs/workspace/pace.h"

namespace strata::vfs {
namespace {

// Changes wait once the index is so many checkpoints behind the journal: restarting replays that.
constexpr std::uint64_t kMostBehind = 4;
// A checkpoint at ease works a quarter of the time; as changes come in beside it, more, and all the time once so many
// times as much waits as makes one due.
constexpr double kMostEase = 3;
constexpr double kNoEaseFrom = 1.8;
// For a checkpoint to end; far longer than one takes.
constexpr std::chrono::seconds kLongestWait(10);
// How often the thread wakes by itself. Pages of the journal that were read leave the process's memory as often.
constexpr std::int64_t kTickNs = 2'000'000'000;

}  // namespace

Keeper::Keeper(Env& env, journal::ChangeLog& journal, store::Index& index, Checkpointer checkpointer,
               const KeeperOptions& options, std::string path)
    : env_(env),
      journal_(journal),
      index_(index),
      options_(options),
      path_(std::move(path)),
      position_(checkpointer.reached().lsn.value),
      dirty_since_(checkpointer.reached().lsn.value),
      checkpointer_(std::move(checkpointer)) {}

void Keeper::Start() {
  hurry_.fetch_sub(1);
  thread_ = std::thread([this] { Loop(); });
}

void Keeper::Stop() {
  if (!thread_.joinable()) return;
  hurry_.fetch_add(1);
  stopping_.store(true);
  {
    const MutexLock lock(mutex_);
    wakes_.NotifyAll();
    ended_.NotifyAll();
  }
  thread_.join();
}

bool Keeper::Due() const {
  return journal_.end().value - position_.load(std::memory_order_relaxed) >= options_.checkpoint_bytes ||
         dirty_.load(std::memory_order_relaxed) >= static_cast<std::int64_t>(options_.dirty_bytes / 2) ||
         records_.load(std::memory_order_relaxed) >= options_.checkpoint_records;
}

void Keeper::Ask() {
  if (failed_.load(std::memory_order_relaxed) || due_.exchange(true)) return;
  const MutexLock lock(mutex_);
  wakes_.NotifyOne();
}

bool Keeper::FarBehind(double part) const {
  const auto beyond = [part](auto has, auto may) { return static_cast<double>(has) > static_cast<double>(may) * part; };
  return beyond(dirty_.load(std::memory_order_relaxed), options_.dirty_bytes) ||
         beyond(records_.load(std::memory_order_relaxed) / kMostBehind, options_.checkpoint_records);
}

Result<void> Keeper::AwaitRoom(double part) {
  const Clock::time_point end = Clock::now() + kLongestWait;
  const MutexLock lock(mutex_);
  while (FarBehind(part) && !stopping()) {
    if (failure_) {
      const Errc code = failure_->code() == Errc::kNoSpace ? Errc::kNoSpace : Errc::kIo;
      return Fail(code, "no change is taken while the index of " + path_ +
                            " cannot be brought up to date: " + std::string(failure_->message()));
    }
    // The one that has just ended may not have been enough.
    if (!due_.exchange(true)) wakes_.NotifyOne();
    if (!ended_.WaitUntil(mutex_, end)) break;
  }
  return {};
}

double Keeper::Ease() const {
  if (hurried()) return 0;
  const auto share = [](auto part, auto whole) { return static_cast<double>(part) / static_cast<double>(whole); };
  // 1: a checkpoint is due; 2: changes have to wait, or a restart takes long.
  const double backlog =
      std::max({share(journal_.end().value - position_.load(std::memory_order_relaxed), options_.checkpoint_bytes),
                share(records_.load(std::memory_order_relaxed), options_.checkpoint_records),
                share(dirty_.load(std::memory_order_relaxed), options_.dirty_bytes / 2)});
  return std::clamp(kMostEase * (kNoEaseFrom - backlog), 0.0, kMostEase);
}

Result<void> Keeper::Checkpoint(bool hurry) {
  if (hurry) hurry_.fetch_add(1);
  auto done = CheckpointUntil(std::nullopt);
  if (hurry) hurry_.fetch_sub(1);
  return done;
}

Result<void> Keeper::CloseWithin(std::chrono::nanoseconds limit) {
  hurry_.fetch_add(1);
  auto done = CheckpointUntil(Clock::now() + limit);
  hurry_.fetch_sub(1);
  return done;
}

Result<void> Keeper::CheckpointUntil(std::optional<Clock::time_point> end) {
  const MutexLock one(checkpoint_mutex_);
  auto done = RunLocked(end);
  // On a full disk the reserve is what the index can grow into: afterwards the cleaner can make room.
  if (!done && done.error().code() == Errc::kNoSpace) {
    (void)journal_.GiveReserveUp();  // somebody else may have done so just now
    done = RunLocked(end);
  }
  return done;
}

Result<void> Keeper::RunLocked(std::optional<Clock::time_point> end) {
  const Lsn target = journal_.end();
  const Lsn from = position();
  if (from >= target && settled() >= checkpointer_.reached().lsn) return {};
  const std::uint64_t records = checkpointer_.records();
  log::Debug("checkpoint_begun", {{"from", from.value}, {"to", target.value}});
  Pace pace([this] { return Ease(); });
  const auto step = [&pace] { pace.Step(); };
  if (from < target) STRATA_TRY(Apply(target, end, step));
  const auto over = [&] { return end ? Clock::now() >= *end : stopping(); };
  STRATA_ASSIGN(const bool settled, index_.Settle(step, over));
  if (settled) settled_.store(checkpointer_.reached().lsn.value, std::memory_order_release);
  log::Debug("checkpoint_ended", {{"records", checkpointer_.records() - records}, {"settled", settled}});
  return {};
}

Result<void> Keeper::Apply(Lsn target, std::optional<Clock::time_point> end, const std::function<void()>& step) {
  const Lsn from = position();
  STRATA_TRY(journal_.SyncAndWait(target));
  const std::uint64_t records = records_.load();
  // Only after `target` was taken: what is counted in between is forgotten too early, once, rather than kept for ever.
  dirty_since_.store(target.value);
  const std::int64_t dirty = dirty_.load();
  const Clock::time_point began = Clock::now();
  // Ending writes what was gathered, which takes longer than gathering it.
  const auto enough = [&] {
    if (end) return Clock::now() - began > (*end - began) / 4;
    return stopping();
  };
  std::int64_t cleaned = 0;
  double done = 0;  // of all of it, as much as there was of the journal
  while (checkpointer_.reached().lsn < target) {
    STRATA_ASSIGN(const bool advanced, checkpointer_.Apply(target, enough, step));
    // No record more: the journal has begun a new segment, and nothing lies in it yet.
    if (!advanced) {
      done = 1;
      break;
    }
    const Lsn at = checkpointer_.reached().lsn;
    position_.store(at.value, std::memory_order_release);
    done = static_cast<double>(at.value - from.value) / static_cast<double>(target.value - from.value);
    const auto now = static_cast<std::int64_t>(static_cast<double>(dirty) * done);
    dirty_.fetch_sub(now - std::exchange(cleaned, now));
    {
      const MutexLock tell(mutex_);
      ended_.NotifyAll();
    }
    if (enough()) break;
  }
  dirty_.fetch_sub(static_cast<std::int64_t>(static_cast<double>(dirty) * done) - cleaned);
  records_.fetch_sub(static_cast<std::uint64_t>(static_cast<double>(records) * done));
  return {};
}

bool Keeper::IsQuiet(std::int64_t now) {
  const std::uint64_t end = journal_.end().value;
  if (std::exchange(seen_end_, end) != end) changed_at_ = now;
  return options_.quiet_ns != 0 && now - changed_at_ >= options_.quiet_ns;
}

void Keeper::NoteDamage() {
  if (damage_noted_ || !index_.damaged()) return;
  damage_noted_ = true;
  log::Error("index_damaged", {{"file", IndexPath(path_)},
                               {"meaning", "what it cannot tell is answered with EIO"},
                               {"hint", "look after its disk, then start again: that rebuilds it from the journal"}});
  if (auto marked = MarkIndexDamaged(env_, path_); !marked) {
    log::Error("index_not_marked", {{"workspace", path_},
                                    {"error", marked.error()},
                                    {"meaning", "the next start may not find the damage by itself"},
                                    {"hint", "end the server, then: strata check --repair"}});
  }
}

void Keeper::Tick(bool due) {
  NoteDamage();
  const std::int64_t now = env_.MonotonicNs();
  const bool quiet = IsQuiet(now);
  if (!behind()) {
    behind_since_ = now;
  } else if (quiet || (options_.behind_ns != 0 && now - behind_since_ >= options_.behind_ns)) {
    due = true;
  }
  if (due) {
    auto done = CheckpointUntil(std::nullopt);
    if (done) behind_since_ = now;
    if (!done)
      log::Error("checkpoint_failed", {{"workspace", path_}, {"error", done.error()}, {"then", "trying again"}});
    due_.store(false);
    const MutexLock tell(mutex_);
    failure_ = done ? std::nullopt : std::optional(done.error());
    failed_.store(!done);
    ended_.NotifyAll();
  }
  journal_.ReleasePages();
  journal_.RestoreReserve();
}

void Keeper::Loop() {
  const std::chrono::nanoseconds interval(options_.quiet_ns == 0 ? kTickNs : std::min(options_.quiet_ns, kTickNs));
  while (true) {
    bool due;
    {
      const auto end = Clock::now() + interval;
      const MutexLock lock(mutex_);
      // After a failure, only once in an interval.
      while (!stopping() && (failure_ || !due_.load()) && wakes_.WaitUntil(mutex_, end)) {
      }
      if (stopping()) return;
      due = due_.load() || failure_;
    }
    Tick(due);
  }
}

}  // namespace strata::vfs
