#include "server/rpc/reply_batch.h"

#include <algorithm>

#include "base/log.h"
#include "server/rpc/dispatcher.h"

namespace strata::rpc {
namespace {

log::RateLimit flush_failures;

}  // namespace

bool ReplyBatch::Settle(std::size_t start, const ReplyKey& key, const Outcome& outcome) {
  const bool follows = key.duplicate != DuplicateCache::Id::kNone;
  if (outcome.volume == nullptr || outcome.commitment == vfs::Commitment::kNone) {
    if (!follows) return false;
    scratch_.clear();
    replies_.CopyTo(start, scratch_);
    duplicates_.Finish(key.duplicate, scratch_, outcome.status == SUCCESS);
    return false;
  }
  if (outcome.commitment == vfs::Commitment::kWritten) {
    written_.push_back({start, replies_.size() - start, outcome.volume, key});
    if (std::find(volumes_.begin(), volumes_.end(), outcome.volume) == volumes_.end())
      volumes_.push_back(outcome.volume);
    return false;
  }
  // Those of earlier batches were emptied, and are used again from the front.
  auto at = std::find_if(parked_.begin(), parked_.end(),
                         [&](const ParkedReplies& p) { return p.volume == outcome.volume || p.volume == nullptr; });
  if (at == parked_.end()) at = parked_.emplace(parked_.end());
  at->volume = outcome.volume;
  at->lsn = std::max(at->lsn, outcome.lsn);
  at->entries.push_back({at->bytes.size(), replies_.size() - start, key});
  replies_.CopyTo(start, at->bytes);
  replies_.Rewind(start);
  return true;
}

void ReplyBatch::FlushVolumes() {
  if (written_.empty()) return;
  std::vector<vfs::FileSystem*> failed;
  for (vfs::FileSystem* volume : volumes_) {
    if (const Result<void> flushed = volume->Flush(); !flushed) {
      failed.push_back(volume);
      if (flush_failures.Allow()) log::Error("flush_failed", {{"error", flushed.error()}});
    }
  }
  if (!failed.empty()) RewriteFailed(failed);
  for (const Written& w : written_) {
    if (w.key.duplicate == DuplicateCache::Id::kNone) continue;
    scratch_.clear();
    replies_.CopyTo(w.start, scratch_, w.size);
    duplicates_.Finish(w.key.duplicate, scratch_, true);
  }
  written_.clear();
  volumes_.clear();
}

void ReplyBatch::RewriteFailed(const std::vector<vfs::FileSystem*>& failed) {
  ReplyBuffer rewritten;
  std::size_t copied = 0;
  for (Written& w : written_) {
    rewritten.Add(replies_, copied, w.start - copied);
    copied = w.start + w.size;
    const std::size_t start = rewritten.size();
    if (std::find(failed.begin(), failed.end(), w.volume) != failed.end()) {
      WriteFailure(rewritten, w.key);
    } else {
      rewritten.Add(replies_, w.start, w.size);
    }
    w.start = start;
    w.size = rewritten.size() - start;
  }
  rewritten.Add(replies_, copied, replies_.size() - copied);
  replies_ = std::move(rewritten);
}

void ReplyBatch::WriteFailure(ReplyBuffer& replies, const ReplyKey& key) {
  const std::size_t start = replies.size();
  std::byte* header = BeginReply(replies);
  if (key.procedure->failure != nullptr) key.procedure->failure(replies);
  FinishReply(header, replies.size() - start, key.xid, key.procedure->failure != nullptr ? SUCCESS : SYSTEM_ERR);
}

void ReplyBatch::Unpark(const ParkedReplies& parked, bool synced) {
  if (synced) {
    // The answers of two calls are one copy; the cache hears of each before any leaves.
    for (const ParkedReplies::Entry& entry : parked.entries) {
      duplicates_.Finish(entry.key.duplicate, ByteSpan(parked.bytes).subspan(entry.offset, entry.size), true);
    }
    return replies_.Raw(parked.bytes);
  }
  for (const ParkedReplies::Entry& entry : parked.entries) {
    const std::size_t start = replies_.size();
    WriteFailure(replies_, entry.key);
    scratch_.clear();
    replies_.CopyTo(start, scratch_);
    duplicates_.Finish(entry.key.duplicate, scratch_, true);
  }
}

}  // namespace strata::rpc
