// Spec nfsv3 3: handles and inode numbers.
#include <set>

#include "contract.h"

STRATA_CONTRACT(HandleContract)

namespace strata::vfs::testing {
namespace {

TEST_P(HandleContract, R3_1_AnObjectKeepsItsHandleThroughRenameAndRestart) {
  Given({DirNode("w/a"), DirNode("w/b"), FileNode("w/a/f", "hello"), SymlinkNode("w/a/s", "t"), DirNode("w/a/d")});
  Client client = Root();
  const ObjectId file = client.IdOf("w/a/f");
  const ObjectId link = client.IdOf("w/a/s");
  const ObjectId directory = client.IdOf("w/a/d");
  const ObjectId parent = client.IdOf("w/a");
  subject().Restart();
  ASSERT_OK(client.RenameAt("w/a/f", "w/b/g"));
  ASSERT_OK(client.RenameAt("w/a/d", "w/b/e"));
  ASSERT_OK(client.RenameAt("w/a/s", "w/a/r"));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(client.IdOf("w/b/g"), file);
    EXPECT_EQ(client.IdOf("w/b/e"), directory);
    EXPECT_EQ(client.IdOf("w/a/r"), link);
    EXPECT_EQ(client.IdOf("w/a"), parent);
    auto data = client.ReadAll(file);
    ASSERT_OK(data);
    EXPECT_EQ(*data, "hello");
    EXPECT_OK(client.Get(directory));
    EXPECT_EQ(client.ReadLink(link).value_or("failed"), "t");
    subject().Restart();
  }
}

TEST_P(HandleContract, R3_1_AHandleWorksInAColdCacheWithoutALookup) {
  Given({DirNode("w/a"), DirNode("w/a/b"), FileNode("w/a/b/deep", "content"), FileNode("w/a/b/other", "x")});
  Client client = Root();
  const ObjectId file = client.IdOf("w/a/b/deep");
  const ObjectId directory = client.IdOf("w/a/b");
  subject().Restart();
  EXPECT_EQ(client.ReadAll(file).value_or("failed"), "content");
  subject().Restart();
  ASSERT_OK(client.Write(file, 0, "CON"));
  subject().Restart();
  EXPECT_EQ(client.ReadAll(file).value_or("failed"), "CONtent");
  subject().Restart();
  auto up = client.Lookup(directory, "..");
  ASSERT_OK(up);
  EXPECT_EQ(up->id, client.IdOf("w/a"));
  subject().Restart();
  ASSERT_OK(client.Create(directory, "new"));
  subject().Restart();
  EXPECT_THAT(client.List("w/a/b").value(), ::testing::ElementsAre("deep", "new", "other"));
}

TEST_P(HandleContract, R3_2_ARemovedObjectIsStaleForEver) {
  Given({DirNode("w/d"), FileNode("w/f", "1"), SymlinkNode("w/s", "t"), FileNode("w/replaced", "2"),
         FileNode("w/r", "3")});
  Client client = Root();
  std::vector<ObjectId> gone = {client.IdOf("w/d"), client.IdOf("w/f"), client.IdOf("w/s"), client.IdOf("w/replaced")};
  ASSERT_OK(client.Rmdir("w/d"));
  ASSERT_OK(client.Unlink("w/f"));
  ASSERT_OK(client.Unlink("w/s"));
  ASSERT_OK(client.RenameAt("w/r", "w/replaced"));
  // And one that was made here.
  auto own = client.MakeFile("w/own");
  ASSERT_OK(own);
  ASSERT_OK(client.Unlink("w/own"));
  gone.push_back(*own);
  auto own_directory = client.Mkdir("w/own");
  ASSERT_OK(own_directory);
  ASSERT_OK(client.Rmdir("w/own"));
  gone.push_back(*own_directory);
  for (int i = 0; i < 3; ++i) {
    for (const ObjectId& id : gone) {
      SCOPED_TRACE(id.ino.value);
      if (IsModel()) {
        EXPECT_CODE(client.Get(id), Errc::kStale, Errc::kBadHandle);
        continue;
      }
      EXPECT_CODE(client.Get(id), Errc::kStale);
      EXPECT_CODE(client.Lookup(id, "x"), Errc::kStale);
      EXPECT_CODE(client.Read(id, 0, 10), Errc::kStale);
      EXPECT_CODE(client.ReadLink(id), Errc::kStale);
      EXPECT_CODE(client.Access(id), Errc::kStale);
      EXPECT_CODE(client.Write(id, 0, "x"), Errc::kStale);
      EXPECT_CODE(client.Set(id, Mode(0600)), Errc::kStale);
      EXPECT_CODE(client.ListPage(id, Cookie{}, 10), Errc::kStale);
      EXPECT_CODE(client.Create(id, "x"), Errc::kStale);
      EXPECT_CODE(client.MakeDirectory(id, "x"), Errc::kStale);
      EXPECT_CODE(client.MakeSymlink(id, "x", "y"), Errc::kStale);
      EXPECT_CODE(client.MakeNode(id, "x", FileType::kFifo, {}), Errc::kStale);
      EXPECT_CODE(client.Remove(id, "x"), Errc::kStale);
      EXPECT_CODE(client.RemoveDirectory(id, "x"), Errc::kStale);
      EXPECT_CODE(client.Rename(id, "x", client.Root(), "y"), Errc::kStale);
      EXPECT_CODE(client.Rename(client.IdOf("w"), "replaced", id, "y"), Errc::kStale);
      EXPECT_CODE(client.Link(id, client.IdOf("w"), "new"), Errc::kStale);
      EXPECT_CODE(client.Link(client.IdOf("w/replaced"), id, "new"), Errc::kStale);
      EXPECT_CODE(client.Commit(id), Errc::kStale);
    }
    // New objects by the old names are not the old ones.
    if (i == 0) {
      ASSERT_OK(client.Mkdir("w/d"));
      ASSERT_OK(client.MakeFile("w/f"));
      for (int n = 0; n < 50; ++n) ASSERT_OK(client.MakeFile("w/n" + std::to_string(n)));
    }
    subject().Restart();
  }
  EXPECT_EQ(client.ReadFile("w/replaced").value_or("failed"), "3");
}

TEST_P(HandleContract, R3_2_ANumberThatComesAgainHasANewGeneration) {
  Given({FileNode("w/f0", "x"), DirNode("w/d0")});
  Client client = Root();
  std::set<std::pair<std::uint64_t, std::uint32_t>> all;
  auto add = [&](const ObjectId& id) { return all.emplace(id.ino.value, id.generation.value).second; };
  EXPECT_TRUE(add(client.IdOf("w/f0")));
  EXPECT_TRUE(add(client.IdOf("w/d0")));
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 30; ++i) {
      auto file = client.MakeFile("w/x");
      ASSERT_OK(file);
      EXPECT_TRUE(add(*file));
      ASSERT_OK(client.Unlink("w/x"));
      auto directory = client.Mkdir("w/x");
      ASSERT_OK(directory);
      EXPECT_TRUE(add(*directory));
      ASSERT_OK(client.Rmdir("w/x"));
    }
    subject().Restart();
  }
}

