// A layer that gives numbers again, as ext4 does at once: what comes to bear the number of an object that lives on in
// the upper is shown like any other, under one number of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>

#include "subject.h"

namespace strata::vfs::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

// A folder whose files bear the numbers that a test gives them.
class Disk {
 public:
  struct Node {
    std::uint64_t id = 0;
    std::uint32_t generation = 0;
    FileType type = FileType::kRegular;
    std::string content;
    Time time;
  };
  using Nodes = std::map<std::string, std::shared_ptr<Node>, std::less<>>;

  Disk() { Make("", 1, FileType::kDirectory, ""); }
  // Generations are as if the file system knew none.
  void ForgetBirths() { births_known_ = false; }
  void Put(const std::string& path, std::uint64_t id, std::string_view content) {
    Make(path, id, FileType::kRegular, content);
  }
  void MakeDirectory(const std::string& path, std::uint64_t id) { Make(path, id, FileType::kDirectory, ""); }
  void Symlink(const std::string& path, std::uint64_t id, std::string_view target) {
    Make(path, id, FileType::kSymlink, target);
  }
  void Link(const std::string& path, const std::string& existing) {
    nodes_[path] = nodes_.at(existing);
    Touch(path);
  }
  // With all beneath it.
  void Remove(const std::string& path) {
    std::erase_if(nodes_, [&](const auto& at) { return at.first == path || at.first.starts_with(path + '/'); });
    Touch(path);
  }

  static std::string Above(std::string_view path) {
    const std::size_t slash = path.rfind('/');
    return std::string(path.substr(0, slash == path.npos ? 0 : slash));
  }
  const Nodes& nodes() const { return nodes_; }

