// The port mapper (program 100000): versions 2 (portmap), 3 and 4 (rpcbind).
#pragma once

#include <functional>
#include <memory>

#include "server/portmap/registry.h"
#include "server/rpc/program.h"

namespace strata {

inline constexpr std::uint32_t kPortmapProgram = 100000;

struct PortmapOutside {
  // Whether whoever calls from beyond this machine is answered. Null: nobody is.
  std::function<bool(const rpc::Peer&)> admits;
  // Whether the registry may lack what is registered with another, and sees to it; waits. Null: it never does.
  std::function<bool()> lacks;
  std::function<void()> look;
};

// `registry` must outlive the program. SET and UNSET are obeyed from a local privileged caller only. That is an AF_UNIX
// peer with uid 0, or a loopback address with a source port below 1024. Everyone else gets FALSE.
std::unique_ptr<rpc::Program> MakePortmapProgram(portmap::Registry& registry, PortmapOutside outside = {});

}  // namespace strata
