// ReplyBatch: the replies that one connection gets at once, and what they owe to the volumes before they may leave.
//
// A change is answered when its commitment is met (vfs::Commitment). The batch meets those of all its calls together.
// One Flush a volume meets kWritten, before the batch is sent. One Sync a volume meets kDurable; those replies are
// taken out of the batch and parked meanwhile.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "server/rpc/completion_queue.h"
#include "server/rpc/duplicate_cache.h"
#include "server/rpc/program.h"

namespace strata::rpc {

struct ReplyKey {
  std::uint32_t xid = 0;
  const Procedure* procedure = nullptr;
  DuplicateCache::Id duplicate = DuplicateCache::Id::kNone;
};

// Replies that wait for one Sync.
struct ParkedReplies {
  struct Entry {
    std::size_t offset, size;  // in bytes
    ReplyKey key;
  };
  vfs::FileSystem* volume = nullptr;
  Lsn lsn;
  std::vector<std::byte> bytes;
  std::vector<Entry> entries;

  void Clear() {
    volume = nullptr;
    lsn = Lsn{};
    bytes.clear();
    entries.clear();
  }
};

// Not thread-safe: each thread has one, used for one connection at a time.
class ReplyBatch {
 public:
  explicit ReplyBatch(DuplicateCache& duplicates) : duplicates_(duplicates) {}

  ReplyBuffer& replies() { return replies_; }
  // The reply that begins at `start` and ends the batch has this outcome. True: it was parked.
  bool Settle(std::size_t start, const ReplyKey& key, const Outcome& outcome);
  // Meets what kWritten asks for. Where that fails, those replies become failures.
  void FlushVolumes();
  // The replies parked since the last time, a volume each. Emptied by the caller.
  std::vector<ParkedReplies>& parked() { return parked_; }
  // Parked replies come back: as they were, or, if the sync failed, as failures.
  void Unpark(const ParkedReplies& parked, bool synced);

 private:
  struct Written {
    std::size_t start, size;
    vfs::FileSystem* volume;
    ReplyKey key;
  };

  // Writes the failure reply, and finishes the call in the duplicate request cache.
  static void WriteFailure(ReplyBuffer& replies, const ReplyKey& key);
  void RewriteFailed(const std::vector<vfs::FileSystem*>& failed);

  DuplicateCache& duplicates_;
  ReplyBuffer replies_;
  std::vector<Written> written_;
  std::vector<vfs::FileSystem*> volumes_;  // of written_, each once
  std::vector<ParkedReplies> parked_;
  std::vector<std::byte> scratch_;
};

}  // namespace strata::rpc
