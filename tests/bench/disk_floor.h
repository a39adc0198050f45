// What the disk itself allows.
#pragma once

#include <string>
#include <vector>

namespace nfsbench {

// `nfsbench disk DIR [--secs S]`: a plain loop that appends records to a file made in DIR, with one fdatasync for each
// 1 and for each 64 of them; prints a JSON line for both, and one for a file that grows with each append. A record is
// what strata's journal takes for one file that is made and written with 4 KiB.
//
// The file of the first two had its blocks written before, which is not timed: a file system then has nothing of its
// own to bring to the disk. Where it has, as for a file that grows or is only allocated, ext4 is some ten times slower;
// the stricter floor is the one that counts.
int DiskFloorMain(const std::vector<std::string>& arguments);

}  // namespace nfsbench
