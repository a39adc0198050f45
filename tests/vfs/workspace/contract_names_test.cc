// Spec nfsv3 5.1: names are bytes.
#include "contract.h"

STRATA_CONTRACT(NameContract)

namespace strata::vfs::testing {
namespace {

using namespace std::string_literals;

const std::vector<std::string> kBadNames = {
    "", "a/b", "/", "a\0b"s, "\0"s, std::string(256, 'n'), std::string(5000, 'n')};

TEST_P(NameContract, R5_1_ANameThatCannotBeIsRefusedByEveryCall) {
  Given({FileNode("w/f", "x"), DirNode("w/d")});
  Client client = Root();
  const ObjectId w = client.IdOf("w");
  const ObjectId f = client.IdOf("w/f");
  for (const std::string& name : kBadNames) {
    SCOPED_TRACE("a name of " + std::to_string(name.size()) + " bytes: " + name.substr(0, 20));
    const Errc code = name.size() > kMaxNameBytes ? Errc::kNameTooLong : Errc::kInvalid;
    EXPECT_CODE(client.Lookup(w, name), code);
    EXPECT_CODE(client.Create(w, name, CreateMode::kGuarded), code);
    EXPECT_CODE(client.Create(w, name, CreateMode::kUnchecked), code);
    EXPECT_CODE(client.Create(w, name, CreateMode::kExclusive), code);
    EXPECT_CODE(client.MakeDirectory(w, name), code);
    EXPECT_CODE(client.MakeSymlink(w, name, "t"), code);
    EXPECT_CODE(client.MakeNode(w, name, FileType::kFifo, {}), code);
    EXPECT_CODE(client.Remove(w, name), code);
    EXPECT_CODE(client.RemoveDirectory(w, name), code);
    EXPECT_CODE(client.Rename(w, name, w, "x"), code);
    EXPECT_CODE(client.Rename(w, "f", w, name), code);
    EXPECT_CODE(client.Link(f, w, name), code);
  }
  EXPECT_THAT(client.List("w").value(), ::testing::ElementsAre("d", "f"));
}

TEST_P(NameContract, R5_1_DotsAreNotMadeRemovedOrRenamed) {
  Given({FileNode("w/f", "x"), DirNode("w/d"), DirNode("w/d/empty")});
  Client client = Root();
  const ObjectId d = client.IdOf("w/d/empty");
  const ObjectId w = client.IdOf("w");
  for (const char* name : {".", ".."}) {
    SCOPED_TRACE(name);
    EXPECT_CODE(client.Create(d, name, CreateMode::kGuarded), Errc::kExists, Errc::kInvalid);
    EXPECT_CODE(client.Create(d, name, CreateMode::kUnchecked), Errc::kExists, Errc::kInvalid, Errc::kIsDirectory);
    EXPECT_CODE(client.MakeDirectory(d, name), Errc::kExists, Errc::kInvalid);
    EXPECT_CODE(client.MakeSymlink(d, name, "t"), Errc::kExists, Errc::kInvalid);
    EXPECT_CODE(client.MakeNode(d, name, FileType::kFifo, {}), Errc::kExists, Errc::kInvalid);
    EXPECT_CODE(client.Link(client.IdOf("w/f"), d, name), Errc::kExists, Errc::kInvalid);
    EXPECT_CODE(client.Remove(d, name), Errc::kInvalid, Errc::kIsDirectory);
    EXPECT_CODE(client.RemoveDirectory(d, name), Errc::kInvalid, Errc::kNotEmpty, Errc::kExists);
    EXPECT_CODE(client.Rename(d, name, w, "x"), Errc::kInvalid, Errc::kExists, Errc::kNotEmpty);
    EXPECT_CODE(client.Rename(w, "f", d, name), Errc::kInvalid, Errc::kExists, Errc::kNotEmpty, Errc::kIsDirectory);
  }
  EXPECT_THAT(client.List("w/d").value(), ::testing::ElementsAre("empty"));
  EXPECT_THAT(client.List("w").value(), ::testing::ElementsAre("d", "f"));
}

TEST_P(NameContract, R5_1_AnyBytesAreKeptAsTheyCame) {
  Given();
  Client client = Root();
  const ObjectId w = client.IdOf("w");
  std::vector<std::string> names = {std::string(255, 'n'),
                                    "\xff\xfe\x80\x81",
                                    "\xc3\xa4",
                                    "a\xcc\x88",
                                    " ",
                                    "...",
                                    "-rf",
                                    "*",
                                    "\n",
                                    "\\",
                                    "\x7f",
                                    "\x01",
                                    "A",
                                    "a",
                                    ".wh.",
                                    ".wh.x",
                                    ".wh..wh..opq",
                                    ".wh..wh..plnk",
                                    "CON",
                                    "a:b",
                                    std::string(85, '\xe2') + std::string(170, '\x82')};
  for (int byte = 1; byte < 256; ++byte) {
    if (byte != '/' && byte != '.') names.push_back("byte " + std::string(1, static_cast<char>(byte)));
  }
  for (const std::string& name : names) ASSERT_OK(client.Create(w, name, CreateMode::kGuarded)) << name;
  Pause();
  std::sort(names.begin(), names.end());
  EXPECT_EQ(client.List("w").value(), names);
  for (const std::string& name : names) {
    auto found = client.Lookup(w, name);
    ASSERT_OK(found);
    EXPECT_CODE(client.Create(w, name, CreateMode::kGuarded), Errc::kExists);
  }
  for (const std::string& name : names) ASSERT_OK(client.Remove(w, name));
  EXPECT_TRUE(client.List("w").value().empty());
}

TEST_P(NameContract, R5_1_DotAndDotDotAreLookedUpInEveryDirectory) {
  Given({DirNode("w/a"), DirNode("w/a/b"), DirNode("w/c"), FileNode("w/f", "")});
  Client client = Root();
  auto up = [&](const char* path) { return client.Lookup(client.IdOf(path), "..").value().id; };
  EXPECT_EQ(up("w/a/b"), client.IdOf("w/a"));
  EXPECT_EQ(up("w/a"), client.IdOf("w"));
  EXPECT_EQ(up("w"), client.Root());
  EXPECT_EQ(client.Lookup(client.IdOf("w/a"), ".").value().id, client.IdOf("w/a"));
  ASSERT_OK(client.RenameAt("w/a/b", "w/c/b"));
  EXPECT_EQ(up("w/c/b"), client.IdOf("w/c"));
  Pause();
  EXPECT_EQ(up("w/c/b"), client.IdOf("w/c"));
  EXPECT_CODE(client.Lookup(client.IdOf("w/f"), "."), Errc::kNotDirectory);
  EXPECT_CODE(client.Lookup(client.IdOf("w/f"), ".."), Errc::kNotDirectory);
}

TEST_P(NameContract, R5_1_AFailedLookupSaysWhatTheDirectoryIs) {
  Given({DirNode("w/d")});
  Client client = Root();
  const ObjectId d = client.IdOf("w/d");
  std::optional<Attributes> after;
  EXPECT_CODE(client.Lookup(d, "missing", &after), Errc::kNotFound);
  ASSERT_TRUE(after.has_value());
  ExpectSame(*after, client.Get(d).value());
}

TEST_P(NameContract, EveryCallOnAFileThatWantsADirectorySaysNotDirectory) {
  Given({FileNode("w/f", "x"), SymlinkNode("w/s", "d"), DirNode("w/d")});
  Client client = Root();
  for (const char* path : {"w/f", "w/s"}) {
    SCOPED_TRACE(path);
    const ObjectId id = client.IdOf(path);
    EXPECT_CODE(client.Lookup(id, "x"), Errc::kNotDirectory);
    EXPECT_CODE(client.ListPage(id, Cookie{}, 10), Errc::kNotDirectory);
    EXPECT_CODE(client.Create(id, "x"), Errc::kNotDirectory);
    EXPECT_CODE(client.MakeDirectory(id, "x"), Errc::kNotDirectory);
    EXPECT_CODE(client.MakeSymlink(id, "x", "t"), Errc::kNotDirectory);
    EXPECT_CODE(client.MakeNode(id, "x", FileType::kFifo, {}), Errc::kNotDirectory);
    EXPECT_CODE(client.Remove(id, "x"), Errc::kNotDirectory);
    EXPECT_CODE(client.RemoveDirectory(id, "x"), Errc::kNotDirectory);
    EXPECT_CODE(client.Rename(id, "x", client.IdOf("w"), "y"), Errc::kNotDirectory);
    EXPECT_CODE(client.Rename(client.IdOf("w"), "d", id, "y"), Errc::kNotDirectory);
    EXPECT_CODE(client.Link(client.IdOf("w/f"), id, "x"), Errc::kNotDirectory);
  }
}

}  // namespace
}  // namespace strata::vfs::testing
