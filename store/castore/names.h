// What a name and a symlink's target may be (spec castore CA-3, CA-4).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/status.h"

namespace strata::store {

inline constexpr std::size_t kMaxNodeName = 255;
inline constexpr std::size_t kMaxSymlinkTarget = 4095;

// The word of the rule that a name breaks: "Empty", "Parent", "CurDir", "TooLong", "Null", "Slashes" (CA-3); empty
// where it breaks none.
std::string_view NodeNameFault(std::string_view name);
// The same for a symlink's target: "Empty", "TooLong", "Null" (CA-4).
std::string_view SymlinkTargetFault(std::string_view target);

// kInvalid, with the rule's word in the message.
Result<void> CheckNodeName(std::string_view name);
Result<void> CheckSymlinkTarget(std::string_view target);

// In quotation marks, for messages: what cannot be printed as \xNN, and of a long one the beginning.
std::string QuoteName(std::string_view name);

}  // namespace strata::store
