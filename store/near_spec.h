// A near store with a bound, as people name it: "pack:/var/cache/strata,10G".
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/status.h"
#include "store/address.h"

namespace strata::store {

struct NearSpec {
  StoreAddress address{};
  std::uint64_t bytes = 0;
  friend bool operator==(const NearSpec&, const NearSpec&) = default;
};

// "512M", "10G", "2T", "65536K" in bytes, by powers of 1024; nothing for anything else, and for 0 and more than 64 bits
// hold.
std::optional<std::uint64_t> ParseNearSize(std::string_view text);

// The address of a pack store, a comma and a size. kInvalid, with what is wrong and how it is written, for anything
// else. `base` as of ParseStoreAddress.
Result<NearSpec> ParseNearSpec(std::string_view text, std::string_view base = {});

}  // namespace strata::store
