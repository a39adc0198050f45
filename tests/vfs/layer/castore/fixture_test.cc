// A tree that another program made (../shared/fixtures/castore), as it is served.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tests/store/fixtures.h"
#include "tests/vfs/layer/castore/castore_testing.h"

namespace strata::vfs {
namespace {

TEST(CastoreFixture, EachNodeIsServedAsItWasMade) {
  STRATA_FIXTURE(directories, "directories.json");
  STRATA_FIXTURE(tree, "tree.json");
  MemoryStore store;
  for (const auto& [digest, message] : directories.items()) {
    const auto parsed = store::Directory::Parse(FromHex(message.get<std::string>()));
    ASSERT_TRUE(parsed) << digest;
    ASSERT_EQ(store.directories->Put(*parsed)->Hex(), digest);
  }
  const auto digest_of = [](const nlohmann::json& entry) {
    return *store::Digest::Parse(entry.at("digest").get<std::string>());
  };
  const auto root =
      store::Node::OfDirectory(digest_of(tree.at("root")), tree.at("root").at("size").get<std::uint64_t>());
  const auto layer = OpenNode(store, root);
  const auto nodes = WalkLayer(*layer);
  EXPECT_EQ(nodes.size(), tree.at("entries").size() + 1);
  EXPECT_EQ(nodes.size(), root.size + 1);
  const auto fresh = OpenNode(store, root, {.memory_bytes = 8});
  for (const nlohmann::json& entry : tree.at("entries")) {
    const std::string path = store::TextFromHex(entry.at("path_hex").get<std::string>());
    SCOPED_TRACE(path);
    const auto found = nodes.find(path);
    ASSERT_NE(found, nodes.end());
    const LayerStat& stat = found->second;
    EXPECT_EQ(fresh->PathOf(kBackground, Bare(stat.node.id)), path);
    const auto kind = entry.at("kind").get<std::string>();
    if (kind == "symlink") {
      const std::string target = store::TextFromHex(entry.at("target_hex").get<std::string>());
      EXPECT_EQ(layer->ReadLink(kBackground, stat.node), target);
      EXPECT_EQ(stat.attributes.size, target.size());
      continue;
    }
    EXPECT_EQ(stat.attributes.size, entry.at("size").get<std::uint64_t>());
    const bool file = kind == "file";
    EXPECT_EQ(stat.attributes.type, file ? FileType::kRegular : FileType::kDirectory);
    EXPECT_EQ(stat.attributes.mode, !file || entry.at("executable").get<bool>() ? 0555u : 0444u);
    EXPECT_EQ(layer->GetXattr(kBackground, stat.node,
                              file ? "user.tvix.castore.blob.digest" : "user.tvix.castore.directory.digest"),
              digest_of(entry).Text());
  }
}

}  // namespace
}  // namespace strata::vfs
