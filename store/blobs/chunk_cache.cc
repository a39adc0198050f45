#include "store/blobs/chunk_cache.h"

#include <utility>

namespace strata::store {

std::optional<BlobBytes> ChunkCache::FindLocked(Shard& shard, const Digest& digest) {
  const auto at = shard.places.find(digest);
  if (at == shard.places.end()) {
    ++shard.misses;
    return std::nullopt;
  }
  ++shard.hits;
  Entry& entry = shard.entries[at->second];
  entry.used = true;
  return entry.bytes;
}

std::optional<BlobBytes> ChunkCache::Find(const Digest& digest) {
  Shard& shard = ShardOf(digest);
  const MutexLock lock(shard.mutex);
  return FindLocked(shard, digest);
}

Result<BlobBytes> ChunkCache::Get(const Waiting& waiting, const Digest& digest,
                                  absl::FunctionRef<Result<BlobBytes>()> load) {
  Shard& shard = ShardOf(digest);
  std::shared_ptr<Flight> flight;
  {
    const MutexLock lock(shard.mutex);
    if (auto found = FindLocked(shard, digest)) return *std::move(found);
    std::shared_ptr<Flight>& under_way = shard.flights[digest];
    if (under_way) {
      flight = under_way;
      if (!waiting.may_block) return Fail(Errc::kWouldBlock);
      while (!flight->result) shard.landed.Wait(shard.mutex);
      // Who loaded it may not have been allowed to wait, as this caller is: then it is loaded again, by itself.
      if (*flight->result || flight->result->error().code() != Errc::kWouldBlock) return *flight->result;
      flight.reset();
    } else {
      flight = under_way = std::make_shared<Flight>();
    }
  }
  Result<BlobBytes> loaded = load();
  if (loaded) Keep(digest, *loaded);
  if (!flight) return loaded;
  const MutexLock lock(shard.mutex);
  flight->result = loaded;
  shard.flights.erase(digest);
  shard.landed.NotifyAll();
  return loaded;
}

void ChunkCache::Keep(const Digest& digest, const BlobBytes& bytes) {
  const std::size_t cost = CostOf(bytes);
  const std::size_t first = static_cast<std::size_t>(digest.bytes[30]) % kShards;
  if (cost > max_bytes_ || !MakeRoom(cost, first)) return;
  Shard& shard = shards_[first];
  const MutexLock lock(shard.mutex);
  const auto [at, fresh] = shard.places.emplace(digest, shard.entries.size());
  if (!fresh) {
    bytes_.fetch_sub(cost, std::memory_order_relaxed);
    return;
  }
  shard.entries.push_back({digest, bytes, true});
}

bool ChunkCache::MakeRoom(std::size_t wanted, std::size_t first_shard) {
  // What is taken is counted first, so that threads that come at once do not all find the same room.
  bytes_.fetch_add(wanted, std::memory_order_relaxed);
  std::vector<BlobBytes> gone;  // freed without a lock
  for (std::size_t i = 0; i < kShards && bytes() > max_bytes_; ++i) {
    Shard& shard = shards_[(first_shard + i) % kShards];
    const MutexLock lock(shard.mutex);
    Sweep(shard, gone);
  }
  if (bytes() <= max_bytes_) return true;
  bytes_.fetch_sub(wanted, std::memory_order_relaxed);
  return false;
}

void ChunkCache::Sweep(Shard& shard, std::vector<BlobBytes>& gone) {
  // Twice around: the first time takes the marks of use away.
  for (std::size_t steps = 2 * shard.entries.size(); steps > 0 && !shard.entries.empty() && bytes() > max_bytes_;
       --steps) {
    if (shard.hand >= shard.entries.size()) shard.hand = 0;
    Entry& entry = shard.entries[shard.hand];
    if (entry.bytes.pin.use_count() > 1 || std::exchange(entry.used, false)) {
      ++shard.hand;
      continue;
    }
    bytes_.fetch_sub(CostOf(entry.bytes), std::memory_order_relaxed);
    shard.places.erase(entry.digest);
    gone.push_back(std::move(entry.bytes));
    if (&entry != &shard.entries.back()) {
      entry = std::move(shard.entries.back());
      shard.places[entry.digest] = shard.hand;
    }
    shard.entries.pop_back();
  }
}

std::uint64_t ChunkCache::hits() const {
  std::uint64_t sum = 0;
  for (Shard& shard : shards_) {
    const MutexLock lock(shard.mutex);
    sum += shard.hits;
  }
  return sum;
}

std::uint64_t ChunkCache::misses() const {
  std::uint64_t sum = 0;
  for (Shard& shard : shards_) {
    const MutexLock lock(shard.mutex);
    sum += shard.misses;
  }
  return sum;
}

}  // namespace strata::store
