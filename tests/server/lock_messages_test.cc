// Requests for locks and their answers, in bytes.
#include "server/lock_messages.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace strata {
namespace {

using nlm4::ListedClient;
using nlm4::ListedLock;
using nlm4::ListedMode;
using nlm4::LockListing;

boost::asio::ip::address Ip(const char* text) { return boost::asio::ip::make_address(text); }

LockListing ExampleListing() {
  LockListing listing;
  listing.clients = {{"alpha", Ip("10.0.0.1")}, {std::string("\0\xff\n", 3), Ip("2001:db8::1")}};
  listing.locks.push_back({.id = ~std::uint64_t{0},
                           .volume = 7,
                           .ino = InodeNumber(1ULL << 40),
                           .client = 0,
                           .svid = 12,
                           .mode = ListedMode::kExclusive,
                           .first = 5,
                           .last = 9,
                           .since_ns = 1'700'000'000'000'000'001});
  listing.locks.push_back({.id = 2, .ino = InodeNumber(1), .client = 1, .waits = true, .since_ns = -1});
  listing.locks.push_back(
      {.id = 3, .ino = InodeNumber(1), .client = 0, .mode = ListedMode::kReservation, .access = 3, .deny = 2});
  return listing;
}

std::vector<std::byte> WholePage(const LockListing& listing) {
  ListingPlace place;
  return EncodeLockPage(listing, place, 1 << 20);
}

TEST(LockMessagesTest, ARequestIsWhatWasEncoded) {
  LockRequest request;
  for (int bits = 0; bits < 16; ++bits) {
    request.release = (bits & 8) != 0;
    request.which = {};
    if ((bits & 1) != 0) request.which.id = 0x0123456789abcdef;
    if ((bits & 2) != 0) request.which.client = std::string("a\0b", 3);
    if ((bits & 4) != 0) request.which.address = Ip("2001:db8::7");
    const auto decoded = DecodeLockRequest(EncodeLockRequest(request));
    ASSERT_TRUE(decoded) << decoded.error().ToString();
    EXPECT_EQ(*decoded, request);
  }
}

// Written down here so that the bytes stay as they are: the command and the server may be of different versions.
TEST(LockMessagesTest, TheBytesOfARequestAndOfAPage) {
  const auto request =
      EncodeLockRequest({.release = true, .which = {.id = 0x1122, .client = "ab", .address = Ip("10.0.0.1")}});
  EXPECT_EQ(AsText(request), std::string_view("\1\0\0\0"
                                              "\1"
                                              "\7"
                                              "\x22\x11\0\0\0\0\0\0"
                                              "\2\0\0\0ab"
                                              "\x8\0\0\0"
                                              "10.0.0.1",
                                              4 + 1 + 1 + 8 + 6 + 12));
  LockListing listing;
  listing.clients = {{"ab", Ip("::1")}};
  listing.locks.push_back({.id = 1,
                           .volume = 2,
                           .ino = InodeNumber(3),
                           .client = 0,
                           .svid = 5,
                           .mode = ListedMode::kExclusive,
                           .waits = true,
                           .first = 6,
                           .last = 7,
                           .access = 8,
                           .deny = 9,
                           .since_ns = 10});
  EXPECT_EQ(AsText(WholePage(listing)), std::string_view("\1\0\0\0"
                                                         "\2\0\0\0ab"
                                                         "\3\0\0\0::1"
                                                         "\1\0\0\0"
                                                         "\1\0\0\0\0\0\0\0"
                                                         "\2\0\0\0\0\0\0\0"
                                                         "\3\0\0\0\0\0\0\0"
                                                         "\0\0\0\0"
                                                         "\5\0\0\0"
                                                         "\1\1"
                                                         "\6\0\0\0\0\0\0\0"
                                                         "\7\0\0\0\0\0\0\0"
                                                         "\x8\0\0\0"
                                                         "\x9\0\0\0"
                                                         "\xa\0\0\0\0\0\0\0",
                                                         4 + 6 + 7 + 4 + 66));
}

TEST(LockMessagesTest, RequestsThatAreNoneAreRefused) {
  const auto whole = EncodeLockRequest({.release = true, .which = {.id = 1, .client = "a", .address = Ip("::1")}});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto decoded = DecodeLockRequest(ByteSpan(whole).first(size));
    ASSERT_FALSE(decoded) << size;
    EXPECT_EQ(decoded.error().code(), Errc::kCorrupt);
  }
  const auto with = [&whole](std::size_t at, std::uint8_t byte) {
    auto changed = whole;
    changed[at] = std::byte{byte};
    return DecodeLockRequest(changed);
  };
  EXPECT_EQ(with(0, 2).error().code(), Errc::kNotSupported) << "another version";
  EXPECT_FALSE(with(4, 2)) << "neither lists nor releases";
  EXPECT_FALSE(with(5, 8)) << "selected by what is not known";
  EXPECT_FALSE(with(17, 0xff)) << "a length";
  EXPECT_FALSE(with(whole.size() - 1, 'x')) << "no address";
  auto longer = whole;
  longer.push_back({});
  EXPECT_FALSE(DecodeLockRequest(longer));
}

