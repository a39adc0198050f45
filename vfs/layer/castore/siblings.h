// Siblings: of which directories the small files are being read one after another, so that it is worth to bring the
// others. It only decides (served_tree.h does the work). Thread-safe.
//
// A client that walks a tree lists a directory and then reads its files. One that reads single files by their names
// does not list. So it takes both: a listing, and then two small files that were not in memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/mutex.h"

namespace strata::vfs::castore {

class Siblings {
 public:
  // A file of at most so many bytes is small.
  static constexpr std::uint64_t kSmall = 64 << 10;

  // The directory with the id was listed.
  void Listed(std::uint64_t directory) STRATA_EXCLUDES(mutex_);
  // A small file of the directory, its entry `index`, was read and was not in memory. True: those that follow it are to
  // be brought, and then Brought is to be called.
  bool Read(std::uint64_t directory, std::size_t index) STRATA_EXCLUDES(mutex_);
  // They are on their way as far as the entry before `next`. Who reads on in the order of the entries and gets there
  // has more brought; who reads in another order has not, since what is brought could be read long after.
  void Brought(std::uint64_t directory, std::size_t next) STRATA_EXCLUDES(mutex_);

 private:
  static constexpr std::size_t kDirectories = 64;
  static constexpr std::size_t kReads = 2;
  // Among those that follow, some are not files, or are in memory already.
  static constexpr std::size_t kNear = 8;
  struct Directory {
    std::uint64_t id = 0;  // 0: there is none
    std::uint64_t used = 0;
    std::size_t reads = 0;
    std::size_t last = 0;
    std::size_t next = 0;
    bool brought = false;
  };
  Directory* Find(std::uint64_t id) STRATA_REQUIRES(mutex_);

  Mutex mutex_;
  std::array<Directory, kDirectories> directories_ STRATA_GUARDED_BY(mutex_);
  std::uint64_t clock_ STRATA_GUARDED_BY(mutex_) = 0;
};

}  // namespace strata::vfs::castore
