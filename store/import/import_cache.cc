#include "store/import/import_cache.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace strata::store {
namespace {

constexpr std::string_view kCacheMagic = "STRATAIC";
constexpr std::uint32_t kCacheVersion = 1;
constexpr std::size_t kHeaderSize = 48;
constexpr std::uint64_t kBucketsAt = 4096;
constexpr std::size_t kSlotBytes = 64;
constexpr std::size_t kSlotsInBucket = 8;
constexpr std::size_t kBucketBytes = kSlotBytes * kSlotsInBucket;
constexpr unsigned kLeastBits = 8;  // 2,048 slots, 132 KiB
constexpr unsigned kMostBits = 32;
// An entry that was used within so many imports is not marked anew for being used.
constexpr std::uint32_t kStaysFresh = 4;
// Of buckets that overflow, one in so many makes the table grow.
constexpr std::uint64_t kOverflowPart = 32;

constexpr std::int64_t kTickNs = 20'000'000;           // longer than a tick of the kernel's clock
constexpr std::int64_t kCoarseTickNs = 2'000'000'000;  // of file systems that keep whole seconds

using Bucket = std::array<std::byte, kBucketBytes>;

struct Slot {
  std::uint64_t hash = 0, check = 0;
  Digest digest;
  std::uint32_t generation = 0;
};

std::array<std::byte, kSlotBytes> EncodeSlot(const Slot& slot) {
  std::array<std::byte, kSlotBytes> bytes{};
  StoreLe(&bytes[0], slot.hash);
  StoreLe(&bytes[8], slot.check);
  std::ranges::copy(slot.digest.bytes, bytes.begin() + 16);
  StoreLe(&bytes[48], slot.generation);
  StoreLe(&bytes[52], Crc32c(ByteSpan(bytes).first(52)));
  return bytes;
}

// Nothing for one that is free, or does not check.
std::optional<Slot> DecodeSlot(ByteSpan bytes) {
  Slot slot;
  slot.hash = LoadLe<std::uint64_t>(&bytes[0]);
  slot.check = LoadLe<std::uint64_t>(&bytes[8]);
  std::copy_n(bytes.begin() + 16, Digest::kSize, slot.digest.bytes.begin());
  slot.generation = LoadLe<std::uint32_t>(&bytes[48]);
  if (slot.generation == 0 || LoadLe<std::uint32_t>(&bytes[52]) != Crc32c(bytes.first(52))) return std::nullopt;
  return slot;
}

ByteSpan SlotIn(const Bucket& bucket, std::size_t index) {
  return ByteSpan(bucket).subspan(index * kSlotBytes, kSlotBytes);
}

std::array<std::byte, kHeaderSize> EncodeCacheHeader(unsigned bits, std::uint32_t generation, const SipHashKey& key) {
  std::array<std::byte, kHeaderSize> bytes{};
  std::ranges::copy(AsBytes(kCacheMagic), bytes.begin());
  StoreLe(&bytes[8], kCacheVersion);
  StoreLe(&bytes[12], static_cast<std::uint32_t>(bits));
  StoreLe(&bytes[16], generation);
  StoreLe(&bytes[24], key[0]);
  StoreLe(&bytes[32], key[1]);
  StoreLe(&bytes[40], Crc32c(ByteSpan(bytes).first(40)));
  return bytes;
}

}  // namespace

bool IsSettled(const FileState& state, Time now) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  const bool coarse = state.mtime.ns % kSecond == 0 && state.ctime.ns % kSecond == 0;
  const Time last = std::max(state.mtime, state.ctime);
  return last.ns < now.ns - (coarse ? kCoarseTickNs : kTickNs);
}

struct ImportCache::Table {
  std::unique_ptr<File> file;
  unsigned bits = kLeastBits;  // of the hash, from its top: the bucket
  std::uint32_t generation = 1;
  SipHashKey key{};
  bool writable = false;

