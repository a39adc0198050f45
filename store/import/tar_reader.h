// TarReader: the entries of a tar archive, one after the other, in bounded memory: v7, ustar, GNU and pax, with long
// names, large numbers, sparse files and extended attributes. Nothing is believed unchecked, and nothing is extracted.
// (libarchive, which opens what is compressed, is not used for this: it gives names in the process's character set, and
// loses link targets that this cannot say.)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "store/castore/attributes.h"
#include "store/import/byte_source.h"
#include "store/import/tar_header.h"

namespace strata::store {

enum class TarType : std::uint8_t {
  kFile,
  kHardLink,
  kSymlink,
  kDirectory,
  kCharacterDevice,
  kBlockDevice,
  kFifo,
  kUnknown  // TarEntry::flag says what the archive calls it
};

struct TarEntry {
  TarType type = TarType::kFile;
  char flag = '0';
  std::string path;        // as the archive has it
  std::string target;      // of a symlink; of a hard link the path of the entry before
  std::uint64_t size = 0;  // of a file, holes included; 0 for all others
  NodeAttributes attributes;
  DeviceNumber device;
};

// Not thread-safe.
class TarReader {
 public:
  // A file that unfolds to more than `largest_file` bytes is refused: a sparse one of a kilobyte may claim any size.
  TarReader(ByteSource& source, std::uint64_t largest_file) : source_(source), largest_file_(largest_file) {}

  // The next entry; what was not read of the one before is passed over. False at the end. kInvalid for what is no tar
  // archive, was cut, or holds what cannot be; the message says where.
  Result<bool> Next(TarEntry& entry);
  // The data of a file: fills `out` until it ends. kInvalid "unexpected size for PATH wanted: X got: Y" where the
  // archive ends before.
  Result<std::size_t> ReadData(MutableByteSpan out);

  struct End {
    bool marked = false;  // by two blocks of zeros; else it may have been cut between two entries
    bool more = false;    // something other than zeros follows
  };
  // After the end: reads the source to its end, so that whoever writes to a pipe is not stopped.
  Result<End> Finish();

 private:
  struct Pax;
  Result<bool> ReadBlock(TarBlock& block);
  Result<bool> NextHeader(TarHeader& header);
  Result<bool> SkipBody();
  Result<std::string> ReadBody(std::uint64_t size, const char* what);
  Result<void> ReadPax(std::string_view text, Pax& pax) const;
  Result<void> SetEntry(const TarHeader& header, Pax& pax, TarEntry& entry);
  Result<void> SetSize(const TarHeader& header, const Pax& pax, TarEntry& entry);
  Result<void> ReadGnuSparse(TarEntry& entry);
  Result<void> ReadPaxSparse(Pax& pax, TarEntry& entry);
  Result<void> ReadSparseMapInBody();
  Result<void> CheckSparse(const TarEntry& entry);
  Result<bool> LinkHasBody();
  Status At(std::string_view what) const;

  ByteSource& source_;
  const std::uint64_t largest_file_;
  std::uint64_t position_ = 0;  // in the archive
  TarBlock header_block_{};
  std::optional<TarBlock> looked_ahead_;  // a block that was read too early
  bool begun_ = false, ended_ = false, marked_ = false;
  // Of the present entry.
  std::string path_;
  std::uint64_t size_ = 0;     // that it unfolds to
  std::uint64_t read_ = 0;     // of that
  std::uint64_t body_ = 0;     // bytes of it still in the archive
  std::uint64_t padding_ = 0;  // that follow them
  bool sparse_ = false;
  std::vector<TarExtent> extents_;
  std::size_t extent_ = 0;  // the first that does not end before read_
};

}  // namespace strata::store
