// strata xattr, what strata stat says of extended attributes and layers, and the control tree of strata serve.
#include <gmock/gmock.h>
#include <sys/xattr.h>

#include <cerrno>
#include <filesystem>

#include "tests/cli/cli_fixture.h"

namespace strata::cli {
namespace {

using e2e::ServedProcess;
using e2e::SyncClient;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class XattrCommand : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    Set("readme", "user.note", "hello");
    Set("readme", "user.raw", std::string("\xff\x00\n", 3));
    Set("src", "user.note", "of src");
    before_ = e2e::Fingerprint(dir_);
    Text({"init", workspace_, "--layer", dir_});
  }
  void Set(const char* path, const char* name, const std::string& value) {
    ASSERT_EQ(::setxattr((dir_ + "/" + path).c_str(), name, value.data(), value.size(), 0), 0)
        << "the folder of the tests must lie where files may have user.* attributes";
  }
};

TEST_F(XattrCommand, ListShowsNamesAndTheValuesThatATerminalCan) {
  EXPECT_EQ(Text({"xattr", "list", workspace_, "readme"}), "user.note  hello\nuser.raw   3 bytes\n");
  EXPECT_EQ(Text({"xattr", "list", workspace_, "src/main.c"}), "");
  EXPECT_EQ(Json({"xattr", "list", workspace_, "readme", "--json"}),
            json::array({{{"name", "user.note"}, {"size", 5}, {"encoding", "utf-8"}, {"value", "hello"}},
                         {{"name", "user.raw"}, {"size", 3}, {"encoding", "base64"}, {"value", "/wAK"}}}));
  EXPECT_EQ(Json({"xattr", "list", workspace_, "src/main.c", "--json"}), json::array());
}

TEST_F(XattrCommand, GetPrintsTheValueByteForByte) {
  EXPECT_EQ(Text({"xattr", "get", workspace_, "readme", "user.note"}), "hello");
  EXPECT_EQ(Text({"xattr", "get", workspace_, "/readme", "user.raw"}), std::string("\xff\x00\n", 3));
  EXPECT_EQ(Text({"xattr", "get", workspace_, "src", "user.note"}), "of src");
  EXPECT_EQ(Json({"xattr", "get", workspace_, "readme", "user.raw", "--json"}),
            json({{"path", "readme"}, {"name", "user.raw"}, {"size", 3}, {"encoding", "base64"}, {"value", "/wAK"}}));
}

TEST_F(XattrCommand, WhatIsNotThereIsNamedInTheMessage) {
  ExpectRefused({"xattr", "get", workspace_, "readme", "user.other"}, 1, {"readme", "user.other", "strata xattr list"});
  ExpectRefused({"xattr", "list", workspace_, "missing"}, 1, {"missing"});
  ExpectRefused({"xattr", "get", workspace_, "missing", "user.note"}, 1, {"missing"});
  EXPECT_EQ(Strata({"xattr", "get", workspace_, "readme"}).status, 2);
  EXPECT_EQ(Strata({"xattr"}).status, 2);
}

TEST_F(XattrCommand, StatShowsThemAndWhichLayersAPathComesFrom) {
  const std::string patch = folder_ / "patch", two = folder_ / "two";
  std::filesystem::create_directories(patch + "/src");
  e2e::WriteHostFile(patch + "/src/new.c", "new\n");
  Text({"init", two, "--layer", patch, "--layer", dir_});
  const std::string readme = Text({"stat", two, "readme"});
  EXPECT_THAT(readme, HasSubstr("xattr   user.note = hello\nxattr   user.raw = 3 bytes\nfrom    " + dir_ + "\n"));
  EXPECT_THAT(Text({"stat", two, "src"}), HasSubstr("from    " + patch + "\nfrom    " + dir_ + "\n"));
  const json stat = Json({"stat", two, "src", "--json"});
  EXPECT_EQ(stat.at("sources"), json::array({patch, dir_}));
  // As in every directory of several layers, what is said of it is what the highest says.
  EXPECT_EQ(stat.at("xattrs"), json::array());
  EXPECT_EQ(Json({"stat", two, "readme", "--json"}).at("xattrs"), Json({"xattr", "list", two, "readme", "--json"}));

  ServedProcess served({two, "--insecure-ports"}, 0, environment_);
  SyncClient client(served.port());
  ASSERT_TRUE(client.mounted()) << served.process().errors();
  ASSERT_EQ(nfs_chmod(client, "/readme", 0600), 0);
  ASSERT_EQ(client.WriteFile("/made", "x"), 0);
  EXPECT_EQ(Json({"stat", two, "readme", "--json"}).at("sources"), json::array({"workspace " + two, dir_}));
  EXPECT_EQ(Json({"stat", two, "made", "--json"}).at("sources"), json::array({"workspace " + two}));
  EXPECT_EQ(Text({"xattr", "get", two, "readme", "user.note"}), "hello") << "a file that was changed keeps them";
}

TEST_F(XattrCommand, AMountShowsThemInItsHiddenTree) {
  std::string value;
  {
    ServedProcess served({workspace_, "--insecure-ports"}, 0, environment_);
    SyncClient client(served.port());
    ASSERT_TRUE(client.mounted()) << served.process().errors();
    EXPECT_THAT(client.Names("/"), ElementsAre("link", "readme", "src"));
    EXPECT_THAT(client.Names("/.strata"), ElementsAre("xattr", "xattr-names"));
    EXPECT_EQ(client.ReadFile("/.strata/xattr-names/readme", &value), 0) << client.error();
    EXPECT_EQ(value, "user.note\nuser.raw\n");
    EXPECT_EQ(client.ReadFile("/.strata/xattr/user.raw/readme", &value), 0) << client.error();
    EXPECT_EQ(value, std::string("\xff\x00\n", 3));
    EXPECT_EQ(client.ReadFile("/.strata/xattr/user.note/src/.self", &value), 0) << client.error();
    EXPECT_EQ(value, "of src");
    EXPECT_EQ(client.ReadFile("/.strata/xattr/user.note/src/main.c", &value), -ENOENT);
    EXPECT_EQ(client.WriteFile("/.strata/xattr/user.note/readme", "x"), -EROFS);
    EXPECT_THAT(Text({"diff", workspace_}), Not(HasSubstr("strata")));
  }
  ServedProcess served({workspace_, "--insecure-ports", "--no-control-tree"}, 0, environment_);
  SyncClient client(served.port());
  ASSERT_TRUE(client.mounted()) << served.process().errors();
  EXPECT_EQ(client.ReadFile("/.strata/xattr-names/readme", &value), -ENOENT);
}

}  // namespace
}  // namespace strata::cli
