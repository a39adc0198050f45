// DuplicateCache: a call that comes again gets the first answer again (spec nfsv3 1.6).
//
// NFSv3's REMOVE, RENAME, CREATE and their like are not idempotent. Yet a client that hears nothing sends them again,
// perhaps over a new connection. The cache knows calls under way, so that none is started twice, and the answers of
// those that were done last. Answers lie in blocks in the order in which they were given. A new one pushes out the
// oldest, so a call costs O(1) and sweeps nothing. Age forgets what was answered kAgeSeconds ago, to a client that has
// been silent for as long. It is called now and then and touches nothing younger. Its memory comes back.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/mutex.h"

namespace strata::rpc {

// IPv4 as its mapped form. The port is not part: it changes with the connection.
using ClientAddress = std::array<std::byte, 16>;

struct DuplicateKey {
  ClientAddress address{};
  std::uint32_t xid = 0, program = 0, version = 0, procedure = 0;
  std::uint32_t checksum = 0, size = 0;  // of the arguments
  friend bool operator==(const DuplicateKey&, const DuplicateKey&) = default;
};
static_assert(sizeof(DuplicateKey) == 40, "hashed as bytes: no padding");

// The key as bytes that a volume keeps with the change that the call made (vfs::OpContext::request), and back.
inline constexpr std::size_t kDuplicateKeyBytes = 40;
std::array<std::byte, kDuplicateKeyBytes> EncodeDuplicateKey(const DuplicateKey& key);
std::optional<DuplicateKey> DecodeDuplicateKey(ByteSpan bytes);

// A call that was done, and what it was answered: the whole record.
struct AnsweredCall {
  DuplicateKey key;
  std::vector<std::byte> reply;
};

// Seconds of a clock that never steps.
std::int64_t SteadySeconds();

// Thread-safe.
class DuplicateCache {
 public:
  using Clock = std::int64_t (*)();  // seconds
  // Who hears nothing for so long has given up, or starts anew. It is at least 120 s after the client was last heard,
  // since the cache is told of that every kHeardSeconds.
  static constexpr std::int64_t kHeardSeconds = 8;
  static constexpr std::int64_t kAgeSeconds = 120 + kHeardSeconds;

  // A call under way; kNone for one that the cache does not follow.
  enum class Id : std::uint64_t { kNone = 0 };

  // A retransmission that waits for the first call's answer.
  class Waiter {
   public:
    virtual ~Waiter() = default;
    // On the thread that finishes the first call: `reply` is the whole record. The waiter disposes of itself.
    virtual void Answer(ByteSpan reply) = 0;

   private:
    friend class DuplicateCache;
    Waiter* next_ = nullptr;
  };

  enum class Claim : std::uint8_t {
    kRun,      // new: run it, then call Finish with the id (which is kNone where the cache is full of calls under way)
    kReplay,   // done before: the answer was appended to `replay`
    kRunning,  // under way: ask again with a waiter
    kWaiting,  // under way; the waiter will be told
  };

  DuplicateCache(std::size_t max_entries, std::size_t max_bytes, Clock clock = SteadySeconds);
  ~DuplicateCache();
  DuplicateCache(const DuplicateCache&) = delete;
  DuplicateCache& operator=(const DuplicateCache&) = delete;

  // Takes `waiter`, which may be null, only where it says kWaiting.
  Claim Begin(const DuplicateKey& key, Id* id, std::vector<std::byte>& replay, Waiter* waiter);
  // The call is done, its commitment met; to be called before its reply leaves. `keep` false: it is answered to those
  // who wait, and forgotten.
  void Finish(Id id, ByteSpan reply, bool keep);

  std::int64_t now() const { return clock_(); }
  // The client has sent something. To be told at least every kHeardSeconds, as long as it does.
  void Heard(const ClientAddress& client);
  // Forgets the answers that nobody will ask for any more. Takes time for those older than kAgeSeconds only.
  void Age();
  // Of memory, but for the table of buckets.
  std::size_t bytes() const;

  // For another cache to go on with: all that were done, of each shard the oldest first.
  std::vector<AnsweredCall> Export() const;
  // As if it had been done here; nothing where the cache knows the call already.
  void Import(const AnsweredCall& call);

 private:
  struct Shard;
  using HeardClients = std::map<ClientAddress, std::int64_t>;  // when

  const SipHashKey hash_key_;
  const Clock clock_;
  Mutex heard_mutex_;  // before those of the shards
  HeardClients heard_ STRATA_GUARDED_BY(heard_mutex_);
  std::size_t shard_mask_ = 0;
  std::unique_ptr<Shard[]> shards_;
};

}  // namespace strata::rpc