  std::uint64_t BucketOf(std::uint64_t hash) const { return hash >> (64 - bits); }
  static std::uint64_t OffsetOf(std::uint64_t bucket) { return kBucketsAt + bucket * kBucketBytes; }
  // What was never written is free.
  Result<Bucket> Read(std::uint64_t bucket) const {
    Bucket bytes{};
    STRATA_TRY(file->ReadAt(OffsetOf(bucket), bytes));
    return bytes;
  }
  Result<void> Write(std::uint64_t bucket, std::size_t index, const Slot& slot) const {
    const auto bytes = EncodeSlot(slot);
    const ByteSpan pieces[] = {bytes};
    return file->WriteAt(OffsetOf(bucket) + index * kSlotBytes, pieces);
  }
};

// 128 bits of a keyed hash stand for the state itself.
struct ImportCache::Key {
  Key(const SipHashKey& key, const FileState& state) {
    std::array<std::byte, 40> bytes;
    StoreLe(&bytes[0], state.device);
    StoreLe(&bytes[8], state.inode);
    StoreLe(&bytes[16], state.size);
    StoreLe(&bytes[24], state.mtime.ns);
    StoreLe(&bytes[32], state.ctime.ns);
    hash = SipHash24(key, bytes);
    check = SipHash24({key[1], ~key[0]}, bytes);
  }
  bool Is(const Slot& slot) const { return slot.hash == hash && slot.check == check; }
  std::uint64_t hash = 0, check = 0;
};

ImportCache::ImportCache(Env& env, std::string path, std::uint64_t most_bytes)
    : env_(env), path_(std::move(path)), most_bytes_(most_bytes) {}

Result<std::unique_ptr<ImportCache>> ImportCache::Open(Env& env, const std::string& path, std::uint64_t most_bytes) {
  std::unique_ptr<ImportCache> cache(new ImportCache(env, path, most_bytes));
  auto table = cache->OpenTable();
  if (!table) return Fail(table.error().WithContext("opening the cache of imports"));
  const MutexLock lock(cache->mutex_);
  cache->table_ = std::move(*table);
  return cache;
}

Result<std::shared_ptr<ImportCache::Table>> ImportCache::OpenTable() {
  auto table = std::make_shared<Table>();
  STRATA_ASSIGN(table->file, env_.Open(path_, OpenMode::kCreate));
  const auto locked = table->file->Lock();
  if (!locked && locked.error().code() != Errc::kBusy) return Fail(locked.error());
  table->writable = locked.has_value();
  std::array<std::byte, kHeaderSize> header{};
  STRATA_TRY(table->file->ReadAt(0, header));
  const auto bits = LoadLe<std::uint32_t>(&header[12]);
  if (AsText(ByteSpan(header).first(kCacheMagic.size())) != kCacheMagic ||
      LoadLe<std::uint32_t>(&header[8]) != kCacheVersion ||
      LoadLe<std::uint32_t>(&header[40]) != Crc32c(ByteSpan(header).first(40)) || bits < kLeastBits ||
      bits > kMostBits) {
    SipHashKey key{};
    env_.Random(std::as_writable_bytes(std::span(key)));
    if (!table->writable) {
      table->key = key;  // nothing is found
      return table;
    }
    return MakeTable(path_, kLeastBits, 1, key);
  }
  table->bits = bits;
  table->generation = LoadLe<std::uint32_t>(&header[16]);
  table->key = {LoadLe<std::uint64_t>(&header[24]), LoadLe<std::uint64_t>(&header[32])};
  if (table->writable) {
    table->generation = std::max(table->generation + 1, 1U);
    const auto next = EncodeCacheHeader(bits, table->generation, table->key);
    const ByteSpan pieces[] = {next};
    STRATA_TRY(table->file->WriteAt(0, pieces));
  }
  return table;
}

// An empty one in place of what has that name. Crashes may leave it damaged, which shows.
Result<std::shared_ptr<ImportCache::Table>> ImportCache::MakeTable(const std::string& path, unsigned bits,
                                                                   std::uint32_t generation, const SipHashKey& key) {
  (void)env_.Remove(path);
  auto table = std::make_shared<Table>();
  table->bits = bits;
  table->generation = generation;
  table->key = key;
  table->writable = true;
  STRATA_ASSIGN(table->file, env_.Open(path, OpenMode::kCreateExclusive));
  STRATA_TRY(table->file->Lock());
  const auto header = EncodeCacheHeader(bits, generation, key);
  const ByteSpan pieces[] = {header};
  STRATA_TRY(table->file->WriteAt(0, pieces));
  return table;
}

