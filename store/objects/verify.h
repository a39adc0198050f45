// Verification of a store of objects: reads all of it, and names what is damaged or missing.
#pragma once

#include <memory>

#include "base/status.h"
#include "store/castore/directory_service.h"
#include "store/objects/bucket.h"
#include "store/pack/verify_report.h"

namespace strata::store {

// Reads every chunk, every list of chunks and every closure (a tree's directories) that the bucket has, also those that
// no name reaches:
//
// - a chunk is decompressed, and its digest compared with its key;
// - the chunks that a list names are there and of the sizes that it says; with `blobs` they are read once more, and
//   make the blob that the list is of;
// - a closure is whole: each directory hashes to what names it, none is missing, sizes agree (CA-41, CA-42, CA-70); and
//   the blobs of its files are there;
// - with `reached`, what each name stands for is there, and its attributes.
//
// What is found is told when all was read, with the first path of a name that leads there (of 10,000 findings; more
// are told at once). An object that cannot be read for another reason, such as a disk that fails, is a finding too.
// Files that are no object of the layout are passed over, but those whose names are digests and that stand where nobody
// looks for them.
//
// Memory: 32 bytes for each list and each closure. `directories`: of the same bucket, to find the paths.
Result<pack::VerifyReport> VerifyObjects(const std::shared_ptr<ObjectBucket>& bucket, DirectoryService& directories,
                                         const pack::VerifyOptions& options = {});

}  // namespace strata::store
