// A lock table's content, as another table goes on with it.
#include "server/nlm4/handed_locks.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/nlm4/lock_table.h"

namespace strata::nlm4 {
namespace {

constexpr FileKey kOne{1, InodeNumber(10), Generation(1)}, kTwo{1, InodeNumber(11), Generation(1)};

// A table with all that it tells of.
struct Told {
  explicit Told(const LockLimits& limits = {})
      : table(
            limits, [this] { return ++now; },
            [this](std::vector<Grant> grants) {
              for (Grant& grant : grants) granted.push_back(std::move(grant));
            }) {}
  Answer Lock(const std::string& name, Range range, bool waits = false, const FileKey& file = kOne) {
    const CallBack back{.handle = std::vector<std::byte>(40), .local = boost::asio::ip::make_address("10.0.0.9")};
    return table.Lock(file, Who(name), range, true, false, waits ? &back : nullptr);
  }
  static Caller Who(std::string_view name) {
    return {.name = name, .address = boost::asio::ip::make_address("10.0.0.1"), .svid = 7, .owner = AsBytes("owner")};
  }
  std::int64_t now = 100;
  std::vector<Grant> granted;
  LockTable table;
};

// a holds, b and c wait in that order, d has been granted what it waited for and was not told yet, e denies writers.
void Fill(Told& from) {
  ASSERT_EQ(from.Lock("a", {0, 9}), Answer::kGranted);
  ASSERT_EQ(from.Lock("b", {0, 9}, true), Answer::kBlocked);
  ASSERT_EQ(from.Lock("c", {5, 9}, true), Answer::kBlocked);
  ASSERT_EQ(from.Lock("x", {100, 109}), Answer::kGranted);
  ASSERT_EQ(from.Lock("d", {100, 104}, true), Answer::kBlocked);
  from.table.Unlock(kOne, Told::Who("x"), {100, 109});
  ASSERT_EQ(from.granted.size(), 1u);
  ASSERT_EQ(from.table.Share(kTwo, Told::Who("e"), 1, 2, false), Answer::kGranted);
}

TEST(HandedLocksTest, AnotherTableGoesOnWithAll) {
  Told from, to;
  ASSERT_NO_FATAL_FAILURE(Fill(from));
  const HandedLocks handed = from.table.Export();
  to.table.Import(handed);
  EXPECT_LE(to.table.bytes(), from.table.bytes()) << "which remembers owners who have nothing any more";
  EXPECT_EQ(to.table.List().locks, from.table.List().locks);
  EXPECT_EQ(to.Lock("f", {3, 3}), Answer::kDenied) << "a holds it";
  EXPECT_EQ(to.table.Share(kTwo, Told::Who("f"), 2, 0, false), Answer::kDenied) << "e denies writing";
  // What d does not know yet it is told, by the number that it may have heard already.
  const std::vector<Grant> unconfirmed = to.table.AllUnconfirmed();
  ASSERT_EQ(unconfirmed.size(), 1u);
  EXPECT_EQ(unconfirmed[0].id, from.granted[0].id);
  EXPECT_EQ(unconfirmed[0].name, "d");
  EXPECT_EQ(unconfirmed[0].back, from.granted[0].back);
  to.table.Confirm(unconfirmed[0].id, true);
  EXPECT_TRUE(to.table.AllUnconfirmed().empty());
  EXPECT_EQ(to.Lock("f", {100, 100}), Answer::kDenied) << "d has it";
  // Those who waited are granted in their order, under numbers that were never given.
  to.table.Unlock(kOne, Told::Who("a"), {0, 9});
  ASSERT_EQ(to.granted.size(), 1u);
  EXPECT_EQ(to.granted[0].name, "b");
  EXPECT_GT(to.granted[0].id, from.granted[0].id);
  to.table.Unlock(kOne, Told::Who("b"), {0, 9});
  ASSERT_EQ(to.granted.size(), 2u);
  EXPECT_EQ(to.granted[1].name, "c");
  for (const FileKey& file : {kOne, kTwo}) to.table.Forget(file);
  EXPECT_TRUE(to.table.empty());
}

TEST(HandedLocksTest, WhatWasGrantedIsHeldWhateverTheBounds) {
  Told from, to({.bytes = 1});
  ASSERT_NO_FATAL_FAILURE(Fill(from));
  to.table.Import(from.table.Export());
  EXPECT_EQ(to.table.List().locks.size(), from.table.List().locks.size());
  EXPECT_EQ(to.Lock("f", {1000, 1000}), Answer::kNoRoom);
}

TEST(HandedLocksTest, AGrantOfWhatIsNotHeldIsNone) {
  HandedLocks handed;
  handed.owners.push_back({"a", boost::asio::ip::make_address("10.0.0.1"), 7, {}});
  handed.entries.push_back(
      {.kind = HandedLocks::Kind::kUnconfirmed, .file = kOne, .owner = 0, .range = {0, 9}, .grant = 5});
  Told to;
  to.table.Import(handed);
  EXPECT_TRUE(to.table.AllUnconfirmed().empty());
  EXPECT_TRUE(to.table.empty());
}

TEST(HandedLocksTest, BytesAreTheSameLocks) {
  Told from;
  ASSERT_NO_FATAL_FAILURE(Fill(from));
  const HandedLocks handed = from.table.Export();
  EXPECT_EQ(DecodeLocks(EncodeLocks(handed)), handed);
}

}  // namespace
}  // namespace strata::nlm4