TEST_P(HandleContract, R3_2_AForgedObjectIsRefused) {
  Given({FileNode("w/f", "x"), DirNode("w/d")});
  Client client = Root();
  std::vector<ObjectId> forged;
  for (const ObjectId& real : {client.IdOf("w/f"), client.IdOf("w/d"), client.IdOf("w"), client.Root()}) {
    ObjectId id = real;
    id.generation.value += 1;
    forged.push_back(id);
    id.generation.value = 0xffff'ffff;
    forged.push_back(id);
  }
  for (std::uint64_t number :
       {std::uint64_t{0}, std::uint64_t{999'999'999}, std::uint64_t{1} << 54, (std::uint64_t{1} << 55) + 99'999,
        (std::uint64_t{2} << 55) + 7, (std::uint64_t{77} << 55) + 1, std::uint64_t{1} << 63,
        (std::uint64_t{1} << 63) + 12, ~std::uint64_t{0}}) {
    for (std::uint64_t locator :
         {std::uint64_t{0}, std::uint64_t{1}, number, (std::uint64_t{1} << 55) + 2, ~std::uint64_t{0}}) {
      forged.push_back({InodeNumber{number}, Generation{0}, locator});
      forged.push_back({InodeNumber{number}, Generation{7}, locator});
    }
  }
  for (const ObjectId& id : forged) {
    SCOPED_TRACE(::testing::Message() << id.ino.value << '/' << id.generation.value << '/' << id.locator);
    EXPECT_CODE(client.Get(id), Errc::kBadHandle, Errc::kStale);
    EXPECT_CODE(client.Lookup(id, "x"), Errc::kBadHandle, Errc::kStale);
    EXPECT_CODE(client.Lookup(id, ".."), Errc::kBadHandle, Errc::kStale);
    EXPECT_CODE(client.Read(id, 0, 1), Errc::kBadHandle, Errc::kStale);
    EXPECT_CODE(client.Write(id, 0, "x"), Errc::kBadHandle, Errc::kStale);
    EXPECT_CODE(client.Set(id, Mode(0)), Errc::kBadHandle, Errc::kStale);
    EXPECT_CODE(client.Create(id, "x"), Errc::kBadHandle, Errc::kStale);
    EXPECT_CODE(client.ListPage(id, Cookie{}, 10), Errc::kBadHandle, Errc::kStale);
    EXPECT_CODE(client.Rename(id, "a", id, "b"), Errc::kBadHandle, Errc::kStale);
    EXPECT_CODE(client.Link(id, client.Root(), "b"), Errc::kBadHandle, Errc::kStale);
  }
  // Nothing came of it.
  EXPECT_THAT(client.List("").value(), ::testing::ElementsAre("w"));
  EXPECT_EQ(client.ReadFile("w/f").value_or("failed"), "x");
}

