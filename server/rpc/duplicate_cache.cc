#include "server/rpc/duplicate_cache.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/env.h"
#include "base/mutex.h"

namespace strata::rpc {
namespace {

constexpr std::size_t kShards = 16;
// Fewer entries than this are not worth a division.
constexpr std::size_t kLeastForShards = 1024;
constexpr std::uint32_t kNil = ~0u;

SipHashKey RandomKey() {
  SipHashKey key;
  Env::System().Random(std::as_writable_bytes(std::span(key)));
  return key;
}

}  // namespace

std::array<std::byte, kDuplicateKeyBytes> EncodeDuplicateKey(const DuplicateKey& key) {
  std::array<std::byte, kDuplicateKeyBytes> bytes;
  std::ranges::copy(key.address, bytes.begin());
  std::byte* at = bytes.data() + key.address.size();
  for (const std::uint32_t word : {key.xid, key.program, key.version, key.procedure, key.checksum, key.size}) {
    StoreLe(at, word);
    at += sizeof word;
  }
  return bytes;
}

std::optional<DuplicateKey> DecodeDuplicateKey(ByteSpan bytes) {
  if (bytes.size() != kDuplicateKeyBytes) return std::nullopt;
  DuplicateKey key;
  std::ranges::copy(bytes.first(key.address.size()), key.address.begin());
  const std::byte* at = bytes.data() + key.address.size();
  for (std::uint32_t* word : {&key.xid, &key.program, &key.version, &key.procedure, &key.checksum, &key.size}) {
    *word = LoadLe<std::uint32_t>(at);
    at += sizeof *word;
  }
  return key;
}

struct DuplicateCache::Shard {
  struct Entry {
    DuplicateKey key;
    std::uint64_t hash = 0;
    std::uint32_t chain = kNil;  // next of the same bucket, or of the free list
    std::uint32_t newer = kNil;  // next by age, of those done
    std::uint32_t offset = 0;    // of the reply in the ring
    std::uint32_t size = 0;
    bool done = false;
    Waiter* waiters = nullptr;
  };

  // Constant.
  std::size_t max_entries = 0;
  std::size_t ring_bytes = 0;

  Mutex mutex;                                                  // no other lock is taken under it
  std::vector<Entry> entries STRATA_GUARDED_BY(mutex);          // grows up to max_entries
  std::vector<std::uint32_t> buckets STRATA_GUARDED_BY(mutex);  // a power of two
  std::unique_ptr<std::byte[]> ring STRATA_GUARDED_BY(mutex);   // made with the first reply
  std::uint32_t free STRATA_GUARDED_BY(mutex) = kNil;
  std::uint32_t oldest STRATA_GUARDED_BY(mutex) = kNil;
  std::uint32_t newest STRATA_GUARDED_BY(mutex) = kNil;
  std::size_t head STRATA_GUARDED_BY(mutex) = 0;  // where the next reply goes

  std::uint32_t& Bucket(std::uint64_t hash) STRATA_REQUIRES(mutex) { return buckets[hash & (buckets.size() - 1)]; }

  std::uint32_t Find(const DuplicateKey& key, std::uint64_t hash) STRATA_REQUIRES(mutex) {
    std::uint32_t i = Bucket(hash);
    while (i != kNil && !(entries[i].hash == hash && entries[i].key == key)) i = entries[i].chain;
    return i;
  }

  void Forget(std::uint32_t index) STRATA_REQUIRES(mutex) {
    std::uint32_t* link = &Bucket(entries[index].hash);
    while (*link != index) link = &entries[*link].chain;
    *link = entries[index].chain;
    entries[index].chain = free;
    free = index;
  }

  void EvictOldest() STRATA_REQUIRES(mutex) {
    const std::uint32_t index = oldest;
    oldest = entries[index].newer;
    if (oldest == kNil) newest = kNil;
    Forget(index);
  }

  // kNil where every entry is a call under way.
  std::uint32_t NewEntry() STRATA_REQUIRES(mutex) {
    if (free == kNil && entries.size() < max_entries) {
      entries.emplace_back();
      return static_cast<std::uint32_t>(entries.size() - 1);
    }
    if (free == kNil && oldest != kNil) EvictOldest();
    return free == kNil ? kNil : std::exchange(free, entries[free].chain);
  }

  // Room for a reply, pushing out as many of the oldest as it takes.
  std::size_t RoomFor(std::size_t size) STRATA_REQUIRES(mutex) {
    for (;;) {
      if (oldest == kNil) return head = 0;
      const std::size_t tail = entries[oldest].offset;
      if (head > tail) {
        if (ring_bytes - head >= size) return head;
        if (size < tail) return head = 0;
      } else if (tail - head > size) {
        return head;
      }
      EvictOldest();
    }
  }

