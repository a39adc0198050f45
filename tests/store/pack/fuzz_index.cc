// Arbitrary bytes as an index file. The first byte says how they are dressed: 1, the checksum of the header is put
// right; 2, those of the pages, and of the rest.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "base/hash.h"
#include "store/pack/index_file.h"
#include "tests/store/pack/one_file_env.h"

namespace {

using namespace strata;
using namespace strata::store;
using namespace strata::store::pack;

constexpr std::size_t kHeaderUsed = 128;

// The checksum of `size` bytes from `at` on, as far as they are there.
std::uint32_t SumOf(const std::vector<std::byte>& bytes, std::uint64_t at, std::uint64_t size) {
  return at + size <= bytes.size() ? Crc32c(ByteSpan(bytes).subspan(at, size)) : 0;
}

void Repair(std::vector<std::byte>& bytes, bool all) {
  if (bytes.size() < kHeaderUsed) return;
  const auto seal = [&] { StoreLe(bytes.data() + kHeaderUsed - 4, Crc32c(ByteSpan(bytes).first(kHeaderUsed - 4))); };
  seal();
  IndexHeader header;
  if (!all || DecodeIndexHeader(bytes, header) != HeaderState::kValid) return;
  StoreLe(bytes.data() + 56, SumOf(bytes, header.RangesOffset(), std::uint64_t{header.ranges} * 24));
  StoreLe(bytes.data() + 60, SumOf(bytes, header.FilterOffset(), header.filter_blocks * DigestFilter::kBlockBytes));
  seal();
  IndexPage page;
  for (std::uint64_t i = 0; i < header.pages && header.PagesOffset() + (i + 1) * kIndexPageBytes <= bytes.size(); ++i) {
    std::byte* const at = bytes.data() + header.PagesOffset() + i * kIndexPageBytes;
    std::copy_n(at, kIndexPageBytes, page.bytes.begin());
    page.Seal(page.count() % (kIndexPageEntries + 1), header.id, i);
    std::copy_n(page.bytes.begin(), kIndexPageBytes, at);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1 || size > 1 << 16) return 0;
  const unsigned dress = data[0];
  const auto* const begin = reinterpret_cast<const std::byte*>(data) + 1;
  std::vector<std::byte> bytes(begin, begin + (size - 1));
  if ((dress & 1) != 0) Repair(bytes, (dress & 2) != 0);
  OneFileEnv env(bytes);
  const auto index = IndexFile::Open(env, "index", 1 << 20);
  if (!index) return 0;
  IndexCursor cursor(**index);
  std::uint64_t entries = 0;
  while (true) {
    const auto more = cursor.Next();
    if (!more || !*more) break;
    if (++entries > (*index)->Places() || cursor.place() >= (*index)->Places()) std::abort();
    IndexFile::FoundList found;
    const auto looked = (*index)->Find(true, cursor.entry().digest, found);
    for (const IndexFile::Found& one : found) {
      if (one.place >= (*index)->Places() || one.range >= (*index)->ranges().size()) std::abort();
    }
  }
  IndexFile::FoundList found;
  (void)(*index)->Find(true, Digest::OfEmpty(), found);
  return 0;
}
