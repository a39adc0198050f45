// strata store as a user runs it, on a store of packs.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "tests/cli/cli_fixture.h"

namespace strata::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

class StoreCommands : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    environment_["XDG_CACHE_HOME"] = home_ + "/cache";
    EXPECT_EQ(Text({"store", "init", store_}), "pack:" + store_ + "\n");
    root_ = Text({"import", dir_, "--store", store_, "--name", "project", "-q"});
  }
  std::string PackOfChunks() const {
    for (const auto& entry : fs::directory_iterator(store_ + "/packs")) {
      std::ifstream in(entry.path(), std::ios::binary);
      char header[12] = {};
      if (in.read(header, sizeof header) && entry.path().extension() == ".pack" && header[10] == 0) return entry.path();
    }
    ADD_FAILURE() << "there is no pack of chunks";
    return "";
  }
  const std::string store_ = folder_ / "store";
  std::string root_;
};

TEST_F(StoreCommands, NamesAreListedAndRemoved) {
  EXPECT_THAT(Text({"store", "ls", store_}), MatchesRegex("project  20..-..-.. ..:..:..  d-  b3:.*=\n"));
  const nlohmann::json names = Json({"store", "ls", "--store", store_, "--json"});
  ASSERT_EQ(names.size(), 1U);
  EXPECT_EQ(names[0]["name"], "project");
  EXPECT_EQ(names[0]["kind"], "directory");
  EXPECT_EQ(names[0]["digest"].get<std::string>() + "\n", root_);
  EXPECT_EQ(names[0]["attributes"], nullptr);
  Text({"store", "rm", "project", "--store", store_});
  EXPECT_EQ(Text({"store", "ls", store_}), "");
  ExpectRefused({"store", "rm", "project", "--store", store_}, 1, {"removing the name project", "no name"});
}

TEST_F(StoreCommands, WhatItHoldsIsCounted) {
  EXPECT_THAT(Text({"store", "stat", store_, "--logical"}),
              AllOf(HasSubstr("pack:" + store_), HasSubstr("names                      1\n"),
                    HasSubstr("files of names             2        22 B\n")));
  const nlohmann::json stat = Json({"store", "stat", store_, "--logical", "--json"});
  EXPECT_EQ(stat["names"], 1);
  EXPECT_EQ(stat["directories"]["records"], 2);
  EXPECT_EQ(stat["logical_files"], 2);
  EXPECT_EQ(stat["logical_bytes"], 22);
  EXPECT_GT(stat["pack_bytes"], stat["stored_bytes"]);
}

TEST_F(StoreCommands, VerifyAndScrubFindWhatIsDamaged) {
  for (const char* command : {"verify", "scrub"}) {
    EXPECT_THAT(Text({"store", command, store_}), HasSubstr("no damage found\n"));
    EXPECT_EQ(Json({"store", command, store_, "--json"})["sound"], true);
  }
  const std::string pack = PackOfChunks();
  std::fstream file(pack, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(64 + 64);
  file.put('\xff');
  file.close();
  const e2e::Finished verified = Strata({"store", "verify", store_});
  EXPECT_EQ(verified.status, 1);
  EXPECT_THAT(verified.output,
              AllOf(HasSubstr("damage: "), HasSubstr(fs::path(pack).filename().string()), HasSubstr("b3:")));
  EXPECT_THAT(verified.errors, HasSubstr("is damaged"));
  const e2e::Finished scrubbed = Strata({"store", "scrub", store_, "--json"});
  EXPECT_EQ(scrubbed.status, 1);
  const auto report = nlohmann::json::parse(scrubbed.output);
  EXPECT_EQ(report["sound"], false);
  EXPECT_FALSE(report["found"].empty());
}

TEST_F(StoreCommands, ADryRunOfACollectionFreesNothing) {
  Text({"store", "rm", "project", "--store", store_});
  const nlohmann::json dry = Json({"store", "gc", store_, "--dry-run", "--json"});
  EXPECT_EQ(dry["dry_run"], true);
  EXPECT_EQ(dry["names"], 0);
  EXPECT_EQ(dry["dead_records"], 4);
  EXPECT_EQ(dry["freed_bytes"], 0) << "it was put just now";
  EXPECT_EQ(dry["young_bytes"], dry["dead_bytes"]);
  EXPECT_THAT(Text({"store", "gc", store_}), AllOf(HasSubstr("reached by 0 names"), HasSubstr("a short time ago"),
                                                   HasSubstr("freed 0 B, 0 packs removed")));
  EXPECT_THAT(Text({"store", "verify", store_}), HasSubstr("4 records"));
}

TEST_F(StoreCommands, AStoreOfAnotherKindOrNoneIsRefusedWithWhatToDo) {
  ExpectRefused({"store", "gc", "objectstore+memory:///"}, 1, {"pack:PATH"});
  ExpectRefused({"store", "verify", folder_ / "nothing"}, 1, {"strata store init"});
}

}  // namespace
}  // namespace strata::cli
