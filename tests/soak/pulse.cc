#include "tests/soak/pulse.h"

#include <poll.h>
#include <sys/times.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

#include "tests/soak/findings.h"
#include "tests/soak/observer.h"

namespace strata::soak {
namespace {

constexpr double kBeat = 0.02, kLook = 0.24, kMissed = 0.1;
constexpr double kRemembered = 120;
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
  double looked = Now(), beat = looked;
  Machine machine = LookAtMachine();
  pid_t server = 0;
  double own = OwnCpu(), server_cpu = 0;
  double missed = 0;
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
    double ours = own_now - own;
    if (server_now == server && server_cpu_now >= server_cpu) ours += server_cpu_now - server_cpu;
    const double all = std::max(machine_now.all - machine.all, 0.01);
    const double foreign = std::clamp((machine_now.busy - machine.busy - ours) / all, 0.0, 1.0);
    double share = foreign < 0.15 ? 1.0 : std::max(kLeastShare, 1 - foreign);
    share = std::max(kLeastShare, share - missed / (now - looked));
    Add(looked, now, share);
    machine = machine_now, own = own_now, server = server_now, server_cpu = server_cpu_now;
    looked = now, missed = 0;
  }
}

}  // namespace strata::soak
