// Arbitrary bytes as the head of a record: it is refused, or what it holds can be written and read again.
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <vector>

#include "journal/record.h"

namespace {

using strata::Result;
using namespace strata::journal;

// Gathers the effects. What they refer to lives as long as this.
class Gatherer final : public EffectVisitor {
 public:
  explicit Gatherer(const RecordHeader& header) : change(header) {}
  Result<void> On(const strata::InodeRecord& inode) override { return Write(inodes_.emplace_back(inode)); }
  Result<void> On(const TouchEffect& effect) override { return Write(effect); }
  Result<void> On(const EntryEffect& effect) override { return Write(effect); }
  Result<void> On(const DataEffect& effect) override { return Write(effect); }
  Result<void> On(const TruncateEffect& effect) override { return Write(effect); }
  Result<void> On(const PurgeEffect& effect) override { return Write(effect); }

  std::vector<std::byte> Encoded() const {
    std::vector<std::byte> head;
    EncodeRecord(change, head);
    return head;
  }

  Change change;
  int effects = 0;

 private:
  std::deque<strata::InodeRecord> inodes_;

  template <typename Effect>
  Result<void> Write(const Effect& effect) {
    change.Add(effect);
    ++effects;
    return {};
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const strata::ByteSpan head = std::as_bytes(std::span(data, size));
  constexpr std::uint64_t kPayload = 1000;
  const auto header = ReadRecordHeader(head);
  Gatherer first(header.value_or(RecordHeader{}));
  const auto visited = VisitRecord(head, kPayload, first);
  if (!visited) return 0;
  if (!header || !(*header == *visited)) std::abort();
  Gatherer second(*visited);
  const std::vector<std::byte> written = first.Encoded();
  const auto again = VisitRecord(written, kPayload, second);
  if (!again || first.effects != second.effects) std::abort();
  if (written != second.Encoded()) std::abort();
  return 0;
}
