// What cannot be served: one clear line with what to do, exit status 1 (2 for usage), nothing written.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <regex>

#include "tests/cli/cli_fixture.h"

namespace strata::cli {
namespace {

using e2e::ServedProcess;
using e2e::SyncClient;

class Refusal : public CliTest {
 protected:
  void TearDown() override {
    CliTest::TearDown();
    if (nothing_written_) {
      EXPECT_FALSE(std::filesystem::exists(workspace_)) << "nothing is written";
      EXPECT_TRUE(std::filesystem::is_empty(home_)) << "nothing is written";
    }
  }
  bool nothing_written_ = true;
};

TEST_F(Refusal, ListeningBeyondLoopbackNeedsAllow_Rule2_4) {
  for (const std::string address : {"0.0.0.0:0", "[::]:0", "192.0.2.1:2049"}) {
    ExpectRefused({"serve", dir_, "--workspace", workspace_, "--listen", address}, 1, {"--allow"});
  }
  ExpectRefused({"serve", dir_, "--workspace", workspace_, "--listen", "127.0.0.1:0", "--listen", "0.0.0.0:0"}, 1,
                {"--allow"});
}

TEST_F(Refusal, AnAddressOrRangeThatIsNoneIsNamed) {
  for (const std::string address : {"localhost:2049", "127.0.0.1:99999", "127.0.0.1:x", "[::1", "1.2.3:4"}) {
    ExpectRefused({"serve", dir_, "--workspace", workspace_, "--listen", address}, 1, {address});
  }
  for (const std::string range : {"10.0.0.0/33", "10.0.0/8", "everyone", "::1/129", "10.0.0.0/"}) {
    ExpectRefused({"serve", dir_, "--workspace", workspace_, "--listen", "0.0.0.0:0", "--allow", range}, 1, {range});
  }
}

TEST_F(Refusal, AMemoryThatIsNoSizeOrTooSmall) {
  for (const std::string size :
       {"", "lots", "M", "15", "15M", "1K", "256X", "256MB", "256 M", "+256M", "-1", "99999999999999999999", "1025G"}) {
    ExpectRefused({"serve", dir_, "--workspace", workspace_, "--memory", size}, 1, {"--memory", "256M"});
  }
}

TEST_F(Refusal, AHistoryOrAnIntervalThatIsNone) {
  for (const std::string history :
       {"", "some", "7", "7w", "0d", "-1d", "1.5h", "10GB", "99999999999999999999d", "300000d"}) {
    ExpectRefused({"serve", dir_, "--workspace", workspace_, "--history", history}, 1, {"--history", "7d", "10G"});
  }
  for (const std::string interval : {"", "1", "0s", "soon", "1M", "-1s"}) {
    ExpectRefused({"serve", dir_, "--workspace", workspace_, "--relaxed-interval", interval}, 1,
                  {"--relaxed-interval", "1s"});
  }
}

TEST_F(Refusal, AFolderThatIsMissingOrNone) {
  ExpectRefused({"serve", folder_ / "missing", "--workspace", workspace_}, 1, {"missing"});
  ExpectRefused({"serve", dir_ + "/readme", "--workspace", workspace_}, 1, {"readme"});
  ExpectRefused({"serve", folder_ / "missing"}, 1, {"missing"});
  ExpectRefused({"init", workspace_, "--layer", folder_ / "missing"}, 1, {"missing"});
  ExpectRefused({"init", workspace_, "--layer", dir_ + "/readme"}, 1, {"readme"});
  ExpectRefused({"init", workspace_, "--layer", dir_ + ",markers=nonsense"}, 1, {"markers"});
  ExpectRefused({"init", folder_ / "no/such/parent"}, 1, {"parent"});
}

TEST_F(Refusal, ASpecThatIsNoneIsRefusedAlikeByAllCommands) {
  for (const auto& [spec, words] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"host:" + dir_ + "?mode=1", {"no option 'mode'", "markers=..."}},
           {"host:" + dir_ + "?at=a", {"begins with '/'"}},
           {"host:" + dir_ + "?markers=nonsense", {"markers are files, chardev and xattr"}},
           {"host:" + dir_ + "#1", {"%23"}},
           {"host:" + folder_ / "missing", {"missing"}},
           {"castore:", {"castore:NAME@STORE"}},
           {"castore:web@" + folder_ / "missing", {"missing"}},
           {"rafs:image", {"no layers of kind rafs", "./rafs:image"}},
           {"catsore:web@store", {"catsore:web@store", "host: and castore:"}}}) {
    ExpectRefused({"init", workspace_, "--layer", spec}, 1, words);
    ExpectRefused({"serve", spec, "--workspace", workspace_, "--listen", "127.0.0.1:0"}, 1, words);
    for (const std::string command : {"ls", "stat", "diff", "check"}) ExpectRefused({command, spec}, 1, words);
    ExpectRefused({"cat", spec, "a"}, 1, words);
  }
  ExpectRefused({"init", workspace_, "--layer", "castore:web@" + dir_}, 1,
                {"castore:web@pack:" + dir_, "holds no store"});
}

