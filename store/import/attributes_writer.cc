#include "store/import/attributes_writer.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

namespace strata::store {
namespace {

using namespace attributes_format;

// What a record of nodes_ says of its node: its place in RecordSorter's order.
enum RowPart : std::uint64_t { kAttributesPart, kLinkPart, kSpecialPart };

// Numbers as keys: big-endian, so that their bytes sort as they do.
std::string NumberKey(std::uint64_t number) {
  std::string key(8, '\0');
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<char>(number >> (56 - 8 * i));
  return key;
}

std::uint64_t NumberOf(std::string_view key) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < 8 && i < key.size(); ++i) number = number << 8 | static_cast<unsigned char>(key[i]);
  return number;
}

// As kept in a sorter: mtime, uid, gid, mode, then the extended attributes encoded.
constexpr std::size_t kFixedBytes = 20;

Result<std::string> Pack(const NodeAttributes& attributes) {
  STRATA_ASSIGN(const std::string xattrs, EncodeXattrs(attributes.xattrs));
  std::array<std::byte, kFixedBytes> fixed;
  StoreLe(&fixed[0], attributes.mtime.ns);
  StoreLe(&fixed[8], attributes.uid);
  StoreLe(&fixed[12], attributes.gid);
  StoreLe(&fixed[16], attributes.mode);
  return std::string(AsText(fixed)) + xattrs;
}

struct Packed {
  Time mtime;
  std::uint32_t uid = 0, gid = 0, mode = 0;
  std::string xattrs;
};

Packed Unpacked(ByteReader& in) {
  Packed packed;
  packed.mtime.ns = in.Read<std::int64_t>();
  packed.uid = in.Read<std::uint32_t>();
  packed.gid = in.Read<std::uint32_t>();
  packed.mode = in.Read<std::uint32_t>();
  packed.xattrs = AsText(in.ReadBytes(in.remaining()));
  return packed;
}

// All that is known of one node.
struct Row {
  std::uint64_t number = 0;
  bool set = false;
  Packed attributes;
  std::uint32_t links = 0;
  std::uint64_t first_link = 0;
  std::uint32_t specials = 0;
  bool HasExtra() const { return links > 0 || specials > 0 || !attributes.xattrs.empty(); }
};

// Rows in the order of their numbers, put together from sorted records.
class RowStream {
 public:
  explicit RowStream(std::unique_ptr<RecordStream> records) : records_(std::move(records)) {}

  Result<bool> Next(Row& row) {
    if (!begun_) {
      STRATA_TRY(Advance());
      begun_ = true;
    }
    if (!more_) return false;
    row = Row();
    row.number = NumberOf(record_.key);
    while (more_ && NumberOf(record_.key) == row.number) {
      ByteReader in(AsBytes(record_.payload));
      switch (record_.order) {
        case kAttributesPart:
          row.set = true;
          row.attributes = Unpacked(in);
          break;
        case kLinkPart:
          row.first_link = in.Read<std::uint64_t>();
          row.links = in.Read<std::uint32_t>();
          break;
        default:
          ++row.specials;
      }
      STRATA_TRY(Advance());
    }
    return true;
  }

 private:
  Result<void> Advance() {
    STRATA_ASSIGN(more_, records_->Next(record_));
    return {};
  }

  const std::unique_ptr<RecordStream> records_;
  SortedRecord record_;
  bool begun_ = false, more_ = false;
};

template <typename Visit>
Result<void> ForEachRow(RecordSorter& nodes, std::uint64_t first, Visit&& visit) {
  STRATA_ASSIGN(auto records, nodes.Read());
  RowStream rows(std::move(records));
  for (Row row;;) {
    STRATA_ASSIGN(const bool more, rows.Next(row));
    if (!more) return {};
    if (row.number >= first) STRATA_TRY(visit(row));
  }
}

struct SpecialRow {
  SpecialEntry entry;  // without xattrs_at
  std::string xattrs;
};

