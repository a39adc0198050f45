// Addresses of stores: what stands behind --store, and behind the @ of a layer castore:NAME@STORE. URI-like (RFC 3986):
//
//   pack:/path                                the pack store in a folder; empty or "pack:" is the user's default one
//   memory://                                 in memory, gone with the process (CA-26)
//   objectstore+file:///path                  the object-store layout (CA-27) in a folder
//   objectstore+memory:///                    the same in memory
//   objectstore+s3://bucket/path, objectstore+http(s)://host/path
//   grpc+unix:///socket, grpc+http(s)://host[:port]       castore over gRPC (CA-31)
//   composition:/file.json#NAME               a service put together in a file (docs/formats/composition.md)
//
// Reserved characters (% ? # @ and what is not printable ASCII) stand percent-encoded. Options follow a '?', joined
// by '&': objectstore+...?avg_chunk_size=N, grpc+...?wait-connect=1.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace strata::store {

enum class StoreKind : std::uint8_t {
  kPack,
  kMemory,
  kObjectsInFolder,
  kObjectsInMemory,
  kObjectsFar,  // S3 and HTTP: `scheme` says which
  kGrpc,        // `scheme` says over what
  kComposition,
};

struct StoreAddress {
  StoreKind kind = StoreKind::kPack;
  std::string scheme = "pack";  // in lower case, such as "objectstore+s3"
  std::string authority{};      // host[:port] or bucket, of the far ones
  // Decoded, absolute. Of pack, empty: the default store. Of grpc+unix the socket, of the other gRPC ones empty.
  std::string path{};
  std::string instance{};                         // of a composition
  std::optional<std::uint32_t> avg_chunk_size{};  // bytes, of object stores
  // The other options of a far object store, decoded, in the order given. (The near ones know no others.)
  std::vector<std::pair<std::string, std::string>> options{};
  bool wait_connect = false;  // of gRPC

  friend bool operator==(const StoreAddress&, const StoreAddress&) = default;
};

// The longest address that is looked at.
inline constexpr std::size_t kMaxStoreAddressBytes = 16 << 10;
// Bounds of avg_chunk_size, so that half and twice as much are what FastCDC takes (ChunkSizes, CA-29).
inline constexpr std::uint32_t kMinAvgChunkSize = 512, kMaxAvgChunkSize = 2 << 20;

// kInvalid for what breaks the rules of its kind. kNotSupported for stores that are known by name and not served
// (redb, bigtable, sled, simplefs, cache, combined, gs, az), with what to use instead. Where `base` is not empty, a
// relative path (pack:here) is taken from that folder; where it is, a relative path is refused.
Result<StoreAddress> ParseStoreAddress(std::string_view text, std::string_view base = {});

// The one spelling of an address; ParseStoreAddress gives the same address back. Two addresses of the same spelling
// are the same store (but memory ones, of which each is its own).
std::string FormatStoreAddress(const StoreAddress& address);

}  // namespace strata::store
