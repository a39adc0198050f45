#include "tests/store/castore/directory_service_contract.h"

#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "tests/store/castore/castore_testing.h"

namespace strata::store {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(DirectoryServiceContract);

Result<Digest> DirectoryServiceContract::PutAll(const std::vector<Directory>& directories) {
  STRATA_ASSIGN(const auto putter, service().PutMany());
  for (const Directory& directory : directories) STRATA_TRY(putter->Put(directory));
  return putter->Close();
}

std::vector<Digest> DirectoryServiceContract::Closure(const Digest& root) {
  std::vector<Digest> digests;
  const auto visited = service().GetRecursive(waiting_, root, [&](const Directory& directory) {
    digests.push_back(directory.digest());
    return true;
  });
  EXPECT_TRUE(visited) << visited.error().ToString();
  return digests;
}

TEST_P(DirectoryServiceContract, CA34_CA35_WhatIsNotKnownIsNotThere) {
  const auto got = service().Get(waiting_, DirectoryB().digest());
  ASSERT_TRUE(got) << got.error().ToString();
  EXPECT_FALSE(got->has_value());
  EXPECT_THAT(Closure(DirectoryB().digest()), IsEmpty());
}

TEST_P(DirectoryServiceContract, CA34_WhatWasPutIsGot) {
  std::vector<Directory> directories = {DirectoryA(), WithKeep()};
  if (GetParam().any_alone) directories.insert(directories.end(), {DirectoryB(), Complicated()});
  for (const Directory& directory : directories) {
    const auto digest = service().Put(directory);
    ASSERT_TRUE(digest) << digest.error().ToString();
    EXPECT_EQ(*digest, directory.digest());
    const auto got = service().Get(waiting_, *digest);
    ASSERT_TRUE(got) << got.error().ToString();
    ASSERT_TRUE(got->has_value());
    EXPECT_EQ(AsText((*got)->canonical()), AsText(directory.canonical()));
    // Again.
    EXPECT_EQ(service().Put(directory).value(), *digest);
  }
}

TEST_P(DirectoryServiceContract, CA37_ADirectoryWithChildrenIsPutAloneOrRefused) {
  ASSERT_TRUE(service().Put(DirectoryA()));
  const auto put = service().Put(DirectoryB());
  ASSERT_EQ(put.has_value(), GetParam().any_alone);
  if (!put) {
    EXPECT_EQ(put.error().code(), Errc::kInvalid);
  }
}

TEST_P(DirectoryServiceContract, CA35_ATreeComesRootFirstAndEachDirectoryOnce) {
  EXPECT_EQ(PutAll({DirectoryA(), DirectoryC()}).value(), DirectoryC().digest());
  EXPECT_THAT(Closure(DirectoryC().digest()), ElementsAre(DirectoryC().digest(), DirectoryA().digest()));
  EXPECT_EQ(service().Get(waiting_, DirectoryC().digest()).value().value(), DirectoryC());
  for (const SizeRule rule : {SizeRule::kDocumented, SizeRule::kDoubled}) {
    const Directory d = DirectoryD(rule);
    EXPECT_EQ(PutAll({DirectoryA(), DirectoryB(), d}).value(), d.digest());
    EXPECT_THAT(Closure(d.digest()), AnyOf(ElementsAre(d.digest(), DirectoryB().digest(), DirectoryA().digest()),
                                           ElementsAre(d.digest(), DirectoryA().digest(), DirectoryB().digest())));
  }
}

TEST_P(DirectoryServiceContract, CA35_ATreeComesBreadthFirst) {
  const Directory c1 = MakeDirectory({{"one", NodeTo(WithKeep())}});
  const Directory c2 = MakeDirectory({{"two", NodeTo(DirectoryB())}});
  const Directory root = MakeDirectory({{"a", NodeTo(c1)}, {"b", NodeTo(c2)}});
  ASSERT_EQ(PutAll({WithKeep(), c1, DirectoryA(), DirectoryB(), c2, root}).value(), root.digest());
  std::vector<std::size_t> depths;
  for (const Digest& digest : Closure(root.digest())) {
    depths.push_back(digest == root.digest()                                            ? 0
                     : digest == c1.digest() || digest == c2.digest()                   ? 1
                     : digest == WithKeep().digest() || digest == DirectoryB().digest() ? 2
                                                                                        : 3);
  }
  EXPECT_THAT(depths, ElementsAre(0, 1, 1, 2, 2, 3));
}

TEST_P(DirectoryServiceContract, CA35_AVisitEndsWhereItIsTold) {
  ASSERT_TRUE(PutAll({DirectoryA(), DirectoryB(), DirectoryD()}));
  int visited = 0;
  ASSERT_TRUE(service().GetRecursive(waiting_, DirectoryD().digest(), [&](const Directory&) { return ++visited < 2; }));
  EXPECT_EQ(visited, 2);
}

TEST_P(DirectoryServiceContract, CA35_AChildThatIsMissingIsDamage) {
  if (!GetParam().any_alone) GTEST_SKIP() << "a tree is put whole there";
  ASSERT_TRUE(service().Put(DirectoryB()));
  const auto visited = service().GetRecursive(waiting_, DirectoryB().digest(), [](const Directory&) { return true; });
  ASSERT_FALSE(visited);
  EXPECT_EQ(visited.error().code(), Errc::kCorrupt);
  EXPECT_TRUE(visited.error().message().contains(DirectoryA().digest().Text())) << visited.error().ToString();
}

TEST_P(DirectoryServiceContract, CA36_DirectoriesThatComeTwiceArePassedOver) {
  EXPECT_EQ(PutAll({DirectoryA(), DirectoryA(), DirectoryC(), DirectoryC()}).value(), DirectoryC().digest());
  EXPECT_THAT(Closure(DirectoryC().digest()), ElementsAre(DirectoryC().digest(), DirectoryA().digest()));
  // In another session too.
  EXPECT_EQ(PutAll({DirectoryA(), DirectoryC()}).value(), DirectoryC().digest());
}

TEST_P(DirectoryServiceContract, CA42_WhatDoesNotHangTogetherIsRefused) {
  const auto refused = PutAll({DirectoryA(), DirectoryC(), DirectoryB()});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::kInvalid);
}

