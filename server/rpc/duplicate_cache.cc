#include "server/rpc/duplicate_cache.h"

#include <time.h>

#include <algorithm>
#include <bit>
#include <deque>
#include <utility>

#include "base/env.h"
#include "base/mutex.h"

namespace strata::rpc {
namespace {

constexpr std::size_t kShards = 16;
// Fewer entries than this are not worth a division.
constexpr std::size_t kLeastForShards = 1024;
constexpr std::uint32_t kNil = ~0u;
constexpr std::size_t kBlockBytes = 16 << 10;
// Clients remembered by when they were heard; the answers of others age from when they were given.
constexpr std::size_t kMaxHeard = 65536;

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
    // By age, of those done.
    std::uint32_t newer = kNil, older = kNil;
    // Where the reply lies: in the block of this number.
    std::uint32_t block = 0, offset = 0, size = 0;
    bool done = false;
    std::int64_t answered = 0;  // when, by the clock
    Waiter* waiters = nullptr;
  };
  // Of replies, in the order in which they were given.
  struct Block {
    std::unique_ptr<std::byte[]> bytes;  // null: none is left
    std::size_t size = 0, used = 0;
    std::size_t living = 0;  // replies
  };

  // Constant.
  std::size_t max_entries = 0;
  std::size_t max_bytes = 0;
  std::size_t block_bytes = 0;

  Mutex mutex;                                                  // no other lock is taken under it
  std::vector<Entry> entries STRATA_GUARDED_BY(mutex);          // grows up to max_entries
  std::vector<std::uint32_t> buckets STRATA_GUARDED_BY(mutex);  // a power of two
  std::deque<Block> blocks STRATA_GUARDED_BY(mutex);
  std::uint32_t first_block STRATA_GUARDED_BY(mutex) = 0;       // the number of blocks.front()
  std::unique_ptr<std::byte[]> spare STRATA_GUARDED_BY(mutex);  // of block_bytes: the next one's
  std::size_t held STRATA_GUARDED_BY(mutex) = 0;                // by blocks
  std::size_t followed STRATA_GUARDED_BY(mutex) = 0;            // entries that are calls under way or done
  std::uint32_t free STRATA_GUARDED_BY(mutex) = kNil;
  std::uint32_t oldest STRATA_GUARDED_BY(mutex) = kNil;
  std::uint32_t newest STRATA_GUARDED_BY(mutex) = kNil;

  std::uint32_t& Bucket(std::uint64_t hash) STRATA_REQUIRES(mutex) { return buckets[hash & (buckets.size() - 1)]; }

  std::uint32_t Find(const DuplicateKey& key, std::uint64_t hash) STRATA_REQUIRES(mutex) {
    std::uint32_t i = Bucket(hash);
    while (i != kNil && !(entries[i].hash == hash && entries[i].key == key)) i = entries[i].chain;
    return i;
  }

  ByteSpan ReplyOf(const Entry& entry) const STRATA_REQUIRES(mutex) {
    return {blocks[entry.block - first_block].bytes.get() + entry.offset, entry.size};
  }

  void Forget(std::uint32_t index) STRATA_REQUIRES(mutex) {
    Entry& entry = entries[index];
    std::uint32_t* link = &Bucket(entry.hash);
    while (*link != index) link = &entries[*link].chain;
    *link = entry.chain;
    if (entry.done) {
      (entry.older == kNil ? oldest : entries[entry.older].newer) = entry.newer;
      (entry.newer == kNil ? newest : entries[entry.newer].older) = entry.older;
      DropReply(entry.block);
    }
    entry.done = false;
    entry.chain = free;
    free = index;
    --followed;
  }

  void DropReply(std::uint32_t number) STRATA_REQUIRES(mutex) {
    Block& block = blocks[number - first_block];
    if (--block.living > 0) return;
    block.used = 0;
    // The last is filled anew.
    if (&block == &blocks.back()) return;
    Free(block);
    while (blocks.front().bytes == nullptr) blocks.pop_front(), ++first_block;
  }

  void Free(Block& block) STRATA_REQUIRES(mutex) {
    held -= block.size;
    if (block.size == block_bytes) spare = std::move(block.bytes);
    block.bytes.reset();
  }

  // kNil where every entry is a call under way.
  std::uint32_t NewEntry() STRATA_REQUIRES(mutex) {
    if (free == kNil && entries.size() < max_entries) {
      entries.emplace_back();
      ++followed;
      return static_cast<std::uint32_t>(entries.size() - 1);
    }
    if (free == kNil && oldest != kNil) Forget(oldest);
    if (free == kNil) return kNil;
    ++followed;
    return std::exchange(free, entries[free].chain);
  }