 private:
  void Make(const std::string& path, std::uint64_t id, FileType type, std::string_view content) {
    nodes_[path] = std::make_shared<Node>(
        Node{id, births_known_ ? ++births_ : 0, type, std::string(content), Time{++clock_ * 1'000'000'000}});
    if (!path.empty()) Touch(path);
  }
  void Touch(const std::string& path) { nodes_.at(Above(path))->time = Time{++clock_ * 1'000'000'000}; }

  Nodes nodes_;
  bool births_known_ = true;
  std::uint32_t births_ = 0;
  std::int64_t clock_ = 1'600'000'000;
};

class DiskLayer final : public Layer {
 public:
  explicit DiskLayer(const Disk& disk) : disk_(disk) {}

  const LayerTraits& Traits() const override { return traits_; }
  LayerNode Root() const override { return {1, 0}; }
  Result<LayerStat> Stat(const OpContext&, const LayerNode& node) override {
    STRATA_ASSIGN(const Place place, Find(node));
    return StatOf(place);
  }
  Result<LayerStat> Lookup(const OpContext&, const LayerNode& directory, std::string_view name) override {
    STRATA_ASSIGN(const Place place, FindDirectory(directory));
    const auto found = disk_.nodes().find(Within(place, name));
    return found == disk_.nodes().end() ? Result<LayerStat>(Fail(Errc::kNotFound)) : StatOf(found);
  }
  Result<void> ReadDirectory(const OpContext&, const LayerNode& directory,
                             const std::function<bool(const LayerEntry&)>& visit) override {
    STRATA_ASSIGN(const Place place, FindDirectory(directory));
    for (auto at = disk_.nodes().begin(); at != disk_.nodes().end(); ++at) {
      if (at->first.empty() || Disk::Above(at->first) != place->first) continue;
      const std::string_view name =
          std::string_view(at->first).substr(place->first.empty() ? 0 : place->first.size() + 1);
      if (!visit({name, StatOf(at).node, at->second->type, false})) return {};
    }
    return {};
  }
  Result<std::size_t> Read(const OpContext&, const LayerNode& node, std::uint64_t offset, std::size_t length,
                           const LayerVersion* expected, ReadSink& sink) override {
    STRATA_ASSIGN(const Place place, Find(node));
    const std::string& content = place->second->content;
    if (expected != nullptr && !expected->Matches(content.size(), place->second->time, place->second->time)) {
      return Fail(Errc::kNotSync);
    }
    const std::size_t size = offset < content.size() ? std::min(length, content.size() - offset) : 0;
    if (size > 0) std::memcpy(sink.Allocate(size).data(), content.data() + offset, size);
    return size;
  }
  Result<std::string> ReadLink(const OpContext&, const LayerNode& node) override {
    STRATA_ASSIGN(const Place place, Find(node));
    return place->second->content;
  }
  Result<std::string> PathOf(const OpContext&, const LayerNode& node) override {
    STRATA_ASSIGN(const Place place, Find(node));
    return place->first;
  }
  std::string Describe() const override { return "disk"; }

 private:
  const LayerTraits traits_;
  using Place = Disk::Nodes::const_iterator;

  static std::string Within(Place directory, std::string_view name) {
    return directory->first.empty() ? std::string(name) : directory->first + '/' + std::string(name);
  }
  Result<Place> Find(const LayerNode& node) const {
    const Place place = std::ranges::find_if(disk_.nodes(), [&](const auto& at) { return at.second->id == node.id; });
    return place == disk_.nodes().end() ? Result<Place>(Fail(Errc::kStale)) : place;
  }
  Result<Place> FindDirectory(const LayerNode& node) const {
    STRATA_ASSIGN(const Place place, Find(node));
    return place->second->type == FileType::kDirectory ? Result<Place>(place) : Fail(Errc::kNotDirectory);
  }
  LayerStat StatOf(Place place) const {
    const Disk::Node& node = *place->second;
    const bool directory = node.type == FileType::kDirectory;
    LayerStat stat;
    stat.attributes.nlink = static_cast<std::uint32_t>(directory ? 1 : place->second.use_count());
    const bool alone = directory || stat.attributes.nlink == 1;
    stat.node = {node.id, place->first.empty() || !alone ? 0 : disk_.nodes().at(Disk::Above(place->first))->id};
    stat.generation = node.generation;
    stat.attributes.type = node.type;
    stat.attributes.mode = directory ? 0755 : 0644;
    stat.attributes.size = node.content.size();
    stat.attributes.ino = InodeNumber(node.id);
    stat.attributes.atime = stat.attributes.mtime = stat.attributes.ctime = node.time;
    return stat;
  }

  const Disk& disk_;
};

class NumberAgain : public ::testing::TestWithParam<bool>, public FileSystemHolder {
 protected:
  NumberAgain() {
    options_ = TestOptions();
    options_.layer_recheck_ns = 0;
    if (GetParam()) {
      options_.memory_bytes = 4096;
      options_.whole_directory_names = 1;
    }
    std::filesystem::create_directory(none_);
    EXPECT_OK(InitWorkspace(Env::System(), path_, {{.path = none_, .markers = {}}}, 4 << 20));
  }
  void Restart() {
    workspace_.reset();
    std::vector<std::unique_ptr<Layer>> layers;
    layers.push_back(std::make_unique<DiskLayer>(disk_));
    auto opened = Workspace::OpenOver(Env::System(), path_, std::move(layers), options_);
    ASSERT_OK(opened);
    workspace_ = std::move(*opened);
  }
  FileSystem& fs() override { return *workspace_; }

  std::string Text(std::string_view path) { return TextOrError(client_, path); }
  // The number of `path`, which LOOKUP, GETATTR and both kinds of listing must tell alike.
  InodeNumber NumberOf(const std::string& path) {
    const std::string name = path.substr(path.rfind('/') + 1);
    const ObjectId directory = client_.IdOf(Disk::Above(path));
    InodeNumber number = kNoInode;
    for (const bool attributes : {false, true}) {
      const auto listed = client_.ListAll(directory, 2, attributes);
      EXPECT_OK(listed);
      if (!listed) continue;
      const auto entry = std::ranges::find(*listed, name, &Listed::name);
      EXPECT_NE(entry, listed->end()) << path;
      if (entry == listed->end()) continue;
      if (attributes) {
        EXPECT_EQ(entry->id.ino, number) << path;
        EXPECT_EQ(entry->attributes->ino, number) << path;
      }
      number = entry->id.ino;
    }
    const ObjectId id = client_.IdOf(path);
    EXPECT_EQ(id.ino, number) << path;
    EXPECT_EQ(client_.StatOf(path).ino, number) << path;
    EXPECT_EQ(client_.Get(id).value_or(Attributes()).ino, number) << path;
    return number;
  }
  std::vector<std::string> Changes() { return ChangeLines(*workspace_); }
  std::vector<std::string> Conflicts() { return ConflictLines(*workspace_); }
  // d/a of the layer is changed here, goes in the layer, and its number is free there.
  void FreeNumberOfChangedFile() {
    disk_.MakeDirectory("d", 2);
    disk_.Put("d/a", 77, "a of the layer");
    Restart();
    ASSERT_OK(client_.WriteAt("d/a", 0, "A"));
    disk_.Remove("d/a");
  }

  TempFolder folder_;
  const std::string path_ = folder_.path() + "/workspace", none_ = folder_.path() + "/none";
  Disk disk_;
  WorkspaceOptions options_;
  std::unique_ptr<Workspace> workspace_;
  Client client_{*this};
};

INSTANTIATE_TEST_SUITE_P(Caches, NumberAgain, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Tiny" : "Large"; });

TEST_P(NumberAgain, ANewFileIsShownUnderANumberOfItsOwn) {
  FreeNumberOfChangedFile();
  const InodeNumber a = NumberOf("d/a");
  disk_.Put("d/b", 77, "b");
  disk_.Put("d/c", 78, "c");
  const InodeNumber b = NumberOf("d/b");
  EXPECT_NE(a, b);
  EXPECT_EQ(NumberOf("d/a"), a);
  EXPECT_EQ(Text("d/b"), "b");
  EXPECT_EQ(client_.StatOf("d/a").size, 14u);
  const ObjectId handle = client_.IdOf("d/b");
  Restart();
  EXPECT_EQ(client_.ReadAll(handle).value(), "b") << "by its handle alone";
  EXPECT_EQ(NumberOf("d/b"), b);
  Restart();
  EXPECT_EQ(NumberOf("d/b"), b) << "listed first";
}

TEST_P(NumberAgain, ItIsWrittenRenamedAndRemovedLikeAnyOther) {
  FreeNumberOfChangedFile();
  disk_.Put("d/b", 77, "b of the layer");
  const ObjectId b = client_.IdOf("d/b");
  ASSERT_OK(client_.Write(b, 0, "B"));
  EXPECT_EQ(client_.IdOf("d/b"), b);
  EXPECT_EQ(Text("d/b"), "B of the layer");
  Restart();
  EXPECT_EQ(NumberOf("d/b"), b.ino);
  EXPECT_EQ(client_.ReadAll(b).value(), "B of the layer");
  ASSERT_OK(client_.RenameAt("d/b", "moved"));
  Restart();
  EXPECT_EQ(NumberOf("moved"), b.ino);
  EXPECT_THAT(client_.List("d").value(), ElementsAre("a"));
  ASSERT_OK(client_.Unlink("moved"));
  EXPECT_CODE(client_.Get(b), Errc::kStale);
  Restart();
  EXPECT_CODE(client_.Get(b), Errc::kStale);
  EXPECT_CODE(client_.Stat("d/b"), Errc::kNotFound);
  EXPECT_EQ(client_.StatOf("d/a").size, 14u);
}

TEST_P(NumberAgain, ItIsRemovedThoughNothingWasWrittenToIt) {
  FreeNumberOfChangedFile();
  disk_.Put("d/b", 77, "b");
  const ObjectId b = client_.IdOf("d/b");
  ASSERT_OK(client_.Unlink("d/b"));
  for (int i = 0; i < 2; ++i) {
    EXPECT_CODE(client_.Stat("d/b"), Errc::kNotFound);
    EXPECT_CODE(client_.Get(b), Errc::kStale);
    EXPECT_THAT(client_.List("d").value(), ElementsAre("a"));
    Restart();
  }
  ASSERT_OK(client_.WriteFile("d/b", "mine"));
  EXPECT_EQ(Text("d/b"), "mine");
}

// As often as it happens.
TEST_P(NumberAgain, OneAfterTheOther) {
  FreeNumberOfChangedFile();
  std::vector<InodeNumber> numbers{NumberOf("d/a")};
  for (int i = 0; i < 5; ++i) {
    const std::string name = "d/" + std::to_string(i);
    disk_.Put(name, 77, "layer");
    numbers.push_back(NumberOf(name));
    if (i == 2) Restart();
    ASSERT_OK(client_.WriteAt(name, 0, "L"));
    EXPECT_EQ(Text(name), "Layer");
    disk_.Remove(name);
    ASSERT_OK(client_.Truncate(name, 0));
  }
  std::sort(numbers.begin(), numbers.end());
  EXPECT_EQ(std::unique(numbers.begin(), numbers.end()), numbers.end());
  Restart();
  EXPECT_THAT(client_.List("d").value(), ElementsAre("0", "1", "2", "3", "4", "a"));
}

TEST_P(NumberAgain, ItKeepsItsNumberWhenTheFirstIsRemoved) {
  if (GetParam()) GTEST_SKIP() << "keeps nothing in memory";
  FreeNumberOfChangedFile();
  disk_.Put("d/b", 77, "b of the layer");
  const ObjectId b = client_.IdOf("d/b");
  ASSERT_OK(client_.Unlink("d/a"));
  ASSERT_OK(workspace_->Checkpoint());
  EXPECT_EQ(client_.ReadAll(b).value(), "b of the layer");
  EXPECT_EQ(NumberOf("d/b"), b.ino);
  Restart();
  EXPECT_EQ(client_.ReadAll(b).value(), "b of the layer") << "who has it open goes on";
  EXPECT_EQ(NumberOf("d/b"), b.ino);
  ASSERT_OK(client_.Write(b, 0, "B"));
  EXPECT_EQ(NumberOf("d/b"), b.ino);
  Restart();
  EXPECT_EQ(NumberOf("d/b"), b.ino);
  EXPECT_EQ(Text("d/b"), "B of the layer");
}

// Nobody has its handle: it is as if there had been no other.
TEST_P(NumberAgain, WhenTheFirstIsRemovedItMayBearTheNumberItself) {
  FreeNumberOfChangedFile();
  const InodeNumber a = NumberOf("d/a");
  disk_.Put("d/b", 77, "b");
  ASSERT_OK(client_.Unlink("d/a"));
  Restart();
  EXPECT_EQ(NumberOf("d/b"), a);
  EXPECT_EQ(Text("d/b"), "b");
  ASSERT_OK(client_.WriteAt("d/b", 0, "B"));
  Restart();
  EXPECT_EQ(NumberOf("d/b"), a);
}

TEST_P(NumberAgain, AFileOfSeveralLinksIsOneObject) {
  FreeNumberOfChangedFile();
  disk_.Put("d/b", 77, "b");
  disk_.Link("d/c", "d/b");
  disk_.Link("e", "d/b");
  const InodeNumber b = NumberOf("d/b");
  EXPECT_EQ(NumberOf("d/c"), b);
  EXPECT_EQ(NumberOf("e"), b);
  const ObjectId handle = client_.IdOf("d/c");
  Restart();
  EXPECT_EQ(client_.ReadAll(handle).value(), "b");
  ASSERT_OK(client_.WriteAt("d/c", 0, "C"));
  for (int i = 0; i < 2; ++i) {
    for (const char* name : {"d/b", "d/c", "e"}) {
      EXPECT_EQ(NumberOf(name), b) << name;
      EXPECT_EQ(Text(name), "C") << name;
    }
    Restart();
  }
  // The first goes: what the upper knows by the other number stays so.
  ASSERT_OK(client_.Unlink("d/a"));
  Restart();
  EXPECT_EQ(NumberOf("e"), b);
  EXPECT_EQ(Text("e"), "C");
  EXPECT_EQ(NumberOf("d/b"), b);
}

// What several names lead to has none in the upper, so that its number must not be taken for the new object's.
TEST_P(NumberAgain, TheFirstMayHaveSeveralLinks) {
  disk_.MakeDirectory("d", 2);
  disk_.Put("d/a", 77, "a of the layer");
  disk_.Link("d/l", "d/a");
  Restart();
  ASSERT_OK(client_.WriteAt("d/a", 0, "A"));
  const InodeNumber a = NumberOf("d/l");
  EXPECT_EQ(NumberOf("d/a"), a);
  disk_.Remove("d/a");
  disk_.Remove("d/l");
  disk_.Put("d/b", 77, "b");
  EXPECT_NE(NumberOf("d/b"), a);
  EXPECT_EQ(Text("d/b"), "b");
  EXPECT_THAT(client_.List("d").value(), ElementsAre("b"));
  EXPECT_THAT(Changes(), IsEmpty());
  EXPECT_THAT(Conflicts(), ElementsAre("unreachable "));
}

TEST_P(NumberAgain, ADirectoryMayGetTheNumberOfAFile) {
  FreeNumberOfChangedFile();
  disk_.MakeDirectory("d/n", 77);
  disk_.Put("d/n/x", 80, "x");
  disk_.MakeDirectory("d/n/sub", 81);
  disk_.Put("d/n/sub/y", 82, "y");
  const InodeNumber n = NumberOf("d/n");
  EXPECT_NE(n, NumberOf("d/a"));
  const ObjectId x = client_.IdOf("d/n/x"), sub = client_.IdOf("d/n/sub"), y = client_.IdOf("d/n/sub/y");
  EXPECT_EQ(client_.Lookup(sub, "..")->id.ino, n);
  for (const bool first_by_handle : {true, false}) {
    Restart();
    if (first_by_handle) {
      EXPECT_EQ(client_.ReadAll(y).value(), "y");
      EXPECT_EQ(client_.ReadAll(x).value(), "x");
      EXPECT_EQ(client_.Lookup(sub, "..")->id.ino, n);
    }
    EXPECT_EQ(NumberOf("d/n"), n);
    EXPECT_EQ(client_.IdOf("d/n/x"), x);
    EXPECT_EQ(client_.IdOf("d/n/sub/y"), y);
  }
  ASSERT_OK(client_.WriteAt("d/n/x", 0, "X"));
  ASSERT_OK(client_.WriteFile("d/n/own", "own"));
  EXPECT_CODE(client_.RenameAt("d/n", "d/n/sub/n"), Errc::kInvalid);
  ASSERT_OK(client_.Unlink("d/n/sub/y"));
  ASSERT_OK(client_.Rmdir("d/n/sub"));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(NumberOf("d/n"), n);
    EXPECT_THAT(client_.List("d/n").value(), ElementsAre("own", "x"));
    EXPECT_EQ(Text("d/n/x"), "X");
    EXPECT_THAT(Changes(), UnorderedElementsAre("A/d/a", "M/d/n/x", "A/d/n/own", "D/d/n/sub"));
    EXPECT_THAT(Conflicts(), ElementsAre("gone /d/a"));
    Restart();
  }
  // The upper knows the directory by that number, whatever becomes of the file.
  ASSERT_OK(client_.Unlink("d/a"));
  Restart();
  EXPECT_EQ(NumberOf("d/n"), n);
  EXPECT_THAT(client_.List("d/n").value(), ElementsAre("own", "x"));
  ASSERT_OK(client_.RenameAt("d/n", "n"));
  Restart();
  EXPECT_EQ(Text("n/x"), "X");
  EXPECT_EQ(NumberOf("n"), n);
}

TEST_P(NumberAgain, AFileMayGetTheNumberOfADirectory) {
  disk_.MakeDirectory("d", 2);
  disk_.MakeDirectory("d/a", 77);
  disk_.Put("d/a/x", 80, "x");
  Restart();
  ASSERT_OK(client_.WriteFile("d/a/own", "own"));
  const ObjectId a = client_.IdOf("d/a");
  disk_.Remove("d/a");
  disk_.Put("d/b", 77, "b");
  EXPECT_NE(NumberOf("d/b"), a.ino);
  ASSERT_OK(client_.WriteAt("d/b", 0, "B"));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Text("d/b"), "B");
    EXPECT_THAT(client_.List("d").value(), ElementsAre("b"));
    EXPECT_THAT(Changes(), ElementsAre("M/d/b"));
    EXPECT_THAT(Conflicts(), ElementsAre("unreachable "));
    Restart();
  }
}

TEST_P(NumberAgain, ADirectoryMayGetTheNumberOfADirectory) {
  disk_.MakeDirectory("d", 2);
  disk_.MakeDirectory("d/a", 77);
  Restart();
  ASSERT_OK(client_.WriteFile("d/a/own", "own"));
  disk_.Remove("d/a");
  disk_.MakeDirectory("d/b", 77);
  disk_.Put("d/b/x", 80, "x");
  EXPECT_THAT(client_.List("d/b").value(), ElementsAre("x"));
  const InodeNumber b = NumberOf("d/b");
  ASSERT_OK(client_.WriteFile("d/b/more", "more"));
  Restart();
  EXPECT_EQ(NumberOf("d/b"), b);
  EXPECT_THAT(client_.List("d/b").value(), ElementsAre("more", "x"));
  EXPECT_THAT(Changes(), ElementsAre("A/d/b/more"));
}

TEST_P(NumberAgain, ASymlinkMayGetTheNumberToo) {
  FreeNumberOfChangedFile();
  disk_.Symlink("d/s", 77, "target");
  const InodeNumber s = NumberOf("d/s");
  EXPECT_EQ(client_.ReadLinkAt("d/s").value(), "target");
  Restart();
  EXPECT_EQ(NumberOf("d/s"), s);
}

TEST_P(NumberAgain, TheNameMayBeTheSame) {
  FreeNumberOfChangedFile();
  const InodeNumber a = NumberOf("d/a");
  disk_.Put("d/a", 77, "another, and longer");
  EXPECT_EQ(NumberOf("d/a"), a) << "what was changed here stays";
  EXPECT_EQ(client_.StatOf("d/a").size, 14u);
  EXPECT_THAT(Changes(), ElementsAre("M/d/a"));
  EXPECT_THAT(Conflicts(), ElementsAre("gone /d/a"));
}

TEST_P(NumberAgain, WithoutTimesOfBirthTheTypeTells) {
  disk_.ForgetBirths();
  FreeNumberOfChangedFile();
  disk_.MakeDirectory("d/n", 77);
  disk_.Put("d/n/x", 80, "x");
  EXPECT_NE(NumberOf("d/n"), NumberOf("d/a"));
  ASSERT_OK(client_.WriteAt("d/n/x", 0, "X"));
  Restart();
  EXPECT_EQ(Text("d/n/x"), "X");
  EXPECT_THAT(Changes(), UnorderedElementsAre("A/d/a", "M/d/n/x"));
}

TEST_P(NumberAgain, DiffTellsTheTwoApart) {
  FreeNumberOfChangedFile();
  disk_.Put("d/b", 77, "b");
  disk_.Put("d/c", 78, "c");
  EXPECT_THAT(Changes(), ElementsAre("A/d/a"));
  EXPECT_THAT(Conflicts(), ElementsAre("gone /d/a"));
  ASSERT_OK(client_.WriteAt("d/b", 0, "B"));
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(Changes(), ElementsAre("A/d/a", "M/d/b"));
    EXPECT_THAT(Conflicts(), ElementsAre("gone /d/a"));
    Restart();
  }
  disk_.Put("d/b", 77, "yet another");
  EXPECT_THAT(Conflicts(), ElementsAre("gone /d/a", "gone /d/b"));
}

TEST_P(NumberAgain, AReaderBesideSeesTheSame) {
  FreeNumberOfChangedFile();
  disk_.MakeDirectory("d/n", 77);
  disk_.Put("d/n/x", 80, "x");
  const InodeNumber n = NumberOf("d/n");
  ASSERT_OK(client_.WriteFile("d/n/own", "own"));
  options_.read_only = true;
  Restart();
  EXPECT_EQ(NumberOf("d/n"), n);
  EXPECT_THAT(client_.List("d/n").value(), ElementsAre("own", "x"));
  EXPECT_THAT(Changes(), UnorderedElementsAre("A/d/a", "A/d/n/own"));
}

// Many in one directory: a page of a listing holds some, and others by their own numbers.
TEST_P(NumberAgain, ALongListingTellsEachOnce) {
  constexpr int kFiles = 300;
  disk_.MakeDirectory("d", 2);
  for (int i = 0; i < kFiles; ++i) {
    const std::string name = "d/" + std::to_string(i);
    disk_.Put(name, 100 + i, "layer");
    if (i % 3 == 0) disk_.Link(name + "l", name);
  }
  Restart();
  for (int i = 0; i < kFiles; i += 3) ASSERT_OK(client_.WriteAt("d/" + std::to_string(i), 0, "L"));
  for (int i = 0; i < kFiles; i += 3) {
    const std::string name = "d/" + std::to_string(i);
    disk_.Remove(name);
    disk_.Remove(name + "l");
    disk_.Put("d/new" + std::to_string(i), 100 + i, "new");
  }
  const ObjectId d = client_.IdOf("d");
  const auto plain = client_.ListAll(d, 50, false), whole = client_.ListAll(d, 50, true);
  ASSERT_OK(plain);
  ASSERT_OK(whole);
  ASSERT_EQ(plain->size(), kFiles + 2u);
  ASSERT_EQ(whole->size(), kFiles + 2u);
  std::map<InodeNumber, std::string> seen;
  for (std::size_t i = 0; i < plain->size(); ++i) {
    EXPECT_EQ((*plain)[i].name, (*whole)[i].name);
    EXPECT_EQ((*plain)[i].id.ino, (*whole)[i].attributes->ino) << (*plain)[i].name;
    EXPECT_TRUE(seen.emplace((*plain)[i].id.ino, (*plain)[i].name).second) << (*plain)[i].name;
  }
}

}  // namespace
}  // namespace strata::vfs::testing
