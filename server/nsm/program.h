// The network status monitor's own program (NSM, version 1), as far as a server of locks needs it: it hears of machines
// that have started anew. It monitors nobody for others; that is rpc.statd's business.
#pragma once

#include <functional>
#include <memory>

#include "server/exports.h"
#include "server/nsm/monitor.h"
#include "server/rpc/program.h"

namespace strata {

// Both must outlive the program. `wanted`: somebody of this machine has looked for its rpc.statd here, and is turned
// away; from any thread.
std::unique_ptr<rpc::Program> MakeNsmProgram(const Exports& exports, nsm::Monitor& monitor,
                                             std::function<void()> wanted);

}  // namespace strata
