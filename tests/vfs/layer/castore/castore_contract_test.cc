// The contract of layers, over trees of a store.
#include "tests/vfs/layer/castore/castore_testing.h"
#include "tests/vfs/layer/layer_contract.h"

namespace strata::vfs {
namespace {

LayerBackend Castore(const char* name, Keep keep, store::SizeRule rule, std::size_t memory = 16 << 20) {
  const auto make = [=](const std::vector<MemoryEntry>& entries) {
    const auto tree = std::make_shared<StoredTree>(StoreTree(entries, keep, rule));
    return [tree, memory] { return OpenStored(*tree, {.memory_bytes = memory}); };
  };
  return {.name = name, .make = make, .keeps_all = keep == Keep::kAll};
}

INSTANTIATE_TEST_SUITE_P(
    Castore, LayerContract,
    ::testing::Values(Castore("Plain", Keep::kNodes, store::SizeRule::kDocumented),
                      Castore("PlainDoubled", Keep::kNodes, store::SizeRule::kDoubled),
                      Castore("PlainThatRemembersLittle", Keep::kNodes, store::SizeRule::kDocumented, 8),
                      Castore("WithAttributes", Keep::kAll, store::SizeRule::kDocumented),
                      Castore("WithAttributesDoubled", Keep::kAll, store::SizeRule::kDoubled),
                      Castore("WithAttributesThatRemembersLittle", Keep::kAll, store::SizeRule::kDoubled, 8)),
    LayerContract::Name);

}  // namespace
}  // namespace strata::vfs
