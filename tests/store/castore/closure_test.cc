#include "store/castore/closure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/castore/memory_directories.h"
#include "tests/store/castore/castore_testing.h"
#include "tests/store/fixtures.h"

namespace strata::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Waiting kMayWait;

std::string MessageOf(const auto& result) {
  if (result) return "no error";
  EXPECT_EQ(result.error().code(), Errc::kInvalid);
  return std::string(result.error().message());
}

struct Case {
  std::vector<Directory> directories;
  std::optional<Digest> root;
};

Case CaseOf(const nlohmann::json& one) {
  Case found;
  for (const auto& hex : one["case"]["dirs"]) {
    found.directories.push_back(Directory::Parse(FromHex(hex.get<std::string>())).value());
  }
  if (const auto& root = one["case"]["root"]; !root.is_null()) {
    found.root = Digest::Parse(root.get<std::string>()).value();
  }
  return found;
}

// What tvix says: "wrong size" names the edge in both orders, ours from the root on the directory.
std::string Essence(const std::string& message) {
  const auto size = message.find("has wrong size");
  return size == std::string::npos ? message : message.substr(size);
}

// Adds them all, and expects of each what tvix said of it. Whether all were accepted.
bool AddAll(auto& closure, const Case& one, const nlohmann::json& accepted) {
  for (std::size_t i = 0; i < accepted.size(); ++i) {
    const auto added = closure.Add(one.directories[i]);
    EXPECT_EQ(added.has_value(), accepted[i] == true);
    if (accepted[i] == true) continue;
    EXPECT_THAT(MessageOf(added), HasSubstr(Essence(accepted[i])));
    return false;
  }
  return true;
}

std::vector<std::string> HexOfAll(const std::vector<Digest>& digests) {
  std::vector<std::string> all;
  for (const Digest& digest : digests) all.push_back(digest.Hex());
  return all;
}

TEST(Closure, CA40_CA42_WhatTvixSaysOfDirectoriesFromLeavesToRoot) {
  STRATA_FIXTURE(cases, "tvix/closures.json");
  int seen = 0;
  for (const auto& one : cases) {
    if (one["case"]["order"] != "up") continue;
    SCOPED_TRACE(one["case"]["name"].get<std::string>());
    ++seen;
    const Case made = CaseOf(one);
    LeavesToRoot closure;
    const bool accepted = AddAll(closure, made, one["accepted"]);
    const auto& putter = one["putter"];
    ASSERT_EQ(accepted, !putter.contains("put"));
    if (!accepted) continue;
    const auto root = closure.Finish();
    ASSERT_EQ(root.has_value(), putter.contains("root"));
    if (!root) {
      const std::string theirs = putter["close"];
      EXPECT_THAT(MessageOf(root), HasSubstr(theirs.substr(theirs.find(": ") + 2)));
      continue;
    }
    EXPECT_EQ(root->Hex(), putter["root"].get<std::string>());
    // The order in which such a tree is put elsewhere.
    MemoryDirectoryService service;
    for (const Directory& directory : made.directories) ASSERT_TRUE(service.Put(directory));
    std::vector<Digest> order;
    ASSERT_TRUE(VisitLeavesToRoot(service, kMayWait, *root, [&](const Directory& directory) {
      order.push_back(directory.digest());
      return true;
    }));
    EXPECT_EQ(HexOfAll(order), one["end"]["up"].get<std::vector<std::string>>());
    EXPECT_EQ(closure.count(), order.size());
  }
  EXPECT_GT(seen, 10);
}

TEST(Closure, CA41_CA42_WhatTvixSaysOfDirectoriesFromRootToLeaves) {
  STRATA_FIXTURE(cases, "tvix/closures.json");
  int seen = 0;
  for (const auto& one : cases) {
    if (one["case"]["order"] != "down") continue;
    SCOPED_TRACE(one["case"]["name"].get<std::string>());
    ++seen;
    const Case made = CaseOf(one);
    RootToLeaves closure(made.root);
    if (!AddAll(closure, made, one["accepted"])) {
      EXPECT_FALSE(closure.Finish()) << "a closure that was refused does not end well";
      continue;
    }
    const auto finished = closure.Finish();
    if (one["end"].is_string()) {
      EXPECT_THAT(MessageOf(finished), HasSubstr(one["end"].get<std::string>()));
      continue;
    }
    EXPECT_TRUE(finished) << MessageOf(finished);
    EXPECT_EQ(closure.count(), one["end"]["down"].size());
  }
  EXPECT_GT(seen, 10);
}

