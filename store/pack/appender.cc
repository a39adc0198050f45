#include "store/pack/appender.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "store/pack/scan.h"

namespace strata::store::pack {
namespace {

constexpr int kMostTakeOvers = 16;  // packs that are looked at before a new one is made
constexpr int kCreations = 8;
// What is kept of a buffer that one large record made grow.
constexpr std::size_t kKeptOverBuffer = 1 << 20;

}  // namespace

Appender::Appender(Catalog& catalog, AppenderOptions options)
    : catalog_(catalog),
      env_(catalog.env()),
      options_(std::move(options)),
      pack_bytes_(catalog.options().pack_bytes),
      table_(std::make_shared<TailTable>()) {}

Appender::~Appender() = default;

Result<Location> Appender::Append(const RecordHeader& header, ByteSpan stored) {
  const std::size_t bytes = kRecordHeaderBytes + stored.size();
  MutexLock lock(mutex_);
  STRATA_TRY(MakeRoom(bytes));
  const std::uint64_t position = pack_->end;
  const std::size_t at = buffer_.size();
  buffer_.resize(at + kRecordHeaderBytes);
  EncodeRecordHeader(header, pack_->header.id, position, buffer_.data() + at);
  buffer_.insert(buffer_.end(), stored.begin(), stored.end());
  pack_->end += bytes;
  const Location location{.pack = pack_->header.id,
                          .offset = static_cast<std::uint32_t>(position),
                          .stored = header.stored,
                          .raw = header.raw,
                          .kind = header.kind,
                          .method = header.method};
  PackRange& range = CurrentRange();
  range.end = static_cast<std::uint32_t>(pack_->end);
  range.newest = std::max(range.newest, header.time);
  ++range.records;
  std::size_t records = 0;
  {
    const MutexLock tables(tables_mutex_);
    table_->Put(header.digest, location);
    records = table_->size();
  }
  if (records >= options_.tail_records && options_.wants_index) options_.wants_index();
  // What it cannot write now stays, and the next one who needs the room hears why.
  if (!full_.empty() && !writing_) (void)WriteFull();
  return location;
}

Result<void> Appender::MakeRoom(std::size_t bytes) {
  while (true) {
    STRATA_TRY(catalog_.failure().Check());
    if (!pack_) {
      STRATA_TRY(OpenPack());
      continue;
    }
    if (pack_->end >= pack_bytes_) {
      if (turning_) {
        changed_.Wait(mutex_);
        continue;
      }
      turning_ = true;
      const auto flushed = FlushLocked();
      turning_ = false;
      changed_.NotifyAll();
      STRATA_TRY(flushed);
      pack_.reset();
      continue;
    }
    std::size_t records = 0;
    {
      const MutexLock tables(tables_mutex_);
      records = table_->size();
    }
    if (records >= 2 * options_.tail_records && options_.wants_index) {
      options_.wants_index();
      if (index_error_) return Fail(*index_error_);
      changed_.Wait(mutex_);
      continue;
    }
    if (buffer_.empty() || buffer_.size() + bytes <= options_.buffer_bytes) return {};
    if (writing_) {
      changed_.Wait(mutex_);
    } else if (!full_.empty()) {
      STRATA_TRY(WriteFull());
    } else {
      full_.swap(buffer_);
      buffer_.reserve(options_.buffer_bytes);
    }
  }
}

Result<void> Appender::WriteFull() {
  writing_ = true;
  const std::shared_ptr<Pack> pack = pack_;
  const std::uint64_t position = written_;
  const ByteSpan pieces[] = {full_};
  mutex_.Unlock();
  const auto written = pack->file->WriteAt(position, pieces);
  mutex_.Lock();
  writing_ = false;
  if (written) {
    written_ = position + full_.size();
    if (options_.wrote) options_.wrote(full_.size());
    if (full_.capacity() > options_.buffer_bytes + kKeptOverBuffer) {
      full_ = {};
    } else {
      full_.clear();
    }
  }
  changed_.NotifyAll();
  return written;
}

Result<void> Appender::FlushLocked() {
  const std::shared_ptr<Pack> pack = pack_;
  if (!pack) return catalog_.failure().Check();
  const std::uint64_t target = pack->end;
  // A pack that was left was flushed before.
  while (pack_ == pack && written_ < target) {
    if (writing_) {
      changed_.Wait(mutex_);
      continue;
    }
    if (full_.empty()) full_.swap(buffer_);
    STRATA_TRY(WriteFull());
  }
  // Or all was abandoned meanwhile.
  return catalog_.failure().Check();
}

Result<void> Appender::Flush() {
  const MutexLock lock(mutex_);
  return FlushLocked();
}

Result<void> Appender::FlushFor(const Location& location) {
  const MutexLock lock(mutex_);
  if (!pack_ || pack_->header.id != location.pack || location.end() <= written_) return {};
  auto flushed = FlushLocked();
  // What was abandoned is not found again.
  return flushed || catalog_.failure().failed() ? Result<void>{} : flushed;
}

std::optional<Location> Appender::Find(const Digest& digest) const {
  std::shared_ptr<TailTable> table, frozen;
  {
    const MutexLock lock(tables_mutex_);
    table = table_;
    frozen = frozen_;
  }
  auto found = table->Find(digest);
  if (!found && frozen) found = frozen->Find(digest);
  return found;
}

std::size_t Appender::tail_records() const {
  const MutexLock lock(tables_mutex_);
  return table_->size() + (frozen_ ? frozen_->size() : 0);
}

std::vector<IndexEntry> Appender::Tail() const {
  std::vector<IndexEntry> entries;
  const MutexLock lock(tables_mutex_);
  for (const auto& table : {table_, frozen_}) {
    if (!table) continue;
    table->ForEach([&](const Digest& digest, const Location& location) { entries.push_back({digest, location}); });
  }
  return entries;
}

void Appender::Avoid(absl::flat_hash_set<PackId> packs) {
  const MutexLock lock(mutex_);
  avoided_ = std::move(packs);
}

Result<void> Appender::OpenPack() {
  int tried = 0;
  for (const Catalog::Tail& tail : catalog_.Growing()) {
    if (tail.pack->header.pack_class != options_.pack_class || tail.seen >= pack_bytes_) continue;
    if (avoided_.contains(tail.pack->header.id)) continue;
    if (++tried > kMostTakeOvers) break;
    STRATA_ASSIGN(const bool taken, TakeOver(tail));
    if (taken) return {};
  }
  for (int i = 0; i < kCreations; ++i) {
    STRATA_ASSIGN(const bool created, CreatePack());
    if (created) return {};
  }
  return Fail(Errc::kBusy, "make a pack in " + catalog_.layout().packs() + ": others take each as it is made");
}

Result<bool> Appender::TakeOver(const Catalog::Tail& tail) {
  const PackId id = tail.pack->header.id;
  const std::uint64_t covered = tail.covered;
  auto pack = std::make_shared<Pack>();
  pack->path = catalog_.files().PathOf(id);
  // Only one that this process does not hold itself: its own lock is no obstacle to it.
  if (std::ranges::any_of(packs_, [&](const auto& held) { return held->header.id == id; })) return false;
  auto file = env_.Open(pack->path, OpenMode::kReadWrite);
  if (!file) return false;
  pack->file = std::move(*file);
  if (!pack->file->Lock()) return false;
  // Whoever removes a pack has its lock: it is removed already, or stays.
  if (!env_.Open(pack->path, OpenMode::kRead)) return false;
  std::array<std::byte, kPackHeaderBytes> bytes{};
  STRATA_ASSIGN(const std::size_t got, pack->file->ReadAt(0, bytes));
  if (DecodePackHeader(ByteSpan(bytes).first(got), pack->header) != HeaderState::kValid) return false;
  STRATA_ASSIGN(const std::uint64_t size, pack->file->Size());
  if (size >= pack_bytes_ || size < covered) return false;
  STRATA_ASSIGN(const bool unsynced, IsUnsynced(env_, catalog_.layout(), id));
  if (unsynced && !WriteAnew(*pack->file, covered, size)) return false;

  PackScan scan(*pack->file, id, covered, size, PackScan::Depth::kStored);
  PackRange range{.pack = id, .begin = static_cast<std::uint32_t>(covered)};
  std::vector<IndexEntry> entries;
  std::uint64_t damage_begin = size;
  while (true) {
    STRATA_ASSIGN(const PackScan::Found found, scan.Next());
    if (found == PackScan::Found::kEnd) break;
    if (found == PackScan::Found::kDamage) {
      damage_begin = std::min(damage_begin, scan.damage().begin);
      continue;
    }
    // Records behind damage: it is no torn end. All stays as it is, and nobody appends.
    if (damage_begin < size || entries.size() >= options_.tail_records) return false;
    entries.push_back({scan.header().digest, scan.location()});
    range.newest = std::max(range.newest, scan.header().time);
    ++range.records;
  }
  pack->end = scan.sound_end();
  pack->synced = covered;
  pack->back = pack->end;
  range.end = static_cast<std::uint32_t>(pack->end);
  if (pack->end < size) {
    log::Info("pack_tail_cut", {{"file", pack->path}, {"from", pack->end}, {"bytes", size - pack->end}});
    STRATA_TRY(pack->file->Truncate(pack->end));
  }
  // An index promises the name as well. Whoever made the pack may have died before it made that durable.
  pack->named = covered > kPackHeaderBytes && !unsynced;
  new_name_ = new_name_ || !pack->named;
  if (unsynced) {
    if (!pack->file->SyncData()) return false;
    pack->synced = pack->end;
    STRATA_TRY(ClearUnsynced(env_, catalog_.layout(), id));
  }
  if (!entries.empty()) pack->found = tail.pack;
  {
    const MutexLock tables(tables_mutex_);
    for (const IndexEntry& entry : entries) table_->Put(entry.digest, entry.location);
  }
  Begin(std::move(pack), range);
  return true;
}

Result<bool> Appender::CreatePack() {
  auto pack = std::make_shared<Pack>();
  pack->header = {.pack_class = options_.pack_class, .id = PackId(RandomId(env_)), .created = env_.Now()};
  pack->path = catalog_.files().PathOf(pack->header.id);
  auto file = env_.Open(pack->path, OpenMode::kCreateExclusive);
  if (!file) return Fail(file.error().WithContext("make a pack"));
  pack->file = std::move(*file);
  if (!pack->file->Lock() || !env_.Open(pack->path, OpenMode::kRead)) return false;
  const auto bytes = EncodePackHeader(pack->header);
  const ByteSpan pieces[] = {bytes};
  if (auto written = pack->file->WriteAt(0, pieces); !written) {
    (void)env_.Remove(pack->path);
    return Fail(written.error().WithContext("make a pack"));
  }
  pack->end = kPackHeaderBytes;
  pack->back = kPackHeaderBytes;
  new_name_ = true;
  const PackRange range{.pack = pack->header.id, .begin = kPackHeaderBytes, .end = kPackHeaderBytes};
  Begin(std::move(pack), range);
  catalog_.changes().Put();
  return true;
}

void Appender::Begin(std::shared_ptr<Pack> pack, const PackRange& range) {
  catalog_.Own(pack->header.id, pack->end);
  written_ = pack->end;
  buffer_.reserve(options_.buffer_bytes);
  ranges_.push_back(range);
  packs_.push_back(pack);
  pack_ = std::move(pack);
}

}  // namespace strata::store::pack
