// Who waits and who is granted, and the bounds of it all.
#include "server/nlm4/lock_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "vfs/workspace/memory_budget.h"

namespace strata::nlm4 {
namespace {

constexpr FileKey kFile{1, InodeNumber(10), Generation(1)}, kOther{1, InodeNumber(11), Generation(1)};

class LockTableTest : public ::testing::Test {
 protected:
  static Caller Who(const std::string& name, std::uint32_t svid = 1, std::string_view owner = "o") {
    return {.name = name, .address = boost::asio::ip::make_address("10.0.0.1"), .svid = svid, .owner = AsBytes(owner)};
  }
  Answer Lock(const Caller& who, Range range, bool exclusive = true, bool waits = false, FileKey file = kFile) {
    const CallBack back{.handle = std::vector<std::byte>(40)};
    return table_->Lock(file, who, range, exclusive, false, waits ? &back : nullptr);
  }
  void Make(const LockLimits& limits) {
    table_.emplace(
        limits, [this] { return ++now_; },
        [this](std::vector<Grant> grants) {
          for (Grant& grant : grants) granted_.push_back(std::move(grant));
        });
  }
  std::vector<std::string> Granted() {
    std::vector<std::string> names;
    for (const Grant& grant : granted_) names.push_back(grant.name);
    return names;
  }
  void SetUp() override { Make({}); }
  void TearDown() override {
    // What remains is what clients remembered for a while take.
    if (table_->empty()) {
      EXPECT_LT(table_->bytes(), 256u << 10);
    }
  }

