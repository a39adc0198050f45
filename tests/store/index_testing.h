// What tests of the index share.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "store/index/index.h"

namespace strata::store {

inline constexpr std::uint64_t kVolume = 0xfedcba9876543210ULL;
inline constexpr std::uint64_t kSegment = 1000;

inline std::unique_ptr<Index> MustOpen(const std::string& path, IndexMode mode = IndexMode::kReadWrite) {
  auto index = Index::Open(path, mode, kVolume);
  EXPECT_TRUE(index) << index.error().ToString();
  return index ? std::move(*index) : nullptr;
}

inline InodeRecord Inode(std::uint64_t ino, std::uint64_t size = 0) {
  InodeRecord inode;
  inode.ino = InodeNumber(ino);
  inode.nlink = 1;
  inode.size = size;
  return inode;
}

template <typename Function>
void InOneBatch(Index& index, std::uint64_t lsn, Function change) {
  auto writer = index.Begin(kSegment);
  ASSERT_TRUE(writer) << writer.error().ToString();
  change(**writer);
  auto committed = (*writer)->Commit({.lsn = Lsn(lsn)});
  ASSERT_TRUE(committed) << committed.error().ToString();
}

}  // namespace strata::store
