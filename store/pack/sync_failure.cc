#include "store/pack/sync_failure.h"

#include <algorithm>
#include <vector>

#include "base/log.h"

namespace strata::store::pack {
namespace {

constexpr std::size_t kReadAtOnce = 1 << 20;

std::string MarkOf(const Layout& layout, PackId pack) { return layout.packs() + '/' + UnsyncedFileName(pack); }

}  // namespace

Result<void> SyncFailure::Check() const {
  if (!failed()) return {};
  const MutexLock lock(mutex_);
  return Fail(*first_);
}

std::unexpected<Status> SyncFailure::Set(const Status& status) {
  // Room does not help: what was to be written then is gone.
  const Status ended(status.IsOutOfSpace() ? Errc::kIo : status.code(),
                     std::string(status.message()) +
                         "; a sync failed, so this process writes nothing more to the store: look after the disk, open "
                         "the store anew, and put again what was not synced before");
  {
    const MutexLock lock(mutex_);
    if (first_) return Fail(*first_);
    first_ = ended;
    failed_.store(true, std::memory_order_release);
  }
  log::Error("pack_sync_failed", {{"error", ended}});
  return Fail(ended);
}

void MarkUnsynced(Env& env, const Layout& layout, PackId pack) {
  const auto mark = env.Open(MarkOf(layout, pack), OpenMode::kCreate);
  if (mark) return;
  log::Error("pack_unsynced_mark",
             {{"error", mark.error()},
              {"hint", "end the other processes that use the store: they cannot know that a sync failed"}});
}

Result<bool> IsUnsynced(Env& env, const Layout& layout, PackId pack) {
  const auto mark = env.Open(MarkOf(layout, pack), OpenMode::kRead);
  if (mark) return true;
  if (mark.error().code() == Errc::kNotFound) return false;
  return Fail(mark.error());
}

Result<void> WriteAnew(File& file, std::uint64_t begin, std::uint64_t end) {
  if (begin <= kPackHeaderBytes) begin = 0;
  std::vector<std::byte> bytes(std::min<std::uint64_t>(kReadAtOnce, end - std::min(begin, end)));
  for (std::uint64_t at = begin; at < end;) {
    const MutableByteSpan piece = MutableByteSpan(bytes).first(std::min<std::uint64_t>(bytes.size(), end - at));
    STRATA_ASSIGN(const std::size_t got, file.ReadAt(at, piece));
    if (got == 0) return {};
    const ByteSpan pieces[] = {piece.first(got)};
    STRATA_TRY(file.WriteAt(at, pieces));
    at += got;
  }
  return {};
}

Result<void> ClearUnsynced(Env& env, const Layout& layout, PackId pack) {
  auto removed = env.Remove(MarkOf(layout, pack));
  if (!removed && removed.error().code() == Errc::kNotFound) return {};
  return removed;
}

}  // namespace strata::store::pack