TEST_F(Refusal, SharedInodeNumbersWhereAWorkspaceIsServed) {
  const std::vector<std::string> hint{"--share-inodes", "--read-only", "castore:@STORE"};
  ExpectRefused({"serve", dir_, "--workspace", workspace_, "--share-inodes", "--listen", "127.0.0.1:0"}, 1, hint);
  ExpectRefused({"serve", dir_, "--read-only", "--share-inodes", "--listen", "127.0.0.1:0"}, 1, hint);
  const std::string tree = "castore:tree@" + folder_ / "store";
  ExpectRefused({"serve", tree, "--share-inodes", "--listen", "127.0.0.1:0"}, 1, hint);
  ExpectRefused({"serve", tree, "--read-only", "--workspace", workspace_, "--share-inodes", "--listen", "127.0.0.1:0"},
                1, hint);
}

TEST_F(Refusal, ARebaseThatMayWriteNothing) {
  EXPECT_EQ(Strata({"serve", dir_, "--workspace", workspace_, "--rebase", "--read-only"}).status, 2);
}

TEST_F(Refusal, APortInUse) {
  const int taken = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(taken, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(taken, 1), 0);
  ASSERT_EQ(::getsockname(taken, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string port = std::to_string(ntohs(address.sin_port));
  ExpectRefused({"serve", dir_, "--workspace", workspace_, "--listen", "127.0.0.1:" + port}, 1,
                {port, "in use", "--listen"});
  ::close(taken);
}

TEST_F(Refusal, AReadOnlyServeOfAFolderWithoutAWorkspaceMakesNone) {
  ExpectRefused({"serve", dir_, "--workspace", workspace_, "--read-only", "--listen", "127.0.0.1:0"}, 1,
                {"--read-only"});
}

TEST_F(Refusal, WrongUsageEndsWithTwo) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"serve"},
                                             {"nonsense"},
                                             {"serve", dir_, "--nonsense"},
                                             {"serve", dir_, "--durability", "none"},
                                             {"cat", dir_}}) {
    const e2e::Finished done = Strata(arguments);
    EXPECT_EQ(done.status, 2) << done.errors;
    EXPECT_NE(done.errors, "");
  }
  EXPECT_EQ(Strata({"--help"}).status, 0);
  EXPECT_EQ(Strata({"serve", "--help"}).status, 0);
  EXPECT_EQ(Strata({"--version"}).output.substr(0, 7), "strata ");
}

