#include "server/rpc/duplicate_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <thread>

namespace strata::rpc {
namespace {

using Claim = DuplicateCache::Claim;
using Id = DuplicateCache::Id;
using Bytes = std::vector<std::byte>;

DuplicateKey Key(std::uint32_t xid) {
  DuplicateKey key;
  key.xid = xid;
  key.program = 100003;
  return key;
}

Bytes ReplyOf(std::uint32_t xid, std::size_t size) { return Bytes(size, static_cast<std::byte>(xid)); }

struct Told final : DuplicateCache::Waiter {
  explicit Told(Bytes* out) : out_(out) {}
  void Answer(ByteSpan reply) override {
    out_->assign(reply.begin(), reply.end());
    delete this;
  }
  Bytes* out_;
};

Claim Ask(DuplicateCache& cache, const DuplicateKey& key, Id* id, Bytes* replay = nullptr) {
  Bytes ignored;
  return cache.Begin(key, id, replay != nullptr ? *replay : ignored, nullptr);
}

TEST(DuplicateCache, GivesTheFirstAnswerAgain) {
  DuplicateCache cache(100, 10'000);
  Id id;
  ASSERT_EQ(Ask(cache, Key(1), &id), Claim::kRun);
  EXPECT_EQ(Ask(cache, Key(1), &id), Claim::kRunning);
  Id first;
  ASSERT_EQ(Ask(cache, Key(2), &first), Claim::kRun);
  cache.Finish(first, ReplyOf(2, 50), true);
  Bytes replay;
  EXPECT_EQ(Ask(cache, Key(2), &id, &replay), Claim::kReplay);
  EXPECT_EQ(replay, ReplyOf(2, 50));
}

TEST(DuplicateCache, AnythingThatDiffersMakesADifferentCall) {
  DuplicateCache cache(100, 10'000);
  Id id;
  ASSERT_EQ(Ask(cache, Key(1), &id), Claim::kRun);
  cache.Finish(id, ReplyOf(1, 10), true);
  for (int field = 0; field < 7; ++field) {
    DuplicateKey key = Key(1);
    switch (field) {
      case 0:
        key.address[3] = std::byte{1};
        break;
      case 1:
        key.xid++;
        break;
      case 2:
        key.program++;
        break;
      case 3:
        key.version++;
        break;
      case 4:
        key.procedure++;
        break;
      case 5:
        key.checksum++;
        break;
      case 6:
        key.size++;
        break;
    }
    EXPECT_EQ(Ask(cache, key, &id), Claim::kRun) << field;
  }
}

TEST(DuplicateCache, TellsAllWhoWaitEvenWhenTheAnswerIsNotKept) {
  for (const bool keep : {true, false}) {
    DuplicateCache cache(100, 10'000);
    Id id, other;
    ASSERT_EQ(Ask(cache, Key(1), &id), Claim::kRun);
    Bytes told[3], replay;
    for (Bytes& out : told) ASSERT_EQ(cache.Begin(Key(1), &other, replay, new Told(&out)), Claim::kWaiting);
    cache.Finish(id, ReplyOf(1, 20), keep);
    for (const Bytes& out : told) EXPECT_EQ(out, ReplyOf(1, 20));
    EXPECT_EQ(Ask(cache, Key(1), &other), keep ? Claim::kReplay : Claim::kRun);
  }
}

TEST(DuplicateCache, ForgetsTheOldestFirstByEntries) {
  DuplicateCache cache(10, 1 << 20);
  Id id;
  for (std::uint32_t xid = 0; xid < 25; ++xid) {
    ASSERT_EQ(Ask(cache, Key(xid), &id), Claim::kRun);
    cache.Finish(id, ReplyOf(xid, 30), true);
  }
  Bytes replay;
  for (std::uint32_t xid = 15; xid < 25; ++xid) EXPECT_EQ(Ask(cache, Key(xid), &id, &replay), Claim::kReplay) << xid;
  EXPECT_EQ(Ask(cache, Key(14), &id), Claim::kRun);
}

TEST(DuplicateCache, CallsUnderWayAreNeverForgotten) {
  DuplicateCache cache(10, 1 << 20);
  Id first, id;
  ASSERT_EQ(Ask(cache, Key(1000), &first), Claim::kRun);
  for (std::uint32_t xid = 0; xid < 100; ++xid) {
    ASSERT_EQ(Ask(cache, Key(xid), &id), Claim::kRun);
    cache.Finish(id, ReplyOf(xid, 30), true);
  }
  EXPECT_EQ(Ask(cache, Key(1000), &id), Claim::kRunning);
  cache.Finish(first, ReplyOf(1, 10), true);
  EXPECT_EQ(Ask(cache, Key(1000), &id), Claim::kReplay);
}

TEST(DuplicateCache, WhereAllEntriesAreUnderWayACallRunsUnfollowed) {
  DuplicateCache cache(2, 1000);
  Id a, b, c;
  ASSERT_EQ(Ask(cache, Key(1), &a), Claim::kRun);
  ASSERT_EQ(Ask(cache, Key(2), &b), Claim::kRun);
  EXPECT_EQ(Ask(cache, Key(3), &c), Claim::kRun);
  EXPECT_EQ(c, Id::kNone);
  cache.Finish(c, ReplyOf(1, 10), true);
}

// Against a model that keeps what fits, for any sizes and any order of finishing.
TEST(DuplicateCache, NeverGivesAWrongAnswerAndKeepsTheNewestWithinItsBytes) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    DuplicateCache cache(50, 4096);
    std::map<std::uint32_t, Bytes> answers;
    std::vector<std::pair<std::uint32_t, Id>> running;
    std::uint32_t newest = 0;
    for (int step = 0; step < 5000; ++step) {
      const std::uint32_t xid = random() % 200;
      Id id;
      Bytes replay;
      switch (Ask(cache, Key(xid), &id, &replay)) {
        case Claim::kRun:
          ASSERT_NE(id, Id::kNone);
          running.emplace_back(xid, id);
          break;
        case Claim::kReplay:
          ASSERT_EQ(replay, answers[xid]) << "seed " << seed << " step " << step;
          break;
        default:
          break;
      }
      if (running.size() > 10 || (!running.empty() && random() % 2 == 0)) {
        const std::size_t at = random() % running.size();
        newest = running[at].first;
        answers[newest] = ReplyOf(static_cast<std::uint32_t>(random()), 28 + random() % 900);
        cache.Finish(running[at].second, answers[newest], true);
        running.erase(running.begin() + static_cast<std::ptrdiff_t>(at));
        ASSERT_EQ(Ask(cache, Key(newest), &id, &replay), Claim::kReplay) << "the newest is there";
      }
    }
  }
}

std::int64_t fake_now = 0;
std::int64_t FakeNow() { return fake_now; }

void Answer(DuplicateCache& cache, const DuplicateKey& key, std::size_t size) {
  Id id;
  ASSERT_EQ(Ask(cache, key, &id), Claim::kRun);
  cache.Finish(id, ReplyOf(key.xid, size), true);
}

bool Knows(DuplicateCache& cache, const DuplicateKey& key) {
  Id id;
  const Claim claim = Ask(cache, key, &id);
  if (claim == Claim::kRun) cache.Finish(id, {}, false);
  return claim == Claim::kReplay;
}

TEST(DuplicateCache, AnswersToTheSilentAgeAndTheirMemoryComesBack) {
  fake_now = 1'000'000;
  DuplicateCache cache(32768, 8 << 20, FakeNow);
  const std::size_t before = cache.bytes();
  DuplicateKey loud = Key(1), silent = Key(2);
  loud.address[15] = std::byte{1};
  silent.address[15] = std::byte{2};
  Answer(cache, loud, 100);
  Answer(cache, silent, 100);
  for (std::uint32_t xid = 1000; xid < 20'000; ++xid) Answer(cache, Key(xid), 300);
  EXPECT_GT(cache.bytes(), before + 19'000 * 300);
  for (int second = 0; second <= 120; ++second, ++fake_now) {
    if (second % DuplicateCache::kHeardSeconds == 0) cache.Heard(loud.address);
    cache.Age();
  }
  EXPECT_TRUE(Knows(cache, silent)) << "120 s are not over";
  EXPECT_TRUE(Knows(cache, Key(1000)));
  fake_now += 2 * DuplicateCache::kHeardSeconds;
  cache.Age();
  EXPECT_FALSE(Knows(cache, silent));
  EXPECT_FALSE(Knows(cache, Key(1000)));
  EXPECT_FALSE(Knows(cache, Key(19'999)));
  EXPECT_TRUE(Knows(cache, loud)) << "heard within 120 s";
  EXPECT_LT(cache.bytes(), before + (1u << 20)) << "what one answer needs is all that is left";
  fake_now += DuplicateCache::kAgeSeconds;
  cache.Age();
  EXPECT_FALSE(Knows(cache, loud));
  cache.Age();
  EXPECT_EQ(cache.bytes(), before);
}

TEST(DuplicateCache, ACallUnderWayDoesNotAgeAndIsAnsweredToThoseWhoWait) {
  fake_now = 0;
  DuplicateCache cache(32768, 8 << 20, FakeNow);
  Id id, other;
  ASSERT_EQ(Ask(cache, Key(1), &id), Claim::kRun);
  Bytes told, replay;
  ASSERT_EQ(cache.Begin(Key(1), &other, replay, new Told(&told)), Claim::kWaiting);
  fake_now += 10'000;
  cache.Age();
  EXPECT_EQ(Ask(cache, Key(1), &other), Claim::kRunning);
  cache.Finish(id, ReplyOf(1, 20), true);
  EXPECT_EQ(told, ReplyOf(1, 20));
  cache.Age();
  EXPECT_TRUE(Knows(cache, Key(1))) << "120 s begin with the answer";
}

struct Tally {
  std::atomic<int> replayed{0}, forgotten{0}, wrong{0};
};

constexpr unsigned kThreads = 4;
constexpr std::uint32_t kCallsEach = 5000;

// Several threads at once make calls and ask for each of them again.
void ServeThreads(DuplicateCache& cache, Tally& tally) {
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint32_t i = 0; i < kCallsEach; ++i) {
        const std::uint32_t xid = t * 100'000 + i;
        Id id;
        Bytes replay;
        if (Ask(cache, Key(xid), &id) != Claim::kRun) ++tally.wrong;
        cache.Finish(id, ReplyOf(xid, 100), true);
        const Claim again = Ask(cache, Key(xid), &id, &replay);
        if (again == Claim::kReplay && replay == ReplyOf(xid, 100)) {
          ++tally.replayed;
        } else if (again == Claim::kRun) {
          ++tally.forgotten;
          cache.Finish(id, {}, false);
        } else {
          ++tally.wrong;
        }
      }
    });
  }
}

TEST(DuplicateCache, ServesSeveralThreadsAtOnce) {
  DuplicateCache cache(16 * kThreads * kCallsEach, std::size_t{16} * kThreads * kCallsEach * 100);
  Tally tally;
  ServeThreads(cache, tally);
  EXPECT_EQ(tally.wrong, 0);
  EXPECT_EQ(tally.replayed, kThreads * kCallsEach) << "there is room for all";
}

TEST(DuplicateCache, GivesNoWrongAnswerWhileSeveralThreadsPushOutEachOthers) {
  DuplicateCache cache(1024, 1 << 16);
  Tally tally;
  ServeThreads(cache, tally);
  EXPECT_EQ(tally.wrong, 0);
  EXPECT_GT(tally.replayed, 0);
}

}  // namespace
}  // namespace strata::rpc
