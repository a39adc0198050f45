// The completions of a connection: what comes back to it from elsewhere.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "server/rpc/io_thread.h"

namespace strata::rpc {

// A call on the worker pool, or parked there.
class PendingCall final : public Completion, public WorkerPool::Task {
 public:
  // Small arguments are copied; for others `buffer` is held. `bytes`: what it counts for in the connection. What it
  // waits for is to be put into `fetch`.
  PendingCall(Connection& connection, const Route& route, const ReplyKey& key, ReceiveBuffer* buffer,
              std::size_t bytes);

  void Run() override;
  void Deliver() override;
  // On the connection's thread: nothing else drops a call, since the workers end first.
  void Drop() override;

 private:
  BufferPool& buffers_;
  Route route_;
  const ReplyKey key_;
  ReceiveBuffer* const buffer_;            // null where copy_ holds the arguments
  std::array<std::byte, 256> small_copy_;  // of what fits, such as a COMMIT's
  std::vector<std::byte> copy_;
  const std::size_t bytes_;
  const std::shared_ptr<CompletionQueue> queue_;
  ReplyBuffer reply_;
  Outcome outcome_;
};

// Replies that wait for a volume's sync.
class ParkedCompletion final : public Completion {
 public:
  // Takes what `parked` holds, and leaves it empty.
  ParkedCompletion(Connection& connection, ParkedReplies& parked);

  // Asks for the sync; comes back when that is done.
  void Sync();
  void Deliver() override;

 private:
  ParkedReplies parked_;
  const std::shared_ptr<CompletionQueue> queue_;
  bool synced_ = false;
};

// A retransmission that waits for the first call's answer.
class WaitingDuplicate final : public Completion, public DuplicateCache::Waiter {
 public:
  explicit WaitingDuplicate(Connection& connection)
      : Completion(connection), queue_(connection.thread().completions()) {}

  void Answer(ByteSpan reply) override;
  void Deliver() override;

 private:
  const std::shared_ptr<CompletionQueue> queue_;
  std::vector<std::byte> reply_;
};

// The reply of one run of a procedure, whole, at the end of `replies`; nothing is left there if it would block.
Outcome RunProcedure(const Route& route, ReplyBuffer& replies);

}  // namespace strata::rpc
