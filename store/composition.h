// A composition file: stores put together of others, by name (spec castore CA-38; docs/formats/composition.md).
// composition:/FILE.json#NAME is what it says of NAME.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "store/address.h"

namespace strata::store {

inline constexpr std::size_t kMaxCompositionBytes = 1 << 20;
inline constexpr std::size_t kMaxInstances = 1024;
// Of instances that stand before one another.
inline constexpr std::size_t kMaxCompositionDepth = 16;

struct CompositionInstance {
  enum class Kind : std::uint8_t {
    kStore,     // what `address` names
    kCombined,  // `near`, and for what that lacks `far`
    kCache,     // the same, and `near` takes what `far` had
  };
  Kind kind = Kind::kStore;
  StoreAddress address{};
  // Of a pack store that is a near store with a bound, which stands in `near` of a cache alone: the most that it holds.
  std::uint64_t near_bytes = 0;
  std::string near{}, far{};
  friend bool operator==(const CompositionInstance&, const CompositionInstance&) = default;
};

struct Composition {
  // By name. `near` and `far` name instances of the same map, and none leads back to itself.
  using Instances = std::map<std::string, CompositionInstance, std::less<>>;
  Instances blobs, directories, roots;
  friend bool operator==(const Composition&, const Composition&) = default;
};

// `file` is what messages call it; relative paths in it are taken from its folder. kInvalid, with the instance, for
// what is unknown, missing, given twice, too deep or leads back to itself; kNotSupported for what is known and not
// served, with what to use instead.
Result<Composition> ParseComposition(std::string_view text, const std::string& file);

}  // namespace strata::store
