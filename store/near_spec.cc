#include "store/near_spec.h"

#include <charconv>
#include <string>
#include <utility>

namespace strata::store {

std::optional<std::uint64_t> ParseNearSize(std::string_view text) {
  constexpr std::string_view kUnits = "KMGT";
  if (text.empty()) return std::nullopt;
  const std::size_t unit = kUnits.find(text.back());
  if (unit == std::string_view::npos) return std::nullopt;
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size() - 1;
  const auto [stopped, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stopped != end || number == 0) return std::nullopt;
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(number, std::uint64_t{1} << (10 * (unit + 1)), &bytes)) return std::nullopt;
  return bytes;
}

Result<NearSpec> ParseNearSpec(std::string_view text, std::string_view base) {
  constexpr std::size_t kShownOfSpec = 200;
  const auto refuse = [&](const std::string& why) {
    std::string shown;
    for (const char c : text.substr(0, kShownOfSpec)) shown += c >= ' ' && c <= '~' ? c : '?';
    return Fail(Errc::kInvalid,
                "near store \"" + shown + "\": " + why + "; it is written like pack:/var/cache/strata,10G");
  };
  const std::size_t comma = text.rfind(',');
  if (comma == std::string_view::npos) return refuse("it lacks a comma and how much it may hold");
  const auto bytes = ParseNearSize(text.substr(comma + 1));
  if (!bytes) return refuse("what follows the comma is no size such as 512M or 10G");
  auto address = ParseStoreAddress(text.substr(0, comma), base);
  if (!address) return Fail(address.error());
  if (address->kind != StoreKind::kPack || address->path.empty()) return refuse("it must be a pack store with a path");
  return NearSpec{*std::move(address), *bytes};
}

}  // namespace strata::store
