// The contracts of the interfaces, on pack stores: with packs so small that there are many, and with chunk lists so
// short that they have parts.
#include <gtest/gtest.h>

#include "tests/store/blobs/blob_service_contract.h"
#include "tests/store/castore/directory_service_contract.h"
#include "tests/store/castore/root_nodes_contract.h"
#include "tests/store/pack/pack_testing.h"

namespace strata::store {
namespace {

struct Ground {
  pack::QuickFolder folder;
};

// `Made` of a service, opened in a folder of its own.
template <typename Made, typename Service>
Made Make(const PackStoreOptions& options, std::shared_ptr<Service> Made::* service,
          std::shared_ptr<Service> (PackStore::*get)()) {
  Made made;
  const auto ground = std::make_shared<Ground>();
  made.ground = ground;
  const auto open = [ground, options, get] {
    return (pack::MustOpen(Env::System(), ground->folder / "store", options).get()->*get)();
  };
  made.*service = open();
  made.reopen = open;
  return made;
}

PackStoreOptions TinyPacks() {
  PackStoreOptions options = pack::SmallOptions();
  options.average_chunk = 512;
  options.pack_bytes = 64 << 10;
  options.list_entries = 5000;
  return options;
}
PackStoreOptions Usual() { return {.create = true, .memory_bytes = 32 << 20}; }

BlobServiceMaker Blobs(const std::string& name, const PackStoreOptions& options) {
  return {name, [options] {
            return Make<MadeBlobService, BlobService>(options, &MadeBlobService::service, &PackStore::blobs);
          }};
}
DirectoryServiceMaker Directories(const std::string& name, const PackStoreOptions& options) {
  return {name, [options] {
            return Make<MadeDirectoryService, DirectoryService>(options, &MadeDirectoryService::service,
                                                                &PackStore::directories);
          }};
}
RootNodesMaker Roots() {
  return {"Pack", [] { return Make<MadeRootNodes, RootNodes>(Usual(), &MadeRootNodes::roots, &PackStore::roots); }};
}

INSTANTIATE_TEST_SUITE_P(Pack, BlobServiceContract,
                         ::testing::Values(Blobs("Usual", Usual()), Blobs("TinyPacks", TinyPacks())),
                         BlobServiceMaker::Name);
INSTANTIATE_TEST_SUITE_P(Pack, DirectoryServiceContract,
                         ::testing::Values(Directories("Usual", Usual()), Directories("TinyPacks", TinyPacks())),
                         DirectoryServiceMaker::Name);
INSTANTIATE_TEST_SUITE_P(Pack, RootNodesContract, ::testing::Values(Roots()), RootNodesMaker::Name);

}  // namespace
}  // namespace strata::store
