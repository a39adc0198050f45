#include "base/fetch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <semaphore>
#include <thread>
#include <vector>

namespace strata {
namespace {

using std::chrono::steady_clock;
using ::testing::ElementsAre;

constexpr std::chrono::seconds kFetchLimit{30};

TEST(Fetch, KnowsItsKeyAndThatItIsNotDone) {
  Fetch fetch("chunk 7");
  EXPECT_EQ(fetch.key(), "chunk 7");
  EXPECT_FALSE(fetch.done());
  EXPECT_EQ(fetch.result().error().code(), Errc::kWouldBlock) << "nothing has come of it yet";
}

TEST(Fetch, SaysWhatCameOfItToWhoeverAsksAndAsOftenAsHeAsks) {
  Fetch good("a"), bad("b");
  good.Complete({});
  bad.Complete(Fail(Errc::kIo, "the store cannot be reached"));
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(good.done());
    EXPECT_TRUE(good.result());
    EXPECT_TRUE(bad.done());
    ASSERT_FALSE(bad.result());
    EXPECT_EQ(bad.result().error().code(), Errc::kIo);
    EXPECT_EQ(bad.result().error().message(), "the store cannot be reached");
  }
}

TEST(Fetch, ItIsDoneOnceAndTheFirstResultCounts) {
  Fetch fetch("a");
  int calls = 0;
  fetch.Then([&] { ++calls; });
  fetch.Complete(Fail(Errc::kIo));
  fetch.Complete({});
  EXPECT_EQ(fetch.result().error().code(), Errc::kIo);
  EXPECT_EQ(calls, 1);
}

TEST(Fetch, FunctionsAreCalledInTheirOrderAndThoseThatComeLaterAtOnce) {
  Fetch fetch("a");
  std::vector<int> calls;
  for (int i = 1; i <= 3; ++i) {
    fetch.Then([&calls, &fetch, i] {
      EXPECT_TRUE(fetch.done());
      calls.push_back(i);
    });
  }
  EXPECT_THAT(calls, ElementsAre());
  fetch.Complete({});
  EXPECT_THAT(calls, ElementsAre(1, 2, 3));
  fetch.Then([&] { calls.push_back(4); });
  EXPECT_THAT(calls, ElementsAre(1, 2, 3, 4));
}

// A call that is run again at once may want the same thing again, or complete what others wait for.
TEST(Fetch, AFunctionMayAskTheFetchThatCallsIt) {
  Fetch fetch("a");
  std::vector<int> calls;
  fetch.Then([&] {
    EXPECT_TRUE(fetch.result());
    EXPECT_TRUE(fetch.WaitFor(std::chrono::nanoseconds(0)));
    fetch.Then([&] { calls.push_back(1); });
    fetch.Complete(Fail(Errc::kIo));
    calls.push_back(2);
  });
  fetch.Complete({});
  EXPECT_THAT(calls, ElementsAre(1, 2));
  EXPECT_TRUE(fetch.result());
}

TEST(Fetch, WhatAFunctionHoldsIsGivenBackOnceItWasCalled) {
  const auto held = std::make_shared<int>(0);
  Fetch fetch("a");
  fetch.Then([held] {});
  EXPECT_EQ(held.use_count(), 2);
  fetch.Complete({});
  EXPECT_EQ(held.use_count(), 1);
  {
    Fetch never("b");
    never.Then([held] {});
    EXPECT_EQ(held.use_count(), 2);
  }
  EXPECT_EQ(held.use_count(), 1);
}

TEST(Fetch, AWaitEndsByItsLimitWhereNothingComes) {
  Fetch fetch("a");
  const auto limit = std::chrono::milliseconds(2);
  const auto begin = steady_clock::now();
  EXPECT_FALSE(fetch.WaitFor(limit));
  EXPECT_GE(steady_clock::now() - begin, limit);
  EXPECT_FALSE(fetch.WaitFor(std::chrono::nanoseconds(0)));
  EXPECT_FALSE(fetch.WaitFor(std::chrono::nanoseconds(-1)));
  fetch.Complete(Fail(Errc::kIo));
  EXPECT_TRUE(fetch.WaitFor(std::chrono::nanoseconds(0))) << "done, whatever came of it";
}

TEST(Fetch, AWaitWithoutALimitIsOneWithTheLargest) {
  Fetch fetch("a");
  std::jthread source([&] { fetch.Complete({}); });
  EXPECT_TRUE(fetch.WaitFor(std::chrono::nanoseconds::max()));
}

TEST(Fetch, AllWhoWaitAreWokenAndEachFunctionIsCalledOnce) {
  constexpr int kThreads = 8, kRounds = 50;
  for (int round = 0; round < kRounds; ++round) {
    const auto fetch = std::make_shared<Fetch>("a");
    std::counting_semaphore<kThreads> ready(0);
    std::atomic<int> woken = 0, called = 0;
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, fetch] {
        ready.release();
        fetch->Then([&] { ++called; });
        if (fetch->WaitFor(kFetchLimit) && fetch->result()) ++woken;
      });
    }
    // Half of the rounds: while they are still coming.
    if (round % 2 == 0) {
      for (int i = 0; i < kThreads; ++i) ready.acquire();
    }
    std::jthread one([&] { fetch->Complete({}); }), other([&] { fetch->Complete({}); });
    one.join();
    other.join();
    threads.clear();
    EXPECT_EQ(woken, kThreads);
    EXPECT_EQ(called, kThreads);
  }
}

}  // namespace
}  // namespace strata
