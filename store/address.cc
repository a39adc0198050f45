#include "store/address.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace strata::store {
namespace {

enum class Authority : std::uint8_t { kNone, kNeeded };
enum class Path : std::uint8_t {
  kNone,        // not even "/"
  kPlain,       // absolute or relative, behind "scheme:" or "scheme://"
  kAbsolute,    // behind "scheme://"
  kNotTheRoot,  // as kAbsolute, and not "/"
};

// What an address of a scheme is made of.
struct Scheme {
  std::string_view name;
  StoreKind kind;
  Authority authority;
  Path path;
  std::string_view example;
};

constexpr std::array kSchemes = {
    Scheme{"pack", StoreKind::kPack, Authority::kNone, Path::kPlain, "pack:/srv/store"},
    Scheme{"memory", StoreKind::kMemory, Authority::kNone, Path::kNone, "memory://"},
    Scheme{"objectstore+file", StoreKind::kObjectsInFolder, Authority::kNone, Path::kAbsolute,
           "objectstore+file:///srv/store"},
    Scheme{"objectstore+memory", StoreKind::kObjectsInMemory, Authority::kNone, Path::kAbsolute,
           "objectstore+memory:///"},
    Scheme{"objectstore+s3", StoreKind::kObjectsFar, Authority::kNeeded, Path::kAbsolute,
           "objectstore+s3://bucket/folder"},
    Scheme{"objectstore+http", StoreKind::kObjectsFar, Authority::kNeeded, Path::kAbsolute,
           "objectstore+http://host/folder"},
    Scheme{"objectstore+https", StoreKind::kObjectsFar, Authority::kNeeded, Path::kAbsolute,
           "objectstore+https://host/folder"},
    Scheme{"grpc+unix", StoreKind::kGrpc, Authority::kNone, Path::kNotTheRoot, "grpc+unix:///run/castore.sock"},
    Scheme{"grpc+http", StoreKind::kGrpc, Authority::kNeeded, Path::kNone, "grpc+http://host:8000"},
    Scheme{"grpc+https", StoreKind::kGrpc, Authority::kNeeded, Path::kNone, "grpc+https://host:8000"},
    Scheme{"composition", StoreKind::kComposition, Authority::kNone, Path::kPlain, "composition:/srv/stores.json#main"},
};

// Stores that are known elsewhere and not here.
struct Elsewhere {
  std::string_view name, why, instead;
};

constexpr std::array kElsewhere = {
    Elsewhere{"redb", "strata keeps directories in packs", "use pack:/PATH, and import what the redb store holds"},
    Elsewhere{"sled", "tvix gave sled up in 2024", "use pack:/PATH, and import what the sled store holds"},
    Elsewhere{"simplefs", "tvix gave simplefs up in 2024",
              "use objectstore+file:///PATH or pack:/PATH, and import the blobs"},
    Elsewhere{"bigtable", "it is a service of one provider", "use objectstore+s3://BUCKET/PATH or grpc+https://HOST"},
    Elsewhere{"cache", "a near store in front of a far one has no address of its own",
              "name the two in a file: composition:/FILE.json#NAME"},
    Elsewhere{"combined", "a store of two has no address of its own",
              "name the two in a file: composition:/FILE.json#NAME"},
    Elsewhere{"objectstore+gs", "of far buckets S3 and HTTP are known",
              "use its S3 interface: objectstore+s3://BUCKET/PATH"},
    Elsewhere{"objectstore+az", "of far buckets S3 and HTTP are known", "use objectstore+https://HOST/PATH"},
    Elsewhere{"objectstore+azure", "of far buckets S3 and HTTP are known", "use objectstore+https://HOST/PATH"},
    Elsewhere{"objectstore+abfs", "of far buckets S3 and HTTP are known", "use objectstore+https://HOST/PATH"},
};

bool IsAlpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Of an address; what is not printable does not reach a terminal.
std::string Quoted(std::string_view text) {
  constexpr std::size_t kShown = 200;
  std::string quoted = "\"";
  for (const char c : text.substr(0, kShown)) quoted += c >= ' ' && c <= '~' ? c : '?';
  return quoted + (text.size() > kShown ? "...\"" : "\"");
}

// What refuses one address: every message names it, what is wrong and an example of what is right.
class Refusal {
 public:
  explicit Refusal(std::string_view text) : text_(text) {}
  void SetExample(std::string_view example) { example_ = example; }

  std::unexpected<Status> operator()(std::string_view why) const {
    std::string message = "store " + Quoted(text_) + ": " + std::string(why);
    if (!example_.empty()) message += "; it is written like " + std::string(example_);
    return Fail(Errc::kInvalid, std::move(message));
  }

