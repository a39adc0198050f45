// strata check as a user runs it.
#include <gmock/gmock.h>
#include <signal.h>

#include <filesystem>
#include <fstream>

#include "tests/cli/cli_fixture.h"

namespace strata::cli {
namespace {

using e2e::ServedProcess;
using e2e::SyncClient;
using ::testing::HasSubstr;
using ::testing::Not;

class CheckCommand : public CliTest {
 protected:
  void Serve() {
    ServedProcess served({dir_, "--workspace", workspace_, "--insecure-ports"}, 0, environment_);
    SyncClient client(served.port());
    ASSERT_TRUE(client.mounted()) << served.process().errors();
    ASSERT_EQ(client.WriteFile("/file", "written"), 0);
    const e2e::Finished busy = Strata({"check", workspace_});
    EXPECT_EQ(busy.status, 1);
    EXPECT_THAT(busy.errors, HasSubstr("being served"));
    served.process().Signal(SIGTERM);
    EXPECT_EQ(served.process().Wait(), 0);
  }
  void TurnAByte(const std::string& file, std::streamoff at) {
    std::fstream stream(workspace_ + "/" + file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekg(at);
    const char byte = static_cast<char>(stream.get() ^ 0x10);
    stream.seekp(at);
    stream.put(byte);
    ASSERT_TRUE(stream.good());
  }
};

TEST_F(CheckCommand, SaysThatASoundWorkspaceIsSound) {
  Serve();
  const std::string text = Text({"check", workspace_});
  EXPECT_THAT(text, HasSubstr("journal records"));
  EXPECT_THAT(text, HasSubstr("no damage found"));
  EXPECT_THAT(text, Not(HasSubstr("damage:")));
  const nlohmann::json json = Json({"check", workspace_, "--json"});
  EXPECT_EQ(json["clean"], true);
  EXPECT_EQ(json["damage"], 0);
  EXPECT_GT(json["checked"]["journal records"], 1);
  EXPECT_TRUE(json["findings"].empty());
}

TEST_F(CheckCommand, FindsADamagedIndexAndRepairsIt) {
  Serve();
  TurnAByte("index.db", 4096 + 4000);
  const e2e::Finished found = Strata({"check", workspace_});
  EXPECT_EQ(found.status, 1);
  EXPECT_THAT(found.output, HasSubstr("damage:"));
  EXPECT_THAT(found.output, HasSubstr("index.db"));
  EXPECT_THAT(found.errors, HasSubstr("strata check --repair " + workspace_));
  EXPECT_THAT(found.errors, Not(HasSubstr("%"))) << "a progress bar where there is no terminal";

  const nlohmann::json repaired = Json({"check", workspace_, "--repair", "--json"});
  EXPECT_EQ(repaired["clean"], true);
  EXPECT_FALSE(repaired["repairs"].empty());
  EXPECT_TRUE(std::filesystem::exists(workspace_ + "/index.db.damaged"));
  EXPECT_THAT(Text({"check", workspace_}), HasSubstr("no damage found"));
  EXPECT_EQ(Text({"cat", workspace_, "file"}), "written");
}

TEST_F(CheckCommand, WhatCannotBeRepairedIsSaidAndEndsWithOne) {
  Serve();
  TurnAByte("journal/0000000000000000.seg", 20);
  const e2e::Finished left = Strata({"check", workspace_, "--repair"});
  EXPECT_EQ(left.status, 1);
  EXPECT_THAT(left.output, HasSubstr("0000000000000000.seg"));
  EXPECT_THAT(left.output, HasSubstr("restore"));
}

TEST_F(CheckCommand, RefusesWhatIsNoWorkspace) {
  ExpectRefused({"check", dir_}, 1, {dir_, "not a workspace"});
  ExpectRefused({"check", folder_ / "none"}, 1, {"none"});
  EXPECT_EQ(Strata({"check"}).status, 2);
  EXPECT_EQ(Strata({"check", workspace_, "--nonsense"}).status, 2);
}

}  // namespace
}  // namespace strata::cli
