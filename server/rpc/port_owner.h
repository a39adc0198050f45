// What a source port below 1024 proves: that root of the client's machine sends. It proves nothing where
// net.ipv4.ip_unprivileged_port_start was lowered. In Docker's containers it is 0: every local user may bind such a
// port. The kernel is then asked who owns the socket at the other end (sock_diag(7)).
#pragma once

#include "base/status.h"
#include "server/rpc/program.h"

namespace strata::rpc {

// Whether ports below 1024 are everybody's in this network namespace, now.
bool LowPortsAreEverybodys();

// Of a TCP peer: whether its port, though below 1024, is no sign of root. So it is where the peer lies on this machine
// and its socket's owner is not root, or cannot be told. Of a datagram: whether it comes from this machine, where ports
// are everybody's. `socket`: that it reached.
bool PortProvesNothing(const Peer& peer, int socket);

// Fails where ports below 1024 are everybody's and the kernel does not say who owns a socket: then no local peer can be
// believed.
Result<void> CheckOwnersCanBeTold();

}  // namespace strata::rpc
