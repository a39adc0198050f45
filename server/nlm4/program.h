// The network lock manager, version 4 (XNFS appendix; RFC 1813 appendix II; spec nfsv3 7): byte-range locks and deny
// modes for NFSv3's clients.
#pragma once

#include <memory>

#include "server/exports.h"
#include "server/nlm4/lock_table.h"
#include "server/rpc/program.h"

namespace strata {

inline constexpr std::uint32_t kNlmProgram = 100021;

// `exports` and `locks` must outlive the program. `locks` null: every lock is refused (NLM4_DENIED_NOLOCKS), at once.
std::unique_ptr<rpc::Program> MakeNlm4Program(const Exports& exports, nlm4::LockTable* locks);

}  // namespace strata
