#include "journal/record.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "journal/change_log.h"

namespace strata::journal {
namespace {

constexpr std::uint8_t kHeadVersion = 1;
constexpr std::size_t kRecordHeaderBytes = 16;
constexpr std::size_t kEffectPrefixBytes = 4;
constexpr std::size_t kMaxNameBytes = 255;
constexpr std::size_t kMaxSources = 4096;

// The numbers that docs/formats/journal.md reserves for later are not listed here.
enum Tag : std::uint8_t {
  kTagInode = 1,
  kTagTouch = 2,
  kTagEntry = 3,
  kTagData = 4,
  kTagTruncate = 5,
  kTagPurge = 6,
  kTagBegin = 11,
  kFirstAdvisoryTag = 128,  // from here on, a reader that does not know a tag skips the effect
  kTagRequest = 130,
};

enum InodeFlag : std::uint8_t {
  kInodeOpaque = 1,
  kInodeLocator = 2,
  kInodeDevice = 4,
  kInodeParent = 8,
  kInodeBaseSize = 16,
  kInodeVerifier = 32,
  kInodeOrigin = 64,
  kInodeSymlink = 128,
};

// Writes one effect behind what `bytes` holds; the size is known before, so that the bytes are laid down in one pass.
class EffectWriter {
 public:
  EffectWriter(std::vector<std::byte>& bytes, Tag tag, std::size_t body) {
    const std::size_t begin = bytes.size();
    bytes.resize(begin + kEffectPrefixBytes + body);
    at_ = bytes.data() + begin;
    Put(static_cast<std::uint32_t>(tag) | static_cast<std::uint32_t>(body) << 8);
  }
  template <typename T>
  void Put(T value) {
    StoreLe(at_, value);
    at_ += sizeof value;
  }
  // To be filled by the caller.
  std::byte* Room(std::size_t size) { return std::exchange(at_, at_ + size); }
  void PutBytes(std::string_view text) {
    if (!text.empty()) std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }

 private:
  std::byte* at_;
};

// Writes effects behind what `bytes` holds.
struct Encoder {
  std::vector<std::byte>& bytes;

  void operator()(const InodeRecord* image) const {
    const InodeRecord& inode = *image;
    const bool has_verifier = std::ranges::any_of(inode.create_verifier, [](std::uint8_t byte) { return byte != 0; });
    const bool has_origin = inode.origin != Origin{};
    std::uint8_t flags = 0;
    std::size_t body = 60;
    const auto option = [&](bool present, InodeFlag flag, std::size_t size) {
      if (!present) return;
      flags |= flag;
      body += size;
    };
    option(inode.opaque, kInodeOpaque, 0);
    option(inode.locator != 0, kInodeLocator, 8);
    option(inode.rdev != DeviceNumber{}, kInodeDevice, 8);
    option(inode.parent != kNoInode, kInodeParent, 8);
    option(inode.base_size != 0, kInodeBaseSize, 8);
    option(has_verifier, kInodeVerifier, inode.create_verifier.size());
    const std::size_t source_bytes = kOriginSourceBytes * inode.origin.sources.size();
    option(has_origin, kInodeOrigin, kOriginHeadBytes + sizeof(std::uint16_t) + source_bytes);
    option(!inode.symlink_target.empty(), kInodeSymlink, inode.symlink_target.size());

    EffectWriter writer(bytes, kTagInode, body);
    writer.Put(inode.ino.value);
    writer.Put(inode.generation.value);
    writer.Put(static_cast<std::uint8_t>(inode.type));
    writer.Put(flags);
    writer.Put(static_cast<std::uint16_t>(inode.mode & kModeMask));
    writer.Put(inode.uid);
    writer.Put(inode.gid);
    writer.Put(inode.nlink);
    writer.Put(inode.size);
    writer.Put(inode.atime.ns);
    writer.Put(inode.mtime.ns);
    writer.Put(inode.ctime.ns);
    if ((flags & kInodeLocator) != 0) writer.Put(inode.locator);
    if ((flags & kInodeDevice) != 0) {
      writer.Put(inode.rdev.major);
      writer.Put(inode.rdev.minor);
    }
    if ((flags & kInodeParent) != 0) writer.Put(inode.parent.value);
    if ((flags & kInodeBaseSize) != 0) writer.Put(inode.base_size);
    if (has_verifier) writer.PutBytes(AsText(std::as_bytes(std::span(inode.create_verifier))));
    if (has_origin) {
      StoreOriginHead(inode.origin, writer.Room(kOriginHeadBytes));
      writer.Put(static_cast<std::uint16_t>(inode.origin.sources.size()));
      StoreOriginSources(inode.origin, writer.Room(source_bytes));
    }
    writer.PutBytes(inode.symlink_target);
  }

