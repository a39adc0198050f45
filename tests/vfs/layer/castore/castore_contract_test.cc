// The contract of layers, over trees of a store.
#include "tests/vfs/layer/castore/roots_testing.h"
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

// What the top holds are the roots.
LayerBackend Roots(const char* name, std::int64_t recheck, std::size_t memory) {
  const auto make = [=](const std::vector<MemoryEntry>& entries) {
    const auto kept = std::make_shared<RootStore>();
    kept->options.recheck_after_ns = recheck;
    kept->options.trees.memory_bytes = memory;
    const store::Root all = StoreRoot(kept->store, entries, Keep::kNodes, store::SizeRule::kDocumented);
    const auto directory = kept->store.directories->Get({}, all.node.digest);
    for (std::size_t i = 0; i < (*directory)->count(); ++i) {
      kept->Set(std::string((*directory)->At(i).name), (*directory)->At(i).node());
    }
    return [kept] { return kept->Open(); };
  };
  return {.name = name, .make = make, .keeps_all = false};
}

INSTANTIATE_TEST_SUITE_P(Roots, LayerContract,
                         ::testing::Values(Roots("Roots", 1'000'000'000, 16 << 20),
                                           Roots("RootsAskedEachTime", 0, 16 << 20),
                                           Roots("RootsThatRememberLittle", 1'000'000'000, 8)),
                         LayerContract::Name);

}  // namespace
}  // namespace strata::vfs
