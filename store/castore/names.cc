#include "store/castore/names.h"

#include <cstdint>

namespace strata::store {

std::string_view NodeNameFault(std::string_view name) {
  if (name.empty()) return "Empty";
  if (name == "..") return "Parent";
  if (name == ".") return "CurDir";
  if (name.size() > kMaxNodeName) return "TooLong";
  if (name.contains('\0')) return "Null";
  if (name.contains('/')) return "Slashes";
  return {};
}

std::string_view SymlinkTargetFault(std::string_view target) {
  if (target.empty()) return "Empty";
  if (target.size() > kMaxSymlinkTarget) return "TooLong";
  if (target.contains('\0')) return "Null";
  return {};
}

Result<void> CheckNodeName(std::string_view name) {
  const std::string_view fault = NodeNameFault(name);
  if (fault.empty()) return {};
  return Fail(Errc::kInvalid, QuoteName(name) + " cannot be a name: InvalidName(" + std::string(fault) + ")");
}

Result<void> CheckSymlinkTarget(std::string_view target) {
  const std::string_view fault = SymlinkTargetFault(target);
  if (fault.empty()) return {};
  return Fail(Errc::kInvalid,
              QuoteName(target) + " cannot be a link's target: InvalidSymlinkTarget(" + std::string(fault) + ")");
}

std::string QuoteName(std::string_view name) {
  constexpr std::size_t kMostShown = 64;
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text = "\"";
  for (const char c : name.substr(0, kMostShown)) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (byte < 0x20 || byte > 0x7e || c == '"' || c == '\\') {
      text += "\\x";
      text += kDigits[byte >> 4];
      text += kDigits[byte & 15];
    } else {
      text += c;
    }
  }
  text += name.size() > kMostShown ? "...\"" : "\"";
  return text;
}

}  // namespace strata::store
