#include "journal/journal.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "journal/log_journal.h"
#include "journal/record.h"

namespace strata::journal {

Result<Appended> LogJournal::Append(ByteSpan head, ByteSpan payload, Room room) {
  auto appended = AppendOnce(head, payload, room);
  if (appended || room == Room::kOrdinary || !appended.error().IsOutOfSpace()) return appended;
  (void)GiveReserveUp();  // somebody else may have done so just now
  return AppendOnce(head, payload, room);
}

Result<Appended> LogJournal::AppendOnce(ByteSpan head, ByteSpan payload, Room room) {
  if (!committer_) return Fail(Errc::kReadOnly, "append to a journal that is open for reading");
  if (head.size() > kMaxHeadBytes || payload.size() > kMaxPayloadBytes) {
    return Fail(Errc::kInvalid, "a journal record of more than its largest size");
  }
  Frame frame;
  frame.head_size = static_cast<std::uint32_t>(head.size());
  frame.payload_size = static_cast<std::uint32_t>(payload.size());
  frame.head_crc = Crc32c(head);
  frame.payload_crc = Crc32c(payload);
  const std::uint64_t size = frame.RecordBytes();
  if (size > segment_size_ - kSegmentHeaderBytes) return Fail(Errc::kInvalid, "a journal record larger than a segment");
  const std::size_t padding = size - kFrameBytes - head.size() - payload.size();
  const bool direct = payload.size() >= kDirectPayload;
  const std::size_t copied = direct ? kFrameBytes + head.size() : size;

  const MutexLock lock(mutex_);
  const auto writes = [&]() STRATA_REQUIRES(mutex_) {
    return direct || buffer_.size() - buffered_ < copied ||
           end_.load(std::memory_order_relaxed) - current_->base + size > segment_size_;
  };
  while (writing_ && writes()) wrote_.Wait(mutex_);
  if (failure_.failed()) return Fail(failure_.Check().error());
  STRATA_TRY(MakeRoom(size, room));
  if (buffer_.size() - buffered_ < copied) STRATA_TRY(FlushLocked());

  const std::uint64_t begin = end_.load(std::memory_order_relaxed);
  frame.position = begin;
  frame.durable = committer_->durable();
  std::byte* at = buffer_.data() + buffered_;
  const std::uint32_t check = EncodeFrame(frame, current_->salt, at);
  at += kFrameBytes;
  if (!head.empty()) std::memcpy(at, head.data(), head.size());
  at += head.size();
  const Appended appended{
      .begin = Lsn(begin), .end = Lsn(begin + size), .payload = Lsn(begin + kFrameBytes + head.size())};
  if (!direct) {
    if (!payload.empty()) std::memcpy(at, payload.data(), payload.size());
    std::memset(at + payload.size(), 0, padding);
    buffered_ += size;
    last_check_ = check;
    SetEnd(begin, size);
    return appended;
  }
  static constexpr std::array<std::byte, 8> kPadding{};
  buffered_ += copied;
  const ByteSpan more[] = {payload, ByteSpan(kPadding).first(padding)};
  if (auto wrote = Write(more, begin + size); !wrote) {
    buffered_ -= copied;
    return Fail(wrote.error());
  }
  last_check_ = check;
  SetEnd(begin, size);
  return appended;
}

void LogJournal::SetEnd(std::uint64_t begin, std::uint64_t record_bytes) {
  end_.store(begin + record_bytes, std::memory_order_seq_cst);
  committer_->Appended(begin);
  const std::uint64_t end = begin + record_bytes;
  if (end - std::max(sync_asked_, committer_->durable()) < kUnsyncedBytes) return;
  sync_asked_ = end;
  committer_->Sync(end, [](const Result<void>&) {});
}

Result<void> LogJournal::Write(std::span<const ByteSpan> more, std::uint64_t end) {
  if (failure_.failed()) return failure_.Check();
  if (outgoing_bytes_ + buffered_ == 0) return {};
  std::array<ByteSpan, 4> pieces{ByteSpan(outgoing_).first(outgoing_bytes_), ByteSpan(buffer_).first(buffered_)};
  std::ranges::copy(more, pieces.begin() + 2);
  const std::uint64_t offset = written_.load(std::memory_order_relaxed) - current_->base;
  if (auto wrote = file_->WriteAt(offset, std::span(pieces).first(2 + more.size())); !wrote) {
    // Where the file system cannot allocate ahead, it is here that the disk is found full. What is buffered stays so,
    // and is written over what is there in part once there is space.
    return NoRoom(wrote.error());
  }
  outgoing_bytes_ = buffered_ = 0;
  written_.store(end, std::memory_order_release);
  return {};
}

Result<void> LogJournal::FlushBeside() {
  while (writing_) wrote_.Wait(mutex_);
  if (outgoing_bytes_ != 0) return FlushLocked();
  if (failure_.failed()) return failure_.Check();
  if (buffered_ == 0) return {};
  outgoing_.swap(buffer_);
  outgoing_bytes_ = std::exchange(buffered_, 0);
  const std::uint64_t end = end_.load(std::memory_order_relaxed);
  const std::uint64_t offset = written_.load(std::memory_order_relaxed) - current_->base;
  const ByteSpan pieces[] = {ByteSpan(outgoing_).first(outgoing_bytes_)};
  File& file = *file_;
  writing_ = true;
  mutex_.Unlock();
  auto wrote = file.WriteAt(offset, pieces);
  mutex_.Lock();
  writing_ = false;
  wrote_.NotifyAll();
  if (!wrote) return NoRoom(wrote.error());
  outgoing_bytes_ = 0;
  written_.store(end, std::memory_order_release);
  return {};
}

std::unexpected<Status> LogJournal::NoRoom(const Status& status) {
  if (!status.IsOutOfSpace()) return failure_.Set(status);
  return Fail(status.WithContext("no room for the journal; free space on its disk"));
}

Result<void> LogJournal::MakeRoom(std::uint64_t record_bytes, Room room) {
  const bool scarce = missing_reserve() != 0;
  if (scarce && room == Room::kOrdinary && !reserve_->Restore()) {
    return NoRoom(Status(Errc::kNoSpace, "what is left is kept for what frees room"));
  }
  const std::uint64_t needed = end_.load(std::memory_order_relaxed) - current_->base + record_bytes;
  if (needed <= current_->allocated) return {};
  if (needed > segment_size_) return Roll(record_bytes);
  const std::uint64_t before = current_->allocated;
  auto grown = GrowSegment(env_, *current_, *file_, needed, segment_size_, scarce);
  if (!grown && DropSpares()) grown = GrowSegment(env_, *current_, *file_, needed, segment_size_, scarce);
  if (!grown) return NoRoom(grown.error());
  disk_bytes_.fetch_add(current_->allocated - before, std::memory_order_relaxed);
  return {};
}

Result<void> LogJournal::Roll(std::uint64_t record_bytes) {
  STRATA_TRY(FlushLocked());
  SegmentHeader header{.salt = salt_,
                       .volume_id = volume_id_,
                       .index = current_->index + 1,
                       .segment_size = segment_size_,
                       .previous_end = end_.load(std::memory_order_relaxed),
                       .previous_check = last_check_,
                       .durable = committer_->durable()};
  if (header.index > kMaxSegmentIndex) return Fail(Errc::kNoSpace, "the journal has used up all its positions");
  table_.MakeRoom();
  const std::string path = directory_ + '/' + SegmentName(header.index);
  std::unique_ptr<File> file = used_->Take(path);
  header.own_salt = file != nullptr;
  if (!file && spare_) file = spare_->Take(path);
  const std::uint64_t room = kSegmentHeaderBytes + record_bytes;
  auto created = CreateSegment(env_, directory_, header, room, std::move(file), missing_reserve() != 0);
  if (!created && created.error().IsOutOfSpace() && DropSpares()) {
    header.own_salt = false;
    created = CreateSegment(env_, directory_, header, room, nullptr, missing_reserve() != 0);
  }
  if (!created) return NoRoom(created.error());
  // A record that did not fit in has left room, which counts where segments are small.
  const std::uint64_t used = header.previous_end - current_->base;
  if (const std::uint64_t unused = current_->allocated - used;
      unused > segment_size_ / kMostUnused && file_->Truncate(used)) {
    current_->allocated = used;
    disk_bytes_.fetch_sub(unused, std::memory_order_relaxed);
  }
  current_->end.store(header.previous_end, std::memory_order_release);
  complete_bytes_.fetch_add(header.previous_end - current_->FirstRecord(), std::memory_order_relaxed);
  current_->written = false;
  current_ = created->get();
  file_ = current_->open.load()->file.get();
  file_->Unlock();
  disk_bytes_.fetch_add(current_->allocated, std::memory_order_relaxed);
  unsynced_.push_back(current_);
  directory_unsynced_ = true;
  if (unsynced_.size() > kUnsyncedSegments) committer_->Sync(header.previous_end, [](const Result<void>&) {});
  table_.Add(std::move(*created));
  written_.store(current_->FirstRecord(), std::memory_order_release);
  end_.store(current_->FirstRecord(), std::memory_order_release);
  return {};
}

Result<std::uint64_t> LogJournal::CommitAll() {
  const MutexLock commit_lock(commit_mutex_);
  std::uint64_t target;
  bool sync_directory;
  {
    const MutexLock lock(mutex_);
    STRATA_TRY(FlushBeside());
    target = written_.load(std::memory_order_relaxed);
    if (target == synced_) return target;
    sync_directory = std::exchange(directory_unsynced_, false);
    syncing_.assign(unsynced_.begin(), unsynced_.end());
    unsynced_.assign(1, current_);
  }
  for (Segment* segment : syncing_) {
    // Retire and GiveUp leave alone what is not durable.
    const auto use = table_.Get(segment->index);
    if (!use) {  // such as for want of descriptors: it may go well the next time
      const MutexLock lock(mutex_);
      unsynced_.insert(unsynced_.begin(), syncing_.begin(), syncing_.end());
      directory_unsynced_ |= sync_directory;
      return Fail(use.error());
    }
    if (!*use) continue;
    if (auto synced = use->open().file->SyncData(); !synced) return failure_.Set(synced.error());
  }
  if (sync_directory) {
    if (auto synced = env_.SyncDirectory(directory_); !synced) return failure_.Set(synced.error());
  }
  syncs_ = target / segment_size_ == synced_ / segment_size_ ? syncs_ + 1 : 1;
  synced_ = target;
  const std::uint64_t filled = target % segment_size_;
  if (spare_ && used_->empty() && missing_reserve() == 0 && filled >= segment_size_ / 4 &&
      filled < syncs_ * kSparedBelow) {
    spare_->Make();
  }
  return target;
}

namespace {

Result<Recovered> MakeNew(Env& env, const std::string& directory, const JournalOptions& options) {
  if (options.segment_size < kMinSegmentSize || options.segment_size > kMaxSegmentSize ||
      options.segment_size % kMinSegmentSize != 0) {
    return Fail(Errc::kInvalid, "a journal segment size of " + std::to_string(options.segment_size) +
                                    "; it must be a multiple of 4096 up to 4 GiB");
  }
  SegmentHeader header{
      .volume_id = options.volume_id, .segment_size = options.segment_size, .durable = kSegmentHeaderBytes};
  env.Random(std::as_writable_bytes(std::span(&header.salt, 1)));
  STRATA_ASSIGN(auto segment, CreateSegment(env, directory, header, kSegmentHeaderBytes));
  STRATA_TRY(segment->open.load()->file->SyncData());
  STRATA_TRY(env.SyncDirectory(directory));
  STRATA_TRY(env.SyncDirectory(DirectoryOf(directory)));
  Recovered made;
  made.salt = header.salt;
  made.segment_size = header.segment_size;
  made.end = segment->FirstRecord();
  made.segments.push_back(std::move(segment));
  return made;
}

}  // namespace

Result<std::unique_ptr<Journal>> Journal::Open(Env& env, const std::string& directory, const JournalOptions& options) {
  std::unique_ptr<File> lock;
  if (!options.read_only) {
    STRATA_TRY(env.CreateDirectory(directory));
    STRATA_ASSIGN(lock, env.Open(directory + "/lock", OpenMode::kCreate));
    STRATA_TRY(lock->Lock());
    // Of a process that was killed.
    for (const std::string_view left : {kSpareName, kStubName}) (void)env.Remove(directory + '/' + std::string(left));
  }
  STRATA_ASSIGN(std::optional<Recovered> found, Recover(env, directory, options));
  if (!found) {
    if (options.read_only) return Fail(Errc::kNotFound, directory + " holds no journal");
    STRATA_ASSIGN(found, MakeNew(env, directory, options));
  }
  return std::make_unique<LogJournal>(env, directory, options, std::move(lock), std::move(*found));
}

Result<Appended> Journal::Append(const Change& change) {
  static thread_local std::vector<std::byte> head;  // keeps its memory
  EncodeRecord(change, head);
  return Append(head, change.payload, change.room);
}

}  // namespace strata::journal
