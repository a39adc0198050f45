#include "journal/wasix/json.h"

#include <algorithm>
#include <array>
#include <concepts>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "journal/wasix/addresses.h"
#include "journal/wasix/archive.h"
#include "journal/wasix/enum_names.h"
#include "journal/wasix/packed_bytes.h"

namespace strata::journal::wasix {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

constexpr const char* kMainThread = "main_thread";
constexpr const char* kThreadSpawn = "thread_spawn";

// Types that are text in JSON and a variant here.
template <typename T>
concept Address = std::same_as<T, IpAddress> || std::same_as<T, SocketAddress> || kIsOctets<T>;

// Names that older releases of Wasmer wrote, and one that newer ones write for what the archive cannot tell apart.
struct Alias {
  std::string_view older, name;
};
constexpr std::array kFieldAliases{Alias{"fd1", "read_fd"}, Alias{"fd2", "write_fd"}};
constexpr std::array kTriggerAliases{Alias{"Idle", "idle"},
                                     Alias{"FirstListen", "first-listen"},
                                     Alias{"FirstEnviron", "first-environ"},
                                     Alias{"FirstStdin", "first-stdin"},
                                     Alias{"FirstSigint", "sigint"},
                                     Alias{"first-sigint", "sigint"},
                                     Alias{"PeriodicInterval", "periodic-interval"},
                                     Alias{"Sigint", "sigint"},
                                     Alias{"Sigalrm", "sigalrm"},
                                     Alias{"Sigtstp", "sigtstp"},
                                     Alias{"Sigstop", "sigstop"},
                                     Alias{"NonDeterministicCall", "non-deterministic-call"}};

OrderedJson Named(std::string_view name, OrderedJson value) {
  OrderedJson object = OrderedJson::object();
  object.emplace(std::string(name), std::move(value));
  return object;
}

// Makes the JSON of values. After an error it goes on, with values that mean nothing.
class JsonWriter {
 public:
  template <HasLayout T>
  OrderedJson Object(const T& value) {
    OrderedJson object = OrderedJson::object();
    auto field = [&](std::size_t, const char* name, const auto& member) { object[name] = Value(member); };
    Layout<T>::Fields(value, field);
    return object;
  }
  const std::optional<Status>& error() const { return error_; }

 private:
  template <typename T>
  OrderedJson Value(const T& value) {
    if constexpr (std::is_integral_v<T> || std::same_as<T, std::string_view>) {
      return value;
    } else if constexpr (std::same_as<T, SocketProtocol>) {
      const std::string_view name = SocketProtocolName(value);
      if (name.empty()) return std::to_underlying(value);
      return name;
    } else if constexpr (std::is_enum_v<T>) {
      const auto& names = kEnumNames<T>;
      return names[std::min<std::size_t>(std::to_underlying(value), names.size() - 1)];
    } else if constexpr (std::same_as<T, ByteSpan>) {
      Result<std::string> text = PackBytes(value);
      if (text) return *std::move(text);
      error_ = text.error();
      return nullptr;
    } else if constexpr (std::same_as<T, ModuleHash>) {
      OrderedJson array = OrderedJson::array();
      for (const std::byte byte : value.bytes) array.push_back(std::to_integer<unsigned>(byte));
      return array;
    } else if constexpr (Address<T>) {
      return AddressText(value);
    } else if constexpr (std::same_as<T, ExitCode>) {
      return std::visit([](const auto& exit) { return OrderedJson(exit.code); }, value);
    } else if constexpr (std::same_as<T, ThreadStart>) {
      const auto* spawn = std::get_if<ThreadSpawn>(&value);
      if (spawn == nullptr) return kMainThread;
      return Named(kThreadSpawn, Object(*spawn));
    } else if constexpr (kIsOption<T>) {
      if (!value) return nullptr;
      return Value(*value);
    } else {
      return Object(value);
    }
  }

  std::optional<Status> error_;
};

// Reads values of JSON, until the first error.
class JsonReader {
 public:
  explicit JsonReader(std::pmr::memory_resource& arena) : arena_(arena) {}

