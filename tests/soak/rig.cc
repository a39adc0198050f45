#include "tests/soak/rig.h"

#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <filesystem>
#include <future>

#include "tests/e2e/service.h"

namespace strata::soak {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kMemory = 32 * kMiB, kMemoryBeside = 64 * kMiB;
// What the journal may hold beside twice what lives: dead weight that is not worth cleaning; the segment that is being
// written and the one after it, which are made ahead; the reserve.
constexpr std::uint64_t kDeadWeight = 256 * kMiB, kMadeAhead = 64 * kMiB, kReserve = 64 * kMiB;
constexpr std::size_t kBulks = 2;
constexpr int kLoadClients = 4;
constexpr std::uint64_t kQuota = 40 * kMiB;                        // of each bulk client, while it churns
constexpr std::uint64_t kConnections = kBulks + kLoadClients + 2;  // and the locker's
constexpr std::uint64_t kDescriptors = 128 + 40 + kConnections, kMappings = 512;
constexpr double kInterval = 1, kPromptly = 0.25;  // of the relaxed mode, and what a thread may take to wake up
constexpr double kEndLimit = 2;
constexpr double kIdleCpu = 0.02, kIdleReads = 100, kIdleBytes = 1 << 20;  // a second

std::string Seconds(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f s", seconds);
  return text;
}

std::string MiB(std::uint64_t bytes) { return std::to_string(bytes / kMiB) + " MiB"; }

}  // namespace

Rig::Rig(const RigOptions& options)
    : options_(options), relaxed_(options.durability == "relaxed"), random_(options.seed) {
  crash::FillLayer(layer_, options.seed);
  before_ = e2e::Fingerprint(layer_);
  observer_ = std::make_unique<Observer>(
      Limits{kMemory + kMemoryBeside, kDescriptors, kMappings, relaxed_ ? kInterval + kPromptly : 0}, journal_,
      folder_ / "watch", findings_, pulse_);
  for (std::size_t i = 0; i < kBulks; ++i) {
    bulks_.push_back(std::make_unique<Bulk>(
        BulkOptions{.number = i + 1, .seed = options.seed, .quota = kQuota, .port = [this] { return port_.load(); }},
        findings_, calls_));
  }
  load_ = std::make_unique<crash::Load>(
      crash::LoadOptions{.seed = options.seed,
                         .relaxed = relaxed_,
                         .clients = kLoadClients,
                         .may_fill = true,
                         .others = "bulk-",
                         .on_answer = [this](const std::string& what, double sent, double answered) {
                           calls_.Note(what, sent, answered);
                         }});
}

Rig::~Rig() {
  load_.reset();
  bulks_.clear();
  observer_.reset();
  served_.reset();
  if (mounted_) ::umount2(disk_.c_str(), MNT_DETACH);
}

std::string Rig::Mount() {
  std::filesystem::create_directory(disk_);
  mounted_ = ::mount("none", disk_.c_str(), "tmpfs", 0, ("size=" + options_.disk_size).c_str()) == 0;
  return mounted_ ? "" : "a disk of " + options_.disk_size + " cannot be mounted: " + std::strerror(errno);
}

std::string Rig::Prepare() {
  if (!Start()) return "the server does not start: " + errors_;
  if (!load_->Connect("127.0.0.1", last_port_, 10) || !load_->Prepare()) return "no client:\n" + load_->Report();
  load_life_ = lives_.load();
  for (auto& bulk : bulks_) bulk->Prepare();
  return findings_.Report();
}

bool Rig::Start() {
  observer_->Reset();
  std::vector<std::string> arguments = {layer_,     "--workspace", workspace_,     "--insecure-ports",
                                        "--memory", "32M",         "--durability", options_.durability};
  if (relaxed_) arguments.insert(arguments.end(), {"--relaxed-interval", "1s"});
  const std::map<std::string, std::string> environment = {{"LD_PRELOAD", STRATA_WATCH_LIBRARY},
                                                          {STRATA_WATCH_FILE, folder_ / "watch"},
                                                          {STRATA_WATCH_BREAK, options_.broken}};
  served_ = std::make_unique<e2e::ServedProcess>(arguments, last_port_, environment);
  if (served_->port() == 0) {
    served_->process().Signal(SIGKILL);
    served_->process().Wait();
    errors_ += served_->process().errors();
    return false;
  }
  last_port_ = served_->port();
  ++lives_;
  port_ = last_port_;
  observer_->Attach(served_->process().pid());
  pulse_.SetDown(false);
  return true;
}

