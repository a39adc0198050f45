// LargeFileReader: reads a large file once, from its beginning to its end, ahead of whoever takes what it reads. What
// the page cache does not hold is read past it (O_DIRECT): that spares a copy, and what others have there stays.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "base/bytes.h"
#include "base/mutex.h"
#include "base/status.h"

namespace strata::store {

// From this size on a thread that reads ahead is worth it.
inline constexpr std::uint64_t kReadAheadFrom = 32 << 20;

// Its thread reads; one other may take.
class LargeFileReader {
 public:
  // Of `fd` it uses the flags (O_DIRECT), not the position. Nobody else may use it meanwhile. `shown`: the file's path,
  // for messages.
  LargeFileReader(int fd, std::string shown);
  LargeFileReader(const LargeFileReader&) = delete;
  LargeFileReader& operator=(const LargeFileReader&) = delete;
  ~LargeFileReader();

  // The bytes that come next, which are there until the next call; empty at the end. Errors are those of read(2), and
  // come after all that was read before them.
  Result<ByteSpan> Next() STRATA_EXCLUDES(mutex_);

 private:
  static constexpr std::size_t kPieces = 3;
  struct AlignedDeleter {
    void operator()(std::byte* bytes) const;
  };

  void ReadAll() STRATA_EXCLUDES(mutex_);
  Result<std::size_t> Fill(std::uint64_t offset, MutableByteSpan out);
  bool IsCached(std::uint64_t offset, std::size_t length) const;
  void SetDirect(bool direct);

  // The reader's alone.
  const int fd_;
  const std::string shown_;
  bool direct_ = false;
  bool may_be_direct_ = true;

  std::unique_ptr<std::byte, AlignedDeleter> buffer_;  // of all pieces, one after the other
  Mutex mutex_;
  CondVar changed_;
  // Pieces have numbers; number n lies in place n % kPieces.
  std::uint64_t read_ STRATA_GUARDED_BY(mutex_) = 0;   // pieces that are read
  std::uint64_t taken_ STRATA_GUARDED_BY(mutex_) = 0;  // pieces that were given to the taker, who still has the last
  std::array<std::size_t, kPieces> sizes_ STRATA_GUARDED_BY(mutex_) = {};
  Result<void> end_ STRATA_GUARDED_BY(mutex_);  // why it ended
  bool ended_ STRATA_GUARDED_BY(mutex_) = false;
  bool stop_ STRATA_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace strata::store