 private:
  std::string_view text_, example_;
};

int HexDigitValue(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<std::string> Decode(std::string_view text, const Refusal& refuse) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      if (text[i] == '\0') return refuse("a NUL stands in it");
      decoded += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? HexDigitValue(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? HexDigitValue(text[i + 2]) : -1;
    if (high < 0 || low < 0) return refuse("a % must be followed by two hexadecimal digits (%25 is % itself)");
    const char c = static_cast<char>(high * 16 + low);
    if (c == '\0') return refuse("%00 stands in it");
    decoded += c;
    i += 2;
  }
  return decoded;
}

std::string Encode(std::string_view text, std::string_view also_plain) {
  constexpr std::string_view kAddressDigits = "0123456789ABCDEF";
  constexpr std::string_view kPlain = "-._~!$'()*,;:+";
  std::string encoded;
  for (const char c : text) {
    if (IsAlpha(c) || IsDigit(c) || kPlain.contains(c) || also_plain.contains(c)) {
      encoded += c;
    } else {
      encoded +=
          {'%', kAddressDigits[static_cast<std::uint8_t>(c) >> 4], kAddressDigits[static_cast<std::uint8_t>(c) & 15]};
    }
  }
  return encoded;
}

// host, host:port, [IPv6]:port or a bucket's name. Whether there is such a host is for the network to say.
Result<void> CheckAuthority(std::string_view authority, const Refusal& refuse) {
  std::string_view host = authority, port;
  bool has_port = false;
  if (host.starts_with('[')) {
    const auto close = host.find(']');
    if (close == std::string_view::npos) return refuse("the [ of its IPv6 address is not closed");
    const std::string_view inner = host.substr(1, close - 1);
    if (inner.empty() || inner.find_first_not_of("0123456789abcdefABCDEF:.") != std::string_view::npos) {
      return refuse("what stands in [ ] is no IPv6 address");
    }
    const std::string_view rest = host.substr(close + 1);
    if (!rest.empty() && !rest.starts_with(':')) return refuse("only :PORT may follow a ]");
    has_port = !rest.empty();
    if (has_port) port = rest.substr(1);
  } else {
    if (const auto colon = host.find(':'); colon != std::string_view::npos) {
      has_port = true;
      port = host.substr(colon + 1);
      host = host.substr(0, colon);
    }
    if (host.empty()) return refuse("its host is missing");
    if (host.contains('@')) return refuse("a user or a password does not belong in an address");
    for (const char c : host) {
      if (!IsAlpha(c) && !IsDigit(c) && c != '-' && c != '.' && c != '_') {
        return refuse("a host's name has letters, digits, '-', '.' and '_' only");
      }
    }
  }
  if (!has_port) return {};
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size() || number == 0 || number > 65535) {
    return refuse("its port is no number from 1 to 65535");
  }
  return {};
}

bool IsObjects(StoreKind kind) {
  return kind == StoreKind::kObjectsInFolder || kind == StoreKind::kObjectsInMemory || kind == StoreKind::kObjectsFar;
}

Result<void> TakeOption(StoreAddress& address, std::string key, std::string value, const Refusal& refuse) {
  if (IsObjects(address.kind) && key == "avg_chunk_size") {
    if (address.avg_chunk_size) return refuse("avg_chunk_size is given twice");
    std::uint32_t size = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), size);
    if (error != std::errc() || end != value.data() + value.size() || size < kMinAvgChunkSize ||
        size > kMaxAvgChunkSize) {
      return refuse("avg_chunk_size is a number of bytes from " + std::to_string(kMinAvgChunkSize) + " to " +
                    std::to_string(kMaxAvgChunkSize) + " (default 262144)");
    }
    address.avg_chunk_size = size;
    return {};
  }
  if (address.kind == StoreKind::kGrpc && key == "wait-connect") {
    if (value != "0" && value != "1") return refuse("wait-connect is 0 or 1");
    address.wait_connect = value == "1";
    return {};
  }
  if (address.kind != StoreKind::kObjectsFar) return refuse("there is no option " + Quoted(key));
  if (key.empty()) return refuse("an option without a name stands behind the ?");
  for (const auto& option : address.options) {
    if (option.first == key) return refuse("option " + Quoted(key) + " is given twice");
  }
  address.options.emplace_back(std::move(key), std::move(value));
  return {};
}

Result<void> TakeOptions(StoreAddress& address, std::string_view query, const Refusal& refuse) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    if (pair.empty()) continue;
    const auto equals = pair.find('=');
    STRATA_ASSIGN(std::string key, Decode(pair.substr(0, equals), refuse));
    STRATA_ASSIGN(std::string value, Decode(equals == std::string_view::npos ? "" : pair.substr(equals + 1), refuse));
    STRATA_TRY(TakeOption(address, std::move(key), std::move(value), refuse));
  }
  return {};
}

