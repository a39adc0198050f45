// TarWriter: entries of a pax archive (POSIX.1-2001). The same entries give the same bytes, with every version of every
// library: a pax header stands only before an entry that its own header cannot say.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/attributes.h"
#include "base/bytes.h"
#include "base/status.h"
#include "store/castore/attributes.h"

namespace strata::store {

// What a tar archive calls an entry, in its type field.
enum class TarFlag : char {
  kFile = '0',
  kHardLink = '1',
  kSymlink = '2',
  kCharacterDevice = '3',
  kBlockDevice = '4',
  kDirectory = '5',
  kFifo = '6',
};

// Not thread-safe.
class TarWriter {
 public:
  explicit TarWriter(std::function<Result<void>(ByteSpan)> write) : write_(std::move(write)) {}

  // Of a file, `size` bytes follow by Data, and then the next. `target`: of a link.
  Result<void> Begin(TarFlag flag, std::string_view path, std::string_view target, std::uint64_t size,
                     const NodeAttributes& attributes, DeviceNumber device = {});
  Result<void> Data(ByteSpan bytes);
  // The end mark. kServerFault where a file did not get its size.
  Result<void> Finish();

 private:
  Result<void> Header(char flag, std::string_view name, std::string_view prefix, std::string_view target,
                      std::uint64_t size, std::uint32_t mode, std::uint64_t uid, std::uint64_t gid, std::uint64_t mtime,
                      DeviceNumber device);
  Result<void> Pad();

  const std::function<Result<void>(ByteSpan)> write_;
  std::uint64_t wanted_ = 0, got_ = 0;  // of the present file
};

}  // namespace strata::store
