// What the disk itself allows.
#pragma once

#include <string>
#include <vector>

namespace nfsbench {

// `nfsbench disk DIR [--secs S]`: appends 4 KiB records to a file made in DIR, with one fdatasync for each 1 and for
// each 64 of them, and prints a JSON line for both.
int DiskFloorMain(const std::vector<std::string>& arguments);

}  // namespace nfsbench
