// The hidden tree of a volume, call by call. That all other calls go through unchanged is shown by the contract
// (workspace/subject.cc, "ThreeLayersUnderAControlTree").
#include "vfs/control_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/vfs/workspace/harness.h"
#include "vfs/layer/memory_layer.h"
#include "vfs/workspace/workspace.h"

namespace strata::vfs::testing {
namespace {

using ::testing::ElementsAre;

constexpr std::uint64_t kOurs = std::uint64_t{1} << 63;
const std::string kNames = ".strata/xattr-names";
const std::string kNotes = ".strata/xattr/user.note";
const Credentials kOwner = User(1000, 1000), kStranger = User(1001, 1001);

MemoryEntry With(MemoryEntry entry, std::map<std::string, std::string, std::less<>> xattrs) {
  entry.xattrs = std::move(xattrs);
  entry.uid = entry.gid = 1000;
  entry.mtime = Time{1'600'000'000'000'000'000};
  return entry;
}

std::vector<MemoryEntry> Given() {
  return {
      With(MemoryDirectory("", 0755), {{"user.note", "root"}}),
      With(MemoryFile("file", "content"), {{"user.note", "hello"}, {"user.a", ""}, {"trusted.secret", "key"}}),
      With(MemoryFile("program", "#!", 04755), {{"user.note", "runs"}}),
      With(MemoryFile("plain", "content"), {}),
      With(MemoryFile("private", "content", 0600), {{"user.note", "mine"}}),
      With(MemorySymlink("link", "file"), {{"user.note", "of the link"}}),
      With(MemorySpecial("device", FileType::kCharacterDevice, {1, 3}, 0644), {{"user.note", "of the device"}}),
      With(MemoryDirectory("d"), {{"user.note", "of d"}}),
      With(MemoryDirectory("d/e"), {}),
      With(MemoryFile("d/e/f", "content"), {{"user.note", "deep"}}),
      With(MemoryDirectory("own"), {{"user.note", "of the directory"}}),
      With(MemoryFile("own/.self", "content"), {{"user.note", "of the file"}}),
      With(MemoryDirectory("closed", 0700), {{"user.note", "of the closed"}}),
      With(MemoryFile("closed/f", "content"), {{"user.note", "within"}}),
  };
}

class ControlTreeTest : public ::testing::Test, public FileSystemHolder {
 protected:
  void SetUp() override {
    const std::string none = folder_.path() + "/no layer";
    std::filesystem::create_directory(none);
    ASSERT_OK(InitWorkspace(Env::System(), path(), {{.path = none, .markers = {}}}, 1 << 20));
  }
  FileSystem& fs() override {
    if (!tree_) tree_ = std::make_shared<ControlTree>(Open());
    return *tree_;
  }
  // As a new process would have it.
  void Restart() { tree_.reset(); }
  std::shared_ptr<FileSystem> Open() {
    std::vector<std::unique_ptr<Layer>> layers;
    const std::vector<MemoryEntry> entries = Given();
    layers.push_back(MakeMemoryLayer(entries).value());
    WorkspaceOptions options;
    options.durability = Durability::kRelaxed;
    options.memory_bytes = 16 << 20;
    return Workspace::OpenOver(Env::System(), path(), std::move(layers), options).value();
  }
  std::string path() const { return folder_.path() + "/workspace"; }

