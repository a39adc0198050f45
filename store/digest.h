// Digest: BLAKE3-256, which names blobs, chunks and directories (spec castore CA-6, CA-16, CA-17).
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/status.h"

namespace strata::store {

struct Digest {
  static constexpr std::size_t kSize = 32;
  std::array<std::byte, kSize> bytes{};

  // Of `content`, unkeyed.
  static Digest Of(ByteSpan content);
  // Of nothing.
  static const Digest& OfEmpty();
  // kInvalid for another length than kSize (CA-5).
  static Result<Digest> FromBytes(ByteSpan bytes);
  // From 64 hexadecimal digits of either case, or "b3:" and standard base64 with padding (CA-6); kInvalid for anything
  // else, also for base64 with bits left over.
  static Result<Digest> Parse(std::string_view text);

  std::string Hex() const;   // lower case
  std::string Text() const;  // "b3:...", 47 characters

  friend auto operator<=>(const Digest&, const Digest&) = default;
  // Of all bytes: who sends a directory chooses the digests in it as they like, also such as begin alike.
  template <typename H>
  friend H AbslHashValue(H h, const Digest& digest) {
    return H::combine_contiguous(std::move(h), digest.bytes.data(), digest.bytes.size());
  }
};

// BLAKE3 of what comes in pieces. May be copied in the middle; not to be used once it was moved from.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher& other);
  Hasher& operator=(const Hasher& other);
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;

  void Update(ByteSpan bytes);
  // Of all so far; more may follow.
  Digest Finish() const;
  void Reset();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace strata::store
