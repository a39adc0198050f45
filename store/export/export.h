// Export: writes a castore tree as a folder or as a tar archive. What castore does not say comes from the attribute
// blob of its name, where there is one, and is the same each time where there is none.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "store/blobs/blob_service.h"
#include "store/castore/attributes.h"
#include "store/castore/directory_service.h"

namespace strata::store {

struct ExportSource {
  BlobService& blobs;
  DirectoryService& directories;
  Node root;
  const AttributesReader* attributes = nullptr;  // of that root
};

struct ExportProgress {
  std::uint64_t nodes = 0;  // written
  std::uint64_t bytes = 0;
  std::uint64_t total = 0;  // nodes in all, as the root says; 0 where it does not
};

struct ExportOptions {
  bool skip_unsupported = false;  // what cannot be made is left out and named, else refused
  std::function<void(const ExportProgress&)> progress;
};

struct ExportReport {
  std::uint64_t files = 0, directories = 0, symlinks = 0, bytes = 0;
  std::uint64_t hard_links = 0;  // names of a file beyond its first
  std::uint64_t specials = 0;    // devices, fifos and sockets
  std::uint64_t skipped = 0;
  std::vector<std::string> skipped_names;  // the first kMostNames of them
  bool owners_left = false;                // owners are kept, but only the superuser may set them

  static constexpr std::size_t kMostNames = 1000;
};

// Writes to `path`, which must not be there yet or be an empty folder (kNotEmpty, kExists). No symlink is followed
// within it. Without attributes: modes 0644 and 0755, and times of 0. All is on the disk when this returns; after an
// error what was written so far is left there.
Result<ExportReport> ExportToFolder(const ExportSource& source, const std::string& path, const ExportOptions& options);

// Writes a pax archive, which depends on the tree and its attributes alone: names in the order of their bytes, and
// without attributes modes as castore file systems have them (CA-51), owner and times of 0. `name` is the top's: of a
// directory "." gives "./", "./a" and so on, which importing gives back as it was.
Result<ExportReport> ExportToTar(const ExportSource& source, const std::string& name,
                                 const std::function<Result<void>(ByteSpan)>& write, const ExportOptions& options);

}  // namespace strata::store