  std::int64_t now_ = 0;
  std::vector<Grant> granted_;
  std::optional<LockTable> table_;
  const std::string a_ = "a", b_ = "b", c_ = "c", d_ = "d";
};

TEST_F(LockTableTest, WhoWaitsIsGrantedInTheOrderOfComing) {
  ASSERT_EQ(Lock(Who(a_), {0, 9}), Answer::kGranted);
  ASSERT_EQ(Lock(Who(b_), {0, 9}, true, true), Answer::kBlocked);
  ASSERT_EQ(Lock(Who(c_), {0, 4}, true, true), Answer::kBlocked);
  ASSERT_EQ(Lock(Who(d_), {5, 9}, false, true), Answer::kBlocked);
  table_->Unlock(kFile, Who(a_), {0, Range::kEnd});
  EXPECT_EQ(Granted(), (std::vector<std::string>{"b"}));
  EXPECT_EQ(granted_[0].range, (Range{0, 9}));
  EXPECT_TRUE(granted_[0].exclusive);
  EXPECT_EQ(granted_[0].back.handle.size(), 40u);
  table_->Confirm(granted_[0].id, true);
  table_->Unlock(kFile, Who(b_), {5, 5});
  EXPECT_EQ(granted_.size(), 1u) << "a part of what is wanted is not enough";
  table_->Unlock(kFile, Who(b_), {0, 9});
  EXPECT_EQ(Granted(), (std::vector<std::string>{"b", "c", "d"}));
  table_->Unlock(kFile, Who(c_), {0, 9});
  table_->Unlock(kFile, Who(d_), {0, 9});
  EXPECT_TRUE(table_->empty());
}

TEST_F(LockTableTest, AWeakerLockInAStrongersPlaceLetsOthersIn) {
  ASSERT_EQ(Lock(Who(a_), {0, 9}), Answer::kGranted);
  ASSERT_EQ(Lock(Who(b_), {0, 9}, false, true), Answer::kBlocked);
  ASSERT_EQ(Lock(Who(c_), {0, 9}, true, true), Answer::kBlocked);
  ASSERT_EQ(Lock(Who(a_), {0, 9}, false), Answer::kGranted);
  EXPECT_EQ(Granted(), (std::vector<std::string>{"b"}));
}

TEST_F(LockTableTest, AGrantIsToldUntilItIsConfirmed) {
  ASSERT_EQ(Lock(Who(a_), {0, 9}), Answer::kGranted);
  ASSERT_EQ(Lock(Who(b_), {0, 9}, true, true), Answer::kBlocked);
  table_->Unlock(kFile, Who(a_), {0, 9});
  ASSERT_EQ(granted_.size(), 1u);
  const std::uint64_t id = granted_[0].id;
  ASSERT_TRUE(table_->Unconfirmed(id));
  EXPECT_EQ(table_->Unconfirmed(id)->name, "b");
  EXPECT_EQ(Lock(Who(c_), {0, 9}), Answer::kDenied) << "it holds already";
  table_->Confirm(id, true);
  EXPECT_FALSE(table_->Unconfirmed(id));
  table_->Confirm(id, false);
  EXPECT_EQ(Lock(Who(c_), {0, 9}), Answer::kDenied) << "what was confirmed stays";
  table_->Confirm(12345, false);
}

TEST_F(LockTableTest, AGrantThatIsNotWantedPassesOn) {
  ASSERT_EQ(Lock(Who(a_), {0, 9}), Answer::kGranted);
  ASSERT_EQ(Lock(Who(b_), {0, 9}, true, true), Answer::kBlocked);
  ASSERT_EQ(Lock(Who(c_), {0, 9}, true, true), Answer::kBlocked);
  ASSERT_EQ(Lock(Who(d_), {0, 9}, true, true), Answer::kBlocked);
  table_->Unlock(kFile, Who(a_), {0, 9});
  table_->Confirm(granted_[0].id, false);
  EXPECT_EQ(Granted(), (std::vector<std::string>{"b", "c"}));
  EXPECT_TRUE(table_->Cancel(kFile, Who(c_), {0, 9}, true)) << "cancelled before it was confirmed";
  EXPECT_EQ(Granted(), (std::vector<std::string>{"b", "c", "d"}));
  table_->Unlock(kFile, Who(d_), {0, 9});
  EXPECT_FALSE(table_->Unconfirmed(granted_[2].id)) << "who gives it up knows of it";
  EXPECT_TRUE(table_->empty());
}

TEST_F(LockTableTest, AClientsReleaseLetsOthersInAndLeavesTheirs) {
  for (std::uint64_t i = 0; i < 100; ++i) {
    ASSERT_EQ(Lock(Who(a_, static_cast<std::uint32_t>(i)), {i, i}), Answer::kGranted);
    ASSERT_EQ(Lock(Who(a_), {0, 9}, true, false, {2, InodeNumber(i), Generation(0)}), Answer::kGranted);
  }
  ASSERT_EQ(Lock(Who(b_), {50, 50}, true, true), Answer::kBlocked);
  ASSERT_EQ(Lock(Who(b_), {200, 200}), Answer::kGranted);
  ASSERT_EQ(Lock(Who(a_), {200, 200}, true, true), Answer::kBlocked);
  table_->Release("a", boost::asio::ip::make_address("10.0.0.2"));
  EXPECT_TRUE(granted_.empty());
  table_->Release("a", boost::asio::ip::make_address("10.0.0.1"));
  EXPECT_EQ(Granted(), (std::vector<std::string>{"b"}));
  EXPECT_EQ(table_->List().locks.size(), 2u);
  table_->Unlock(kFile, Who(b_), {0, Range::kEnd});
  EXPECT_EQ(granted_.size(), 1u) << "who waited is gone too";
  EXPECT_TRUE(table_->empty());
}

TEST_F(LockTableTest, AMachineThatStartsAnewIsKnownByItsNameUpToTheFirstDot) {
  const auto here = boost::asio::ip::make_address("10.0.0.1");
  const std::string host = "host.example", other = "guest.example";
  const auto held = [&] {
    std::vector<std::string> names;
    const LockListing all = table_->List();
    for (const ListedLock& lock : all.locks) names.push_back(all.clients[lock.client].name);
    std::ranges::sort(names);
    return names;
  };
  const auto begin = [&] {
    Make({});
    ASSERT_EQ(Lock(Who(host), {0, 9}), Answer::kGranted);
    ASSERT_EQ(Lock(Who(host, 2), {20, 29}, true, false, kOther), Answer::kGranted);
    ASSERT_EQ(Lock(Who(other), {50, 59}), Answer::kGranted);
    Caller far = Who(host, 3);
    far.address = boost::asio::ip::make_address("10.0.0.2");
    ASSERT_EQ(Lock(far, {70, 79}), Answer::kGranted);
  };
  using Names = std::vector<std::string>;
  for (const char* name : {"host", "host.example", "host.elsewhere.example", "host."}) {
    begin();
    table_->ReleaseMachine(here, name);
    EXPECT_EQ(held(), (Names{"guest.example", "host.example"})) << name << ": that of the other address stays";
  }
  for (const char* name : {"", "hos", "hostess", "example", "10.0.0.1", ".host"}) {
    begin();
    table_->ReleaseMachine(here, name);
    EXPECT_EQ(held(), Names{"host.example"}) << name << " is nobody's: all of the address are meant";
  }
  begin();
  table_->ReleaseMachine(boost::asio::ip::make_address("10.0.0.9"), "host");
  EXPECT_EQ(held().size(), 4u);
}

TEST_F(LockTableTest, WhoWaitsForAMachineThatStartsAnewIsGranted) {
  ASSERT_EQ(Lock(Who(a_), {0, 9}), Answer::kGranted);
  ASSERT_EQ(table_->Share(kFile, Who(a_), 3, 3, false), Answer::kGranted);
  ASSERT_EQ(Lock(Who(b_), {0, 9}, true, true), Answer::kBlocked);
  ASSERT_EQ(Lock(Who(a_, 2), {0, 9}, true, true), Answer::kBlocked);
  table_->ReleaseMachine(boost::asio::ip::make_address("10.0.0.1"), a_);
  EXPECT_EQ(Granted(), std::vector<std::string>{"b"});
  EXPECT_EQ(table_->Share(kFile, Who(b_), 3, 3, false), Answer::kGranted);
  EXPECT_EQ(table_->List().locks.size(), 2u) << "and it waits for nothing any more";
}

TEST_F(LockTableTest, TellsWhichMachinesHoldOrWaitForSomething) {
  const auto machines = [&] {
    std::vector<std::string> all;
    for (const auto& machine : table_->Machines()) all.push_back(machine.to_string());
    std::ranges::sort(all);
    return all;
  };
  const auto from = [](Caller who, const char* address) {
    who.address = boost::asio::ip::make_address(address);
    return who;
  };
  using Addresses = std::vector<std::string>;
  EXPECT_EQ(machines(), Addresses{});
  const Caller holds = from(Who(a_), "10.0.0.2"), waits = from(Who(b_), "10.0.0.3"), shares = from(Who(c_), "10.0.0.4"),
               had = from(Who(d_), "10.0.0.5");
  ASSERT_EQ(Lock(had, {0, 9}), Answer::kGranted);
  table_->Unlock(kFile, had, {0, 9});
  ASSERT_EQ(Lock(holds, {0, 9}), Answer::kGranted);
  ASSERT_EQ(Lock(waits, {0, 9}, true, true), Answer::kBlocked);
  ASSERT_EQ(table_->Share(kFile, shares, 1, 0, false), Answer::kGranted);
  EXPECT_EQ(machines(), (Addresses{"10.0.0.2", "10.0.0.3", "10.0.0.4"}));
  table_->Unlock(kFile, holds, {0, 9});
  EXPECT_EQ(machines(), (Addresses{"10.0.0.3", "10.0.0.4"})) << "who waited has it now";
  table_->Unshare(kFile, shares);
  table_->Unlock(kFile, waits, {0, 9});
  EXPECT_EQ(machines(), Addresses{});
}

TEST_F(LockTableTest, AFileThatIsForgottenTakesAllAlong) {
  ASSERT_EQ(Lock(Who(a_), {0, 9}), Answer::kGranted);
  ASSERT_EQ(Lock(Who(b_), {0, 9}, true, true), Answer::kBlocked);
  ASSERT_EQ(table_->Share(kFile, Who(a_), 1, 0, false), Answer::kGranted);
  ASSERT_EQ(Lock(Who(a_), {0, 9}, true, false, kOther), Answer::kGranted);
  table_->Forget(kFile);
  EXPECT_TRUE(granted_.empty());
  EXPECT_EQ(table_->List().locks.size(), 1u);
  table_->Forget(kFile);
  table_->Unlock(kOther, Who(a_), {0, 9});
  EXPECT_TRUE(table_->empty());
}

TEST_F(LockTableTest, OneClientCannotTakeAllTheRoom) {
  Make({.bytes = 1 << 20});
  std::size_t mine = 0;
  // Every other byte, so that none merge.
  while (mine < 100'000 && Lock(Who(a_), {2 * mine, 2 * mine}) == Answer::kGranted) ++mine;
  EXPECT_GT(mine, 2000u);
  EXPECT_LT(mine, 8000u);
  EXPECT_LE(table_->bytes(), (1u << 19) + 1024) << "what is known of the client itself is not counted";
  EXPECT_EQ(Lock(Who(a_), {1, 1}, true, true), Answer::kNoRoom);
  EXPECT_EQ(Lock(Who(b_), {0, 0}, true, true), Answer::kBlocked) << "there is room for others";
  std::size_t others = 0;
  for (; others < 100'000; ++others) {
    const std::string name = "n" + std::to_string(others);
    const Answer answer = Lock(Who(name), {0, 0}, true, true);
    if (answer == Answer::kNoRoom) break;
    ASSERT_EQ(answer, Answer::kBlocked);
  }
  EXPECT_LT(others, 4096u);
  EXPECT_LE(table_->bytes(), 1u << 20);
  table_->Forget(kFile);
  EXPECT_TRUE(table_->empty());
}

TEST_F(LockTableTest, AMillionCallsOfOneClientStayWithinItsHalf) {
  constexpr std::size_t kBytes = 8 << 20;
  Make({.bytes = kBytes});
  std::uint64_t granted = 0;
  for (std::uint64_t i = 0; i < 1'000'000; ++i) {
    const FileKey file{1, InodeNumber(i % 1000), Generation(1)};
    const Answer answer = Lock(Who(a_, static_cast<std::uint32_t>(i % 7)), {2 * i, 2 * i}, true, i % 3 == 0, file);
    ASSERT_TRUE(answer == Answer::kGranted || answer == Answer::kNoRoom);
    granted += answer == Answer::kGranted ? 1 : 0;
  }
  EXPECT_GT(granted, 10'000u);
  EXPECT_LE(table_->bytes(), kBytes / 2 + (512 << 10)) << "the files, which are nobody's own, included";
  EXPECT_EQ(Lock(Who(b_), {0, 9}, true, false, kOther), Answer::kGranted) << "there is room for others";
  table_->Release(a_, Who(a_).address);
  table_->Release(b_, Who(b_).address);
}

TEST_F(LockTableTest, ByDefaultOneClientMayHaveAHundredThousandLocksOnOneFileOrOnAsManyFiles) {
  constexpr std::uint64_t kMany = 100'000;
  const std::size_t bytes = vfs::MemoryBudget::Of(vfs::kDefaultMemoryBytes).locks;
  Make({.bytes = bytes});
  for (std::uint64_t i = 0; i < kMany; ++i) ASSERT_EQ(Lock(Who(a_), {2 * i, 2 * i}), Answer::kGranted) << i;
  table_->Unlock(kFile, Who(a_), {});
  for (std::uint64_t i = 0; i < kMany; ++i) {
    ASSERT_EQ(Lock(Who(a_), {}, true, false, {1, InodeNumber(i), Generation(1)}), Answer::kGranted) << i;
  }
  table_->Release(a_, Who(a_).address);
  EXPECT_TRUE(table_->empty());
  // A thousand processes of a hundred locks each are no more than that.
  for (std::uint64_t i = 0; i < kMany; ++i) {
    const auto process = static_cast<std::uint32_t>(i % 1000);
    ASSERT_EQ(Lock(Who(a_, process), {2 * i, 2 * i}), Answer::kGranted) << i;
  }
  table_->Release(a_, Who(a_).address);
}

TEST_F(LockTableTest, TellsOfItsSize) {
  std::size_t told = 0;
  int times = 0;
  LockTable table(
      {}, [] { return 1; }, [](std::vector<Grant>) {},
      [&] {
        told = table.bytes();
        ++times;
      });
  const Caller who = Who(a_);
  std::uint64_t held = 0;
  for (; table.bytes() < 3 * LockTable::kBytesStep; ++held) {
    ASSERT_EQ(table.Lock(kFile, who, {2 * held, 2 * held}, true, false, nullptr), Answer::kGranted);
    EXPECT_LT(table.bytes() - told, LockTable::kBytesStep);
  }
  for (std::uint64_t i = 0; i < held; ++i) table.Unlock(kFile, who, {2 * i, 2 * i});
  EXPECT_LT(told, table.bytes() + LockTable::kBytesStep);
  EXPECT_GE(times, 4);
  EXPECT_LE(times, 6) << "a step at a time";
}

TEST_F(LockTableTest, InGraceNobodyIsGrantedWhatHeWaitsFor) {
  ASSERT_EQ(Lock(Who(a_), {0, 9}), Answer::kGranted);
  ASSERT_EQ(Lock(Who(b_), {0, 9}, true, true), Answer::kBlocked);
  table_->SetGrace(true);
  table_->Unlock(kFile, Who(a_), {0, 9});
  EXPECT_TRUE(granted_.empty());
  EXPECT_EQ(Lock(Who(c_), {20, 29}), Answer::kGrace);
  table_->SetGrace(false);
  EXPECT_EQ(Granted(), (std::vector<std::string>{"b"}));
}

TEST_F(LockTableTest, ListsHoldersWaitersAndReservations) {
  ASSERT_EQ(Lock(Who(a_, 7), {5, 9}), Answer::kGranted);
  ASSERT_EQ(Lock(Who(b_, 8), {0, Range::kEnd}, false, true), Answer::kBlocked);
  ASSERT_EQ(table_->Share(kFile, Who(a_, 7), 3, 2, false), Answer::kGranted);
  const LockListing all = table_->List();
  ASSERT_EQ(all.locks.size(), 3u);
  const ListedLock &holds = all.locks[0], &reservation = all.locks[1], &waits = all.locks[2];
  EXPECT_EQ(all.clients.size(), 2u);
  EXPECT_EQ(all.clients[holds.client], (ListedClient{"a", Who(a_).address}));
  EXPECT_EQ(holds.volume, kFile.volume);
  EXPECT_EQ(holds.ino, kFile.ino);
  EXPECT_EQ(holds.svid, 7u);
  EXPECT_EQ(holds.mode, ListedMode::kExclusive);
  EXPECT_EQ(holds.first, 5u);
  EXPECT_EQ(holds.last, 9u);
  EXPECT_FALSE(holds.waits);
  EXPECT_EQ(reservation.client, holds.client);
  EXPECT_EQ(reservation.mode, ListedMode::kReservation);
  EXPECT_EQ(reservation.access, 3u);
  EXPECT_EQ(reservation.deny, 2u);
  EXPECT_EQ(all.clients[waits.client].name, "b");
  EXPECT_EQ(waits.mode, ListedMode::kShared);
  EXPECT_EQ(waits.last, ListedLock::kToTheEnd);
  EXPECT_TRUE(waits.waits);
  EXPECT_LT(holds.since_ns, waits.since_ns);
  EXPECT_LT(waits.since_ns, reservation.since_ns);
}

TEST_F(LockTableTest, AListedNumberIsThatOfOneLockInOneState) {
  // What differs in one thing each.
  const Caller first = Who(a_, 7, "o");
  Caller elsewhere = first;
  elsewhere.address = boost::asio::ip::make_address("10.0.0.2");
  for (const Caller& who : {first, elsewhere, Who(b_, 7, "o"), Who(a_, 8, "o"), Who(a_, 7, "p")}) {
    for (const FileKey& file :
         {kFile, kOther, FileKey{2, kFile.ino, kFile.generation}, FileKey{1, kFile.ino, Generation(2)}}) {
      now_ = 99;
      ASSERT_EQ(Lock(who, {0, 9}, false, false, file), Answer::kGranted);
      now_ = 99;
      ASSERT_EQ(Lock(who, {20, 29}, false, false, file), Answer::kGranted);
      now_ = 99;
      ASSERT_EQ(table_->Share(file, who, 1, 0, false), Answer::kGranted);
    }
  }
  const LockListing all = table_->List();
  ASSERT_EQ(all.locks.size(), 60u);
  std::set<std::uint64_t> ids;
  for (const ListedLock& lock : all.locks) ids.insert(lock.id);
  EXPECT_EQ(ids.size(), 60u);
  // The same in each listing, and of each table that holds the same; another one once it was given up and taken again.
  const auto id = [this] {
    const LockListing of_c = table_->List({.id = {}, .client = "c", .address = {}});
    return of_c.locks.size() == 1 ? of_c.locks[0].id : 0;
  };
  const auto lock_at = [this](std::int64_t time, bool exclusive = true) {
    now_ = time - 1;
    ASSERT_EQ(Lock(Who(c_), {100, 109}, exclusive), Answer::kGranted);
  };
  lock_at(500);
  const std::uint64_t before = id();
  EXPECT_NE(before, 0u);
  EXPECT_EQ(id(), before);
  Make({});
  lock_at(500);
  EXPECT_EQ(id(), before);
  table_->Unlock(kFile, Who(c_), {100, 109});
  lock_at(700);
  EXPECT_NE(id(), before) << "another time";
  Make({});
  lock_at(500, false);
  EXPECT_NE(id(), before) << "another mode";
  Make({});
  ASSERT_EQ(Lock(Who(d_), {100, 100}), Answer::kGranted);
  now_ = 499;
  ASSERT_EQ(Lock(Who(c_), {100, 109}, true, true), Answer::kBlocked);
  EXPECT_NE(id(), before) << "it waits";
}

TEST_F(LockTableTest, WhatIsSelectedIsListedAndFreedByHand) {
  Caller elsewhere = Who(a_);
  elsewhere.address = boost::asio::ip::make_address("10.0.0.2");
  ASSERT_EQ(Lock(Who(a_), {0, 9}), Answer::kGranted);
  ASSERT_EQ(Lock(Who(a_), {20, 29}), Answer::kGranted);
  ASSERT_EQ(Lock(elsewhere, {40, 49}), Answer::kGranted);
  ASSERT_EQ(table_->Share(kOther, elsewhere, 1, 2, false), Answer::kGranted);
  ASSERT_EQ(Lock(Who(b_), {0, 29}, true, true), Answer::kBlocked);
  ASSERT_EQ(Lock(Who(c_), {40, 40}, true, true), Answer::kBlocked);
  ASSERT_EQ(Lock(Who(d_), {49, 49}, true, true), Answer::kBlocked);
  const auto count = [this](const LockSelection& which) { return table_->List(which).locks.size(); };
  const LockSelection of_a{.id = {}, .client = a_, .address = {}};
  const LockSelection of_a_there{.id = {}, .client = a_, .address = elsewhere.address};
  EXPECT_EQ(count({}), 7u);
  EXPECT_EQ(count(of_a), 4u);
  EXPECT_EQ(count(of_a_there), 2u);
  EXPECT_EQ(count({.id = {}, .client = {}, .address = elsewhere.address}), 2u);
  EXPECT_EQ(count({.id = {}, .client = "nobody", .address = {}}), 0u);
  EXPECT_EQ(table_->ReleaseSelected({.id = {}, .client = "nobody", .address = {}}), 0u);
  // One lock by its number: who waits for what is not yet free goes on waiting.
  std::uint64_t one = 0;
  for (const ListedLock& lock : table_->List(of_a).locks) {
    if (lock.mode == ListedMode::kExclusive && lock.first == 0) one = lock.id;
  }
  EXPECT_EQ(count({.id = one, .client = {}, .address = {}}), 1u);
  EXPECT_EQ(table_->ReleaseSelected({.id = one, .client = b_, .address = {}}), 0u) << "it is not b's";
  EXPECT_EQ(table_->ReleaseSelected({.id = one, .client = {}, .address = {}}), 1u);
  EXPECT_EQ(table_->ReleaseSelected({.id = one, .client = {}, .address = {}}), 0u);
  EXPECT_TRUE(granted_.empty());
  // One who waits.
  EXPECT_EQ(table_->ReleaseSelected({.id = {}, .client = d_, .address = {}}), 1u);
  // All of one, with the reservation.
  EXPECT_EQ(table_->ReleaseSelected(of_a_there), 2u);
  EXPECT_EQ(table_->Share(kOther, Who(b_), 2, 0, false), Answer::kGranted);
  EXPECT_EQ(Granted(), (std::vector<std::string>{"c"}));
  EXPECT_EQ(table_->ReleaseSelected(of_a), 1u);
  EXPECT_EQ(Granted(), (std::vector<std::string>{"c", "b"}));
  // What was granted and not confirmed is freed like any other, and not told of again.
  EXPECT_EQ(table_->ReleaseSelected({}), 3u);
  for (const Grant& grant : granted_) EXPECT_FALSE(table_->Unconfirmed(grant.id));
  EXPECT_TRUE(table_->empty());
}

// Whatever is done, what is held is given up in the end, to the last byte.
TEST_F(LockTableTest, LeavesNothingBehind) {
  for (unsigned seed = 0; seed < 10; ++seed) {
    Make({.bytes = 1 << 20});
    std::mt19937 random(seed);
    const std::vector<std::string> names{"a", "b", "c", "d"};
    for (int step = 0; step < 5000; ++step) {
      const Caller who = Who(names[random() % 4], random() % 3);
      const FileKey file{1, InodeNumber(random() % 3), Generation(0)};
      const Range range{random() % 20, 20 + random() % 10};
      const bool exclusive = random() % 2 == 0;
      switch (random() % 8) {
        case 0:
        case 1:
        case 2:
          (void)Lock(who, range, exclusive, random() % 2 == 0, file);
          break;
        case 3:
          table_->Unlock(file, who, range);
          break;
        case 4:
          (void)table_->Cancel(file, who, range, exclusive);
          break;
        case 5:
          if (!granted_.empty()) table_->Confirm(granted_[random() % granted_.size()].id, random() % 2 == 0);
          break;
        case 6:
          (void)table_->Share(file, who, random() % 4, random() % 4, false);
          break;
        default:
          table_->Unshare(file, who);
          if (random() % 50 == 0) table_->Release(who.name, who.address);
          if (random() % 4 == 0) {
            const LockListing all = table_->List();
            if (all.locks.empty()) break;
            const std::uint64_t id = all.locks[random() % all.locks.size()].id;
            ASSERT_EQ(table_->ReleaseSelected({.id = id, .client = {}, .address = {}}), 1u);
          }
          break;
      }
    }
    for (const std::string& name : names) table_->Release(name, boost::asio::ip::make_address("10.0.0.1"));
    EXPECT_TRUE(table_->empty());
    EXPECT_LT(table_->bytes(), 3000u) << "only the clients and their owners are remembered";
    for (const Grant& grant : granted_) EXPECT_FALSE(table_->Unconfirmed(grant.id));
    granted_.clear();
  }
}

TEST_F(LockTableTest, ManyThreads) {
  const auto nothing = [](const std::vector<Grant>&) {};
  LockTable table({}, [] { return std::int64_t{0}; }, nothing);
  std::vector<std::jthread> threads;
  for (std::uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&table, t] {
      const std::string name = "client" + std::to_string(t % 2);
      const CallBack back{.handle = std::vector<std::byte>(40)};
      for (std::uint64_t i = 0; i < 3000; ++i) {
        const Caller who = Who(name, t);
        const Answer answer = table.Lock(kFile, who, {i % 7, i % 11 + 7}, i % 3 == 0, false, &back);
        if (answer == Answer::kBlocked) (void)table.Cancel(kFile, who, {i % 7, i % 11 + 7}, i % 3 == 0);
        table.Unlock(kFile, who, {0, Range::kEnd});
      }
    });
  }
  threads.clear();
  EXPECT_TRUE(table.empty());
}

}  // namespace
}  // namespace strata::nlm4
