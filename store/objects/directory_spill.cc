#include "store/objects/directory_spill.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace strata::store {
namespace {

// A file begins once there is more than this; smaller closures share one.
constexpr std::size_t kTailBytes = 4 << 20;
// In all, which are 0.7 GB of index at most.
constexpr std::size_t kMostDirectories = 16 << 20;
constexpr unsigned kOffsetBits = 40;
constexpr std::uint64_t kMostBytes = 1ULL << kOffsetBits;

// Before the canonical bytes of a directory: its digest, and their number.
constexpr std::size_t kSpilledHeadBytes = Digest::kSize + sizeof(std::uint32_t);

struct SpilledHead {
  Digest digest;
  std::uint32_t length = 0;
};

Result<SpilledHead> ReadHead(SpillFile& file, std::uint64_t offset) {
  std::array<std::byte, kSpilledHeadBytes> bytes{};
  STRATA_TRY(file.ReadAt(offset, bytes));
  SpilledHead head;
  std::copy_n(bytes.begin(), Digest::kSize, head.digest.bytes.begin());
  head.length = LoadLe<std::uint32_t>(bytes.data() + Digest::kSize);
  return head;
}

Result<Directory> ReadSpilled(SpillFile& file, std::uint64_t offset) {
  STRATA_ASSIGN(const SpilledHead head, ReadHead(file, offset));
  if (head.length > file.size()) return Fail(Errc::kCorrupt, "the temporary file of directories does not check");
  std::vector<std::byte> message(head.length);
  STRATA_TRY(file.ReadAt(offset + kSpilledHeadBytes, message));
  return Directory::ParseVerified(message, head.digest);
}

std::uint64_t OffsetOf(SpillPlace place) { return place & (kMostBytes - 1); }
std::size_t FileOf(SpillPlace place) { return place >> kOffsetBits; }

std::uint64_t PrefixOf(const Digest& digest) { return LoadLe<std::uint64_t>(digest.bytes.data()); }

std::unexpected<Status> TooMuch(std::string what) {
  return Fail(Errc::kNoSpace, std::move(what) +
                                  "; put a store in front that keeps directories (a composition of a pack store and "
                                  "this one)");
}

}  // namespace

Result<void> SpillFile::Append(ByteSpan bytes) {
  MutexLock lock(mutex_);
  tail_.insert(tail_.end(), bytes.begin(), bytes.end());
  return folder_.empty() || tail_.size() < kTailBytes ? Result<void>{} : WriteOut();
}

Result<void> SpillFile::Seal() {
  MutexLock lock(mutex_);
  if (folder_.empty() || tail_.empty()) return {};
  STRATA_TRY(WriteOut());
  tail_.shrink_to_fit();
  return {};
}

Result<void> SpillFile::WriteOut() {
  if (!file_) {
    std::array<std::byte, 8> random{};
    env_.Random(random);
    STRATA_TRY(env_.CreateDirectory(folder_));
    const std::string path = folder_ + "/spill-" + std::to_string(LoadLe<std::uint64_t>(random.data()));
    STRATA_ASSIGN(file_, env_.Open(path, OpenMode::kCreateExclusive));
    STRATA_TRY(env_.Remove(path));
  }
  const ByteSpan pieces[] = {tail_};
  STRATA_TRY(file_->WriteAt(written_, pieces));
  written_ += tail_.size();
  tail_.clear();
  return {};
}

Result<void> SpillFile::ReadAt(std::uint64_t offset, MutableByteSpan out) {
  std::shared_ptr<File> file;
  std::size_t from_file = 0;
  {
    MutexLock lock(mutex_);
    if (offset > written_ + tail_.size() || out.size() > written_ + tail_.size() - offset) {
      return Fail(Errc::kCorrupt, "the temporary file of directories ends too early");
    }
    if (offset < written_) from_file = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), written_ - offset));
    const std::size_t from_tail = out.size() - from_file;
    if (from_tail > 0) std::memcpy(out.data() + from_file, tail_.data() + (offset + from_file - written_), from_tail);
    file = file_;
  }
  if (from_file == 0) return {};
  STRATA_ASSIGN(const std::size_t got, file->ReadAt(offset, out.first(from_file)));
  if (got < from_file) return Fail(Errc::kCorrupt, "the temporary file of directories was cut");
  return {};
}

std::uint64_t SpillFile::size() const {
  MutexLock lock(mutex_);
  return written_ + tail_.size();
}

SpillIndex::Places SpillIndex::Candidates(const Digest& digest) const {
  Places found;
  for (std::uint64_t prefix = PrefixOf(digest);; ++prefix) {
    const auto at = places_.find(prefix);
    if (at == places_.end()) return found;
    found.push_back(at->second);
  }
}

