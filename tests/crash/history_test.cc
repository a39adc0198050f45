// The judge itself: what it must let pass, and what it must not. (A judge that lets everything pass would make the
// tests beside it worthless.)
#include "tests/crash/history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "tests/crash/block.h"

namespace strata::crash {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::uint64_t kSeed = 7;

class History : public ::testing::Test {
 protected:
  History() {
    file_.id = 3;
    State made;
    made.AddLink({1, "a"});
    file_.steps.push_back({made, nullptr});
  }
  // One more block, acknowledged as `promise`, written in the second `at`.
  std::shared_ptr<Event> Write(Promise promise, double at = 0) {
    State next = file_.now();
    next.Write(next.blocks.size(), kBlockSize, ++file_.version);
    return Add(next, promise, at);
  }
  std::shared_ptr<Event> Add(State next, Promise promise, double at = 0) {
    auto event = std::make_shared<Event>();
    event->what = "change " + std::to_string(file_.steps.size());
    event->sent = at;
    if (promise != Promise::kNone) event->answered = at + 0.1;
    event->promise = promise;
    file_.steps.push_back({std::move(next), event});
    events_.push_back(event);
    return event;
  }
  // As a server would show step number `at`.
  Observed Show(std::size_t at) const {
    const State& state = file_.steps[at].state;
    Observed seen{state.links, 0644, static_cast<std::uint32_t>(state.links.size()), state.size, ""};
    for (std::size_t i = 0; i < state.blocks.size(); ++i) {
      std::string block;
      if (state.blocks[i].version != 0) {
        block = MakeBlock({file_.id, state.blocks[i].version, i * kBlockSize, kSeed}).substr(0, state.blocks[i].size);
      }
      block.resize(kBlockSize);
      *seen.content += block;
    }
    seen.content->resize(state.size);
    return seen;
  }
  std::optional<Fit> Find(const Observed& seen, Crash crash) {
    why_.clear();
    return FindFit(file_, seen, crash, kSeed, &blocks_, &why_);
  }

