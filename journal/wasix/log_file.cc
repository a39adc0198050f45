#include "journal/wasix/log_file.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>
#include <variant>

#include "base/log.h"
#include "journal/wasix/encode.h"
#include "journal/wasix/framing.h"

namespace strata::journal::wasix {
namespace {

constexpr std::size_t kBufferBytes = 1 << 20;
constexpr std::size_t kDirectData = 32 << 10;  // from here on a write's data goes from the caller's memory
constexpr std::uint64_t kCopied = 16 << 10;    // up to here reads are copied
// The file is mapped so far beyond its end, so that it need not be mapped anew soon. It takes address space alone.
constexpr std::uint64_t kMappedAhead = std::uint64_t{1} << 30;
constexpr std::size_t kCopyPiece = 1 << 20;
constexpr int kMostTorn = 1000;  // files of torn tails at one position

}  // namespace

Result<std::unique_ptr<LogFile>> LogFile::Open(Env& env, const std::string& path, const LogFileOptions& options) {
  auto opened = env.Open(path, options.read_only ? OpenMode::kRead : OpenMode::kCreate);
  if (!opened && opened.error().code() == Errc::kNotFound && options.read_only) {
    return Fail(Errc::kNotFound, path + " does not exist; it is made where it is not served --read-only");
  }
  if (!opened) return Fail(opened.error());
  std::unique_ptr<File> file = *std::move(opened);
  if (!options.read_only) {
    if (const auto locked = file->Lock(); !locked) {
      if (locked.error().code() != Errc::kBusy) return Fail(locked.error());
      return Fail(Errc::kBusy, path + " is appended to by another process; end that, or use --read-only");
    }
  }
  STRATA_ASSIGN(const std::uint64_t size, file->Size());
  std::array<std::byte, kMagicBytes> bytes{};
  STRATA_ASSIGN(const std::size_t got, file->ReadAt(0, bytes));
  switch (CheckBeginning(ByteSpan(bytes).first(got))) {
    case Beginning::kMagic:
    case Beginning::kEmpty:
      break;
    case Beginning::kCutShort:
      return Fail(Errc::kCorrupt,
                  path + " has " + std::to_string(got) +
                      " bytes, which is no WASIX journal and not the beginning of one that Wasmer would "
                      "go on with; empty it to begin a new one");
    case Beginning::kWrongMagic:
      return Fail(Errc::kCorrupt, path + " is no WASIX journal: it does not begin with 31 0d 6d d0 27 36 29 79");
  }
  return std::unique_ptr<LogFile>(new LogFile(env, path, options, std::move(file), size));
}

LogFile::LogFile(Env& env, std::string path, const LogFileOptions& options, std::unique_ptr<File> file,
                 std::uint64_t size)
    : env_(env),
      path_(std::move(path)),
      options_(options),
      file_(std::move(file)),
      failure_(options_.on_failure),
      written_(size),
      end_(size) {}

LogFile::~LogFile() {
  if (!committer_) return;
  committer_.reset();
  if (const auto ended = CommitAll(); !ended && !failed()) {
    log::Error("wasix_log_end", {{"path", path_}, {"error", ended.error()}, {"meaning", "what was last done is lost"}});
  }
}

Result<void> LogFile::KeepTail(std::uint64_t end, std::uint64_t size) {
  const std::string name = path_ + ".torn." + std::to_string(end);
  std::string kept = name;
  Result<std::unique_ptr<File>> made = env_.Open(kept, OpenMode::kCreateExclusive);
  // One of before, or of an attempt that did not come to its end.
  for (int i = 1; !made && made.error().code() == Errc::kExists && i < kMostTorn; ++i) {
    kept = name + '.' + std::to_string(i);
    made = env_.Open(kept, OpenMode::kCreateExclusive);
  }
  if (!made) return Fail(made.error().WithContext("keep the torn tail of " + path_));
  std::vector<std::byte> piece(kCopyPiece);
  for (std::uint64_t at = end; at < size;) {
    STRATA_ASSIGN(const std::size_t got,
                  file_->ReadAt(at, MutableByteSpan(piece).first(std::min<std::uint64_t>(piece.size(), size - at))));
    if (got == 0) break;
    const ByteSpan bytes = ByteSpan(piece).first(got);
    STRATA_TRY((*made)->WriteAt(at - end, {&bytes, 1}));
    at += got;
  }
  STRATA_TRY((*made)->SyncData());
  STRATA_TRY(env_.SyncDirectory(DirectoryOf(path_)));
  log::Warning("wasix_torn_tail", {{"path", path_},
                                   {"offset", end},
                                   {"bytes", size - end},
                                   {"kept_as", kept},
                                   {"why", "the last record was not written to its end"}});
  return {};
}

Result<void> LogFile::StartAppending(std::uint64_t records_end) {
  if (options_.read_only) return Fail(Errc::kReadOnly, path_ + " was opened to be read only");
  const std::uint64_t size = written_.load();
  if (records_end > size) return Fail(Errc::kInvalid, path_ + " has no record at " + std::to_string(records_end));
  if (records_end < size) {
    STRATA_TRY(KeepTail(records_end, size));
    STRATA_TRY(file_->Truncate(records_end));
  }
  std::uint64_t end = records_end;
  if (end == 0) {
    const ByteSpan magic = kMagic;
    STRATA_TRY(file_->WriteAt(0, {&magic, 1}));
    end = kMagicBytes;
  }
  STRATA_TRY(file_->SyncData());
  STRATA_TRY(env_.SyncDirectory(DirectoryOf(path_)));
  written_.store(end);
  end_.store(end);
  const MutexLock lock(mutex_);
  buffer_.reserve(2 * kBufferBytes);
  committer_ = std::make_unique<Committer>([this] { return CommitAll(); },
                                           [this] { return end_.load(std::memory_order_seq_cst); }, failure_, end,
                                           std::chrono::nanoseconds(options_.sync_interval_ns));
  return {};
}

Result<void> LogFile::CheckLength() {
  const auto size = file_->Size();
  if (!size) return failure_.Set(size.error());
  const std::uint64_t left = written_.load(std::memory_order_relaxed);
  if (*size == left) return {};
  const std::string lengths = ": it has " + std::to_string(*size) + " bytes, and was left with " + std::to_string(left);
  if (*size > left) {
    return failure_.Set(Status(Errc::kBusy, path_ + " was appended to by another program" + lengths +
                                                "; nothing more is written to it; end that program, look at what it "
                                                "wrote there (strata journal inspect), and start again"));
  }
  return failure_.Set(Status(Errc::kIo, path_ + " was cut by another program" + lengths +
                                            "; nothing more is written to it; restore it from a copy"));
}

Result<void> LogFile::WriteOut(std::span<const ByteSpan> more) {
  STRATA_TRY(failure_.Check());
  STRATA_TRY(CheckLength());
  std::array<ByteSpan, 4> pieces{ByteSpan(buffer_)};
  std::uint64_t bytes = buffer_.size();
  std::size_t count = 1;
  for (const ByteSpan piece : more) {
    pieces[count++] = piece;
    bytes += piece.size();
  }
  const std::uint64_t from = written_.load(std::memory_order_relaxed);
  if (const auto wrote = file_->WriteAt(from, std::span(pieces).first(count)); !wrote) {
    if (!wrote.error().IsOutOfSpace()) return failure_.Set(wrote.error());
    // A part of it may lie there, which would be a torn tail, and no longer the length that was left.
    if (const auto cut = file_->Truncate(from); !cut) return failure_.Set(cut.error());
    return Fail(wrote.error());
  }
  buffer_.clear();
  written_.store(from + bytes, std::memory_order_release);
  return {};
}

Result<void> LogFile::AppendOne(const Entry& entry, Place& place, std::uint64_t& position) {
  const auto* const write = std::get_if<FileDescriptorWriteV1>(&entry);
  if (write == nullptr) {
    STRATA_TRY(Encode(entry, position, buffer_));
    position = written_.load(std::memory_order_relaxed) + buffer_.size();
    return {};
  }
  STRATA_ASSIGN(const WriteFrame frame, EncodeAround(*write, position));
  place.data = frame.data_position();
  const std::array<ByteSpan, 3> pieces{frame.before(), write->data, frame.after()};
  if (write->data.size() >= kDirectData) {
    STRATA_TRY(WriteOut(pieces));
    position = written_.load(std::memory_order_relaxed);
    return {};
  }
  for (const ByteSpan piece : pieces) buffer_.insert(buffer_.end(), piece.begin(), piece.end());
  position = written_.load(std::memory_order_relaxed) + buffer_.size();
  return {};
}

Result<LogFile::Place> LogFile::Append(std::span<const Entry> entries) {
  if (!committer_) return Fail(Errc::kReadOnly, path_ + " is only read");
  Place place;
  {
    const MutexLock lock(mutex_);
    STRATA_TRY(failure_.Check());
    if (buffer_.size() >= kBufferBytes) STRATA_TRY(WriteOut({}));
    place.begin = end_.load(std::memory_order_relaxed);
    std::uint64_t position = place.begin;
    for (const Entry& entry : entries) {
      const auto appended = AppendOne(entry, place, position);
      if (appended) continue;
      // What was written of this call already, before the file said that it is full, is cut again.
      const std::uint64_t written = written_.load(std::memory_order_relaxed);
      if (written > place.begin) {
        if (const auto cut = file_->Truncate(place.begin); !cut) return failure_.Set(cut.error());
        written_.store(place.begin, std::memory_order_release);
      }
      buffer_.resize(place.begin - std::min(written, place.begin));
      return Fail(appended.error());
    }
    place.end = position;
    end_.store(position, std::memory_order_seq_cst);
  }
  committer_->Appended(place.begin);
  return place;
}

Result<void> LogFile::Flush() {
  STRATA_TRY(failure_.Check());
  if (written_.load(std::memory_order_acquire) >= end_.load(std::memory_order_acquire)) return {};
  const MutexLock lock(mutex_);
  return buffer_.empty() ? Result<void>() : WriteOut({});
}

Result<std::uint64_t> LogFile::CommitAll() {
  std::uint64_t reached = 0;
  {
    const MutexLock lock(mutex_);
    STRATA_TRY(failure_.Check());
    if (!buffer_.empty()) STRATA_TRY(WriteOut({}));
    reached = written_.load(std::memory_order_relaxed);
  }
  if (const auto synced = file_->SyncData(); !synced) return failure_.Set(synced.error());
  return reached;
}

void LogFile::Sync(std::uint64_t position, Committer::Done done) {
  if (position > end()) return done(Fail(Errc::kInvalid, path_ + " has nothing at " + std::to_string(position)));
  if (!committer_) return done({});
  committer_->Sync(position, std::move(done));
}

Result<std::shared_ptr<const Mapping>> LogFile::MappingUpTo(std::uint64_t end) {
  const MutexLock lock(map_mutex_);
  if (end > mapped_end_) {
    STRATA_ASSIGN(auto mapping, file_->Map(end + kMappedAhead));
    // Replies may still refer to the one before.
    mapping_ = std::move(mapping);
    mapped_end_ = end + kMappedAhead;
    touched_ = 0;
  }
  return mapping_;
}

Result<PinnedBytes> LogFile::Data(std::uint64_t position, std::uint64_t length) {
  if (length == 0) return PinnedBytes{};
  const std::uint64_t end = end_.load(std::memory_order_acquire);
  if (position >= end || length > end - position) {
    return Fail(Errc::kCorrupt, path_ + " holds no " + std::to_string(length) + " bytes at " +
                                    std::to_string(position) + "; what refers to them belongs to another file");
  }
  if (written_.load(std::memory_order_acquire) < position + length) STRATA_TRY(Flush());
  if (length <= kCopied) return PinnedBytes{.bytes = {}, .pin = {}, .unmapped = true};
  STRATA_ASSIGN(const std::uint64_t size, file_->Size());
  if (size < position + length) return Fail(Errc::kIo, path_ + " is shorter than it was; restore it from a copy");
  auto mapping = MappingUpTo(position + length);
  // A file system that cannot map a file: it is read.
  if (!mapping) return PinnedBytes{.bytes = {}, .pin = {}, .unmapped = true};
  {
    const MutexLock lock(map_mutex_);
    touched_ += length;
    if (touched_ > options_.mapped_bytes) {
      (*mapping)->Release();
      touched_ = length;
    }
  }
  return PinnedBytes{.bytes = (*mapping)->bytes().subspan(position, length), .pin = *mapping};
}

Result<void> LogFile::Copy(std::uint64_t position, MutableByteSpan out, bool may_block) {
  STRATA_ASSIGN(const std::size_t got, may_block ? file_->ReadAt(position, out) : file_->ReadCached(position, out));
  if (got != out.size()) return Fail(Errc::kIo, path_ + " is shorter than it was; restore it from a copy");
  return {};
}

void LogFile::ReleasePages() {
  const MutexLock lock(map_mutex_);
  if (mapping_) mapping_->Release();
  touched_ = 0;
}

}  // namespace strata::journal::wasix