  bool Keep(std::uint32_t index, ByteSpan reply) STRATA_REQUIRES(mutex) {
    if (reply.size() > ring_bytes / 4) return false;
    if (ring == nullptr) ring = std::make_unique_for_overwrite<std::byte[]>(ring_bytes);
    const std::size_t at = RoomFor(reply.size());
    std::memcpy(ring.get() + at, reply.data(), reply.size());
    head = at + reply.size();
    Entry& entry = entries[index];
    entry.offset = static_cast<std::uint32_t>(at);
    entry.size = static_cast<std::uint32_t>(reply.size());
    entry.done = true;
    entry.newer = kNil;
    (newest == kNil ? oldest : entries[newest].newer) = index;
    newest = index;
    return true;
  }
};

DuplicateCache::DuplicateCache(std::size_t max_entries, std::size_t max_bytes) : hash_key_(RandomKey()) {
  const std::size_t shards = max_entries >= kLeastForShards ? kShards : 1;
  shard_mask_ = shards - 1;
  shards_ = std::make_unique<Shard[]>(shards);
  for (std::size_t i = 0; i < shards; ++i) {
    shards_[i].max_entries = std::min<std::size_t>(std::max<std::size_t>(1, max_entries / shards), 1u << 24);
    shards_[i].ring_bytes = std::min<std::size_t>(max_bytes / shards, 1u << 30);
    shards_[i].buckets.assign(std::bit_ceil(shards_[i].max_entries), kNil);
  }
}

DuplicateCache::~DuplicateCache() {
  // Those who wait for a call that never ended; nobody hears their answer.
  for (std::size_t i = 0; i <= shard_mask_; ++i) {
    for (Shard::Entry& entry : shards_[i].entries) {
      while (entry.waiters != nullptr) std::exchange(entry.waiters, entry.waiters->next_)->Answer({});
    }
  }
}

DuplicateCache::Claim DuplicateCache::Begin(const DuplicateKey& key, Id* id, std::vector<std::byte>& replay,
                                            Waiter* waiter) {
  *id = Id::kNone;
  const std::uint64_t hash = SipHash13(hash_key_, std::as_bytes(std::span(&key, 1)));
  const std::size_t shard_index = (hash >> 60) & shard_mask_;
  Shard& shard = shards_[shard_index];
  const MutexLock lock(shard.mutex);
  const std::uint32_t found = shard.Find(key, hash);
  if (found != kNil) {
    Shard::Entry& entry = shard.entries[found];
    if (entry.done) {
      const std::byte* reply = shard.ring.get() + entry.offset;
      replay.insert(replay.end(), reply, reply + entry.size);
      return Claim::kReplay;
    }
    if (waiter == nullptr) return Claim::kRunning;
    waiter->next_ = std::exchange(entry.waiters, waiter);
    return Claim::kWaiting;
  }
  const std::uint32_t index = shard.NewEntry();
  if (index == kNil) return Claim::kRun;
  Shard::Entry& entry = shard.entries[index];
  entry.key = key;
  entry.hash = hash;
  entry.done = false;
  entry.waiters = nullptr;
  entry.chain = std::exchange(shard.Bucket(hash), index);
  *id = static_cast<Id>(std::uint64_t{shard_index} << 32 | (index + 1));
  return Claim::kRun;
}

void DuplicateCache::Finish(Id id, ByteSpan reply, bool keep) {
  if (id == Id::kNone) return;
  Shard& shard = shards_[static_cast<std::uint64_t>(id) >> 32];
  const std::uint32_t index = static_cast<std::uint32_t>(static_cast<std::uint64_t>(id)) - 1;
  Waiter* waiters = nullptr;
  {
    const MutexLock lock(shard.mutex);
    waiters = std::exchange(shard.entries[index].waiters, nullptr);
    if (!keep || !shard.Keep(index, reply)) shard.Forget(index);
  }
  while (waiters != nullptr) std::exchange(waiters, waiters->next_)->Answer(reply);
}

std::vector<AnsweredCall> DuplicateCache::Export() const {
  std::vector<AnsweredCall> calls;
  for (std::size_t i = 0; i <= shard_mask_; ++i) {
    Shard& shard = shards_[i];
    const MutexLock lock(shard.mutex);
    for (std::uint32_t at = shard.oldest; at != kNil; at = shard.entries[at].newer) {
      const Shard::Entry& entry = shard.entries[at];
      const std::byte* reply = shard.ring.get() + entry.offset;
      calls.push_back({entry.key, {reply, reply + entry.size}});
    }
  }
  return calls;
}

void DuplicateCache::Import(const AnsweredCall& call) {
  Id id = Id::kNone;
  std::vector<std::byte> known;
  if (Begin(call.key, &id, known, nullptr) == Claim::kRun) Finish(id, call.reply, true);
}

}  // namespace strata::rpc
