// Workspaces that have seen much and are sound: a check finds nothing wrong in them. STRATA_SEED=n begins with that
// seed.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "tests/vfs/check/picture.h"
#include "tests/vfs/faults/stream.h"
#include "vfs/check/check.h"

namespace strata::vfs::testing {
namespace {

void ExpectSound(Env& env, const std::string& folder, const std::vector<Tree>& trees) {
  std::vector<std::unique_ptr<Layer>> layers;
  for (const Tree& tree : trees) layers.push_back(MakeLayer(tree));
  CheckOptions options;
  options.memory_bytes = 4 << 20;
  const auto report = CheckWorkspaceOver(env, folder, std::move(layers), options);
  ASSERT_OK(report);
  for (const Finding& finding : report->findings) {
    EXPECT_EQ(finding.severity, Severity::kInformation) << finding.where << ": " << finding.what;
  }
}

class Sound : public ::testing::TestWithParam<bool> {};

TEST_P(Sound, AfterARandomStreamOfChangesCheckpointsAndLossesOfPower) {
  const char* set = std::getenv("STRATA_SEED");
  const std::uint64_t first = set != nullptr ? std::strtoull(set, nullptr, 10) : 1;
  for (std::uint64_t seed = first; seed < first + 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    const std::vector<Tree> layers = GetParam() ? std::vector<Tree>{StreamBase()} : std::vector<Tree>{};
    FaultySubject subject(layers, seed % 3 == 0 ? QuietOptions() : LivelyOptions(),
                          seed % 2 == 0 ? 128 << 10 : 1 << 20);
    ASSERT_OK(subject.Open());
    Stream stream(subject, GetParam() ? StreamBase() : Tree{}, seed);
    for (int life = 0; life < 3; ++life) {
      for (std::uint64_t i = 0; i < 150; ++i) {
        stream.Step(random() % 20 == 0);
        if (random() % 40 == 0) {
          ASSERT_OK(subject.workspace().Checkpoint());
        }
      }
      const bool loses_power = random() % 2 == 0;
      if (loses_power) subject.env().PowerLoss(static_cast<std::uint32_t>(random()), static_cast<int>(random() % 1000));
      subject.Close();
      ExpectSound(subject.env(), subject.folder(), layers);
      if (HasFailure()) return;
      const auto opened = subject.Open();
      // The index's own file may have outlived what was not promised.
      if (!opened) break;
      if (loses_power) stream.CutAndCompare(subject.workspace().journal_end());
    }
    EXPECT_GT(stream.changes(), 50u);
  }
}

INSTANTIATE_TEST_SUITE_P(Of, Sound, ::testing::Bool(),
                         [](const auto& parameter) { return parameter.param ? "OverALayer" : "OfItsOwn"; });

TEST(SoundAfterCleaning, WhereTheFirstSegmentsWereGivenUp) {
  LogKeeper log;
  History history(4096);
  history.Live(false);
  auto opened = history.Open();
  ASSERT_OK(opened);
  struct Held : FileSystemHolder {
    explicit Held(Workspace& held) : held(held) {}
    FileSystem& fs() override { return held; }
    Workspace& held;
  } held(**opened);
  Client client(held);
  const auto first = [&] { return std::filesystem::exists(history.folder() + "/journal/0000000000000000.seg"); };
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  for (int i = 0; first() && std::chrono::steady_clock::now() < deadline; ++i) {
    ASSERT_OK(client.WriteFile("again", Pattern(3000, static_cast<std::uint64_t>(i))));
    ASSERT_OK(opened->get()->Checkpoint());
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ASSERT_FALSE(first()) << "no segment was given up";
  const Shown shown = ShownBy(**opened);
  opened->reset();
  for (const bool rebuilt : {false, true}) {
    const auto report = history.Check();
    ASSERT_OK(report);
    for (const Finding& finding : report->findings) {
      EXPECT_EQ(finding.severity, Severity::kInformation) << finding.where << ": " << finding.what;
    }
    if (rebuilt) break;
    // And what is left of the journal tells all.
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(history.folder() + "/index.db" + suffix);
    auto again = history.Open();
    ASSERT_OK(again);
    EXPECT_EQ(ShownBy(**again), shown);
  }
}

}  // namespace
}  // namespace strata::vfs::testing
