#include "store/leases.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/hash.h"
#include "store/locked_file.h"

namespace strata::store {
namespace {

constexpr std::string_view kLeaseMagic = "STRATAL\n";
constexpr std::uint16_t kLeaseVersion = 1;
constexpr std::size_t kHolderBytes = 256;
constexpr std::size_t kHeadBytes = 64 + kHolderBytes;
constexpr std::size_t kTimesBytes = 48;
constexpr std::size_t kItemsOffset = kHeadBytes + 2 * kTimesBytes;
constexpr std::size_t kItemBytes = 40;
constexpr std::size_t kMostLeaseBytes = 64 << 20;
constexpr std::string_view kUnfinished = ".new";

std::array<std::byte, kTimesBytes> EncodeTimes(const LeaseTimes& times, std::uint64_t sequence) {
  std::array<std::byte, kTimesBytes> bytes{};
  StoreLe(bytes.data(), sequence);
  StoreLe(bytes.data() + 8, times.since.ns);
  StoreLe(bytes.data() + 16, times.renewed.ns);
  StoreLe(bytes.data() + 24, times.lasts);
  StoreLe(bytes.data() + 44, Crc32c(ByteSpan(bytes).first(44)));
  return bytes;
}

// Its sequence; nothing where it does not check.
std::optional<std::uint64_t> DecodeTimes(ByteSpan bytes, LeaseTimes& times) {
  if (LoadLe<std::uint32_t>(bytes.data() + 44) != Crc32c(bytes.first(44))) return std::nullopt;
  times.since.ns = LoadLe<std::int64_t>(bytes.data() + 8);
  times.renewed.ns = LoadLe<std::int64_t>(bytes.data() + 16);
  times.lasts = LoadLe<std::int64_t>(bytes.data() + 24);
  if (times.lasts < 0) return std::nullopt;
  return LoadLe<std::uint64_t>(bytes.data());
}

std::array<std::byte, kItemBytes> EncodeItem(const LeaseItem& item) {
  std::array<std::byte, kItemBytes> bytes{};
  StoreLe(bytes.data(), static_cast<std::uint8_t>(item.kind));
  std::ranges::copy(item.digest.bytes, bytes.begin() + 4);
  StoreLe(bytes.data() + 36, Crc32c(ByteSpan(bytes).first(36)));
  return bytes;
}

std::optional<LeaseItem> DecodeItem(ByteSpan bytes) {
  if (LoadLe<std::uint32_t>(bytes.data() + 36) != Crc32c(bytes.first(36))) return std::nullopt;
  const auto kind = LoadLe<std::uint8_t>(bytes.data());
  if (kind < 1 || kind > 3) return std::nullopt;
  LeaseItem item{.kind = static_cast<LeaseItem::Kind>(kind), .digest = {}};
  std::ranges::copy(bytes.subspan(4, Digest::kSize), item.digest.bytes.begin());
  return item;
}

bool IsLeaseName(std::string_view name) {
  return !name.empty() && name.size() <= 200 && name.front() != '.' && !name.ends_with(kUnfinished) &&
         std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                  c == '.';
         });
}

std::string RandomName(Env& env) {
  std::array<std::byte, 8> bytes{};
  env.Random(bytes);
  std::string name;
  for (const std::byte byte : bytes) {
    name += "0123456789abcdef"[static_cast<unsigned>(byte) >> 4];
    name += "0123456789abcdef"[static_cast<unsigned>(byte) & 15];
  }
  return name;
}

Result<void> WriteOne(File& file, std::uint64_t offset, ByteSpan bytes) {
  const ByteSpan pieces[] = {bytes};
  return file.WriteAt(offset, pieces);
}

bool HasEnded(const LeaseState& lease, Time now) {
  if (lease.held || lease.times.lasts == 0) return false;
  // Written so that nothing overflows, whatever the file says.
  return now.ns > lease.times.renewed.ns &&
         static_cast<std::uint64_t>(now.ns) - static_cast<std::uint64_t>(lease.times.renewed.ns) >
             static_cast<std::uint64_t>(lease.times.lasts);
}

