// Files that are whole and do not belong together: segments that are missing, copies of a workspace that went different
// ways, an index that is ahead.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/vfs/check/picture.h"

namespace strata::vfs::testing {
namespace {

namespace fs = std::filesystem;

struct Holder : FileSystemHolder {
  explicit Holder(Workspace& held) : held(held) {}
  FileSystem& fs() override { return held; }
  Workspace& held;
};

std::vector<std::string> SegmentsOf(const Picture& picture) {
  std::vector<std::string> names;
  for (const auto& [name, content] : picture) {
    if (name.ends_with(".seg")) names.push_back(name);
  }
  return names;
}

void ExpectRefused(const History& history, const std::vector<std::string>& words) {
  auto opened = history.Open();
  ASSERT_FALSE(opened) << "it was opened";
  EXPECT_CODE(opened, Errc::kCorrupt);
  const std::string message(opened.error().message());
  for (const std::string& word : words) EXPECT_NE(message.find(word), std::string::npos) << word << " in: " << message;
  EXPECT_NE(message.find(history.folder()), std::string::npos) << message;
}

class MixedUp : public ::testing::Test {
 protected:
  void Change(const History& history, const std::string& name, int files) {
    auto opened = history.Open();
    ASSERT_OK(opened);
    Holder holder(**opened);
    Client client(holder);
    for (int i = 0; i < files; ++i) {
      const std::string path = name + std::to_string(i);
      auto made = client.MakeFile(path);
      ASSERT_OK(made);
      ASSERT_OK(client.Write(*made, 0, Pattern(900, static_cast<std::uint64_t>(i)), Stability::kFileSync));
    }
  }
  LogKeeper log_;
};

TEST_F(MixedUp, AMissingSegmentIsRefusedWhereverItWas) {
  History history(4096);
  history.Live(false);
  Change(history, "more", 12);
  const Picture sound = TakePicture(history.folder());
  const std::vector<std::string> segments = SegmentsOf(sound);
  ASSERT_GE(segments.size(), 4u);
  for (const std::string& name : segments) {
    SCOPED_TRACE(name);
    Picture changed = sound;
    changed.erase(name);
    PutPicture(history.folder(), changed);
    ExpectRefused(history, {});
    EXPECT_EQ(TakePicture(history.folder() + "/journal"), [&] {
      Picture journal;
      for (const auto& [path, content] : changed) {
        if (path.starts_with("journal/")) journal[path.substr(8)] = content;
      }
      return journal;
    }()) << "something was changed";
  }
}

TEST_F(MixedUp, AMissingJournalIsRefused) {
  History history;
  history.Live(false);
  fs::remove_all(history.folder() + "/journal");
  ExpectRefused(history, {"journal"});
  // And without the index, which would tell.
  for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(history.folder() + "/index.db" + suffix);
  ExpectRefused(history, {"journal"});
}

TEST_F(MixedUp, AnIndexThatIsAheadOfTheJournalIsRefused) {
  History history;
  history.Live(false);
  const Picture before = TakePicture(history.folder());
  Change(history, "more", 5);
  Picture mixed = TakePicture(history.folder());
  for (const auto& [name, content] : before) {
    if (name.starts_with("journal/")) mixed[name] = content;
  }
  for (const std::string& name : SegmentsOf(mixed)) {
    if (!before.contains(name)) mixed.erase(name);
  }
  PutPicture(history.folder(), mixed);
  ExpectRefused(history, {"index", "journal", "strata check --repair"});
}

// Two copies of one workspace that went on by themselves.
class TwoCopies : public MixedUp {
 protected:
  void SetUp() override {
    history_.Live(false);
    const Picture common = TakePicture(history_.folder());
    Change(history_, "one", 3);
    one_ = TakePicture(history_.folder());
    PutPicture(history_.folder(), common);
    Change(history_, "two", 3);
    two_ = TakePicture(history_.folder());
    common_ = common;
  }
  static void Mix(Picture& into, const Picture& from, const std::string& prefix) {
    std::erase_if(into, [&](const auto& file) { return file.first.starts_with(prefix); });
    for (const auto& [name, content] : from) {
      if (name.starts_with(prefix)) into[name] = content;
    }
  }
  History history_{64 << 10};
  Picture common_, one_, two_;
};

TEST_F(TwoCopies, TheIndexOfOneBesideTheJournalOfTheOtherIsRefused) {
  for (const bool first : {true, false}) {
    Picture mixed = first ? one_ : two_;
    Mix(mixed, first ? two_ : one_, "index.db");
    PutPicture(history_.folder(), mixed);
    ExpectRefused(history_, {"another journal", "strata check --repair"});
  }
}

TEST_F(TwoCopies, AnOlderIndexOfTheSameWorkspaceIsCaughtUp) {
  PutPicture(history_.folder(), one_);
  auto opened = history_.Open();
  ASSERT_OK(opened);
  const Shown shown = ShownBy(**opened);
  opened->reset();
  Picture mixed = one_;
  Mix(mixed, common_, "index.db");
  PutPicture(history_.folder(), mixed);
  auto again = history_.Open();
  ASSERT_OK(again);
  EXPECT_EQ(ShownBy(**again), shown);
}

// Opening does not read what the index has; a check reads all.
TEST_F(TwoCopies, ASegmentOfTheOtherIsFoundByACheck) {
  History small(4096);
  small.Live(false);
  const Picture common = TakePicture(small.folder());
  Change(small, "one", 12);
  const Picture one = TakePicture(small.folder());
  PutPicture(small.folder(), common);
  Change(small, "two", 12);
  const Picture two = TakePicture(small.folder());
  int tried = 0;
  for (const std::string& name : SegmentsOf(one)) {
    if (!two.contains(name) || one.at(name) == two.at(name)) continue;
    SCOPED_TRACE(name);
    ++tried;
    Picture mixed = one;
    mixed[name] = two.at(name);
    PutPicture(small.folder(), mixed);
    const auto report = small.Check();
    ASSERT_OK(report);
    EXPECT_TRUE(report->damaged());
  }
  EXPECT_GT(tried, 1);
}

TEST_F(TwoCopies, ServedAtTheSameTimeEachGoesItsOwnWay) {
  PutPicture(history_.folder(), one_);
  auto original = history_.Open();
  ASSERT_OK(original);
  TempFolder elsewhere;
  const std::string copy = elsewhere.path() + "/copy";
  PutPicture(copy, TakePicture(history_.folder()));
  std::vector<std::unique_ptr<Layer>> layers;
  layers.push_back(history_.MakeOneLayer());
  auto copied = Workspace::OpenOver(Env::System(), copy, std::move(layers), SmallOptions());
  ASSERT_OK(copied);
  Holder first(**original), second(**copied);
  Client a(first), b(second);
  ASSERT_OK(a.WriteFile("shared", "of the original"));
  ASSERT_OK(b.WriteFile("shared", "of the copy"));
  EXPECT_EQ(a.ReadFile("shared").value_or(""), "of the original");
  EXPECT_EQ(b.ReadFile("shared").value_or(""), "of the copy");
  // What either made is no object of the other.
  EXPECT_CODE(b.Get(a.IdOf("shared")), Errc::kStale);
  EXPECT_CODE(a.Get(b.IdOf("shared")), Errc::kStale);
}

}  // namespace
}  // namespace strata::vfs::testing
