#include "tests/soak/observer.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

namespace strata::soak {
namespace {

std::string Slurp(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The number after `name` at the beginning of a line.
std::uint64_t NumberOf(const std::string& text, const std::string& name) {
  const std::size_t at = ("\n" + text).find("\n" + name);
  return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at + name.size(), nullptr, 10);
}

std::string MiB(std::uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

}  // namespace

double CpuSeconds(pid_t pid) {
  if (pid == 0) return 0;
  const std::string text = Slurp("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream rest(text.substr(name_end + 1));
  std::string skipped;
  for (int i = 0; i < 11; ++i) rest >> skipped;  // state to cmajflt
  double user = 0, system = 0;
  rest >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

Reading Look(pid_t pid) {
  Reading reading;
  if (pid == 0) return reading;
  const std::string proc = "/proc/" + std::to_string(pid);
  const std::string status = Slurp(proc + "/status"), io = Slurp(proc + "/io");
  reading.at = Now();
  reading.cpu = CpuSeconds(pid);
  reading.rss = NumberOf(status, "VmRSS:") << 10;
  reading.anonymous = NumberOf(status, "RssAnon:") << 10;
  reading.shared = NumberOf(status, "RssShmem:") << 10;
  reading.peak = NumberOf(status, "VmHWM:") << 10;
  reading.reads = NumberOf(io, "syscr:");
  reading.bytes_read = NumberOf(io, "rchar:");
  std::error_code gone;
  for (std::filesystem::directory_iterator at(proc + "/fd", gone), end; !gone && at != end; at.increment(gone)) {
    ++reading.descriptors;
  }
  const std::string maps = Slurp(proc + "/maps");
  reading.mappings = static_cast<std::uint64_t>(std::count(maps.begin(), maps.end(), '\n'));
  reading.alive = reading.rss != 0 && reading.descriptors != 0;
  return reading;
}

std::uint64_t DiskBytes(const std::string& folder) {
  std::uint64_t bytes = 0;
  std::error_code gone;
  for (std::filesystem::directory_iterator at(folder, gone), end; !gone && at != end; at.increment(gone)) {
    struct stat st;
    if (::lstat(at->path().c_str(), &st) == 0) bytes += static_cast<std::uint64_t>(st.st_blocks) * 512;
  }
  return bytes;
}

Observer::Observer(const Limits& limits, std::string journal, const std::string& watch_file, Findings& findings,
                   Pulse& pulse)
    : limits_(limits), journal_(std::move(journal)), findings_(findings), pulse_(pulse) {
  const int fd = ::open(watch_file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || ::ftruncate(fd, sizeof(Watch)) != 0) std::abort();
  void* mapped = ::mmap(nullptr, sizeof(Watch), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) std::abort();
  ::close(fd);
  watch_ = static_cast<Watch*>(mapped);
  thread_ = std::thread([this] { Run(); });
}

Observer::~Observer() {
  ends_.store(true, std::memory_order_relaxed);
  thread_.join();
  ::munmap(watch_, sizeof(Watch));
}

void Observer::Reset() {
  const std::lock_guard lock(mutex_);
  std::memset(watch_, 0, sizeof *watch_);
}

void Observer::Attach(pid_t pid) {
  const std::lock_guard lock(mutex_);
  pid_ = pid;
  attached_ = Now();
  pulse_.SetServer(pid);
}

void Observer::Detach() {
  const std::lock_guard lock(mutex_);
  if (pid_ == 0) return;
  LookOnce();
  if (__atomic_load_n(&watch_->writes, __ATOMIC_RELAXED) == 0 && Now() - attached_ > 1) {
    findings_.Note(Invariant::kDurableInTime, 0,
                   "the preloaded library saw no write to the journal: what is undurable cannot be told");
  }
  pid_ = 0;
  pulse_.SetServer(0);
}

Largest Observer::largest() const {
  const std::lock_guard lock(mutex_);
  return largest_;
}

void Observer::Run() {
  for (double next = Now() + 1; !ends_.load(std::memory_order_relaxed);) {
    ::poll(nullptr, 0, 50);
    if (Now() < next) continue;
    next = Now() + 1;
    const std::lock_guard lock(mutex_);
    if (pid_ != 0) LookOnce();
  }
}

void Observer::LookOnce() {
  const std::uint64_t journal = DiskBytes(journal_);
  largest_.journal = std::max(largest_.journal, journal);
  ++largest_.seconds;
  JudgeUndurable(Now());
  const Reading reading = Look(pid_);
  if (!reading.alive) return;  // it has just died, as its clients will tell
  largest_.rss = std::max(largest_.rss, reading.peak);
  largest_.descriptors = std::max(largest_.descriptors, reading.descriptors);
  largest_.mappings = std::max(largest_.mappings, reading.mappings);
  if (reading.peak > limits_.memory) {
    findings_.Note(Invariant::kMemory, static_cast<double>(reading.peak),
                   "VmHWM " + MiB(reading.peak) + " is more than " + MiB(limits_.memory) + "; now VmRSS " +
                       MiB(reading.rss) + " (RssAnon " + MiB(reading.anonymous) + ", RssShmem " + MiB(reading.shared) +
                       ")");
  }
  if (reading.descriptors > limits_.descriptors) {
    findings_.Note(
        Invariant::kHandles, static_cast<double>(reading.descriptors),
        std::to_string(reading.descriptors) + " descriptors are more than " + std::to_string(limits_.descriptors));
  }
  if (reading.mappings > limits_.mappings) {
    findings_.Note(Invariant::kHandles, static_cast<double>(reading.mappings),
                   std::to_string(reading.mappings) + " mappings are more than " + std::to_string(limits_.mappings));
  }
}

void Observer::JudgeUndurable(double now) {
  const std::int64_t oldest = __atomic_load_n(&watch_->oldest, __ATOMIC_RELAXED);
  const double waits = oldest == 0 ? 0 : std::max(0.0, now - static_cast<double>(oldest) / 1e9);
  const double waited = static_cast<double>(__atomic_load_n(&watch_->longest, __ATOMIC_RELAXED)) / 1e9;
  const double sync = static_cast<double>(__atomic_load_n(&watch_->longest_sync, __ATOMIC_RELAXED)) / 1e9;
  largest_.sync = std::max(largest_.sync, sync);
  largest_.undurable = std::max({largest_.undurable, waits, waited});
  if (limits_.undurable == 0) return;
  // A write may come while another sync is under way, and then wait for its own.
  const double allowed = limits_.undurable + 2 * sync;
  if (std::max(waits, waited) <= allowed) return;
  // When the longest wait was is not told: since the last look, most of it.
  const double ours = pulse_.Ours(now - std::max(waits, waited), now);
  if (ours <= allowed) {
    __atomic_store_n(&watch_->longest, 0, __ATOMIC_RELAXED);
    return;
  }
  std::ostringstream text;
  text << "a write to the journal waited " << std::max(waits, waited) << " s (" << ours
       << " s on a quiet machine) for the end of its sync, more than " << allowed << " s; the longest sync took "
       << sync << " s, " << __atomic_load_n(&watch_->syncs, __ATOMIC_RELAXED) << " of them for "
       << __atomic_load_n(&watch_->writes, __ATOMIC_RELAXED) << " writes";
  findings_.Note(Invariant::kDurableInTime, std::max(waits, waited), text.str());
  __atomic_store_n(&watch_->longest, 0, __ATOMIC_RELAXED);
}

}  // namespace strata::soak