// Whether a process has the lease. Nothing: it is gone.
Result<std::optional<bool>> IsHeld(Env& env, const std::string& path) {
  auto file = env.Open(path, OpenMode::kRead);
  if (!file) {
    if (file.error().code() == Errc::kNotFound) return std::nullopt;
    return Fail(file.error());
  }
  auto locked = (*file)->LockShared();
  if (!locked && locked.error().code() != Errc::kBusy) return Fail(locked.error());
  return !locked.has_value();
}

}  // namespace

std::vector<std::byte> EncodeLease(const LeaseState& lease) {
  std::vector<std::byte> bytes(kItemsOffset + lease.items.size() * kItemBytes);
  const std::string_view holder = std::string_view(lease.holder).substr(0, kHolderBytes);
  std::ranges::copy(AsBytes(kLeaseMagic), bytes.begin());
  StoreLe(bytes.data() + 8, kLeaseVersion);
  StoreLe(bytes.data() + 10, static_cast<std::uint16_t>(holder.size()));
  std::ranges::copy(AsBytes(holder), bytes.begin() + 64);
  StoreLe(bytes.data() + 60, Crc32c(ByteSpan(bytes).subspan(64, kHolderBytes), Crc32c(ByteSpan(bytes).first(60))));
  std::ranges::copy(EncodeTimes(lease.times, 1), bytes.begin() + kHeadBytes);
  for (std::size_t i = 0; i < lease.items.size(); ++i) {
    std::ranges::copy(EncodeItem(lease.items[i]),
                      bytes.begin() + static_cast<std::ptrdiff_t>(kItemsOffset + i * kItemBytes));
  }
  return bytes;
}

Result<LeaseState> DecodeLease(ByteSpan bytes) {
  const auto corrupt = [] { return Fail(Errc::kCorrupt, "the lease does not check"); };
  if (bytes.size() < kItemsOffset || AsText(bytes.first(8)) != kLeaseMagic ||
      LoadLe<std::uint32_t>(bytes.data() + 60) != Crc32c(bytes.subspan(64, kHolderBytes), Crc32c(bytes.first(60)))) {
    return corrupt();
  }
  const auto version = LoadLe<std::uint16_t>(bytes.data() + 8);
  if (version > kLeaseVersion) return Fail(Errc::kNotSupported, "the lease is of a newer version");
  const auto holder = LoadLe<std::uint16_t>(bytes.data() + 10);
  if (version == 0 || holder > kHolderBytes) return corrupt();
  LeaseState lease;
  lease.holder = AsText(bytes.subspan(64, holder));
  LeaseTimes other;
  const auto first = DecodeTimes(bytes.subspan(kHeadBytes, kTimesBytes), lease.times);
  const auto second = DecodeTimes(bytes.subspan(kHeadBytes + kTimesBytes, kTimesBytes), other);
  if (!first && !second) return corrupt();
  if (second.value_or(0) > first.value_or(0)) lease.times = other;
  // The last item may not be all there: whoever wrote it has not yet relied on it.
  for (ByteSpan rest = bytes.subspan(kItemsOffset); rest.size() >= kItemBytes; rest = rest.subspan(kItemBytes)) {
    const auto item = DecodeItem(rest);
    if (item) {
      lease.items.push_back(*item);
    } else if (rest.size() >= 2 * kItemBytes) {
      return corrupt();
    }
  }
  return lease;
}

