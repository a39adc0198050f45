// Checks over the rows of an index: whether they make a tree, and whether two indexes tell the same.
#pragma once

#include <functional>

#include "store/index/scan.h"
#include "vfs/check/findings.h"
#include "vfs/layer/lower_tree.h"

namespace strata::vfs {

using CheckProgress = std::function<void(double)>;

// Links, parents, kinds, extents within their files, orphans and entries that lead nowhere, and what changed in the
// layers beneath. `lower` may be null, where the layers cannot be read.
Result<void> CheckTree(store::Index& index, LowerTree* lower, const SipHashKey& name_key, Findings& findings,
                       const CheckProgress& progress);

// What `index` tells otherwise than `truth` does, each difference a finding.
Result<void> CompareIndexes(store::Index& index, store::Index& truth, Findings& findings,
                            const CheckProgress& progress);

}  // namespace strata::vfs
