// How rkyv 0.8 lays values out: sizes, alignments, and where the parts of a value begin. The layouts of the records are
// checked here, at compile time.
//
// All of it is C's layout, little-endian. A bool and an enumeration without data have one byte. An option and an
// enumeration with data have a tag of one byte, and the value at the next multiple of its own alignment. A byte string
// has 8 bytes: a signed 32-bit distance from that field to the bytes, and their number in 32 bits.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>
#include <variant>

#include "base/bytes.h"
#include "journal/wasix/file_layouts.h"
#include "journal/wasix/network_layouts.h"
#include "journal/wasix/process_layouts.h"

namespace strata::journal::wasix {

inline constexpr std::uint64_t kRootAlignment = 8;
inline constexpr std::uint64_t kByteStringAlignment = 16;
// No record has more byte strings than SetThreadV1.
inline constexpr std::size_t kMostByteStrings = 3;

constexpr std::uint64_t RoundUp(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

template <typename T>
concept HasLayout = requires { sizeof(Layout<T>); };

// A value that lies before the root, which refers to it.
template <typename T>
concept ByteString = std::same_as<T, ByteSpan> || std::same_as<T, std::string_view> || std::same_as<T, ModuleHash>;

inline ByteSpan BytesOf(ByteSpan bytes) { return bytes; }
inline ByteSpan BytesOf(std::string_view text) { return AsBytes(text); }
inline ByteSpan BytesOf(const ModuleHash& hash) { return hash.bytes; }

template <ByteString T>
inline constexpr std::uint64_t kAlignmentOfBytes = std::same_as<T, ModuleHash> ? 1 : kByteStringAlignment;

template <typename T>
inline constexpr bool kIsOption = false;
template <typename T>
inline constexpr bool kIsOption<std::optional<T>> = true;
template <typename T>
inline constexpr bool kIsVariant = false;
template <typename... T>
inline constexpr bool kIsVariant<std::variant<T...>> = true;
template <typename T>
inline constexpr bool kIsOctets = false;
template <std::size_t n>
inline constexpr bool kIsOctets<std::array<std::uint8_t, n>> = true;

struct Extent {
  std::size_t size = 0;  // up to the last byte that is used, without what rounds up to the alignment
  std::size_t alignment = 1;
};

template <typename T>
consteval Extent ExtentOf();

// Collects the extent of a value's fields, and whether they lie where they may.
struct FieldCheck {
  Extent extent;
  std::size_t byte_strings = 0, last_byte_string = 0;
  bool valid = true;
  std::array<bool, 128> used{};

  template <typename T>
  constexpr void operator()(std::size_t at, const char*, T&) {
    const Extent part = ExtentOf<std::remove_const_t<T>>();
    extent.size = std::max(extent.size, at + part.size);
    extent.alignment = std::max(extent.alignment, part.alignment);
    valid = valid && at % part.alignment == 0;
    for (std::size_t i = at; i < at + part.size; ++i) {
      valid = valid && !used[i];
      used[i] = true;
    }
    if (!ByteString<std::remove_const_t<T>>) return;
    // JSON's order is that of the file for these, so that the encoder need not sort them.
    valid = valid && (byte_strings == 0 || at > last_byte_string);
    last_byte_string = at;
    valid = valid && ++byte_strings <= kMostByteStrings;
  }
};

template <HasLayout T>
consteval FieldCheck CheckFields() {
  T value{};
  FieldCheck check;
  Layout<T>::Fields(value, check);
  return check;
}

// Where the value of an option, or of an enumeration's alternative, begins behind the tag.
template <typename T>
consteval std::size_t BehindTag() {
  return ExtentOf<T>().alignment;
}

template <typename T>
consteval Extent TaggedExtent(Extent extent) {
  const Extent value = ExtentOf<T>();
  return {.size = std::max({extent.size, std::size_t{1}, BehindTag<T>() + value.size}),
          .alignment = std::max(extent.alignment, value.alignment)};
}

template <typename... T>
consteval Extent VariantExtent(std::variant<T...>*) {
  Extent extent;
  ((extent = TaggedExtent<T>(extent)), ...);
  return extent;
}

template <typename T>
consteval Extent ExtentOf() {
  if constexpr (HasLayout<T>) {
    return CheckFields<T>().extent;
  } else if constexpr (ByteString<T>) {
    return {.size = 8, .alignment = 4};
  } else if constexpr (kIsOption<T>) {
    return TaggedExtent<typename T::value_type>({});
  } else if constexpr (kIsVariant<T>) {
    return VariantExtent(static_cast<T*>(nullptr));
  } else if constexpr (kIsOctets<T>) {
    return {.size = std::tuple_size_v<T>, .alignment = 1};
  } else {
    static_assert(std::is_integral_v<T> || std::is_enum_v<T>);
    return {.size = sizeof(T), .alignment = sizeof(T)};
  }
}

// The bytes of a record's root. Records without fields have none.
template <HasLayout T>
inline constexpr std::size_t kRootSize = RoundUp(ExtentOf<T>().size, kRootAlignment);

template <typename... T>
consteval bool AllLayoutsAreValid(std::variant<T...>*) {
  return (CheckFields<T>().valid && ...);
}
static_assert(AllLayoutsAreValid(static_cast<Entry*>(nullptr)));

}  // namespace strata::journal::wasix
