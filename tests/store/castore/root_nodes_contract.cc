#include "tests/store/castore/root_nodes_contract.h"

#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "tests/store/castore/castore_testing.h"

namespace strata::store {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RootNodesContract);

std::vector<std::string> RootNodesContract::Names() {
  std::vector<std::string> names;
  const auto listed = roots().List(waiting_, [&](std::string_view name, const Root&) {
    names.emplace_back(name);
    return true;
  });
  EXPECT_TRUE(listed) << listed.error().ToString();
  return names;
}

static Root RootAt(Node node, std::int64_t seconds) {
  return {.node = std::move(node), .attributes = std::nullopt, .set = Time::From(seconds, 5)};
}

TEST_P(RootNodesContract, CA49_WhatWasNotSetIsNotThere) {
  const auto got = roots().Get(waiting_, "unknown");
  ASSERT_TRUE(got) << got.error().ToString();
  EXPECT_FALSE(got->has_value());
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_P(RootNodesContract, CA66_ARootIsWhatWasSetWithAllThatIsSaidOfIt) {
  const Node nodes[] = {NodeTo(Complicated()),
                        NodeTo(DirectoryD(SizeRule::kDoubled), SizeRule::kDoubled),
                        Node::OfDirectory(Digest::OfEmpty(), 0),
                        Node::OfFile(Digest::Of(AsBytes("f")), 1ULL << 40),
                        Node::OfFile(Digest::OfEmpty(), 0, true),
                        Node::OfSymlink("../a//b\xff")};
  for (const Node& node : nodes) {
    for (const bool has_attributes : {false, true}) {
      Root root = RootAt(node, 1'700'000'000);
      if (has_attributes) root.attributes = Digest::Of(AsBytes("attributes"));
      const auto set = roots().Set("name", root);
      ASSERT_TRUE(set) << set.error().ToString();
      const auto got = roots().Get(waiting_, "name").value();
      ASSERT_TRUE(got);
      EXPECT_EQ(*got, root);
    }
  }
  EXPECT_THAT(Names(), ElementsAre("name"));
}

TEST_P(RootNodesContract, CA49_NamesAreListedInTheOrderOfTheirBytes) {
  const std::vector<std::string> sorted = {"A",       "B", "a", "a b", "a-", "a.", "aa", "b", std::string(255, 'n'),
                                           "\x80\xff"};
  for (auto at = sorted.rbegin(); at != sorted.rend(); ++at) {
    const auto set = roots().Set(*at, RootAt(Node::OfSymlink(*at), 1));
    ASSERT_TRUE(set) << set.error().ToString();
  }
  std::vector<std::string> names;
  ASSERT_TRUE(roots().List(waiting_, [&](std::string_view name, const Root& root) {
    EXPECT_EQ(root.node.target, name);
    names.emplace_back(name);
    return true;
  }));
  EXPECT_EQ(names, sorted);
  for (const std::string& name : sorted) EXPECT_EQ(roots().Get(waiting_, name).value().value().node.target, name);
}

TEST_P(RootNodesContract, CA49_AListingEndsWhereItIsTold) {
  for (const char* name : {"a", "b", "c"}) ASSERT_TRUE(roots().Set(name, RootAt(NodeTo(WithKeep()), 1)));
  int listed = 0;
  ASSERT_TRUE(roots().List(waiting_, [&](std::string_view, const Root&) { return ++listed < 2; }));
  EXPECT_EQ(listed, 2);
}

TEST_P(RootNodesContract, CA66_ANameIsSetAnew) {
  ASSERT_TRUE(roots().Set("a", RootAt(NodeTo(WithKeep()), 1)));
  ASSERT_TRUE(roots().Set("a", RootAt(NodeTo(Complicated()), 2)));
  EXPECT_EQ(roots().Get(waiting_, "a").value(), RootAt(NodeTo(Complicated()), 2));
  EXPECT_THAT(Names(), ElementsAre("a"));
}

TEST_P(RootNodesContract, CA66_ANameIsRemoved) {
  ASSERT_TRUE(roots().Set("a", RootAt(NodeTo(WithKeep()), 1)));
  ASSERT_TRUE(roots().Set("b", RootAt(NodeTo(WithKeep()), 1)));
  const auto removed = roots().Remove("a");
  ASSERT_TRUE(removed) << removed.error().ToString();
  EXPECT_FALSE(roots().Get(waiting_, "a").value());
  EXPECT_THAT(Names(), ElementsAre("b"));
  const auto again = roots().Remove("a");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), Errc::kNotFound);
}

TEST_P(RootNodesContract, CA3_WhatNoDirectoryCouldHoldIsNoName) {
  for (const std::string& name : {std::string(), std::string("."), std::string(".."), std::string("a/b"),
                                  std::string("a\0", 2), std::string(256, 'n')}) {
    const auto set = roots().Set(name, RootAt(NodeTo(WithKeep()), 1));
    ASSERT_FALSE(set) << name;
    EXPECT_EQ(set.error().code(), Errc::kInvalid);
    const auto got = roots().Get(waiting_, name);
    ASSERT_TRUE(got) << got.error().ToString();
    EXPECT_FALSE(got->has_value());
  }
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_P(RootNodesContract, ManyThreadsSetAndGet) {
  constexpr int kThreads = 4, kRounds = 20;
  std::atomic<int> sound = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int round = 0; round < kRounds; ++round) {
        const std::string own = "own " + std::to_string(thread);
        const Root root = RootAt(Node::OfFile(Digest::OfEmpty(), static_cast<std::uint64_t>(round)), thread);
        if (!roots().Set(own, root) || !roots().Set("shared", root)) continue;
        const auto got = roots().Get(waiting_, own), shared = roots().Get(waiting_, "shared");
        if (got && *got == root && shared && shared->has_value()) ++sound;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sound, kThreads * kRounds);
  EXPECT_EQ(Names().size(), kThreads + 1);
}

TEST_P(RootNodesContract, CA66_WhatWasSetIsThereWhenItIsOpenedAnew) {
  ASSERT_TRUE(roots().Set("a", RootAt(NodeTo(WithKeep()), 1)));
  ASSERT_TRUE(roots().Set("b", RootAt(NodeTo(Complicated()), 2)));
  ASSERT_TRUE(roots().Remove("a"));
  if (made_.reopen) {
    made_.roots.reset();
    made_.roots = made_.reopen();
    ASSERT_NE(made_.roots, nullptr);
  }
  EXPECT_THAT(Names(), ElementsAre("b"));
  EXPECT_EQ(roots().Get(waiting_, "b").value(), RootAt(NodeTo(Complicated()), 2));
}

}  // namespace strata::store
