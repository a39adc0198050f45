// What `strata check` says of a workspace, and what it mends.
#include "vfs/check/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sqlite3.h>
#include <sys/mount.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>

#include "store/index/page_check.h"
#include "tests/vfs/check/picture.h"

namespace strata::vfs::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

namespace fs = std::filesystem;

std::string Text(const CheckReport& report) {
  std::string text;
  for (const Finding& finding : report.findings) text += finding.where + ": " + finding.what + "\n";
  for (const std::string& repair : report.repairs) text += "repaired: " + repair + "\n";
  return text;
}

std::uint64_t Count(const CheckReport& report, const std::string& what) {
  for (const auto& count : report.checked) {
    if (count.what == what) return count.number;
  }
  return 0;
}

class CheckTest : public ::testing::Test {
 protected:
  CheckReport Check(bool repair = false) {
    auto report = history_.Check(repair);
    EXPECT_OK(report);
    return report ? std::move(*report) : CheckReport{};
  }
  // Finds damage of which `words` speak; then mends it, and what opens is what there was, or with `lost` an earlier
  // state.
  void ExpectMended(const std::vector<std::string>& words, bool lost = false) {
    const Picture before = TakePicture(history_.folder());
    const CheckReport found = Check();
    EXPECT_TRUE(found.damaged());
    for (const std::string& word : words) EXPECT_THAT(Text(found), HasSubstr(word));
    Picture after = TakePicture(history_.folder());
    EXPECT_EQ(Names(after), Names(before)) << "a check left something behind";
    const CheckReport mended = Check(true);
    EXPECT_FALSE(mended.damaged()) << Text(mended);
    EXPECT_FALSE(mended.repairs.empty());
    EXPECT_EQ(Text(mended).find("lost:") != std::string::npos, lost) << Text(mended);
    auto opened = history_.Open();
    ASSERT_OK(opened);
    std::string why;
    if (lost) {
      EXPECT_THAT(history_.states(), Contains(ShownBy(**opened)));
    } else {
      EXPECT_TRUE(AgreesWith(ShownBy(**opened), history_.states().back(), &why)) << why;
    }
    opened->reset();
    EXPECT_FALSE(Check().damaged());
  }
  static std::vector<std::string> Names(const Picture& picture) {
    std::vector<std::string> names;
    for (const auto& [name, content] : picture) names.push_back(name);
    return names;
  }
  std::string LastSegment() const {
    std::string last;
    for (const auto& [name, content] : TakePicture(history_.folder())) {
      if (name.ends_with(".seg")) last = name;
    }
    return last;
  }
  void Change(const std::function<void(Picture&)>& change) {
    Picture picture = TakePicture(history_.folder());
    change(picture);
    PutPicture(history_.folder(), picture);
  }
  // Changes rows of the index, with pages that check.
  void Sql(const std::string& sql) {
    sqlite3* handle = nullptr;
    ASSERT_EQ(
        sqlite3_open_v2((history_.folder() + "/index.db").c_str(), &handle, SQLITE_OPEN_READWRITE, store::CheckedVfs()),
        SQLITE_OK);
    char* error = nullptr;
    EXPECT_EQ(sqlite3_exec(handle, sql.c_str(), nullptr, nullptr, &error), SQLITE_OK) << error;
    EXPECT_GT(sqlite3_changes(handle), 0) << sql;
    sqlite3_close(handle);
  }

  LogKeeper log_;
  History history_{4096};
};

TEST_F(CheckTest, FindsNothingWrongInWhatWasNeverServed) {
  const CheckReport report = Check();
  EXPECT_FALSE(report.damaged()) << Text(report);
  EXPECT_EQ(Count(report, "journal records"), 1u);
}

