#include "tests/soak/pulse.h"

#include <poll.h>
#include <sys/times.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <string>

#include "tests/soak/findings.h"
#include "tests/soak/observer.h"

namespace strata::soak {
namespace {

constexpr double kBeat = 0.02, kLook = 0.24, kMissed = 0.1;
constexpr double kRemembered = 120, kNoise = 0.15;
constexpr double kLeastShare = 0.2;  // a scheduler that is fair to all leaves so much

// All processors' seconds: busy, and all.
struct Machine {
  double busy = 0, all = 0;
};

Machine LookAtMachine() {
  std::ifstream file("/proc/stat");
  std::string name;
  file >> name;
  Machine machine;
  const double tick = 1.0 / static_cast<double>(::sysconf(_SC_CLK_TCK));
  for (int i = 0; i < 8; ++i) {  // user nice system idle iowait irq softirq steal
    double ticks = 0;
    file >> ticks;
    machine.all += ticks * tick;
    if (i != 3 && i != 4) machine.busy += ticks * tick;
  }
  return machine;
}

// How long each thread of a process has waited for a processor so far, in seconds.
std::map<std::string, double> WaitedForProcessor(const std::string& process) {
  std::map<std::string, double> waited;
  std::error_code gone;
  for (std::filesystem::directory_iterator at("/proc/" + process + "/task", gone), end; !gone && at != end;
       at.increment(gone)) {
    std::ifstream file(at->path() / "schedstat");
    double ran = 0, waited_ns = 0;
    if (file >> ran >> waited_ns) waited[at->path().filename()] = waited_ns / 1e9;
  }
  return waited;
}

// By the threads that were there before.
double Since(const std::map<std::string, double>& before, const std::map<std::string, double>& now) {
  double sum = 0;
  for (const auto& [thread, waited] : now) {
    const auto found = before.find(thread);
    if (found != before.end()) sum += std::max(0.0, waited - found->second);
  }
  return sum;
}

double OwnCpu() {
  tms times;
  ::times(&times);
  return static_cast<double>(times.tms_utime + times.tms_stime) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

}  // namespace

Pulse::Pulse() : thread_([this] { Run(); }) {}

Pulse::~Pulse() {
  ends_.store(true, std::memory_order_relaxed);
  thread_.join();
}

void Pulse::Add(double from, double until, double share) {
  const std::lock_guard lock(mutex_);
  taken_ += (until - from) * (1 - share);
  if (!stretches_.empty() && stretches_.back().share == share) {
    stretches_.back().until = until;
  } else {
    stretches_.push_back({from, until, share});
  }
  while (stretches_.front().until < until - kRemembered) stretches_.pop_front();
  while (downs_.size() > 1 && downs_.front().until < until - kRemembered) downs_.pop_front();
}

void Pulse::SetDown(bool down) {
  const std::lock_guard lock(mutex_);
  if (down) {
    downs_.push_back({Now(), std::numeric_limits<double>::infinity(), 0});
  } else if (!downs_.empty()) {
    downs_.back().until = std::min(downs_.back().until, Now());
  }
}

double Pulse::Ours(double from, double until) const {
  const std::lock_guard lock(mutex_);
  double ours = until - from;
  auto overlap = [&](const Stretch& stretch) {
    return std::max(0.0, std::min(until, stretch.until) - std::max(from, stretch.from));
  };
  for (const Stretch& stretch : stretches_) ours -= overlap(stretch) * (1 - stretch.share);
  for (const Stretch& down : downs_) ours -= overlap(down);
  // What is not looked at yet was as the last that was.
  if (!stretches_.empty() && until > stretches_.back().until) {
    ours -= (until - std::max(from, stretches_.back().until)) * (1 - stretches_.back().share);
  }
  return std::max(0.0, ours);
}

double Pulse::taken() const {
  const std::lock_guard lock(mutex_);
  return taken_;
}

void Pulse::Run() {
  double looked = Now(), beat = looked, missed = 0;
  Machine machine = LookAtMachine();
  pid_t server = 0;
  double own = OwnCpu(), server_cpu = 0;
  std::map<std::string, double> own_waits, server_waits;
  while (!ends_.load(std::memory_order_relaxed)) {
    ::poll(nullptr, 0, static_cast<int>(kBeat * 1000));
    const double now = Now();
    if (now - beat > kMissed) missed += now - beat - kBeat;
    beat = now;
    if (now - looked < kLook) continue;
    const Machine machine_now = LookAtMachine();
    const double own_now = OwnCpu();
    const pid_t server_now = server_.load(std::memory_order_relaxed);
    const double server_cpu_now = CpuSeconds(server_now);
    auto own_waits_now = WaitedForProcessor("self");
    auto server_waits_now = WaitedForProcessor(std::to_string(server_now));
    double ours = own_now - own;
    if (server_now == server && server_cpu_now >= server_cpu) ours += server_cpu_now - server_cpu;
    // Others took what they used, as far as a thread of ours wanted it.
    const double all = std::max(machine_now.all - machine.all, 0.01);
    const double foreign = std::clamp((machine_now.busy - machine.busy - ours) / all, 0.0, 1.0);
    const double wanted = (Since(own_waits, own_waits_now) + Since(server_waits, server_waits_now)) / (now - looked);
    double taken = std::min(foreign, wanted);
    if (taken < kNoise) taken = 0;
    Add(looked, now, std::max(kLeastShare, 1 - taken - missed / (now - looked)));
    machine = machine_now, own = own_now, server = server_now, server_cpu = server_cpu_now;
    own_waits = std::move(own_waits_now), server_waits = std::move(server_waits_now);
    looked = now, missed = 0;
  }
}

}  // namespace strata::soak
