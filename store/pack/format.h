// The bytes of a pack: its header and the header before each record. Grammar: docs/formats/pack.md.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/attributes.h"
#include "base/bytes.h"
#include "base/ids.h"
#include "store/digest.h"

namespace strata::store::pack {

// Random: no two packs that were ever made bear the same, also in other stores. A pack's file is called by it, so it is
// known also where the header is lost.
using PackId = StrongId<struct PackIdTag, std::uint64_t>;

inline constexpr std::uint16_t kPackVersion = 1;  // the newest that is read
inline constexpr std::size_t kPackHeaderBytes = 64;
inline constexpr std::size_t kRecordHeaderBytes = 64;
inline constexpr std::uint32_t kMaxDirectoryBytes = 1000U << 20;  // of a message, as castore's object stores have it
inline constexpr std::uint32_t kMaxChunkBytes = 64U << 20;        // also of a chunk list's record
// A place in a pack has 32 bits: a record begins below this.
inline constexpr std::uint64_t kMaxPackBytes = 2ULL << 30;

enum class PackClass : std::uint8_t { kData = 0, kDirectories = 1 };

enum class RecordKind : std::uint8_t {
  kChunk = 1,      // bytes; a whole blob or a stretch of one
  kDirectory = 2,  // a castore Directory, canonical
  kList = 3,       // of what a blob is made; the digest is the blob's
  kListPart = 4,   // a stretch of a long list; the digest is that of its own bytes
};
inline constexpr std::size_t kRecordKinds = 5;  // to count by kind; none is 0

enum class Method : std::uint8_t { kRaw = 0, kZstd = 1 };

struct PackHeader {
  PackClass pack_class = PackClass::kData;
  PackId id;
  Time created;
};

std::array<std::byte, kPackHeaderBytes> EncodePackHeader(const PackHeader& header);
enum class HeaderState : std::uint8_t { kValid, kInvalid, kNewer };
HeaderState DecodePackHeader(ByteSpan bytes, PackHeader& header);

struct RecordHeader {
  RecordKind kind = RecordKind::kChunk;
  Method method = Method::kRaw;
  std::uint32_t raw = 0;         // bytes of the content
  std::uint32_t stored = 0;      // bytes that follow the header
  std::uint32_t time = 0;        // seconds since 1970: when it was put first
  std::uint32_t stored_crc = 0;  // CRC-32C
  Digest digest;

  std::uint64_t RecordBytes() const { return kRecordHeaderBytes + std::uint64_t{stored}; }
};

// Writes kRecordHeaderBytes of the record that begins at `position` of a pack. The checksum covers both: so nobody who
// only has data put into a store, and does not know the pack's id, can forge a record.
void EncodeRecordHeader(const RecordHeader& header, PackId pack, std::uint64_t position, std::byte* at);
// Nothing unless it checks, and its kind, method and sizes are such as may be. Whether what follows is all there is not
// looked at.
std::optional<RecordHeader> DecodeRecordHeader(ByteSpan bytes, PackId pack, std::uint64_t position);

// Whether content of this kind and these sizes can be a record.
bool SizesAreValid(RecordKind kind, Method method, std::uint64_t raw, std::uint64_t stored);

// Where a record lies, and all that is needed to read it.
struct Location {
  PackId pack;
  std::uint32_t offset = 0;  // of its header
  std::uint32_t stored = 0;
  std::uint32_t raw = 0;
  RecordKind kind = RecordKind::kChunk;
  Method method = Method::kRaw;

  std::uint64_t end() const { return offset + kRecordHeaderBytes + std::uint64_t{stored}; }
  friend bool operator==(const Location&, const Location&) = default;
};

std::string_view KindName(RecordKind kind);  // "chunk", "directory", "chunk list", "part of a chunk list"

// "00f1e2d3c4b5a697.pack", ".index" for the files of an index, and ".unsynced" for the mark of a pack whose sync
// failed.
std::string PackFileName(PackId id);
std::string UnsyncedFileName(PackId id);
std::string IndexFileName(std::uint64_t id);
std::optional<PackId> ParsePackFileName(std::string_view name);
std::optional<PackId> ParseUnsyncedFileName(std::string_view name);
std::optional<std::uint64_t> ParseIndexFileName(std::string_view name);
// 16 lower-case hexadecimal digits, and back.
std::string Hex16(std::uint64_t value);
std::optional<std::uint64_t> ParseHex16(std::string_view text);

}  // namespace strata::store::pack
