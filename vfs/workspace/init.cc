// InitWorkspace: a folder becomes a workspace.
//
// Nothing of somebody else's is ever removed or written over: everything in the folder is looked at first, and a name
// or a byte that a making which was cut short cannot have left ends it.
#include <algorithm>
#include <array>
#include <bit>
#include <ranges>
#include <utility>

#include "journal/format.h"
#include "journal/journal.h"
#include "journal/reserve.h"
#include "journal/spare.h"
#include "vfs/layer/lower_tree.h"
#include "vfs/workspace/workspace.h"

namespace strata::vfs {
namespace {

constexpr std::size_t kReadAtOnce = 1 << 20;
constexpr std::size_t kSector = 512;  // what a power cut keeps or loses whole
// How every workspace.json begins.
constexpr std::string_view kConfigBegins = "{\n  \"format\": \"strata workspace\"";
// What the format record takes at most, and how frames lie (docs/formats/journal.md).
constexpr std::size_t kFormatRecordRoom = 512;
constexpr std::size_t kFrameStep = 8;
constexpr std::size_t kMagicBytes = 8;  // of a segment's header
constexpr std::size_t kKindOffset = 1;  // in a record's head

bool IsZero(ByteSpan bytes) {
  return std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; });
}

// Whether a write of `whole` that was cut short can have left `bytes`: they begin like it, and 0 follows.
bool IsTorn(ByteSpan bytes, ByteSpan whole) {
  const auto [at, there] = std::ranges::mismatch(bytes, whole);
  return IsZero(ByteSpan(at, bytes.end()));
}

// From `offset` to the file's end.
Result<bool> IsZeroFrom(File& file, std::uint64_t offset) {
  std::vector<std::byte> bytes(kReadAtOnce);
  while (true) {
    STRATA_ASSIGN(const std::size_t got, file.ReadAt(offset, bytes));
    if (got == 0) return true;
    if (!IsZero(ByteSpan(bytes).first(got))) return false;
    offset += got;
  }
}

// A journal's file of which nothing is known but its bytes: whether it holds no more than the header of a first segment
// and the record that the volume is made, each of them whole, torn or not yet there.
Result<bool> HoldsNoChange(File& file) {
  std::array<std::byte, journal::kSegmentHeaderBytes + kFormatRecordRoom> bytes{};
  STRATA_TRY(file.ReadAt(0, bytes));
  STRATA_ASSIGN(const bool nothing_behind, IsZeroFrom(file, bytes.size()));
  if (!nothing_behind) return false;
  const ByteSpan records = ByteSpan(bytes).subspan(journal::kSegmentHeaderBytes);
  journal::SegmentHeader header;
  switch (journal::DecodeSegmentHeader(bytes, header)) {
    case journal::HeaderState::kNewer:
      return false;
    case journal::HeaderState::kInvalid:
      // The header is durable before there is a record.
      return IsZero(records) && IsTorn(ByteSpan(bytes).first(kMagicBytes), journal::EncodeSegmentHeader({}));
    case journal::HeaderState::kValid:
      break;
  }
  if (header.index != 0) return false;
  if (const auto made = journal::DecodeFrame(records, journal::kSegmentHeaderBytes, header.salt)) {
    if (made->head_size < kKindOffset + 1 || made->RecordBytes() > records.size()) return false;
    const auto kind = static_cast<journal::RecordKind>(records[journal::kFrameBytes + kKindOffset]);
    if (journal::CheckHead(*made, records) && kind != journal::RecordKind::kFormat) return false;
    return IsZero(records.subspan(made->RecordBytes()));
  }
  for (std::size_t at = kFrameStep; at < records.size(); at += kFrameStep) {
    if (journal::DecodeFrame(records.subspan(at), journal::kSegmentHeaderBytes + at, header.salt)) return false;
  }
  return true;
}

// Whether workspace.json.new can be what we were writing.
Result<bool> IsUnfinishedConfig(File& file) {
  std::array<std::byte, kSector> bytes{};
  STRATA_ASSIGN(const std::size_t got, file.ReadAt(0, bytes));
  const ByteSpan head = ByteSpan(bytes).first(got);
  return IsTorn(head.first(std::min(got, kConfigBegins.size())), AsBytes(kConfigBegins));
}

// Looks at a folder that is to become a workspace. Changes nothing.
class Look {
 public:
  Look(Env& env, const std::string& path) : env_(env), path_(path) {}

  // Whether the folder is there. kExists and kNotEmpty where it must stay as it is.
  Result<bool> Run() {
    segments_.clear();
    if (IsWorkspace(env_, path_)) return Fail(Errc::kExists, path_ + " is a workspace already");
    auto names = env_.ListDirectory(path_);
    if (!names && names.error().code() == Errc::kNotFound) return false;
    if (!names) return Fail(names.error());
    for (const std::string& name : *names) {
      if (name == "journal") {
        STRATA_TRY(RunJournal());
      } else if (name == "lock") {
        STRATA_TRY(Require("lock", &Look::IsEmpty));
      } else if (name == "workspace.json.new") {
        STRATA_TRY(Require(name, &Look::IsConfig));
      } else {
        return Foreign(name);
      }
    }
    return true;
  }
  // Of an earlier, unfinished making: paths.
  const std::vector<std::string>& segments() const { return segments_; }

 private:
  Result<void> RunJournal() {
    auto names = env_.ListDirectory(path_ + "/journal");
    if (!names && names.error().code() == Errc::kNotDirectory) return Foreign("journal");
    if (!names) return Fail(names.error());
    for (const std::string& name : *names) {
      const std::string within = "journal/" + name;
      if (name == "lock") {
        STRATA_TRY(Require(within, &Look::IsEmpty));
        continue;
      }
      const bool kept_ahead = name.starts_with(journal::kSpareName) || name.starts_with(journal::kReserveName);
      if (!kept_ahead && !journal::ParseSegmentName(name)) return Foreign(within);
      STRATA_TRY(Require(within, &Look::IsWithoutChange));
      segments_.push_back(path_ + "/" + within);
    }
    return {};
  }

