// A store, two servers of what is in it, and those who import, read, remove and collect, as processes of the real
// program. The invariants are judged here; README.md, "The store's soak".
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "tests/base/temp_folder.h"
#include "tests/e2e/process.h"
#include "tests/e2e/sync_client.h"

namespace strata::soak {

// A tree that is known by its seed. Trees whose seeds are close share most of their files.
class SeededTree {
 public:
  explicit SeededTree(std::uint64_t seed) : seed_(seed) {}
  struct File {
    std::string path;
    std::uint64_t content = 0;  // what it holds; equal numbers, equal bytes
    std::size_t size = 0;
  };
  std::vector<File> Files() const;
  static std::string BytesOf(const File& file);
  void Make(const std::string& folder) const;

 private:
  const std::uint64_t seed_;
};

enum class StoreInvariant : std::uint8_t {
  kNothingLost,     // what has a name, or is served, is there, byte for byte
  kSpaceComesBack,  // a day after the last change a collection leaves a third more than what lives, and 4 MiB
  kMemory,          // of the server: --memory and 64 MiB
  kHandles,         // of the server: 200 descriptors
  kNoLeftovers,     // of what was killed nothing stays: temporary files, marks, leases
};
inline constexpr std::size_t kStoreInvariants = 5;

struct StoreRigOptions {
  std::uint64_t seed = 0;
  bool collects = true;
  bool loses_packs = false;  // somebody removes one of the store's packs
};

class StoreRig {
 public:
  explicit StoreRig(const StoreRigOptions& options);
  ~StoreRig();
  StoreRig(const StoreRig&) = delete;
  StoreRig& operator=(const StoreRig&) = delete;

  // In words, what failed.
  std::string Prepare();
  // Everybody works for so long, and is killed now and then.
  void Work(double seconds);
  // Nobody changes anything for a day; then what is dead must go.
  void Quiet();
  // All names go, the servers end, and then the store is empty. In words, what was wrong.
  std::string Finish();

  bool Broken(StoreInvariant invariant) const;
  std::string Report() const;
  std::string Figures() const;

 private:
  struct Named {
    std::uint64_t seed = 0;
    int readers = 0;
  };
  // A server, killed and started again on its port.
  struct Served {
    std::vector<std::string> arguments;
    std::unique_ptr<e2e::ServedProcess> process{};
    std::uint16_t port = 0;
  };

  void Note(StoreInvariant invariant, const std::string& what);
  e2e::Finished Strata(std::vector<std::string> arguments) const;
  // Runs it, or kills it on the way: false.
  bool RunOrKill(std::vector<std::string> arguments, std::mt19937_64& random, double kills, e2e::Finished& finished);
  bool Start(Served& served);
  void Look(const Served& served);
  void End(Served& served, int signal);

  void Import(std::uint64_t who);
  void Collect();
  void RemoveNames();
  void Read(std::uint16_t port, std::uint64_t who);
  void ReadUnnamed();
  void KillServers();
  void LosePacks();
  // Compares everything below `prefix` ("" or "/name") of what a server serves.
  void ReadTree(e2e::SyncClient& client, const std::string& prefix, std::uint64_t seed);
  std::uint64_t Lives() const;
  std::uint64_t StoredBytes() const;

  const StoreRigOptions options_;
  TempFolder folder_;
  const std::string store_ = folder_ / "store";
  std::map<std::string, std::string> environment_;
  std::atomic<bool> over_ = false;
  Served all_, unnamed_;
  std::uint64_t unnamed_seed_ = 0;

  mutable std::mutex mutex_;
  std::map<std::string, Named> names_;
  std::array<std::string, kStoreInvariants> found_;
  std::uint64_t next_ = 0;

  std::atomic<std::uint64_t> imports_ = 0, killed_imports_ = 0, collections_ = 0, killed_collections_ = 0,
                             removals_ = 0, files_read_ = 0, server_kills_ = 0, largest_rss_ = 0, largest_stored_ = 0;
};

}  // namespace strata::soak
