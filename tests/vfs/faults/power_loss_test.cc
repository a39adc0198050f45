// The power goes at random moments in a random stream of changes. What was promised is there; of the rest, exactly the
// first changes up to some place, whole. The index lies in SQLite's own file: it may have survived, be older or be
// lost. STRATA_SEED=n begins with that seed.
#include <gtest/gtest.h>

#include <chrono>

#include "tests/vfs/faults/stream.h"

namespace strata::vfs::testing {
namespace {

enum class IndexFate { kSurvived, kOlder, kLost };

struct Case {
  IndexFate fate;
  bool over_a_layer;
};

class PowerLoss : public ::testing::TestWithParam<Case> {};

TEST_P(PowerLoss, LeavesExactlyTheFirstChangesAndAllThatWerePromised) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(6);
  std::size_t losses = 0, lost_changes = 0, changes = 0;
  const char* set = std::getenv("STRATA_SEED");
  const std::uint64_t first = set != nullptr ? std::strtoull(set, nullptr, 10) : 1;
  std::uint64_t seed = first;
  for (; seed < first + 60 && std::chrono::steady_clock::now() < deadline; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed * 977 + static_cast<std::uint64_t>(GetParam().fate));
    const auto draw = [&](std::uint64_t limit) { return random() % limit; };
    std::vector<Tree> layers;
    if (GetParam().over_a_layer) layers.push_back(StreamBase());
    // An index that is to be there again is copied before, and must stand still for that.
    const bool lively = GetParam().fate == IndexFate::kLost && draw(2) == 0;
    // Small segments, so that the power goes while they are changed too.
    FaultySubject subject(layers, lively ? LivelyOptions() : QuietOptions(), draw(2) == 0 ? 128 << 10 : 1 << 20);
    ASSERT_OK(subject.Open());
    Stream stream(subject, GetParam().over_a_layer ? StreamBase() : Tree{}, seed);
    IndexCopy older;
    for (int life = 0; life < 4; ++life) {
      const std::uint64_t steps = draw(5) == 0 ? draw(3) : draw(120);
      const std::uint64_t waits = 1 + draw(30);
      for (std::uint64_t i = 0; i < steps; ++i) {
        stream.Step(draw(waits) == 0);
        ASSERT_FALSE(HasFatalFailure());
        if (draw(40) == 0) {
          ASSERT_OK(subject.workspace().Checkpoint());
          if (draw(2) == 0) older.Take(subject);
        }
        // An index from before cannot be older than what was given up: that waits until the index is synced.
        if (draw(25) == 0 && GetParam().fate != IndexFate::kOlder) {
          ASSERT_OK(subject.workspace().GiveUpHistory({}));
        }
        if (draw(20) == 0) {
          ASSERT_OK(subject.workspace().Flush());
        }
        if (draw(60) == 0) stream.SyncAll();
      }
      const std::size_t before = stream.steps();
      IndexCopy survived;
      survived.Take(subject);
      subject.env().PowerLoss(static_cast<std::uint32_t>(random()), static_cast<int>(draw(3) * 500));
      subject.Close();
      ++losses;
      switch (GetParam().fate) {
        case IndexFate::kSurvived:
          survived.Restore(subject);
          break;
        case IndexFate::kOlder:
          older.Restore(subject);
          break;
        case IndexFate::kLost:
          IndexCopy().Restore(subject);
      }
      ASSERT_OK(subject.Open());
      stream.CutAndCompare(subject.workspace().journal_end());
      ASSERT_FALSE(HasFailure()) << "life " << life;
      lost_changes += before - stream.steps();
      // Where the index was lost, or is older, it is again what it would have been.
      if (draw(3) == 0) {
        subject.Restart();
        stream.Compare();
        ASSERT_FALSE(HasFailure()) << "life " << life << ", restarted";
      }
    }
    changes += stream.changes();
  }
  std::printf("%llu seeds, %zu losses of power, %zu changes, %zu of them lost\n",
              static_cast<unsigned long long>(seed - first), losses, changes, lost_changes);
  EXPECT_GE(losses, 12u);
  EXPECT_GT(lost_changes, 20u) << "nothing was at stake";
}

std::vector<Case> Cases() {
  return {
      {IndexFate::kSurvived, false}, {IndexFate::kSurvived, true}, {IndexFate::kOlder, true}, {IndexFate::kLost, true}};
}

std::string NameOf(const ::testing::TestParamInfo<Case>& info) {
  static constexpr const char* kFates[] = {"TheIndexSurvived", "TheIndexIsOlder", "TheIndexIsLost"};
  return std::string(kFates[static_cast<int>(info.param.fate)]) + (info.param.over_a_layer ? "OverALayer" : "");
}

INSTANTIATE_TEST_SUITE_P(Of, PowerLoss, ::testing::ValuesIn(Cases()), NameOf);

TEST(PowerLossAlone, BetweenANewSegmentAndItsFirstRecordLosesNothingElse) {
  FaultySubject subject({}, QuietOptions(), 8192);
  Client client(subject);
  std::optional<Errc> failed;
  int made = 0;
  for (; made < 1000 && !failed; ++made) {
    // The header of a segment is one write, the record that follows another; without a new segment there is one in all.
    subject.env().FailAfter(FaultEnv::kWrite, 1, Errc::kIo);
    failed = CodeOf(client.MakeFile("f" + std::to_string(made)));
  }
  ASSERT_EQ(failed, Errc::kIo);
  subject.env().FailAfter(FaultEnv::kWrite, 1 << 30, Errc::kIo);
  for (int start = 0; start < 3; ++start) {
    subject.Close();
    if (start == 1) {
      for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(subject.index() + suffix);
    }
    ASSERT_OK(subject.Open());
    auto names = client.List("");
    ASSERT_OK(names);
    EXPECT_EQ(names->size(), static_cast<std::size_t>(made - 1 + start));
    EXPECT_OK(client.MakeFile("g" + std::to_string(start)));
  }
}

}  // namespace
}  // namespace strata::vfs::testing