// A locator is only a hint for where to look: with a wrong one the object is found or refused, never another one.
TEST_P(HandleContract, R3_2_AWrongLocatorNeverLeadsToAnotherObject) {
  Given({DirNode("w/d"), FileNode("w/d/f", "x"), FileNode("w/g", "y")});
  Client client = Root();
  const ObjectId file = client.IdOf("w/d/f");
  for (std::uint64_t locator :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0x0080'0000'0000'0001}, file.ino.value,
        client.IdOf("w/g").ino.value, client.IdOf("w").ino.value, ~std::uint64_t{0}}) {
    ObjectId id = file;
    id.locator = locator;
    subject().Restart();
    auto data = client.ReadAll(id);
    if (data) {
      EXPECT_EQ(*data, "x");
    } else {
      EXPECT_CODE(data, Errc::kBadHandle, Errc::kStale);
    }
  }
  subject().Restart();
  EXPECT_EQ(client.ReadAll(file).value_or("failed"), "x");
}

TEST_P(HandleContract, R3_3_TheFileIdIsTheSameInListingLookupAndAttributes) {
  Given({DirNode("w/d"), FileNode("w/f", "1"), FileNode("w/f2", "1"), SymlinkNode("w/s", "f"), DirNode("w/d/e"),
         LinkNode("w/l", "w/f")});
  Client client = Root();
  std::map<std::string, ObjectId> first;
  auto check = [&] {
    for (const std::string directory : {"w", "w/d", ""}) {
      const ObjectId id = client.IdOf(directory);
      auto with = client.ListAll(id, 1000, true);
      auto without = client.ListAll(id, 1000, false);
      ASSERT_OK(with);
      ASSERT_OK(without);
      ASSERT_EQ(with->size(), without->size());
      for (std::size_t i = 0; i < with->size(); ++i) {
        const Listed& entry = (*with)[i];
        SCOPED_TRACE(directory + "/" + entry.name);
        auto found = client.Lookup(id, entry.name);
        ASSERT_OK(found);
        auto attributes = client.Get(entry.id);
        ASSERT_OK(attributes);
        EXPECT_NE(entry.id.ino.value, 0u);
        EXPECT_EQ(found->id, entry.id);
        // Without attributes a reply carries the number alone.
        EXPECT_EQ(found->id.ino, (*without)[i].id.ino);
        EXPECT_EQ((*without)[i].name, entry.name);
        EXPECT_FALSE((*without)[i].attributes.has_value());
        EXPECT_EQ(found->attributes.ino, entry.id.ino);
        EXPECT_EQ(attributes->ino, entry.id.ino);
        ASSERT_TRUE(entry.attributes.has_value());
        ExpectSame(*entry.attributes, *attributes);
        ExpectSame(found->attributes, *attributes);
        if (entry.name == "." || entry.name == "..") continue;
        const auto [at, added] = first.emplace(directory + "/" + entry.name, entry.id);
        EXPECT_EQ(at->second, entry.id);
      }
    }
  };
  check();
  subject().Restart();
  check();
  // A copy-up changes no number.
  ASSERT_OK(client.WriteAt("w/f", 0, "new"));
  ASSERT_OK(client.Chmod("w/d", 0700));
  ASSERT_OK(client.Chown("w/s", 5, 5));
  ASSERT_OK(client.Chmod("w/d/e", 0700));
  ASSERT_OK(client.Truncate("w/f2", 0));
  check();
  subject().Restart();
  check();
  EXPECT_EQ(first.at("w/l"), first.at("w/f"));
  std::set<std::uint64_t> numbers;
  for (const auto& [path, id] : first) numbers.insert(id.ino.value);
  EXPECT_EQ(numbers.size(), first.size() - 1) << "only the hard link shares a number";
}

TEST_P(HandleContract, R3_3_TheRootIsItsOwnParent) {
  Given();
  Client client = Root();
  auto up = client.Lookup(client.Root(), "..");
  ASSERT_OK(up);
  EXPECT_EQ(up->id, client.Root());
  auto here = client.Lookup(client.Root(), ".");
  ASSERT_OK(here);
  EXPECT_EQ(here->id, client.Root());
  EXPECT_EQ(client.StatOf("").type, FileType::kDirectory);
}

TEST_P(HandleContract, R3_4_ASillyRenamedFileLivesUntilItsLastNameGoes) {
  Given({FileNode("w/open", "still read")});
  Client client = Root();
  const ObjectId id = client.IdOf("w/open");
  ASSERT_OK(client.RenameAt("w/open", "w/.nfs000000001"));
  EXPECT_FALSE(client.Exists("w/open"));
  EXPECT_EQ(client.ReadAll(id).value_or("failed"), "still read");
  ASSERT_OK(client.Write(id, 0, "STILL"));
  Pause();
  EXPECT_EQ(client.ReadAll(id).value_or("failed"), "STILL read");
  ASSERT_OK(client.Unlink("w/.nfs000000001"));
  EXPECT_CODE(client.Get(id), Errc::kStale, Errc::kBadHandle);
}

}  // namespace
}  // namespace strata::vfs::testing