  TempFolder folder_;
  std::shared_ptr<ControlTree> tree_;
  Client client_{*this};
  Client owner_{*this, kOwner};
  Client stranger_{*this, kStranger};
};

TEST_F(ControlTreeTest, TheNamesOfAFileAreALineEach) {
  EXPECT_EQ(Text(client_, kNames + "/file"), "user.a\nuser.note\n") << "and without the superuser's own";
  EXPECT_EQ(Text(client_, kNames + "/plain"), "");
  EXPECT_EQ(Text(client_, kNames + "/d/e/f"), "user.note\n");
}

TEST_F(ControlTreeTest, AValueIsAFileThatHoldsItsBytesAndNothingElse) {
  EXPECT_EQ(Text(client_, kNotes + "/file"), "hello");
  EXPECT_EQ(Text(client_, kNotes + "/d/e/f"), "deep");
  EXPECT_EQ(Text(client_, ".strata/xattr/user.a/file"), "");
  const ObjectId id = client_.IdOf(kNotes + "/file");
  const auto piece = client_.Read(id, 1, 2);
  ASSERT_OK(piece);
  EXPECT_EQ(piece->data, "el");
  EXPECT_FALSE(piece->eof);
  for (const std::uint64_t offset : {2, 5, 6}) {
    const auto rest = client_.Read(id, offset, 100);
    ASSERT_OK(rest);
    EXPECT_EQ(rest->data, offset == 2 ? "llo" : "");
    EXPECT_TRUE(rest->eof);
    EXPECT_EQ(rest->after, client_.StatOf(kNotes + "/file"));
  }
  EXPECT_TRUE(client_.Read(id, ~std::uint64_t{0}, 100)->eof);
}

TEST_F(ControlTreeTest, WhatIsNoDirectoryIsARegularFileThere) {
  EXPECT_EQ(Text(client_, kNotes + "/link"), "of the link");
  EXPECT_EQ(Text(client_, kNotes + "/device"), "of the device");
  for (const std::string& top : {kNames, kNotes}) {
    for (const char* name : {"/file", "/link", "/device"}) {
      const Attributes attributes = client_.StatOf(top + name);
      EXPECT_EQ(attributes.type, FileType::kRegular) << name;
      EXPECT_EQ(attributes.rdev, DeviceNumber()) << name;
      EXPECT_CODE(client_.ReadLink(client_.IdOf(top + name)), Errc::kInvalid);
      EXPECT_CODE(client_.Walk(top + name + "/below"), Errc::kNotDirectory);
      EXPECT_CODE(client_.ListPage(client_.IdOf(top + name), Cookie(0), 10), Errc::kNotDirectory);
    }
  }
}

TEST_F(ControlTreeTest, ADirectoryIsOneAndItsSelfTellsOfIt) {
  for (const std::string& top : {kNames, kNotes}) {
    for (const char* name : {"", "/d", "/own"}) {
      EXPECT_EQ(client_.StatOf(top + name).type, FileType::kDirectory) << top << name;
      EXPECT_CODE(client_.Read(client_.IdOf(top + name), 0, 10), Errc::kIsDirectory);
    }
  }
  EXPECT_EQ(Text(client_, kNotes + "/d/.self"), "of d");
  EXPECT_EQ(Text(client_, kNotes + "/.self"), "root");
  EXPECT_EQ(Text(client_, kNames + "/d/.self"), "user.note\n");
  EXPECT_EQ(Text(client_, kNames + "/d/e/.self"), "");
  EXPECT_CODE(client_.Walk(kNotes + "/d/e/.self"), Errc::kNotFound);
  EXPECT_CODE(client_.Walk(kNotes + "/d/.self/below"), Errc::kNotDirectory);
  EXPECT_CODE(client_.Walk(kNotes + "/file/.self"), Errc::kNotDirectory);
}

TEST_F(ControlTreeTest, ASelfOfTheDirectorysOwnIsFoundInItsPlace) {
  EXPECT_EQ(Text(client_, kNotes + "/own/.self"), "of the file");
  const ObjectId of_file = client_.IdOf(kNotes + "/own/.self");
  ASSERT_OK(client_.Unlink("own/.self"));
  EXPECT_EQ(Text(client_, kNotes + "/own/.self"), "of the directory");
  EXPECT_CODE(client_.Get(of_file), Errc::kStale);
}

TEST_F(ControlTreeTest, WhatIsNotThereIsNotFound) {
  EXPECT_CODE(client_.Walk(kNotes + "/plain"), Errc::kNotFound);
  EXPECT_CODE(client_.Walk(kNotes + "/missing"), Errc::kNotFound);
  EXPECT_CODE(client_.Walk(kNames + "/missing"), Errc::kNotFound);
  EXPECT_CODE(client_.Walk(".strata/xattr/user.other/file"), Errc::kNotFound);
  EXPECT_CODE(client_.Walk(".strata/other"), Errc::kNotFound);
  EXPECT_CODE(client_.Walk("d/.strata"), Errc::kNotFound) << "only the root has one";
  EXPECT_CODE(client_.Walk(kNames + "/.strata"), Errc::kNotFound) << "it does not hold itself";
  EXPECT_OK(client_.Walk(".strata/xattr/user.other")) << "which objects have it is not known before it is asked for";
  const ObjectId names = client_.IdOf(".strata/xattr");
  EXPECT_CODE(client_.Lookup(names, ""), Errc::kInvalid);
  EXPECT_CODE(client_.Lookup(names, std::string(256, 'n')), Errc::kNameTooLong);
}

TEST_F(ControlTreeTest, OwnerAndModeAreTheObjectsWithoutWhatWouldChangeOrRunIt) {
  const Attributes of_file = client_.StatOf("file"), names = client_.StatOf(kNames + "/file");
  EXPECT_EQ(names.mode, 0444U);
  EXPECT_EQ(names.uid, 1000U);
  EXPECT_EQ(names.gid, 1000U);
  EXPECT_EQ(names.nlink, 1U);
  EXPECT_EQ(names.size, std::string("user.a\nuser.note\n").size());
  EXPECT_EQ(names.ctime, of_file.ctime);
  EXPECT_EQ(names.mtime, of_file.ctime) << "when an attribute is set, that moves";
  EXPECT_EQ(client_.StatOf(kNotes + "/program").mode, 0444U);
  EXPECT_EQ(client_.StatOf(kNotes + "/private").mode, 0400U);
  EXPECT_EQ(client_.StatOf(kNotes + "/d/.self").mode, 0444U);
  EXPECT_EQ(client_.StatOf(kNotes + "/closed/.self").mode, 0400U);
  EXPECT_EQ(client_.StatOf(kNotes + "/closed").mode, 0500U);
  for (const std::string& top : {std::string(".strata"), std::string(".strata/xattr"), kNames, kNotes}) {
    EXPECT_EQ(client_.StatOf(top).mode, 0555U) << top;
  }
}

TEST_F(ControlTreeTest, EachHasAFileidOfItsOwn) {
  std::set<std::uint64_t> seen;
  std::size_t paths = 0;
  for (const std::string top : {".strata", ".strata/xattr"}) seen.insert(client_.StatOf(top).ino.value), ++paths;
  for (const std::string& top : {kNames, kNotes, std::string(".strata/xattr/user.other")}) {
    for (const char* name : {"", "/d", "/d/e", "/own"}) seen.insert(client_.StatOf(top + name).ino.value), ++paths;
  }
  for (const std::string& top : {kNames, kNotes}) {
    for (const char* name : {"/file", "/.self", "/d/.self", "/own/.self", "/link"}) {
      seen.insert(client_.StatOf(top + name).ino.value), ++paths;
    }
  }
  seen.insert(client_.StatOf(".strata/xattr/user.a/file").ino.value), ++paths;
  EXPECT_EQ(seen.size(), paths);
  for (const std::uint64_t fileid : seen) EXPECT_GE(fileid, kOurs) << "no object of the volume bears it";
  const Entry entry = client_.Walk(kNotes + "/file").value();
  EXPECT_EQ(entry.id.ino, entry.attributes.ino) << "a listing gives the one, GETATTR the other";
}

TEST_F(ControlTreeTest, ItIsFoundAndNeverListed) {
  EXPECT_THAT(client_.List("").value(),
              ElementsAre("closed", "d", "device", "file", "link", "own", "plain", "private", "program"));
  EXPECT_THAT(client_.List(".strata").value(), ElementsAre("xattr", "xattr-names"));
  for (const std::string& path : {std::string(".strata/xattr"), kNames, kNames + "/d", kNotes, kNotes + "/d"}) {
    EXPECT_THAT(client_.List(path).value(), ElementsAre()) << path;
  }
}

TEST_F(ControlTreeTest, AListingTellsWhatLookupDoesAndGoesOnFromEachCookie) {
  for (const std::string& path : {std::string(".strata"), std::string(".strata/xattr"), kNames, kNotes + "/d/e"}) {
    const ObjectId id = client_.IdOf(path);
    for (const bool attributes : {false, true}) {
      const auto entries = client_.ListAll(id, 1, attributes).value();
      EXPECT_EQ(entries.size(), path == ".strata" ? 4U : 2U);
      for (const Listed& listed : entries) {
        const Entry found = client_.Lookup(id, listed.name).value();
        EXPECT_EQ(listed.id.ino, found.attributes.ino) << path << '/' << listed.name;
        EXPECT_EQ(listed.attributes.has_value(), attributes);
        if (!attributes) continue;
        EXPECT_EQ(listed.id, found.id) << path << '/' << listed.name;
        EXPECT_EQ(*listed.attributes, found.attributes) << path << '/' << listed.name;
      }
    }
    const auto beyond = client_.ListPage(id, Cookie(~std::uint64_t{0}), 10);
    ASSERT_OK(beyond);
    EXPECT_TRUE(beyond->eof && beyond->entries.empty());
  }
}

TEST_F(ControlTreeTest, DotDotLeadsBackToTheRoot) {
  for (const std::string& path : {kNames + "/d/e", kNotes + "/d/e"}) {
    Entry at = client_.Walk(path).value();
    EXPECT_EQ(client_.Lookup(at.id, ".")->id, at.id);
    for (std::string above = path; !above.empty();) {
      above.resize(above.find('/') == above.npos ? 0 : above.rfind('/'));
      at = client_.Lookup(at.id, "..").value();
      const Entry expected = client_.Walk(above).value();
      EXPECT_EQ(at.id, expected.id) << above;
      EXPECT_EQ(at.attributes, expected.attributes) << above;
    }
    EXPECT_EQ(at.id, client_.Root());
  }
}

TEST_F(ControlTreeTest, LookupGivesTheDirectorysAttributesFoundOrNot) {
  for (const std::string& path : {std::string(".strata"), std::string(".strata/xattr"), kNames + "/d", kNotes}) {
    for (const char* name : {"xattr", "..", "none"}) {
      std::optional<Attributes> after;
      (void)client_.Lookup(client_.IdOf(path), name, &after);
      EXPECT_EQ(after, client_.StatOf(path)) << path << '/' << name;
    }
  }
  std::optional<Attributes> of_root;
  ASSERT_OK(client_.Lookup(client_.Root(), ".strata", &of_root));
  EXPECT_EQ(of_root, client_.StatOf(""));
}

TEST_F(ControlTreeTest, AnAttributeIsReadByWhomTheObjectCanBeReadBy) {
  const ObjectId value = client_.IdOf(kNotes + "/private"), names = client_.IdOf(kNames + "/private");
  EXPECT_EQ(owner_.Read(value, 0, 100)->data, "mine");
  EXPECT_EQ(owner_.Read(names, 0, 100)->data, "user.note\n");
  EXPECT_EQ(client_.Read(value, 0, 100)->data, "mine");
  EXPECT_CODE(stranger_.Read(value, 0, 100), Errc::kAccess);
  EXPECT_CODE(stranger_.Read(names, 0, 100), Errc::kAccess);
  EXPECT_EQ(stranger_.Get(value).value(), client_.Get(value).value()) << "clients share this among their users";
  EXPECT_OK(stranger_.Walk(kNotes + "/private"));
  EXPECT_CODE(stranger_.Walk(kNotes + "/closed/f"), Errc::kAccess);
  EXPECT_CODE(stranger_.ListPage(client_.IdOf(kNotes + "/closed"), Cookie(0), 10), Errc::kAccess);
  EXPECT_EQ(Text(owner_, kNotes + "/closed/f"), "within");
}

TEST_F(ControlTreeTest, AClosedRootClosesTheTree) {
  ASSERT_OK(client_.Chmod("", 0700));
  ASSERT_OK(client_.Chown("", 1000, 1000));
  const ObjectId top = client_.IdOf(".strata"), xattr = client_.IdOf(".strata/xattr");
  EXPECT_CODE(stranger_.Walk(".strata"), Errc::kAccess);
  EXPECT_CODE(stranger_.Lookup(top, "xattr"), Errc::kAccess);
  EXPECT_CODE(stranger_.Lookup(xattr, "user.note"), Errc::kAccess);
  EXPECT_CODE(stranger_.ListPage(top, Cookie(0), 10), Errc::kAccess);
  EXPECT_EQ(Text(owner_, kNotes + "/file"), "hello");
}

TEST_F(ControlTreeTest, TheSuperusersAttributesAreItsFilesAlone) {
  const std::string path = ".strata/xattr/trusted.secret/file";
  const Attributes attributes = stranger_.StatOf(path);
  EXPECT_EQ(attributes.mode, 0400U);
  EXPECT_EQ(attributes.uid, 0U);
  EXPECT_EQ(attributes.gid, 0U);
  EXPECT_EQ(Text(client_, path), "key");
  for (Client* client : {&owner_, &stranger_}) {
    EXPECT_CODE(client->ReadFile(path), Errc::kAccess);
    EXPECT_EQ(client->Access(client_.IdOf(path)).value(), 0U);
  }
}

TEST_F(ControlTreeTest, AccessGrantsNoChangeToAnybody) {
  const ObjectId file = client_.IdOf(kNotes + "/program"), directory = client_.IdOf(kNotes + "/d");
  for (Client* client : {&client_, &owner_, &stranger_}) {
    EXPECT_EQ(client->Access(file).value(), kAccessRead);
    EXPECT_EQ(client->Access(directory).value(), kAccessRead | kAccessLookup);
  }
  EXPECT_EQ(stranger_.Access(client_.IdOf(kNotes + "/private")).value(), 0U);
}

TEST_F(ControlTreeTest, NothingInItCanBeChanged) {
  const ObjectId root = client_.Root(), file = client_.IdOf("file");
  const ObjectId d = client_.IdOf(kNotes + "/d"), value = client_.IdOf(kNotes + "/file");
  for (Client* client : {&client_, &owner_}) {
    EXPECT_CODE(client->Set(value, Mode(0777)), Errc::kReadOnly);
    EXPECT_EQ(client->mutation().target.after, client_.StatOf(kNotes + "/file"));
    EXPECT_CODE(client->Write(value, 0, "x"), Errc::kReadOnly);
    EXPECT_CODE(client->Create(d, "new"), Errc::kReadOnly);
    EXPECT_EQ(client->mutation().target.after, client_.StatOf(kNotes + "/d"));
    EXPECT_CODE(client->MakeDirectory(d, "new"), Errc::kReadOnly);
    EXPECT_CODE(client->MakeSymlink(d, "new", "target"), Errc::kReadOnly);
    EXPECT_CODE(client->MakeNode(d, "new", FileType::kFifo, {}), Errc::kReadOnly);
    EXPECT_CODE(client->Remove(d, ".self"), Errc::kReadOnly);
    EXPECT_CODE(client->RemoveDirectory(d, "e"), Errc::kReadOnly);
    EXPECT_CODE(client->Rename(d, ".self", d, "other"), Errc::kReadOnly);
    EXPECT_CODE(client->Rename(d, ".self", root, "out"), Errc::kReadOnly);
    EXPECT_CODE(client->Rename(root, "file", d, "in"), Errc::kReadOnly);
    EXPECT_TRUE(client->mutation().target.after && client->mutation().second.after);
    EXPECT_CODE(client->Link(value, root, "out"), Errc::kReadOnly);
    EXPECT_CODE(client->Link(file, d, "in"), Errc::kReadOnly);
    EXPECT_OK(client->Commit(value)) << "nothing is left to be written";
    EXPECT_EQ(client->mutation().commitment, Commitment::kNone);
  }
  EXPECT_CODE(client_.RemoveDirectory(root, ".strata"), Errc::kReadOnly);
  EXPECT_CODE(client_.Remove(root, ".strata"), Errc::kReadOnly);
  EXPECT_CODE(client_.Rename(root, ".strata", root, "other"), Errc::kReadOnly);
  EXPECT_CODE(client_.Remove(root, ".strata2"), Errc::kNotFound);
  EXPECT_CODE(client_.Remove(client_.IdOf("d"), ".strata"), Errc::kNotFound);
  EXPECT_EQ(Text(client_, "file"), "content");
  EXPECT_EQ(Text(client_, kNotes + "/file"), "hello");
}

TEST_F(ControlTreeTest, AStrataOfTheUsersOwnIsFoundInItsPlace) {
  const ObjectId value = client_.IdOf(kNotes + "/file");
  ASSERT_OK(client_.Mkdir(".strata"));
  ASSERT_OK(client_.WriteFile(".strata/mine", "x"));
  EXPECT_THAT(client_.List(".strata").value(), ElementsAre("mine"));
  EXPECT_LT(client_.StatOf(".strata").ino.value, kOurs);
  EXPECT_CODE(client_.Walk(".strata/xattr"), Errc::kNotFound);
  EXPECT_EQ(client_.ReadAll(value).value(), "hello") << "who has found it before reads on";
  ASSERT_OK(client_.RenameAt(".strata", "moved"));
  EXPECT_EQ(Text(client_, kNotes + "/file"), "hello");
  ASSERT_OK(client_.RenameAt("moved", ".strata"));
  ASSERT_OK(client_.Unlink(".strata/mine"));
  ASSERT_OK(client_.Rmdir(".strata"));
  EXPECT_THAT(client_.List(".strata").value(), ElementsAre("xattr", "xattr-names"));
}

TEST_F(ControlTreeTest, HandlesAreGoodAfterARestartWithoutAnyLookup) {
  std::map<std::string, Entry> before;
  for (const std::string& path :
       {std::string(".strata"), std::string(".strata/xattr"), kNames, kNames + "/file", kNames + "/d",
        kNames + "/d/e/f", kNames + "/d/.self", kNotes, kNotes + "/file", kNotes + "/link", kNotes + "/d/e",
        kNotes + "/d/e/f", kNotes + "/d/.self", kNotes + "/.self", std::string(".strata/xattr/trusted.secret/file")}) {
    before[path] = client_.Walk(path).value();
  }
  for (const auto& [path, entry] : before) {
    Restart();
    EXPECT_EQ(client_.Get(entry.id).value(), entry.attributes) << path;
  }
  Restart();
  EXPECT_EQ(client_.ReadAll(before[kNotes + "/d/e/f"].id).value(), "deep");
  Restart();
  EXPECT_EQ(client_.ReadAll(before[kNames + "/file"].id).value(), "user.a\nuser.note\n");
  Restart();
  EXPECT_EQ(client_.Lookup(before[kNotes + "/d/e"].id, "f")->id, before[kNotes + "/d/e/f"].id);
  Restart();
  EXPECT_EQ(client_.Lookup(before[kNotes + "/d/e"].id, "..")->id, client_.IdOf(kNotes + "/d"));
}

TEST_F(ControlTreeTest, AHandleFollowsItsObjectAndEndsWithIt) {
  const ObjectId value = client_.IdOf(kNotes + "/file");
  ASSERT_OK(client_.RenameAt("file", "d/renamed"));
  EXPECT_EQ(client_.ReadAll(value).value(), "hello");
  EXPECT_EQ(client_.IdOf(kNotes + "/d/renamed"), value);
  ASSERT_OK(client_.WriteFile("d/renamed", "changed"));
  EXPECT_EQ(client_.ReadAll(value).value(), "hello") << "what was written here has the layer's attributes";
  ASSERT_OK(client_.Unlink("d/renamed"));
  EXPECT_CODE(client_.Get(value), Errc::kStale);
  EXPECT_CODE(client_.Read(value, 0, 10), Errc::kStale);
}

TEST_F(ControlTreeTest, WhatIsMadeHereHasNoneAndSaysSo) {
  ASSERT_OK(client_.WriteFile("d/new", "x"));
  EXPECT_EQ(Text(client_, kNames + "/d/new"), "");
  EXPECT_CODE(client_.Walk(kNotes + "/d/new"), Errc::kNotFound);
}

TEST_F(ControlTreeTest, NumbersThatNobodyGaveOutAreRefused) {
  const ObjectId good = client_.IdOf(kNotes + "/d"), root = client_.Root();
  for (std::uint64_t kind = 0; kind < 16; ++kind) {
    for (const std::uint64_t hash : {std::uint64_t{0}, std::uint64_t{1}, (std::uint64_t{1} << 60) - 1}) {
      const ObjectId id{good.ino, good.generation, kind << 60 | hash};
      EXPECT_CODE(client_.Get(id), Errc::kBadHandle, Errc::kStale) << kind << ' ' << hash;
      EXPECT_CODE(client_.Lookup(id, "x"), Errc::kBadHandle, Errc::kStale) << kind << ' ' << hash;
      EXPECT_CODE(client_.ListPage(id, Cookie(0), 10), Errc::kBadHandle, Errc::kStale) << kind << ' ' << hash;
      EXPECT_CODE(client_.Read(id, 0, 10), Errc::kBadHandle, Errc::kStale) << kind << ' ' << hash;
    }
  }
  EXPECT_CODE(client_.Get({InodeNumber(kOurs | root.ino.value), root.generation, 0}), Errc::kBadHandle);
  EXPECT_CODE(client_.Get({good.ino, Generation(good.generation.value + 1), good.locator}), Errc::kStale);
}

TEST_F(ControlTreeTest, WithoutTheTreeItsHandlesAreStale) {
  std::vector<ObjectId> ids;
  for (const std::string& path : {std::string(".strata"), kNames, kNotes + "/d", kNotes + "/file"}) {
    ids.push_back(client_.IdOf(path));
  }
  Restart();
  const std::shared_ptr<FileSystem> volume = Open();
  for (const ObjectId& id : ids) {
    EXPECT_CODE(volume->GetAttributes({}, id), Errc::kStale);
    EXPECT_CODE(volume->Lookup({}, id, "xattr", nullptr), Errc::kStale);
  }
}

TEST_F(ControlTreeTest, HashesOfNamesDifferFromVolumeToVolume) {
  const std::uint64_t here = client_.IdOf(kNotes).locator;
  Restart();
  std::filesystem::remove_all(path());
  ASSERT_OK(InitWorkspace(Env::System(), path(), {{.path = folder_.path() + "/no layer", .markers = {}}}, 1 << 20));
  EXPECT_NE(client_.IdOf(kNotes).locator, here);
}

// One file, number 1, whose attributes a test changes, and which has to be waited for where it says so.
class OneFileAndItsXattrs final : public FileSystem {
 public:
  std::map<std::string, std::string> xattrs;
  std::shared_ptr<Fetch> fetch;  // what ListXattr waits for
  int fetched_calls = 0;

