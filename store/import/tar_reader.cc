#include "store/import/tar_reader.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <utility>

namespace strata::store {
namespace {

constexpr std::uint64_t kMaxHeaderBytes = 1 << 20;  // of a long name or a pax header
constexpr std::size_t kMaxExtents = 1 << 20;        // of a sparse file
constexpr std::size_t kMaxSparseLine = 32;          // a decimal number in a map of the form 1.0
constexpr std::uint64_t kLargest = std::numeric_limits<std::int64_t>::max();

std::uint64_t PaddingOf(std::uint64_t size) { return (kTarBlock - size % kTarBlock) % kTarBlock; }

TarType TypeOf(const TarHeader& header, std::string_view path) {
  switch (header.type) {
    case '\0':
      // Before there was a type for directories, a slash at the end said so.
      return path.ends_with('/') && header.dialect == TarDialect::kOld ? TarType::kDirectory : TarType::kFile;
    case '0':
    case '7':  // "contiguous": on a disk
      return TarType::kFile;
    case 'S':
      return header.dialect == TarDialect::kGnu ? TarType::kFile : TarType::kUnknown;
    case '1':
      return TarType::kHardLink;
    case '2':
      return TarType::kSymlink;
    case '3':
      return TarType::kCharacterDevice;
    case '4':
      return TarType::kBlockDevice;
    case '5':
    case 'D':  // GNU, with a list of its names as the body
      return TarType::kDirectory;
    case '6':
      return TarType::kFifo;
    default:
      return TarType::kUnknown;
  }
}

// '=' and '%' are written "%3D" and "%25" in a key.
std::string XattrName(std::string_view key) {
  std::string name;
  while (!key.empty()) {
    const bool equals = key.starts_with("%3D"), percent = key.starts_with("%25");
    name += equals ? '=' : key.front();
    key.remove_prefix(equals || percent ? 3 : 1);
  }
  return name;
}

}  // namespace

// What headers before an entry's own say of it. A name of pax counts more than one of GNU.
struct TarReader::Pax {
  bool any = false;
  std::optional<std::string> long_path, long_link;  // GNU
  std::optional<std::string> path, link;
  std::optional<std::uint64_t> size;
  std::optional<std::uint32_t> uid, gid;
  std::optional<Time> mtime;
  std::map<std::string, std::string> xattrs;
  // GNU's sparse files in pax: 0.0 and 0.1 have the map in the header, 1.0 before the data.
  std::optional<std::uint64_t> sparse_size;
  std::optional<std::string> sparse_name;
  std::vector<TarExtent> extents;
  std::optional<std::uint64_t> sparse_offset;  // the one that waits for its size
  bool sparse = false, sparse_in_body = false;
};

Status TarReader::At(std::string_view what) const {
  return Status(Errc::kInvalid,
                "reading a tar archive at byte " + std::to_string(position_) + ": " + std::string(what));
}

// False at the archive's end.
Result<bool> TarReader::ReadBlock(TarBlock& block) {
  if (looked_ahead_) {
    block = *std::exchange(looked_ahead_, std::nullopt);
    position_ += block.size();
    return true;
  }
  STRATA_ASSIGN(const std::size_t got, source_.Read(block));
  if (got == 0) return false;
  if (got < block.size()) return Fail(At("it ends within a block: it was cut, or is no tar archive"));
  position_ += got;
  return true;
}

// Passes over what is left of the entry's body. False: the archive ends before.
Result<bool> TarReader::SkipBody() {
  std::array<std::byte, 16 << 10> waste;
  body_ += padding_;
  padding_ = 0;
  while (body_ > 0) {
    const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(body_, waste.size()));
    STRATA_ASSIGN(const std::size_t got, source_.Read(MutableByteSpan(waste).first(wanted)));
    position_ += got;
    body_ -= got;
    if (got < wanted) return false;
  }
  return true;
}

Result<std::string> TarReader::ReadBody(std::uint64_t size, const char* what) {
  if (size > kMaxHeaderBytes) {
    return Fail(At(std::string(what) + " of " + std::to_string(size) + " bytes; at most " +
                   std::to_string(kMaxHeaderBytes) + " are taken"));
  }
  std::string text(size, '\0');
  STRATA_ASSIGN(const std::size_t got, source_.Read(std::as_writable_bytes(std::span(text))));
  position_ += got;
  if (got < size) return Fail(At("it ends within " + std::string(what) + ": it was cut"));
  body_ = PaddingOf(size);
  STRATA_ASSIGN(const bool whole, SkipBody());
  if (!whole) return Fail(At("it ends after " + std::string(what) + ": it was cut"));
  return text;
}

