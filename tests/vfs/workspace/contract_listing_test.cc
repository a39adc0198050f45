// Spec nfsv3 5.2: listings and their cookies.
#include <algorithm>
#include <map>
#include <set>

#include "contract.h"

STRATA_CONTRACT(ListingContract)

namespace strata::vfs::testing {
namespace {

std::string Name(int i) { return "entry" + std::to_string(i); }

Tree Many(int count, const std::string& directory = "w/d") {
  Tree tree = {DirNode(directory, 0777)};
  for (int i = 0; i < count; ++i) {
    if (i % 7 == 3) {
      tree.push_back(DirNode(directory + "/" + Name(i)));
    } else {
      tree.push_back(FileNode(directory + "/" + Name(i), "x"));
    }
  }
  return tree;
}

std::vector<std::string> Names(const std::vector<Listed>& entries) {
  std::vector<std::string> names;
  for (const Listed& entry : entries) names.push_back(entry.name);
  return names;
}

TEST_P(ListingContract, R5_2_DotsComeFirstAndEveryEntryOnce) {
  Given(Many(20));
  Client client = Root();
  const ObjectId d = client.IdOf("w/d");
  auto all = client.ListAll(d);
  ASSERT_OK(all);
  ASSERT_EQ(all->size(), 22u);
  EXPECT_EQ((*all)[0].name, ".");
  EXPECT_EQ((*all)[0].id, d);
  EXPECT_EQ((*all)[1].name, "..");
  EXPECT_EQ((*all)[1].id, client.IdOf("w"));
  std::set<std::uint64_t> cookies;
  for (const Listed& entry : *all) {
    EXPECT_NE(entry.cookie.value, 0u);
    EXPECT_TRUE(cookies.insert(entry.cookie.value).second);
  }
}

TEST_P(ListingContract, R5_2_PagesOfAnySizeGiveTheSameListing) {
  Given(Many(40));
  Client client = Root();
  const ObjectId d = client.IdOf("w/d");
  const std::vector<std::string> whole = Names(client.ListAll(d).value());
  EXPECT_EQ(whole.size(), 42u);
  for (std::size_t size : {1u, 2u, 3u, 7u, 41u, 42u, 43u}) {
    EXPECT_EQ(Names(client.ListAll(d, size).value()), whole) << size;
    Pause();
  }
  EXPECT_EQ(Names(client.ListAll(d, 1, false).value()), whole);
}

TEST_P(ListingContract, R5_2_EofComesWithTheLastEntryOrAfterItAndNeverBefore) {
  Given(Many(5));
  Client client = Root();
  const ObjectId d = client.IdOf("w/d");
  auto page = client.ListPage(d, Cookie{}, 6);
  ASSERT_OK(page);
  EXPECT_EQ(page->entries.size(), 6u);
  EXPECT_FALSE(page->eof);
  auto exact = client.ListPage(d, Cookie{}, 7);
  ASSERT_OK(exact);
  EXPECT_EQ(exact->entries.size(), 7u);
  EXPECT_TRUE(exact->eof);
  auto after = client.ListPage(d, exact->entries.back().cookie, 7);
  ASSERT_OK(after);
  EXPECT_TRUE(after->entries.empty());
  EXPECT_TRUE(after->eof);
  auto empty = client.ListAll(client.IdOf("w/d/" + Name(3)));
  ASSERT_OK(empty);
  EXPECT_EQ(Names(*empty), (std::vector<std::string>{".", ".."}));
}

TEST_P(ListingContract, R5_2_APageWithoutRoomIsTooSmallAndNoEnd) {
  Given(Many(5));
  Client client = Root();
  auto page = client.ListPage(client.IdOf("w/d"), Cookie{}, 0);
  if (page) {
    EXPECT_TRUE(page->entries.empty());
    EXPECT_FALSE(page->eof);
  } else {
    EXPECT_CODE(page, Errc::kTooSmall);
  }
}

TEST_P(ListingContract, R5_2_AListingGoesOnFromEveryCookieAlsoAfterARestart) {
  Given(Many(30));
  Client client = Root();
  const ObjectId d = client.IdOf("w/d");
  const std::vector<Listed> all = client.ListAll(d).value();
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      auto rest = client.ListPage(d, all[i].cookie, 1000);
      ASSERT_OK(rest);
      EXPECT_TRUE(rest->eof);
      const std::vector<std::string> expected = Names({all.begin() + static_cast<std::ptrdiff_t>(i) + 1, all.end()});
      EXPECT_EQ(Names(rest->entries), expected) << "after " << all[i].name;
    }
    subject().Restart();
  }
}

