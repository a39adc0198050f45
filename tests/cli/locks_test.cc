// strata locks: what clients hold of a running server, and freeing it by hand.
#include <gmock/gmock.h>
#include <signal.h>

#include <ctime>
#include <memory>
#include <regex>
#include <sstream>

#include "tests/cli/cli_fixture.h"
#include "tests/e2e/wire.h"

namespace strata::cli {
namespace {

using e2e::ServedProcess;
using e2e::Wire;
using e2e::Xdr;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::uint32_t kNfs = 100003, kMount = 100005, kNlm = 100021;
constexpr std::uint32_t kLookup = 3, kLock = 2, kShare = 20;
constexpr std::uint32_t kGranted = 0, kDenied = 1, kBlocked = 3;

struct Ask {
  std::string client = "alpha";
  std::uint32_t pid = 7;
  std::uint64_t first = 0, length = 10;  // 0: to the end
  bool exclusive = true, waits = false;
};

class Locks : public CliTest {
 protected:
  void Serve(std::vector<std::string> more = {"--locks", "on"}) {
    std::vector<std::string> arguments{dir_, "--workspace", workspace_, "--insecure-ports"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    served_ = std::make_unique<ServedProcess>(arguments, 0, environment_);
    ASSERT_NE(served_->port(), 0) << served_->process().errors();
    wire_ = std::make_unique<Wire>(served_->port());
    const auto root = wire_->Call(kMount, 3, 1, Xdr().Opaque("/").bytes());
    ASSERT_EQ(root.Word(0), 0u);
    root_ = root.body.substr(8, root.Word(1));
  }
  std::string Lookup(const std::string& directory, const std::string& name) {
    const auto reply = wire_->Call(kNfs, 3, kLookup, Xdr().Opaque(directory).Opaque(name).bytes());
    EXPECT_EQ(reply.Word(0), 0u) << name;
    return reply.body.size() < 8 ? "" : reply.body.substr(8, reply.Word(1));
  }
  // nlm4_stats: what stands behind the cookie, which is empty.
  std::uint32_t Lock(const std::string& file, const Ask& ask) {
    Xdr arguments;
    arguments.Opaque("").Word(ask.waits).Word(ask.exclusive).Opaque(ask.client).Opaque(file);
    arguments.Opaque(std::to_string(ask.pid) + "@" + ask.client).Word(ask.pid).Long(ask.first).Long(ask.length);
    return wire_->Call(kNlm, 4, kLock, arguments.Word(0).Word(0).bytes()).Word(1);
  }
  std::uint32_t Share(const std::string& file, const std::string& client, std::uint32_t access, std::uint32_t deny) {
    const auto arguments = Xdr().Opaque("").Opaque(client).Opaque(file).Opaque("1").Word(deny).Word(access).Word(0);
    return wire_->Call(kNlm, 4, kShare, arguments.bytes()).Word(1);
  }
  json List(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments{"locks", workspace_, "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Json(arguments);
  }

  std::unique_ptr<ServedProcess> served_;
  std::unique_ptr<Wire> wire_;
  std::string root_;
};

std::string NowText() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  return text;
}

std::vector<std::string> Lines(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TEST_F(Locks, HoldersAndWhoWaitsAreListedWithTheirFilesByName) {
  Serve();
  const std::string source = Lookup(Lookup(root_, "src"), "main.c");
  const std::string before = NowText();
  ASSERT_EQ(Lock(source, {.first = 5}), kGranted);
  ASSERT_EQ(Lock(source, {.client = "beta", .pid = 8, .length = 0, .exclusive = false, .waits = true}), kBlocked);
  ASSERT_EQ(Share(source, "gamma", 1, 2), kGranted);
  const std::string after = NowText() + "~";
  const json list = List();
  ASSERT_EQ(list.size(), 3u) << list;
  // Reservations are of bytes 0 and on.
  const json &reserves = list[0], &holds = list[1], &waits = list[2];
  EXPECT_EQ(holds["client"], "alpha");
  EXPECT_EQ(holds["address"], "127.0.0.1");
  EXPECT_EQ(holds["pid"], 7);
  EXPECT_EQ(holds["kind"], "exclusive");
  EXPECT_EQ(holds["state"], "holds");
  EXPECT_EQ(holds["first"], 5);
  EXPECT_EQ(holds["length"], 10);
  EXPECT_EQ(holds["path"], "/src/main.c");
  EXPECT_EQ(holds["fileid"], Json({"stat", workspace_, "src/main.c", "--json"})["fileid"]);
  EXPECT_GE(holds["since"], before);
  EXPECT_LE(holds["since"], after);
  EXPECT_TRUE(std::regex_match(holds["since"].get<std::string>(),
                               std::regex("\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{9}Z")))
      << holds;
  EXPECT_EQ(waits["client"], "beta");
  EXPECT_EQ(waits["kind"], "shared");
  EXPECT_EQ(waits["state"], "waits");
  EXPECT_EQ(waits["first"], 0);
  EXPECT_TRUE(waits["length"].is_null()) << "to the end";
  EXPECT_EQ(reserves["client"], "gamma");
  EXPECT_EQ(reserves["kind"], "reservation");
  EXPECT_EQ(reserves["access"], "r");
  EXPECT_EQ(reserves["deny"], "w");

  const auto lines = Lines(Text({"locks", workspace_}));
  ASSERT_EQ(lines.size(), 4u);
  const auto row = [&](std::size_t i, const std::string& rest) {
    return std::regex_match(lines[i], std::regex(rest)) ? "" : lines[i];
  };
  EXPECT_EQ(row(0, "ID +CLIENT +ADDRESS +PID +KIND +STATE +FIRST +LENGTH +AGE +FILE"), "");
  const std::string id = holds["id"];
  EXPECT_EQ(row(2, id + "  alpha   127\\.0\\.0\\.1 +7  exclusive +holds +5 +10 +\\d+s  /src/main\\.c"), "");
  EXPECT_EQ(row(1, "[0-9a-f]{16}  gamma   127\\.0\\.0\\.1 +0  opens r, denies w +holds +0  to the end +\\d+s  /src/.*"),
            "");
  EXPECT_EQ(row(3, "[0-9a-f]{16}  beta .* shared +waits +0  to the end .*"), "");
  // All begin in the columns of the head.
  for (const std::string& line : lines) {
    for (const char* column : {"CLIENT", "ADDRESS", "KIND", "STATE", "FILE"}) {
      EXPECT_EQ(line[lines[0].find(column) - 1], ' ') << column << ": " << line;
      EXPECT_NE(line[lines[0].find(column)], ' ') << column << ": " << line;
    }
  }
}

TEST_F(Locks, AFolderStandsForItsWorkspaceAndWhatWasMadeThereHasANameToo) {
  served_ = std::make_unique<ServedProcess>(std::vector<std::string>{dir_, "--insecure-ports", "--locks", "on"}, 0,
                                            environment_);
  e2e::SyncClient client(served_->port());
  ASSERT_TRUE(client.mounted());
  ASSERT_EQ(nfs_mkdir(client, "/made"), 0);
  wire_ = std::make_unique<Wire>(served_->port());
  const auto root = wire_->Call(kMount, 3, 1, Xdr().Opaque("/").bytes());
  root_ = root.body.substr(8, root.Word(1));
  EXPECT_EQ(Text({"locks", dir_}), "no locks\n");
  EXPECT_EQ(Json({"locks", dir_, "--json"}), json::array());
  nfsfh* file = nullptr;
  ASSERT_EQ(nfs_creat(client, "/made/by a client", 0600, &file), 0);
  nfs_close(client, file);
  ASSERT_EQ(Lock(Lookup(Lookup(root_, "made"), "by a client"), {}), kGranted);
  const json list = Json({"locks", dir_, "--json"});
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0]["path"], "/made/by a client");
}

TEST_F(Locks, OneIsFreedByItsIdAndWhoWaitedGetsIt) {
  Serve();
  const std::string file = Lookup(root_, "readme");
  ASSERT_EQ(Lock(file, {}), kGranted);
  ASSERT_EQ(Lock(file, {.first = 100}), kGranted);
  ASSERT_EQ(Lock(file, {.client = "beta", .waits = true}), kBlocked);
  const json all = List();
  ASSERT_EQ(all.size(), 3u);
  const std::string first = all[0]["id"];
  EXPECT_EQ(List({"--id", first}), json::array({all[0]}));
  EXPECT_EQ(Text({"locks", workspace_, "--release", "--id", first}), "freed 1\n");
  const json left = List();
  ASSERT_EQ(left.size(), 2u);
  EXPECT_EQ(left[0]["client"], "beta");
  EXPECT_EQ(left[0]["state"], "holds");
  EXPECT_EQ(left[1], all[1]) << "the other one is as it was, with its id";
  EXPECT_EQ(Lock(file, {}), kDenied) << "it is beta's now";
  // What is gone is not freed again, nor is what waited and holds now freed by the id that it had when it waited.
  for (const std::string& gone : {first, all[2]["id"].get<std::string>()}) {
    ExpectRefused({"locks", workspace_, "--release", "--id", gone}, 1, {"freeing locks of", "list again"});
  }
  EXPECT_EQ(List().size(), 2u);
  served_->process().Signal(SIGTERM);
  EXPECT_EQ(served_->process().Wait(), 0);
  EXPECT_THAT(served_->process().errors(), HasSubstr("event=locks_released"));
}

TEST_F(Locks, AllOfAClientIsFreedAndNothingOfOthers) {
  Serve();
  const std::string readme = Lookup(root_, "readme"), source = Lookup(Lookup(root_, "src"), "main.c");
  ASSERT_EQ(Lock(readme, {}), kGranted);
  ASSERT_EQ(Lock(source, {.client = "beta"}), kGranted);
  ASSERT_EQ(Lock(source, {.waits = true}), kBlocked);
  ASSERT_EQ(Share(source, "alpha", 1, 2), kGranted);
  EXPECT_EQ(List({"--client", "alpha"}).size(), 3u);
  EXPECT_EQ(List({"--client", "beta", "--address", "127.0.0.1"}).size(), 1u);
  EXPECT_EQ(List({"--client", "alpha", "--address", "10.0.0.1"}), json::array());
  ExpectRefused({"locks", workspace_, "--release", "--client", "alpha", "--address", "10.0.0.1"}, 1, {"none such"});
  EXPECT_EQ(Json({"locks", workspace_, "--release", "--client", "alpha", "--json"}), (json{{"freed", 3}}));
  const json left = List();
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0]["client"], "beta");
  EXPECT_EQ(Lock(readme, {.client = "beta"}), kGranted);
  EXPECT_EQ(Text({"locks", workspace_, "--release", "--address", "127.0.0.1"}), "freed 2\n");
  EXPECT_EQ(List(), json::array());
}

