// The real server for a while, with everything on that runs in the background: on a disk of 1 GiB that fills and
// empties, under clients that change it in every way, killed and ended now and then. README.md says what must hold at
// every second of it.
//   STRATA_SOAK_SECONDS=N   so many seconds for both durabilities together (default 60)
//   STRATA_SEED=N           repeats a run as far as the machine's timing allows
//   STRATA_SOAK_BREAK=WHAT  breaks the server (watch.c): the soak must fail
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <future>
#include <random>

#include "tests/base/temp_folder.h"
#include "tests/crash/load.h"
#include "tests/e2e/process.h"
#include "tests/e2e/service.h"
#include "tests/soak/bulk.h"
#include "tests/soak/calls.h"
#include "tests/soak/findings.h"
#include "tests/soak/observer.h"
#include "tests/soak/pulse.h"

namespace strata::soak {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kMemory = 32 * kMiB, kMemoryBeside = 64 * kMiB;
// What the journal may hold beside twice what lives: dead weight that is not worth cleaning; the segment that is being
// written and the one after it, which are made ahead; the reserve.
constexpr std::uint64_t kDeadWeight = 256 * kMiB, kMadeAhead = 64 * kMiB, kReserve = 32 * kMiB;
constexpr std::size_t kBulks = 2;
constexpr int kLoadClients = 4;
constexpr std::uint64_t kQuota = 40 * kMiB;  // of each bulk client, while it churns
constexpr std::uint64_t kConnections = kBulks + kLoadClients;
constexpr std::uint64_t kDescriptors = 128 + kConnections, kMappings = 512;
constexpr double kInterval = 1, kPromptly = 0.25;  // of the relaxed mode, and what a thread may take to wake up
constexpr double kQuietLimit = 10, kIdleSeconds = 5, kSpaceLimit = 10, kEndLimit = 2;
constexpr double kIdleCpu = 0.02, kIdleReads = 100, kIdleBytes = 1 << 20;  // a second

std::uint64_t Number(const char* variable, std::uint64_t otherwise) {
  const char* given = std::getenv(variable);
  return given != nullptr ? std::strtoull(given, nullptr, 10) : otherwise;
}

std::string Seconds(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f s", seconds);
  return text;
}

std::string MiB(std::uint64_t bytes) { return std::to_string(bytes / kMiB) + " MiB"; }

class Soak : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    seed_ = Number("STRATA_SEED", std::random_device{}());
    std::printf("STRATA_SEED=%ju\n", static_cast<std::uintmax_t>(seed_));
    std::fflush(stdout);
    random_.seed(seed_);
    std::filesystem::create_directory(disk_);
    if (::mount("none", disk_.c_str(), "tmpfs", 0, "size=1g") != 0) {
      GTEST_SKIP() << "a disk of 1 GiB cannot be mounted: " << std::strerror(errno);
    }
    mounted_ = true;
    crash::FillLayer(layer_, seed_);
    before_ = e2e::Fingerprint(layer_);
    observer_ = std::make_unique<Observer>(
        Limits{kMemory + kMemoryBeside, kDescriptors, kMappings, relaxed_ ? kInterval + kPromptly : 0},
        workspace_ + "/journal", folder_ / "watch", findings_, pulse_);
    for (std::size_t i = 0; i < kBulks; ++i) {
      bulks_.push_back(std::make_unique<Bulk>(
          BulkOptions{.number = i + 1, .seed = seed_, .quota = kQuota, .port = [this] { return port_.load(); }},
          findings_, calls_));
    }
    load_ = std::make_unique<crash::Load>(
        crash::LoadOptions{.seed = seed_,
                           .relaxed = relaxed_,
                           .clients = kLoadClients,
                           .may_fill = true,
                           .others = "bulk-",
                           .on_answer = [this](const std::string& what, double sent, double answered) {
                             calls_.Note(what, sent, answered);
                           }});
  }
  void TearDown() override {
    load_.reset();
    bulks_.clear();
    observer_.reset();
    served_.reset();
    if (mounted_) ::umount2(disk_.c_str(), MNT_DETACH);
  }

  // Its life.
  bool Start() {
    observer_->Reset();
    std::vector<std::string> arguments = {layer_,     "--workspace", workspace_,     "--insecure-ports",
                                          "--memory", "32M",         "--durability", GetParam()};
    if (relaxed_) arguments.insert(arguments.end(), {"--relaxed-interval", "1s"});
    const char* given = std::getenv("STRATA_SOAK_BREAK");
    const double began = Now();
    served_ = std::make_unique<e2e::ServedProcess>(
        arguments, last_port_,
        std::map<std::string, std::string>{{"LD_PRELOAD", STRATA_WATCH_LIBRARY},
                                           {STRATA_WATCH_FILE, folder_ / "watch"},
                                           {STRATA_WATCH_BREAK, given == nullptr ? "" : given}});
    if (served_->port() == 0) {
      served_->process().Signal(SIGKILL);
      served_->process().Wait();
      errors_ += served_->process().errors();
      return false;
    }
    longest_start_ = std::max(longest_start_, Now() - began);
    last_port_ = served_->port();
    port_ = last_port_;
    observer_->Attach(served_->process().pid());
    pulse_.SetDown(false);
    return true;
  }
  void End(int signal) {
    observer_->Detach();
    port_ = 0;
    const double began = Now();
    served_->process().Signal(signal);
    siginfo_t info;
    ::waitid(P_PID, static_cast<id_t>(served_->process().pid()), &info, WEXITED | WNOWAIT);
    const double took = pulse_.Ours(began, Now());
    pulse_.SetDown(true);
    const int status = served_->process().Wait();
    errors_ += served_->process().errors();
    if (signal == SIGKILL) {
      ++kills_;
      return;
    }
    ++ends_;
    longest_end_ = std::max(longest_end_, took);
    if (took > kEndLimit) {
      findings_.Note(Invariant::kEndsInTime, took, "SIGTERM ended the server after " + Seconds(took));
    }
    if (status != 0) {
      findings_.Note(Invariant::kEndsInTime, 0, "SIGTERM ended the server with status " + std::to_string(status));
    }
  }
  void EndAndStart(int signal) {
    End(signal);
    crashed_ = crash::Load::Now();
    if (Start()) return;
    if (errors_.ends_with("(ENOSPC)\n")) {
      findings_.Note(Invariant::kFullDiskEmpties, 1, "the server does not start on a full disk: " + LastError());
      ResizeDisk("3g");  // so that this hides nothing else
      if (Start()) return;
    }
    findings_.Note(Invariant::kNothingLost, 1, "the server does not start again: " + LastError());
    findings_.GiveUp();
  }

  // One phase: the small files' client and the others at work, and the server killed or ended about every
  // `every` seconds (0: never).
  void Phase(const std::function<void(Bulk&)>& work, double every) {
    std::atomic<bool> over = false;
    auto small = std::async(std::launch::async, [&] { RunLoad(over); });
    std::vector<std::future<void>> large;
    for (auto& bulk : bulks_) large.push_back(std::async(std::launch::async, [&] { work(*bulk); }));
    auto next = [&] {
      return every == 0 ? 1e18 : Now() + std::uniform_real_distribution(every / 2, every * 1.5)(random_);
    };
    double death = next();
    for (auto& one : large) {
      while (one.wait_for(std::chrono::milliseconds(20)) != std::future_status::ready) {
        if (Now() < death || findings_.hopeless()) continue;
        EndAndStart(random_() % 3 == 0 ? SIGTERM : SIGKILL);
        death = next();
      }
    }
    over = true;
    small.wait();
  }
  void RunLoad(const std::atomic<bool>& over) {
    using Outcome = crash::Load::Outcome;
    Outcome outcome = Outcome::kGood;
    while (!findings_.hopeless()) {
      if (!load_->connected() || outcome == Outcome::kInterrupted) {
        outcome = ResumeLoad();
      } else if (over) {
        outcome = load_->Finish();
        if (outcome == Outcome::kGood) return;
      } else {
        outcome = load_->Run(Now() + 0.2, true, [&] { return over.load() || findings_.hopeless(); });
      }
      const std::uint64_t refused = load_->figures().refused_removals;
      if (refused > removals_refused_) {
        findings_.Note(Invariant::kFullDiskEmpties, static_cast<double>(refused),
                       std::to_string(refused - removals_refused_) +
                           " removals and truncations of small files were refused with NFS3ERR_NOSPC");
        removals_refused_ = refused;
      }
      if (outcome == Outcome::kWrong) {
        findings_.Note(Invariant::kNothingLost, 1, "small files:\n" + load_->Report());
        findings_.GiveUp();
      }
    }
  }
  crash::Load::Outcome ResumeLoad() {
    const std::uint16_t port = port_;
    if (port == 0 || !load_->Connect("127.0.0.1", port, 1)) return crash::Load::Outcome::kInterrupted;
    const crash::Load::Outcome outcome = load_->Verify(crash::Crash::kProcess, crashed_, false);
    return outcome == crash::Load::Outcome::kGood ? load_->SendAgain() : outcome;
  }

  std::uint64_t Lives() const {
    std::uint64_t bytes = load_->living_bytes();
    for (const auto& bulk : bulks_) bytes += bulk->living();
    return bytes;
  }
  // Nobody asks for anything: the journal shrinks, and then nothing is done.
  void Quiet(const char* when) {
    if (findings_.hopeless()) return;
    const double began = Now();
    const std::uint64_t lives = Lives(), bound = 2 * lives + kDeadWeight + kMadeAhead + kReserve;
    std::uint64_t journal = DiskBytes(workspace_ + "/journal");
    const std::uint64_t first = journal;
    Reading last = Look(served_->process().pid());
    bool idle = false;
    while (pulse_.Ours(began, Now()) < kQuietLimit && !idle) {
      ::poll(nullptr, 0, 500);
      journal = DiskBytes(workspace_ + "/journal");
      const Reading now = Look(served_->process().pid());
      idle = journal <= bound && now.cpu - last.cpu < kIdleCpu * (now.at - last.at) + 0.01;
      last = now;
    }
    longest_quiet_ = std::max(longest_quiet_, Now() - began);
    if (journal > bound) {
      findings_.Note(Invariant::kSpaceComesBack, static_cast<double>(journal - bound),
                     std::string(when) + ", after " + Seconds(Now() - began) + " of quiet, the journal takes " +
                         MiB(journal) + " (" + MiB(first) + " before), more than " + MiB(bound) + "; the files have " +
                         MiB(lives));
    }
    const Reading from = Look(served_->process().pid());
    ::poll(nullptr, 0, static_cast<int>(kIdleSeconds * 1000));
    const Reading until = Look(served_->process().pid());
    if (!from.alive || !until.alive) return findings_.Note(Invariant::kNothingLost, 1, "the server died by itself");
    const double seconds = until.at - from.at, cpu = (until.cpu - from.cpu) / seconds;
    const double reads = static_cast<double>(until.reads - from.reads) / seconds;
    const double bytes = static_cast<double>(until.bytes_read - from.bytes_read) / seconds;
    idle_cpu_ = std::max(idle_cpu_, cpu);
    idle_reads_ = std::max(idle_reads_, reads);
    if (cpu < kIdleCpu && reads < kIdleReads && bytes < kIdleBytes) return;
    findings_.Note(Invariant::kIdle, cpu,
                   std::string(when) + ", idle, a second has " + std::to_string(cpu * 1000) + " ms of CPU time, " +
                       std::to_string(reads) + " reads of " + std::to_string(bytes) +
                       " bytes; the server had been quiet for " + Seconds(from.at - began));
  }

  // The disk is filled, and emptied by those who filled it.
  void FillAndEmpty(bool oldest) {
    Phase([](Bulk& bulk) { bulk.Fill(); }, 0);
    ++fills_;
    if (random_() % 2 == 0) EndAndStart(random_() % 2 == 0 ? SIGKILL : SIGTERM);
    const std::uint64_t full = Lives();
    Phase([&](Bulk& bulk) { bulk.Remove(0.5, oldest); }, 0);
    const std::uint64_t removed = full - std::min(full, Lives());
    const double began = Now();
    const std::uint64_t wanted = removed / 4 / kBulks;
    std::atomic<std::uint64_t> wrote = 0;
    Phase(
        [&](Bulk& bulk) {
          // The limit is of seconds that were ours, so it is asked for again.
          std::uint64_t bytes = 0;
          while (bytes < wanted && pulse_.Ours(began, Now()) < kSpaceLimit && !findings_.hopeless()) {
            bytes += bulk.WriteOn(wanted - bytes, Now() + 1);
          }
          wrote += bytes;
        },
        0);
    const double took = pulse_.Ours(began, Now());
    longest_space_ = std::max(longest_space_, took);
    if (wrote < wanted * kBulks) {
      findings_.Note(Invariant::kFullDiskEmpties, static_cast<double>(wanted * kBulks - wrote),
                     "of a full disk with files of " + MiB(full) + ", " + MiB(removed) + " were removed (" +
                         (oldest ? "the oldest" : "at random") + "); " + Seconds(took) + " later " + MiB(wrote) +
                         " could be written, not " + MiB(wanted * kBulks));
      ResizeDisk("3g");  // so that this hides nothing else
      Phase([](Bulk& bulk) { bulk.WriteOn(16 * kMiB, Now() + 2); }, 0);
    }
    Phase([](Bulk& bulk) { bulk.Verify(); }, 1.5);
    Phase([](Bulk& bulk) { bulk.Remove(0.9, false); }, 1.5);
  }
  // It stays as it is where more is on it.
  void ResizeDisk(const std::string& size) {
    ::mount("none", disk_.c_str(), "tmpfs", MS_REMOUNT, ("size=" + size).c_str());
  }
  std::string LastError() const {
    const std::size_t end = errors_.size() - std::min<std::size_t>(errors_.size(), 1);
    return errors_.substr(errors_.find_last_of('\n', end - std::min<std::size_t>(end, 1)) + 1);
  }

  void Report(double began) {
    const Largest most = observer_->largest();
    std::uint64_t written = 0, verified = 0;
    for (const auto& bulk : bulks_) written += bulk->written(), verified += bulk->verified();
    std::printf(
        "%s: soaked for %.0f s: fills %ju, kills %ju, ends %ju, %s written, %s verified, calls %ju (small changes "
        "acknowledged %ju, refused %ju); largest journal %s, largest RSS %s, longest call %.3f s, descriptors %ju, "
        "mappings %ju; longest undurable %s, longest end %.2f s, space back within %.2f s, quiet within %.1f s, idle: "
        "%.1f ms of CPU and %.0f reads a second; busy with others: %.1f s; looks %ju; lost: 0\n",
        GetParam(), Now() - began, fills_, kills_, ends_, MiB(written).c_str(), MiB(verified).c_str(), calls_.count(),
        load_->figures().acknowledged, load_->figures().refused, MiB(most.journal).c_str(), MiB(most.rss).c_str(),
        calls_.longest(), most.descriptors, most.mappings, relaxed_ ? Seconds(most.undurable).c_str() : "not bounded",
        longest_end_, longest_space_, longest_quiet_, idle_cpu_ * 1000, idle_reads_, pulse_.taken(), most.seconds);
    std::fflush(stdout);
  }

  const bool relaxed_ = GetParam() == std::string("relaxed");
  TempFolder folder_;
  const std::string layer_ = folder_ / "layer", disk_ = folder_ / "disk", workspace_ = disk_ + "/workspace";
  bool mounted_ = false;
  std::string before_, errors_;
  std::uint64_t seed_ = 0;
  std::mt19937_64 random_;
  Findings findings_;
  Pulse pulse_;
  Calls calls_{findings_, pulse_};
  std::unique_ptr<Observer> observer_;
  std::unique_ptr<e2e::ServedProcess> served_;
  std::atomic<std::uint16_t> port_ = 0;  // 0 while it is down
  std::uint16_t last_port_ = 0;
  std::atomic<double> crashed_ = 0;
  std::unique_ptr<crash::Load> load_;
  std::vector<std::unique_ptr<Bulk>> bulks_;
  std::uint64_t removals_refused_ = 0, fills_ = 0, kills_ = 0, ends_ = 0;
  double longest_start_ = 0, longest_end_ = 0, longest_space_ = 0, longest_quiet_ = 0, idle_cpu_ = 0, idle_reads_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Durability, Soak, ::testing::Values("strict", "relaxed"),
                         [](const auto& info) { return info.param; });

