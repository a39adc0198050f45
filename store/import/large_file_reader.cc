#include "store/import/large_file_reader.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <new>
#include <utility>
#include <vector>

namespace strata::store {
namespace {

constexpr std::size_t kPieceBytes = 4 << 20;
constexpr std::size_t kAlignment = 4096;  // of memory and offsets: enough for every disk
constexpr std::size_t kPageBytes = 4096;

}  // namespace

void LargeFileReader::AlignedDeleter::operator()(std::byte* bytes) const { std::free(bytes); }

LargeFileReader::LargeFileReader(int fd, std::string shown)
    : fd_(fd),
      shown_(std::move(shown)),
      buffer_(static_cast<std::byte*>(std::aligned_alloc(kAlignment, kPieces * kPieceBytes))) {
  if (!buffer_) throw std::bad_alloc();
  thread_ = std::thread([this] { ReadAll(); });
}

LargeFileReader::~LargeFileReader() {
  {
    const MutexLock lock(mutex_);
    stop_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
  SetDirect(false);
}

Result<ByteSpan> LargeFileReader::Next() {
  const MutexLock lock(mutex_);
  while (read_ == taken_ && !ended_) changed_.Wait(mutex_);
  if (read_ == taken_) {
    STRATA_TRY(end_);
    return ByteSpan();
  }
  const std::size_t place = taken_++ % kPieces;
  changed_.NotifyAll();
  return ByteSpan(buffer_.get() + place * kPieceBytes, sizes_[place]);
}

void LargeFileReader::ReadAll() {
  for (std::uint64_t piece = 0;; ++piece) {
    {
      const MutexLock lock(mutex_);
      // The taker still has the piece before the next.
      while (!stop_ && piece >= taken_ + kPieces - 1) changed_.Wait(mutex_);
      if (stop_) return;
    }
    const std::size_t place = piece % kPieces;
    const auto got = Fill(piece * kPieceBytes, {buffer_.get() + place * kPieceBytes, kPieceBytes});
    const MutexLock lock(mutex_);
    if (got && *got > 0) {
      sizes_[place] = *got;
      ++read_;
    }
    ended_ = !got || *got < kPieceBytes;
    if (!got) end_ = Fail(got.error());
    changed_.NotifyAll();
    if (ended_) return;
  }
}

Result<std::size_t> LargeFileReader::Fill(std::uint64_t offset, MutableByteSpan out) {
  SetDirect(may_be_direct_ && !IsCached(offset, out.size()));
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::pread(fd_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got == 0) break;
    if (got > 0) {
      done += static_cast<std::size_t>(got);
      // What follows does not begin at a multiple of the disk's blocks any more.
      if (done < out.size()) SetDirect(false);
    } else if (errno == EINVAL && direct_) {
      may_be_direct_ = false;
      SetDirect(false);
    } else if (errno != EINTR) {
      return Fail(Status::FromErrno(errno, "reading " + shown_));
    }
  }
  return done;
}

// Where the system does not tell it says that all is.
bool LargeFileReader::IsCached(std::uint64_t offset, std::size_t length) const {
  void* const mapped = ::mmap(nullptr, length, PROT_READ, MAP_SHARED, fd_, static_cast<off_t>(offset));
  if (mapped == MAP_FAILED) return true;
  std::vector<unsigned char> pages(length / kPageBytes);
  const bool known = ::mincore(mapped, length, pages.data()) == 0;
  ::munmap(mapped, length);
  if (!known) return true;
  const auto resident = std::ranges::count_if(pages, [](unsigned char page) { return (page & 1) != 0; });
  return static_cast<std::size_t>(resident) > pages.size() / 2;
}

void LargeFileReader::SetDirect(bool direct) {
  if (direct == direct_) return;
  const int flags = ::fcntl(fd_, F_GETFL);
  if (flags < 0 || ::fcntl(fd_, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT) != 0) {
    may_be_direct_ = false;
    return;
  }
  direct_ = direct;
}

}  // namespace strata::store