TEST_F(Locks, AListingOfManyPagesComesWhole) {
  Serve();
  const std::string file = Lookup(root_, "readme");
  constexpr std::uint64_t kMany = 17'000;  // of which a message holds 15,887
  for (std::uint64_t i = 0; i < kMany; ++i) ASSERT_EQ(Lock(file, {.first = 20 * i}), kGranted) << i;
  const json list = List();
  ASSERT_EQ(list.size(), kMany);
  for (std::uint64_t i = 0; i < kMany; ++i) ASSERT_EQ(list[i]["first"], 20 * i);
}

TEST_F(Locks, WhatAClientCallsItselfSteersNoTerminal) {
  Serve();
  ASSERT_EQ(Lock(Lookup(root_, "readme"), {.client = "\033[31mred\nline"}), kGranted);
  const std::string text = Text({"locks", workspace_});
  EXPECT_EQ(Lines(text).size(), 2u) << text;
  EXPECT_THAT(text, Not(HasSubstr("\033")));
  EXPECT_THAT(text, HasSubstr("\\x1b[31mred\\x0aline"));
  EXPECT_EQ(List()[0]["client"], "\033[31mred\nline");
}

TEST_F(Locks, WhereThereIsNothingToAskItSaysSo) {
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{}, {"--json"}, {"--release", "--client", "alpha"}}) {
    std::vector<std::string> command{"locks", dir_};
    command.insert(command.end(), more.begin(), more.end());
    ExpectRefused(command, 1, {"asking the server of", "no server", "strata serve"});
  }
  Serve({"--locks", "off"});
  ExpectRefused({"locks", workspace_}, 1, {"grants no locks", "--locks off"});
  ExpectRefused({"locks", workspace_, "--release", "--client", "alpha"}, 1, {"grants no locks", "--locks off"});
  served_->process().Signal(SIGKILL);
  served_->process().Wait();
  ExpectRefused({"locks", workspace_}, 1, {"no server"});
  ExpectRefused({"locks", folder_ / "nowhere"}, 1, {"nowhere"});
}