  template <HasLayout T>
  void ReadObject(const Json& json, T& value) {
    if (!json.is_object()) return Complain("is no object");
    auto field = [&](std::size_t, const char* name, auto& member) { ReadField(json, name, member); };
    Layout<T>::Fields(value, field);
  }
  // Empty where there was no error.
  const std::string& error() const { return error_; }

 private:
  template <typename T>
  void ReadField(const Json& object, const char* name, T& member) {
    if (!error_.empty()) return;
    const char* const outer = std::exchange(field_, name);
    auto found = object.find(name);
    for (const Alias& alias : kFieldAliases) {
      if (found == object.end() && alias.name == name) found = object.find(alias.older);
    }
    if (found != object.end()) {
      Read(*found, member);
    } else if constexpr (!kIsOption<T>) {
      Complain("is missing");
    }
    field_ = outer;
  }

  void Complain(std::string_view what) {
    if (error_.empty()) error_ = "\"" + std::string(field_) + "\" " + std::string(what);
  }

  template <typename T>
  void Read(const Json& json, T& value) {
    if constexpr (std::same_as<T, bool>) {
      if (!json.is_boolean()) return Complain("is neither true nor false");
      value = json.get<bool>();
    } else if constexpr (std::is_integral_v<T>) {
      ReadInteger(json, value);
    } else if constexpr (std::same_as<T, ExitCode>) {
      ReadInteger(json, value.template emplace<OtherExit>().code);
    } else if constexpr (std::same_as<T, ModuleHash>) {
      ReadHash(json, value);
    } else if constexpr (std::same_as<T, ThreadStart>) {
      ReadThreadStart(json, value);
    } else if constexpr (kIsOption<T>) {
      if (json.is_null()) return value.reset();
      Read(json, value.emplace());
    } else if constexpr (HasLayout<T>) {
      ReadObject(json, value);
    } else if (json.is_string()) {
      ReadText(*json.get_ptr<const std::string*>(), value);
    } else if constexpr (std::same_as<T, SocketProtocol>) {
      std::uint16_t number = 0;
      ReadInteger(json, number);
      value = static_cast<SocketProtocol>(number);
    } else {
      Complain("is no string");
    }
  }

  template <typename T>
  void ReadInteger(const Json& json, T& value) {
    if (json.is_number_unsigned()) {
      const auto number = json.get<std::uint64_t>();
      if (!std::in_range<T>(number)) return Complain("is out of range");
      value = static_cast<T>(number);
    } else if (json.is_number_integer()) {
      const auto number = json.get<std::int64_t>();
      if (!std::in_range<T>(number)) return Complain("is out of range");
      value = static_cast<T>(number);
    } else {
      Complain("is no integer of 64 bits");
    }
  }

  template <typename T>
  void ReadText(std::string_view text, T& value) {
    if constexpr (std::same_as<T, std::string_view>) {
      value = AsText(Keep(AsBytes(text)));
    } else if constexpr (std::same_as<T, ByteSpan>) {
      const Result<ByteSpan> bytes = UnpackBytes(text, arena_);
      if (!bytes) return Complain("is " + std::string(bytes.error().message()));
      value = *bytes;
    } else if constexpr (Address<T>) {
      if (!ParseAddress(text, value)) Complain("is no address");
    } else if constexpr (std::same_as<T, SocketProtocol>) {
      if (!FindSocketProtocol(text, value)) Complain("is no protocol");
    } else {
      ReadEnum(text, value);
    }
  }

  template <typename T>
  void ReadEnum(std::string_view text, T& value) {
    if constexpr (std::same_as<T, SnapshotTrigger>) {
      for (const Alias& alias : kTriggerAliases) {
        if (alias.older == text) text = alias.name;
      }
    }
    const auto& names = kEnumNames<T>;
    const auto* const found = std::ranges::find(names, text);
    if (found == names.end()) return Complain("is not one of its names");
    value = static_cast<T>(found - names.begin());
    if constexpr (requires { T::kUnknown; }) {
      if (text == "Unknown") value = T::kUnknown;
    }
  }

