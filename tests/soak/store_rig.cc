#include "tests/soak/store_rig.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "store/pack/pack_store.h"
#include "tests/e2e/service.h"
#include "tests/soak/observer.h"

namespace strata::soak {

namespace fs = std::filesystem;

namespace {

// A day of the program passes in 2.2 s.
constexpr std::uint64_t kHurry = 40'000;
constexpr double kDay = 86'400.0 / kHurry;
constexpr std::uint64_t kMemory = 32 << 20;
constexpr std::uint64_t kPackBytes = 4 << 20;
constexpr std::size_t kNames = 8;  // at most, beside those that are on their way

const char* NameOf(StoreInvariant invariant) {
  switch (invariant) {
    case StoreInvariant::kNothingLost:
      return "nothing is lost";
    case StoreInvariant::kSpaceComesBack:
      return "space comes back";
    case StoreInvariant::kMemory:
      return "memory";
    case StoreInvariant::kHandles:
      return "descriptors";
    case StoreInvariant::kNoLeftovers:
      return "nothing is left over";
  }
  return "?";
}

void Sleep(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

std::string NamesIn(const std::string& folder) {
  std::error_code gone;
  std::string names;
  for (fs::directory_iterator at(folder, gone), end; !gone && at != end; at.increment(gone)) {
    names += ' ' + at->path().filename().string();
  }
  return names;
}

}  // namespace

std::vector<SeededTree::File> SeededTree::Files() const {
  std::vector<File> files;
  for (std::uint64_t i = 0; i < 48; ++i) {
    // Two thirds of the files change with every sixth tree only.
    const std::uint64_t content = (i % 3 == 0 ? seed_ : seed_ / 6) * 1000 + i;
    std::mt19937_64 random(content);
    // The first is of many chunks; most are small.
    const std::size_t size = i == 0 ? 1'500'000 : i % 8 == 1 ? random() % 120'000 : random() % 4000;
    files.push_back(
        {"d" + std::to_string(i % 5) + "/e" + std::to_string(i % 2) + "/f" + std::to_string(i), content, size});
  }
  return files;
}

std::string SeededTree::BytesOf(const File& file) { return e2e::RandomBytes(file.content, file.size); }

void SeededTree::Make(const std::string& folder) const {
  for (const File& file : Files()) {
    const std::string path = folder + "/" + file.path;
    fs::create_directories(fs::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << BytesOf(file);
  }
}

StoreRig::StoreRig(const StoreRigOptions& options)
    : options_(options),
      environment_({{"LD_PRELOAD", STRATA_HURRY_LIBRARY},
                    {"STRATA_HURRY_FROM", std::to_string(std::time(nullptr))},
                    {"STRATA_HURRY_FACTOR", std::to_string(kHurry)},
                    {"XDG_CACHE_HOME", folder_ / "cache"},
                    {"XDG_STATE_HOME", folder_ / "state"},
                    {"TMPDIR", folder_.path()}}) {
  const auto serve = [&](const std::string& what) {
    return std::vector<std::string>{what, "--read-only", "--insecure-ports", "--memory", "32M"};
  };
  all_.arguments = serve("castore:@" + store_);
  all_.arguments.push_back("--list-roots");
  unnamed_.arguments = serve("");
}

StoreRig::~StoreRig() = default;

void StoreRig::Note(StoreInvariant invariant, const std::string& what) {
  const std::lock_guard lock(mutex_);
  std::string& first = found_[static_cast<std::size_t>(invariant)];
  if (!first.empty()) return;
  first = what;
  std::printf("store soak: BROKEN (%s) %s\n", NameOf(invariant), what.c_str());
  std::fflush(stdout);
}

bool StoreRig::Broken(StoreInvariant invariant) const {
  const std::lock_guard lock(mutex_);
  return !found_[static_cast<std::size_t>(invariant)].empty();
}

std::string StoreRig::Report() const {
  const std::lock_guard lock(mutex_);
  std::string report;
  for (std::size_t i = 0; i < kStoreInvariants; ++i) {
    if (!found_[i].empty()) {
      report += std::string(NameOf(static_cast<StoreInvariant>(i))) + " is broken: " + found_[i] + "\n";
    }
  }
  return report;
}

std::string StoreRig::Figures() const {
  char text[400];
  std::snprintf(
      text, sizeof text,
      "%ju imports (%ju killed), %ju collections (%ju killed), %ju names removed, %ju files compared, servers "
      "killed %ju times; at most %ju MiB in the store, %ju MiB in a server",
      static_cast<std::uintmax_t>(imports_), static_cast<std::uintmax_t>(killed_imports_),
      static_cast<std::uintmax_t>(collections_), static_cast<std::uintmax_t>(killed_collections_),
      static_cast<std::uintmax_t>(removals_), static_cast<std::uintmax_t>(files_read_),
      static_cast<std::uintmax_t>(server_kills_), static_cast<std::uintmax_t>(largest_stored_ >> 20),
      static_cast<std::uintmax_t>(largest_rss_ >> 20));
  return text;
}

e2e::Finished StoreRig::Strata(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), STRATA_PROGRAM);
  return e2e::Run(arguments, environment_);
}

bool StoreRig::RunOrKill(std::vector<std::string> arguments, std::mt19937_64& random, double kills,
                         e2e::Finished& finished) {
  arguments.insert(arguments.begin(), STRATA_PROGRAM);
  e2e::Process process(arguments, environment_);
  process.CloseInput();
  const bool kill = std::uniform_real_distribution<double>(0, 1)(random) < kills;
  if (kill) {
    Sleep(std::uniform_real_distribution<double>(0, 0.06)(random));
    process.Signal(SIGKILL);
  }
  finished.status = process.Wait();
  finished.output = process.output();
  finished.errors = process.errors();
  return finished.status != 128 + SIGKILL;
}

bool StoreRig::Start(Served& served) {
  served.process = std::make_unique<e2e::ServedProcess>(served.arguments, served.port, environment_);
  if (served.process->port() == 0) return false;
  served.port = served.process->port();
  return true;
}

void StoreRig::Look(const Served& served) {
  const Reading reading = soak::Look(served.process->process().pid());
  if (!reading.alive) return;
  largest_rss_ = std::max<std::uint64_t>(largest_rss_, reading.peak);
  if (reading.peak > kMemory + (64 << 20)) {
    Note(StoreInvariant::kMemory, "a server takes " + std::to_string(reading.peak >> 20) + " MiB");
  }
  if (reading.descriptors > 200) {
    Note(StoreInvariant::kHandles, "a server has " + std::to_string(reading.descriptors) + " descriptors");
  }
}

void StoreRig::End(Served& served, int signal) {
  if (!served.process) return;
  Look(served);
  served.process->process().Signal(signal);
  const int status = served.process->process().Wait();
  if (signal == SIGTERM && status != 0) {
    Note(StoreInvariant::kNothingLost,
         "a server ended with " + std::to_string(status) + ": " + served.process->process().errors());
  }
  served.process.reset();
}

std::string StoreRig::Prepare() {
  store::PackStoreOptions options;
  options.create = true;
  options.pack_bytes = kPackBytes;
  if (auto made = store::PackStore::Open(Env::System(), store_, options); !made) return made.error().ToString();
  // A tree that a server holds, and that soon has no name.
  unnamed_seed_ = options_.seed * 1'000'000 + 999'999;
  const std::string folder = folder_ / "unnamed";
  SeededTree(unnamed_seed_).Make(folder);
  const e2e::Finished imported = Strata({"import", folder, "--store", store_, "--name", "unnamed", "-q"});
  if (imported.status != 0) return imported.errors;
  unnamed_.arguments[0] = "castore:" + imported.output.substr(0, imported.output.find('\n')) + "@" + store_;
  if (!Start(unnamed_)) return unnamed_.process->process().errors();
  if (const auto removed = Strata({"store", "rm", "unnamed", "--store", store_}); removed.status != 0)
    return removed.errors;
  if (!Start(all_)) return all_.process->process().errors();
  next_ = options_.seed * 1'000'000;
  return "";
}

void StoreRig::Work(double seconds) {
  over_ = false;
  std::vector<std::thread> threads;
  for (const std::uint64_t who : {1, 2}) {
    threads.emplace_back([this, who] { Import(who); });
  }
  if (options_.collects) threads.emplace_back([this] { Collect(); });
  threads.emplace_back([this] { RemoveNames(); });
  threads.emplace_back([this] { Read(all_.port, 1); });
  threads.emplace_back([this] { ReadUnnamed(); });
  threads.emplace_back([this] { KillServers(); });
  Sleep(seconds);
  if (options_.loses_packs) LosePacks();
  over_ = true;
  for (std::thread& thread : threads) thread.join();
}

void StoreRig::Import(std::uint64_t who) {
  std::mt19937_64 random(options_.seed * 10 + who);
  while (!over_) {
    std::uint64_t seed = 0;
    {
      const std::lock_guard lock(mutex_);
      seed = ++next_;
      if (names_.size() >= kNames) seed = 0;
    }
    if (seed == 0) {
      Sleep(0.05);
      continue;
    }
    const std::string name = "n" + std::to_string(seed), folder = folder_ / ("source-" + std::to_string(who));
    fs::remove_all(folder);
    SeededTree(seed).Make(folder);
    e2e::Finished finished;
    const bool lived = RunOrKill({"import", folder, "--store", store_, "--name", name, "-q"}, random, 0.3, finished);
    ++imports_;
    bool named = lived && finished.status == 0;
    if (!lived) {
      ++killed_imports_;
      // The name may have been set.
      named = Strata({"ls", "castore:" + name + "@" + store_}).status == 0;
    } else if (!named && finished.errors.find("condemned") == std::string::npos) {
      Note(StoreInvariant::kNothingLost, "an import failed: " + finished.errors);
    }
    largest_stored_ = std::max<std::uint64_t>(largest_stored_, StoredBytes());
    const std::lock_guard lock(mutex_);
    if (named) names_[name] = {.seed = seed};
  }
}

void StoreRig::Collect() {
  std::mt19937_64 random(options_.seed * 10 + 5);
  while (!over_) {
    e2e::Finished finished;
    const bool lived = RunOrKill({"store", "gc", store_}, random, 0.3, finished);
    ++collections_;
    if (!lived) {
      ++killed_collections_;
    } else if (finished.status != 0) {
      Note(StoreInvariant::kNothingLost, "a collection failed: " + finished.errors + finished.output);
    }
    Sleep(0.05);
  }
}

void StoreRig::RemoveNames() {
  std::mt19937_64 random(options_.seed * 10 + 6);
  while (!over_) {
    Sleep(0.15);
    std::string name;
    {
      const std::lock_guard lock(mutex_);
      if (names_.size() < kNames / 2) continue;
      const auto at = std::next(names_.begin(), static_cast<std::ptrdiff_t>(random() % names_.size()));
      if (at->second.readers != 0) continue;
      name = at->first;
      names_.erase(at);
    }
    if (const auto removed = Strata({"store", "rm", name, "--store", store_}); removed.status != 0) {
      Note(StoreInvariant::kNothingLost, "a name could not be removed: " + removed.errors);
    }
    ++removals_;
  }
}

void StoreRig::ReadTree(e2e::SyncClient& client, const std::string& prefix, std::uint64_t seed) {
  for (const SeededTree::File& file : SeededTree(seed).Files()) {
    std::string got;
    const std::string path = prefix + "/" + file.path;
    if (const int status = client.ReadFile(path, &got); status != 0) {
      return Note(StoreInvariant::kNothingLost,
                  path + " cannot be read: " + std::to_string(status) + " " + client.error());
    }
    if (got != SeededTree::BytesOf(file)) return Note(StoreInvariant::kNothingLost, path + " has other bytes");
    ++files_read_;
  }
}

void StoreRig::Read(std::uint16_t port, std::uint64_t who) {
  std::mt19937_64 random(options_.seed * 10 + 6 + who);
  e2e::SyncClient client(port);
  if (!client.mounted()) return Note(StoreInvariant::kNothingLost, "the names cannot be mounted: " + client.error());
  while (!over_) {
    std::string name;
    std::uint64_t seed = 0;
    {
      const std::lock_guard lock(mutex_);
      if (!names_.empty()) {
        const auto at = std::next(names_.begin(), static_cast<std::ptrdiff_t>(random() % names_.size()));
        ++at->second.readers;
        name = at->first;
        seed = at->second.seed;
      }
    }
    if (name.empty()) {
      Sleep(0.05);
      continue;
    }
    ReadTree(client, "/" + name, seed);
    const std::lock_guard lock(mutex_);
    --names_[name].readers;
  }
}

void StoreRig::ReadUnnamed() {
  e2e::SyncClient client(unnamed_.port);
  if (!client.mounted())
    return Note(StoreInvariant::kNothingLost, "what is served cannot be mounted: " + client.error());
  while (!over_) {
    ReadTree(client, "", unnamed_seed_);
    Sleep(0.1);
  }
}

void StoreRig::KillServers() {
  std::mt19937_64 random(options_.seed * 10 + 9);
  for (bool names = true; !over_; names = !names) {
    for (double slept = 0; slept < 1 && !over_; slept += 0.1) {
      Sleep(0.1);
      Look(all_);
      Look(unnamed_);
    }
    Served& served = names ? all_ : unnamed_;
    End(served, SIGKILL);
    ++server_kills_;
    if (!Start(served)) {
      Note(StoreInvariant::kNothingLost, "a server did not start again: " + served.process->process().errors());
      over_ = true;
    }
  }
}

void StoreRig::LosePacks() {
  for (const auto& entry : fs::directory_iterator(store_ + "/packs")) {
    if (entry.path().extension() == ".pack") fs::remove(entry.path());
  }
}

std::uint64_t StoreRig::Lives() const {
  std::set<std::uint64_t> seeds = {unnamed_seed_}, contents;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, named] : names_) seeds.insert(named.seed);
  }
  std::uint64_t bytes = 0;
  for (const std::uint64_t seed : seeds) {
    for (const SeededTree::File& file : SeededTree(seed).Files()) {
      if (contents.insert(file.content).second) bytes += file.size;
    }
  }
  return bytes;
}