  // The block that a reply of this size goes to, the last; pushes out as many of the oldest as it takes.
  Block& BlockFor(std::size_t size) STRATA_REQUIRES(mutex) {
    const std::size_t wanted = std::max(size, block_bytes);
    for (;;) {
      if (!blocks.empty() && blocks.back().size - blocks.back().used >= size) return blocks.back();
      if (oldest == kNil) DropBlocks();
      if (held + wanted <= max_bytes) {
        Block& block = blocks.emplace_back();
        block.size = wanted;
        block.bytes = wanted == block_bytes && spare != nullptr ? std::move(spare)
                                                                : std::make_unique_for_overwrite<std::byte[]>(wanted);
        held += wanted;
      } else {
        Forget(oldest);
      }
    }
  }

  void DropBlocks() STRATA_REQUIRES(mutex) {
    first_block += static_cast<std::uint32_t>(blocks.size());
    blocks.clear();
    held = 0;
  }

  bool Keep(std::uint32_t index, ByteSpan reply, std::int64_t now) STRATA_REQUIRES(mutex) {
    if (reply.size() > max_bytes / 4) return false;
    Block& block = BlockFor(reply.size());
    std::memcpy(block.bytes.get() + block.used, reply.data(), reply.size());
    Entry& entry = entries[index];
    entry.block = first_block + static_cast<std::uint32_t>(blocks.size() - 1);
    entry.offset = static_cast<std::uint32_t>(block.used);
    entry.size = static_cast<std::uint32_t>(reply.size());
    entry.answered = now;
    entry.done = true;
    block.used += reply.size();
    ++block.living;
    entry.newer = kNil;
    entry.older = newest;
    (newest == kNil ? oldest : entries[newest].newer) = index;
    newest = index;
    return true;
  }

  // Forgets what was answered at `before` or earlier, but for the clients in `heard`.
  void Age(std::int64_t before, const HeardClients& heard) STRATA_REQUIRES(mutex) {
    for (std::uint32_t at = oldest; at != kNil && entries[at].answered <= before;) {
      const std::uint32_t next = entries[at].newer;
      if (!heard.contains(entries[at].key.address)) Forget(at);
      at = next;
    }
    spare.reset();
    if (oldest == kNil) DropBlocks();
    if (followed > 0) return;
    std::vector<Entry>().swap(entries);
    free = kNil;
  }
};

std::int64_t SteadySeconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return now.tv_sec;
}

DuplicateCache::DuplicateCache(std::size_t max_entries, std::size_t max_bytes, Clock clock)
    : hash_key_(RandomKey()), clock_(clock) {
  const std::size_t shards = max_entries >= kLeastForShards ? kShards : 1;
  shard_mask_ = shards - 1;
  shards_ = std::make_unique<Shard[]>(shards);
  for (std::size_t i = 0; i < shards; ++i) {
    Shard& shard = shards_[i];
    shard.max_entries = std::min<std::size_t>(std::max<std::size_t>(1, max_entries / shards), 1u << 24);
    shard.max_bytes = std::min<std::size_t>(max_bytes / shards, 1u << 30);
    shard.block_bytes = std::min(kBlockBytes, shard.max_bytes / 4);
    shard.buckets.assign(std::bit_ceil(shard.max_entries), kNil);
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
      const ByteSpan reply = shard.ReplyOf(entry);
      replay.insert(replay.end(), reply.begin(), reply.end());
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
    if (!keep || !shard.Keep(index, reply, clock_())) shard.Forget(index);
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
      const ByteSpan reply = shard.ReplyOf(entry);
      calls.push_back({entry.key, {reply.begin(), reply.end()}});
    }
  }
  return calls;
}

void DuplicateCache::Import(const AnsweredCall& call) {
  Id id = Id::kNone;
  std::vector<std::byte> known;
  if (Begin(call.key, &id, known, nullptr) == Claim::kRun) Finish(id, call.reply, true);
}

void DuplicateCache::Heard(const ClientAddress& client) {
  const MutexLock lock(heard_mutex_);
  if (heard_.size() < kMaxHeard || heard_.contains(client)) heard_[client] = clock_();
}

void DuplicateCache::Age() {
  const MutexLock lock(heard_mutex_);
  const std::int64_t before = clock_() - kAgeSeconds;
  std::erase_if(heard_, [before](const auto& client) { return client.second <= before; });
  for (std::size_t i = 0; i <= shard_mask_; ++i) {
    const MutexLock of_shard(shards_[i].mutex);
    shards_[i].Age(before, heard_);
  }
}

std::size_t DuplicateCache::bytes() const {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i <= shard_mask_; ++i) {
    Shard& shard = shards_[i];
    const MutexLock lock(shard.mutex);
    bytes += shard.held + shard.entries.capacity() * sizeof(Shard::Entry) + (shard.spare ? shard.block_bytes : 0);
  }
  return bytes;
}

}  // namespace strata::rpc
