// The marks by which a host folder says that names of the layers below are deleted or hidden (specs overlay 7).
#pragma once

#include <string_view>

#include "vfs/layer.h"
#include "vfs/layer/host_files.h"

namespace strata::vfs::host {

inline constexpr std::string_view kWhiteoutPrefix = ".wh.";
inline constexpr std::string_view kReservedPrefix = ".wh..wh.";  // .wh..wh..opq and AUFS' own
inline constexpr std::string_view kOpaqueName = ".wh..wh..opq";

// The name that the file `marker` deletes; empty where it is no such file.
inline std::string_view WhitedOut(std::string_view marker) {
  if (!marker.starts_with(kWhiteoutPrefix) || marker.starts_with(kReservedPrefix)) return {};
  const std::string_view name = marker.substr(kWhiteoutPrefix.size());
  return name == "." || name == ".." ? std::string_view() : name;
}

// A character device 0:0.
bool IsDeviceWhiteout(const FileStatus& status);
// Whether `directory` holds a regular file .wh.NAME.
Result<bool> HasWhiteoutFile(int directory, std::string_view name);

// What a directory's own marks say.
struct DirectoryMarks {
  bool opaque = false;
  bool whiteouts_by_attribute = false;  // its empty files may be whiteouts: overlay.opaque is "x"
  bool redirected = false;              // what lies below it is to be found under another name: overlay.redirect
};
// `name` may be ".". A directory that may not be read has no marks by attribute.
Result<DirectoryMarks> ReadMarks(int directory, std::string_view name, const MarkerStyles& styles);
// The same of a descriptor from OpenReadableAt.
Result<DirectoryMarks> ReadMarks(int readable, const MarkerStyles& styles);

// Whether the empty regular file has an overlay.whiteout attribute.
Result<bool> HasWhiteoutAttribute(int directory, std::string_view name);
// Whether the file holds only the metadata of one in a layer below: overlay.metacopy.
Result<bool> IsMetadataCopy(int file);

}  // namespace strata::vfs::host
