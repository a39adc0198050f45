// Times of what changes while the server's clock stands still, steps back, and after a client has set times of its own
// (spec nfsv3 4.2, 4.3).
#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "tests/vfs/faults/subject.h"

namespace strata::vfs::testing {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kHour = 3'600 * kSecond;
constexpr Time kToday{1'790'000'000 * kSecond};
constexpr Time k2030{1'893'456'000 * kSecond};

SetAttributes Times(SetTime how, Time time = {}) {
  SetAttributes set;
  set.set_atime = set.set_mtime = how;
  set.atime = set.mtime = time;
  return set;
}

class AClock : public ::testing::Test {
 protected:
  AClock() : subject_(Layers()), client_(subject_) {
    At(kToday);
    EXPECT_OK(client_.WriteFile("file", "x"));
    EXPECT_OK(client_.Mkdir("directory"));
    EXPECT_OK(client_.MakeFile("linked"));
  }
  static std::vector<Tree> Layers() { return {{DirNode("base"), FileNode("base/file", "of the layer")}}; }
  void At(Time time) {
    now_ = time;
    subject_.env().SetClock(time);
  }
  void Step(std::int64_t ns) { At(Time{now_.ns + ns}); }

  struct Changing {
    std::string what;
    std::string object;  // whose mtime and ctime this changes
    std::function<void()> change;
  };
  // Every way in which content changes.
  std::vector<Changing> ContentChanges() {
    return {
        {"write", "file", [&] { EXPECT_OK(client_.WriteAt("file", 0, "y")); }},
        {"truncate", "file", [&] { EXPECT_OK(client_.Truncate("file", 3)); }},
        {"touch", "file", [&] { EXPECT_OK(client_.Set(client_.IdOf("file"), Times(SetTime::kServer))); }},
        {"write over a layer", "base/file", [&] { EXPECT_OK(client_.WriteAt("base/file", 0, "y")); }},
        {"create", "directory", [&] { EXPECT_OK(client_.MakeFile("directory/a")); }},
        {"rename within", "directory", [&] { EXPECT_OK(client_.RenameAt("directory/a", "directory/b")); }},
        {"rename into", "directory", [&] { EXPECT_OK(client_.RenameAt("file", "directory/file")); }},
        {"rename out of", "directory", [&] { EXPECT_OK(client_.RenameAt("directory/file", "file")); }},
        {"link", "directory", [&] { EXPECT_OK(client_.LinkAt("linked", "directory/link")); }},
        {"remove", "directory", [&] { EXPECT_OK(client_.Unlink("directory/link")); }},
        {"remove of the last", "directory", [&] { EXPECT_OK(client_.Unlink("directory/b")); }},
        {"symlink", "directory", [&] { EXPECT_OK(client_.Symlink("to", "directory/s")); }},
        {"mkdir", "directory", [&] { EXPECT_OK(client_.Mkdir("directory/d")); }},
        {"rmdir", "directory", [&] { EXPECT_OK(client_.Rmdir("directory/d")); }},
        {"remove of a symlink", "directory", [&] { EXPECT_OK(client_.Unlink("directory/s")); }},
    };
  }
  // mtime is now, give or take a tick of the clock, and another than before; ctime has grown.
  void ExpectChanged(const Attributes& before, const Attributes& after) {
    EXPECT_NE(after.mtime.ns, before.mtime.ns);
    EXPECT_GE(after.mtime.ns, now_.ns);
    EXPECT_LE(after.mtime.ns, now_.ns + kSecond / 100);
    EXPECT_GT(after.ctime.ns, before.ctime.ns);
    EXPECT_GE(after.ctime.ns, now_.ns);
  }

  Time now_;
  FaultySubject subject_;
  Client client_;
};

TEST_F(AClock, OfTheServerBringsAFileBackFromTheFuture) {
  const ObjectId file = client_.IdOf("file");
  ASSERT_OK(client_.Set(file, Times(SetTime::kClient, k2030)));
  Attributes before = client_.Get(file).value();
  EXPECT_EQ(before.mtime.ns, k2030.ns);
  EXPECT_LT(before.ctime.ns, kToday.ns + kSecond) << "what a client sets is no clock";
  Step(kSecond);
  ASSERT_OK(client_.Set(file, Times(SetTime::kServer)));
  const Attributes touched = client_.Get(file).value();
  EXPECT_EQ(touched.mtime.ns, now_.ns);
  EXPECT_EQ(touched.atime.ns, now_.ns);
  EXPECT_EQ(touched.ctime.ns, now_.ns);
}

TEST_F(AClock, OfTheServerIsWhatAnyChangeOfContentShows) {
  for (const Changing& changing : ContentChanges()) {
    SCOPED_TRACE(changing.what);
    ASSERT_OK(client_.Set(client_.IdOf(changing.object), Times(SetTime::kClient, k2030)));
    Step(kSecond);
    const Attributes before = client_.StatOf(changing.object);
    EXPECT_EQ(before.mtime.ns, k2030.ns);
    changing.change();
    const Attributes after = client_.StatOf(changing.object);
    EXPECT_EQ(after.mtime.ns, now_.ns);
    EXPECT_EQ(after.ctime.ns, now_.ns);
  }
}

TEST_F(AClock, ThatStandsStillLetsNoTwoStatesHaveOneTime) {
  std::map<std::string, std::set<std::int64_t>> seen;
  for (int round = 0; round < 20; ++round) {
    for (const Changing& changing : ContentChanges()) {
      SCOPED_TRACE(changing.what);
      const Attributes before = client_.StatOf(changing.object);
      if (round % 2 == 1) {
        EXPECT_OK(client_.Chmod(changing.object, 0700 | (round & 077)));
      }
      changing.change();
      const Attributes after = client_.StatOf(changing.object);
      ExpectChanged(before, after);
      EXPECT_GT(after.mtime.ns, before.mtime.ns);
      EXPECT_TRUE(seen[changing.object].insert(after.mtime.ns).second);
    }
  }
}

TEST_F(AClock, ThatStepsBackIsFollowedByMtimeAndNotByCtime) {
  for (const std::int64_t back : {kHour, std::int64_t{1}, kSecond / 1000, kSecond, 24 * kHour}) {
    for (const bool restart : {false, true}) {
      Step(-back);
      if (restart) subject_.Restart();
      for (int round = 0; round < 3; ++round) {
        for (const Changing& changing : ContentChanges()) {
          SCOPED_TRACE(changing.what + " after a step back of " + std::to_string(back));
          const Attributes before = client_.StatOf(changing.object);
          changing.change();
          ExpectChanged(before, client_.StatOf(changing.object));
          if (round == 1) Step(1);
        }
      }
      const Attributes before = client_.StatOf("file");
      EXPECT_OK(client_.Chmod("file", restart ? 0600 : 0640));
      EXPECT_GT(client_.StatOf("file").ctime.ns, before.ctime.ns);
      EXPECT_EQ(client_.StatOf("file").mtime.ns, before.mtime.ns);
    }
  }
}

TEST_F(AClock, IsCaughtUpWithWhereACtimeWasAhead) {
  Step(kHour);
  EXPECT_OK(client_.WriteAt("file", 0, "y"));
  Step(-kHour);
  EXPECT_OK(client_.WriteAt("file", 0, "z"));
  EXPECT_EQ(client_.StatOf("file").ctime.ns, now_.ns + kHour + 1);
  EXPECT_EQ(client_.StatOf("file").mtime.ns, now_.ns);
  Step(2 * kHour);
  EXPECT_OK(client_.WriteAt("file", 0, "y"));
  EXPECT_EQ(client_.StatOf("file").ctime.ns, now_.ns);
  EXPECT_EQ(client_.StatOf("file").mtime.ns, now_.ns);
}

TEST_F(AClock, IsNotAskedForATimeThatAClientGivesWhatItMakes) {
  ASSERT_OK(client_.Create(client_.Root(), "made", CreateMode::kGuarded, Times(SetTime::kClient, k2030)));
  EXPECT_EQ(client_.StatOf("made").mtime.ns, k2030.ns);
  EXPECT_EQ(client_.StatOf("made").ctime.ns, now_.ns);
  ASSERT_OK(client_.Create(client_.Root(), "other", CreateMode::kGuarded, Times(SetTime::kServer)));
  EXPECT_EQ(client_.StatOf("other").mtime.ns, now_.ns);
  // The first time of a client's that lies within a tick of the clock: it is not shown twice either.
  ASSERT_OK(client_.Set(client_.IdOf("made"), Times(SetTime::kClient, now_)));
  ASSERT_OK(client_.WriteAt("made", 0, "x"));
  EXPECT_GT(client_.StatOf("made").mtime.ns, now_.ns);
  EXPECT_LE(client_.StatOf("made").mtime.ns, now_.ns + 10);
}

}  // namespace
}  // namespace strata::vfs::testing