// False at the archive's end.
Result<bool> TarReader::NextHeader(TarHeader& header) {
  for (bool zeros = false;; zeros = true) {
    STRATA_ASSIGN(const bool any, ReadBlock(header_block_));
    if (!any) return false;
    if (IsZeroBlock(header_block_)) {
      marked_ = zeros;
      begun_ = true;
      if (zeros) return false;
      continue;
    }
    auto parsed = ParseTarHeader(header_block_);
    if (!parsed) return Fail(At(parsed.error().message()));
    if (!*parsed) {
      return Fail(At(begun_ ? "no header of an entry is here: the archive is damaged"
                            : "this is no tar archive, nor one that was compressed with gzip, zstd, xz or bzip2"));
    }
    begun_ = true;
    header = std::move(**parsed);
    return true;
  }
}

Result<void> TarReader::ReadPax(std::string_view text, Pax& pax) const {
  pax.any = true;
  const auto number = [](std::string_view key, std::string_view value) -> Result<std::uint64_t> {
    const std::optional<std::uint64_t> parsed = ParsePaxNumber(value);
    if (!parsed || *parsed > kLargest)
      return Fail(Errc::kInvalid, "its pax header has no number as " + std::string(key));
    return *parsed;
  };
  const auto add_extent = [&](std::uint64_t offset, std::uint64_t size) -> Result<void> {
    if (pax.extents.size() >= kMaxExtents) return Fail(Errc::kInvalid, "its sparse map has too many entries");
    pax.extents.push_back({offset, size});
    return {};
  };
  const auto one = [&](std::string_view key, std::string_view value) -> Result<void> {
    constexpr std::string_view kXattr = "SCHILY.xattr.";
    // An empty value takes back what was said before.
    const auto text_or_none = [&] { return value.empty() ? std::optional<std::string>() : std::string(value); };
    if (key == "path") {
      pax.path = text_or_none();
    } else if (key == "linkpath") {
      pax.link = text_or_none();
    } else if (key == "size") {
      STRATA_ASSIGN(pax.size, number(key, value));
    } else if (key == "uid" || key == "gid") {
      STRATA_ASSIGN(const std::uint64_t id, number(key, value));
      if (id <= UINT32_MAX) (key == "uid" ? pax.uid : pax.gid) = static_cast<std::uint32_t>(id);
    } else if (key == "mtime") {
      pax.mtime = ParsePaxTime(value);
    } else if (key.starts_with(kXattr)) {
      pax.xattrs.insert_or_assign(XattrName(key.substr(kXattr.size())), std::string(value));
    } else if (key == "GNU.sparse.major") {
      pax.sparse_in_body = value == "1";
      pax.sparse = true;
    } else if (key == "GNU.sparse.size" || key == "GNU.sparse.realsize") {
      STRATA_ASSIGN(pax.sparse_size, number(key, value));
      pax.sparse = true;
    } else if (key == "GNU.sparse.name") {
      pax.sparse_name = std::string(value);
    } else if (key == "GNU.sparse.offset") {
      STRATA_ASSIGN(pax.sparse_offset, number(key, value));
    } else if (key == "GNU.sparse.numbytes") {
      STRATA_ASSIGN(const std::uint64_t size, number(key, value));
      if (!pax.sparse_offset) return Fail(Errc::kInvalid, "its sparse map has a size without an offset");
      return add_extent(*std::exchange(pax.sparse_offset, std::nullopt), size);
    } else if (key == "GNU.sparse.map") {
      for (std::optional<std::uint64_t> offset; !value.empty();) {
        const std::size_t comma = std::min(value.find(','), value.size());
        STRATA_ASSIGN(const std::uint64_t next, number(key, value.substr(0, comma)));
        value.remove_prefix(std::min(comma + 1, value.size()));
        if (offset) STRATA_TRY(add_extent(*offset, next));
        offset = offset ? std::nullopt : std::optional(next);
      }
    }
    return {};
  };
  if (auto parsed = ParsePaxRecords(text, one); !parsed) return Fail(At(parsed.error().message()));
  return {};
}

// Whether data follow the header of a hard link that states a size: POSIX allows it, and some writers state the size of
// the file alone.
Result<bool> TarReader::LinkHasBody() {
  TarBlock block;
  STRATA_ASSIGN(const std::size_t got, source_.Read(block));
  if (got == 0) return false;
  if (got < block.size()) return Fail(At("it ends within a block: it was cut"));
  looked_ahead_ = block;
  if (IsZeroBlock(block)) return false;
  const auto parsed = ParseTarHeader(block);
  return parsed && !*parsed;
}