  const VolumeInfo& Volume() const override { return volume_; }
  ObjectId Root() const override { return {kRootInode, Generation(3), 17}; }
  Result<Attributes> GetAttributes(const OpContext&, const ObjectId& id) override {
    Attributes attributes;
    attributes.mode = 0755;
    attributes.ino = id.ino;
    if (id == Root()) attributes.type = FileType::kDirectory;
    return attributes;
  }
  Result<Entry> Lookup(const OpContext& context, const ObjectId&, std::string_view name,
                       std::optional<Attributes>*) override {
    if (name != "file") return Fail(Errc::kNotFound);
    const ObjectId id{InodeNumber(2), Generation(4), 0};
    return Entry{id, *GetAttributes(context, id)};
  }
  Result<ReadResult> Read(const OpContext&, const ObjectId&, std::uint64_t, std::uint32_t, ReadSink&) override {
    return ReadResult{};
  }
  Result<Listing> ReadDirectory(const OpContext&, const ObjectId&, Cookie, bool, DirectorySink&) override {
    return Listing{};
  }
  Result<std::vector<std::string>> ListXattr(const OpContext& context, const ObjectId&) override {
    if (fetch != nullptr && context.fetch != nullptr) {
      ++fetched_calls;
      *context.fetch = fetch;
      return Fail(Errc::kWouldBlock);
    }
    std::vector<std::string> names;
    for (const auto& [name, value] : xattrs) names.push_back(name);
    return names;
  }
  Result<std::string> GetXattr(const OpContext&, const ObjectId&, std::string_view name) override {
    const auto found = xattrs.find(std::string(name));
    if (found == xattrs.end()) return Fail(Errc::kNotFound);
    return found->second;
  }

