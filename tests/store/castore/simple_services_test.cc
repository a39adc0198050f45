// The services of directories and roots that need no disk and no net, and what the interfaces default to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/castore/memory_directories.h"
#include "store/castore/simple_roots.h"
#include "tests/store/castore/castore_testing.h"
#include "tests/store/castore/directory_service_contract.h"
#include "tests/store/castore/root_nodes_contract.h"

namespace strata::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

INSTANTIATE_TEST_SUITE_P(Simple, DirectoryServiceContract,
                         ::testing::Values(DirectoryServiceMaker{
                             "Memory",
                             [] { return MadeDirectoryService{{}, std::make_shared<MemoryDirectoryService>(), {}}; }}),
                         DirectoryServiceMaker::Name);

INSTANTIATE_TEST_SUITE_P(Simple, RootNodesContract,
                         ::testing::Values(RootNodesMaker{
                             "Memory", [] { return MadeRootNodes{{}, std::make_shared<MemoryRootNodes>(), {}}; }}),
                         RootNodesMaker::Name);

class LeastDirectoryService final : public DirectoryService {
 public:
  Result<std::optional<Directory>> Get(const Waiting&, const Digest&) override { return std::nullopt; }
  std::string Describe() const override { return "the least"; }
};

TEST(DirectoryService, ByDefaultItTakesNothing) {
  LeastDirectoryService service;
  const auto put = service.Put(DirectoryA());
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code(), Errc::kReadOnly);
  EXPECT_THAT(std::string(put.error().message()), HasSubstr("the least"));
  EXPECT_EQ(service.PutMany().value()->Put(DirectoryA()).error().code(), Errc::kReadOnly);
  EXPECT_TRUE(service.Sync());
}

TEST(MemoryDirectoryService, DirectoriesBeyondTheLimitAreRefused) {
  MemoryDirectoryService service(2 * Complicated().Footprint());
  ASSERT_TRUE(service.Put(Complicated()));
  EXPECT_TRUE(service.Put(Complicated())) << "the same again takes no more";
  const auto refused = service.Put(MakeDirectory({{std::string(250, 'n'), Node::OfSymlink(std::string(1000, 't'))}}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::kNoSpace);
}

TEST(DirectoryRootNodes, CA49_TheEntriesOfADirectoryAreTheRoots) {
  DirectoryRootNodes roots(Complicated());
  EXPECT_EQ(roots.Get({}, "keep").value().value().node, NodeTo(WithKeep()));
  EXPECT_EQ(roots.Get({}, "aa").value().value().node, Node::OfSymlink(std::string(kElsewhere)));
  EXPECT_FALSE(roots.Get({}, "a").value());
  EXPECT_FALSE(roots.Get({}, "keep/.keep").value());
  std::vector<std::string> names;
  const auto list = [&](std::size_t most) {
    names.clear();
    return roots.List({}, [&](std::string_view name, const Root& root) {
      EXPECT_EQ(root.attributes, std::nullopt);
      names.emplace_back(name);
      return names.size() < most;
    });
  };
  ASSERT_TRUE(list(10));
  EXPECT_THAT(names, ElementsAre(".keep", "aa", "keep"));
  ASSERT_TRUE(list(2));
  EXPECT_THAT(names, ElementsAre(".keep", "aa"));
}

TEST(DirectoryRootNodes, AreReadOnly) {
  DirectoryRootNodes roots(Complicated());
  EXPECT_EQ(roots.Set("new", Root{.node = NodeTo(WithKeep()), .attributes = {}, .set = {}}).error().code(),
            Errc::kReadOnly);
  EXPECT_EQ(roots.Remove("keep").error().code(), Errc::kReadOnly);
}

TEST(MemoryRootNodes, WhoListsMayChangeTheNames) {
  MemoryRootNodes roots;
  const Root root{.node = NodeTo(WithKeep()), .attributes = {}, .set = {}};
  ASSERT_TRUE(roots.Set("a", root));
  ASSERT_TRUE(roots.Set("b", root));
  int listed = 0;
  ASSERT_TRUE(roots.List({}, [&](std::string_view name, const Root&) {
    ++listed;
    EXPECT_TRUE(roots.Remove(name));
    EXPECT_TRUE(roots.Set("c", root));
    return true;
  }));
  EXPECT_EQ(listed, 2);
  EXPECT_TRUE(roots.Get({}, "c").value());
}

class FindNodeTest : public ::testing::Test {
 protected:
  FindNodeTest() {
    for (const Directory& directory : {WithKeep(), Complicated()}) EXPECT_TRUE(service_.Put(directory));
  }
  Result<std::optional<Node>> Find(std::string_view path) {
    return FindNode(service_, {}, NodeTo(Complicated()), path);
  }
  MemoryDirectoryService service_;
};

TEST_F(FindNodeTest, CA39_GoesDownAPath) {
  EXPECT_EQ(Find("").value(), NodeTo(Complicated()));
  EXPECT_EQ(Find("keep").value(), NodeTo(WithKeep()));
  EXPECT_EQ(Find("keep/.keep").value(), Node::OfFile(Digest::OfEmpty(), 0));
  EXPECT_EQ(Find("aa").value(), Node::OfSymlink(std::string(kElsewhere)));
}

TEST_F(FindNodeTest, CA39_FindsNothingBeneathFilesAndSymlinks) {
  EXPECT_EQ(Find("gone").value(), std::nullopt);
  EXPECT_EQ(Find("gone/far").value(), std::nullopt);
  EXPECT_EQ(Find(".keep/x").value(), std::nullopt);
  EXPECT_EQ(Find("aa/x").value(), std::nullopt);
  EXPECT_EQ(FindNode(service_, {}, Node::OfSymlink("keep"), "x").value(), std::nullopt);
}

TEST_F(FindNodeTest, CA7_WhatIsNoPathIsRefused) {
  for (const char* path : {"/", "/keep", "keep/", "keep//.keep", "gone/./x", "keep/..", ".", ".keep/.."}) {
    const auto found = Find(path);
    ASSERT_FALSE(found) << path;
    EXPECT_EQ(found.error().code(), Errc::kInvalid) << path;
  }
}

TEST_F(FindNodeTest, CA39_ADirectoryThatIsMissingIsDamage) {
  MemoryDirectoryService service;
  ASSERT_TRUE(service.Put(Complicated()));
  EXPECT_EQ(FindNode(service, {}, NodeTo(Complicated()), "keep").value(), NodeTo(WithKeep())) << "it need not be there";
  const auto found = FindNode(service, {}, NodeTo(Complicated()), "keep/.keep");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), Errc::kCorrupt);
}

}  // namespace
}  // namespace strata::store
