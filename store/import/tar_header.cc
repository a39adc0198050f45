#include "store/import/tar_header.h"

#include <algorithm>
#include <charconv>

namespace strata::store {
namespace {

struct Field {
  std::size_t offset = 0;
  std::size_t size = 0;
};
constexpr Field kName{0, 100}, kMode{100, 8}, kUid{108, 8}, kGid{116, 8}, kSize{124, 12}, kMtime{136, 12},
    kChecksum{148, 8}, kType{156, 1}, kLink{157, 100}, kMagicField{257, 8}, kMajor{329, 8}, kMinor{337, 8},
    kPrefix{345, 155};
// Of GNU's type 'S', and of the blocks that continue its map.
constexpr std::size_t kSparseAt = 386, kSparseInHeader = 4, kSparseMore = 482, kExtensionEntries = 21,
                      kExtensionMore = 504;
constexpr Field kRealSize{483, 12};

std::string_view TextOf(const TarBlock& block, Field field) {
  return AsText(ByteSpan(block).subspan(field.offset, field.size));
}

std::string_view UpToNul(std::string_view text) { return text.substr(0, text.find('\0')); }

// Octal digits between blanks, or GNU's form for what is too large for that: the top bit set, and the rest big-endian.
// Nothing for anything else; 0 for a field that is empty.
std::optional<std::int64_t> ParseNumber(std::string_view field) {
  const auto first = static_cast<unsigned char>(field[0]);
  if (first >= 0x80) {
    std::int64_t value = first == 0xff ? -1 : first & 0x7f;
    for (const char c : field.substr(1)) {
      if (value > INT64_MAX >> 8 || value < INT64_MIN >> 8) return std::nullopt;
      value = static_cast<std::int64_t>(static_cast<std::uint64_t>(value) << 8 | static_cast<unsigned char>(c));
    }
    return value;
  }
  while (!field.empty() && field.front() == ' ') field.remove_prefix(1);
  const std::size_t end = std::min(field.find_first_of(std::string_view(" \0", 2)), field.size());
  if (field.find_first_not_of(std::string_view(" \0", 2), end) != std::string_view::npos) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : field.substr(0, end)) {
    if (c < '0' || c > '7') return std::nullopt;
    value = value << 3 | static_cast<std::uint64_t>(c - '0');  // at most 12 digits
  }
  return static_cast<std::int64_t>(value);
}

Result<std::uint64_t> ParseSize(const TarBlock& block, Field field, const char* what) {
  const std::optional<std::int64_t> value = ParseNumber(TextOf(block, field));
  if (!value || *value < 0) return Fail(Errc::kInvalid, std::string("its header has no valid ") + what);
  return static_cast<std::uint64_t>(*value);
}

// What only --keep-metadata asks for, and some writers leave in disorder: 0 then.
std::uint32_t ParseLenient(const TarBlock& block, Field field) {
  const std::optional<std::int64_t> value = ParseNumber(TextOf(block, field));
  return value && *value >= 0 && *value <= UINT32_MAX ? static_cast<std::uint32_t>(*value) : 0;
}

bool ChecksumFits(const TarBlock& block) {
  const std::optional<std::int64_t> stated = ParseNumber(TextOf(block, kChecksum));
  std::int64_t sum = 0, signed_sum = 0;  // some old writers added signed bytes
  for (std::size_t i = 0; i < block.size(); ++i) {
    const bool own = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.size;
    const auto byte = own ? std::uint8_t{' '} : std::to_integer<std::uint8_t>(block[i]);
    sum += byte;
    signed_sum += static_cast<std::int8_t>(byte);
  }
  return stated && (*stated == sum || *stated == signed_sum);
}

Result<void> AddSparseEntries(const TarBlock& block, std::size_t at, std::size_t count, GnuSparseBlock& map) {
  for (std::size_t i = 0; i < count; ++i, at += 24) {
    if (block[at] == std::byte{0}) break;  // the map's end
    STRATA_ASSIGN(const std::uint64_t offset, ParseSize(block, {at, 12}, "offset in its sparse map"));
    STRATA_ASSIGN(const std::uint64_t size, ParseSize(block, {at + 12, 12}, "size in its sparse map"));
    map.extents.push_back({offset, size});
  }
  return {};
}

}  // namespace

