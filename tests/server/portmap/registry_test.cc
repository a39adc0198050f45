#include "server/portmap/registry.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace strata::portmap {
namespace {

TEST(UniversalAddressTest, GoesBothWays) {
  for (const char* text : {"127.0.0.1.8.1", "0.0.0.0.0.111", "255.255.255.255.255.255", "::1.8.1", "2001:db8::1.0.0"}) {
    const auto parsed = ParseUniversalAddress(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(FormatUniversalAddress(*parsed), text);
  }
  EXPECT_EQ(ParseUniversalAddress("127.0.0.1.8.1")->port, 2049);
}

TEST(UniversalAddressTest, WhatIsNoneIsRefused) {
  for (const char* text : {"", ".", "..", "127.0.0.1", "127.0.0.1.8", "127.0.0.1.8.256", "127.0.0.1.-1.1",
                           "127.0.0.1.8.1.", "x.8.1", "::1", "/run/rpcbind.sock", "127.0.0.1.8.1x", "127.0.0.1.. 1"}) {
    EXPECT_FALSE(ParseUniversalAddress(text)) << text;
  }
}

TEST(RegistryTest, IsBounded) {
  Registry registry;
  for (std::uint32_t i = 0; i < kMaxRegistrations; ++i)
    EXPECT_TRUE(registry.Set({i, 1, "tcp", "0.0.0.0.1.1", "superuser"}));
  EXPECT_FALSE(registry.Set({kMaxRegistrations, 1, "tcp", "0.0.0.0.1.1", "superuser"}));
  EXPECT_TRUE(registry.Unset(5, 1, "", "superuser"));
  EXPECT_TRUE(registry.Set({kMaxRegistrations, 1, "tcp", "0.0.0.0.1.1", "superuser"}));
}

TEST(RegistryTest, TheSameRegistrationTwiceIsOneAndAnotherAddressIsRefused) {
  Registry registry;
  EXPECT_TRUE(registry.Set({1, 1, "tcp", "0.0.0.0.1.1", "superuser"}));
  EXPECT_TRUE(registry.Set({1, 1, "tcp", "0.0.0.0.1.1", "superuser"}));
  EXPECT_FALSE(registry.Set({1, 1, "tcp", "0.0.0.0.1.2", "superuser"}));
  EXPECT_EQ(registry.All().size(), 1u);
}

TEST(RegistryTest, OnlyTheOwnerOrTheSuperuserUnsets) {
  Registry registry;
  EXPECT_TRUE(registry.Set({1, 1, "tcp", "0.0.0.0.1.1", "1000"}));
  EXPECT_FALSE(registry.Unset(1, 1, "", "1001"));
  EXPECT_TRUE(registry.Unset(1, 1, "", "1000"));
  EXPECT_TRUE(registry.Set({1, 1, "tcp", "0.0.0.0.1.1", "1000"}));
  EXPECT_TRUE(registry.Unset(1, 1, "tcp", "superuser"));
}

TEST(RegistryTest, TheLockManagerMayBeThereTwice) {
  constexpr std::uint32_t kLocks = 100021;
  Registry registry;
  registry.AddOwn(kLocks, 4, {boost::asio::ip::make_address("127.0.0.1"), 2049}, false);
  EXPECT_FALSE(registry.FindOthers(kLocks, 4, "tcp"));
  EXPECT_TRUE(registry.Set({kLocks, 4, "tcp", "0.0.0.0.156.64", "superuser"}));
  EXPECT_FALSE(registry.Set({kLocks, 4, "tcp", "0.0.0.0.156.65", "superuser"}));
  EXPECT_TRUE(registry.Set({kLocks, 3, "tcp", "0.0.0.0.156.64", "superuser"}));
  EXPECT_EQ(registry.Find(kLocks, 4, "tcp", false)->uaddr, "127.0.0.1.8.1") << "clients are told of the server's";
  EXPECT_EQ(registry.FindOthers(kLocks, 4, "tcp")->uaddr, "0.0.0.0.156.64");
  EXPECT_EQ(registry.Find(kLocks, 3, "tcp", false)->uaddr, "0.0.0.0.156.64");
  EXPECT_TRUE(registry.Unset(kLocks, 4, "tcp", "superuser"));
  EXPECT_FALSE(registry.FindOthers(kLocks, 4, "tcp"));
  EXPECT_TRUE(registry.Find(kLocks, 4, "tcp", true)) << "nobody takes the server's out";
  // Of everything else there is one.
  registry.AddOwn(100005, 3, {boost::asio::ip::make_address("127.0.0.1"), 2049}, false);
  EXPECT_FALSE(registry.Set({100005, 3, "tcp", "0.0.0.0.1.1", "superuser"}));
}

TEST(RegistryTest, TheStatusMonitorOfThisMachineComesBeforeTheServersOwn) {
  constexpr std::uint32_t kStatus = 100024;
  Registry registry;
  registry.AddOwn(kStatus, 1, {boost::asio::ip::make_address("10.1.0.1"), 2049}, true);
  EXPECT_EQ(registry.Find(kStatus, 1, "udp", false)->uaddr, "10.1.0.1.8.1") << "other machines find it";
  EXPECT_FALSE(registry.Find(kStatus, 1, "udp", false, true)) << "who asks here means to start rpc.statd";
  EXPECT_FALSE(registry.Find(kStatus, 1, "udp", true, true));
  EXPECT_FALSE(registry.Find(kStatus, 2, "udp", false, true));
  EXPECT_EQ(registry.All().size(), 1u);
  EXPECT_TRUE(registry.All(true).empty());
  EXPECT_TRUE(registry.Others().empty());
  // rpc.statd has come.
  EXPECT_TRUE(registry.Set({kStatus, 1, "udp", "0.0.0.0.3.4", "29"}));
  EXPECT_FALSE(registry.Set({kStatus, 1, "udp", "0.0.0.0.3.5", "29"}));
  for (const bool here : {false, true}) {
    EXPECT_EQ(registry.Find(kStatus, 1, "udp", true, here)->uaddr, "0.0.0.0.3.4");
    EXPECT_EQ(registry.Find(kStatus, 9, "udp", false, here)->uaddr, "0.0.0.0.3.4");
  }
  EXPECT_EQ(registry.All().size(), 2u);
  EXPECT_EQ(registry.All(true).size(), 1u);
  EXPECT_EQ(registry.FindOthers(kStatus, 1, "udp")->uaddr, "0.0.0.0.3.4");
  // And is gone again.
  EXPECT_TRUE(registry.Unset(kStatus, 1, "udp", "superuser"));
  EXPECT_EQ(registry.Find(kStatus, 1, "udp", false)->uaddr, "10.1.0.1.8.1");
  EXPECT_FALSE(registry.Unset(kStatus, 1, "udp", "superuser")) << "nobody takes the server's out";
}

TEST(RegistryTest, WhatElseIsTheServersIsHiddenFromNobody) {
  Registry registry;
  registry.AddOwn(100003, 3, {boost::asio::ip::make_address("127.0.0.1"), 2049}, false);
  registry.AddOwn(100021, 4, {boost::asio::ip::make_address("127.0.0.1"), 2049}, false);
  EXPECT_TRUE(registry.Find(100003, 3, "tcp", true, true));
  EXPECT_TRUE(registry.Find(100021, 4, "tcp", true, true));
  EXPECT_EQ(registry.All(true).size(), 2u);
}

TEST(RegistryTest, TellsOfEachChangeByOthers) {
  Registry registry;
  std::vector<std::size_t> after;
  registry.OnChange([&] { after.push_back(registry.Others().size()); });
  registry.AddOwn(100003, 3, {boost::asio::ip::make_address("127.0.0.1"), 2049}, false);
  EXPECT_TRUE(registry.Set({1, 1, "tcp", "0.0.0.0.1.1", "superuser"}));
  EXPECT_TRUE(registry.Set({1, 1, "tcp", "0.0.0.0.1.1", "superuser"}));
  EXPECT_FALSE(registry.Set({1, 1, "tcp", "0.0.0.0.1.2", "superuser"}));
  EXPECT_TRUE(registry.Set({1, 2, "tcp", "0.0.0.0.1.1", "superuser"}));
  EXPECT_FALSE(registry.Unset(2, 1, "tcp", "superuser"));
  EXPECT_FALSE(registry.Unset(100003, 3, "tcp", "superuser"));
  EXPECT_TRUE(registry.Unset(1, 1, "tcp", "superuser"));
  EXPECT_EQ(after, (std::vector<std::size_t>{1, 2, 1}));
  EXPECT_EQ(registry.Others(), (std::vector<Registration>{{1, 2, "tcp", "0.0.0.0.1.1", "superuser"}}));
}

}  // namespace
}  // namespace strata::portmap
