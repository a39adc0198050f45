#include "store/export/tar_writer.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace strata::store {
namespace {

constexpr std::size_t kBlockBytes = 512;
constexpr std::size_t kNameBytes = 100, kPrefixBytes = 155;
constexpr std::uint64_t kLargestOctal7 = 07777777, kLargestOctal11 = 077777777777;
constexpr std::int64_t kSecondNs = 1'000'000'000;

using Block = std::array<std::byte, kBlockBytes>;

void SetField(Block& block, std::size_t at, std::string_view text) {
  std::ranges::copy(AsBytes(text), block.begin() + static_cast<std::ptrdiff_t>(at));
}

// With as many digits as the field has but one, which is its NUL.
void SetOctal(Block& block, std::size_t at, int digits, std::uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "%0*llo", digits, static_cast<unsigned long long>(value));
  SetField(block, at, text);
}

// Device numbers that digits do not hold: the top bit set, and the number big-endian (GNU, and all since).
void SetDevice(Block& block, std::size_t at, std::uint32_t number) {
  if (number <= kLargestOctal7) return SetOctal(block, at, 7, number);
  block[at] = std::byte{0x80};
  for (std::size_t i = 0; i < 4; ++i) block[at + 7 - i] = static_cast<std::byte>(number >> (8 * i));
}

// In a key of pax '=' ends it; GNU tar and those after it write these two like this.
std::string XattrKey(std::string_view name) {
  std::string key = "SCHILY.xattr.";
  for (const char c : name) {
    if (c == '=') {
      key += "%3D";
    } else if (c == '%') {
      key += "%25";
    } else {
      key += c;
    }
  }
  return key;
}

// What a pax header says: "LENGTH KEY=VALUE\n", where the length counts itself.
void AddPaxRecord(std::string& records, std::string_view key, std::string_view value) {
  const std::size_t rest = key.size() + value.size() + 3;
  std::size_t length = rest + 1;
  while (std::to_string(length).size() + rest != length) length = std::to_string(length).size() + rest;
  records += std::to_string(length) + ' ';
  records.append(key).append("=").append(value).append("\n");
}

bool IsUtf8Text(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const std::size_t more = byte < 0x80                   ? 0
                             : byte >= 0xc2 && byte < 0xe0 ? 1
                             : byte >= 0xe0 && byte < 0xf0 ? 2
                             : byte >= 0xf0 && byte < 0xf5 ? 3
                                                           : 4;
    if (more == 4 || i + more >= text.size()) return false;
    std::uint32_t point = more == 0 ? byte : byte & (0x3fU >> more);
    for (std::size_t k = 1; k <= more; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xc0) != 0x80) return false;
      point = point << 6 | (next & 0x3fU);
    }
    constexpr std::array<std::uint32_t, 4> kLeast{0, 0x80, 0x800, 0x10000};
    if (point < kLeast[more] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) return false;
    i += more + 1;
  }
  return true;
}

std::string PaxTime(Time time) {
  std::int64_t seconds = time.ns / kSecondNs, fraction = time.ns % kSecondNs;
  const bool negative = time.ns < 0;
  if (negative) {
    seconds = -seconds;
    fraction = -fraction;
  }
  std::string text = (negative ? "-" : "") + std::to_string(seconds);
  if (fraction != 0) {
    char digits[16];
    std::snprintf(digits, sizeof digits, ".%09lld", static_cast<long long>(fraction));
    text += digits;
    while (text.ends_with('0')) text.pop_back();
  }
  return text;
}

// Where a path is cut in two, for the fields of the old header; npos where it cannot be.
std::size_t CutOf(std::string_view path) {
  if (path.size() > kPrefixBytes + 1 + kNameBytes) return std::string_view::npos;
  for (std::size_t cut = path.size() - kNameBytes - 1; cut <= kPrefixBytes; ++cut) {
    // Not the slash at the end of a directory's name.
    if (cut > 0 && cut + 1 < path.size() && path[cut] == '/') return cut;
  }
  return std::string_view::npos;
}

}  // namespace

