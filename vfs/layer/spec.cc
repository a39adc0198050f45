#include "vfs/layer/spec.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "base/text.h"
#include "vfs/types.h"

namespace strata::vfs {
namespace {

struct KindWord {
  LayerKind kind;
  std::string_view word;
};
constexpr std::array kKinds = {KindWord{LayerKind::kHost, "host"}, KindWord{LayerKind::kCastore, "castore"}};
// Of kinds to come: a text that begins so must not be taken for a path.
constexpr std::array<std::string_view, 2> kLaterKinds = {"rafs", "wasix"};

struct Style {
  bool MarkerStyles::* member;
  std::string_view word;
};
constexpr std::array kStyles = {Style{&MarkerStyles::files, "files"}, Style{&MarkerStyles::chardev, "chardev"},
                                Style{&MarkerStyles::xattr, "xattr"}};

// What is written by its number: in a path or a store, in a name before '@', in an option.
constexpr std::string_view kReserved = "?#%";
constexpr std::string_view kReservedInName = "?#%@";
constexpr std::string_view kReservedInOption = "&#%";
// The user's own (store/address.h).
constexpr std::string_view kDefaultStore = "pack:";

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// How many bytes the character at the beginning of `text` has, if it can be shown; 0 if not.
std::size_t ShownLength(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  return first >= 0x80 ? ShownSequence(text) : first < 0x20 || first == 0x7f ? 0 : 1;
}

bool IsShown(std::string_view text) {
  while (!text.empty()) {
    const std::size_t size = ShownLength(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

std::string Encode(std::string_view text, std::string_view reserved) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string encoded;
  encoded.reserve(text.size());
  while (!text.empty()) {
    const std::size_t size = ShownLength(text);
    if (size != 0 && reserved.find(text[0]) == std::string_view::npos) {
      encoded += text.substr(0, size);
    } else {
      const auto byte = static_cast<unsigned char>(text[0]);
      encoded += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return encoded;
}

// A part of a spec while it is parsed; its messages name the whole.
class SpecParser {
 public:
  SpecParser(std::string_view text, const MarkerStyles& markers) : text_(text) { spec_.markers = markers; }

  Result<LayerSpec> Run() {
    if (text_.size() > kMaxSpecBytes) return Fail(Errc::kInvalid, "a layer's spec has more than 64 KiB");
    if (text_.empty()) return Wrong("it is empty; give a folder, or KIND:...");
    const std::size_t colon = text_.find(':');
    const std::string_view word = text_.substr(0, colon == std::string_view::npos ? 0 : colon);
    if (std::ranges::find(kLaterKinds, word) != kLaterKinds.end()) {
      return Fail(Errc::kNotSupported, Quoted() + ": this version of strata has no layers of kind " +
                                           std::string(word) + "; a folder of that name is given as ./" +
                                           std::string(text_));
    }
    const auto* kind = std::ranges::find(kKinds, word, &KindWord::word);
    if (kind == kKinds.end()) {
      STRATA_TRY(TakePart(std::string(text_), "the path", spec_.path));
      return std::move(spec_);
    }
    spec_.kind = kind->kind;
    if (spec_.kind != LayerKind::kHost) spec_.markers = kDefaultMarkers;
    const std::string_view rest = text_.substr(colon + 1);
    if (rest.find('#') != std::string_view::npos) return Wrong("'#' is written %23");
    const std::size_t question = rest.find('?');
    STRATA_TRY(TakePlace(rest.substr(0, question)));
    if (question != std::string_view::npos) STRATA_TRY(TakeOptions(rest.substr(question + 1)));
    return std::move(spec_);
  }

 private:
  std::string Quoted() const { return "layer " + Encode(text_.substr(0, 200), {}); }
  std::unexpected<Status> Wrong(const std::string& what) const { return Fail(Errc::kInvalid, Quoted() + ": " + what); }

  Result<std::string> Decode(std::string_view text) const {
    std::string decoded;
    decoded.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '%') {
        decoded += text[i];
        continue;
      }
      const int high = i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? HexDigit(text[i + 2]) : -1;
      if (high < 0 || low < 0) return Wrong("'%' stands before two hexadecimal digits; the character itself is %25");
      decoded += static_cast<char>(high * 16 + low);
      i += 2;
    }
    return decoded;
  }

  // Of everything that names something: not empty, no NUL, not too long.
  Result<void> TakePart(std::string part, const std::string& what, std::string& to) const {
    if (part.empty()) return Wrong(what + " is missing");
    if (part.size() > kMaxPathBytes) return Wrong(what + " has more than " + std::to_string(kMaxPathBytes) + " bytes");
    if (part.find('\0') != std::string::npos) return Wrong(what + " holds a NUL");
    to = std::move(part);
    return {};
  }

  Result<void> TakePlace(std::string_view place) {
    if (spec_.kind == LayerKind::kHost) {
      STRATA_ASSIGN(std::string path, Decode(place));
      return TakePart(std::move(path), "the folder's path", spec_.path);
    }
    const std::size_t sign = place.find('@');
    if (place.empty()) return Wrong("which tree is missing; write castore:NAME@STORE, or castore:@STORE for all");
    STRATA_ASSIGN(std::string root, Decode(place.substr(0, sign)));
    if (!root.empty()) STRATA_TRY(TakePart(std::move(root), "the name or digest before '@'", spec_.root));
    STRATA_ASSIGN(std::string store, Decode(sign == place.npos ? std::string_view() : place.substr(sign + 1)));
    return TakePart(store.empty() ? std::string(kDefaultStore) : std::move(store), "the store behind '@'", spec_.store);
  }

  Result<void> TakeOptions(std::string_view options) {
    bool markers_said = false, at_said = false;
    for (bool more = true; more;) {
      const std::size_t end = options.find('&');
      more = end != std::string_view::npos;
      const std::string_view option = options.substr(0, end);
      if (more) options.remove_prefix(end + 1);
      const std::size_t equals = std::min(option.find('='), option.size());
      const std::string key(option.substr(0, equals));
      STRATA_ASSIGN(const std::string value, Decode(option.substr(std::min(equals + 1, option.size()))));
      if (key == "at") {
        if (std::exchange(at_said, true)) return Wrong("at is said twice");
        STRATA_TRY(TakeAt(value));
      } else if (key == "markers" && spec_.kind == LayerKind::kHost) {
        if (std::exchange(markers_said, true)) return Wrong("markers is said twice");
        auto markers = ParseMarkers(value);
        if (!markers) return Wrong(std::string(markers.error().message()));
        spec_.markers = *markers;
      } else {
        return Wrong("there is no option '" + Encode(key.substr(0, 40), {}) + "'; " +
                     std::string(LayerKindName(spec_.kind)) + ": has " +
                     (spec_.kind == LayerKind::kHost ? "markers=... and at=..., joined by '&'" : "at=..."));
      }
    }
    return {};
  }

  Result<void> TakeAt(std::string_view at) {
    if (!at.starts_with('/')) return Wrong("at= begins with '/', such as at=/usr/local");
    while (!at.empty()) {
      at.remove_prefix(1);
      const std::string_view name = at.substr(0, at.find('/'));
      at.remove_prefix(name.size());
      if (name.empty()) continue;
      if (name == "." || name == "..") return Wrong("at= holds no '.' and no '..'");
      if (name.size() > kMaxNameBytes) return Wrong("a name in at= has more than 255 bytes");
      if (name.find('\0') != std::string_view::npos) return Wrong("at= holds a NUL");
      spec_.at += '/';
      spec_.at += name;
    }
    if (spec_.at.size() > kMaxPathBytes) return Wrong("at= has more than " + std::to_string(kMaxPathBytes) + " bytes");
    return {};
  }

  const std::string_view text_;
  LayerSpec spec_;
};

// Whether a path alone means it: no kind's word stands at its beginning, and it can be shown.
bool IsPathByItself(std::string_view path) { return path.starts_with('/') && IsShown(path); }

}  // namespace

std::string_view LayerKindName(LayerKind kind) { return std::ranges::find(kKinds, kind, &KindWord::kind)->word; }

std::string FormatMarkers(const MarkerStyles& markers) {
  std::string text;
  for (const Style& style : kStyles) {
    if (!(markers.*style.member)) continue;
    if (!text.empty()) text += '+';
    text += style.word;
  }
  return text.empty() ? "none" : text;
}

Result<MarkerStyles> ParseMarkers(std::string_view text) {
  MarkerStyles markers;
  if (text == "none") return markers;
  for (bool more = true; more;) {
    const std::size_t plus = text.find('+');
    more = plus != std::string_view::npos;
    const auto* style = std::ranges::find(kStyles, text.substr(0, plus), &Style::word);
    if (style == kStyles.end()) {
      return Fail(Errc::kInvalid, "markers are files, chardev and xattr, joined by '+', or none");
    }
    markers.*(style->member) = true;
    if (more) text.remove_prefix(plus + 1);
  }
  return markers;
}

Result<LayerSpec> ParseLayerSpec(std::string_view text, const MarkerStyles& markers) {
  return SpecParser(text, markers).Run();
}

std::string FormatLayerSpec(const LayerSpec& spec) {
  std::string options;
  const auto add = [&](std::string_view key, const std::string& value) {
    options += options.empty() ? '?' : '&';
    options += key;
    options += '=';
    options += value;
  };
  if (spec.kind == LayerKind::kHost && spec.markers != kDefaultMarkers) add("markers", FormatMarkers(spec.markers));
  if (!spec.at.empty()) add("at", Encode(spec.at, kReservedInOption));
  if (spec.kind == LayerKind::kCastore) {
    return "castore:" + Encode(spec.root, kReservedInName) + "@" + Encode(spec.store, kReserved) + options;
  }
  if (options.empty() && IsPathByItself(spec.path)) return spec.path;
  return "host:" + Encode(spec.path, kReserved) + options;
}

}  // namespace strata::vfs
