#include "store/pack/pack_files.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/hash.h"

namespace strata::store::pack {
namespace {

// Of a pack of directories that is not in memory this much is read at once: who asks for a directory soon asks for its
// neighbours.
constexpr std::uint64_t kDirectoriesReadAhead = 256 << 10;

std::shared_ptr<std::byte[]> NewBytes(std::size_t size) {
  return std::make_shared_for_overwrite<std::byte[]>(std::max<std::size_t>(size, 1));
}

// Brings the neighbourhood of a record into the page cache.
Result<void> ReadAround(File& file, const Location& location) {
  if (location.stored > kDirectoriesReadAhead / 2) return {};
  std::vector<std::byte> around(kDirectoriesReadAhead);
  const std::uint64_t before = kDirectoriesReadAhead / 2 - location.stored;
  STRATA_TRY(file.ReadAt(location.offset - std::min<std::uint64_t>(location.offset, before), around));
  return {};
}

}  // namespace

Result<std::shared_ptr<OpenPack>> PackFiles::Open(bool may_block, PackId id) {
  {
    const MutexLock lock(mutex_);
    const auto at = open_.find(id);
    if (at != open_.end()) {
      at->second.used = ++uses_;
      return at->second.pack;
    }
  }
  if (!may_block) return Fail(Errc::kWouldBlock);
  auto pack = std::make_shared<OpenPack>();
  pack->path = PathOf(id);
  STRATA_ASSIGN(pack->file, env_.Open(pack->path, OpenMode::kRead));
  std::array<std::byte, kPackHeaderBytes> bytes{};
  STRATA_ASSIGN(const std::size_t got, pack->file->ReadAt(0, bytes));
  if (got < bytes.size()) return Fail(Errc::kCorrupt, pack->path + " is shorter than the header of a pack");
  const HeaderState state = DecodePackHeader(bytes, pack->header);
  if (state == HeaderState::kNewer) {
    return Fail(Errc::kNotSupported, pack->path + " is of a newer version; use the program that wrote it");
  }
  if (state == HeaderState::kInvalid || pack->header.id != id) {
    pack->header = PackHeader();
    pack->header.id = id;
    pack->header_damaged = true;
  }
  std::shared_ptr<OpenPack> let_go;  // closed without the lock
  const MutexLock lock(mutex_);
  if (open_.size() >= most_open_) {
    const auto oldest = std::ranges::min_element(open_, {}, [](const auto& entry) { return entry.second.used; });
    let_go = std::move(oldest->second.pack);
    open_.erase(oldest);
  }
  open_[id] = {pack, ++uses_};
  return pack;
}

void PackFiles::Forget(PackId id) {
  const MutexLock lock(mutex_);
  open_.erase(id);
}

bool PackFiles::KeepOnly(const absl::flat_hash_set<PackId>& packs) {
  std::vector<std::shared_ptr<OpenPack>> let_go;  // closed without the lock
  const MutexLock lock(mutex_);
  absl::erase_if(open_, [&](auto& entry) {
    if (packs.contains(entry.first)) return false;
    let_go.push_back(std::move(entry.second.pack));
    return true;
  });
  return !let_go.empty();
}

Result<Content> PackFiles::Read(bool may_block, const Digest& digest, const Location& location) {
  const auto corrupt = [&](std::string_view what) {
    return Fail(Errc::kCorrupt, std::string(KindName(location.kind)) + ' ' + digest.Text() + " at " +
                                    std::to_string(location.offset) + " of " + PathOf(location.pack) + ": " +
                                    std::string(what));
  };
  if (!SizesAreValid(location.kind, location.method, location.raw, location.stored)) {
    return corrupt("the index gives sizes that cannot be");
  }
  const auto opened = Open(may_block, location.pack);
  if (!opened && opened.error().code() == Errc::kCorrupt) return corrupt(opened.error().message());
  if (!opened) return Fail(opened.error());
  const std::shared_ptr<OpenPack>& pack = *opened;
  const auto read = [&](std::uint64_t offset, MutableByteSpan out) -> Result<bool> {
    Result<std::size_t> got = Fail(Errc::kWouldBlock);
    if (!may_block || location.kind == RecordKind::kDirectory) got = pack->file->ReadCached(offset, out);
    if (!got && got.error().code() == Errc::kWouldBlock && may_block) {
      if (location.kind == RecordKind::kDirectory) STRATA_TRY(ReadAround(*pack->file, location));
      got = pack->file->ReadAt(offset, out);
    }
    if (!got) return Fail(got.error());
    return *got == out.size();
  };

  // Chunks and directories are proved by their digest. A list is not: its digest is the blob's.
  const bool proves_itself = location.kind != RecordKind::kList;
  const std::size_t head = proves_itself ? 0 : kRecordHeaderBytes;
  const std::uint64_t begin = location.offset + kRecordHeaderBytes - head;
  auto stored = NewBytes(head + location.stored);
  const MutableByteSpan stored_span(stored.get(), head + location.stored);
  STRATA_ASSIGN(const bool whole, read(begin, stored_span));
  if (!whole) return corrupt("the pack ends before it");
  if (!proves_itself) {
    const auto header = DecodeRecordHeader(stored_span, location.pack, location.offset);
    if (!header || header->digest != digest || header->kind != location.kind || header->stored != location.stored ||
        header->raw != location.raw || header->method != location.method ||
        Crc32c(stored_span.subspan(head)) != header->stored_crc) {
      return corrupt("it does not check");
    }
  }
  Content content;
  content.size = location.raw;
  content.location = location;
  if (location.method == Method::kRaw && head == 0) {
    content.bytes = std::move(stored);
  } else {
    auto raw = NewBytes(location.raw);
    const MutableByteSpan raw_span(raw.get(), location.raw);
    if (location.method == Method::kRaw) {
      std::ranges::copy(stored_span.subspan(head), raw_span.begin());
    } else if (auto expanded = compression_.Decompress(stored_span.subspan(head), raw_span); !expanded) {
      return corrupt(expanded.error().message());
    }
    content.bytes = std::move(raw);
  }
  if (proves_itself && Digest::Of(content.span()) != digest) return corrupt("its bytes hash to another digest");
  return content;
}

Result<std::size_t> PackFiles::ReadStored(bool may_block, const Location& location, std::uint64_t offset,
                                          MutableByteSpan out) {
  STRATA_ASSIGN(const std::shared_ptr<OpenPack> pack, Open(may_block, location.pack));
  offset += location.offset + kRecordHeaderBytes;
  return may_block ? pack->file->ReadAt(offset, out) : pack->file->ReadCached(offset, out);
}

}  // namespace strata::store::pack
