// Leases: what is in use and has no name yet, or is needed by somebody elsewhere, as files in a folder of the store
// (spec castore CA-67). A garbage collection frees nothing that a lease holds or that leads from there, and nothing
// that was put since the oldest lease began. Grammar: docs/formats/leases.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/attributes.h"
#include "base/env.h"
#include "base/mutex.h"
#include "base/status.h"
#include "store/digest.h"

namespace strata::store {

struct LeaseItem {
  enum class Kind : std::uint8_t {
    kDirectory = 1,  // a tree
    kBlob = 2,
    kPack = 3,  // all of a pack of a pack store: its id is the digest's first eight bytes
  };
  Kind kind = Kind::kDirectory;
  Digest digest;
  friend bool operator==(const LeaseItem&, const LeaseItem&) = default;
};

struct LeaseTimes {
  Time since;    // what was put then or later is held too
  Time renewed;  // the last time
  // Nanoseconds after `renewed` when it ends; 0: never.
  std::int64_t lasts = 24LL * 3600 * 1'000'000'000;
  friend bool operator==(const LeaseTimes&, const LeaseTimes&) = default;
};

struct LeaseOptions {
  std::string id;      // a file name of letters, digits, '-', '_' and '.'; empty: a random one
  std::string holder;  // for people: "import of /home/u/src by 4711"; what is too long is cut
  std::int64_t lasts = LeaseTimes().lasts;
  std::vector<LeaseItem> items;
};

// A lease of this process. While it lives the lease does not end, whatever the time; afterwards it ends in its time,
// unless it is released. Thread-safe.
class Lease {
 public:
  // Durable when it returns. A lease of the same id is replaced; kBusy where another process lives that has it.
  static Result<std::unique_ptr<Lease>> Take(Env& env, const std::string& folder, const LeaseOptions& options);

  const std::string& id() const { return id_; }
  // The others see it when this returns. Durable, where that is asked for.
  Result<void> Hold(const LeaseItem& item, bool durable = true) STRATA_EXCLUDES(mutex_);
  // Begins to last anew; with new times where they are given.
  Result<void> Renew(std::optional<Time> since = {}, std::optional<std::int64_t> lasts = {}) STRATA_EXCLUDES(mutex_);
  // Gives it up.
  Result<void> Release() STRATA_EXCLUDES(mutex_);

 private:
  Lease(Env& env, std::string path, std::string id, std::unique_ptr<File> file)
      : env_(env), path_(std::move(path)), id_(std::move(id)), file_(std::move(file)) {}

  Env& env_;
  const std::string path_;
  const std::string id_;
  const std::unique_ptr<File> file_;  // locked
  Mutex mutex_;
  LeaseTimes times_ STRATA_GUARDED_BY(mutex_);
  std::uint64_t sequence_ STRATA_GUARDED_BY(mutex_) = 0;
  std::uint64_t end_ STRATA_GUARDED_BY(mutex_) = 0;
};

// What a lease's file says.
struct LeaseState {
  std::string id;
  std::string holder;
  LeaseTimes times;
  bool held = false;   // by a process that lives
  bool ended = false;  // its time is over and nobody lives who has it
  std::vector<LeaseItem> items;
};

// All leases of a folder, those that have ended too. kCorrupt where one does not check: nobody can say what it holds.
Result<std::vector<LeaseState>> ReadLeases(Env& env, const std::string& folder);
// Removes those that have ended.
Result<void> RemoveEndedLeases(Env& env, const std::string& folder);

// The file's bytes, and what they say; `held` and `ended` are not in them. For tests and fuzzers.
std::vector<std::byte> EncodeLease(const LeaseState& lease);
Result<LeaseState> DecodeLease(ByteSpan bytes);

}  // namespace strata::store