TEST_F(Locks, WhatSelectsNothingIsNotTakenForEverything) {
  Serve();
  ASSERT_EQ(Lock(Lookup(root_, "readme"), {}), kGranted);
  EXPECT_EQ(Strata({"locks", workspace_, "--release"}).status, 2);
  EXPECT_EQ(Strata({"locks", workspace_, "--release", "--json"}).status, 2);
  EXPECT_EQ(Strata({"locks"}).status, 2);
  for (const std::string id : {"x", "5g", "-1", "0x5", "12345678901234567"}) {
    ExpectRefused({"locks", workspace_, "--release", "--id=" + id}, 1, {"--id " + id});
  }
  for (const std::string address : {"localhost", "10.0.0", "10.0.0.0/8"}) {
    ExpectRefused({"locks", workspace_, "--release", "--address", address}, 1, {"--address " + address});
  }
  // As a script gives what it has not got.
  for (const std::string option : {"--id", "--address"}) {
    ExpectRefused({"locks", workspace_, "--release", "--client", "alpha", option, ""}, 1, {option});
  }
  ExpectRefused({"locks", workspace_, "--release", "--client", ""}, 1, {"none such"});
  EXPECT_EQ(List().size(), 1u);
}

TEST_F(Locks, ATakenOverServerIsAskedInTheOldOnesPlace) {
  Serve();
  e2e::Process next(
      {STRATA_PROGRAM, "serve", dir_, "--workspace", workspace_, "--insecure-ports", "--locks", "on", "--takeover"},
      environment_);
  ASSERT_FALSE(next.ReadLine().empty());
  EXPECT_EQ(served_->process().Wait(), 0);
  ASSERT_EQ(Lock(Lookup(root_, "readme"), {.client = "after"}), kGranted);
  const json list = List({"--client", "after"});
  EXPECT_EQ(list.size(), 1u) << list;
  next.Signal(SIGTERM);
  EXPECT_EQ(next.Wait(), 0);
}

}  // namespace
}  // namespace strata::cli
