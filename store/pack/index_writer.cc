#include "store/pack/index_writer.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <limits>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "base/hash.h"
#include "store/locked_file.h"

namespace strata::store::pack {
namespace {

// Of 85: few digests find their page full, and none of the rest is far away.
constexpr std::uint64_t kEntriesAHomePage = 74;
constexpr std::size_t kWrittenAtOnce = 64 * kIndexPageBytes;

auto OrderOf(const IndexEntry& entry) { return std::tie(entry.digest, entry.location.pack, entry.location.offset); }

bool Less(const IndexEntry& a, const IndexEntry& b) { return OrderOf(a) < OrderOf(b); }

// Of each pack: stretches that meet are one.
std::vector<PackRange> Join(std::vector<PackRange> ranges) {
  std::ranges::sort(ranges, {}, [](const PackRange& range) { return std::pair(range.pack.value, range.begin); });
  std::vector<PackRange> joined;
  for (const PackRange& range : ranges) {
    if (joined.empty() || joined.back().pack != range.pack || joined.back().end < range.begin) {
      joined.push_back(range);
      continue;
    }
    PackRange& last = joined.back();
    // Where they overlap, how many there are is not known; nothing depends on it.
    last.records = last.end == range.begin ? last.records + range.records : std::max(last.records, range.records);
    last.newest = std::max(last.newest, range.newest);
    last.end = std::max(last.end, range.end);
  }
  return joined;
}

}  // namespace

Result<std::unique_ptr<IndexWriter>> IndexWriter::Create(Env& env, const std::string& path, std::uint64_t id,
                                                         std::vector<PackRange> ranges, std::uint64_t most) {
  if (ranges.size() > kMaxIndexRanges) return Fail(Errc::kInvalid, "an index of too many packs");
  STRATA_ASSIGN(auto file, CreateLocked(env, path));
  return std::unique_ptr<IndexWriter>(new IndexWriter(std::move(file), id, std::move(ranges), most));
}

IndexWriter::IndexWriter(std::unique_ptr<File> file, std::uint64_t id, std::vector<PackRange> ranges,
                         std::uint64_t most)
    : file_(std::move(file)), ranges_(std::move(ranges)), filter_(DigestFilter::BlocksFor(most)) {
  header_.id = id;
  header_.ranges = static_cast<std::uint32_t>(ranges_.size());
  header_.home_pages = most / kEntriesAHomePage + 1;
  header_.filter_blocks = DigestFilter::BlocksFor(most);
  out_.reserve(kWrittenAtOnce);
}

Result<void> IndexWriter::Add(const Digest& digest, std::size_t range, const Location& location) {
  const std::uint64_t home = HomePage(digest, header_.home_pages);
  while (number_ < home || count_ == kIndexPageEntries) STRATA_TRY(EndPage());
  page_.Put(count_++, digest, static_cast<std::uint16_t>(range), location);
  filter_.Add(digest);
  ++header_.entries;
  return {};
}

Result<void> IndexWriter::EndPage() {
  page_.Seal(count_, header_.id, number_);
  out_.insert(out_.end(), page_.bytes.begin(), page_.bytes.end());
  ++number_;
  count_ = 0;
  return out_.size() < kWrittenAtOnce ? Result<void>{} : WriteOut();
}

Result<void> IndexWriter::WriteOut() {
  if (out_.empty()) return {};
  const ByteSpan pieces[] = {out_};
  STRATA_TRY(file_->WriteAt(header_.PagesOffset() + written_ * kIndexPageBytes, pieces));
  written_ += out_.size() / kIndexPageBytes;
  out_.clear();
  return {};
}

Result<std::unique_ptr<File>> IndexWriter::Finish() {
  while (number_ < header_.home_pages || count_ > 0) STRATA_TRY(EndPage());
  STRATA_TRY(WriteOut());
  header_.pages = number_;
  const std::vector<std::byte> table = EncodeRanges(ranges_);
  header_.ranges_crc = Crc32c(table);
  header_.filter_crc = Crc32c(filter_.bytes());
  const ByteSpan table_pieces[] = {table};
  STRATA_TRY(file_->WriteAt(header_.RangesOffset(), table_pieces));
  const ByteSpan filter_pieces[] = {filter_.bytes()};
  STRATA_TRY(file_->WriteAt(header_.FilterOffset(), filter_pieces));
  const auto head = EncodeIndexHeader(header_);
  const ByteSpan head_pieces[] = {head};
  STRATA_TRY(file_->WriteAt(0, head_pieces));
  STRATA_TRY(file_->SyncData());
  return std::move(file_);
}

Result<std::unique_ptr<File>> WriteIndex(Env& env, const std::string& path, std::uint64_t id,
                                         std::vector<PackRange> ranges, std::vector<IndexEntry>& entries) {
  std::ranges::sort(entries, Less);
  absl::flat_hash_map<PackId, std::size_t> slots;
  for (std::size_t i = 0; i < ranges.size(); ++i) slots.emplace(ranges[i].pack, i);
  STRATA_ASSIGN(const auto writer, IndexWriter::Create(env, path, id, std::move(ranges), entries.size()));
  for (const IndexEntry& entry : entries) {
    const auto slot = slots.find(entry.location.pack);
    if (slot != slots.end()) STRATA_TRY(writer->Add(entry.digest, slot->second, entry.location));
  }
  return writer->Finish();
}

Result<MergeResult> MergeIndexes(Env& env, const std::string& path, std::uint64_t id,
                                 std::span<const std::shared_ptr<IndexFile>> sources,
                                 const std::function<bool(PackId)>& keeps) {
  constexpr std::size_t kGone = std::numeric_limits<std::size_t>::max();
  struct Source {
    IndexCursor cursor;
    std::vector<std::size_t> slots;  // of its ranges, in the new index
    bool more = false;
  };
  std::vector<PackRange> ranges;
  std::uint64_t most = 0;
  for (const auto& source : sources) {
    most += source->entries();
    std::ranges::copy_if(source->ranges(), std::back_inserter(ranges), keeps, &PackRange::pack);
  }
  ranges = Join(std::move(ranges));
  // All entries of a pack name its first stretch.
  absl::flat_hash_map<PackId, std::size_t> slot_of;
  for (std::size_t i = 0; i < ranges.size(); ++i) slot_of.emplace(ranges[i].pack, i);
  std::vector<Source> inputs;
  for (const auto& source : sources) {
    Source& input = inputs.emplace_back(Source{IndexCursor(*source), {}});
    for (const PackRange& range : source->ranges()) {
      const auto slot = slot_of.find(range.pack);
      input.slots.push_back(slot == slot_of.end() ? kGone : slot->second);
    }
  }
  STRATA_ASSIGN(const auto writer, IndexWriter::Create(env, path, id, std::move(ranges), most));
  MergeResult result;
  for (Source& input : inputs) {
    STRATA_ASSIGN(input.more, input.cursor.Next());
  }
  IndexEntry last;
  while (true) {
    Source* least = nullptr;
    for (Source& input : inputs) {
      if (input.more && (least == nullptr || Less(input.cursor.entry(), least->cursor.entry()))) least = &input;
    }
    if (least == nullptr) break;
    const IndexEntry& entry = least->cursor.entry();
    const std::size_t slot = least->slots[least->cursor.range()];
    const bool same = result.entries > 0 && OrderOf(entry) == OrderOf(last);
    if (slot == kGone || same) {
      ++result.dropped;
    } else {
      STRATA_TRY(writer->Add(entry.digest, slot, entry.location));
      last = entry;
      ++result.entries;
    }
    STRATA_ASSIGN(least->more, least->cursor.Next());
  }
  STRATA_ASSIGN(result.file, writer->Finish());
  return result;
}

}  // namespace strata::store::pack