void SpillIndex::Add(const Digest& digest, SpillPlace place) {
  std::uint64_t prefix = PrefixOf(digest);
  while (!places_.try_emplace(prefix, place).second) ++prefix;
}

SpillStage::SpillStage(Env& env, const SpillOptions& options)
    : limit_(options.folder.empty() ? options.memory_bytes : kMostBytes),
      file_(std::make_shared<SpillFile>(env, options.folder)) {}

Result<std::optional<SpillPlace>> SpillStage::Find(const Digest& digest) {
  for (const SpillPlace place : index_.Candidates(digest)) {
    STRATA_ASSIGN(const SpilledHead head, ReadHead(*file_, place));
    if (head.digest == digest) return place;
  }
  return std::nullopt;
}

Result<bool> SpillStage::Put(const Directory& directory) {
  STRATA_ASSIGN(const auto there, Find(directory.digest()));
  if (there) return false;
  const ByteSpan message = directory.canonical();
  const SpillPlace place = file_->size();
  if (place + kSpilledHeadBytes + message.size() > limit_) {
    return TooMuch("a tree's directories take more than " + std::to_string(limit_) + " bytes");
  }
  if (index_.size() >= kMostDirectories) {
    return TooMuch("a tree has more than " + std::to_string(kMostDirectories) + " directories");
  }
  std::array<std::byte, kSpilledHeadBytes> head{};
  std::ranges::copy(directory.digest().bytes, head.begin());
  StoreLe(head.data() + Digest::kSize, static_cast<std::uint32_t>(message.size()));
  STRATA_TRY(file_->Append(head));
  STRATA_TRY(file_->Append(message));
  index_.Add(directory.digest(), place);
  return true;
}

Result<Directory> SpillStage::Read(SpillPlace place) { return ReadSpilled(*file_, place); }

Result<void> DirectorySpill::Merge(const SpillStage& stage, std::uint64_t number, std::uint64_t base) {
  for (const auto& [prefix, offset] : stage.index_.places()) {
    const SpillPlace place = number << kOffsetBits | (base + offset);
    if (index_.places().try_emplace(prefix, place).second) continue;
    // As a rule the same directory is there already.
    STRATA_ASSIGN(const SpilledHead head, ReadHead(*stage.file_, offset));
    bool there = false;
    for (const SpillPlace other : index_.Candidates(head.digest)) {
      STRATA_ASSIGN(const SpilledHead known, ReadHead(*files_[FileOf(other)], OffsetOf(other)));
      there |= known.digest == head.digest;
    }
    if (!there) index_.Add(head.digest, place);
  }
  return {};
}

Result<void> DirectorySpill::Publish(SpillStage stage) {
  const std::uint64_t bytes = stage.bytes();
  MutexLock lock(mutex_);
  if (files_.empty()) files_.push_back(std::make_shared<SpillFile>(env_, options_.folder));
  if (index_.size() + stage.count() > kMostDirectories) {
    return TooMuch("the trees in use have more than " + std::to_string(kMostDirectories) + " directories");
  }
  SpillFile& shared = *files_.front();
  const std::uint64_t base = shared.size();
  if (options_.folder.empty()) {
    std::uint64_t held = bytes;
    for (const auto& file : files_) held += file->size();
    if (held > options_.memory_bytes) {
      return TooMuch("the directories of the trees in use take more than " + std::to_string(options_.memory_bytes) +
                     " bytes of memory");
    }
  }
  if (bytes >= kTailBytes || base + bytes > kMostBytes) {
    STRATA_TRY(stage.file_->Seal());
    files_.push_back(stage.file_);
    return Merge(stage, files_.size() - 1, 0);
  }
  std::vector<std::byte> copy(bytes);
  STRATA_TRY(stage.file_->ReadAt(0, copy));
  STRATA_TRY(shared.Append(copy));
  return Merge(stage, 0, base);
}

Result<std::optional<Directory>> DirectorySpill::Get(const Digest& digest) {
  SpillIndex::Places places;
  absl::InlinedVector<std::shared_ptr<SpillFile>, 2> files;
  {
    MutexLock lock(mutex_);
    places = index_.Candidates(digest);
    for (const SpillPlace place : places) files.push_back(files_[FileOf(place)]);
  }
  for (std::size_t i = 0; i < places.size(); ++i) {
    STRATA_ASSIGN(const SpilledHead head, ReadHead(*files[i], OffsetOf(places[i])));
    if (head.digest == digest) return ReadSpilled(*files[i], OffsetOf(places[i]));
  }
  return std::nullopt;
}

std::size_t DirectorySpill::count() const {
  MutexLock lock(mutex_);
  return index_.size();
}

}  // namespace strata::store
