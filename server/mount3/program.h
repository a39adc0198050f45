// The MOUNT version 3 program (RFC 1813 appendix I; spec nfsv3 2.1, 2.2).
#pragma once

#include <memory>

#include "server/exports.h"
#include "server/rpc/program.h"

namespace strata {

inline constexpr std::uint32_t kMountProgram = 100005;

// Mounts that DUMP remembers; the oldest is forgotten for a new one.
inline constexpr std::size_t kMaxRememberedMounts = 1024;

// `exports` must outlive the program and no longer change. As with NFS, Admits() goes by the address alone, so that an
// unprivileged `showmount -e` works. MNT also wants the source port that the export demands.
std::unique_ptr<rpc::Program> MakeMount3Program(const Exports& exports);

}  // namespace strata