TEST_F(CheckTest, FindsNothingWrongInASoundWorkspaceAndLeavesNoTrace) {
  history_.Live(false);
  const Picture before = TakePicture(history_.folder());
  const CheckReport report = Check(true);
  EXPECT_TRUE(report.findings.empty()) << Text(report);
  EXPECT_TRUE(report.repairs.empty()) << Text(report);
  EXPECT_GT(Count(report, "journal segments"), 2u);
  EXPECT_GT(Count(report, "journal records"), 15u);
  EXPECT_GE(Count(report, "inodes"), 8u);
  EXPECT_GE(Count(report, "directory entries"), 7u);
  EXPECT_GE(Count(report, "extents"), 3u);
  EXPECT_GT(Count(report, "index rows compared"), 15u);
  Picture after = TakePicture(history_.folder());
  EXPECT_EQ(after, before);
}

TEST_F(CheckTest, FindsNothingWrongAfterAKill) {
  history_.Live(true);
  const CheckReport report = Check();
  EXPECT_FALSE(report.damaged()) << Text(report);
}

TEST_F(CheckTest, IsRefusedWhileTheWorkspaceIsServed) {
  auto opened = history_.Open();
  ASSERT_OK(opened);
  const auto report = history_.Check();
  EXPECT_CODE(report, Errc::kBusy);
  EXPECT_THAT(std::string(report.error().message()), HasSubstr("being served"));
}

TEST_F(CheckTest, WhatIsNoWorkspaceIsNotChecked) {
  CheckOptions options;
  EXPECT_CODE(CheckWorkspace(Env::System(), history_.folder() + "/none", options), Errc::kNotFound);
}

TEST_F(CheckTest, ADamagedPageOfTheIndexIsMended) {
  history_.Live(false);
  Change([](Picture& p) { p["index.db"][4096 + 2000] ^= 4; });
  ExpectMended({"the index is damaged", "index.db"});
  EXPECT_TRUE(fs::exists(history_.folder() + "/index.db.damaged"));
}

TEST_F(CheckTest, EachKindOfDifferenceBetweenIndexAndJournalIsToldAndMended) {
  history_.Live(false);
  const Picture sound = TakePicture(history_.folder());
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases{
      {"UPDATE inodes SET size = size + 1, mode = 0 WHERE type = 1", {"different", "mode, size", "/d/kept"}},
      {"DELETE FROM inodes WHERE type = 5", {"missing", "/new/link"}},
      {"INSERT INTO inodes SELECT 4444, generation, locator, type, mode, uid, gid, nlink, size, rdev, atime, mtime, "
       "ctime, parent, opaque, base_size, "
       "verifier, origin, target, used FROM inodes WHERE type = 7",
       {"extra", "inode 4444"}},
      {"UPDATE entries SET ino = 1 WHERE name = CAST('pipe' AS BLOB)", {"different", "'pipe' (ino)"}},
      {"DELETE FROM entries WHERE name = CAST('made' AS BLOB)", {"missing", "'made'"}},
      {"UPDATE entries SET name = CAST('mode' AS BLOB) WHERE name = CAST('made' AS BLOB)",
       {"extra", "'mode'", "missing", "'made'"}},
      {"UPDATE extents SET position = position + 8", {"different", "(position)"}},
      {"DELETE FROM extents WHERE offset = 0", {"missing", "the extent of"}},
      {"UPDATE meta SET value = value - 1 WHERE key = 'highest_ino'", {"highest_ino"}},
      {"UPDATE meta SET value = 7 WHERE key = 'inodes'", {"inodes"}},
      {"UPDATE meta SET value = 7 WHERE key = 'entries'", {"entries"}},
      {"UPDATE meta SET value = 7000 WHERE key = 'data'", {"data"}},
      {"UPDATE inodes SET used = used + 1 WHERE type = 1", {"different", "(used)", "/d/kept"}},
      {"UPDATE segments SET bytes = bytes - 1", {"different", "segment 0 (bytes)"}},
      {"DELETE FROM segments", {"missing", "segment 0"}},
  };
  for (const auto& [sql, words] : cases) {
    SCOPED_TRACE(sql);
    PutPicture(history_.folder(), sound);
    Sql(sql);
    ExpectMended(words);
  }
}

