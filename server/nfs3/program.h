// The NFS version 3 program (RFC 1813; spec nfsv3 2 to 6) over the volumes of the exports.
#pragma once

#include <functional>
#include <memory>

#include "server/exports.h"
#include "server/rpc/program.h"

namespace strata {

inline constexpr std::uint32_t kNfsProgram = 100003;

// `exports` must outlive the program and no longer change.
//
// Admits() goes by the address alone. A peer that no export admits by its address gets no answer at all. NULL is
// answered to any source port of the others, because mount.nfs pings from an unprivileged one. Every other procedure
// answers NFS3ERR_ACCES, and nothing else, to a peer that the handle's export does not admit by address and source
// port.
// `mounts`, where not null, is called at each FSINFO: a client asks it once it has all else that it needs to mount.
std::unique_ptr<rpc::Program> MakeNfs3Program(const Exports& exports, std::function<void()> mounts = nullptr);

// Writes the results (not the RPC header) of a call that was done before this process began, by what the volume knows
// of it. They say less than the first answer did where that is optional: no attributes of directories. False, with
// nothing written: there are none to give.
bool WritePastResults(std::uint32_t procedure, const vfs::VolumeInfo& volume, const vfs::PastRequest& past,
                      rpc::ReplyBuffer& reply);

}  // namespace strata
