#include "store/pack/session.h"

#include <algorithm>
#include <utility>

namespace strata::store::pack {
namespace {

constexpr std::int64_t kHourNs = 3600LL * 1'000'000'000;
// After the process has ended: time to name what it put.
constexpr std::int64_t kAfterwards = kHourNs;

}  // namespace

Result<bool> CollectionIsRunning(Env& env, const Layout& layout) {
  auto file = env.Open(layout.gc_lock(), OpenMode::kRead);
  if (!file) {
    if (file.error().code() == Errc::kNotFound) return false;
    return Fail(file.error());
  }
  auto locked = (*file)->LockShared();
  if (!locked && locked.error().code() != Errc::kBusy) return Fail(locked.error());
  return !locked.has_value();
}

Result<bool> IsCondemned(Env& env, const Layout& layout, PackId pack) {
  const auto mark = env.Open(layout.condemned() + '/' + Hex16(pack.value), OpenMode::kRead);
  if (!mark) {
    if (mark.error().code() == Errc::kNotFound) return false;
    return Fail(mark.error());
  }
  // A mark that a collection which was killed has left says nothing.
  return CollectionIsRunning(env, layout);
}

Session::~Session() {
  const MutexLock lock(mutex_);
  if (lease_) (void)lease_->Renew(std::nullopt, kAfterwards);
}

Result<void> Session::BeginLocked() {
  if (lease_) return {};
  STRATA_ASSIGN(lease_, Lease::Take(env_, layout_.leases(), {.id = {}, .holder = holder_, .items = {}}));
  begun_ns_ = renewed_ns_ = env_.MonotonicNs();
  return {};
}

Result<void> Session::Begin() {
  const MutexLock lock(mutex_);
  return BeginLocked();
}

Result<bool> Session::Use(PackId pack) {
  const MutexLock lock(mutex_);
  if (used_.contains(pack)) return true;
  STRATA_TRY(BeginLocked());
  LeaseItem item{.kind = LeaseItem::Kind::kPack, .digest = {}};
  StoreLe(item.digest.bytes.data(), pack.value);
  // If the machine stops, so does the collection and whoever relies on the pack.
  STRATA_TRY(lease_->Hold(item, false));
  STRATA_ASSIGN(const bool condemned, IsCondemned(env_, layout_, pack));
  if (condemned) return false;
  // Or it has gone already.
  const auto file = env_.Open(layout_.packs() + '/' + PackFileName(pack), OpenMode::kRead);
  if (!file && file.error().code() == Errc::kNotFound) return false;
  if (!file) return Fail(file.error());
  used_.insert(pack);
  return true;
}

Result<void> Session::Renew() {
  const MutexLock lock(mutex_);
  const std::int64_t now = env_.MonotonicNs();
  if (!lease_ || now - renewed_ns_ < kHourNs) return {};
  STRATA_TRY(lease_->Renew());
  renewed_ns_ = now;
  if (workers_->load(std::memory_order_acquire) > 0) return {};
  // It ends in a day: time enough to name what was put by then.
  lease_.reset();
  used_.clear();
  return {};
}

std::shared_ptr<const void> Session::Work() {
  workers_->fetch_add(1, std::memory_order_acq_rel);
  return std::shared_ptr<const void>(this, [workers = workers_](const void*) { workers->fetch_sub(1); });
}

}  // namespace strata::store::pack
