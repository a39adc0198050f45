#include "server/rpc/block_list.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

namespace strata::rpc {
namespace {

TEST(BlockList, GivesWhatItHasBeforeItAsksForMoreAndKeepsNoMoreThanItHad) {
  BlockList list;
  std::set<void*> first;
  for (std::size_t i = 0; i < BlockList::kKept; ++i) {
    void* const block = list.Take();
    std::memset(block, 0xab, BlockList::kBlockBytes);
    EXPECT_TRUE(first.insert(block).second) << "lent twice";
  }
  EXPECT_EQ(list.free(), 0u);
  void* const more = list.Take();
  EXPECT_FALSE(first.contains(more));
  for (void* block : first) list.Give(block);
  list.Give(more);
  EXPECT_EQ(list.free(), BlockList::kKept);
  for (std::size_t i = 0; i < BlockList::kKept; ++i) {
    void* const block = list.Take();
    EXPECT_TRUE(first.contains(block)) << "a new one, though there were free ones";
    ::operator delete(block);
  }
}

}  // namespace
}  // namespace strata::rpc