Result<void> TarWriter::Header(char flag, std::string_view name, std::string_view prefix, std::string_view target,
                               std::uint64_t size, std::uint32_t mode, std::uint64_t uid, std::uint64_t gid,
                               std::uint64_t mtime, DeviceNumber device) {
  Block block{};
  SetField(block, 0, name);
  SetOctal(block, 100, 7, mode & kModeMask);
  SetOctal(block, 108, 7, uid);
  SetOctal(block, 116, 7, gid);
  SetOctal(block, 124, 11, size);
  SetOctal(block, 136, 11, mtime);
  SetField(block, 148, "        ");
  block[156] = static_cast<std::byte>(flag);
  SetField(block, 157, target);
  SetField(block, 257,
           std::string_view("ustar\0"
                            "00",
                            8));
  SetDevice(block, 329, device.major);
  SetDevice(block, 337, device.minor);
  SetField(block, 345, prefix);
  std::uint64_t sum = 0;
  for (const std::byte byte : block) sum += std::to_integer<std::uint64_t>(byte);
  SetOctal(block, 148, 6, sum);
  block[154] = std::byte{0};
  return write_(block);
}

Result<void> TarWriter::Pad() {
  if (got_ != wanted_) {
    return Fail(Errc::kServerFault,
                "writing a tar archive: a file of " + std::to_string(wanted_) + " bytes got " + std::to_string(got_));
  }
  const Block zeros{};
  const std::size_t padding = (kBlockBytes - got_ % kBlockBytes) % kBlockBytes;
  wanted_ = got_ = 0;
  return padding == 0 ? Result<void>{} : write_(ByteSpan(zeros).first(padding));
}

Result<void> TarWriter::Begin(TarFlag flag, std::string_view path, std::string_view target, std::uint64_t size,
                              const NodeAttributes& attributes, DeviceNumber device) {
  STRATA_TRY(Pad());
  std::string records, names;
  std::string_view name = path, prefix;
  if (path.size() > kNameBytes) {
    const std::size_t cut = CutOf(path);
    if (cut == std::string_view::npos) {
      AddPaxRecord(names, "path", path);
      name = path.substr(0, kNameBytes);
    } else {
      prefix = path.substr(0, cut);
      name = path.substr(cut + 1);
    }
  }
  std::string_view link = target;
  if (target.size() > kNameBytes) {
    AddPaxRecord(names, "linkpath", target);
    link = target.substr(0, kNameBytes);
  }
  if (!names.empty()) {
    if (!IsUtf8Text(path) || !IsUtf8Text(target)) AddPaxRecord(records, "hdrcharset", "BINARY");
    records += names;
  }
  const auto number = [&](const char* key, std::uint64_t value, std::uint64_t largest) -> std::uint64_t {
    if (value <= largest) return value;
    AddPaxRecord(records, key, std::to_string(value));
    return 0;
  };
  const std::uint64_t stated = number("size", size, kLargestOctal11);
  const std::uint64_t uid = number("uid", attributes.uid, kLargestOctal7);
  const std::uint64_t gid = number("gid", attributes.gid, kLargestOctal7);
  const std::int64_t ns = attributes.mtime.ns;
  const bool plain_time = ns >= 0 && static_cast<std::uint64_t>(ns / kSecondNs) <= kLargestOctal11;
  if (!plain_time || ns % kSecondNs != 0) AddPaxRecord(records, "mtime", PaxTime(attributes.mtime));
  for (const Xattr& xattr : attributes.xattrs) AddPaxRecord(records, XattrKey(xattr.name), xattr.value);
  const std::uint64_t mtime = plain_time ? static_cast<std::uint64_t>(ns / kSecondNs) : 0;
  if (!records.empty()) {
    STRATA_TRY(Header('x', "PaxHeaders/entry", {}, {}, records.size(), 0644, 0, 0, 0, {}));
    wanted_ = records.size();
    STRATA_TRY(Data(AsBytes(records)));
    STRATA_TRY(Pad());
  }
  wanted_ = size;
  return Header(static_cast<char>(flag), name, prefix, link, stated, attributes.mode, uid, gid, mtime, device);
}

Result<void> TarWriter::Data(ByteSpan bytes) {
  got_ += bytes.size();
  return write_(bytes);
}

Result<void> TarWriter::Finish() {
  STRATA_TRY(Pad());
  const std::array<std::byte, 2 * kBlockBytes> end{};
  return write_(end);
}

}  // namespace strata::store