Result<std::string> TakePath(const Scheme& scheme, bool slashes, std::string_view encoded, std::string_view base,
                             const Refusal& refuse) {
  STRATA_ASSIGN(std::string path, Decode(encoded, refuse));
  if (scheme.path == Path::kNone) {
    if (!path.empty()) return refuse("it must have no path");  // not even "/"
    return path;
  }
  if (scheme.path != Path::kPlain && path.empty()) {
    if (scheme.authority == Authority::kNone) return refuse("its path is missing");
    return "/";  // the whole bucket or host
  }
  if (scheme.kind == StoreKind::kComposition && path.empty()) return refuse("its file is missing");
  if (path.empty()) {
    if (slashes) return refuse("its path is missing");
    return path;  // "pack:", the default store
  }
  if (!path.starts_with('/')) {
    if (base.empty()) return refuse("its path is not absolute");
    path = std::string(base) + (base.ends_with('/') ? "" : "/") + path;
  }
  const bool is_root = path.find_first_not_of('/') == std::string::npos;
  if (is_root && scheme.path != Path::kAbsolute) return refuse("its path must not be /");
  return path;
}

Result<StoreAddress> ParseByScheme(const Scheme& scheme, std::string_view rest, std::string_view base,
                                   const Refusal& refuse) {
  StoreAddress address{.kind = scheme.kind, .scheme = std::string(scheme.name)};
  const auto hash = rest.find('#');
  const bool has_fragment = hash != std::string_view::npos;
  const std::string_view fragment = has_fragment ? rest.substr(hash + 1) : "";
  rest = rest.substr(0, hash);
  const auto question = rest.find('?');
  const std::string_view query = question == std::string_view::npos ? "" : rest.substr(question + 1);
  rest = rest.substr(0, question);

  const bool slashes = rest.starts_with("//");
  if (slashes) {
    rest.remove_prefix(2);
    const auto slash = std::min(rest.find('/'), rest.size());
    address.authority = rest.substr(0, slash);
    rest.remove_prefix(slash);
    // A host's name is of either case.
    for (char& c : address.authority) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  } else if (scheme.path != Path::kPlain) {
    return refuse("// must follow its scheme");
  }
  if (scheme.authority == Authority::kNone) {
    if (!address.authority.empty()) return refuse("it must have no host: a path begins with a third /");
  } else {
    STRATA_TRY(CheckAuthority(address.authority, refuse));
  }
  STRATA_ASSIGN(address.path, TakePath(scheme, slashes, rest, base, refuse));
  STRATA_TRY(TakeOptions(address, query, refuse));
  if (scheme.kind == StoreKind::kComposition) {
    STRATA_ASSIGN(address.instance, Decode(fragment, refuse));
    if (address.instance.empty()) return refuse("# and the name of one of the file's instances must end it");
  } else if (has_fragment) {
    return refuse("only a composition has a # (%23 is # itself)");
  }
  return address;
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower;
}

}  // namespace

Result<StoreAddress> ParseStoreAddress(std::string_view text, std::string_view base) {
  Refusal refuse(text);
  if (text.empty()) return StoreAddress();
  if (text.size() > kMaxStoreAddressBytes) return refuse("it is too long");
  if (text.starts_with('/') || text.starts_with('.')) {
    return refuse(
        "a folder alone does not say how it is laid out: write pack: before it, or objectstore+file:// where "
        "it is laid out as an object store");
  }
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return refuse("its scheme is missing, such as pack:/PATH");
  const std::string name = LowerCase(text.substr(0, colon));
  for (const Elsewhere& elsewhere : kElsewhere) {
    if (elsewhere.name != name) continue;
    return Fail(Errc::kNotSupported, "store " + Quoted(text) + " is not supported: " + std::string(elsewhere.why) +
                                         "; " + std::string(elsewhere.instead));
  }
  const auto scheme = std::ranges::find(kSchemes, std::string_view(name), &Scheme::name);
  if (scheme == kSchemes.end()) {
    std::string known;
    for (const Scheme& one : kSchemes) known += (known.empty() ? "" : ", ") + std::string(one.name);
    return refuse("there is no kind of store " + Quoted(name) + "; there are " + known);
  }
  refuse.SetExample(scheme->example);
  return ParseByScheme(*scheme, text.substr(colon + 1), base, refuse);
}

std::string FormatStoreAddress(const StoreAddress& address) {
  std::string text = address.scheme + ':';
  const bool plain = address.kind == StoreKind::kPack || address.kind == StoreKind::kComposition;
  if (!plain) text += "//" + address.authority;
  // A path that begins with // would be taken for a host.
  if (plain && address.path.starts_with("//")) text += "//";
  text += Encode(address.path, "/=&");
  char before = '?';
  const auto add = [&](std::string_view key, std::string_view value) {
    text += before + Encode(key, "/") + '=' + Encode(value, "/");
    before = '&';
  };
  if (address.avg_chunk_size) add("avg_chunk_size", std::to_string(*address.avg_chunk_size));
  if (address.wait_connect) add("wait-connect", "1");
  for (const auto& [key, value] : address.options) add(key, value);
  if (address.kind == StoreKind::kComposition) text += '#' + Encode(address.instance, "/");
  return text;
}

}  // namespace strata::store
