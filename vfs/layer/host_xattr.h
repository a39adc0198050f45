// Extended attributes of what a host folder holds, without those by which an overlay marks its files (specs overlay
// S6).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace strata::vfs::host {

// Whether it is one of an overlay's own, which no layer shows.
bool IsOverlayAttribute(std::string_view attribute);

// Of the name itself, never of what a symlink points to; `name` has no '/' and is "" for the directory itself. In the
// order of the names' bytes. kStale where nothing has that name any more.
Result<std::vector<std::string>> ListXattrAt(int directory, std::string_view name);
// kNotFound where it has none of that name; kStale as above.
Result<std::string> GetXattrAt(int directory, std::string_view name, std::string_view attribute);

}  // namespace strata::vfs::host
