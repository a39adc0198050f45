#include "server/exports.h"

#include <gtest/gtest.h>

#include <utility>

#include "tests/server/nfs3/fake_file_system.h"

namespace strata {
namespace {

boost::asio::ip::address Address(const char* text) { return boost::asio::ip::make_address(text); }

TEST(CidrTest, RangesHoldTheAddressesBetweenTheirEnds) {
  struct Case {
    const char *range, *address;
    bool inside;
  };
  for (const Case& c :
       {Case{"10.0.0.0/8", "10.255.255.255", true}, Case{"10.0.0.0/8", "11.0.0.0", false},
        Case{"10.1.2.3", "10.1.2.3", true}, Case{"10.1.2.3", "10.1.2.2", false}, Case{"0.0.0.0/0", "1.2.3.4", true},
        Case{"0.0.0.0/0", "::1", false}, Case{"10.1.2.128/25", "10.1.2.127", false},
        Case{"10.1.2.128/25", "10.1.2.255", true}, Case{"::/0", "fe80::1", true},
        Case{"2001:db8::/33", "2001:db8:7fff::", true}, Case{"2001:db8::/33", "2001:db8:8000::", false},
        Case{"192.168.1.0/24", "::ffff:192.168.1.9", true}, Case{"::1/128", "::1", true}}) {
    EXPECT_EQ(Cidr::Parse(c.range).value().Contains(Address(c.address)), c.inside) << c.range << " " << c.address;
  }
}

TEST(CidrTest, WhatIsNoRangeIsRefusedWithAMessage) {
  for (const char* text :
       {"", "x", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x", "::1/129", "10.0.0/8", "/8"}) {
    const auto parsed = Cidr::Parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code(), Errc::kInvalid);
    EXPECT_NE(parsed.error().message(), ErrcText(Errc::kInvalid));
  }
}

Export Made(std::string path, std::uint64_t id) {
  Export entry;
  entry.options.path = std::move(path);
  entry.volume = std::make_shared<testing::FakeFileSystem>(id);
  return entry;
}

TEST(ExportsTest, TheLongestExportThatFitsIsFound) {
  Exports exports;
  ASSERT_TRUE(exports.Add(Made("/a", 1)));
  ASSERT_TRUE(exports.Add(Made("/a/b/", 2)));
  std::string_view rest;
  const auto find = [&](std::string_view path) -> std::uint64_t {
    const Export* found = exports.FindPath(path, &rest);
    return found == nullptr ? 0 : found->volume->Volume().id;
  };
  EXPECT_EQ(find("/a"), 1u);
  EXPECT_EQ(rest, "");
  EXPECT_EQ(find("/a/c/d/"), 1u);
  EXPECT_EQ(rest, "c/d");
  EXPECT_EQ(find("//a///b//x"), 2u);
  EXPECT_EQ(rest, "x");
  EXPECT_EQ(find("/a/bc"), 1u);
  EXPECT_EQ(rest, "bc");
  EXPECT_EQ(find("/ab"), 0u);
  EXPECT_EQ(find("/"), 0u);
  EXPECT_EQ(find(""), 0u);
  ASSERT_TRUE(exports.Add(Made("/", 3)));
  EXPECT_EQ(find("/"), 3u);
  EXPECT_EQ(find("/ab"), 3u);
  EXPECT_EQ(find("/a/b"), 2u);
}

TEST(ExportsTest, WhatCannotBeServedIsRefused) {
  Exports exports;
  ASSERT_TRUE(exports.Add(Made("/a", 1)));
  EXPECT_EQ(exports.Add(Made("/a/", 2)).error().code(), Errc::kExists);
  EXPECT_EQ(exports.Add(Made("/b", 1)).error().code(), Errc::kExists);
  EXPECT_EQ(exports.Add(Made("b", 3)).error().code(), Errc::kInvalid);
  EXPECT_EQ(exports.Add(Made("", 3)).error().code(), Errc::kInvalid);
  EXPECT_EQ(exports.Add(Made("/x/../y", 3)).error().code(), Errc::kInvalid);
  EXPECT_EQ(exports.Add(Export{}).error().code(), Errc::kInvalid);
  EXPECT_EQ(exports.all().size(), 1u);
  EXPECT_EQ(exports.FindVolume(2), nullptr);
}

rpc::Peer From(const char* address, std::uint16_t port) {
  rpc::Peer peer;
  peer.address = Address(address);
  peer.port = port;
  return peer;
}

// Spec nfsv3 2.4.
TEST(ExportsTest, Rule2_4_PrivilegedPortsOnlyUnlessTheOptionSaysOtherwise) {
  Export entry = Made("/", 1);
  EXPECT_TRUE(entry.Admits(From("127.0.0.1", 1023)));
  EXPECT_FALSE(entry.Admits(From("127.0.0.1", 1024)));
  EXPECT_FALSE(entry.Admits(From("192.168.0.1", 700)));
  entry.options.allow.push_back(Cidr::Parse("192.168.0.0/16").value());
  EXPECT_TRUE(entry.Admits(From("192.168.0.1", 700)));
  EXPECT_FALSE(entry.Admits(From("192.168.0.1", 40000)));
  entry.options.insecure_ports = true;
  EXPECT_TRUE(entry.Admits(From("192.168.0.1", 40000)));
  EXPECT_FALSE(entry.Admits(From("193.168.0.1", 700)));
}

TEST(ExportsTest, ALocalSocketOfAnotherUserIsNotPrivileged) {
  const Export entry = Made("/", 1);
  rpc::Peer peer;
  peer.local_socket = true;
  peer.local_uid = 0;
  EXPECT_TRUE(entry.Admits(peer));
  peer.local_uid = 54321;
  EXPECT_FALSE(entry.Admits(peer));
}

TEST(ExportsTest, Rule1_3_SquashingTurnsCallersIntoTheAnonymousUser) {
  Export entry = Made("/", 1);
  entry.options.anonymous_uid = 77;
  entry.options.anonymous_gid = 88;
  rpc::Call call;
  call.anonymous = false;
  call.credentials = {.uid = 0, .gid = 0, .group_count = 2, .groups = {0, 5}};
  EXPECT_EQ(entry.Squashed(call).uid, 0u);
  entry.options.squash = Squash::kRoot;
  const vfs::Credentials root = entry.Squashed(call);
  EXPECT_EQ(root.uid, 77u);
  EXPECT_EQ(root.gid, 88u);
  EXPECT_EQ(root.groups[0], 88u);
  EXPECT_EQ(root.groups[1], 5u);
  call.credentials = {.uid = 1000, .gid = 1000, .group_count = 1, .groups = {7}};
  EXPECT_EQ(entry.Squashed(call).uid, 1000u);
  EXPECT_EQ(entry.Squashed(call).group_count, 1u);
  entry.options.squash = Squash::kAll;
  EXPECT_EQ(entry.Squashed(call).uid, 77u);
  EXPECT_EQ(entry.Squashed(call).gid, 88u);
  EXPECT_EQ(entry.Squashed(call).group_count, 0u);
  entry.options.squash = Squash::kNone;
  call.anonymous = true;
  EXPECT_EQ(entry.Squashed(call).uid, 77u);
}

}  // namespace
}  // namespace strata