TEST(LockMessagesTest, AListingOfOnePageIsWhatWasEncoded) {
  LockListing decoded;
  const auto result = DecodeLockPage(WholePage(ExampleListing()), decoded);
  ASSERT_TRUE(result) << result.error().ToString();
  EXPECT_EQ(decoded.clients, ExampleListing().clients);
  EXPECT_EQ(decoded.locks, ExampleListing().locks);
}

TEST(LockMessagesTest, AListingOfManyPagesIsWhatWasEncodedAndNoPageIsTooLarge) {
  LockListing listing;
  for (std::uint32_t i = 0; i < 3000; ++i) {
    if (i % 3 == 0) listing.clients.push_back({std::string(i % 1025, 'n'), Ip(i % 2 == 0 ? "10.0.0.1" : "::1")});
    listing.locks.push_back({.id = i, .ino = InodeNumber(i), .client = i / 3, .svid = i});
  }
  LockListing decoded;
  ListingPlace place;
  int pages = 0;
  for (; place.locks < listing.locks.size(); ++pages) {
    ASSERT_LT(pages, 3000) << "no end";
    const auto page = EncodeLockPage(listing, place, kLeastPage);
    ASSERT_LE(page.size(), kLeastPage);
    ASSERT_TRUE(DecodeLockPage(page, decoded));
  }
  EXPECT_GT(pages, 100);
  EXPECT_EQ(decoded.clients, listing.clients);
  EXPECT_EQ(decoded.locks, listing.locks);
}

TEST(LockMessagesTest, PagesThatAreNoneAreRefused) {
  const auto whole = WholePage(ExampleListing());
  const auto refused = [](ByteSpan bytes) {
    LockListing into;
    const auto decoded = DecodeLockPage(bytes, into);
    return !decoded && decoded.error().code() == Errc::kCorrupt;
  };
  for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_TRUE(refused(ByteSpan(whole).first(size))) << size;
  auto longer = whole;
  longer.push_back({});
  EXPECT_TRUE(refused(longer));
  const std::size_t locks = whole.size() - 3 * 66;
  const auto with = [&](std::size_t at, std::uint8_t byte) {
    auto changed = whole;
    changed[at] = std::byte{byte};
    return refused(changed);
  };
  EXPECT_FALSE(with(locks, 1));
  EXPECT_TRUE(with(locks + 24, 2)) << "a client that was not named";
  EXPECT_TRUE(with(locks + 32, 3)) << "a mode";
  EXPECT_TRUE(with(locks + 33, 2)) << "whether it waits";
  EXPECT_TRUE(with(locks + 42, 4)) << "ends before it begins";
  EXPECT_TRUE(with(3, 0x7f)) << "clients that are merely claimed";
  EXPECT_TRUE(with(locks - 1, 0x7f)) << "locks that are merely claimed";
  // A page may name the clients of those before it.
  LockListing listing = ExampleListing();
  listing.clients.clear();
  ListingPlace place{.clients = 2, .locks = 0};
  const auto next = EncodeLockPage(listing, place, 1 << 20);
  EXPECT_TRUE(refused(next)) << "of nobody";
  LockListing into = ExampleListing();
  EXPECT_TRUE(DecodeLockPage(next, into));
  EXPECT_EQ(into.locks.size(), 6u);
}

TEST(LockMessagesTest, TheEndTellsHowMany) {
  EXPECT_EQ(DecodeLockEnd(EncodeLockEnd(1ULL << 40)).value_or(0), 1ULL << 40);
  EXPECT_FALSE(DecodeLockEnd({}));
  EXPECT_FALSE(DecodeLockEnd(std::vector<std::byte>(9)));
}

}  // namespace
}  // namespace strata