TEST_F(CheckTest, AnIndexOfAnotherCopyAndOneThatIsAheadAreMended) {
  history_.Live(false);
  const Picture sound = TakePicture(history_.folder());
  Sql("UPDATE meta SET value = value + 1 WHERE key = 'record_check'");
  ExpectMended({"another journal"});
  PutPicture(history_.folder(), sound);
  Sql("UPDATE meta SET value = 1000000 WHERE key = 'lsn'");
  ExpectMended({"ahead of the journal"}, true);
}

TEST_F(CheckTest, ATailThatNobodyWasPromisedIsNoDamage) {
  history_.Live(true);
  const std::string last = LastSegment();
  Change([&](Picture& p) {
    std::string& segment = p[last];
    const std::size_t end = segment.find_last_not_of('\0');
    segment[end + 200 < segment.size() ? end + 200 : segment.size() - 1] = 'x';
  });
  const CheckReport report = Check();
  EXPECT_FALSE(report.damaged()) << Text(report);
  EXPECT_THAT(Text(report), HasSubstr("not whole"));
}

TEST_F(CheckTest, WhereTheIndexKnowsWhatTheJournalLostOnlyTheDataIsGoneAndNothingIsCut) {
  history_.Live(false);
  // In the data of "last".
  const std::string data = Pattern(2500, 6);
  Change([&](Picture& p) {
    bool found = false;
    for (auto& [name, content] : p) {
      const std::size_t at = content.find(data.substr(0, 64));
      if (!name.ends_with(".seg") || at == std::string::npos) continue;
      content[at + 100] ^= 1;
      found = true;
    }
    ASSERT_TRUE(found);
  });
  const CheckReport found = Check();
  EXPECT_TRUE(found.damaged());
  EXPECT_THAT(Text(found), HasSubstr("/d/last: 2500 bytes"));
  const Picture before = TakePicture(history_.folder());
  const CheckReport left = Check(true);
  EXPECT_TRUE(left.damaged());
  EXPECT_TRUE(left.repairs.empty()) << Text(left);
  EXPECT_EQ(TakePicture(history_.folder()), before);
  auto opened = history_.Open();
  ASSERT_OK(opened);
  const Shown shown = ShownBy(**opened);
  std::string why;
  EXPECT_TRUE(AgreesWith(shown, history_.states().back(), &why)) << why;
  EXPECT_THAT(shown.at("/d/last"), HasSubstr(kUnreadable));
}

TEST_F(CheckTest, ADamagedRecordThatTheIndexDoesNotKnowIsCutAndWhatIsLostIsNamed) {
  history_.Live(true);
  for (const char* name : {"index.db", "index.db-wal", "index.db-shm"}) fs::remove(history_.folder() + "/" + name);
  const std::string data = Pattern(1500, 3);
  Change([&](Picture& p) {
    for (auto& [name, content] : p) {
      const std::size_t at = content.find(data.substr(0, 64));
      if (at != std::string::npos) content[at + 100] ^= 1;
    }
  });
  EXPECT_THAT(Text(Check()), HasSubstr("cannot be applied safely"));
  ExpectMended({"there is no whole record"}, true);
}

TEST_F(CheckTest, WithASegmentMissingInTheMiddleOnlyWhatIsBeforeIsKept) {
  history_.Live(false);
  Change([](Picture& p) { EXPECT_EQ(p.erase("journal/0000000000000001.seg"), 1u); });
  const CheckReport found = Check();
  EXPECT_THAT(Text(found), HasSubstr("the segment is missing"));
  ExpectMended({"0000000000000001.seg"}, true);
  EXPECT_TRUE(fs::exists(history_.folder() + "/journal/0000000000000002.seg.damaged"));
}