TEST(Closure, CA70_EdgesOfBothErasAreTakenInBothOrders) {
  for (const SizeRule rule : {SizeRule::kDocumented, SizeRule::kDoubled}) {
    LeavesToRoot up;
    ASSERT_TRUE(up.Add(DirectoryA()));
    ASSERT_TRUE(up.Add(DirectoryB()));
    EXPECT_TRUE(up.Add(DirectoryD(rule)));
    EXPECT_EQ(up.Finish().value(), DirectoryD(rule).digest());
    RootToLeaves down(DirectoryD(rule).digest());
    ASSERT_TRUE(down.Add(DirectoryD(rule)));
    EXPECT_TRUE(down.Add(DirectoryB()));
    EXPECT_TRUE(down.Add(DirectoryA()));
    EXPECT_TRUE(down.Finish());
  }
}

TEST(Closure, CA42_OneDirectoryMayBeNamedInBothErasButNotWithAThirdSize) {
  const Directory child = MakeDirectory({{"x", Node::OfSymlink("x")}, {"y", Node::OfSymlink("y")}});
  const auto named = [&](const std::vector<std::uint64_t>& sizes) {
    NamedNodes entries;
    for (const std::uint64_t size : sizes) {
      entries.emplace_back("n" + std::to_string(size), Node::OfDirectory(child.digest(), size));
    }
    return MakeDirectory(entries);
  };
  RootToLeaves both;
  ASSERT_TRUE(both.Add(named({2, 4})));
  ASSERT_TRUE(both.Add(child));
  EXPECT_TRUE(both.Finish());

  // Found out before the child has come.
  RootToLeaves third;
  EXPECT_THAT(MessageOf(third.Add(named({2, 3, 4}))), HasSubstr("'n4' has wrong size, specified 4"));
  EXPECT_FALSE(third.Expects(child.digest()));

  for (const std::uint64_t wrong : {0, 1, 3, 5, 6}) {
    LeavesToRoot up;
    ASSERT_TRUE(up.Add(child));
    EXPECT_THAT(MessageOf(up.Add(named({2, wrong}))), HasSubstr("wrong size")) << wrong;
    RootToLeaves down;
    ASSERT_TRUE(down.Add(named({4, wrong})));
    EXPECT_THAT(MessageOf(down.Add(child)), HasSubstr("wrong size")) << wrong;
    // After the child: by another parent.
    const Directory late = named({wrong});
    RootToLeaves after;
    ASSERT_TRUE(after.Add(MakeDirectory({{"child", NodeTo(child)}, {"late", NodeTo(late)}})));
    ASSERT_TRUE(after.Add(child));
    EXPECT_THAT(MessageOf(after.Add(late)), HasSubstr("wrong size")) << wrong;
  }
}

TEST(Closure, CA42_ASizeThatIsRightOnlyBeyond64BitsIsWrong) {
  const Directory large =
      MakeDirectory({{"a", Node::OfDirectory(DirectoryA().digest(), UINT64_MAX - 2)}, {"b", Node::OfSymlink("b")}});
  ASSERT_EQ(large.Size(SizeRule::kDocumented), UINT64_MAX);
  LeavesToRoot up;
  EXPECT_FALSE(up.Add(large)) << "A has not that size";
  RootToLeaves down;
  ASSERT_TRUE(down.Add(MakeDirectory({{"large", Node::OfDirectory(large.digest(), 1)}})));
  EXPECT_THAT(MessageOf(down.Add(large)), HasSubstr("wrong size"));
}

