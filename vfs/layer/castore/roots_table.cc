#include "vfs/layer/castore/roots_table.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include "base/log.h"
#include "store/castore/names.h"

namespace strata::vfs::castore {
namespace {

using namespace roots_format;

// For another process to be done with adding, which takes a few syncs.
constexpr std::int64_t kAddingLimitNs = 10'000'000'000;
constexpr std::chrono::milliseconds kAddingRetry(5);

}  // namespace

RootsTable::RootsTable(Env& env, const std::string& folder)
    : env_(env), folder_(folder), path_(folder + "/roots.table") {}

Result<std::unique_ptr<RootsTable>> RootsTable::Open(Env& env, const std::string& folder) {
  std::unique_ptr<RootsTable> table(new RootsTable(env, folder));
  RootsTable& made = *table;
  const MutexLock lock(made.write_mutex_);
  STRATA_ASSIGN(const bool there, made.OpenFile());
  if (!there) return table;
  STRATA_ASSIGN(const std::unique_ptr<File> held, made.Lock());
  STRATA_TRY(made.ReadOn(true));
  return table;
}

Status RootsTable::Because(const Status& error, std::string_view doing) const {
  return Status(error.code(), std::string(doing) + " " + path_ + ": " + std::string(error.message()) +
                                  "; look after its disk, and make " + folder_ +
                                  " readable and writable for this user");
}

Status RootsTable::Damaged(std::string_view what) const {
  return Status(Errc::kCorrupt, path_ + " is damaged (" + std::string(what) +
                                    "); restore it from a backup, or remove it once no server uses it: clients then "
                                    "have to mount anew");
}

Result<std::unique_ptr<File>> RootsTable::Lock() {
  const std::string path = folder_ + "/roots.lock";
  auto file = env_.Open(path, OpenMode::kCreate);
  if (!file) return Fail(Because(file.error(), "locking"));
  for (const std::int64_t deadline = env_.MonotonicNs() + kAddingLimitNs;;) {
    const auto locked = (*file)->Lock();
    if (locked) return file;
    const Errc code = locked.error().code();
    if (code != Errc::kBusy && code != Errc::kWouldBlock) return Fail(Because(locked.error(), "locking"));
    if (env_.MonotonicNs() > deadline) {
      return Fail(Errc::kBusy, path + " is held by another process, which does not end; end that one");
    }
    std::this_thread::sleep_for(kAddingRetry);
  }
}

Result<bool> RootsTable::OpenFile() {
  if (file_) return true;
  auto file = env_.Open(path_, OpenMode::kReadWrite);
  if (!file && file.error().code() == Errc::kNotFound) return false;
  if (!file) return Fail(Because(file.error(), "opening"));
  file_ = std::move(*file);
  return true;
}

Result<void> RootsTable::MakeFile() {
  STRATA_ASSIGN(const bool there, OpenFile());
  if (!there) {
    auto file = env_.Open(path_, OpenMode::kCreate);
    if (!file) return Fail(Because(file.error(), "making"));
    file_ = std::move(*file);
  }
  const auto header = EncodeHeader();
  const ByteSpan pieces[] = {header};
  auto written = file_->Truncate(0);
  if (written) written = file_->WriteAt(0, pieces);
  if (written) written = file_->SyncData();
  if (written) written = env_.SyncDirectory(folder_);
  if (!written) return Fail(Because(written.error(), "writing"));
  end_ = kHeaderBytes;
  return {};
}

Result<void> RootsTable::Take(std::vector<RootRange> ranges) {
  const MutexLock lock(mutex_);
  for (RootRange& range : ranges) {
    if (ranges_.size() >= kMostRanges) return Fail(Damaged("more roots than it may have"));
    next_id_ = range.first + range.ids;
    const RootRange& kept = ranges_.emplace_back(std::move(range));
    // Of two for one root, which a store lists twice, the first counts.
    by_key_.try_emplace(Key(kept.name, kept.key), &kept);
  }
  return {};
}

// What begins behind `end_` is no frame.
Result<void> RootsTable::Cut(ByteSpan rest, std::uint64_t size) {
  // One that is written is all there is behind those that are on disk.
  if (size - end_ > kMostFrame || HoldsFrame(rest, end_)) {
    return Fail(Damaged("from byte " + std::to_string(end_) + " on"));
  }
  log::Warning("roots_table_cut", {{"file", path_},
                                   {"position", end_},
                                   {"bytes", size - end_},
                                   {"meaning", "it was not written to its end, and nothing in it was given out"}});
  auto cut = file_->Truncate(end_);
  if (cut) cut = file_->SyncData();
  if (!cut) return Fail(Because(cut.error(), "cutting"));
  return {};
}

Result<void> RootsTable::ReadOn(bool locked) {
  File& file = *file_;
  const auto size = file.Size();
  if (!size) return Fail(Because(size.error(), "reading"));
  if (*size == end_) return {};
  if (*size < end_) return Fail(Damaged("it has become shorter"));
  std::vector<std::byte> buffer;
  const auto read = [&](std::uint64_t from, std::size_t most) -> Result<ByteSpan> {
    buffer.resize(static_cast<std::size_t>(std::min<std::uint64_t>(most, *size - from)));
    const auto got = file.ReadAt(from, buffer);
    if (!got) return Fail(Because(got.error(), "reading"));
    return ByteSpan(buffer).first(*got);
  };
  if (end_ == 0) {
    STRATA_ASSIGN(const ByteSpan header, read(0, kHeaderBytes));
    const auto checked = CheckHeader(header);
    // Its making was cut short; who adds the first range makes it anew.
    if (!checked && *size <= kHeaderBytes && checked.error().code() == Errc::kCorrupt) return {};
    if (!checked && checked.error().code() == Errc::kCorrupt) return Fail(Damaged(checked.error().message()));
    if (!checked) return Fail(checked.error().WithContext(path_));
    end_ = kHeaderBytes;
  }
  // Whoever wrote it may not have got as far as the sync. Nothing that is not on disk is given out.
  if (const auto synced = file.SyncData(); !synced) return Fail(Because(synced.error(), "syncing"));
  while (end_ < *size) {
    STRATA_ASSIGN(const ByteSpan bytes, read(end_, kMostFrame));
    auto frame = DecodeFrame(bytes, end_, next_id_);
    if (!frame) return Fail(Damaged(frame.error().message()));
    if (!*frame) return locked ? Cut(bytes, *size) : Result<void>();
    STRATA_TRY(Take(std::move((*frame)->ranges)));
    end_ += (*frame)->size;
  }
  return {};
}

const RootRange* RootsTable::Find(std::string_view name, const store::Digest& key) const {
  const MutexLock lock(mutex_);
  const auto found = by_key_.find(Key(name, key));
  return found == by_key_.end() ? nullptr : found->second;
}

const RootRange* RootsTable::OwnerOf(std::uint64_t id) const {
  const MutexLock lock(mutex_);
  const auto next = std::ranges::upper_bound(ranges_, id, {}, &RootRange::first);
  if (next == ranges_.begin()) return nullptr;
  const RootRange& range = *std::prev(next);
  return id - range.first < range.ids ? &range : nullptr;
}

std::size_t RootsTable::size() const {
  const MutexLock lock(mutex_);
  return ranges_.size();
}

Result<void> RootsTable::Refresh() {
  const MutexLock lock(write_mutex_);
  STRATA_ASSIGN(const bool there, OpenFile());
  return there ? ReadOn(false) : Result<void>();
}

Result<void> RootsTable::CheckRoom(const RootRange& wanted, std::uint64_t first, std::size_t count) const {
  const char* full = wanted.ids > kEndId - first ? "all numbers are"
                     : count >= kMostRanges      ? "every place in it is"
                                                 : nullptr;
  if (full == nullptr) return {};
  return Fail(Errc::kNoSpace, "numbers for the root " + store::QuoteName(wanted.name) + " in " + path_ + ": " + full +
                                  " given to roots that were served before; end all servers that use it and remove it: "
                                  "clients then have to mount anew");
}

Result<void> RootsTable::Append(std::span<const RootRange> ranges) {
  const std::vector<std::byte> frame = EncodeFrame(end_, ranges);
  const ByteSpan pieces[] = {frame};
  auto written = file_->WriteAt(end_, pieces);
  if (written) written = file_->SyncData();
  if (!written) {
    // It must not be there for others to find.
    auto cut = file_->Truncate(end_);
    if (cut) cut = file_->SyncData();
    failed_ = !cut;
    return Fail(Because(written.error(), "writing"));
  }
  end_ += frame.size();
  return Take(std::vector<RootRange>(ranges.begin(), ranges.end()));
}

Result<void> RootsTable::Add(std::span<const RootRange> wanted) {
  const MutexLock lock(write_mutex_);
  if (failed_) {
    return Fail(Errc::kIo, path_ + " could not be written before; look after its disk, then start the server again");
  }
  STRATA_ASSIGN(const std::unique_ptr<File> held, Lock());
  STRATA_ASSIGN(const bool there, OpenFile());
  if (there) STRATA_TRY(ReadOn(true));
  if (end_ == 0) STRATA_TRY(MakeFile());
  std::vector<RootRange> batch;
  std::size_t bytes = 0;
  std::uint64_t first = next_id_;
  for (const RootRange& range : wanted) {
    if (Find(range.name, range.key) != nullptr) continue;
    if (auto room = CheckRoom(range, first, size() + batch.size()); !room) {
      if (!batch.empty()) STRATA_TRY(Append(batch));
      return room;
    }
    if (FrameBytes(bytes + RowBytes(range)) > kMostFrame) {
      STRATA_TRY(Append(batch));
      batch.clear();
      bytes = 0;
    }
    batch.push_back(range);
    batch.back().first = first;
    first += range.ids;
    bytes += RowBytes(range);
  }
  return batch.empty() ? Result<void>() : Append(batch);
}

}  // namespace strata::vfs::castore