  void operator()(const TouchEffect& effect) const {
    EffectWriter writer(bytes, kTagTouch, 40);
    writer.Put(effect.ino.value);
    writer.Put(effect.nlink);
    writer.Put(effect.mode & kModeMask);
    writer.Put(effect.size);
    writer.Put(effect.mtime.ns);
    writer.Put(effect.ctime.ns);
  }

  void operator()(const EntryEffect& effect) const {
    EffectWriter writer(bytes, kTagEntry, 18 + effect.name.size());
    writer.Put(effect.directory.value);
    writer.Put(effect.ino.value);
    writer.Put(static_cast<std::uint8_t>(effect.state));
    writer.Put(static_cast<std::uint8_t>(effect.type));
    writer.PutBytes(effect.name);
  }

  void operator()(const DataEffect& effect) const {
    EffectWriter writer(bytes, kTagData, 24);
    writer.Put(effect.ino.value);
    writer.Put(effect.offset);
    writer.Put(effect.length);
    writer.Put(effect.payload_offset);
  }

  void operator()(const TruncateEffect& effect) const {
    EffectWriter writer(bytes, kTagTruncate, 16);
    writer.Put(effect.ino.value);
    writer.Put(effect.size);
  }

  void operator()(const PurgeEffect& effect) const {
    EffectWriter writer(bytes, kTagPurge, 8);
    writer.Put(effect.ino.value);
  }

  void operator()(const BeginEffect& effect) const {
    EffectWriter writer(bytes, kTagBegin, 8);
    writer.Put(effect.begin.value);
  }