std::uint64_t StoreRig::StoredBytes() const { return DiskBytes(store_ + "/packs"); }

void StoreRig::Quiet() {
  // The leases of those who were killed end after a day.
  Sleep(kDay + 0.5);
  if (options_.collects) {
    if (const auto done = Strata({"store", "gc", store_}); done.status != 0) {
      Note(StoreInvariant::kNothingLost, "a collection failed: " + done.errors + done.output);
    }
  }
  const std::uint64_t lives = Lives(), stored = StoredBytes();
  if (stored > lives / 3 * 4 + (4 << 20)) {
    Note(StoreInvariant::kSpaceComesBack,
         std::to_string(stored >> 10) + " KiB are stored, where " + std::to_string(lives >> 10) + " KiB live");
  }
  e2e::SyncClient names(all_.port), unnamed(unnamed_.port);
  for (const auto& [name, named] : names_) ReadTree(names, "/" + name, named.seed);
  ReadTree(unnamed, "", unnamed_seed_);
}

std::string StoreRig::Finish() {
  if (const auto verified = Strata({"store", "verify", store_}); verified.status != 0)
    return verified.errors + verified.output;
  for (Served* served : {&all_, &unnamed_}) End(*served, SIGTERM);
  for (const auto& [name, named] : names_) {
    if (const auto removed = Strata({"store", "rm", name, "--store", store_}); removed.status != 0)
      return removed.errors;
  }
  names_.clear();
  Sleep(kDay + 0.5);
  const auto done = Strata({"store", "gc", store_});
  if (done.status != 0) return done.errors + done.output;
  if (const std::string left = NamesIn(store_ + "/packs"); !left.empty()) {
    Note(StoreInvariant::kSpaceComesBack,
         "nothing has a name, and of packs there are still" + left + "; gc said: " + done.output);
  }
  for (const char* folder : {"/tmp", "/condemned", "/leases", "/roots"}) {
    if (const std::string left = NamesIn(store_ + folder); !left.empty()) {
      Note(StoreInvariant::kNoLeftovers,
           "nothing has a name, and in " + std::string(folder) + " there are still" + left);
    }
  }
  return "";
}

}  // namespace strata::soak
