// The real program, killed with SIGKILL again and again at random instants under several clients: under load, while it
// starts, in its checkpoints. Everything that was answered is there afterwards, UNSTABLE writes too.
//   STRATA_SEED=N           repeats a run as far as the machine's timing allows
//   STRATA_CRASH_KILLS=N    so many kills for each durability (default 100)
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdio>
#include <filesystem>
#include <random>

#include "tests/base/seed.h"
#include "tests/base/temp_folder.h"
#include "tests/crash/load.h"
#include "tests/e2e/process.h"
#include "tests/e2e/service.h"

namespace strata::crash {
namespace {

class KillLoop : public ::testing::TestWithParam<const char*> {
 protected:
  KillLoop() {
    const std::uint64_t seed = SeedOfRun();
    random_.seed(seed);
    options_.seed = seed;
    options_.relaxed = durability_ == "relaxed";
    FillLayer(layer_, seed);
    before_ = e2e::Fingerprint(layer_);
  }
  std::vector<std::string> Arguments() const {
    std::vector<std::string> arguments = {layer_,         "--workspace", folder_ / "workspace", "--insecure-ports",
                                          "--durability", durability_};
    if (in_checkpoint_) arguments.insert(arguments.end(), {"--memory", "16M"});  // it is full soon
    return arguments;
  }
  // When the index was last written to: a checkpoint is under way, or has just ended.
  std::vector<std::filesystem::file_time_type> IndexWritten() const {
    std::vector<std::filesystem::file_time_type> times;
    for (const char* name : {"/workspace/index.db", "/workspace/index.db-wal"}) {
      std::error_code missing;
      times.push_back(std::filesystem::last_write_time(folder_.path() + name, missing));
    }
    return times;
  }
  bool Start() {
    served_ = std::make_unique<e2e::ServedProcess>(Arguments(), port_);
    if (served_->port() == 0) {
      Kill();
      ADD_FAILURE() << "it did not start again: " << served_->process().errors();
      return false;
    }
    port_ = served_->port();
    return true;
  }
  void Kill() {
    served_->process().Signal(SIGKILL);
    served_->process().Wait();
    ++kills_;
  }
  // Any moment will do: nothing is waited for.
  void PassTime(std::uint64_t most_us) {
    const timespec moment{0, static_cast<long>(random_() % most_us * 1000)};
    ::nanosleep(&moment, nullptr);
  }
  // The death of a server under load, in one of several ways.
  void End() {
    const auto way = random_() % 8;
    if (way < 6) PassTime(3'000);  // some calls are executed, and their answers lost
    if (way >= 6) {                // in the checkpoint at its end, or after it
      served_->process().Signal(SIGTERM);
      PassTime(30'000);
    }
    Kill();
    if (way % 4 == 0) {  // once or twice more before it serves
      for (auto again = random_() % 2 + 1; again > 0; --again) {
        std::vector<std::string> arguments = Arguments();
        arguments.insert(arguments.begin(), {STRATA_PROGRAM, "serve"});
        arguments.insert(arguments.end(), {"--listen", "127.0.0.1:" + std::to_string(port_), "--portmap", "off"});
        e2e::Process starting(arguments);
        PassTime(60'000);
        starting.Signal(SIGKILL);
        ASSERT_EQ(starting.Wait(), 128 + SIGKILL) << starting.errors();
        ++kills_;
      }
    }
  }
  // What went wrong, for a person.
  std::string Report(const Load& load) {
    return "after " + std::to_string(kills_) + " kills:\n" + load.Report() + served_->process().errors();
  }

  const std::string durability_ = GetParam();
  TempFolder folder_;
  const std::string layer_ = folder_ / "layer";
  std::string before_;
  std::mt19937_64 random_;
  LoadOptions options_;
  std::uint16_t port_ = 0;
  std::uint64_t kills_ = 0, checkpoints_hit_ = 0;
  bool in_checkpoint_ = false;  // the next kill is to be in a checkpoint that comes by itself
  std::unique_ptr<e2e::ServedProcess> served_;
};
INSTANTIATE_TEST_SUITE_P(Durability, KillLoop, ::testing::Values("strict", "relaxed"),
                         [](const auto& info) { return info.param; });

TEST_P(KillLoop, WhateverWasAnsweredIsThereAfterEachKill) {
  const std::uint64_t wanted = NumberFromEnvironment("STRATA_CRASH_KILLS", 100);
  ASSERT_TRUE(Start());
  Load load(options_);
  ASSERT_TRUE(load.Connect("127.0.0.1", port_, 10)) << Report(load);
  ASSERT_TRUE(load.Prepare()) << Report(load);
  while (kills_ < wanted) {
    const double now = Load::Now();
    if (in_checkpoint_) {
      const auto before = IndexWritten();
      auto begun = [&] { return IndexWritten() != before; };
      ASSERT_EQ(load.Run(now + 10, true, begun), Load::Outcome::kGood) << (Kill(), Report(load));
      checkpoints_hit_ += begun();
    } else {
      const double life = static_cast<double>(20 + random_() % 230) / 1000;
      ASSERT_EQ(load.Run(now + life, true), Load::Outcome::kGood) << (Kill(), Report(load));
    }
    ASSERT_NO_FATAL_FAILURE(End());
    in_checkpoint_ = random_() % 16 == 0;
    const double crashed = Load::Now();
    ASSERT_TRUE(Start());
    ASSERT_TRUE(load.Connect("127.0.0.1", port_, 10)) << Report(load);
    ASSERT_EQ(load.Verify(Crash::kProcess, crashed, kills_ >= wanted), Load::Outcome::kGood) << (Kill(), Report(load));
    ASSERT_EQ(load.SendAgain(), Load::Outcome::kGood) << (Kill(), Report(load));
  }
  load.Disconnect();
  served_->process().Signal(SIGTERM);
  EXPECT_EQ(served_->process().Wait(), 0) << served_->process().errors();
  EXPECT_EQ(e2e::Fingerprint(layer_), before_) << "the folder beneath changed (rule 6.5)";
  const Figures& figures = load.figures();
  ASSERT_GT(figures.acknowledged, 10 * kills_) << "too few calls were answered to show anything";
  std::printf(
      "%s: kills survived %ju (%ju in a checkpoint under load), calls acknowledged %ju, records checked %ju (%ju "
      "blocks), "
      "retransmissions answered %ju (%ju executed before the kill), lost: 0\n",
      durability_.c_str(), kills_, checkpoints_hit_, figures.acknowledged, figures.records, figures.blocks,
      figures.repeated, figures.repeated_done);
}

}  // namespace
}  // namespace strata::crash