TEST_P(DirectoryServiceContract, CA36_AChildThatIsStoredButWasNotSentIsUnknown) {
  ASSERT_TRUE(service().Put(DirectoryA()));
  const auto refused = PutAll({DirectoryB()});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::kInvalid);
}

TEST_P(DirectoryServiceContract, CA40_AParentBeforeItsChildIsRefused) {
  EXPECT_FALSE(PutAll({DirectoryB(), DirectoryA()}));
  EXPECT_FALSE(PutAll({DirectoryA(), DirectoryD(), DirectoryB()}));
}

TEST_P(DirectoryServiceContract, CA42_AnEdgeWithAnotherSizeIsRefused) {
  const Directory wrong = MakeDirectory({{"a", Node::OfDirectory(DirectoryA().digest(), 42)}});
  const auto refused = PutAll({DirectoryA(), wrong});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::kInvalid);
}

TEST_P(DirectoryServiceContract, CA36_APutterOfNothingIsRefused) {
  const auto refused = PutAll({});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::kInvalid);
  EXPECT_TRUE(refused.error().message().contains("got no directories")) << refused.error().ToString();
}

TEST_P(DirectoryServiceContract, CA36_APutterEndsOnce) {
  const auto putter = service().PutMany().value();
  ASSERT_TRUE(putter->Put(DirectoryA()));
  ASSERT_TRUE(putter->Close());
  const auto again = putter->Close();
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), Errc::kInvalid);
  EXPECT_TRUE(again.error().message().contains("already closed"));
  const auto late = putter->Put(DirectoryA());
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), Errc::kInvalid);
}

TEST_P(DirectoryServiceContract, CA36_APutterMayBeDroppedAndOthersGoOn) {
  {
    const auto putter = service().PutMany().value();
    ASSERT_TRUE(putter->Put(DirectoryA()));
  }
  const auto one = service().PutMany().value(), other = service().PutMany().value();
  ASSERT_TRUE(one->Put(DirectoryA()));
  EXPECT_FALSE(other->Put(DirectoryB())) << "the child was put in another session";
  ASSERT_TRUE(one->Put(DirectoryB()));
  EXPECT_EQ(one->Close().value(), DirectoryB().digest());
}

TEST_P(DirectoryServiceContract, ALargeDirectoryAndADeepTree) {
  NamedNodes entries;
  for (int i = 0; i < 20'000; ++i)
    entries.emplace_back("file " + std::to_string(i), Node::OfFile(Digest::OfEmpty(), 0));
  std::vector<Directory> chain = {MakeDirectory(std::move(entries))};
  for (int i = 0; i < 300; ++i) chain.push_back(MakeDirectory({{"d", NodeTo(chain.back())}}));
  ASSERT_EQ(PutAll(chain).value(), chain.back().digest());
  std::vector<Digest> expected;
  for (auto at = chain.rbegin(); at != chain.rend(); ++at) expected.push_back(at->digest());
  EXPECT_EQ(Closure(chain.back().digest()), expected);
}

TEST_P(DirectoryServiceContract, ManyThreadsPutAndGet) {
  constexpr int kThreads = 4, kRounds = 30;
  std::atomic<int> sound = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int round = 0; round < kRounds; ++round) {
        // Some are the same in all threads.
        const auto size = static_cast<std::uint64_t>(round % 2 == 0 ? round : thread * 100 + round);
        const Directory leaf = MakeDirectory({{"f", Node::OfFile(Digest::OfEmpty(), size)}});
        const Directory root = MakeDirectory({{"leaf", NodeTo(leaf)}});
        const auto put = PutAll({leaf, root});
        if (!put || *put != root.digest()) continue;
        const auto got = service().Get(waiting_, root.digest());
        if (got && *got && **got == root) ++sound;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sound, kThreads * kRounds);
}

TEST_P(DirectoryServiceContract, WhatWasSyncedIsThereWhenItIsOpenedAnew) {
  ASSERT_TRUE(PutAll({DirectoryA(), DirectoryB(), DirectoryD()}));
  const auto synced = service().Sync();
  ASSERT_TRUE(synced) << synced.error().ToString();
  EXPECT_FALSE(service().Describe().empty());
  if (made_.reopen) {
    made_.service.reset();
    made_.service = made_.reopen();
    ASSERT_NE(made_.service, nullptr);
  }
  EXPECT_EQ(Closure(DirectoryD().digest()).size(), 3);
}

}  // namespace strata::store