template <typename Visit>
Result<void> ForEachSpecial(RecordSorter& specials, std::uint64_t first, Visit&& visit) {
  STRATA_ASSIGN(auto records, specials.Read());
  for (SortedRecord record;;) {
    STRATA_ASSIGN(const bool more, records->Next(record));
    if (!more) return {};
    SpecialRow row;
    const std::uint64_t parent = NumberOf(record.key);
    if (parent < first) continue;
    row.entry.parent = parent - first;
    row.entry.name = record.key.substr(8);
    ByteReader in(AsBytes(record.payload));
    row.entry.type = static_cast<FileType>(in.Read<std::uint8_t>());
    row.entry.device.major = in.Read<std::uint32_t>();
    row.entry.device.minor = in.Read<std::uint32_t>();
    Packed packed = Unpacked(in);
    row.entry.mode = packed.mode;
    row.entry.uid = packed.uid;
    row.entry.gid = packed.gid;
    row.entry.mtime = packed.mtime;
    row.entry.xattrs_size = static_cast<std::uint32_t>(packed.xattrs.size());
    row.xattrs = std::move(packed.xattrs);
    STRATA_TRY(visit(row));
  }
}

// Tells each node that has several names how many, and the first; gives how many there are beyond the first ones. Those
// whose other names lie elsewhere have one.
Result<std::uint64_t> JoinLinks(RecordSorter& links, RecordSorter& nodes) {
  std::uint64_t more_names = 0;
  STRATA_ASSIGN(auto ahead, links.Read());
  STRATA_ASSIGN(auto behind, links.Read());
  SortedRecord next, member;
  STRATA_ASSIGN(bool more, ahead->Next(next));
  while (more) {
    const std::string key(next.key);
    const std::uint64_t first = next.order;
    std::uint64_t count = 0;
    for (; more && next.key == key; ++count) {
      STRATA_ASSIGN(more, ahead->Next(next));
    }
    more_names += count - 1;
    std::array<std::byte, 12> payload;
    StoreLe(&payload[0], first);
    StoreLe(&payload[8], static_cast<std::uint32_t>(std::min<std::uint64_t>(count, UINT32_MAX)));
    for (std::uint64_t i = 0; i < count; ++i) {
      STRATA_TRY(behind->Next(member));
      if (count > 1) STRATA_TRY(nodes.Add(NumberKey(member.order), kLinkPart, AsText(payload)));
    }
  }
  return more_names;
}

// Gathers small pieces for a blob.
class BlobOutput {
 public:
  explicit BlobOutput(BlobWriter& writer) : writer_(writer) {}
  Result<void> Write(ByteSpan bytes) {
    buffer_ += AsText(bytes);
    return buffer_.size() >= kAtOnce ? Flush() : Result<void>{};
  }
  Result<void> Flush() {
    STRATA_TRY(writer_.Write(AsBytes(buffer_)));
    buffer_.clear();
    return {};
  }

 private:
  static constexpr std::size_t kAtOnce = 256 << 10;
  BlobWriter& writer_;
  std::string buffer_;
};

Result<Header> CountRows(RecordSorter& nodes, RecordSorter& specials, std::uint64_t first) {
  Header totals;
  STRATA_TRY(ForEachRow(nodes, first, [&](const Row& row) -> Result<void> {
    if (!row.set || row.number - first != totals.nodes) {
      return Fail(Errc::kServerFault,
                  "making the attribute blob: node " + std::to_string(totals.nodes) + " has no attributes");
    }
    ++totals.nodes;
    totals.strings += row.attributes.xattrs.size();
    if (row.HasExtra()) ++totals.extras;
    return {};
  }));
  STRATA_TRY(ForEachSpecial(specials, first, [&](const SpecialRow& row) -> Result<void> {
    ++totals.specials;
    totals.strings += row.entry.name.size() + row.xattrs.size();
    return {};
  }));
  if (totals.extras >= UINT32_MAX) {
    return Fail(Errc::kFileTooBig,
                "making the attribute blob: more than 4,294,967,294 nodes have extended attributes or hard links");
  }
  return totals;
}

}  // namespace

