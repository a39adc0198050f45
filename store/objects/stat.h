// What a store of objects holds, counted.
#pragma once

#include "base/status.h"
#include "store/castore/directory_service.h"
#include "store/castore/root_nodes.h"
#include "store/objects/bucket.h"
#include "store/pack/stat.h"

namespace strata::store {

// Lists all objects. Of chunks the beginning is read, and the whole of those that do not say how long their content is;
// what cannot be read counts as nothing. Of directories those of each closure count, also where several have the same.
// `directories` and `roots`: of the same bucket.
Result<pack::StoreStat> StatObjects(ObjectBucket& bucket, DirectoryService& directories, RootNodes& roots,
                                    const pack::StatOptions& options = {});

}  // namespace strata::store