  Result<bool> IsEmpty(File& file) {
    STRATA_ASSIGN(const std::uint64_t size, file.Size());
    return size == 0;
  }
  Result<bool> IsConfig(File& file) { return IsUnfinishedConfig(file); }
  Result<bool> IsWithoutChange(File& file) { return HoldsNoChange(file); }

  Result<void> Require(const std::string& name, Result<bool> (Look::*is_ours)(File&)) {
    auto file = env_.Open(path_ + "/" + name, OpenMode::kRead);
    if (!file) return Fail(file.error());
    auto ours = (this->*is_ours)(**file);
    if (!ours && ours.error().code() == Errc::kIsDirectory) return Foreign(name);
    if (!ours) return Fail(ours.error().WithContext(path_ + "/" + name));
    return *ours ? Result<void>() : Foreign(name);
  }

  std::unexpected<Status> Foreign(const std::string& name) {
    const bool journal = name.starts_with("journal/") && journal::ParseSegmentName(name.substr(sizeof("journal/") - 1));
    const std::string what = journal ? ", the journal of a workspace whose workspace.json is gone: put that back"
                                     : ", which is none of ours";
    return Fail(Errc::kNotEmpty,
                path_ + " holds " + name + what +
                    "; nothing was changed: give an empty or a new folder, or move away what is there");
  }

  Env& env_;
  const std::string& path_;
  std::vector<std::string> segments_;
};

Result<std::unique_ptr<File>> TakeLock(Env& env, const std::string& path) {
  STRATA_ASSIGN(auto lock, env.Open(path + "/lock", OpenMode::kCreate));
  auto locked = lock->Lock();
  if (locked) return lock;
  if (locked.error().code() != Errc::kBusy && locked.error().code() != Errc::kWouldBlock) return Fail(locked.error());
  return Fail(Errc::kBusy, path + " is being made or served by another process; wait for that one, or end it first");
}

// On a small disk segments are small: what lives in one has to fit where little is free, for it to be given up.
std::uint64_t SegmentSizeFor(Env& env, const std::string& path) {
  constexpr std::uint64_t kLeast = 2 << 20;  // a record fits
  constexpr std::uint64_t kPartOfDisk = 64;
  const auto space = env.SpaceOf(path);
  if (!space) return journal::kDefaultSegmentSize;
  return std::clamp(std::bit_floor(space->total / kPartOfDisk), kLeast, journal::kDefaultSegmentSize);
}

// With no layer beneath, the root is the workspace's own from the start.
Result<void> WriteFormatRecord(Env& env, const std::string& path, const WorkspaceConfig& config,
                               std::uint64_t segment_size) {
  journal::JournalOptions options;
  options.volume_id = config.volume_id;
  options.segment_size = segment_size != 0 ? segment_size : SegmentSizeFor(env, path);
  STRATA_ASSIGN(auto journal, journal::Journal::Open(env, path + "/journal", options));
  const Time now = env.Now();
  journal::Change change({journal::RecordKind::kFormat, now, 0});
  InodeRecord root;
  if (config.layers.empty()) {
    root.ino = root.parent = kRootInode;
    root.generation = Generation(1);
    root.type = FileType::kDirectory;
    root.mode = 0755;
    root.nlink = 2;
    root.size = 4096;
    root.opaque = true;
    root.atime = root.mtime = root.ctime = now;
    change.Add(root);
  }
  STRATA_ASSIGN(journal::Appended appended, journal->Append(change));
  return journal->SyncAndWait(appended.end);
}

// `hidden`: the workspace's folder, if it is there. Each layer is opened once, to see what it is.
Result<WorkspaceConfig> NewConfig(Env& env, const std::vector<LayerSpec>& layers, const std::string& hidden,
                                  const LayerOpeners& openers) {
  WorkspaceConfig config;
  static_cast<VolumeKeys&>(config) = NewVolumeKeys(env);
  for (const LayerSpec& layer : layers) {
    STRATA_ASSIGN(OpenedLayer opened, openers.Open(layer, {.hidden = hidden}));
    config.layers.push_back({layer, std::move(opened.resolution)});
  }
  return config;
}

}  // namespace

Result<void> InitWorkspace(Env& env, const std::string& path, const std::vector<LayerSpec>& layers,
                           std::uint64_t segment_size, const LayerOpeners& openers) {
  if (layers.size() > kMaxLayers) {
    return Fail(Errc::kInvalid, "a workspace has at most " + std::to_string(kMaxLayers) + " layers");
  }
  Look look(env, path);
  STRATA_ASSIGN(const bool there, look.Run());
  STRATA_ASSIGN(const WorkspaceConfig config, NewConfig(env, layers, there ? path : "", openers));
  STRATA_ASSIGN(const std::string text, FormatWorkspaceConfig(config));

  STRATA_TRY(env.CreateDirectory(path));
  STRATA_ASSIGN(const auto lock, TakeLock(env, path));
  // Another process may have been at it until now.
  STRATA_TRY(look.Run());
  for (const std::string& segment : look.segments()) STRATA_TRY(env.Remove(segment));
  STRATA_TRY(WriteFormatRecord(env, path, config, segment_size));
  // Last: a folder without it is no workspace.
  return ReplaceFile(env, WorkspaceConfigPath(path), text);
}

}  // namespace strata::vfs
