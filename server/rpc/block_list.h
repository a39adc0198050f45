// BlockList: memory for the objects that calls and replies under way need, kept for the next. So WRITE and COMMIT, by
// which a client on this machine frees its dirty pages, ask the heap for none when memory is short.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace strata::rpc {

// Belongs to one thread. Its blocks come from the global operator new, and may be given back to that as well as to the
// list.
class BlockList {
 public:
  static constexpr std::size_t kBlockBytes = 1024;
  static constexpr std::size_t kKept = 128;

  explicit BlockList(std::size_t kept = kKept) : kept_(kept) {
    free_.reserve(kept_);
    while (free_.size() < kept_) free_.push_back(::operator new(kBlockBytes));
  }
  ~BlockList() {
    for (void* block : free_) ::operator delete(block);
  }
  BlockList(const BlockList&) = delete;
  BlockList& operator=(const BlockList&) = delete;

  void* Take() {
    if (free_.empty()) return ::operator new(kBlockBytes);
    void* const block = free_.back();
    free_.pop_back();
    return block;
  }
  void Give(void* block) {
    if (free_.size() == kept_) return ::operator delete(block);
    free_.push_back(block);
  }
  std::size_t free() const { return free_.size(); }

 private:
  const std::size_t kept_;
  std::vector<void*> free_;
};

}  // namespace strata::rpc