TEST(Closure, ADirectoryThatWasRefusedFromTheLeavesLeavesNothingBehind) {
  LeavesToRoot closure;
  ASSERT_TRUE(closure.Add(DirectoryA()));
  EXPECT_FALSE(closure.Add(MakeDirectory({{"a", NodeTo(DirectoryA())}, {"z", NodeTo(WithKeep())}})));
  EXPECT_EQ(closure.count(), 1);
  EXPECT_EQ(closure.Finish().value(), DirectoryA().digest()) << "nobody names it yet";
  EXPECT_TRUE(closure.Add(DirectoryB()).value());
  EXPECT_FALSE(closure.Add(DirectoryB()).value()) << "it is there already";
  EXPECT_EQ(closure.Finish().value(), DirectoryB().digest());
}

TEST(Closure, CA37_WhatIsNotExpectedNeedNotBeDecoded) {
  RootToLeaves unseeded;
  EXPECT_TRUE(unseeded.Expects(DirectoryA().digest()));
  RootToLeaves closure(DirectoryD().digest());
  EXPECT_TRUE(closure.Expects(DirectoryD().digest()));
  EXPECT_FALSE(closure.Expects(DirectoryB().digest()));
  ASSERT_TRUE(closure.Add(DirectoryD()));
  EXPECT_TRUE(closure.Expects(DirectoryB().digest()));
  EXPECT_FALSE(closure.Add(WithKeep()));
  EXPECT_FALSE(closure.Expects(DirectoryB().digest())) << "it was refused";
  EXPECT_FALSE(closure.Add(DirectoryB()));
}

TEST(Closure, MoreDirectoriesThanAllowedAreRefused) {
  LeavesToRoot up(2);
  ASSERT_TRUE(up.Add(DirectoryA()));
  ASSERT_TRUE(up.Add(DirectoryB()));
  EXPECT_THAT(MessageOf(up.Add(DirectoryD())), HasSubstr("more than 2 directories"));
  RootToLeaves down(DirectoryD().digest(), 2);
  EXPECT_THAT(MessageOf(down.Add(DirectoryD())), HasSubstr("more than 2 directories"));
}

TEST(Closure, ALongChainIsCheckedInBothOrders) {
  constexpr int kLength = 20'000;
  std::vector<Directory> chain = {Directory()};
  for (int i = 0; i < kLength; ++i) chain.push_back(MakeDirectory({{"next", NodeTo(chain.back())}}));
  LeavesToRoot up;
  for (const Directory& directory : chain) ASSERT_TRUE(up.Add(directory));
  EXPECT_EQ(up.Finish().value(), chain.back().digest());
  RootToLeaves down(chain.back().digest());
  MemoryDirectoryService service;
  for (auto at = chain.rbegin(); at != chain.rend(); ++at) {
    ASSERT_TRUE(down.Add(*at));
    ASSERT_TRUE(service.Put(*at));
  }
  EXPECT_TRUE(down.Finish());
  std::size_t visited = 0;
  ASSERT_TRUE(VisitLeavesToRoot(service, kMayWait, chain.back().digest(), [&](const Directory& directory) {
    EXPECT_EQ(directory, chain[visited]);
    ++visited;
    return true;
  }));
  EXPECT_EQ(visited, chain.size());
}

TEST(VisitLeavesToRoot, EndsWhereItIsToldAndFindsWhatIsMissing) {
  MemoryDirectoryService service;
  ASSERT_TRUE(service.Put(DirectoryA()));
  ASSERT_TRUE(service.Put(DirectoryD()));
  const auto all = [](const Directory&) { return true; };
  const auto missing = VisitLeavesToRoot(service, kMayWait, DirectoryD().digest(), all);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), Errc::kCorrupt);
  EXPECT_THAT(std::string(missing.error().message()), HasSubstr(DirectoryB().digest().Text()));
  ASSERT_TRUE(service.Put(DirectoryB()));
  std::vector<Digest> visited;
  ASSERT_TRUE(VisitLeavesToRoot(service, kMayWait, DirectoryD().digest(), [&](const Directory& directory) {
    visited.push_back(directory.digest());
    return visited.size() < 2;
  }));
  EXPECT_THAT(visited, ElementsAre(DirectoryA().digest(), DirectoryB().digest()));
  EXPECT_TRUE(VisitLeavesToRoot(service, kMayWait, WithKeep().digest(), [](const Directory&) {
    ADD_FAILURE() << "an unknown root has nothing to visit";
    return true;
  }));
}

}  // namespace
}  // namespace strata::store