Result<void> TarReader::SetSize(const TarHeader& header, const Pax& pax, TarEntry& entry) {
  body_ = pax.size.value_or(header.size);
  if (body_ > kLargest - kTarBlock) return Fail(At("an entry of an impossible size"));
  switch (entry.type) {
    case TarType::kFile:
      entry.size = body_;
      break;
    case TarType::kHardLink:
      if (body_ > 0 && !pax.any) {
        STRATA_ASSIGN(const bool has_body, header.dialect == TarDialect::kUstar ? LinkHasBody() : Result<bool>(false));
        if (!has_body) body_ = 0;
      }
      break;
    case TarType::kUnknown:
      break;
    default:
      if (header.type != 'D') body_ = 0;
  }
  padding_ = PaddingOf(body_);
  if (looked_ahead_ && body_ > 0) {
    // The block belongs to the body, which nobody reads.
    looked_ahead_.reset();
    position_ += kTarBlock;
    const std::uint64_t rest = body_ + padding_ - kTarBlock;
    body_ = rest;
    padding_ = 0;
  }
  return {};
}

Result<void> TarReader::SetEntry(const TarHeader& header, Pax& pax, TarEntry& entry) {
  entry = TarEntry();
  entry.flag = header.type == '\0' ? '0' : header.type;
  entry.path = pax.path ? *std::move(pax.path) : pax.long_path ? *std::move(pax.long_path) : header.path;
  entry.target = pax.link ? *std::move(pax.link) : pax.long_link ? *std::move(pax.long_link) : header.link;
  entry.type = TypeOf(header, entry.path);
  entry.attributes.mode = header.mode;
  entry.attributes.uid = pax.uid.value_or(header.uid);
  entry.attributes.gid = pax.gid.value_or(header.gid);
  entry.attributes.mtime = pax.mtime.value_or(header.mtime);
  for (auto& [name, value] : pax.xattrs) entry.attributes.xattrs.push_back({name, std::move(value)});
  entry.device = header.device;
  STRATA_TRY(SetSize(header, pax, entry));
  read_ = 0;
  sparse_ = false;
  extents_.clear();
  extent_ = 0;
  if (entry.type == TarType::kFile && header.type == 'S') STRATA_TRY(ReadGnuSparse(entry));
  if (entry.type == TarType::kFile && pax.sparse) STRATA_TRY(ReadPaxSparse(pax, entry));
  size_ = entry.size;
  path_ = entry.path;
  if (size_ > largest_file_) {
    return Fail(Errc::kFileTooBig, "reading " + path_ + " from a tar archive: it would unfold to " +
                                       std::to_string(size_) + " bytes; at most " + std::to_string(largest_file_) +
                                       " are taken");
  }
  return {};
}

Result<void> TarReader::ReadGnuSparse(TarEntry& entry) {
  auto map = ParseGnuSparseHeader(header_block_);
  for (;;) {
    if (!map) return Fail(At(map.error().message()));
    extents_.insert(extents_.end(), map->extents.begin(), map->extents.end());
    if (extents_.size() > kMaxExtents) return Fail(At("a sparse map of too many entries"));
    if (entry.size == body_ && !sparse_) {
      entry.size = map->real_size;
      sparse_ = true;
    }
    if (!map->continued) break;
    TarBlock block;
    STRATA_ASSIGN(const bool any, ReadBlock(block));
    if (!any) return Fail(At("it ends within a sparse map: it was cut"));
    map = ParseGnuSparseExtension(block);
  }
  return CheckSparse(entry);
}

Result<void> TarReader::ReadPaxSparse(Pax& pax, TarEntry& entry) {
  if (!pax.sparse_size) return Fail(At("a sparse file without its real size"));
  sparse_ = true;
  entry.size = *pax.sparse_size;
  if (pax.sparse_name) entry.path = *std::move(pax.sparse_name);
  extents_ = std::move(pax.extents);
  if (pax.sparse_in_body) STRATA_TRY(ReadSparseMapInBody());
  return CheckSparse(entry);
}

