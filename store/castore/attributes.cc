#include "store/castore/attributes.h"

#include <algorithm>
#include <limits>
#include <span>
#include <utility>

#include "base/hash.h"
#include "store/castore/names.h"

namespace strata::store {
namespace attributes_format {
namespace {

constexpr std::size_t kMaxXattrName = 255;
constexpr std::size_t kMaxXattrValue = 64 << 10;  // XATTR_SIZE_MAX of Linux
constexpr std::uint16_t kModeBits = kModeMask;

Status Damaged(std::string_view what) {
  return Status(Errc::kCorrupt, "the attribute blob of the tree is none: " + std::string(what) +
                                    "; import the tree again with --keep-metadata");
}

}  // namespace

std::array<std::byte, kHeaderBytes> EncodeHeader(const Header& header) {
  std::array<std::byte, kHeaderBytes> bytes{};
  std::ranges::copy(AsBytes(kMagic), bytes.begin());
  StoreLe(&bytes[8], kVersion);
  StoreLe(&bytes[16], header.nodes);
  StoreLe(&bytes[24], header.extras);
  StoreLe(&bytes[32], header.specials);
  StoreLe(&bytes[40], header.strings);
  std::ranges::copy(header.root.bytes, bytes.begin() + 48);
  StoreLe(&bytes[12], Crc32c(bytes));
  return bytes;
}

Result<Header> DecodeHeader(ByteSpan bytes) {
  if (bytes.size() < kHeaderBytes || AsText(bytes.first(kMagic.size())) != kMagic) return Fail(Damaged("its magic"));
  if (const auto version = LoadLe<std::uint32_t>(&bytes[8]); version != kVersion) {
    return Fail(Errc::kNotSupported, "the attribute blob of the tree has version " + std::to_string(version) +
                                         "; this program reads " + std::to_string(kVersion) + ": use a newer one");
  }
  std::array<std::byte, kHeaderBytes> copy;
  std::copy_n(bytes.begin(), kHeaderBytes, copy.begin());
  StoreLe(&copy[12], std::uint32_t{0});
  if (Crc32c(copy) != LoadLe<std::uint32_t>(&bytes[12])) return Fail(Damaged("its header's checksum"));
  Header header;
  header.nodes = LoadLe<std::uint64_t>(&bytes[16]);
  header.extras = LoadLe<std::uint64_t>(&bytes[24]);
  header.specials = LoadLe<std::uint64_t>(&bytes[32]);
  header.strings = LoadLe<std::uint64_t>(&bytes[40]);
  std::copy_n(bytes.begin() + 48, Digest::kSize, header.root.bytes.begin());
  return header;
}

std::array<std::byte, kRecordBytes> EncodeRecord(const Record& record) {
  std::array<std::byte, kRecordBytes> bytes{};
  StoreLe(&bytes[0], record.mtime.ns);
  StoreLe(&bytes[8], record.uid);
  StoreLe(&bytes[12], record.gid);
  StoreLe(&bytes[16], static_cast<std::uint16_t>(record.mode & kModeBits));
  StoreLe(&bytes[20], record.extra);
  return bytes;
}

std::array<std::byte, kExtraBytes> EncodeExtra(const Extra& extra) {
  std::array<std::byte, kExtraBytes> bytes{};
  StoreLe(&bytes[0], extra.xattrs_at);
  StoreLe(&bytes[8], extra.xattrs_size);
  StoreLe(&bytes[12], extra.links);
  StoreLe(&bytes[16], extra.first_link);
  StoreLe(&bytes[24], extra.first_special);
  StoreLe(&bytes[32], extra.specials);
  return bytes;
}

std::array<std::byte, kSpecialBytes> EncodeSpecial(const SpecialEntry& special, std::uint64_t strings_at) {
  std::array<std::byte, kSpecialBytes> bytes{};
  StoreLe(&bytes[0], special.mtime.ns);
  StoreLe(&bytes[8], special.uid);
  StoreLe(&bytes[12], special.gid);
  StoreLe(&bytes[16], static_cast<std::uint16_t>(special.mode & kModeBits));
  bytes[18] = static_cast<std::byte>(special.type);
  StoreLe(&bytes[20], special.device.major);
  StoreLe(&bytes[24], special.device.minor);
  StoreLe(&bytes[28], special.xattrs_size);
  StoreLe(&bytes[32], special.parent);
  StoreLe(&bytes[40], strings_at);
  StoreLe(&bytes[48], static_cast<std::uint16_t>(special.name.size()));
  return bytes;
}

Result<std::string> EncodeXattrs(const std::vector<Xattr>& xattrs) {
  std::string text;
  for (const Xattr& xattr : xattrs) {
    if (xattr.name.empty() || xattr.name.size() > kMaxXattrName || xattr.name.find('\0') != std::string::npos ||
        xattr.value.size() > kMaxXattrValue) {
      return Fail(Errc::kInvalid, "an extended attribute of a name of " + std::to_string(xattr.name.size()) +
                                      " and a value of " + std::to_string(xattr.value.size()) +
                                      " bytes: no file can have that");
    }
    std::array<std::byte, 5> head;
    head[0] = static_cast<std::byte>(xattr.name.size());
    StoreLe(&head[1], static_cast<std::uint32_t>(xattr.value.size()));
    text += AsText(head);
    text += xattr.name;
    text += xattr.value;
    if (text.size() > kMaxXattrsBytes) {
      return Fail(Errc::kFileTooBig, "extended attributes of more than " + std::to_string(kMaxXattrsBytes) + " bytes");
    }
  }
  return text;
}

Result<std::vector<Xattr>> DecodeXattrs(std::string_view text) {
  std::vector<Xattr> xattrs;
  for (ByteReader in(AsBytes(text)); in.remaining() > 0;) {
    const auto name_size = in.Read<std::uint8_t>();
    const auto value_size = in.Read<std::uint32_t>();
    const std::string_view name = AsText(in.ReadBytes(name_size));
    const std::string_view value = AsText(in.ReadBytes(value_size));
    if (!in.ok() || name.empty() || name.find('\0') != std::string_view::npos || value.size() > kMaxXattrValue ||
        (!xattrs.empty() && xattrs.back().name >= name)) {
      return Fail(Damaged("an extended attribute"));
    }
    xattrs.push_back({std::string(name), std::string(value)});
  }
  return xattrs;
}

}  // namespace attributes_format

using namespace attributes_format;

Result<std::unique_ptr<AttributesReader>> AttributesReader::Open(const Waiting& waiting,
                                                                 std::shared_ptr<BlobReader> blob, const Digest& root) {
  std::unique_ptr<AttributesReader> reader(new AttributesReader(std::move(blob)));
  std::array<std::byte, kHeaderBytes> bytes;
  STRATA_TRY(reader->ReadExactly(waiting, 0, bytes));
  STRATA_ASSIGN(const Header header, DecodeHeader(bytes));
  if (header.root != root) return Fail(Damaged("it belongs to the tree " + header.root.Text()));
  reader->nodes_ = header.nodes;
  reader->extras_ = header.extras;
  reader->specials_ = header.specials;
  reader->strings_ = header.strings;
  // Each is far below 2^64 once the first product fits into the blob.
  const std::uint64_t size = reader->blob_->size();
  if (size < kHeaderBytes) return Fail(Damaged("its size"));
  std::uint64_t left = size - kHeaderBytes;
  const auto take = [&](std::uint64_t count, std::uint64_t each) {
    if (count > left / each) return false;
    left -= count * each;
    return true;
  };
  if (header.nodes == 0 || !take(header.nodes, kRecordBytes) || !take(header.extras, kExtraBytes) ||
      !take(header.specials, kSpecialBytes) || header.strings != left) {
    return Fail(Damaged("its size"));
  }
  reader->extras_at_ = kHeaderBytes + header.nodes * kRecordBytes;
  reader->specials_at_ = reader->extras_at_ + header.extras * kExtraBytes;
  reader->strings_at_ = reader->specials_at_ + header.specials * kSpecialBytes;
  return reader;
}

Result<void> AttributesReader::ReadExactly(const Waiting& waiting, std::uint64_t offset, MutableByteSpan out) const {
  STRATA_ASSIGN(const std::size_t got, blob_->ReadAt(waiting, offset, out));
  if (got < out.size()) return Fail(Damaged("it ends too early"));
  return {};
}

Result<void> AttributesReader::ReadStrings(const Waiting& waiting, std::uint64_t at, MutableByteSpan out) const {
  if (at > strings_ || out.size() > strings_ - at) return Fail(Damaged("a string beyond its end"));
  return ReadExactly(waiting, strings_at_ + at, out);
}

Result<StoredAttributes> AttributesReader::Get(const Waiting& waiting, std::uint64_t number) const {
  if (number >= nodes_) return Fail(Damaged("it has no node " + std::to_string(number)));
  std::array<std::byte, kRecordBytes> record;
  STRATA_TRY(ReadExactly(waiting, kHeaderBytes + number * kRecordBytes, record));
  StoredAttributes attributes;
  attributes.mtime.ns = LoadLe<std::int64_t>(&record[0]);
  attributes.uid = LoadLe<std::uint32_t>(&record[8]);
  attributes.gid = LoadLe<std::uint32_t>(&record[12]);
  attributes.mode = LoadLe<std::uint16_t>(&record[16]);
  attributes.first_link = number;
  if ((attributes.mode & ~kModeMask) != 0) return Fail(Damaged("a mode"));
  const auto index = LoadLe<std::uint32_t>(&record[20]);
  if (index == 0) return attributes;
  if (index > extras_) return Fail(Damaged("a row that it does not have"));
  std::array<std::byte, kExtraBytes> extra;
  STRATA_TRY(ReadExactly(waiting, extras_at_ + (index - std::uint64_t{1}) * kExtraBytes, extra));
  attributes.xattrs_at = LoadLe<std::uint64_t>(&extra[0]);
  attributes.xattrs_size = LoadLe<std::uint32_t>(&extra[8]);
  if (const auto links = LoadLe<std::uint32_t>(&extra[12]); links > 0) {
    attributes.links = links;
    attributes.first_link = LoadLe<std::uint64_t>(&extra[16]);
    // Not after this one, so that who looks for the first name finds an end.
    if (links < 2 || links > nodes_ || attributes.first_link > number) return Fail(Damaged("a hard link"));
  }
  attributes.first_special = LoadLe<std::uint64_t>(&extra[24]);
  attributes.specials = LoadLe<std::uint32_t>(&extra[32]);
  if (attributes.first_special > specials_ || attributes.specials > specials_ - attributes.first_special) {
    return Fail(Damaged("entries that it does not have"));
  }
  return attributes;
}

Result<SpecialEntry> AttributesReader::Special(const Waiting& waiting, std::uint64_t index) const {
  if (index >= specials_) return Fail(Damaged("it has no such entry"));
  std::array<std::byte, kSpecialBytes> row;
  STRATA_TRY(ReadExactly(waiting, specials_at_ + index * kSpecialBytes, row));
  SpecialEntry special;
  special.mtime.ns = LoadLe<std::int64_t>(&row[0]);
  special.uid = LoadLe<std::uint32_t>(&row[8]);
  special.gid = LoadLe<std::uint32_t>(&row[12]);
  special.mode = LoadLe<std::uint16_t>(&row[16]);
  special.type = static_cast<FileType>(row[18]);
  special.device = {LoadLe<std::uint32_t>(&row[20]), LoadLe<std::uint32_t>(&row[24])};
  special.xattrs_size = LoadLe<std::uint32_t>(&row[28]);
  special.parent = LoadLe<std::uint64_t>(&row[32]);
  const auto at = LoadLe<std::uint64_t>(&row[40]);
  const auto name_size = LoadLe<std::uint16_t>(&row[48]);
  switch (special.type) {
    case FileType::kBlockDevice:
    case FileType::kCharacterDevice:
    case FileType::kSocket:
    case FileType::kFifo:
      break;
    default:
      return Fail(Damaged("an entry's type"));
  }
  if (special.parent >= nodes_ || (special.mode & ~kModeMask) != 0) return Fail(Damaged("an entry"));
  special.name.resize(name_size);
  STRATA_TRY(ReadStrings(waiting, at, std::as_writable_bytes(std::span(special.name))));
  if (!CheckNodeName(special.name)) return Fail(Damaged("an entry's name"));
  special.xattrs_at = at + name_size;  // within the strings, as the name is
  return special;
}

Result<std::vector<Xattr>> AttributesReader::Xattrs(const Waiting& waiting, std::uint64_t xattrs_at,
                                                    std::uint32_t xattrs_size) const {
  if (xattrs_size == 0) return std::vector<Xattr>();
  if (xattrs_size > kMaxXattrsBytes) return Fail(Damaged("the size of extended attributes"));
  std::string text;
  // Looked at before memory is taken.
  if (xattrs_at > strings_ || xattrs_size > strings_ - xattrs_at) return Fail(Damaged("a string beyond its end"));
  text.resize(xattrs_size);
  STRATA_TRY(ReadStrings(waiting, xattrs_at, std::as_writable_bytes(std::span(text))));
  return DecodeXattrs(text);
}

}  // namespace strata::store
