// Strong identifiers: no bare uint64_t crosses an interface.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace strata {

template <typename Tag, typename Rep>
struct StrongId {
  Rep value{};

  constexpr StrongId() = default;
  constexpr explicit StrongId(Rep v) : value(v) {}
  friend constexpr auto operator<=>(const StrongId&, const StrongId&) = default;

  template <typename H>
  friend H AbslHashValue(H h, const StrongId& id) {
    return H::combine(std::move(h), id.value);
  }
};

// Identifies an object of a volume for the object's whole life; the client sees it as fileid. Never 0. 1 is the root.
using InodeNumber = StrongId<struct InodeNumberTag, std::uint64_t>;
// Tells two objects apart that bore the same number at different times.
using Generation = StrongId<struct GenerationTag, std::uint32_t>;
// A position in a directory listing: entries after it are still to come. 0 is the beginning.
using Cookie = StrongId<struct CookieTag, std::uint64_t>;
// A byte position in the journal; grows for ever.
using Lsn = StrongId<struct LsnTag, std::uint64_t>;

inline constexpr InodeNumber kNoInode{0};
inline constexpr InodeNumber kRootInode{1};

}  // namespace strata

template <typename Tag, typename Rep>
struct std::hash<strata::StrongId<Tag, Rep>> {
  std::size_t operator()(const strata::StrongId<Tag, Rep>& id) const noexcept { return std::hash<Rep>{}(id.value); }
};
