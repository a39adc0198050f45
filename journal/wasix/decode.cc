#include "journal/wasix/decode.h"

#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "journal/wasix/archive.h"
#include "journal/wasix/enum_names.h"

namespace strata::journal::wasix {
namespace {

// The first thing that is wrong with a payload.
struct Fault {
  const char* what = nullptr;
  const char* field = nullptr;
  std::size_t at = 0;  // within the payload
};

// Reads the values of a root. All reads lie within the root, which lies within the payload; what is read is checked.
// After a fault the reader goes on, with values that mean nothing.
class RootReader {
 public:
  // `root`: where the root begins within `payload`.
  RootReader(ByteSpan payload, std::size_t root) : payload_(payload), root_(root) {}

  template <HasLayout T>
  void ReadFields(std::size_t base, T& value) {
    auto field = [&](std::size_t at, const char* name, auto& member) {
      const char* const outer = std::exchange(field_, name);
      Read(base + at, member);
      field_ = outer;
    };
    Layout<T>::Fields(value, field);
  }
  const Fault& fault() const { return fault_; }

 private:
  template <typename T>
  T Load(std::size_t at) const {
    return LoadLe<T>(payload_.data() + at);
  }

  void Complain(std::size_t at, const char* what) {
    if (fault_.what == nullptr) fault_ = {.what = what, .field = field_, .at = at};
  }

  template <typename T>
  void Read(std::size_t at, T& value) {
    if constexpr (std::same_as<T, bool>) {
      const auto byte = Load<std::uint8_t>(at);
      if (byte > 1) Complain(at, "is a bool that is neither 0 nor 1");
      value = byte == 1;
    } else if constexpr (std::is_integral_v<T>) {
      value = Load<T>(at);
    } else if constexpr (std::is_enum_v<T>) {
      ReadEnum(at, value);
    } else if constexpr (kIsOctets<T>) {
      std::memcpy(value.data(), payload_.data() + at, value.size());
    } else if constexpr (std::same_as<T, ModuleHash>) {
      value.bytes = ReadBytes(at);
    } else if constexpr (std::same_as<T, ByteSpan>) {
      value = ReadBytes(at);
    } else if constexpr (std::same_as<T, std::string_view>) {
      value = AsText(ReadBytes(at));
    } else if constexpr (kIsOption<T>) {
      const auto tag = Load<std::uint8_t>(at);
      if (tag > 1) Complain(at, "is an option with a tag that is neither 0 nor 1");
      if (tag != 1) return value.reset();
      Read(at + BehindTag<typename T::value_type>(), value.emplace());
    } else if constexpr (kIsVariant<T>) {
      const auto tag = Load<std::uint8_t>(at);
      if (!ReadAlternative(at, tag, value, std::make_index_sequence<std::variant_size_v<T>>())) {
        Complain(at, "has a tag that no alternative has");
      }
    } else {
      ReadFields(at, value);
    }
  }

  template <typename T>
  void ReadEnum(std::size_t at, T& value) {
    const auto number = Load<std::underlying_type_t<T>>(at);
    value = static_cast<T>(number);
    constexpr std::size_t kCount = kEnumNames<T>.size();
    if constexpr (kCount > 0) {
      if constexpr (requires { requires static_cast<std::size_t>(T::kUnknown) == 255; }) {
        if (number == kCount - 1) value = T::kUnknown;  // as rkyv 0.7 numbered it
        if (number < kCount || value == T::kUnknown) return;
      }
      if (number >= kCount) Complain(at, "has a number that its enumeration has not");
    }
  }

  template <typename T, std::size_t... i>
  bool ReadAlternative(std::size_t at, std::uint8_t tag, T& value, std::index_sequence<i...>) {
    const auto read = [&]<std::size_t index>() {
      Read(at + BehindTag<std::variant_alternative_t<index, T>>(), value.template emplace<index>());
      return true;
    };
    return ((tag == i && read.template operator()<i>()) || ...);
  }

  ByteSpan ReadBytes(std::size_t at) {
    const auto distance = std::int64_t{Load<std::int32_t>(at)};
    const auto size = std::size_t{Load<std::uint32_t>(at + 4)};
    const std::int64_t begin = static_cast<std::int64_t>(at) + distance;
    if (begin < 0 || static_cast<std::uint64_t>(begin) > root_) {
      Complain(at, "refers to bytes outside of the payload, or within its root");
      return {};
    }
    if (size > root_ - static_cast<std::size_t>(begin)) {
      Complain(at, "has a length that reaches into the root or past the payload");
      return {};
    }
    return payload_.subspan(static_cast<std::size_t>(begin), size);
  }

  ByteSpan payload_;
  std::size_t root_;
  const char* field_ = "";
  Fault fault_;
};

std::unexpected<Status> Corrupt(EntryType type, std::uint64_t position, const std::string& what) {
  return Fail(Errc::kCorrupt,
              "WASIX record " + std::string(EntryName(type)) + ", offset " + std::to_string(position) + ": " + what);
}

// The releases before 0.7 of wasmer-journal archived the 8 bytes of the hash by themselves.
bool IsBareHash(EntryType type, ByteSpan payload) {
  constexpr std::size_t kBareHashBytes = 8;
  return type == EntryType::kInitModuleV1 && payload.size() == kBareHashBytes;
}

template <std::size_t index>
Result<Entry> DecodeAs(ByteSpan payload, std::uint64_t position) {
  using T = std::variant_alternative_t<index, Entry>;
  constexpr EntryType kType = TypeAt(index);
  if (payload.size() < kRootSize<T>) {
    return Corrupt(kType, position,
                   "a payload of " + std::to_string(payload.size()) + " bytes cannot hold the root of " +
                       std::to_string(kRootSize<T>));
  }
  const std::size_t root = payload.size() - kRootSize<T>;
  RootReader reader(payload, root);
  Result<Entry> entry(std::in_place, std::in_place_index<index>);
  reader.ReadFields(root, *std::get_if<index>(&*entry));
  const Fault& fault = reader.fault();
  if (fault.what == nullptr) return entry;
  if (IsBareHash(kType, payload)) return Entry(InitModuleV1{.wasm_hash = {payload}});
  return Corrupt(kType, position + fault.at, std::string(fault.field) + " " + fault.what);
}

using Decoder = Result<Entry> (*)(ByteSpan payload, std::uint64_t position);

template <std::size_t... i>
constexpr std::array<Decoder, sizeof...(i)> MakeDecoders(std::index_sequence<i...>) {
  return {DecodeAs<i>...};
}
constexpr auto kDecoders = MakeDecoders(std::make_index_sequence<std::variant_size_v<Entry>>());

}  // namespace

Result<Entry> Decode(EntryType type, ByteSpan payload, std::uint64_t payload_position) {
  const std::size_t index = IndexOf(type);
  if (index < kDecoders.size()) return kDecoders[index](payload, payload_position);
  return Fail(Errc::kNotSupported, "WASIX record, offset " + std::to_string(payload_position) + ": type " +
                                       std::to_string(static_cast<unsigned>(type)) +
                                       " is not known; use a newer version of Strata");
}

}  // namespace strata::journal::wasix