bool IsZeroBlock(ByteSpan block) {
  return std::ranges::all_of(block, [](std::byte byte) { return byte == std::byte{0}; });
}

Result<std::optional<TarHeader>> ParseTarHeader(const TarBlock& block) {
  if (!ChecksumFits(block)) return std::nullopt;
  TarHeader header;
  const std::string_view magic = TextOf(block, kMagicField);
  if (magic.starts_with(std::string_view("ustar\0", 6))) header.dialect = TarDialect::kUstar;
  if (magic == std::string_view("ustar  \0", 8)) header.dialect = TarDialect::kGnu;
  header.type = TextOf(block, kType)[0];
  header.path = UpToNul(TextOf(block, kName));
  if (header.dialect == TarDialect::kUstar) {
    const std::string_view prefix = UpToNul(TextOf(block, kPrefix));
    if (!prefix.empty()) header.path = std::string(prefix) + '/' + header.path;
  }
  header.link = UpToNul(TextOf(block, kLink));
  STRATA_ASSIGN(const std::uint64_t mode, ParseSize(block, kMode, "mode"));
  header.mode = static_cast<std::uint32_t>(mode & kModeMask);
  STRATA_ASSIGN(header.size, ParseSize(block, kSize, "size"));
  header.uid = ParseLenient(block, kUid);
  header.gid = ParseLenient(block, kGid);
  if (const auto mtime = ParseNumber(TextOf(block, kMtime))) header.mtime = Time::From(*mtime, 0);
  if (header.type == '3' || header.type == '4') {
    header.device = {ParseLenient(block, kMajor), ParseLenient(block, kMinor)};
  }
  return header;
}

Result<GnuSparseBlock> ParseGnuSparseHeader(const TarBlock& block) {
  GnuSparseBlock map;
  STRATA_TRY(AddSparseEntries(block, kSparseAt, kSparseInHeader, map));
  STRATA_ASSIGN(map.real_size, ParseSize(block, kRealSize, "real size"));
  map.continued = block[kSparseMore] != std::byte{0};
  return map;
}

Result<GnuSparseBlock> ParseGnuSparseExtension(const TarBlock& block) {
  GnuSparseBlock map;
  STRATA_TRY(AddSparseEntries(block, 0, kExtensionEntries, map));
  map.continued = block[kExtensionMore] != std::byte{0};
  return map;
}

Result<void> ParsePaxRecords(std::string_view text,
                             const std::function<Result<void>(std::string_view key, std::string_view value)>& record) {
  const auto damaged = [] { return Fail(Errc::kInvalid, "its pax header holds a record that is none"); };
  while (!text.empty() && text.front() != '\0') {  // some writers fill up with zeros
    const std::size_t blank = text.find(' ');
    if (blank == std::string_view::npos) return damaged();
    const std::optional<std::uint64_t> length = ParsePaxNumber(text.substr(0, blank));
    if (!length || *length > text.size() || *length < blank + 2 || text[*length - 1] != '\n') return damaged();
    const std::string_view body = text.substr(blank + 1, *length - blank - 2);
    const std::size_t equals = body.find('=');
    if (equals == 0 || equals == std::string_view::npos) return damaged();
    STRATA_TRY(record(body.substr(0, equals), body.substr(equals + 1)));
    text.remove_prefix(*length);
  }
  return {};
}

std::optional<std::uint64_t> ParsePaxNumber(std::string_view text) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc() || rest != end) return std::nullopt;
  return value;
}

std::optional<Time> ParsePaxTime(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const std::size_t dot = std::min(text.find('.'), text.size());
  const std::optional<std::uint64_t> seconds = ParsePaxNumber(text.substr(0, dot));
  if (!seconds || *seconds > INT64_MAX) return std::nullopt;
  std::uint32_t nanoseconds = 0, unit = 100'000'000;
  for (const char c : text.substr(std::min(dot + 1, text.size()))) {
    if (c < '0' || c > '9') return std::nullopt;
    nanoseconds += static_cast<std::uint32_t>(c - '0') * unit;
    unit /= 10;
  }
  const auto whole = static_cast<std::int64_t>(*seconds);
  if (!negative) return Time::From(whole, nanoseconds);
  return nanoseconds == 0 ? Time::From(-whole, 0) : Time::From(-whole - 1, 1'000'000'000 - nanoseconds);
}

}  // namespace strata::store
