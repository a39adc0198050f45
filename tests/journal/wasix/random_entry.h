// Entries of every type with random values, and the values of an entry as text.
#pragma once

#include <deque>
#include <map>
#include <random>
#include <string>
#include <utility>

#include "journal/wasix/archive.h"
#include "journal/wasix/entries.h"
#include "journal/wasix/enum_names.h"
#include "tests/journal/wasix/fixtures.h"

namespace strata::journal::wasix {

class RandomEntry {
 public:
  explicit RandomEntry(std::mt19937_64& random) : random_(random) {
    Emplace(random_() % std::variant_size_v<Entry>, std::make_index_sequence<std::variant_size_v<Entry>>());
  }
  const Entry& entry() const { return entry_; }

 private:
  template <std::size_t... i>
  void Emplace(std::size_t index, std::index_sequence<i...>) {
    ((index == i ? Fill(entry_.emplace<i>()) : void()), ...);
  }

  template <typename T>
  void Fill(T& value) {
    if constexpr (std::same_as<T, bool>) {
      value = random_() % 2 == 1;
    } else if constexpr (std::is_integral_v<T>) {
      value = static_cast<T>(random_() >> random_() % 64);
    } else if constexpr (std::same_as<T, SocketProtocol>) {
      value = SocketProtocol(random_());
    } else if constexpr (std::is_enum_v<T>) {
      const std::size_t number = random_() % kEnumNames<T>.size();
      value = static_cast<T>(number);
      if constexpr (requires { T::kUnknown; }) {
        if (kEnumNames<T>[number] == "Unknown") value = T::kUnknown;
      }
    } else if constexpr (kIsOctets<T>) {
      for (auto& octet : value) octet = static_cast<std::uint8_t>(random_());
    } else if constexpr (std::same_as<T, ModuleHash>) {
      value.bytes = AsBytes(Text());
    } else if constexpr (std::same_as<T, ByteSpan>) {
      value = AsBytes(Text());
    } else if constexpr (std::same_as<T, std::string_view>) {
      value = Text();
    } else if constexpr (kIsOption<T>) {
      value.reset();
      if (random_() % 2 == 1) Fill(value.emplace());
    } else if constexpr (kIsVariant<T>) {
      random_() % 2 == 1 ? Fill(value.template emplace<1>()) : Fill(value.template emplace<0>());
    } else {
      auto field = [&](std::size_t, const char*, auto& member) { Fill(member); };
      Layout<T>::Fields(value, field);
    }
  }

  std::string_view Text() {
    std::string& text = texts_.emplace_back(random_() % 4 == 0 ? 0 : random_() % 50, '\0');
    for (char& c : text) c = static_cast<char>(random_());
    return text;
  }

  std::mt19937_64& random_;
  std::deque<std::string> texts_;
  Entry entry_;
};

// NAME or NAME.NAME to the value: a number in decimal digits, bytes in hexadecimal ones.
using FlatFields = std::map<std::string, std::string>;

template <typename T>
void Flatten(const std::string& name, const T& value, FlatFields& fields) {
  if constexpr (std::is_integral_v<T>) {
    fields[name] = std::to_string(value);
  } else if constexpr (std::is_enum_v<T>) {
    fields[name] = std::to_string(std::to_underlying(value));
  } else if constexpr (kIsOctets<T>) {
    fields[name] = ToHex(std::as_bytes(std::span(value)));
  } else if constexpr (ByteString<T>) {
    fields[name] = ToHex(BytesOf(value));
  } else if constexpr (kIsOption<T>) {
    if (value) Flatten(name + ".some", *value, fields);
  } else if constexpr (kIsVariant<T>) {
    std::visit(
        [&](const auto& alternative) { Flatten(name + "." + std::to_string(value.index()), alternative, fields); },
        value);
  } else {
    auto field = [&](std::size_t, const char* inner, const auto& member) {
      Flatten(name.empty() ? inner : name + "." + inner, member, fields);
    };
    Layout<T>::Fields(value, field);
  }
}

inline FlatFields Flat(const Entry& entry) {
  FlatFields fields;
  std::visit([&](const auto& alternative) { Flatten("", alternative, fields); }, entry);
  return fields;
}

}  // namespace strata::journal::wasix
