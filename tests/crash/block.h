// Blocks that say what they are: which file, which write, which offset. A block read back is the one that was written
// there or it is not; nothing can pass for it by chance, and a torn one names both its halves.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace strata::crash {

inline constexpr std::size_t kBlockSize = 4096;

struct BlockName {
  std::uint32_t file = 0;
  std::uint32_t version = 0;  // of the file: each write has the next one; 0 is never written
  std::uint64_t offset = 0;   // in the file, a multiple of kBlockSize
  std::uint64_t seed = 0;     // of the run
};

// kBlockSize bytes: 4 times a 1 KiB sector of "STRATABK", file, version, offset, seed, sector, checksum and filling.
std::string MakeBlock(const BlockName& name);

// What some bytes are, in words: "version 7 of file 12 at 8192", "zeros", or sector by sector where those differ.
std::string DescribeBlock(std::string_view bytes);

}  // namespace strata::crash
