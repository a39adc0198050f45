// The words of the network status monitor, version 1 (XNFS, "NSM protocol"; spec nfsv3 7): how machines tell each other
// that they have started anew.
#pragma once

#include <cstdint>

namespace strata {

inline constexpr std::uint32_t kNsmProgram = 100024, kNsmVersion = 1;

namespace nsm {

inline constexpr std::uint32_t kNull = 0, kStat = 1, kMon = 2, kUnmon = 3, kUnmonAll = 4, kSimuCrash = 5, kNotify = 6;
inline constexpr std::size_t kMaxName = 1024;     // SM_MAXSTRLEN
inline constexpr std::size_t kPrivateBytes = 16;  // SM_PRIV_SIZE

}  // namespace nsm
}  // namespace strata