Result<std::unique_ptr<Lease>> Lease::Take(Env& env, const std::string& folder, const LeaseOptions& options) {
  const std::string id = options.id.empty() ? RandomName(env) : options.id;
  if (!IsLeaseName(id)) return Fail(Errc::kInvalid, "a lease cannot be called '" + id + "'");
  const std::string path = folder + '/' + id;
  if (!options.id.empty()) {
    STRATA_ASSIGN(const auto held, IsHeld(env, path));
    if (held.value_or(false)) return Fail(Errc::kBusy, "the lease " + path + " is held by another process");
  }
  LeaseState state;
  state.holder = options.holder;
  state.times = {.since = env.Now(), .renewed = env.Now(), .lasts = options.lasts};
  state.items = options.items;
  // Written under another name, so that nobody reads a half of it. The lock goes along.
  const std::string unfinished = folder + "/." + RandomName(env) + std::string(kUnfinished);
  STRATA_ASSIGN(auto file, CreateLocked(env, unfinished));
  const std::vector<std::byte> bytes = EncodeLease(state);
  auto written = WriteOne(*file, 0, bytes);
  if (written) written = file->SyncData();
  if (written) written = env.Rename(unfinished, path);
  if (written) written = env.SyncDirectory(folder);
  if (!written) {
    (void)env.Remove(unfinished);
    return Fail(written.error().WithContext("take the lease " + path));
  }
  std::unique_ptr<Lease> lease(new Lease(env, path, id, std::move(file)));
  const MutexLock lock(lease->mutex_);
  lease->times_ = state.times;
  lease->sequence_ = 1;
  lease->end_ = bytes.size();
  return lease;
}

Result<void> Lease::Hold(const LeaseItem& item, bool durable) {
  const MutexLock lock(mutex_);
  STRATA_TRY(WriteOne(*file_, end_, EncodeItem(item)));
  end_ += kItemBytes;
  return durable ? file_->SyncData() : Result<void>{};
}

Result<void> Lease::Renew(std::optional<Time> since, std::optional<std::int64_t> lasts) {
  const MutexLock lock(mutex_);
  LeaseTimes times = times_;
  times.renewed = std::max(times.renewed, env_.Now());
  if (since) times.since = *since;
  if (lasts) times.lasts = *lasts;
  // The two places take turns, so that the one that counts is never half written.
  STRATA_TRY(WriteOne(*file_, kHeadBytes + sequence_ % 2 * kTimesBytes, EncodeTimes(times, sequence_ + 1)));
  ++sequence_;
  times_ = times;
  return file_->SyncData();
}

Result<void> Lease::Release() {
  const MutexLock lock(mutex_);
  return env_.Remove(path_);
}

Result<std::vector<LeaseState>> ReadLeases(Env& env, const std::string& folder) {
  std::vector<LeaseState> leases;
  STRATA_ASSIGN(const auto names, env.ListDirectory(folder));
  for (const std::string& name : names) {
    if (!IsLeaseName(name)) continue;
    const std::string path = folder + '/' + name;
    STRATA_ASSIGN(const auto held, IsHeld(env, path));
    auto content = held ? ReadWholeFile(env, path, kMostLeaseBytes) : Fail(Errc::kNotFound);
    if (!content && content.error().code() == Errc::kNotFound) continue;
    if (!content) return Fail(content.error().WithContext("read the lease " + path));
    auto lease = DecodeLease(AsBytes(*content));
    if (!lease) {
      return Fail(lease.error().code(),
                  path + ": " + std::string(lease.error().message()) +
                      "; what it holds cannot be told: remove the file once nobody uses the store any more");
    }
    lease->id = name;
    lease->held = *held;
    lease->ended = HasEnded(*lease, env.Now());
    leases.push_back(std::move(*lease));
  }
  return leases;
}

Result<void> RemoveEndedLeases(Env& env, const std::string& folder) {
  STRATA_ASSIGN(const auto leases, ReadLeases(env, folder));
  for (const LeaseState& lease : leases) {
    if (!lease.ended) continue;
    if (auto removed = env.Remove(folder + '/' + lease.id); !removed && removed.error().code() != Errc::kNotFound) {
      return removed;
    }
  }
  // What processes that died while they took a lease have left.
  STRATA_ASSIGN(const auto names, env.ListDirectory(folder));
  for (const std::string& name : names) {
    if (!name.starts_with('.') || !name.ends_with(kUnfinished)) continue;
    const auto file = env.Open(folder + '/' + name, OpenMode::kReadWrite);
    if (file && (*file)->Lock()) (void)env.Remove(folder + '/' + name);
  }
  return {};
}

}  // namespace strata::store