std::shared_ptr<ImportCache::Table> ImportCache::table() const {
  const MutexLock lock(mutex_);
  return table_;
}

std::uint64_t ImportCache::slots() const { return kSlotsInBucket << table()->bits; }

std::optional<Digest> ImportCache::Find(const FileState& state) {
  const std::shared_ptr<Table> table = this->table();
  const Key key(table->key, state);
  const std::uint64_t at = table->BucketOf(key.hash);
  const auto bucket = table->Read(at);
  if (!bucket) return std::nullopt;
  for (std::size_t i = 0; i < kSlotsInBucket; ++i) {
    std::optional<Slot> slot = DecodeSlot(SlotIn(*bucket, i));
    if (!slot || !key.Is(*slot)) continue;
    if (table->writable && table->generation - slot->generation >= kStaysFresh) {
      slot->generation = table->generation;
      (void)table->Write(at, i, *slot);
    }
    return slot->digest;
  }
  return std::nullopt;
}

void ImportCache::Put(const FileState& state, const Digest& digest) {
  const std::shared_ptr<Table> table = this->table();
  if (!table->writable) return;
  const Key key(table->key, state);
  const std::uint64_t at = table->BucketOf(key.hash);
  const auto bucket = table->Read(at);
  if (!bucket) return;
  // Its own slot, or a free one, or that of the one used longest ago.
  std::size_t place = 0;
  std::uint64_t least = UINT64_MAX;
  for (std::size_t i = 0; i < kSlotsInBucket; ++i) {
    const std::optional<Slot> slot = DecodeSlot(SlotIn(*bucket, i));
    const std::uint64_t rank = !slot ? 1 : key.Is(*slot) ? 0 : 1 + std::uint64_t{slot->generation};
    if (rank < least) {
      least = rank;
      place = i;
    }
  }
  bool grow = false;
  if (least > 1) {
    const bool may_grow = kBucketsAt + (kBucketBytes << (table->bits + 1)) <= most_bytes_ && table->bits < kMostBits;
    // Where this import alone fills it, what came first stays: it comes first again the next time.
    if (!may_grow && least > table->generation) return;
    const MutexLock lock(mutex_);
    grow = may_grow && table == table_ && !growing_ && ++overflows_ > (std::uint64_t{1} << table->bits) / kOverflowPart;
    if (grow) growing_ = true;
  }
  (void)table->Write(at, place, {key.hash, key.check, digest, table->generation});
  if (grow) Grow(table);
}

// Twice the buckets: each of the old ones becomes two. What is put meanwhile may be lost.
void ImportCache::Grow(const std::shared_ptr<Table>& from) {
  const auto grown = [&]() -> Result<std::shared_ptr<Table>> {
    const std::string path = path_ + ".new";
    STRATA_ASSIGN(auto to, MakeTable(path, from->bits + 1, from->generation, from->key));
    constexpr std::uint64_t kAtOnce = 64;
    std::vector<std::byte> out(2 * kAtOnce * kBucketBytes);
    for (std::uint64_t begin = 0; begin < std::uint64_t{1} << from->bits; begin += kAtOnce) {
      std::ranges::fill(out, std::byte{0});
      for (std::uint64_t i = 0; i < kAtOnce; ++i) {
        STRATA_ASSIGN(const Bucket bucket, from->Read(begin + i));
        std::array<std::size_t, 2> filled{};
        for (std::size_t s = 0; s < kSlotsInBucket; ++s) {
          const std::optional<Slot> slot = DecodeSlot(SlotIn(bucket, s));
          if (!slot || from->BucketOf(slot->hash) != begin + i) continue;
          const std::size_t half = to->BucketOf(slot->hash) & 1;
          std::ranges::copy(SlotIn(bucket, s), out.begin() + static_cast<std::ptrdiff_t>((2 * i + half) * kBucketBytes +
                                                                                         filled[half]++ * kSlotBytes));
        }
      }
      const ByteSpan pieces[] = {out};
      STRATA_TRY(to->file->WriteAt(Table::OffsetOf(2 * begin), pieces));
    }
    STRATA_TRY(env_.Rename(path, path_));
    return to;
  }();
  const MutexLock lock(mutex_);
  growing_ = false;
  overflows_ = 0;
  if (grown) table_ = *grown;
}

}  // namespace strata::store