  void ReadHash(const Json& json, ModuleHash& hash) {
    if (!json.is_array()) return Complain("is no array");
    std::vector<std::byte> bytes;
    bytes.reserve(json.size());
    for (const Json& element : json) {
      std::uint8_t number = 0;
      ReadInteger(element, number);
      if (!error_.empty()) return;
      bytes.push_back(static_cast<std::byte>(number));
    }
    hash.bytes = Keep(bytes);
  }

  void ReadThreadStart(const Json& json, ThreadStart& start) {
    if (json == kMainThread) {
      start.emplace<MainThread>();
    } else if (json.is_object() && json.size() == 1 && json.contains(kThreadSpawn)) {
      ReadObject(json[kThreadSpawn], start.emplace<ThreadSpawn>());
    } else {
      Complain("is no start of a thread");
    }
  }

  ByteSpan Keep(ByteSpan bytes) {
    if (bytes.empty()) return {};
    auto* const kept = static_cast<std::byte*>(arena_.allocate(bytes.size(), 1));
    std::memcpy(kept, bytes.data(), bytes.size());
    return {kept, bytes.size()};
  }

  std::pmr::memory_resource& arena_;
  const char* field_ = "";
  std::string error_;
};

std::unexpected<Status> Refuse(std::string_view what) {
  return Fail(Errc::kInvalid, "the JSON of a WASIX record: " + std::string(what));
}

// What every entry looks like from outside.
struct NamedFields {
  EntryType type{};
  Json fields;  // null where there are none
};
Result<NamedFields> ReadName(std::string_view text) {
  NamedFields named;
  std::string name;
  try {
    Json json = Json::parse(text);
    if (json.is_string()) {
      name = json.get<std::string>();
    } else if (json.is_object() && json.size() == 1) {
      name = json.begin().key();
      named.fields = std::move(json.begin().value());
    } else {
      return Refuse("neither an object with one member nor a string");
    }
  } catch (const Json::exception& exception) {
    return Refuse(exception.what());
  }
  if (!FindEntryType(name, named.type)) return Refuse("there is no record of that name");
  return named;
}

template <std::size_t index>
Result<Entry> ReadAs(const Json& fields, std::pmr::memory_resource& arena) {
  using T = std::variant_alternative_t<index, Entry>;
  Entry entry(std::in_place_index<index>);
  const std::string name(EntryName(TypeAt(index)));
  if constexpr (std::is_empty_v<T>) {
    if (!fields.is_null()) return Refuse(name + " has no fields");
  } else {
    if (!fields.is_object()) return Refuse(name + " has fields, which are missing");
    JsonReader reader(arena);
    reader.ReadObject(fields, *std::get_if<index>(&entry));
    if (!reader.error().empty()) return Refuse(name + ": " + reader.error());
  }
  return entry;
}

using Reader = Result<Entry> (*)(const Json& fields, std::pmr::memory_resource& arena);

template <std::size_t... i>
constexpr std::array<Reader, sizeof...(i)> MakeReaders(std::index_sequence<i...>) {
  return {ReadAs<i>...};
}
constexpr auto kReaders = MakeReaders(std::make_index_sequence<std::variant_size_v<Entry>>());

}  // namespace

Result<std::string> WriteJson(const Entry& entry, JsonStyle style) {
  const std::string_view name = EntryName(TypeOf(entry));
  JsonWriter writer;
  const OrderedJson json = std::visit(
      [&]<typename T>(const T& alternative) -> OrderedJson {
        if constexpr (std::is_empty_v<T>) return name;
        return Named(name, writer.Object(alternative));
      },
      entry);
  if (writer.error()) return Fail(*writer.error());
  return json.dump(style == JsonStyle::kPretty ? 2 : -1, ' ', false, OrderedJson::error_handler_t::replace);
}

Result<Entry> ReadJson(std::string_view text, std::pmr::memory_resource& arena) {
  STRATA_ASSIGN(const NamedFields named, ReadName(text));
  return kReaders[IndexOf(named.type)](named.fields, arena);
}

}  // namespace strata::journal::wasix
