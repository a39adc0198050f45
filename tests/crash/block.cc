#include "tests/crash/block.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "base/hash.h"

namespace strata::crash {
namespace {

constexpr std::size_t kSectorSize = 1024;
constexpr char kMagic[8] = {'S', 'T', 'R', 'A', 'T', 'A', 'B', 'K'};

struct SectorHead {
  char magic[8];
  std::uint32_t file, version;
  std::uint64_t offset, seed, sector, checksum;  // the checksum covers the whole sector with 0 in its place
};
static_assert(sizeof(SectorHead) == 48);

std::uint64_t Checksum(std::string sector) {
  SectorHead head;
  std::memcpy(&head, sector.data(), sizeof head);
  head.checksum = 0;
  std::memcpy(sector.data(), &head, sizeof head);
  return SipHash13({1, 2}, std::as_bytes(std::span(sector)));
}

std::string MakeSector(const BlockName& name, std::uint64_t sector) {
  std::string bytes(kSectorSize, '\0');
  SectorHead head{};
  std::memcpy(head.magic, kMagic, sizeof kMagic);
  head.file = name.file, head.version = name.version, head.offset = name.offset, head.seed = name.seed;
  head.sector = sector;
  std::uint64_t state = name.seed ^ (std::uint64_t{name.file} << 40) ^ (std::uint64_t{name.version} << 16) ^
                        (name.offset + sector * 0x9e3779b97f4a7c15ULL);
  for (std::size_t at = sizeof head; at + sizeof state <= bytes.size(); at += sizeof state) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    std::memcpy(bytes.data() + at, &state, sizeof state);
  }
  std::memcpy(bytes.data(), &head, sizeof head);
  head.checksum = Checksum(bytes);
  std::memcpy(bytes.data(), &head, sizeof head);
  return bytes;
}

std::string DescribeSector(std::string_view bytes) {
  if (std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == '\0'; })) return "zeros";
  SectorHead head;
  if (bytes.size() < sizeof head || std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0) return "foreign bytes";
  std::memcpy(&head, bytes.data(), sizeof head);
  std::string text = "version " + std::to_string(head.version) + " of file " + std::to_string(head.file) + " at " +
                     std::to_string(head.offset);
  if (bytes.size() == kSectorSize && Checksum(std::string(bytes)) != head.checksum) text += ", damaged";
  if (bytes.size() < kSectorSize) text += ", its first " + std::to_string(bytes.size()) + " bytes";
  return text;
}

}  // namespace

std::string MakeBlock(const BlockName& name) {
  std::string block;
  block.reserve(kBlockSize);
  for (std::uint64_t sector = 0; sector < kBlockSize / kSectorSize; ++sector) block += MakeSector(name, sector);
  return block;
}

std::string DescribeBlock(std::string_view bytes) {
  std::string text, last;
  for (std::size_t at = 0; at < bytes.size(); at += kSectorSize) {
    std::string sector = DescribeSector(bytes.substr(at, kSectorSize));
    if (sector == last) continue;
    if (!text.empty()) text += "; from byte " + std::to_string(at) + ": ";
    text += sector;
    last = std::move(sector);
  }
  return text.empty() ? "nothing" : text;
}

}  // namespace strata::crash