  void operator()(const RequestEffect& effect) const {
    EffectWriter writer(bytes, kTagRequest, 12 + effect.request.size());
    writer.Put(effect.made.value);
    writer.Put(effect.generation.value);
    writer.PutBytes(AsText(effect.request));
  }
};

std::unexpected<Status> Corrupt(std::string what) { return Fail(Errc::kCorrupt, "journal record: " + std::move(what)); }

std::optional<FileType> DecodeType(std::uint8_t type) {
  if (type < static_cast<std::uint8_t>(FileType::kRegular) || type > static_cast<std::uint8_t>(FileType::kFifo)) {
    return std::nullopt;
  }
  return static_cast<FileType>(type);
}

Result<InodeRecord> DecodeInode(ByteReader& reader) {
  InodeRecord inode;
  inode.ino = InodeNumber(reader.Read<std::uint64_t>());
  inode.generation = Generation(reader.Read<std::uint32_t>());
  const std::optional<FileType> type = DecodeType(reader.Read<std::uint8_t>());
  const auto flags = reader.Read<std::uint8_t>();
  inode.mode = reader.Read<std::uint16_t>();
  inode.uid = reader.Read<std::uint32_t>();
  inode.gid = reader.Read<std::uint32_t>();
  inode.nlink = reader.Read<std::uint32_t>();
  inode.size = reader.Read<std::uint64_t>();
  inode.atime.ns = reader.Read<std::int64_t>();
  inode.mtime.ns = reader.Read<std::int64_t>();
  inode.ctime.ns = reader.Read<std::int64_t>();
  inode.opaque = (flags & kInodeOpaque) != 0;
  if ((flags & kInodeLocator) != 0) inode.locator = reader.Read<std::uint64_t>();
  if ((flags & kInodeDevice) != 0) {
    inode.rdev.major = reader.Read<std::uint32_t>();
    inode.rdev.minor = reader.Read<std::uint32_t>();
  }
  if ((flags & kInodeParent) != 0) inode.parent = InodeNumber(reader.Read<std::uint64_t>());
  if ((flags & kInodeBaseSize) != 0) inode.base_size = reader.Read<std::uint64_t>();
  if ((flags & kInodeVerifier) != 0) {
    const ByteSpan verifier = reader.ReadBytes(inode.create_verifier.size());
    if (!verifier.empty()) std::memcpy(inode.create_verifier.data(), verifier.data(), verifier.size());
  }
  if ((flags & kInodeOrigin) != 0) {
    ReadOriginHead(reader, inode.origin);
    const auto count = reader.Read<std::uint16_t>();
    if (count > kMaxSources) return Corrupt("an inode with " + std::to_string(count) + " sources");
    ReadOriginSources(reader, count, inode.origin);
  }
  if ((flags & kInodeSymlink) != 0) inode.symlink_target = AsText(reader.ReadBytes(reader.remaining()));
  if (!reader.ok() || reader.remaining() != 0) return Corrupt("an inode effect of the wrong length");
  if (!type || inode.mode > kModeMask || inode.ino == kNoInode)
    return Corrupt("an inode effect with impossible values");
  inode.type = *type;
  return inode;
}

Result<EntryEffect> DecodeEntry(ByteReader& reader) {
  EntryEffect entry;
  entry.directory = InodeNumber(reader.Read<std::uint64_t>());
  entry.ino = InodeNumber(reader.Read<std::uint64_t>());
  const auto state = reader.Read<std::uint8_t>();
  const std::optional<FileType> type = DecodeType(reader.Read<std::uint8_t>());
  entry.name = AsText(reader.ReadBytes(reader.remaining()));
  if (!reader.ok()) return Corrupt("an entry effect of the wrong length");
  if (!type || state < 1 || state > 3) return Corrupt("an entry effect with impossible values");
  if (entry.name.empty() || entry.name.size() > kMaxNameBytes || entry.name == "." || entry.name == ".." ||
      entry.name.find('/') != std::string_view::npos || entry.name.find('\0') != std::string_view::npos) {
    return Corrupt("an entry effect with an impossible name");
  }
  entry.state = static_cast<EntryEffect::State>(state);
  entry.type = *type;
  return entry;
}

Result<DataEffect> DecodeData(ByteReader& reader, std::uint64_t payload_size) {
  DataEffect data;
  data.ino = InodeNumber(reader.Read<std::uint64_t>());
  data.offset = reader.Read<std::uint64_t>();
  data.length = reader.Read<std::uint32_t>();
  data.payload_offset = reader.Read<std::uint32_t>();
  if (!reader.ok() || reader.remaining() != 0) return Corrupt("a data effect of the wrong length");
  constexpr std::uint64_t kMaxOffset = 0x7fff'ffff'ffff'ffffULL;
  if (data.payload_offset > payload_size || data.length > payload_size - data.payload_offset ||
      data.offset > kMaxOffset || data.length > kMaxOffset - data.offset) {
    return Corrupt("a data effect beyond the record's payload or the largest file");
  }
  return data;
}

Result<void> VisitEffect(std::uint8_t tag, ByteSpan body, std::uint64_t payload_size, EffectVisitor& visitor) {
  ByteReader reader(body);
  const auto whole = [&] { return reader.ok() && reader.remaining() == 0; };
  switch (tag) {
    case kTagInode: {
      STRATA_ASSIGN(const InodeRecord inode, DecodeInode(reader));
      return visitor.On(inode);
    }
    case kTagTouch: {
      TouchEffect touch;
      touch.ino = InodeNumber(reader.Read<std::uint64_t>());
      touch.nlink = reader.Read<std::uint32_t>();
      touch.mode = reader.Read<std::uint32_t>();
      touch.size = reader.Read<std::uint64_t>();
      touch.mtime.ns = reader.Read<std::int64_t>();
      touch.ctime.ns = reader.Read<std::int64_t>();
      if (!whole() || touch.mode > kModeMask) return Corrupt("a touch effect that does not check");
      return visitor.On(touch);
    }
    case kTagEntry: {
      STRATA_ASSIGN(const EntryEffect entry, DecodeEntry(reader));
      return visitor.On(entry);
    }
    case kTagData: {
      STRATA_ASSIGN(const DataEffect data, DecodeData(reader, payload_size));
      return visitor.On(data);
    }
    case kTagTruncate: {
      TruncateEffect truncate;
      truncate.ino = InodeNumber(reader.Read<std::uint64_t>());
      truncate.size = reader.Read<std::uint64_t>();
      if (!whole()) return Corrupt("a truncate effect of the wrong length");
      return visitor.On(truncate);
    }
    case kTagPurge: {
      const PurgeEffect purge{.ino = InodeNumber(reader.Read<std::uint64_t>())};
      if (!whole()) return Corrupt("a purge effect of the wrong length");
      return visitor.On(purge);
    }
    case kTagBegin: {
      const BeginEffect begin{.begin = Lsn(reader.Read<std::uint64_t>())};
      if (!whole()) return Corrupt("a begin effect of the wrong length");
      return visitor.On(begin);
    }
    case kTagRequest: {
      RequestEffect request;
      request.made = InodeNumber(reader.Read<std::uint64_t>());
      request.generation = Generation(reader.Read<std::uint32_t>());
      request.request = reader.ReadBytes(reader.remaining());
      if (!reader.ok() || request.request.empty() || request.request.size() > kMaxRequestBytes) {
        return Corrupt("a request effect of the wrong length");
      }
      return visitor.On(request);
    }
    case 0:
      return Corrupt("an effect with tag 0");
    default:
      if (tag >= kFirstAdvisoryTag) return {};
      return Fail(Errc::kNotSupported, "journal record: effect " + std::to_string(tag) +
                                           " is of a newer version of Strata; use that version");
  }
}

Result<RecordHeader> DecodeHeader(ByteReader& reader) {
  const auto version = reader.Read<std::uint8_t>();
  const auto kind = reader.Read<std::uint8_t>();
  const auto reserved = reader.Read<std::uint16_t>();
  RecordHeader header;
  header.uid = reader.Read<std::uint32_t>();
  header.time.ns = reader.Read<std::int64_t>();
  if (!reader.ok() || version == 0 || kind == 0) return Corrupt("no record head");
  if (version > kHeadVersion || reserved != 0) {
    return Fail(Errc::kNotSupported, "journal record: version " + std::to_string(version) +
                                         " is newer than this program; use a newer version of Strata");
  }
  header.kind = static_cast<RecordKind>(kind);
  return header;
}

}  // namespace

void EncodeRecord(const Change& change, std::vector<std::byte>& bytes) {
  const RecordHeader& header = change.header();
  bytes.resize(kRecordHeaderBytes);
  std::byte* at = bytes.data();
  StoreLe(at, kHeadVersion);
  StoreLe(at + 1, static_cast<std::uint8_t>(header.kind));
  StoreLe(at + 2, std::uint16_t{0});
  StoreLe(at + 4, header.uid);
  StoreLe(at + 8, header.time.ns);
  for (const Effect& effect : change.effects()) std::visit(Encoder{bytes}, effect);
}

Result<RecordHeader> ReadRecordHeader(ByteSpan head) {
  ByteReader reader(head);
  return DecodeHeader(reader);
}

Result<RecordHeader> VisitRecord(ByteSpan head, std::uint64_t payload_size, EffectVisitor& visitor) {
  ByteReader reader(head);
  STRATA_ASSIGN(const RecordHeader header, DecodeHeader(reader));
  while (reader.remaining() != 0) {
    const auto prefix = reader.Read<std::uint32_t>();
    const ByteSpan body = reader.ReadBytes(prefix >> 8);
    if (!reader.ok()) return Corrupt("an effect that reaches beyond the head");
    STRATA_TRY(VisitEffect(static_cast<std::uint8_t>(prefix & 0xff), body, payload_size, visitor));
  }
  return header;
}

Result<RecordHeader> RecordView::Visit(EffectVisitor& visitor) const {
  return VisitRecord(head, payload_size, visitor);
}

Result<RecordHeader> RecordView::Header() const { return ReadRecordHeader(head); }

}  // namespace strata::journal
