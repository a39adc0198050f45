// The contracts of blobs, directories and names, on object stores, near stores and compositions.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "store/blobs/memory.h"
#include "store/blobs/near.h"
#include "store/castore/combined_roots.h"
#include "store/castore/memory_directories.h"
#include "store/castore/near_directories.h"
#include "store/castore/simple_roots.h"
#include "store/objects/folder_bucket.h"
#include "store/objects/memory_bucket.h"
#include "store/objects/object_blobs.h"
#include "store/objects/object_directories.h"
#include "store/objects/object_roots.h"
#include "tests/base/temp_folder.h"
#include "tests/store/blobs/blob_service_contract.h"
#include "tests/store/castore/directory_service_contract.h"
#include "tests/store/castore/root_nodes_contract.h"

namespace strata::store {
namespace {

std::shared_ptr<ObjectBucket> InFolder(const TempFolder& folder) {
  return FolderBucket::Open(Env::System(), folder.path(), {.create = true}).value();
}

std::shared_ptr<BlobService> ObjectBlobsIn(std::shared_ptr<ObjectBucket> bucket, std::uint32_t average) {
  return ObjectBlobs::Make(std::move(bucket), ChunkSizes::OfAverage(average)).value();
}

std::shared_ptr<DirectoryService> ObjectDirectoriesIn(std::shared_ptr<ObjectBucket> bucket) {
  return std::make_shared<ObjectDirectories>(Env::System(), std::move(bucket), SpillOptions());
}

INSTANTIATE_TEST_SUITE_P(
    Objects, BlobServiceContract,
    ::testing::Values(BlobServiceMaker{"InMemory",
                                       [] {
                                         return MadeBlobService{
                                             nullptr, ObjectBlobsIn(std::make_shared<MemoryBucket>(), 4096), {}};
                                       }},
                      BlobServiceMaker{"InFolder",
                                       [] {
                                         const auto folder = std::make_shared<TempFolder>();
                                         const auto open = [at = folder.get()] {
                                           return ObjectBlobsIn(InFolder(*at), 262144);
                                         };
                                         return MadeBlobService{folder, open(), open};
                                       }},
                      BlobServiceMaker{"NearInFront",
                                       [] {
                                         return MadeBlobService{
                                             nullptr,
                                             NearBlobs::Make(std::make_shared<MemoryBlobService>(),
                                                             ObjectBlobsIn(std::make_shared<MemoryBucket>(), 4096)),
                                             {}};
                                       }}),
    BlobServiceMaker::Name);

INSTANTIATE_TEST_SUITE_P(
    Objects, DirectoryServiceContract,
    ::testing::Values(
        DirectoryServiceMaker{
            "InMemory",
            [] { return MadeDirectoryService{nullptr, ObjectDirectoriesIn(std::make_shared<MemoryBucket>()), {}}; },
            false},
        DirectoryServiceMaker{"InFolder",
                              [] {
                                const auto folder = std::make_shared<TempFolder>();
                                const auto open = [at = folder.get()] { return ObjectDirectoriesIn(InFolder(*at)); };
                                return MadeDirectoryService{folder, open(), open};
                              },
                              false},
        DirectoryServiceMaker{"NearInFrontOfObjects",
                              [] {
                                return MadeDirectoryService{
                                    nullptr,
                                    PutBefore(std::make_shared<MemoryDirectoryService>(),
                                              ObjectDirectoriesIn(std::make_shared<MemoryBucket>()), NearRole::kCache),
                                    {}};
                              },
                              false},
        DirectoryServiceMaker{"Cache",
                              [] {
                                return MadeDirectoryService{
                                    nullptr,
                                    PutBefore(std::make_shared<MemoryDirectoryService>(),
                                              std::make_shared<MemoryDirectoryService>(), NearRole::kCache),
                                    {}};
                              }},
        DirectoryServiceMaker{"Combined",
                              [] {
                                return MadeDirectoryService{
                                    nullptr,
                                    PutBefore(std::make_shared<MemoryDirectoryService>(),
                                              std::make_shared<MemoryDirectoryService>(), NearRole::kCombined),
                                    {}};
                              }}),
    DirectoryServiceMaker::Name);

INSTANTIATE_TEST_SUITE_P(
    Objects, RootNodesContract,
    ::testing::Values(
        RootNodesMaker{
            "InMemory",
            [] { return MadeRootNodes{nullptr, std::make_shared<ObjectRoots>(std::make_shared<MemoryBucket>()), {}}; }},
        RootNodesMaker{"InFolder",
                       [] {
                         const auto folder = std::make_shared<TempFolder>();
                         const auto open = [at = folder.get()]() -> std::shared_ptr<RootNodes> {
                           return std::make_shared<ObjectRoots>(InFolder(*at));
                         };
                         return MadeRootNodes{folder, open(), open};
                       }},
        RootNodesMaker{"Combined",
                       [] {
                         return MadeRootNodes{nullptr,
                                              std::make_shared<CombinedRoots>(std::make_shared<MemoryRootNodes>(),
                                                                              std::make_shared<MemoryRootNodes>()),
                                              {}};
                       }}),
    RootNodesMaker::Name);

}  // namespace
}  // namespace strata::store
