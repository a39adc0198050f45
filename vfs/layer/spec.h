// LayerSpec: which tree a layer is, in a form that people write and workspace.json keeps.
//
//     /srv/base                                     a folder of the host; all of it is the path
//     host:/srv/base?markers=files&at=/usr/local    the same with options
//     castore:NAME@/srv/store?at=/app               a tree of a store, by its name there or by its digest
//     castore:NAME                                  the same of the user's own store
//     castore:@/srv/store                           all of a store's trees that have names, side by side
//
// Options follow '?', joined by '&':
//     at=/a/b       the tree lies at this directory, which is made up with all above it (vfs/layer/at_layer.h)
//     markers=A+B   of host: the kinds of markers that are understood (MarkerStyles): files, chardev, xattr; or none
//
// Behind a kind's word, '%' and two hexadecimal digits stand for one byte. So are written: '?', '#' and '%' anywhere,
// '@' in the name of a castore tree, '&' in an option, control characters, and bytes that are no UTF-8. A bare '#' is
// refused: it is kept for later. A text that begins with no kind's word is a path, byte for byte, whatever it holds.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "vfs/layer.h"

namespace strata::vfs {

enum class LayerKind : std::uint8_t { kHost, kCastore };

// The word that a spec of this kind begins with: "host", "castore".
std::string_view LayerKindName(LayerKind kind);

// Character devices 0:0 and overlay xattrs can mean nothing else and are understood by default; .wh. names are ordinary
// names unless asked for (overlay X16).
inline constexpr MarkerStyles kDefaultMarkers{.files = false, .chardev = true, .xattr = true};

struct LayerSpec {
  LayerKind kind = LayerKind::kHost;
  // Of kHost:
  std::string path{};
  MarkerStyles markers = kDefaultMarkers;
  // Of kCastore: a name or a digest, "" for all names, and the store's address.
  std::string root{};
  std::string store{};
  // "/a/b", without "." and ".." and with one '/' before each name; "" for the root.
  std::string at{};
  friend bool operator==(const LayerSpec&, const LayerSpec&) = default;
};

inline constexpr std::size_t kMaxSpecBytes = 64 << 10;  // of a text that is parsed
inline constexpr std::size_t kMaxPathBytes = 4096;      // of a path, a name, a store and of `at`, decoded

// kInvalid, with what is wrong and what to write; kNotSupported for a kind that other versions have. A path or a store
// may be relative. `markers`: what a host folder has where the text says none.
Result<LayerSpec> ParseLayerSpec(std::string_view text, const MarkerStyles& markers = kDefaultMarkers);
// The text from which ParseLayerSpec makes `spec` again; valid UTF-8, without control characters. One spec has one
// text.
std::string FormatLayerSpec(const LayerSpec& spec);
// "files+chardev+xattr", or "none", and back. `text` must not be empty.
std::string FormatMarkers(const MarkerStyles& markers);
Result<MarkerStyles> ParseMarkers(std::string_view text);

}  // namespace strata::vfs