// Decimal numbers, each with a newline: how many entries, then offset and size of each; filled up to a block.
Result<void> TarReader::ReadSparseMapInBody() {
  TarBlock block;
  std::size_t next = block.size();
  const auto number = [&]() -> Result<std::uint64_t> {
    std::string line;
    for (;;) {
      if (next == block.size()) {
        if (body_ < block.size()) return Fail(At("a sparse map that does not end"));
        STRATA_ASSIGN(const bool any, ReadBlock(block));
        if (!any) return Fail(At("it ends within a sparse map: it was cut"));
        body_ -= block.size();
        next = 0;
      }
      const char c = static_cast<char>(block[next++]);
      if (c == '\n') break;
      line += c;
      if (line.size() > kMaxSparseLine) return Fail(At("a sparse map with a line that is no number"));
    }
    const std::optional<std::uint64_t> value = ParsePaxNumber(line);
    if (!value || *value > kLargest) return Fail(At("a sparse map with a line that is no number"));
    return *value;
  };
  extents_.clear();
  STRATA_ASSIGN(const std::uint64_t count, number());
  if (count > kMaxExtents) return Fail(At("a sparse map of too many entries"));
  for (std::uint64_t i = 0; i < count; ++i) {
    STRATA_ASSIGN(const std::uint64_t offset, number());
    STRATA_ASSIGN(const std::uint64_t size, number());
    extents_.push_back({offset, size});
  }
  return {};
}

Result<void> TarReader::CheckSparse(const TarEntry& entry) {
  std::uint64_t end = 0, data = 0;
  for (const TarExtent& extent : extents_) {
    if (extent.offset < end || extent.offset > entry.size || extent.size > entry.size - extent.offset) {
      return Fail(At("a sparse map whose entries overlap or lie beyond the file's end"));
    }
    end = extent.offset + extent.size;
    data += extent.size;
  }
  if (data != body_) return Fail(At("a sparse map of another size than the data"));
  return {};
}

Result<bool> TarReader::Next(TarEntry& entry) {
  if (ended_) return false;
  STRATA_ASSIGN(const bool whole, SkipBody());
  if (!whole) return Fail(At("it ends within " + path_ + ": it was cut"));
  Pax pax;
  bool announced = false;
  for (TarHeader header;;) {
    STRATA_ASSIGN(const bool any, NextHeader(header));
    if (!any) {
      ended_ = true;
      if (!begun_) return Fail(At("there is nothing: whoever should have written the archive may have failed"));
      if (announced) return Fail(At("it ends before the entry that its last header belongs to: it was cut"));
      return false;
    }
    switch (header.type) {
      case 'L':
      case 'K': {
        STRATA_ASSIGN(std::string text, ReadBody(header.size, "a long name"));
        text.resize(std::min(text.find('\0'), text.size()));
        (header.type == 'L' ? pax.long_path : pax.long_link) = std::move(text);
        announced = true;
        break;
      }
      case 'x':
      case 'X': {
        STRATA_ASSIGN(const std::string text, ReadBody(header.size, "a pax header"));
        STRATA_TRY(ReadPax(text, pax));
        announced = true;
        break;
      }
      case 'g': {
        // Of all entries that follow: comments, by and large. What it says is not taken over (as tvix does).
        STRATA_ASSIGN(const std::string text, ReadBody(header.size, "a pax header"));
        Pax global;
        STRATA_TRY(ReadPax(text, global));
        break;
      }
      case 'V':  // GNU: the name of the archive
        STRATA_TRY(ReadBody(header.size, "a volume's name"));
        break;
      default:
        STRATA_TRY(SetEntry(header, pax, entry));
        return true;
    }
  }
}

Result<std::size_t> TarReader::ReadData(MutableByteSpan out) {
  std::size_t done = 0;
  while (done < out.size() && read_ < size_) {
    std::uint64_t piece = std::min<std::uint64_t>(out.size() - done, size_ - read_);
    if (sparse_) {
      while (extent_ < extents_.size() && extents_[extent_].offset + extents_[extent_].size <= read_) ++extent_;
      const bool last = extent_ == extents_.size();
      const std::uint64_t next = last ? size_ : extents_[extent_].offset;
      if (read_ < next) {
        piece = std::min(piece, next - read_);
        std::ranges::fill(out.subspan(done, piece), std::byte{0});
        read_ += piece;
        done += piece;
        continue;
      }
      piece = std::min(piece, next + extents_[extent_].size - read_);
    }
    STRATA_ASSIGN(const std::size_t got, source_.Read(out.subspan(done, piece)));
    position_ += got;
    read_ += got;
    done += got;
    body_ -= got;
    if (got < piece) {
      return Fail(Errc::kInvalid, "unexpected size for " + path_ + " wanted: " + std::to_string(size_) +
                                      " got: " + std::to_string(read_) + " (the archive was cut)");
    }
  }
  return done;
}

Result<TarReader::End> TarReader::Finish() {
  End end{.marked = marked_, .more = false};
  std::array<std::byte, 16 << 10> rest;
  for (;;) {
    STRATA_ASSIGN(const std::size_t got, source_.Read(rest));
    if (!IsZeroBlock(ByteSpan(rest).first(got))) end.more = true;
    if (got < rest.size()) return end;
  }
}

}  // namespace strata::store