TEST_P(Soak, WhatIsPromisedHoldsAtEverySecond) {
  const double began = Now(), until = began + static_cast<double>(Number("STRATA_SOAK_SECONDS", 60)) / 2;
  ASSERT_TRUE(Start()) << errors_;
  ASSERT_TRUE(load_->Connect("127.0.0.1", last_port_, 10)) << load_->Report();
  ASSERT_TRUE(load_->Prepare()) << load_->Report();
  for (auto& bulk : bulks_) bulk->Prepare();
  for (bool oldest = true; !findings_.hopeless(); oldest = !oldest) {
    Phase([](Bulk& bulk) { bulk.Churn(Now() + 5); }, 1.5);
    Quiet("after changes");
    if (!findings_.Has(Invariant::kFullDiskEmpties)) FillAndEmpty(oldest);
    if (Now() > until - 8) break;
    Quiet("after the disk was filled and emptied");
  }
  Phase([](Bulk& bulk) { bulk.Remove(1, false); }, 0);
  Quiet("after everything was removed");
  if (!findings_.hopeless()) {
    EXPECT_TRUE(load_->Connect("127.0.0.1", last_port_, 10)) << load_->Report();
    EXPECT_EQ(load_->Verify(crash::Crash::kProcess, crashed_, true), crash::Load::Outcome::kGood) << load_->Report();
    load_->Disconnect();
    End(SIGTERM);
    const e2e::Finished checked = e2e::Run({STRATA_PROGRAM, "check", workspace_});
    EXPECT_EQ(checked.status, 0) << checked.output << checked.errors;
    EXPECT_EQ(e2e::Fingerprint(layer_), before_) << "the folder beneath changed (rule 6.5)";
  }
  if (!findings_.Has(Invariant::kNothingLost)) Report(began);
  const std::string broken = findings_.Report();
  EXPECT_TRUE(broken.empty()) << broken << "seed " << seed_ << "\n" << errors_.substr(0, 4000);
}

}  // namespace
}  // namespace strata::soak
