// What the blocks of a tar archive say: the header block (POSIX.1-1988 ustar, GNU, and what came before), and the
// records of a pax extended header (POSIX.1-2001). Names are bytes: no character set is known here.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/attributes.h"
#include "base/bytes.h"
#include "base/status.h"

namespace strata::store {

inline constexpr std::size_t kTarBlock = 512;
using TarBlock = std::array<std::byte, kTarBlock>;

enum class TarDialect : std::uint8_t { kOld, kUstar, kGnu };

// A stretch of a sparse file that holds data; zeros lie between.
struct TarExtent {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

// A header block. Names as they stand there: without their continuation in other blocks.
struct TarHeader {
  TarDialect dialect = TarDialect::kOld;
  char type = '0';  // as the block has it; NUL is the old form of '0'
  std::string path;
  std::string link;
  std::uint32_t mode = 0;  // with kModeMask
  std::uint32_t uid = 0, gid = 0;
  std::uint64_t size = 0;  // bytes that follow
  Time mtime;
  DeviceNumber device;
};

bool IsZeroBlock(ByteSpan block);
// Nothing: the block is no header (its checksum is wrong). kInvalid where its sizes or its mode cannot be.
Result<std::optional<TarHeader>> ParseTarHeader(const TarBlock& block);

// The sparse map in a GNU header of type 'S' and in the blocks that continue it.
struct GnuSparseBlock {
  std::vector<TarExtent> extents;
  std::uint64_t real_size = 0;  // of the header only
  bool continued = false;       // a block of the map follows
};
Result<GnuSparseBlock> ParseGnuSparseHeader(const TarBlock& block);
Result<GnuSparseBlock> ParseGnuSparseExtension(const TarBlock& block);

// Calls `record` for each "LENGTH KEY=VALUE\n", until it fails.
Result<void> ParsePaxRecords(std::string_view text,
                             const std::function<Result<void>(std::string_view key, std::string_view value)>& record);
// A decimal number without a sign; nothing for anything else.
std::optional<std::uint64_t> ParsePaxNumber(std::string_view text);
// "-12.5": seconds with a fraction.
std::optional<Time> ParsePaxTime(std::string_view text);

}  // namespace strata::store