 private:
  VolumeInfo volume_{.id = 5, .handle_key = {1, 2}};
};

class ControlTreeOfOneFile : public ::testing::Test {
 protected:
  Entry Find(std::string_view path) {
    Entry at{tree_.Root(), {}};
    for (std::size_t end = 0; end != path.npos; path.remove_prefix(end == path.npos ? 0 : end + 1)) {
      end = path.find('/');
      at = tree_.Lookup({}, at.id, path.substr(0, end), nullptr).value();
    }
    return at;
  }
  std::shared_ptr<OneFileAndItsXattrs> volume_ = std::make_shared<OneFileAndItsXattrs>();
  ControlTree tree_{volume_};
};

TEST_F(ControlTreeOfOneFile, AHandleOfAValueIsStaleWhileThereIsNone) {
  volume_->xattrs["user.note"] = "one";
  const Entry value = Find(".strata/xattr/user.note/file");
  volume_->xattrs["user.note"] = "changed";
  EXPECT_EQ(tree_.GetAttributes({}, value.id)->size, 7U);
  volume_->xattrs.clear();
  StringSink sink;
  EXPECT_CODE(tree_.GetAttributes({}, value.id), Errc::kStale);
  EXPECT_CODE(tree_.Read({}, value.id, 0, 10, sink), Errc::kStale);
  volume_->xattrs["user.note"] = "again";
  EXPECT_OK(tree_.Read({}, value.id, 0, 10, sink));
  EXPECT_EQ(sink.data, "again");
}

TEST_F(ControlTreeOfOneFile, WhatComesFromElsewhereIsWaitedForByTheCaller) {
  volume_->xattrs["user.note"] = "far";
  const Entry value = Find(".strata/xattr/user.note/file");
  const Entry place = Find(".strata/xattr/user.note");
  volume_->fetch = std::make_shared<Fetch>("the names");
  StringSink sink;
  int calls = 0;
  const auto expect_waits = [&](auto call) {
    std::shared_ptr<Fetch> fetch;
    const OpContext context{.credentials = {}, .may_block = false, .fetch = &fetch};
    EXPECT_CODE(call(context), Errc::kWouldBlock);
    EXPECT_EQ(fetch, volume_->fetch);
    EXPECT_EQ(volume_->fetched_calls, ++calls);
  };
  expect_waits([&](const OpContext& context) { return tree_.GetAttributes(context, value.id); });
  expect_waits([&](const OpContext& context) { return tree_.Lookup(context, place.id, "file", nullptr); });
  expect_waits([&](const OpContext& context) { return tree_.Read(context, value.id, 0, 10, sink); });
  expect_waits([&](const OpContext& context) { return tree_.Access(context, value.id, kAccessRead, nullptr); });
  EXPECT_EQ(sink.data, "");
}

}  // namespace
}  // namespace strata::vfs::testing
