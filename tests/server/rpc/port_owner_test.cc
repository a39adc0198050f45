#include "server/rpc/port_owner.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>

#include "base/unique_fd.h"
#include "server/rpc/listener.h"

namespace strata::rpc {
namespace {

constexpr std::uint16_t kLowPort = 700;
constexpr uid_t kNobody = 65534;

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s: %s\n", what, std::strerror(errno));
  std::_Exit(1);
}

// In a child, in a network of its own where ports from `first` on are everybody's.
void InNetwork(int first, const std::function<void()>& run) {
  Require(::unshare(CLONE_NEWNET) == 0, "unshare");
  const UniqueFd any(::socket(AF_INET, SOCK_DGRAM, 0));
  ifreq loopback{};
  std::snprintf(loopback.ifr_name, sizeof loopback.ifr_name, "lo");
  loopback.ifr_flags = IFF_UP | IFF_RUNNING;
  Require(::ioctl(any.get(), SIOCSIFFLAGS, &loopback) == 0, "the loopback");
  std::FILE* const setting = std::fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "w");
  Require(setting != nullptr && std::fprintf(setting, "%d", first) > 0 && std::fclose(setting) == 0, "the setting");
  run();
  std::_Exit(0);
}

sockaddr_in Loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

const sockaddr* Generic(const sockaddr_in& address) { return reinterpret_cast<const sockaddr*>(&address); }

// What is thought of a connection from port 700 whose socket `uid` made. `closed`: it was closed before it is accepted.
bool ProvesNothing(uid_t uid, bool closed = false) {
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM, 0));
  const sockaddr_in any = Loopback(0);
  Require(::bind(listener.get(), Generic(any), sizeof any) == 0 && ::listen(listener.get(), 1) == 0, "listen");
  ::setfsuid(uid);
  UniqueFd client(::socket(AF_INET, SOCK_STREAM, 0));
  ::setfsuid(0);
  const int on = 1;
  ::setsockopt(client.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in low = Loopback(kLowPort), to = Loopback(BoundAddress(listener.get()).port);
  Require(::bind(client.get(), Generic(low), sizeof low) == 0, "bind");
  Require(::connect(client.get(), Generic(to), sizeof to) == 0, "connect");
  if (closed) client = UniqueFd();
  sockaddr_in from{};
  socklen_t size = sizeof from;
  const UniqueFd accepted(::accept(listener.get(), reinterpret_cast<sockaddr*>(&from), &size));
  Require(static_cast<bool>(accepted), "accept");
  return PortProvesNothing(PeerFromSockaddr(&from, size), accepted.get());
}

class PortOwner : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root for a network namespace";
  }
};

TEST_F(PortOwner, WherePortsAreEverybodysOnlyASocketOfRootIsBelieved) {
  EXPECT_EXIT(InNetwork(0,
                        [] {
                          Require(LowPortsAreEverybodys(), "read");
                          Require(CheckOwnersCanBeTold().has_value(), "told");
                          Require(!ProvesNothing(0), "root is believed");
                          Require(ProvesNothing(kNobody), "another is not");
                          Require(ProvesNothing(kNobody, true), "nor one that has closed its socket");
                        }),
              ::testing::ExitedWithCode(0), "");
}

TEST_F(PortOwner, WhereTheyAreRootsAPortIsEnough) {
  EXPECT_EXIT(InNetwork(1024,
                        [] {
                          Require(!LowPortsAreEverybodys(), "read");
                          Require(CheckOwnersCanBeTold().has_value(), "nothing to tell");
                          Require(!ProvesNothing(0), "root");
                          Require(!ProvesNothing(kNobody), "root made it so");
                        }),
              ::testing::ExitedWithCode(0), "");
}

TEST_F(PortOwner, ADatagramOfThisMachineProvesNothingWherePortsAreEverybodys) {
  EXPECT_EXIT(InNetwork(80,
                        [] {
                          const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM, 0));
                          const sockaddr_in any = Loopback(0);
                          Require(::bind(socket.get(), Generic(any), sizeof any) == 0, "bind");
                          Peer peer;
                          peer.datagram = true;
                          peer.port = kLowPort;
                          peer.address = boost::asio::ip::address_v4::loopback();
                          Require(PortProvesNothing(peer, socket.get()), "local");
                          peer.address = boost::asio::ip::make_address("192.0.2.1");
                          Require(!PortProvesNothing(peer, socket.get()), "another machine's");
                        }),
              ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace strata::rpc
