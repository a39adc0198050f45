// CompletionQueue: how what was finished elsewhere (on a worker, by a volume's sync, by another connection) comes back
// to the thread it belongs to.
#pragma once

#include <functional>
#include <utility>

#include "base/mutex.h"
#include "server/rpc/block_list.h"

namespace strata::rpc {

class Connection;

// An answer on its way back to its connection.
class Completion {
 public:
  explicit Completion(Connection& connection) : connection_(&connection) {}
  virtual ~Completion() = default;
  Completion(const Completion&) = delete;
  Completion& operator=(const Completion&) = delete;

  Connection& connection() const { return *connection_; }
  // On the connection's thread: puts the reply into the thread's batch. Disposes of itself.
  virtual void Deliver() = 0;
  // Instead of Deliver, on any thread, once the connection is gone: touches nothing of it.
  virtual void Drop() { delete this; }

  // In a block of the connection's thread, or of its own.
  static void* operator new(std::size_t, BlockList& blocks) { return blocks.Take(); }
  static void operator delete(void* block, BlockList& blocks) { blocks.Give(block); }
  static void* operator new(std::size_t size) { return ::operator new(size); }
  static void operator delete(void* block) { ::operator delete(block); }

 protected:
  // Instead of delete, on the connection's thread, for one that was made in a block.
  template <typename Derived>
  static void Recycle(Derived* completion, BlockList& blocks) {
    static_assert(sizeof(Derived) <= BlockList::kBlockBytes);
    completion->~Derived();
    blocks.Give(completion);
  }

 private:
  friend class CompletionQueue;
  friend class Connection;
  Connection* const connection_;
  Completion* next_ = nullptr;
};

// Thread-safe.
class CompletionQueue {
 public:
  // `wake` is called, under the queue's lock, when the first completion comes into an empty queue.
  explicit CompletionQueue(std::move_only_function<void()> wake) : wake_(std::move(wake)) {}

  void Push(Completion* completion);
  // All of them, in order; linked by next.
  Completion* TakeAll();
  static Completion* Next(Completion* completion) { return completion->next_; }
  // From now on what is pushed is dropped.
  void Close();

 private:
  Mutex mutex_;
  Completion* first_ STRATA_GUARDED_BY(mutex_) = nullptr;
  Completion* last_ STRATA_GUARDED_BY(mutex_) = nullptr;
  bool closed_ STRATA_GUARDED_BY(mutex_) = false;
  std::move_only_function<void()> wake_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace strata::rpc