TEST_F(Refusal, AWorkspaceThatIsBeingServedIsNotServedTwice) {
  nothing_written_ = false;
  ServedProcess served({dir_, "--workspace", workspace_, "--insecure-ports"}, 0, environment_);
  SyncClient client(served.port());
  ASSERT_TRUE(client.mounted()) << served.process().errors();
  ASSERT_EQ(client.WriteFile("/file", "x"), 0);
  // The index is brought up to date by the server itself, whenever it is quiet.
  const auto without_index = [this] {
    return std::regex_replace(e2e::Fingerprint(workspace_), std::regex("(^|\n)index\\.db[^\n]*"), "");
  };
  const std::string before = without_index();
  ExpectRefused({"serve", dir_, "--workspace", workspace_, "--listen", "127.0.0.1:0"}, 1,
                {workspace_, "another process"});
  ExpectRefused({"serve", workspace_, "--listen", "127.0.0.1:0"}, 1, {workspace_, "another process"});
  EXPECT_EQ(without_index(), before) << "nothing is written";
  EXPECT_EQ(client.WriteFile("/file", "the first goes on"), 0);
  served.process().Signal(SIGKILL);
  served.process().Wait();
  ServedProcess next({dir_, "--workspace", workspace_, "--insecure-ports"}, 0, environment_);
  EXPECT_NE(next.port(), 0) << "the lock of a process that died is none: " << next.process().errors();
}

TEST_F(Refusal, AWorkspaceOverSomethingElse) {
  nothing_written_ = false;
  std::filesystem::create_directory(folder_ / "other");
  EXPECT_EQ(Strata({"init", workspace_, "--layer", folder_ / "other"}).status, 0);
  const std::string before = e2e::Fingerprint(workspace_);
  ExpectRefused({"serve", dir_, "--workspace", workspace_, "--listen", "127.0.0.1:0"}, 1, {workspace_, "--workspace"});
  ExpectRefused({"init", workspace_, "--layer", dir_}, 1, {workspace_});
  ExpectRefused({"serve", workspace_, "--workspace", folder_ / "third"}, 1, {"--workspace"});
  EXPECT_EQ(e2e::Fingerprint(workspace_), before);
  e2e::WriteHostFile(folder_ / "other/file", "x");
  ExpectRefused({"init", folder_ / "other"}, 1, {"other"});
}

TEST_F(Refusal, AWorkspaceOfANewerFormatOrADamagedOne) {
  nothing_written_ = false;
  ASSERT_EQ(Strata({"init", workspace_, "--layer", dir_}).status, 0);
  const std::string config = workspace_ + "/workspace.json";
  const std::string good = e2e::ReadHostFile(config);
  nlohmann::json newer = nlohmann::json::parse(good);
  ASSERT_TRUE(newer.contains("version")) << good;
  newer["version"] = newer["version"].get<int>() + 1;
  for (const std::string& content : {newer.dump(), good.substr(0, good.size() / 2), std::string(), std::string("[]"),
                                     std::string("{\"format\": \"x\"}"), std::string(2 << 20, '[')}) {
    e2e::WriteHostFile(config, content);
    const std::string before = e2e::Fingerprint(workspace_);
    ExpectRefused({"serve", workspace_, "--listen", "127.0.0.1:0"}, 1, {"workspace"});
    ExpectRefused({"ls", workspace_}, 1, {"workspace"});
    EXPECT_EQ(e2e::Fingerprint(workspace_), before);
  }
}

TEST_F(Refusal, ALayerThatWentMissing) {
  nothing_written_ = false;
  const std::string layer = folder_ / "layer";
  std::filesystem::create_directory(layer);
  ASSERT_EQ(Strata({"init", workspace_, "--layer", layer}).status, 0);
  const std::string before = e2e::Fingerprint(workspace_);
  std::filesystem::remove(layer);
  ExpectRefused({"serve", workspace_, "--listen", "127.0.0.1:0"}, 1, {layer});
  e2e::WriteHostFile(layer, "a file in its place");
  ExpectRefused({"serve", workspace_, "--listen", "127.0.0.1:0"}, 1, {layer});
  EXPECT_EQ(e2e::Fingerprint(workspace_), before);
}

}  // namespace
}  // namespace strata::cli
