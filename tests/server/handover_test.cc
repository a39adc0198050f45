// What one server hands to the next, in bytes.
#include "server/handover.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace strata {
namespace {

using rpc::HandedSocket;

std::vector<std::byte> Bytes(std::string_view text) { return {AsBytes(text).begin(), AsBytes(text).end()}; }

HandedSocket Socket(HandedSocket::Kind kind) {
  HandedSocket socket;
  socket.kind = kind;
  socket.program = 100003;
  if (kind == HandedSocket::Kind::kUnixListener) socket.path = "/run/rpcbind.sock";
  return socket;
}

Handover Example() {
  Handover handover;
  handover.registered_with_rpcbind = true;
  auto& sockets = handover.handed.sockets;
  for (int kind = 0; kind <= 3; ++kind) sockets.push_back(Socket(static_cast<HandedSocket::Kind>(kind)));
  HandedSocket& connection = sockets.back();
  connection.peer.address = boost::asio::ip::make_address("192.0.2.7");
  connection.peer.port = 700;
  connection.received = Bytes("half a record");
  connection.unsent = Bytes("the rest of a reply");
  HandedSocket v6 = Socket(HandedSocket::Kind::kConnection);
  v6.peer.address = boost::asio::ip::make_address("2001:db8::1%7");
  v6.peer.local_socket = true;
  v6.peer.local_uid = 1000;
  sockets.push_back(std::move(v6));
  handover.registrations.push_back({100024, 1, "udp", "127.0.0.1.3.4", "superuser"});
  rpc::AnsweredCall call;
  call.key.xid = 5;
  call.key.address[15] = std::byte{1};
  call.reply = Bytes("an answer");
  handover.handed.answered.push_back(call);
  return handover;
}

Handover WithLocks() {
  Handover handover = Example();
  nlm4::HandedLocks& locks = handover.locks.emplace();
  locks.next_grant = 9;
  locks.recovering = true;
  locks.owners.push_back({"client", boost::asio::ip::make_address("192.0.2.7"), 7, Bytes("7@client")});
  locks.owners.push_back({"", boost::asio::ip::make_address("2001:db8::1"), 0, {}});
  using Kind = nlm4::HandedLocks::Kind;
  const nlm4::FileKey file{1, InodeNumber(2), Generation(3)};
  const nlm4::CallBack back{
      .handle = Bytes("a handle"), .local = boost::asio::ip::make_address("192.0.2.1"), .datagram = true};
  locks.entries.push_back({.kind = Kind::kHeld, .file = file, .owner = 0, .since_ns = 5, .range = {3, 9}});
  locks.entries.push_back({.kind = Kind::kWaits,
                           .file = file,
                           .owner = 1,
                           .since_ns = 6,
                           .range = {0, 4},
                           .exclusive = true,
                           .back = back});
  locks.entries.push_back({.kind = Kind::kShare, .file = file, .owner = 1, .since_ns = -1, .access = 1, .deny = 2});
  locks.entries.push_back(
      {.kind = Kind::kUnconfirmed, .file = file, .owner = 0, .range = {3, 9}, .back = back, .grant = 8});
  return handover;
}

TEST(HandoverTest, WhatIsDecodedIsWhatWasEncoded) {
  const auto bytes = EncodeHandover(Example());
  ASSERT_TRUE(bytes);
  const Result<Handover> decoded = DecodeHandover(*bytes);
  ASSERT_TRUE(decoded) << decoded.error().ToString();
  const Handover expected = Example();
  EXPECT_TRUE(decoded->registered_with_rpcbind);
  EXPECT_EQ(decoded->registrations, expected.registrations);
  ASSERT_EQ(decoded->handed.sockets.size(), expected.handed.sockets.size());
  for (std::size_t i = 0; i < expected.handed.sockets.size(); ++i) {
    const HandedSocket &is = decoded->handed.sockets[i], &was = expected.handed.sockets[i];
    EXPECT_EQ(is.kind, was.kind);
    EXPECT_EQ(is.program, was.program);
    EXPECT_EQ(is.path, was.path);
    EXPECT_EQ(is.peer.address, was.peer.address);
    EXPECT_EQ(is.peer.port, was.peer.port);
    EXPECT_EQ(is.peer.local_socket, was.peer.local_socket);
    EXPECT_EQ(is.peer.local_uid, was.peer.local_uid);
    EXPECT_EQ(is.received, was.received);
    EXPECT_EQ(is.unsent, was.unsent);
  }
  ASSERT_EQ(decoded->handed.answered.size(), 1u);
  EXPECT_EQ(decoded->handed.answered[0].key, expected.handed.answered[0].key);
  EXPECT_EQ(decoded->handed.answered[0].reply, expected.handed.answered[0].reply);
}

TEST(HandoverTest, BytesThatAreCutOrLongerAreRefused) {
  auto bytes = EncodeHandover(Example());
  const auto without_sections = EncodeHandover(Example(), kHandoverSections - 1);
  ASSERT_TRUE(bytes && without_sections);
  for (std::size_t size = 0; size < bytes->size(); ++size) {
    const auto decoded = DecodeHandover(ByteSpan(*bytes).first(size));
    if (size == without_sections->size()) {
      EXPECT_TRUE(decoded) << "the version of the exchange before ends there";
      continue;
    }
    ASSERT_FALSE(decoded) << size;
    EXPECT_EQ(decoded.error().code(), Errc::kCorrupt);
  }
  bytes->push_back(std::byte{0});
  EXPECT_FALSE(DecodeHandover(*bytes));
}

TEST(HandoverTest, LocksAreASectionThatTheFirstVersionDoesNotHave) {
  const auto old = EncodeHandover(WithLocks(), 1), with = EncodeHandover(WithLocks());
  ASSERT_TRUE(old && with);
  EXPECT_EQ(*old, EncodeHandover(Example(), 1));
  const auto without = DecodeHandover(*old);
  ASSERT_TRUE(without);
  EXPECT_FALSE(without->locks);
  const auto decoded = DecodeHandover(*with);
  ASSERT_TRUE(decoded) << decoded.error().ToString();
  EXPECT_EQ(decoded->locks, WithLocks().locks);
  for (std::size_t size = old->size() + 1; size < with->size(); ++size) {
    EXPECT_FALSE(DecodeHandover(ByteSpan(*with).first(size))) << size;
  }
}

TEST(HandoverTest, ASectionThatIsNotKnownIsPassedOver) {
  std::vector<std::byte> bytes = EncodeHandover(Example(), 1).value();
  const std::size_t first = bytes.size();
  const std::vector<std::byte> whole = EncodeHandover(WithLocks()).value();
  HandoverWriter section;
  section.Put<std::uint16_t>(77);
  section.Text(AsBytes("of a version to come"));
  const std::vector<std::byte> unknown = section.Take();
  bytes.insert(bytes.end(), unknown.begin(), unknown.end());
  bytes.insert(bytes.end(), whole.begin() + static_cast<std::ptrdiff_t>(first), whole.end());
  const auto decoded = DecodeHandover(bytes);
  ASSERT_TRUE(decoded) << decoded.error().ToString();
  EXPECT_EQ(decoded->locks, WithLocks().locks);
}

TEST(HandoverTest, LocksThatCannotBeAreRefused) {
  const auto refused = [](auto change) {
    nlm4::HandedLocks locks = *WithLocks().locks;
    change(locks);
    const auto decoded = nlm4::DecodeLocks(nlm4::EncodeLocks(locks));
    return !decoded && decoded.error().code() == Errc::kCorrupt;
  };
  EXPECT_FALSE(refused([](nlm4::HandedLocks&) {}));
  EXPECT_TRUE(refused([](nlm4::HandedLocks& locks) { locks.entries[0].owner = 2; }));
  EXPECT_TRUE(refused([](nlm4::HandedLocks& locks) { locks.entries[0].range = {4, 3}; }));
  EXPECT_TRUE(refused([](nlm4::HandedLocks& locks) { locks.entries[2].deny = 4; }));
  EXPECT_TRUE(refused([](nlm4::HandedLocks& locks) { locks.entries[3].kind = nlm4::HandedLocks::Kind(4); }));
  EXPECT_TRUE(refused([](nlm4::HandedLocks& locks) { locks.owners[0].handle.resize(1025); }));
  EXPECT_TRUE(refused([](nlm4::HandedLocks& locks) { locks.owners[0].name.resize(1025); }));
}

TEST(HandoverTest, CountsThatAreMerelyClaimedCostNothing) {
  for (const std::uint32_t claimed : {0xffff'ffffu, 1u << 20}) {
    std::vector<std::byte> bytes(5);
    StoreLe(bytes.data() + 1, claimed);
    EXPECT_FALSE(DecodeHandover(bytes));
    bytes.assign(13, std::byte{0});
    StoreLe(bytes.data() + 9, claimed);  // of answers
    EXPECT_FALSE(DecodeHandover(bytes));
  }
}

TEST(HandoverTest, ADescriptorMustBeTheSocketThatItIsSaidToBe) {
  const auto tcp = [](bool listening) {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (listening) {
      EXPECT_EQ(::listen(fd.get(), 1), 0);
    }
    return fd;
  };
  const auto attach = [](HandedSocket::Kind kind, UniqueFd descriptor) {
    Handover handover;
    handover.handed.sockets.push_back(Socket(kind));
    std::vector<UniqueFd> descriptors;
    descriptors.push_back(std::move(descriptor));
    return AttachDescriptors(handover, std::move(descriptors)).has_value();
  };
  using enum HandedSocket::Kind;
  EXPECT_TRUE(attach(kTcpListener, tcp(true)));
  EXPECT_FALSE(attach(kTcpListener, tcp(false)));
  EXPECT_FALSE(attach(kUnixListener, tcp(true)));
  EXPECT_TRUE(attach(kConnection, tcp(false)));
  EXPECT_FALSE(attach(kConnection, tcp(true)));
  EXPECT_FALSE(attach(kDatagrams, tcp(false)));
  EXPECT_TRUE(attach(kDatagrams, UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0))));
  EXPECT_FALSE(attach(kConnection, UniqueFd(::open("/dev/null", 0))));
  Handover handover;
  handover.handed.sockets.push_back(Socket(kConnection));
  EXPECT_FALSE(AttachDescriptors(handover, {})) << "one is missing";
}

TEST(HandoverTest, TellsWhereNfsIsServed) {
  Handover handover;
  HandedSocket socket = Socket(HandedSocket::Kind::kTcpListener);
  socket.socket = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(socket.socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  handover.handed.sockets.push_back(std::move(socket));
  handover.handed.sockets.push_back(Socket(HandedSocket::Kind::kDatagrams));
  handover.handed.sockets.push_back(Socket(HandedSocket::Kind::kTcpListener));
  handover.handed.sockets.back().program = 100000;
  const std::vector<Endpoint> endpoints = handover.Endpoints();
  ASSERT_EQ(endpoints.size(), 1u);
  EXPECT_EQ(endpoints[0].address, "127.0.0.1");
  EXPECT_NE(endpoints[0].port, 0);
}

}  // namespace
}  // namespace strata