  Object file_;
  std::vector<std::shared_ptr<Event>> events_;
  std::string why_;
  std::uint64_t blocks_ = 0;
};

TEST_F(History, AnUnstableWriteMustOutliveTheProcessButNotThePower) {
  Write(Promise::kDisk);
  Write(Promise::kProcess);
  EXPECT_TRUE(Find(Show(2), Crash::kProcess));
  EXPECT_FALSE(Find(Show(1), Crash::kProcess));
  EXPECT_THAT(why_, HasSubstr("LOST"));
  EXPECT_TRUE(Find(Show(1), Crash::kPower));
  EXPECT_FALSE(Find(Show(0), Crash::kPower));
  EXPECT_GT(blocks_, 0U);
}

TEST_F(History, ACommitMakesWhatWasBeforeItDurable) {
  Write(Promise::kProcess);
  Add(file_.now(), Promise::kDisk);
  EXPECT_FALSE(Find(Show(0), Crash::kPower));
  EXPECT_TRUE(Find(Show(1), Crash::kPower)) << why_;
}

TEST_F(History, AChangeUnderWayMayBeThereOrNotButNeverByHalf) {
  Write(Promise::kDisk);
  State next = file_.now();
  next.Write(0, 2 * kBlockSize, ++file_.version);
  Add(next, Promise::kNone);
  EXPECT_EQ(Find(Show(1), Crash::kProcess)->newest, 1U);
  EXPECT_EQ(Find(Show(2), Crash::kProcess)->newest, 2U);
  Observed torn = Show(2);
  torn.content->replace(kBlockSize, kBlockSize, kBlockSize, '\0');
  EXPECT_FALSE(Find(torn, Crash::kProcess));
  EXPECT_THAT(why_, HasSubstr("the block at 4096 is zeros, not version 2"));
}

TEST_F(History, ATornBlockNamesBothItsHalves) {
  Write(Promise::kDisk);
  Observed torn = Show(1);
  torn.content->replace(2048, 2048, MakeBlock({3, 9, 0, kSeed}).substr(2048));
  EXPECT_FALSE(Find(torn, Crash::kPower));
  EXPECT_THAT(why_, HasSubstr("version 1 of file 3 at 0; from byte 2048: version 9 of file 3 at 0"));
  Observed flipped = Show(1);
  (*flipped.content)[3000] ^= 1;
  EXPECT_FALSE(Find(flipped, Crash::kPower));
  EXPECT_THAT(why_, HasSubstr("damaged"));
}

TEST_F(History, TruncatingLeavesZerosWhereTheFileGrowsAgain) {
  Write(Promise::kDisk);
  State next = file_.now();
  next.Truncate(1000);
  next.Truncate(5000);
  Add(next, Promise::kDisk);
  EXPECT_EQ(next.blocks, (std::vector<Piece>{{1, 1000}, {0, 0}}));
  EXPECT_TRUE(Find(Show(2), Crash::kPower)) << why_;
  Observed stale = Show(2);
  stale.content->replace(1000, 10, MakeBlock({3, 1, 0, kSeed}).substr(1000, 10));
  EXPECT_FALSE(Find(stale, Crash::kPower));
}

TEST_F(History, NamesModesLinkCountsAndSizesCount) {
  State next = file_.now();
  next.AddLink({2, "b"});
  next.mode = 0600;
  Add(next, Promise::kDisk);
  Observed seen = Show(1);
  seen.mode = 0600;
  EXPECT_TRUE(Find(seen, Crash::kPower)) << why_;
  for (const auto& change : std::vector<std::function<void(Observed&)>>{
           [](Observed& o) { o.links.pop_back(); }, [](Observed& o) { o.mode = 0644; },
           [](Observed& o) { o.nlink = 1; }, [](Observed& o) { o.size = 1; }, [](Observed& o) { o.content = "x"; }}) {
    Observed other = seen;
    change(other);
    EXPECT_FALSE(Find(other, Crash::kPower));
  }
}

TEST_F(History, WhatSurvivedMustBeAPrefix) {
  auto early = Write(Promise::kSoon, 1);
  auto late = Write(Promise::kSoon, 2);
  early->lost = late->kept = 1;
  EXPECT_THAT(JudgeOrder(events_, 2.5, 10), SizeIs(1));
  early->sent = late->sent, early->answered = late->answered;  // in flight together: either may be the first
  EXPECT_THAT(JudgeOrder(events_, 2.5, 10), IsEmpty());
  late->lost = 1;
  EXPECT_THAT(JudgeOrder(events_, 2.5, 10), SizeIs(1)) << "one event, of which a half survived";
}

TEST_F(History, WhatIsOlderThanTheStatedIntervalMustBeThere) {
  Write(Promise::kSoon, 1)->lost = 1;
  EXPECT_THAT(JudgeOrder(events_, 1.9, 1), IsEmpty());
  EXPECT_THAT(JudgeOrder(events_, 2.2, 1), SizeIs(1));
}

TEST_F(History, WhatWasFoundAfterAPowerCutIsOnTheDisk) {
  Write(Promise::kProcess);
  auto lost = Write(Promise::kProcess);
  const auto fit = Find(Show(1), Crash::kPower);
  ASSERT_TRUE(fit);
  Settle(file_, *fit, true);
  EXPECT_EQ(lost->lost, 1);
  ASSERT_THAT(file_.steps, SizeIs(1));
  EXPECT_TRUE(Find(Show(0), Crash::kPower));
}

TEST_F(History, AfterTheDeathOfTheProcessTheRestStillHasToReachTheDisk) {
  Write(Promise::kProcess);
  Write(Promise::kNone);
  const auto fit = Find(Show(1), Crash::kProcess);
  ASSERT_TRUE(fit);
  Settle(file_, *fit, false);
  ASSERT_THAT(file_.steps, SizeIs(2));
  EXPECT_TRUE(Find(Show(0), Crash::kPower)) << "a power cut may take it yet";
}

}  // namespace
}  // namespace strata::crash
