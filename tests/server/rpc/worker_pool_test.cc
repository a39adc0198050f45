// Tasks that wait for a Fetch hold no thread, run again when it is done, and are late when it does not come.
#include "server/rpc/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <latch>
#include <semaphore>

#include "tests/server/rpc/harness.h"

namespace strata::rpc::testing {
namespace {

using Milliseconds = std::chrono::milliseconds;
constexpr Milliseconds kNever = std::chrono::hours(1);

// Does as the test says, which keeps it.
struct ScriptedTask final : WorkerPool::Task {
  void Run() override { run(*this); }
  bool is_late() const { return late(); }
  std::function<void(ScriptedTask&)> run;
};

// Waits until `fetch` is done, or it is late; then it is finished.
struct WaitingTask final : WorkerPool::Task {
  WaitingTask(WorkerPool& its_pool, std::shared_ptr<Fetch> its_fetch) : pool(its_pool) { fetch = std::move(its_fetch); }
  void Run() override {
    ++runs;
    if (!fetch->done() && pool.Park(this)) return;
    was_late = late();
    finished.release();
  }
  bool Finished() { return finished.try_acquire_for(kLimit); }
  WorkerPool& pool;
  std::atomic<int> runs = 0;
  std::atomic<bool> was_late = false;
  std::binary_semaphore finished{0};
};

// Whether the pool runs what is submitted to it.
bool Works(WorkerPool& pool) {
  std::binary_semaphore ran(0);
  ScriptedTask task;
  task.run = [&](ScriptedTask&) { ran.release(); };
  pool.Submit(&task);
  return ran.try_acquire_for(kLimit);
}

TEST(WorkerPool, WhoWaitsForNothingIsNotParked) {
  WorkerPool pool(1);
  ScriptedTask task;
  EXPECT_FALSE(pool.Park(&task));
  EXPECT_EQ(pool.parked(), 0u);
}

TEST(WorkerPool, ParkedTasksHoldNoThreadAndRunAgainWhenTheirFetchIsDone) {
  constexpr std::size_t kTasks = 100;
  const auto fetch = std::make_shared<Fetch>("a");
  std::vector<std::unique_ptr<WaitingTask>> tasks;
  WorkerPool pool(1, kNever);
  for (std::size_t i = 0; i < kTasks; ++i) tasks.push_back(std::make_unique<WaitingTask>(pool, fetch));
  // As from an I/O thread, and from a worker.
  for (std::size_t i = 0; i < kTasks; ++i) {
    if (i % 2 == 0) {
      ASSERT_TRUE(pool.Park(tasks[i].get()));
    } else {
      pool.Submit(tasks[i].get());
    }
  }
  ASSERT_TRUE(Eventually([&] { return pool.parked() == kTasks; }));
  EXPECT_TRUE(Works(pool));
  EXPECT_EQ(pool.parked(), kTasks);
  fetch->Complete({});
  for (std::size_t i = 0; i < kTasks; ++i) {
    ASSERT_TRUE(tasks[i]->Finished()) << i;
    EXPECT_FALSE(tasks[i]->was_late);
    EXPECT_EQ(tasks[i]->runs, i % 2 == 0 ? 1 : 2);
  }
  EXPECT_EQ(pool.parked(), 0u);
}

TEST(WorkerPool, OnlyThoseWhoseFetchIsDoneRun) {
  const auto one = std::make_shared<Fetch>("a"), other = std::make_shared<Fetch>("b");
  WorkerPool pool(1, kNever);
  WaitingTask first(pool, one), second(pool, other);
  ASSERT_TRUE(pool.Park(&first));
  ASSERT_TRUE(pool.Park(&second));
  other->Complete(Fail(Errc::kIo));
  EXPECT_TRUE(second.Finished());
  EXPECT_TRUE(Works(pool));
  EXPECT_EQ(first.runs, 0);
  EXPECT_EQ(pool.parked(), 1u);
  one->Complete({});
  EXPECT_TRUE(first.Finished());
}

TEST(WorkerPool, AFetchThatIsDoneBeforeTheParkingRunsTheTaskAtOnce) {
  WorkerPool pool(1, kNever);
  const auto done = std::make_shared<Fetch>("a");
  done->Complete({});
  WaitingTask task(pool, done);
  ASSERT_TRUE(pool.Park(&task));
  EXPECT_TRUE(task.Finished());
  EXPECT_FALSE(task.was_late);
}

TEST(WorkerPool, WhatDoesNotComeMakesItsTasksLateAndTheyParkNoMore) {
  constexpr Milliseconds kPatience(20);
  const auto fetch = std::make_shared<Fetch>("a");
  WorkerPool pool(2, kPatience);
  WaitingTask task(pool, fetch);
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(pool.Park(&task));
  ASSERT_TRUE(task.Finished());
  EXPECT_GE(std::chrono::steady_clock::now() - begin, kPatience);
  EXPECT_TRUE(task.was_late);
  EXPECT_EQ(task.runs, 1) << "it was refused when it wanted to park again";
  EXPECT_FALSE(fetch->done()) << "the fetch goes on";
  fetch->Complete({});
  EXPECT_TRUE(Works(pool));
  EXPECT_EQ(task.runs, 1);
}

TEST(WorkerPool, PatienceIsForAllParkingTogether) {
  WorkerPool pool(1, Milliseconds(20));
  std::atomic<int> runs = 0;
  std::binary_semaphore finished(0);
  ScriptedTask task;
  // Each time one thing more, which comes at once.
  task.run = [&](ScriptedTask& self) {
    ++runs;
    self.fetch = std::make_shared<Fetch>("a");
    self.fetch->Complete({});
    if (!pool.Park(&self)) finished.release();
  };
  pool.Submit(&task);
  ASSERT_TRUE(finished.try_acquire_for(kLimit));
  EXPECT_TRUE(task.is_late());
  EXPECT_GT(runs, 1);
}

TEST(WorkerPool, ThoseWhoAreLateTogetherRunOnAllThreads) {
  constexpr int kThreads = 8;
  const auto fetch = std::make_shared<Fetch>("a");
  for (int round = 0; round < 5; ++round) {
    std::latch all(kThreads);
    std::counting_semaphore<kThreads> met(0);
    std::vector<ScriptedTask> tasks(kThreads);
    WorkerPool pool(kThreads, Milliseconds(5));
    for (ScriptedTask& task : tasks) {
      task.fetch = fetch;
      // Goes on only where the others run at the same time.
      task.run = [&](ScriptedTask&) {
        all.count_down();
        if (Eventually([&] { return all.try_wait(); })) met.release();
      };
      ASSERT_TRUE(pool.Park(&task));
    }
    for (int i = 0; i < kThreads; ++i) ASSERT_TRUE(met.try_acquire_for(kLimit));
  }
}

TEST(WorkerPool, InAHurryEverybodyIsLateAtOnce) {
  const auto fetch = std::make_shared<Fetch>("a");
  WorkerPool pool(1, kNever);
  WaitingTask before(pool, fetch), during(pool, fetch), after(pool, fetch);
  ASSERT_TRUE(pool.Park(&before));
  pool.Hurry(true);
  ASSERT_TRUE(before.Finished());
  EXPECT_TRUE(before.was_late);
  ASSERT_TRUE(pool.Park(&during));
  ASSERT_TRUE(during.Finished());
  EXPECT_TRUE(during.was_late);
  pool.Hurry(false);
  ASSERT_TRUE(pool.Park(&after));
  EXPECT_TRUE(Works(pool));
  EXPECT_EQ(after.runs, 0) << "there is time again";
  fetch->Complete({});
  ASSERT_TRUE(after.Finished());
  EXPECT_FALSE(after.was_late);
}

TEST(WorkerPool, StopRunsThoseWhoAreParkedLateAndWhoWantToPark) {
  const auto fetch = std::make_shared<Fetch>("a");
  WorkerPool pool(1, kNever);
  WaitingTask parked(pool, fetch), queued(pool, fetch);
  ASSERT_TRUE(pool.Park(&parked));
  // The thread is busy until Stop has begun, as far as that can be seen.
  std::binary_semaphore busy(0), go_on(0);
  ScriptedTask holds;
  holds.run = [&](ScriptedTask&) {
    busy.release();
    (void)go_on.try_acquire_for(kLimit);
  };
  pool.Submit(&holds);
  ASSERT_TRUE(busy.try_acquire_for(kLimit));
  pool.Submit(&queued);
  std::jthread stop([&] { pool.Stop(); });
  EXPECT_TRUE(Eventually([&] { return pool.parked() == 0; })) << "it is late, and waits for the thread";
  go_on.release();
  stop.join();
  EXPECT_TRUE(parked.was_late);
  EXPECT_TRUE(queued.was_late);
  EXPECT_EQ(queued.runs, 2);
  fetch->Complete({});
  EXPECT_EQ(parked.runs, 1);
}

TEST(WorkerPool, AFetchMayOutliveThePool) {
  const auto fetch = std::make_shared<Fetch>("a");
  {
    WorkerPool pool(1, kNever);
    WaitingTask task(pool, fetch);
    ASSERT_TRUE(pool.Park(&task));
    pool.Stop();
    EXPECT_TRUE(task.was_late);
  }
  fetch->Complete({});
  EXPECT_TRUE(fetch->done());
}

// Fetches that are done from other threads while tasks come to park on them, and while patience runs out.
TEST(WorkerPool, EveryTaskEndsOnceWhicheverComesFirst) {
  constexpr std::size_t kTasks = 64, kSteps = 8;
  for (const Milliseconds patience : {Milliseconds(1), kNever}) {
    std::vector<std::shared_ptr<Fetch>> fetches;
    for (std::size_t i = 0; i < kSteps; ++i) fetches.push_back(std::make_shared<Fetch>(std::to_string(i)));
    std::atomic<std::size_t> ended = 0, late = 0;
    std::vector<ScriptedTask> tasks(kTasks);
    WorkerPool pool(4, patience);
    for (ScriptedTask& task : tasks) {
      task.run = [&, next = std::size_t{0}](ScriptedTask& self) mutable {
        while (next < kSteps && fetches[next]->done()) ++next;
        if (next < kSteps) {
          self.fetch = fetches[next];
          if (pool.Park(&self)) return;
          ++late;
        }
        ++ended;
      };
      pool.Submit(&task);
    }
    std::vector<std::jthread> sources;
    for (const auto& fetch : fetches) sources.emplace_back([fetch] { fetch->Complete({}); });
    EXPECT_TRUE(Eventually([&] { return ended == kTasks; })) << ended;
    sources.clear();
    pool.Stop();
    EXPECT_EQ(ended, kTasks);
    EXPECT_EQ(pool.parked(), 0u);
    if (patience == kNever) {
      EXPECT_EQ(late, 0u);
    }
  }
}

}  // namespace
}  // namespace strata::rpc::testing
