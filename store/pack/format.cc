#include "store/pack/format.h"

#include <algorithm>

#include "base/hash.h"

namespace strata::store::pack {
namespace {

constexpr std::string_view kPackMagic = "STRATAP\n";
constexpr std::string_view kRecordMagic = "STPR";
constexpr std::string_view kPackSuffix = ".pack";
constexpr std::string_view kIndexSuffix = ".index";
constexpr std::string_view kUnsyncedSuffix = ".unsynced";

std::uint32_t RecordSeed(PackId pack, std::uint64_t position) {
  std::array<std::byte, 16> bytes{};
  StoreLe(bytes.data(), pack.value);
  StoreLe(bytes.data() + 8, position);
  return Crc32c(bytes);
}

std::optional<std::uint64_t> ParseName(std::string_view name, std::string_view suffix) {
  if (!name.ends_with(suffix)) return std::nullopt;
  return ParseHex16(name.substr(0, name.size() - suffix.size()));
}

}  // namespace

std::array<std::byte, kPackHeaderBytes> EncodePackHeader(const PackHeader& header) {
  std::array<std::byte, kPackHeaderBytes> bytes{};
  std::ranges::copy(AsBytes(kPackMagic), bytes.begin());
  StoreLe(bytes.data() + 8, kPackVersion);
  StoreLe(bytes.data() + 10, static_cast<std::uint16_t>(header.pack_class));
  StoreLe(bytes.data() + 16, header.id.value);
  StoreLe(bytes.data() + 24, header.created.ns);
  StoreLe(bytes.data() + 60, Crc32c(ByteSpan(bytes).first(60)));
  return bytes;
}

HeaderState DecodePackHeader(ByteSpan bytes, PackHeader& header) {
  if (bytes.size() < kPackHeaderBytes || AsText(bytes.first(8)) != kPackMagic ||
      LoadLe<std::uint32_t>(bytes.data() + 60) != Crc32c(bytes.first(60))) {
    return HeaderState::kInvalid;
  }
  const auto version = LoadLe<std::uint16_t>(bytes.data() + 8);
  if (version > kPackVersion) return HeaderState::kNewer;
  const auto pack_class = LoadLe<std::uint16_t>(bytes.data() + 10);
  if (version == 0 || pack_class > static_cast<std::uint16_t>(PackClass::kDirectories)) return HeaderState::kInvalid;
  header.pack_class = static_cast<PackClass>(pack_class);
  header.id = PackId(LoadLe<std::uint64_t>(bytes.data() + 16));
  header.created.ns = LoadLe<std::int64_t>(bytes.data() + 24);
  return HeaderState::kValid;
}

void EncodeRecordHeader(const RecordHeader& header, PackId pack, std::uint64_t position, std::byte* at) {
  std::ranges::copy(AsBytes(kRecordMagic), at);
  StoreLe(at + 4, static_cast<std::uint8_t>(header.kind));
  StoreLe(at + 5, static_cast<std::uint8_t>(header.method));
  StoreLe(at + 6, std::uint16_t{0});
  StoreLe(at + 8, header.raw);
  StoreLe(at + 12, header.stored);
  StoreLe(at + 16, header.time);
  StoreLe(at + 20, header.stored_crc);
  StoreLe(at + 24, std::uint32_t{0});
  std::ranges::copy(header.digest.bytes, at + 28);
  StoreLe(at + 60, Crc32c(ByteSpan(at, 60), RecordSeed(pack, position)));
}

std::optional<RecordHeader> DecodeRecordHeader(ByteSpan bytes, PackId pack, std::uint64_t position) {
  if (bytes.size() < kRecordHeaderBytes || AsText(bytes.first(4)) != kRecordMagic ||
      LoadLe<std::uint32_t>(bytes.data() + 60) != Crc32c(bytes.first(60), RecordSeed(pack, position))) {
    return std::nullopt;
  }
  const auto kind = LoadLe<std::uint8_t>(bytes.data() + 4);
  const auto method = LoadLe<std::uint8_t>(bytes.data() + 5);
  RecordHeader header;
  header.kind = static_cast<RecordKind>(kind);
  header.method = static_cast<Method>(method);
  header.raw = LoadLe<std::uint32_t>(bytes.data() + 8);
  header.stored = LoadLe<std::uint32_t>(bytes.data() + 12);
  header.time = LoadLe<std::uint32_t>(bytes.data() + 16);
  header.stored_crc = LoadLe<std::uint32_t>(bytes.data() + 20);
  std::ranges::copy(bytes.subspan(28, Digest::kSize), header.digest.bytes.begin());
  if (!SizesAreValid(header.kind, header.method, header.raw, header.stored)) return std::nullopt;
  return header;
}

bool SizesAreValid(RecordKind kind, Method method, std::uint64_t raw, std::uint64_t stored) {
  const std::uint64_t most = kind == RecordKind::kDirectory ? kMaxDirectoryBytes : kMaxChunkBytes;
  switch (kind) {
    case RecordKind::kChunk:
    case RecordKind::kDirectory:
    case RecordKind::kList:
    case RecordKind::kListPart:
      break;
    default:
      return false;
  }
  if (raw > most) return false;
  if (method == Method::kRaw) return stored == raw;
  return method == Method::kZstd && stored < raw;
}

std::string_view KindName(RecordKind kind) {
  switch (kind) {
    case RecordKind::kChunk:
      return "chunk";
    case RecordKind::kDirectory:
      return "directory";
    case RecordKind::kList:
      return "chunk list";
    case RecordKind::kListPart:
      return "part of a chunk list";
  }
  return "record of an unknown kind";
}

std::string PackFileName(PackId id) { return Hex16(id.value) + std::string(kPackSuffix); }
std::string IndexFileName(std::uint64_t id) { return Hex16(id) + std::string(kIndexSuffix); }

std::string UnsyncedFileName(PackId id) { return Hex16(id.value) + std::string(kUnsyncedSuffix); }

std::optional<PackId> ParsePackFileName(std::string_view name) {
  const auto id = ParseName(name, kPackSuffix);
  if (!id) return std::nullopt;
  return PackId(*id);
}

std::optional<PackId> ParseUnsyncedFileName(std::string_view name) {
  const auto id = ParseName(name, kUnsyncedSuffix);
  if (!id) return std::nullopt;
  return PackId(*id);
}

std::optional<std::uint64_t> ParseIndexFileName(std::string_view name) { return ParseName(name, kIndexSuffix); }

std::string Hex16(std::uint64_t value) {
  std::string text(16, '0');
  for (std::size_t i = 16; i-- > 0; value >>= 4) text[i] = "0123456789abcdef"[value & 15];
  return text;
}

std::optional<std::uint64_t> ParseHex16(std::string_view text) {
  if (text.size() != 16) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && (c < 'a' || c > 'f')) return std::nullopt;
    value = value << 4 | static_cast<std::uint64_t>(digit ? c - '0' : c - 'a' + 10);
  }
  return value;
}

}  // namespace strata::store::pack
