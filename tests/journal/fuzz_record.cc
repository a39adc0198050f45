// Arbitrary bytes as the head of a record: it is refused, or what it holds can be written and read again.
#include <cstdint>
#include <cstdlib>

#include "journal/record.h"

namespace {

using strata::Result;
using namespace strata::journal;

class Rewriter final : public EffectVisitor {
 public:
  Result<void> On(const strata::InodeRecord& inode) override { return Write(inode); }
  Result<void> On(const TouchEffect& effect) override { return Write(effect); }
  Result<void> On(const EntryEffect& effect) override { return Write(effect); }
  Result<void> On(const DataEffect& effect) override { return Write(effect); }
  Result<void> On(const TruncateEffect& effect) override { return Write(effect); }
  Result<void> On(const PurgeEffect& effect) override { return Write(effect); }

  RecordWriter writer;
  int effects = 0;

 private:
  template <typename Effect>
  Result<void> Write(const Effect& effect) {
    writer.Add(effect);
    ++effects;
    return {};
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const strata::ByteSpan head = std::as_bytes(std::span(data, size));
  constexpr std::uint64_t kPayload = 1000;
  Rewriter first;
  const auto header = ReadRecordHeader(head);
  if (header) first.writer.Begin(*header);
  const auto visited = VisitRecord(head, kPayload, first);
  if (!visited) return 0;
  if (!header || !(*header == *visited)) std::abort();
  Rewriter second;
  second.writer.Begin(*visited);
  const auto again = VisitRecord(first.writer.head(), kPayload, second);
  if (!again || first.effects != second.effects) std::abort();
  const auto a = strata::AsText(first.writer.head());
  if (a != strata::AsText(second.writer.head())) std::abort();
  return 0;
}