void Rig::End(int signal) {
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

void Rig::EndAndStart(int signal) {
  End(signal);
  StartAgain();
}

void Rig::StartAgain() {
  crashed_ = crash::Load::Now();
  if (Start()) return;
  if (errors_.ends_with("(ENOSPC)\n")) {
    findings_.Note(Invariant::kFullDiskEmpties, 1, "the server does not start on a full disk: " + LastError());
    GrowDisk();
    if (Start()) return;
  }
  findings_.Note(Invariant::kNothingLost, 1, "the server does not start again: " + LastError());
  findings_.GiveUp();
}

void Rig::Phase(const std::function<void(Bulk&)>& work, double every) {
  std::atomic<bool> over = false;
  auto small = std::async(std::launch::async, [&] { RunLoad(over); });
  auto locks = std::async(std::launch::async, [&] { locker_.Run(over); });
  std::vector<std::future<void>> large;
  for (auto& bulk : bulks_) large.push_back(std::async(std::launch::async, [&] { work(*bulk); }));
  auto next = [&] {
    return every == 0 ? 1e18 : Now() + std::uniform_real_distribution(every / 2, every * 1.5)(random_);
  };
  double death = next();
  std::vector<std::uint64_t> answers(bulks_.size());
  // What came of a call is kept for a while only: it has been asked for again, and answered, before the next death.
  const auto all_resumed = [&] {
    for (std::size_t i = 0; i < bulks_.size(); ++i) {
      if (!bulks_[i]->HasAnswersSince(answers[i])) return false;
    }
    return load_life_ == lives_;
  };
  for (auto& one : large) {
    while (one.wait_for(std::chrono::milliseconds(20)) != std::future_status::ready) {
      if (Now() < death || findings_.hopeless() || !all_resumed()) continue;
      End(random_() % 3 == 0 ? SIGTERM : SIGKILL);
      std::ranges::transform(bulks_, answers.begin(), [](const auto& bulk) { return bulk->answers(); });
      StartAgain();
      death = next();
    }
  }
  over = true;
  small.wait();
  locks.wait();
}

void Rig::RunLoad(const std::atomic<bool>& over) {
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

crash::Load::Outcome Rig::ResumeLoad() {
  const std::uint64_t life = lives_;
  const std::uint16_t port = port_;
  if (port == 0 || !load_->Connect("127.0.0.1", port, 1)) return crash::Load::Outcome::kInterrupted;
  crash::Load::Outcome outcome = load_->Verify(crash::Crash::kProcess, crashed_, false);
  if (outcome != crash::Load::Outcome::kGood) return outcome;
  outcome = load_->SendAgain();
  if (outcome == crash::Load::Outcome::kGood) load_life_ = life;
  return outcome;
}

std::uint64_t Rig::Lives() const {
  std::uint64_t bytes = load_->living_bytes();
  for (const auto& bulk : bulks_) bytes += bulk->living();
  return bytes;
}

void Rig::Quiet(const std::string& when) {
  if (findings_.hopeless()) return;
  const double began = Now();
  const std::uint64_t lives = Lives(), bound = 2 * lives + kDeadWeight + kMadeAhead + kReserve;
  const std::uint64_t first = DiskBytes(journal_);
  auto quiet_for = [&] { return pulse_.Ours(began, Now()); };
  std::uint64_t journal = first;
  // The journal is small enough in time, and within all of the last seconds nothing is done.
  std::deque<Reading> window = {Look(served_->process().pid())};
  bool idle = false;
  double cpu = 0, reads = 0, bytes = 0;
  while (!idle && quiet_for() < options_.quiet_limit + options_.idle_seconds) {
    ::poll(nullptr, 0, 250);
    window.push_back(Look(served_->process().pid()));
    const Reading& from = window.front();
    const Reading& until = window.back();
    if (!until.alive) return findings_.Note(Invariant::kNothingLost, 1, "the server died by itself");
    if (journal > bound && quiet_for() < options_.quiet_limit) journal = DiskBytes(journal_);
    if (until.at - from.at < options_.idle_seconds) continue;
    const double seconds = until.at - from.at;
    cpu = (until.cpu - from.cpu) / seconds;
    reads = static_cast<double>(until.reads - from.reads) / seconds;
    bytes = static_cast<double>(until.bytes_read - from.bytes_read) / seconds;
    idle = journal <= bound && cpu < kIdleCpu && reads < kIdleReads && bytes < kIdleBytes;
    window.pop_front();
  }
  longest_quiet_ = std::max(longest_quiet_, Now() - began - options_.idle_seconds);
  idle_cpu_ = std::max(idle_cpu_, cpu), idle_reads_ = std::max(idle_reads_, reads);
  if (journal > bound) {
    findings_.Note(Invariant::kSpaceComesBack, static_cast<double>(journal - bound),
                   when + ", after " + Seconds(options_.quiet_limit) + " of quiet, the journal takes " + MiB(journal) +
                       " (" + MiB(first) + " before), more than " + MiB(bound) + "; the files have " + MiB(lives));
  } else if (!idle) {
    findings_.Note(Invariant::kIdle, cpu,
                   when + ", after " + Seconds(Now() - began) + " of quiet, a second has " +
                       std::to_string(cpu * 1000) + " ms of CPU time, " + std::to_string(reads) + " reads of " +
                       std::to_string(bytes) + " bytes");
  }
}

void Rig::FillAndEmpty(bool oldest) {
  if (grown_) return;
  // It may die on the full disk, before files are removed, and while they are.
  const bool dies = random_() % 2 == 0;
  Phase([](Bulk& bulk) { bulk.Fill(); }, 0);
  ++fills_;
  if (dies) EndAndStart(random_() % 2 == 0 ? SIGKILL : SIGTERM);
  const std::uint64_t full = Lives();
  Phase([&](Bulk& bulk) { bulk.Remove(0.5, oldest); }, dies ? 0.3 : 0);
  const std::uint64_t removed = full - std::min(full, Lives()), wanted = removed / 4 / kBulks * kBulks;
  const double began = Now();
  std::atomic<std::uint64_t> wrote = 0;
  Phase(
      [&](Bulk& bulk) {
        std::uint64_t bytes = 0;  // the limit is of seconds that were ours, which only turns out
        while (bytes < wanted / kBulks && pulse_.Ours(began, Now()) < options_.space_limit && !findings_.hopeless()) {
          bytes += bulk.WriteOn(wanted / kBulks - bytes, Now() + 1);
        }
        wrote += bytes;
      },
      0);
  const double took = pulse_.Ours(began, Now());
  longest_space_ = std::max(longest_space_, took);
  if (wrote < wanted) {
    findings_.Note(Invariant::kFullDiskEmpties, static_cast<double>(wanted - wrote),
                   "of a full disk with files of " + MiB(full) + ", " + MiB(removed) + " were removed (" +
                       (oldest ? "the oldest" : "at random") + "); " + Seconds(took) + " later " + MiB(wrote) +
                       " could be written, not " + MiB(wanted));
    GrowDisk();
    Phase([](Bulk& bulk) { bulk.WriteOn(16 * kMiB, Now() + 2); }, 0);
  }
  Phase([](Bulk& bulk) { bulk.Verify(); }, 1.5);
  Phase([](Bulk& bulk) { bulk.Remove(0.9, false); }, 1.5);
}

// So that a disk that cannot be emptied hides nothing else.
void Rig::GrowDisk() { grown_ = ::mount("none", disk_.c_str(), "tmpfs", MS_REMOUNT, "size=3g") == 0; }

std::string Rig::LastError() const {
  const std::size_t end = errors_.size() - std::min<std::size_t>(errors_.size(), 1);
  return errors_.substr(errors_.find_last_of('\n', end - std::min<std::size_t>(end, 1)) + 1);
}

std::string Rig::Finish() {
  if (!load_->Connect("127.0.0.1", last_port_, 10) ||
      load_->Verify(crash::Crash::kProcess, crashed_, true) != crash::Load::Outcome::kGood) {
    return "at the end:\n" + load_->Report();
  }
  load_->Disconnect();
  End(SIGTERM);
  const e2e::Finished checked = e2e::Run({STRATA_PROGRAM, "check", workspace_});
  if (checked.status != 0) return "strata check: " + checked.output + checked.errors;
  if (e2e::Fingerprint(layer_) != before_) return "the folder beneath changed (rule 6.5)";
  return "";
}

std::string Rig::Figures() const {
  const Largest most = observer_->largest();
  std::uint64_t written = 0, verified = 0;
  for (const auto& bulk : bulks_) written += bulk->written(), verified += bulk->verified();
  char text[1200];
  std::snprintf(
      text, sizeof text,
      "soaked for %.0f s, fills %ju, kills %ju, ends %ju, written %ju MiB, verified %ju MiB, calls %ju, "
      "locks %ju, claimed again %ju, "
      "largest journal %ju MiB, largest RSS %ju MiB, longest call %.3f s (%s), descriptors %ju, mappings %ju, "
      "undurable for %s, longest end %.2f s, space back in %.1f s, quiet in %.1f s, idle: %.1f ms of CPU and "
      "%.0f reads a second; busy with others for %.0f s",
      Now() - began_, fills_, kills_, ends_, written / kMiB, verified / kMiB, calls_.count(), locker_.grants(),
      locker_.claims(), most.journal / kMiB, most.rss / kMiB, calls_.longest(), calls_.longest_what().c_str(),
      most.descriptors, most.mappings, relaxed_ ? Seconds(most.undurable).c_str() : "no limit", longest_end_,
      longest_space_, longest_quiet_, idle_cpu_ * 1000, idle_reads_, pulse_.taken());
  return text;
}

}  // namespace strata::soak
