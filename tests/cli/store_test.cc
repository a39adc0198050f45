// strata store of stores that are not of packs.
#include <gmock/gmock.h>

#include <filesystem>

#include "tests/cli/cli_fixture.h"

namespace strata::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class StoreOfObjects : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    environment_["XDG_CACHE_HOME"] = home_ + "/cache";
    environment_["TMPDIR"] = folder_.path();
    ASSERT_EQ(Strata({"import", dir_, "--name", "project", "-q", "--store", store_}).status, 0);
  }
  // The only file beneath a folder of the store whose content begins so; of chunks the compressed one.
  std::string FileThatHolds(const std::string& folder, const std::string& text) const {
    for (const auto& entry : fs::recursive_directory_iterator(folder_ / "store" + "/" + folder)) {
      if (entry.is_regular_file() && e2e::ReadHostFile(entry.path()).contains(text)) return entry.path();
    }
    return {};
  }
  const std::string store_ = "objectstore+file://" + (folder_ / "store");
};

TEST_F(StoreOfObjects, VerifyReadsItAllAndNamesEachHoleWithItsPath) {
  const nlohmann::json sound = Json({"store", "verify", store_, "--json"});
  EXPECT_EQ(sound["sound"], true);
  EXPECT_EQ(sound["records"], 5) << "two chunks, two lists, one tree";
  EXPECT_EQ(sound["packs"], 0);
  EXPECT_GT(sound["bytes"], 50);
  EXPECT_THAT(Text({"store", "verify", store_}), AllOf(HasSubstr("5 objects, "), HasSubstr("no damage found")));

  const std::string chunk = FileThatHolds("chunks", "int main");
  ASSERT_FALSE(chunk.empty());
  fs::permissions(chunk, fs::perms::owner_all);
  e2e::WriteHostFile(chunk, "rubbish");
  const e2e::Finished done = Strata({"store", "verify", store_});
  EXPECT_EQ(done.status, 1);
  EXPECT_THAT(done.output, AllOf(HasSubstr("damage: the chunk b3:"), HasSubstr(chunk),
                                 HasSubstr("(the name project reaches it as src/main.c)")));
  EXPECT_THAT(done.errors, HasSubstr("is damaged (1 finding)"));
  const e2e::Finished as_json = Strata({"store", "verify", store_, "--json"});
  EXPECT_EQ(as_json.status, 1);
  const nlohmann::json found = nlohmann::json::parse(as_json.output);
  EXPECT_EQ(found["sound"], false);
  EXPECT_EQ(found["problems"], 1);
  EXPECT_EQ(found["found"][0]["what"], "damaged_record");
  EXPECT_THAT(found["found"][0]["digest"].get<std::string>(), ::testing::StartsWith("b3:"));

  fs::remove(chunk);
  EXPECT_THAT(Strata({"store", "verify", store_}).output,
              AllOf(HasSubstr(" is missing"), HasSubstr("(the name project reaches it as src/main.c)")));
}

TEST_F(StoreOfObjects, StatAndLsCountAndListIt) {
  const nlohmann::json stat = Json({"store", "stat", store_, "--logical", "--json"});
  EXPECT_EQ(stat["chunks"]["records"], 2);
  EXPECT_EQ(stat["chunks"]["raw_bytes"], 22);
  EXPECT_EQ(stat["directories"]["records"], 2);
  EXPECT_EQ(stat["names"], 1);
  EXPECT_EQ(stat["logical_bytes"], 22);
  EXPECT_EQ(stat["logical_files"], 2);
  EXPECT_THAT(Text({"store", "stat", store_}), HasSubstr("directories                2"));
  EXPECT_THAT(Text({"store", "ls", store_}), HasSubstr("project"));
}

TEST_F(StoreOfObjects, WhatIsForPacksAloneSaysWhatToDoInstead) {
  ExpectRefused({"store", "scrub", store_}, 1, {store_, "strata store verify, with --rate"});
  ExpectRefused({"store", "gc", store_}, 1, {store_, "strata export", "another store"});
  ExpectRefused({"store", "gc", store_, "--dry-run"}, 1, {store_, "another store"});
  ExpectRefused({"store", "verify", "memory://"}, 1, {"neither a store of packs nor one of objects"});
}

}  // namespace
}  // namespace strata::cli
