// Change: what an operation did to a workspace, as a value. A ChangeLog says in which format it is kept.
//
// A change says what was done (its kind, by whom, when), for people and for history. It says what came of it (its
// effects), for machines. Effects are after-images: applying a change, or any suffix of a log, a second time changes
// nothing.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>

#include "absl/container/inlined_vector.h"
#include "base/bytes.h"
#include "base/inode_record.h"
#include "base/status.h"

namespace strata::journal {

enum class RecordKind : std::uint8_t {
  kFormat = 1,  // the first record: the volume is made
  kOpen = 2,    // a process begins to write
  kWrite = 3,
  kSetAttributes = 4,
  kCreate = 5,
  kMakeDirectory = 6,
  kMakeSymlink = 7,
  kMakeNode = 8,
  kRemove = 9,
  kRemoveDirectory = 10,
  kRename = 11,
  kLink = 12,
  kMove = 13,  // what lives in old segments is written anew, so that they can be given up; nothing changes
};
std::string_view RecordKindName(RecordKind kind);

// Effect: the inode's attributes are now these. Its extents and its entries are not touched.
// (InodeRecord itself.)

// Effect: a small change of an inode that exists already; the members not listed stay.
struct TouchEffect {
  InodeNumber ino;
  std::uint32_t nlink = 0;
  std::uint64_t size = 0;
  std::uint32_t mode = 0;
  Time mtime;
  Time ctime;
  friend bool operator==(const TouchEffect&, const TouchEffect&) = default;
};

// Effect: the directory's own entry for the name is now this.
struct EntryEffect {
  enum class State : std::uint8_t {
    kPresent = 1,   // the name leads to `ino`
    kAbsent = 2,    // the upper says nothing of the name: a layer's entry, if any, shows
    kWhiteout = 3,  // the name is deleted, whatever the layers say
  };
  InodeNumber directory;
  std::string_view name;
  State state = State::kPresent;
  InodeNumber ino;
  FileType type = FileType::kRegular;
  friend bool operator==(const EntryEffect&, const EntryEffect&) = default;
};

// Effect: bytes [offset, offset + length) of the file are now those at `payload_offset` of the record's payload.
struct DataEffect {
  InodeNumber ino;
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
  std::uint32_t payload_offset = 0;
  friend bool operator==(const DataEffect&, const DataEffect&) = default;
};

// Effect: no extent of the file reaches beyond `size` any more.
struct TruncateEffect {
  InodeNumber ino;
  std::uint64_t size = 0;
  friend bool operator==(const TruncateEffect&, const TruncateEffect&) = default;
};

// Effect: the inode is gone with its extents and its entries; its number is never used again.
struct PurgeEffect {
  InodeNumber ino;
  friend bool operator==(const PurgeEffect&, const PurgeEffect&) = default;
};

// Effect: segments that lie wholly before `begin` may have been given up; all that is true without them is told from
// there on.
struct BeginEffect {
  Lsn begin;
  friend bool operator==(const BeginEffect&, const BeginEffect&) = default;
};

inline constexpr std::size_t kMaxPayloadBytes = 1 << 20;  // of a change
inline constexpr std::size_t kMaxRequestBytes = 64;

// Effect: the change was asked for by this request, which may be asked again by a client that heard no answer.
struct RequestEffect {
  ByteSpan request = {};       // 1 to kMaxRequestBytes, opaque
  InodeNumber made = {};       // what it made; kNoInode for nothing
  Generation generation = {};  // of what it made
};

struct RecordHeader {
  RecordKind kind = RecordKind::kFormat;
  Time time{};
  std::uint32_t uid = 0;
  friend bool operator==(const RecordHeader&, const RecordHeader&) = default;
};

// What an append may use of a full disk.
enum class Room : std::uint8_t {
  kOrdinary,  // nothing of the reserve; while that is missing, new room only once it is there again
  kReserve,   // what frees room by what it says: the reserve is given up for it where there is no other room
};

using Effect = std::variant<const InodeRecord*, TouchEffect, EntryEffect, DataEffect, TruncateEffect, PurgeEffect,
                            BeginEffect, RequestEffect>;

// What the effects refer to (inodes, names, requests, the payload) stays the caller's until the change was appended.
class Change {
 public:
  explicit Change(const RecordHeader& header) : header_(header) {}

  // In the order in which they are applied: an inode's after-image before what hangs on it, its entries and data.
  void Add(const InodeRecord& inode) { Push(&inode); }
  void Add(InodeRecord&&) = delete;
  void Add(const TouchEffect& effect) { Push(effect); }
  void Add(const EntryEffect& effect) { Push(effect); }
  void Add(const DataEffect& effect) { Push(effect); }
  void Add(const TruncateEffect& effect) { Push(effect); }
  void Add(const PurgeEffect& effect) { Push(effect); }
  void Add(const BeginEffect& effect) { Push(effect); }
  void Add(const RequestEffect& effect) { Push(effect); }

  const RecordHeader& header() const { return header_; }
  const auto& effects() const { return effects_; }

  ByteSpan payload{};  // where data effects find their bytes
  Room room = Room::kOrdinary;

 private:
  void Push(const Effect& effect);

  RecordHeader header_;
  absl::InlinedVector<Effect, 8> effects_;  // a rename has as many
};

// Takes the effects of a record in order.
class EffectVisitor {
 public:
  virtual ~EffectVisitor() = default;
  virtual Result<void> On(const InodeRecord& inode) = 0;
  virtual Result<void> On(const TouchEffect& effect) = 0;
  virtual Result<void> On(const EntryEffect& effect) = 0;
  virtual Result<void> On(const DataEffect& effect) = 0;
  virtual Result<void> On(const TruncateEffect& effect) = 0;
  virtual Result<void> On(const PurgeEffect& effect) = 0;
  // These change nothing that a volume shows.
  virtual Result<void> On(const BeginEffect&) { return {}; }
  virtual Result<void> On(const RequestEffect&) { return {}; }
};

// Passes over all effects. Who wants a few of them overrides those, and says `using SomeEffects::On`.
class SomeEffects : public EffectVisitor {
 public:
  using EffectVisitor::On;
  Result<void> On(const InodeRecord&) override { return {}; }
  Result<void> On(const TouchEffect&) override { return {}; }
  Result<void> On(const EntryEffect&) override { return {}; }
  Result<void> On(const DataEffect&) override { return {}; }
  Result<void> On(const TruncateEffect&) override { return {}; }
  Result<void> On(const PurgeEffect&) override { return {}; }
};

}  // namespace strata::journal