TEST_F(CheckTest, WithoutTheFirstSegmentNothingIsTouched) {
  history_.Live(false);
  Change([](Picture& p) { EXPECT_EQ(p.erase("journal/0000000000000000.seg"), 1u); });
  const Picture before = TakePicture(history_.folder());
  const CheckReport report = Check(true);
  EXPECT_TRUE(report.damaged());
  EXPECT_THAT(Text(report), HasSubstr("the first segments are missing"));
  EXPECT_EQ(TakePicture(history_.folder()), before);
}

TEST_F(CheckTest, KeysThatDoNotCheckAreTold) {
  history_.Live(false);
  Change([](Picture& p) {
    std::string& text = p["workspace.json"];
    char& digit = text[text.find("\"name_key\"") + 20];
    digit = digit == '1' ? '2' : '1';
  });
  EXPECT_THAT(Text(Check()), HasSubstr("keys do not check"));
}

TEST_F(CheckTest, ALayerThatChangedBeneathIsAWarning) {
  history_.Live(false);
  Tree changed = history_.layer();
  for (TreeNode& node : changed) {
    if (node.path == "over") node.content += "more";
  }
  std::vector<std::unique_ptr<Layer>> layers;
  layers.push_back(MakeLayer(changed));
  const auto report = CheckWorkspaceOver(Env::System(), history_.folder(), std::move(layers), {});
  ASSERT_OK(report);
  EXPECT_FALSE(report->damaged()) << Text(*report);
  ASSERT_EQ(report->findings.size(), 1u) << Text(*report);
  EXPECT_EQ(report->findings[0].severity, Severity::kWarning);
  EXPECT_EQ(report->findings[0].where, "/over");
}

TEST_F(CheckTest, ALayerThatIsMissingIsDamageWithItsName) {
  history_.Live(false);
  TempFolder temp;
  const std::string layer = temp.path() + "/layer", path = temp.path() + "/ws";
  fs::create_directory(layer);
  ASSERT_OK(InitWorkspace(Env::System(), path, {{.path = layer, .markers = {}}}));
  fs::remove(layer);
  const auto report = CheckWorkspace(Env::System(), path, {});
  ASSERT_OK(report);
  EXPECT_TRUE(report->damaged());
  EXPECT_THAT(Text(*report), HasSubstr(layer));
}

TEST_F(CheckTest, WhatAKilledCheckLeftIsRemovedAtTheNextStart) {
  history_.Live(false);
  Change([](Picture& p) { p["index.check"] = p["index.check-wal"] = "left"; });
  ASSERT_OK(history_.Open());
  EXPECT_FALSE(fs::exists(history_.folder() + "/index.check"));
  EXPECT_FALSE(fs::exists(history_.folder() + "/index.check-wal"));
}

// Every file with its content, size and the time of its last change.
std::map<std::string, std::pair<std::string, fs::file_time_type>> Files(const std::string& folder) {
  std::map<std::string, std::pair<std::string, fs::file_time_type>> files;
  for (const auto& [name, content] : TakePicture(folder)) {
    files[name] = {content, fs::last_write_time(folder + "/" + name)};
  }
  return files;
}

// What a workspace may look like while nobody serves it.
class CheckAlone : public CheckTest, public ::testing::WithParamInterface<std::string> {
 protected:
  void SetUp() override {
    history_.Live(GetParam() != "closed");
    Change([](Picture& p) {
      if (GetParam() == "log_alone") p.erase("index.db-shm");
      if (GetParam() == "log_with_empty_shm") p["index.db-shm"] = "";
    });
  }
};
INSTANTIATE_TEST_SUITE_P(Of, CheckAlone, ::testing::Values("closed", "killed", "log_alone", "log_with_empty_shm"),
                         [](const auto& info) { return info.param; });

