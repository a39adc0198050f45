// A workload is recorded once; then the machine stops at its first call to the operating system that changes anything,
// at its second, at every one. Each time, what was not synced is lost, kept, or kept in part, sector by sector; the
// workspace is opened again, and it must show exactly the first changes of the workload, all that had been promised
// among them.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/vfs/faults/stream.h"

namespace strata::vfs::testing {
namespace {

constexpr int kSteps = 350;
constexpr std::uint64_t kSegment = 128 << 10;  // small, so that segments are begun and given up

Tree Base() {
  return {DirNode("a"), FileNode("a/a", Pattern(50'000, 1)), FileNode("a/b", "small"),
          DirNode("b"), FileNode("b/c", Pattern(9000, 2)),   SymlinkNode("c", "a/b")};
}

// Until it ends or the machine stops.
void Work(FaultySubject& subject, Stream& stream, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto stopped = [&] { return subject.env().stopped(); };
  for (int i = 0; i < kSteps && !stopped(); ++i) {
    if (!stream.StepOrStop(random() % 4 == 0)) return;
    Workspace& workspace = subject.workspace();
    if (i % 11 == 10) {
      if (auto done = workspace.Checkpoint(); !done && !stopped()) ADD_FAILURE() << done.error().ToString();
    }
    if (i % 17 == 16) {
      if (auto done = workspace.GiveUpHistory({}); !done && !stopped()) ADD_FAILURE() << done.error().ToString();
    }
    if (i % 5 == 4) (void)workspace.Flush();
  }
}

class EveryStep : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(EveryStep, OfAWorkloadMayBeTheLast) {
  const std::uint64_t seed = GetParam();
  int steps = 0, reopened = 0;
  std::size_t lost = 0, checked = 0;
  int given_up = 0;
  for (bool ended = false; !ended; ++steps) {
    for (const int keep : {0, 500, 1000}) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", step " + std::to_string(steps) + ", " + std::to_string(keep) +
                   " in 1000 kept");
      FaultySubject subject({Base()}, QuietOptions(), kSegment);
      ASSERT_OK(subject.Open());
      Stream stream(subject, Base(), seed);
      subject.env().SetTornWrite(static_cast<std::size_t>(steps * 97 % 3000));
      subject.env().StopAfter(steps + 1);
      Work(subject, stream, seed);
      ASSERT_FALSE(HasFailure());
      ended = !subject.env().stopped();
      given_up = std::max(given_up, subject.env().Count(FaultEnv::kRemove));
      IndexCopy index;
      index.Take(subject);
      const std::size_t before = stream.steps();
      subject.env().PowerLoss(static_cast<std::uint32_t>(steps), keep);
      subject.Close();
      index.Restore(subject);
      ASSERT_OK(subject.Open());
      stream.CutAndCompare(subject.workspace().journal_end());
      ASSERT_FALSE(HasFailure());
      lost += before - stream.steps();
      checked += stream.steps();
      ++reopened;
    }
  }
  std::printf(
      "steps tried %d, reopened %d times, changes checked %zu, not yet promised and lost %zu, promised and lost: 0\n",
      steps, reopened, checked, lost);
  EXPECT_GT(steps, 60);
  EXPECT_GT(given_up, 0) << "no segment was given up";
  EXPECT_GT(lost, 100u) << "nothing was at stake";
}

// A sanitizer looks at the same code paths whichever the workload.
#ifdef __SANITIZE_ADDRESS__
INSTANTIATE_TEST_SUITE_P(Of, EveryStep, ::testing::Values(1));
#else
INSTANTIATE_TEST_SUITE_P(Of, EveryStep, ::testing::Values(1, 2, 3, 4));
#endif

}  // namespace
}  // namespace strata::vfs::testing