AttributesWriter::AttributesWriter(Env& env, const std::string& folder, std::size_t memory)
    : nodes_(env, folder, memory / 2), links_(env, folder, memory / 4), specials_(env, folder, memory / 4) {}

Result<void> AttributesWriter::Set(std::uint64_t number, const NodeAttributes& attributes, std::string_view link_key) {
  STRATA_ASSIGN(const std::string packed, Pack(attributes));
  const MutexLock lock(mutex_);
  STRATA_TRY(nodes_.Add(NumberKey(number), kAttributesPart, packed));
  if (!link_key.empty()) STRATA_TRY(links_.Add(link_key, number, {}));
  return {};
}

Result<void> AttributesWriter::AddSpecial(std::uint64_t parent, std::string_view name, FileType type,
                                          DeviceNumber device, const NodeAttributes& attributes) {
  STRATA_ASSIGN(const std::string packed, Pack(attributes));
  std::array<std::byte, 9> head;
  head[0] = static_cast<std::byte>(type);
  StoreLe(&head[1], device.major);
  StoreLe(&head[5], device.minor);
  const std::string key = NumberKey(parent);
  const MutexLock lock(mutex_);
  STRATA_TRY(nodes_.Add(key, kSpecialPart, {}));
  return specials_.Add(key + std::string(name), 0, std::string(AsText(head)) + packed);
}

// Nobody adds any more: no lock is held while blobs are written.
Result<Digest> AttributesWriter::Finish(std::uint64_t first, const Digest& root,
                                        BlobService& blobs) STRATA_NO_THREAD_SAFETY_ANALYSIS {
  STRATA_ASSIGN(hard_links_, JoinLinks(links_, nodes_));
  STRATA_ASSIGN(Header header, CountRows(nodes_, specials_, first));
  header.root = root;
  STRATA_ASSIGN(const auto writer, blobs.Create());
  BlobOutput out(*writer);
  STRATA_TRY(out.Write(EncodeHeader(header)));
  std::uint32_t extras = 0;
  STRATA_TRY(ForEachRow(nodes_, first, [&](const Row& row) {
    const Packed& a = row.attributes;
    return out.Write(EncodeRecord({a.mode, a.uid, a.gid, a.mtime, row.HasExtra() ? ++extras : 0}));
  }));
  std::uint64_t strings = 0, special = 0;
  if (extras > 0) {
    STRATA_TRY(ForEachRow(nodes_, first, [&](const Row& row) -> Result<void> {
      if (!row.HasExtra()) return {};
      const auto xattrs = static_cast<std::uint32_t>(row.attributes.xattrs.size());
      const std::uint64_t first_link = row.links > 0 ? row.first_link - first : 0;
      STRATA_TRY(out.Write(EncodeExtra(
          {xattrs > 0 ? strings : 0, xattrs, row.links, first_link, row.specials > 0 ? special : 0, row.specials})));
      strings += xattrs;
      special += row.specials;
      return {};
    }));
  }
  STRATA_TRY(ForEachSpecial(specials_, first, [&](const SpecialRow& row) -> Result<void> {
    STRATA_TRY(out.Write(EncodeSpecial(row.entry, strings)));
    strings += row.entry.name.size() + row.xattrs.size();
    return {};
  }));
  if (extras > 0) {
    STRATA_TRY(ForEachRow(nodes_, first, [&](const Row& row) { return out.Write(AsBytes(row.attributes.xattrs)); }));
  }
  STRATA_TRY(ForEachSpecial(specials_, first, [&](const SpecialRow& row) -> Result<void> {
    STRATA_TRY(out.Write(AsBytes(row.entry.name)));
    return out.Write(AsBytes(row.xattrs));
  }));
  STRATA_TRY(out.Flush());
  return writer->Close();
}

}  // namespace strata::store
