// Arbitrary bytes as a pack. The first byte says how they are dressed: 1, a valid header is put before them; 2, the
// checksums of what looks like a record are put right, so that the fuzzer gets past them. Every record that is found
// must lie within the file, and what it holds must be read or refused.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/hash.h"
#include "store/pack/format.h"
#include "store/pack/list_record.h"
#include "store/pack/pack_files.h"
#include "store/pack/scan.h"
#include "tests/store/pack/one_file_env.h"

namespace {

using namespace strata;
using namespace strata::store::pack;

constexpr PackId kPack{42};

void RepairRecords(std::vector<std::byte>& bytes) {
  for (std::size_t at = kPackHeaderBytes; at + kRecordHeaderBytes <= bytes.size();) {
    std::byte* const here = bytes.data() + at;
    if (AsText(ByteSpan(here, 4)) != "STPR") {
      ++at;
      continue;
    }
    RecordHeader header{.kind = static_cast<RecordKind>(LoadLe<std::uint8_t>(here + 4)),
                        .method = static_cast<Method>(LoadLe<std::uint8_t>(here + 5)),
                        .raw = LoadLe<std::uint32_t>(here + 8),
                        .stored = LoadLe<std::uint32_t>(here + 12),
                        .digest = {}};
    if (header.raw > 1 << 20) header.raw %= 1 << 20;
    if (header.method == Method::kRaw) header.stored = header.raw;
    const std::size_t room = bytes.size() - at - kRecordHeaderBytes;
    if (header.stored <= room) header.stored_crc = Crc32c(ByteSpan(here + kRecordHeaderBytes, header.stored));
    EncodeRecordHeader(header, kPack, at, here);
    at += kRecordHeaderBytes + std::min<std::size_t>(header.stored, room);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1 || size > 1 << 16) return 0;
  const unsigned dress = data[0];
  const auto* const begin = reinterpret_cast<const std::byte*>(data) + 1;
  std::vector<std::byte> bytes(begin, begin + (size - 1));
  if ((dress & 1) != 0) {
    const auto header = EncodePackHeader({.pack_class = PackClass::kData, .id = kPack, .created = {}});
    bytes.insert(bytes.begin(), header.begin(), header.end());
  }
  if ((dress & 2) != 0) RepairRecords(bytes);
  OneFileEnv env(bytes);
  PackFiles files(env, "packs", 4);
  const auto pack = files.Open(true, kPack);
  if (!pack) return 0;
  for (const auto depth : {PackScan::Depth::kHeaders, PackScan::Depth::kStored}) {
    PackScan scan(*(*pack)->file, kPack, kPackHeaderBytes, bytes.size(), depth);
    std::uint64_t at = kPackHeaderBytes;
    while (true) {
      const auto found = scan.Next();
      if (!found) std::abort();
      if (*found == PackScan::Found::kEnd) break;
      const std::uint64_t first = *found == PackScan::Found::kRecord ? scan.offset() : scan.damage().begin;
      const std::uint64_t end = *found == PackScan::Found::kRecord ? scan.location().end() : scan.damage().end;
      if (first != at || end <= at || end > bytes.size()) std::abort();
      at = end;
      if (*found == PackScan::Found::kDamage) continue;
      if (depth == PackScan::Depth::kHeaders) continue;
      const auto content = files.Read(true, scan.header().digest, scan.location());
      if (content && scan.header().kind == RecordKind::kList) (void)ParseList(content->span());
    }
    if (at != bytes.size()) std::abort();
  }
  return 0;
}
