// The file that says which machines have locks: nothing is promised that it does not hold.
#include "server/nsm/monitored_clients.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "tests/base/fault_env.h"
#include "tests/base/temp_folder.h"

namespace strata::nsm {
namespace {

using boost::asio::ip::address;

address At(const std::string& text) { return boost::asio::ip::make_address(text); }

MonitoredClient Client(const std::string& client, const std::string& server = "192.0.2.1") {
  return {At(client), At(server)};
}

std::string ContentOf(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void Put(const std::string& path, std::string_view content) { std::ofstream(path, std::ios::binary) << content; }

// The addresses that the file names, in order.
std::vector<std::string> InFile(const std::string& path) {
  const auto kept = ParseClients(ContentOf(path));
  EXPECT_TRUE(kept) << kept.error().ToString();
  std::vector<std::string> all;
  if (!kept) return all;
  for (const MonitoredClient& one : kept->clients) all.push_back(one.client.to_string());
  std::ranges::sort(all);
  return all;
}

using Texts = std::vector<std::string>;

// -- The format. --

TEST(ClientsFormat, IsWhatItsPageSays) {
  const std::string text =
      "{\n"
      " \"clients\": [\n"
      "  {\n"
      "   \"client\": \"192.0.2.7\",\n"
      "   \"server\": \"192.0.2.1\"\n"
      "  }\n"
      " ],\n"
      " \"format\": \"strata lock clients\",\n"
      " \"state\": 1700000001,\n"
      " \"version\": 1\n"
      "}\n";
  EXPECT_EQ(FormatClients({.state = 1'700'000'001, .clients = {Client("192.0.2.7")}}), text);
}

TEST(ClientsFormat, WhatIsParsedIsWhatWasFormatted) {
  const KeptClients kept{
      .state = 0x7fffffff,
      .clients = {Client("192.0.2.7"), Client("2001:db8::7", "2001:db8::1"), Client("fe80::1%7", "fe80::2%7"),
                  Client("127.0.0.1", "0.0.0.0"), Client("::1", "::")}};
  const auto parsed = ParseClients(FormatClients(kept));
  ASSERT_TRUE(parsed) << parsed.error().ToString();
  EXPECT_EQ(parsed->state, kept.state);
  EXPECT_EQ(parsed->clients, kept.clients);
  const auto none = ParseClients(FormatClients({}));
  ASSERT_TRUE(none);
  EXPECT_EQ(none->state, 0u);
  EXPECT_TRUE(none->clients.empty());
}

// A document of ours with one member in place of another.
std::string With(const std::string& from, const std::string& to) {
  std::string text = FormatClients({.state = 7, .clients = {Client("192.0.2.7")}});
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

Texts Malformed() {
  return {
      "",
      "\n",
      "{",
      "[]",
      "{}",
      "null",
      "7",
      std::string(1000, '['),
      std::string("\0\0\0\0", 4),
      "\xff\xfe",
      With("strata lock clients", "strata portmap registrations"),
      With("\"strata lock clients\"", "7"),
      With("\"version\": 1", "\"version\": 2"),
      With("\"version\": 1", "\"version\": \"1\""),
      With("\"version\"", "\"volume\""),
      With("\"state\": 7", "\"state\": -7"),
      With("\"state\": 7", "\"state\": 7.5"),
      With("\"state\": 7", "\"state\": \"7\""),
      With("\"state\": 7", "\"state\": 2147483648"),
      With("\"state\": 7", "\"state\": 18446744073709551616"),
      With("\"state\"", "\"states\""),
      With("\"clients\"", "\"client\""),
      With("[", "[7, "),
      With("[", "[[], "),
      With("[", "[null, "),
      With("[", "[{}, "),
      With("192.0.2.7", "192.0.2.777"),
      With("192.0.2.7", ""),
      With("\"192.0.2.7\"", "7"),
      With("192.0.2.1", "localhost"),
      With("\"server\"", "\"host\""),
      With("}\n", "}\n}\n"),
      FormatClients({.state = 7, .clients = {Client("192.0.2.7")}}).substr(0, 60),
      FormatClients({.state = 7, .clients = std::vector(MonitoredClients::kMost + 1, Client("192.0.2.7"))}),
  };
}

TEST(ClientsFormat, WhatIsMalformedIsRefused) {
  for (const std::string& text : Malformed()) {
    const auto parsed = ParseClients(text);
    ASSERT_FALSE(parsed) << text.substr(0, 300);
    EXPECT_EQ(parsed.error().code(), Errc::kCorrupt) << text.substr(0, 300);
  }
  EXPECT_TRUE(ParseClients(With("7", "7"))) << "each of them was good but for one thing";
}

// -- The file. --

class MonitoredClientsTest : public ::testing::Test {
 protected:
  MonitoredClients Open(bool goes_on = false) { return {env_, path_, goes_on}; }

  const TempFolder folder_;
  const std::string path_ = folder_ / "lock-clients.json";
  FaultEnv env_;
};

TEST_F(MonitoredClientsTest, AreThereAtTheNextStart) {
  {
    MonitoredClients clients(env_, path_, false);
    EXPECT_TRUE(clients.All().empty());
    EXPECT_FALSE(clients.Has(At("192.0.2.7")));
    ASSERT_TRUE(clients.Add(Client("192.0.2.7")));
    ASSERT_TRUE(clients.Add(Client("2001:db8::7", "2001:db8::1")));
    ASSERT_TRUE(clients.Add(Client("192.0.2.7", "192.0.2.2"))) << "it calls another address now";
    EXPECT_TRUE(clients.Has(At("192.0.2.7")));
    EXPECT_FALSE(clients.Has(At("192.0.2.8")));
    ASSERT_TRUE(clients.Add(Client("192.0.2.9"))) << "with it the other's new address is written";
  }
  MonitoredClients clients(env_, path_, false);
  std::vector<MonitoredClient> all = clients.All();
  std::ranges::sort(all, {}, &MonitoredClient::client);
  EXPECT_EQ(all, (std::vector<MonitoredClient>{Client("192.0.2.7", "192.0.2.2"), Client("192.0.2.9"),
                                               Client("2001:db8::7", "2001:db8::1")}));
  EXPECT_TRUE(clients.Has(At("192.0.2.7")));
}

TEST_F(MonitoredClientsTest, AnUnknownAddressOfTheServerReplacesNoKnownOne) {
  MonitoredClients clients(env_, path_, false);
  ASSERT_TRUE(clients.Add(Client("192.0.2.7")));
  ASSERT_TRUE(clients.Add(Client("192.0.2.7", "0.0.0.0")));
  EXPECT_EQ(clients.All(), std::vector{Client("192.0.2.7")});
}

TEST_F(MonitoredClientsTest, WhatCannotBeReadIsKeptAsideAndServingGoesOn) {
  for (const std::string& text : Malformed()) {
    Put(path_, text);
    MonitoredClients clients(env_, path_, false);
    EXPECT_TRUE(clients.All().empty());
    EXPECT_EQ(clients.state() % 2, 1u);
    EXPECT_EQ(ContentOf(path_ + ".damaged"), text);
    ASSERT_TRUE(clients.Add(Client("192.0.2.8"))) << text.substr(0, 300);
    EXPECT_EQ(InFile(path_), Texts{"192.0.2.8"});
  }
}

TEST_F(MonitoredClientsTest, AFileThatIsTooLargeIsKeptAside) {
  Put(path_, With("7", "7"));
  std::filesystem::resize_file(path_, (std::uintmax_t{4} << 20) + 1);
  EXPECT_TRUE(MonitoredClients(env_, path_, false).All().empty());
  EXPECT_TRUE(std::filesystem::exists(path_ + ".damaged"));
}

TEST_F(MonitoredClientsTest, WhatIsNoFileIsPutAside) {
  std::filesystem::create_directory(path_);
  MonitoredClients clients(Env::System(), path_, false);
  EXPECT_TRUE(std::filesystem::is_directory(path_ + ".damaged"));
  EXPECT_TRUE(clients.Add(Client("192.0.2.8")));
  EXPECT_EQ(InFile(path_), Texts{"192.0.2.8"});
}

TEST_F(MonitoredClientsTest, AFileThatIsNotThereIsNothingAmiss) {
  Open();
  EXPECT_FALSE(std::filesystem::exists(path_ + ".damaged"));
  EXPECT_EQ(InFile(path_), Texts{}) << "the state number is written at once";
}

// -- The state number. --

TEST_F(MonitoredClientsTest, TheStateIsOddAndGrowsFromStartToStartEvenWithinOneSecond) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  for (const std::int64_t seconds : {std::int64_t{1'700'000'000}, std::int64_t{1'700'000'001}}) {
    std::filesystem::remove(path_);
    env_.SetClock({seconds * kSecond});
    std::uint32_t last = Open().state();
    EXPECT_GE(last, seconds);
    for (int start = 0; start < 5; ++start) {
      const std::uint32_t next = Open().state();
      EXPECT_GT(next, last);
      EXPECT_EQ(next % 2, 1u);
      last = next;
    }
    env_.SetClock({(seconds - 1000) * kSecond});
    EXPECT_GT(Open().state(), last) << "the clock was set back";
    env_.SetClock({(seconds + 1000) * kSecond});
    EXPECT_GE(Open().state(), seconds + 1000);
  }
}

TEST_F(MonitoredClientsTest, TheStateStaysPositiveAndOddAtTheEndOfAllNumbers) {
  env_.SetClock({1'700'000'000'000'000'000});
  for (const std::uint32_t last : {0x7fffffffu, 0x7ffffffeu, 0x7ffffffdu}) {
    Put(path_, FormatClients({.state = last, .clients = {}}));
    const std::uint32_t next = Open().state();
    EXPECT_EQ(next % 2, 1u);
    EXPECT_LE(next, 0x7fffffffu);
    EXPECT_NE(next, last);
  }
}

TEST_F(MonitoredClientsTest, TheStateIsTheSameWhereTheProcessBeforeGoesOn) {
  const std::uint32_t first = Open().state();
  EXPECT_EQ(Open(true).state(), first);
  EXPECT_EQ(ParseClients(ContentOf(path_))->state, first);
  const std::uint32_t second = Open().state();
  EXPECT_GT(second, first);
  EXPECT_EQ(ParseClients(ContentOf(path_))->state, second);
  std::filesystem::remove(path_);
  EXPECT_EQ(Open(true).state() % 2, 1u) << "there is none to go on with";
}

TEST_F(MonitoredClientsTest, TheStateIsOnDiskBeforeAnybodyHearsOfIt) {
  env_.SetClock({1'700'000'000'000'000'000});
  const std::uint32_t first = Open().state();
  env_.PowerLoss();
  EXPECT_GT(Open().state(), first);
}

// -- On disk before it is answered. --

TEST_F(MonitoredClientsTest, WhoIsAddedOutlivesALossOfPower) {
  MonitoredClients clients(env_, path_, false);
  ASSERT_TRUE(clients.Add(Client("192.0.2.7")));
  env_.PowerLoss();
  EXPECT_EQ(InFile(path_), Texts{"192.0.2.7"});
}

TEST_F(MonitoredClientsTest, WhoCannotBeWrittenIsNotThere) {
  MonitoredClients clients(env_, path_, false);
  ASSERT_TRUE(clients.Add(Client("192.0.2.1")));
  for (const FaultEnv::Call call : {FaultEnv::kOpen, FaultEnv::kTruncate, FaultEnv::kWrite, FaultEnv::kSync,
                                    FaultEnv::kRename, FaultEnv::kSyncDirectory}) {
    const MonitoredClient client = Client("192.0.2." + std::to_string(100 + call));
    env_.FailAfter(call, 0, Errc::kNoSpace, true);
    const auto added = clients.Add(client);
    ASSERT_FALSE(added) << call;
    EXPECT_EQ(added.error().code(), Errc::kNoSpace);
    EXPECT_FALSE(clients.Has(client.client));
    EXPECT_FALSE(clients.Add(client)) << "nor the second time";
    EXPECT_FALSE(clients.Has(client.client));
    EXPECT_TRUE(clients.Has(At("192.0.2.1"))) << "of the others that changes nothing";
    env_.PowerLoss();  // which ends the fault
    EXPECT_TRUE(clients.Add(client));
    EXPECT_TRUE(clients.Has(client.client));
  }
}

TEST_F(MonitoredClientsTest, WhoeverIsWrittenTogetherWithAnotherIsThereToo) {
  MonitoredClients clients(env_, path_, false);
  env_.FailAfter(FaultEnv::kSync, 0, Errc::kNoSpace);
  ASSERT_FALSE(clients.Add(Client("192.0.2.7")));
  ASSERT_TRUE(clients.Add(Client("192.0.2.8")));
  EXPECT_TRUE(clients.Has(At("192.0.2.7")));
  EXPECT_EQ(InFile(path_), (Texts{"192.0.2.7", "192.0.2.8"}));
}

TEST_F(MonitoredClientsTest, WithoutAFolderNothingIsGranted) {
  MonitoredClients clients(env_, folder_ / "not there/lock-clients.json", false);
  EXPECT_EQ(clients.state() % 2, 1u);
  EXPECT_FALSE(clients.Add(Client("192.0.2.7")));
  EXPECT_FALSE(clients.Has(At("192.0.2.7")));
}

TEST_F(MonitoredClientsTest, ManyAtOnceAreAllInTheFileBeforeTheyAreTold) {
  MonitoredClients clients(env_, path_, false);
  constexpr int kThreads = 4, kEach = 20;
  std::atomic<int> missing{0}, failed{0};
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        for (int i = 0; i < kEach; ++i) {
          const MonitoredClient client = Client("10.0." + std::to_string(thread) + "." + std::to_string(i));
          if (!clients.Add(client)) ++failed;
          const auto kept = ParseClients(ContentOf(path_));
          if (!kept || std::ranges::find(kept->clients, client) == kept->clients.end()) ++missing;
        }
      });
    }
  }
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(missing, 0);
  EXPECT_EQ(clients.All().size(), std::size_t{kThreads * kEach});
}

TEST_F(MonitoredClientsTest, WhileOneIsWrittenOthersAreAskedFor) {
  MonitoredClients clients(env_, path_, false);
  ASSERT_TRUE(clients.Add(Client("192.0.2.1")));
  std::atomic<int> seen{0};
  env_.OnSync([&] {
    // Whoever asked would wait for ever if a lock were held over the sync.
    seen += clients.Has(At("192.0.2.1")) ? 1 : 0;
    seen += clients.Has(At("192.0.2.7")) ? 100 : 0;
  });
  ASSERT_TRUE(clients.Add(Client("192.0.2.7")));
  EXPECT_EQ(seen, 1) << "who is being written is not there yet";
}

// -- How many. --

TEST(MonitoredClientsInMemory, AreBounded) {
  MonitoredClients clients(Env::System(), "", false);
  EXPECT_EQ(clients.state() % 2, 1u);
  const auto nth = [](std::uint32_t n) {
    return MonitoredClient{boost::asio::ip::address_v4(0x0a000000u + n), address()};
  };
  for (std::uint32_t i = 0; i < MonitoredClients::kMost; ++i) ASSERT_TRUE(clients.Add(nth(i)));
  const auto beyond = clients.Add(nth(MonitoredClients::kMost));
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().code(), Errc::kNoSpace);
  EXPECT_FALSE(clients.Has(nth(MonitoredClients::kMost).client));
  EXPECT_TRUE(clients.Add(nth(5))) << "it is there";
  clients.DropUnless([&] { return MonitoredClients::InUse{nth(6).client}; });
  EXPECT_EQ(clients.All(), std::vector{nth(6)});
  EXPECT_TRUE(clients.Add(nth(MonitoredClients::kMost)));
}

TEST_F(MonitoredClientsTest, AsManyAsThereMayBeAreReadAgain) {
  KeptClients kept{.state = 7, .clients = {}};
  for (std::uint32_t i = 0; i < MonitoredClients::kMost; ++i) {
    boost::asio::ip::address_v6::bytes_type bytes;
    bytes.fill(0xab);
    StoreLe(reinterpret_cast<std::byte*>(bytes.data()) + 12, i | 0xab000000u);
    kept.clients.push_back({boost::asio::ip::address_v6(bytes), boost::asio::ip::address_v6(bytes)});
  }
  Put(path_, FormatClients(kept));
  EXPECT_EQ(Open().All().size(), MonitoredClients::kMost);
}

// -- Who is forgotten. --

TEST_F(MonitoredClientsTest, WhoIsNotInUseIsForgottenOnDiskToo) {
  MonitoredClients clients(env_, path_, false);
  for (const char* one : {"192.0.2.1", "192.0.2.2", "192.0.2.3"}) ASSERT_TRUE(clients.Add(Client(one)));
  clients.DropUnless([] { return MonitoredClients::InUse{At("192.0.2.2"), At("192.0.2.99")}; });
  EXPECT_TRUE(clients.Has(At("192.0.2.2")));
  EXPECT_FALSE(clients.Has(At("192.0.2.1")));
  EXPECT_FALSE(clients.Has(At("192.0.2.99")));
  EXPECT_EQ(InFile(path_), Texts{"192.0.2.2"});
}

TEST_F(MonitoredClientsTest, NothingIsWrittenWhereNobodyIsForgotten) {
  MonitoredClients clients(env_, path_, false);
  ASSERT_TRUE(clients.Add(Client("192.0.2.1")));
  const int before = env_.Count(FaultEnv::kSync);
  clients.DropUnless([] { return MonitoredClients::InUse{At("192.0.2.1")}; });
  EXPECT_EQ(env_.Count(FaultEnv::kSync), before);
}

TEST_F(MonitoredClientsTest, WhoComesIntoUseWhileItIsForgottenStays) {
  MonitoredClients clients(env_, path_, false);
  for (const char* one : {"192.0.2.1", "192.0.2.2"}) ASSERT_TRUE(clients.Add(Client(one)));
  int asked = 0;
  clients.DropUnless([&] {
    if (++asked == 1) return MonitoredClients::InUse{};
    EXPECT_FALSE(clients.Has(At("192.0.2.1"))) << "whoever looks from now on sees it missing";
    return MonitoredClients::InUse{At("192.0.2.1")};
  });
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(clients.All(), std::vector{Client("192.0.2.1")});
  EXPECT_TRUE(clients.Has(At("192.0.2.1")));
  EXPECT_EQ(InFile(path_), Texts{"192.0.2.1"});
}

TEST_F(MonitoredClientsTest, WhoWasNeverWrittenIsNotThereOnlyBecauseItStays) {
  MonitoredClients clients(env_, path_, false);
  env_.FailAfter(FaultEnv::kSync, 0, Errc::kNoSpace, true);
  ASSERT_FALSE(clients.Add(Client("192.0.2.1")));
  int asked = 0;
  clients.DropUnless(
      [&] { return ++asked == 1 ? MonitoredClients::InUse{} : MonitoredClients::InUse{At("192.0.2.1")}; });
  EXPECT_EQ(InFile(path_), Texts{});
  EXPECT_FALSE(clients.Has(At("192.0.2.1")));
}

TEST_F(MonitoredClientsTest, WhoIsForgottenWhileItIsAddedIsWrittenAllTheSame) {
  MonitoredClients clients(env_, path_, false);
  ASSERT_TRUE(clients.Add(Client("192.0.2.1")));
  std::jthread adds;
  Result<void> added;
  clients.DropUnless([&] {
    if (adds.joinable()) return MonitoredClients::InUse{};
    adds = std::jthread([&] { added = clients.Add(Client("192.0.2.7")); });
    while (clients.All().size() < 2) std::this_thread::yield();  // it waits for the file
    return MonitoredClients::InUse{};
  });
  adds.join();
  EXPECT_TRUE(added);
  EXPECT_TRUE(clients.Has(At("192.0.2.7")));
  EXPECT_EQ(InFile(path_), Texts{"192.0.2.7"});
}

TEST_F(MonitoredClientsTest, WhoCannotBeTakenOutOfTheFileIsForgottenAllTheSame) {
  MonitoredClients clients(env_, path_, false);
  ASSERT_TRUE(clients.Add(Client("192.0.2.1")));
  env_.FailAfter(FaultEnv::kSync, 0, Errc::kNoSpace);
  clients.DropUnless([] { return MonitoredClients::InUse{}; });
  EXPECT_FALSE(clients.Has(At("192.0.2.1")));
  ASSERT_TRUE(clients.Add(Client("192.0.2.2")));
  EXPECT_EQ(InFile(path_), Texts{"192.0.2.2"});
}

}  // namespace
}  // namespace strata::nsm