TEST_P(ListingContract, R5_2_ACookieWhoseEntryIsGoneStillLeadsOn) {
  Given(Many(30));
  Client client = Root();
  const ObjectId d = client.IdOf("w/d");
  const std::vector<Listed> all = client.ListAll(d).value();
  for (std::size_t i = 2; i < all.size(); ++i) {
    if (all[i].attributes->type == FileType::kDirectory) {
      ASSERT_OK(client.RemoveDirectory(d, all[i].name));
    } else {
      ASSERT_OK(client.Remove(d, all[i].name));
    }
    if (i % 10 == 0) Pause();
    auto rest = client.ListPage(d, all[i].cookie, 1000);
    ASSERT_OK(rest);
    EXPECT_EQ(Names(rest->entries), Names({all.begin() + static_cast<std::ptrdiff_t>(i) + 1, all.end()}));
  }
  EXPECT_TRUE(client.List("w/d").value().empty());
  EXPECT_OK(client.Rmdir("w/d"));
}

TEST_P(ListingContract, R5_2_WhatStaysIsListedExactlyOnceWhateverComesAndGoes) {
  Given(Many(120));
  Client client = Root();
  const ObjectId d = client.IdOf("w/d");
  for (int seed = 0; seed < 3; ++seed) {
    std::map<std::string, int> seen;
    const std::vector<std::string> names = client.List("w/d").value();
    std::set<std::string> stayed(names.begin(), names.end());
    Cookie cookie;
    int step = 0;
    while (true) {
      auto page = client.ListPage(d, cookie, 5);
      ASSERT_OK(page);
      for (const Listed& entry : page->entries) {
        ++seen[entry.name];
        cookie = entry.cookie;
      }
      if (page->eof) break;
      ASSERT_LT(++step, 500) << "the listing does not end";
      // Between the pages: some go, some come, one changes its name, one its content.
      const std::string goes = Name((step * 37 + seed * 11) % 120);
      if (client.Remove(d, goes).has_value() || client.RemoveDirectory(d, goes).has_value()) stayed.erase(goes);
      const std::string comes = "new" + std::to_string(seed) + "." + std::to_string(step);
      ASSERT_OK(client.Create(d, comes));
      const std::string renamed = Name((step * 53 + seed * 7 + 1) % 120);
      if (client.Rename(d, renamed, d, renamed + "'").has_value()) stayed.erase(renamed);
      const std::string written = Name((step * 29 + 2) % 120);
      auto found = client.Lookup(d, written);
      if (found && found->attributes.type == FileType::kRegular) {
        ASSERT_OK(client.Write(found->id, 0, "yy"));
      }
      if (step % 9 == 0) subject().Restart();
    }
    EXPECT_GT(step, 10);
    for (const std::string& name : stayed) EXPECT_EQ(seen[name], 1) << name << " in round " << seed;
    EXPECT_EQ(seen["."], 1);
    EXPECT_EQ(seen[".."], 1);
  }
}

TEST_P(ListingContract, R5_2_TenThousandEntriesListWhole) {
  constexpr int kCount = 10'000;
  Given({DirNode("w/big", 0777), FileNode("w/big/" + Name(0), "x")});
  Client client = Root();
  const ObjectId big = client.IdOf("w/big");
  std::set<std::string> expected;
  // Made without waiting for the disk each time: only the last one waits.
  FileSystem& fs = subject().fs();
  OpContext context;
  for (int i = 1; i < kCount; ++i) {
    Mutation mutation;
    ASSERT_OK(fs.Create(context, big, Name(i), CreateMode::kGuarded, {}, {}, mutation));
  }
  ASSERT_OK(client.Create(big, Name(kCount)));
  for (int i = 0; i <= kCount; ++i) expected.insert(Name(i));
  for (std::size_t page : {97u, 2000u}) {
    auto all = client.ListAll(big, page, page == 97u);
    ASSERT_OK(all);
    std::set<std::string> names;
    for (const Listed& entry : *all) names.insert(entry.name);
    EXPECT_EQ(all->size(), expected.size() + 2);
    names.erase(".");
    names.erase("..");
    EXPECT_TRUE(names == expected);
    Pause();
  }
  EXPECT_CODE(client.Rmdir("w/big"), Errc::kNotEmpty);
}

TEST_P(ListingContract, R5_2_ACookieNeverGivenDoesNoHarm) {
  Given(Many(10));
  Client client = Root();
  const ObjectId d = client.IdOf("w/d");
  for (std::uint64_t value : {3ULL, 15ULL, 16ULL, 1ULL << 62, (1ULL << 63) - 1, 1ULL << 63, ~0ULL}) {
    auto page = client.ListPage(d, Cookie{value}, 100);
    if (!page) {
      EXPECT_CODE(page, Errc::kBadCookie);
    }
  }
}

}  // namespace
}  // namespace strata::vfs::testing