TEST_P(CheckAlone, ChangesNoFileAndNeedsNoRightTo) {
  const auto before = Files(history_.folder());
  const CheckReport report = Check();
  EXPECT_TRUE(Files(history_.folder()) == before);
  EXPECT_GT(Count(report, "index rows compared"), 15u) << Text(report);
  EXPECT_FALSE(report.damaged()) << Text(report);

  TempFolder elsewhere;
  std::string skipped;
  std::thread([&] {
    // The name space is this thread's, to its end.
    const char* folder = history_.folder().c_str();
    if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount(folder, folder, nullptr, MS_BIND, nullptr) != 0 ||
        mount(nullptr, folder, nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) != 0) {
      skipped = std::strerror(errno);
      return;
    }
    std::vector<std::unique_ptr<Layer>> layers;
    layers.push_back(history_.MakeOneLayer());
    const CheckOptions options{.memory_bytes = 4 << 20, .temporary_folder = elsewhere.path()};
    const auto looked = CheckWorkspaceOver(Env::System(), history_.folder(), std::move(layers), options);
    ASSERT_OK(looked);
    EXPECT_GT(Count(*looked, "index rows compared"), 15u) << Text(*looked);
    EXPECT_FALSE(looked->damaged()) << Text(*looked);
  }).join();
  if (!skipped.empty()) GTEST_SKIP() << "nothing can be mounted here: " << skipped;
  EXPECT_TRUE(Files(history_.folder()) == before);
  EXPECT_TRUE(fs::is_empty(elsewhere.path()));
}

// Where frames begin in a segment.
std::vector<std::size_t> Frames(const std::string& segment) {
  std::vector<std::size_t> frames;
  for (std::size_t at = segment.find("STJR"); at != std::string::npos; at = segment.find("STJR", at + 1)) {
    frames.push_back(at);
  }
  return frames;
}

TEST_F(CheckTest, WhatEarlierRepairsKeptStays) {
  history_.Live(true);
  std::string file;
  std::size_t most = 0;
  for (const auto& [name, content] : TakePicture(history_.folder())) {
    if (!name.ends_with(".seg") || Frames(content).size() <= most) continue;
    file = name;
    most = Frames(content).size();
  }
  ASSERT_GE(most, 6u);
  std::vector<std::string> kept;
  for (std::size_t repair = 0; repair < 3; ++repair) {
    Change([&](Picture& p) {
      for (const char* name : {"index.db", "index.db-wal", "index.db-shm"}) p.erase(name);
      // The last record but one of those that are left: the last tells that it was durable.
      std::string& segment = p[file];
      segment[Frames(segment)[most - 2 - 2 * repair] + 8] ^= 1;
      kept.push_back(segment);
    });
    const CheckReport mended = Check(true);
    EXPECT_FALSE(mended.damaged()) << Text(mended);
    ASSERT_FALSE(mended.repairs.empty());
    const Picture after = TakePicture(history_.folder());
    for (std::size_t i = 0; i <= repair; ++i) {
      const std::string name = file + ".damaged" + (i == repair ? "" : "." + std::to_string(repair - i + 1));
      ASSERT_TRUE(after.contains(name)) << name;
      EXPECT_TRUE(after.at(name) == kept[i]) << name;
    }
  }
}

TEST_F(CheckTest, TheThreeNewestDamagedIndexesAreKept) {
  history_.Live(false);
  std::vector<std::string> indexes;
  for (int repair = 0; repair < 5; ++repair) {
    Change([&](Picture& p) {
      p["index.db"][4096 + 100 + repair] ^= 1;
      indexes.push_back(p["index.db"]);
    });
    // By a repair, and by a start.
    if (repair % 2 == 0) {
      EXPECT_FALSE(Check(true).damaged());
    } else {
      EXPECT_OK(history_.Open());
    }
    const Picture after = TakePicture(history_.folder());
    for (int back = 0; back <= std::min(repair, 2); ++back) {
      const std::string name = "index.db.damaged" + (back == 0 ? "" : "." + std::to_string(back + 1));
      ASSERT_TRUE(after.contains(name)) << name << " after " << repair;
      EXPECT_TRUE(after.at(name) == indexes[repair - back]) << name << " after " << repair;
    }
    EXPECT_FALSE(after.contains("index.db.damaged.4"));
  }
}

}  // namespace
}  // namespace strata::vfs::testing
