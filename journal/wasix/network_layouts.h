// Where the fields of the records of the network lie (value_layouts.h).
#pragma once

#include "journal/wasix/entries.h"
#include "journal/wasix/value_layouts.h"

namespace strata::journal::wasix {

template <>
struct Layout<PortAddAddrV1> {
  static constexpr void Fields(auto& e, auto& field) { field(0, "cidr", e.cidr); }
};

template <>
struct Layout<PortDelAddrV1> {
  static constexpr void Fields(auto& e, auto& field) { field(0, "addr", e.addr); }
};

template <>
struct Layout<PortAddrClearV1> {
  static constexpr void Fields(auto&, auto&) {}
};

template <>
struct Layout<PortBridgeV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "network", e.network);
    field(8, "token", e.token);
    field(16, "security", e.security);
  }
};

template <>
struct Layout<PortUnbridgeV1> {
  static constexpr void Fields(auto&, auto&) {}
};

template <>
struct Layout<PortDhcpAcquireV1> {
  static constexpr void Fields(auto&, auto&) {}
};

template <>
struct Layout<PortGatewaySetV1> {
  static constexpr void Fields(auto& e, auto& field) { field(0, "ip", e.ip); }
};

template <>
struct Layout<PortRouteAddV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "cidr", e.cidr);
    field(18, "via_router", e.via_router);
    field(40, "preferred_until", e.preferred_until);
    field(64, "expires_at", e.expires_at);
  }
};

template <>
struct Layout<PortRouteClearV1> {
  static constexpr void Fields(auto&, auto&) {}
};

template <>
struct Layout<PortRouteDelV1> {
  static constexpr void Fields(auto& e, auto& field) { field(0, "ip", e.ip); }
};

template <>
struct Layout<SocketOpenV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "af", e.af);
    field(1, "ty", e.ty);
    field(2, "pt", e.pt);
    field(4, "fd", e.fd);
  }
};

template <>
struct Layout<SocketListenV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(4, "backlog", e.backlog);
  }
};

template <>
struct Layout<SocketBindV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(4, "addr", e.addr);
  }
};

template <>
struct Layout<SocketConnectedV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(4, "local_addr", e.local_addr);
    field(36, "peer_addr", e.peer_addr);
  }
};

template <>
struct Layout<SocketAcceptedV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "listen_fd", e.listen_fd);
    field(4, "fd", e.fd);
    field(8, "local_addr", e.local_addr);
    field(40, "peer_addr", e.peer_addr);
    field(72, "fd_flags", e.fd_flags);
    field(74, "non_blocking", e.non_blocking);
  }
};

template <>
struct Layout<SocketJoinIpv4MulticastV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(4, "multiaddr", e.multiaddr);
    field(8, "iface", e.iface);
  }
};

template <>
struct Layout<SocketJoinIpv6MulticastV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(4, "multi_addr", e.multi_addr);
    field(20, "iface", e.iface);
  }
};

template <>
struct Layout<SocketLeaveIpv4MulticastV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(4, "multi_addr", e.multi_addr);
    field(8, "iface", e.iface);
  }
};

template <>
struct Layout<SocketLeaveIpv6MulticastV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(4, "multi_addr", e.multi_addr);
    field(20, "iface", e.iface);
  }
};

template <>
struct Layout<SocketSendFileV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "socket_fd", e.socket_fd);
    field(4, "file_fd", e.file_fd);
    field(8, "offset", e.offset);
    field(16, "count", e.count);
  }
};

template <>
struct Layout<SocketSendToV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(4, "data", e.data);
    field(12, "flags", e.flags);
    field(16, "addr", e.addr);
    field(48, "is_64bit", e.is_64bit);
  }
};

template <>
struct Layout<SocketSendV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(4, "data", e.data);
    field(12, "flags", e.flags);
    field(14, "is_64bit", e.is_64bit);
  }
};

template <>
struct Layout<SocketSetOptFlagV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(4, "opt", e.opt);
    field(5, "flag", e.flag);
  }
};

template <>
struct Layout<SocketSetOptSizeV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(4, "opt", e.opt);
    field(8, "size", e.size);
  }
};

template <>
struct Layout<SocketSetOptTimeV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(4, "ty", e.ty);
    field(8, "time", e.time);
  }
};

template <>
struct Layout<SocketShutdownV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd", e.fd);
    field(4, "how", e.how);
  }
};

template <>
struct Layout<SocketPairV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "fd1", e.fd1);
    field(4, "fd2", e.fd2);
  }
};

}  // namespace strata::journal::wasix
