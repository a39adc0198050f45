#include "store/digest.h"

#include <blake3.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/base64.h"

namespace strata::store {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kTextPrefix = "b3:";
constexpr std::size_t kHexSize = 2 * Digest::kSize;
constexpr std::size_t kBase64Size = (Digest::kSize + 2) / 3 * 4;

// -1 for what is no digit.
int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool ParseHex(std::string_view text, Digest& digest) {
  for (std::size_t i = 0; i < Digest::kSize; ++i) {
    const int high = HexValue(text[2 * i]), low = HexValue(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    digest.bytes[i] = static_cast<std::byte>(high << 4 | low);
  }
  return true;
}

bool ParseBase64(std::string_view text, Digest& digest) {
  std::vector<std::byte> bytes;
  if (!DecodeBase64(text, bytes) || bytes.size() != Digest::kSize) return false;
  std::ranges::copy(bytes, digest.bytes.begin());
  return true;
}

Digest FinishState(const blake3_hasher& state) {
  Digest digest;
  blake3_hasher_finalize(&state, reinterpret_cast<std::uint8_t*>(digest.bytes.data()), digest.bytes.size());
  return digest;
}

}  // namespace

Digest Digest::Of(ByteSpan content) {
  blake3_hasher state;
  blake3_hasher_init(&state);
  blake3_hasher_update(&state, content.data(), content.size());
  return FinishState(state);
}

const Digest& Digest::OfEmpty() {
  static const Digest digest = Of({});
  return digest;
}

Result<Digest> Digest::FromBytes(ByteSpan bytes) {
  if (bytes.size() != kSize) {
    return Fail(Errc::kInvalid, "InvalidDigestLen(" + std::to_string(bytes.size()) + "): a digest has 32 bytes");
  }
  Digest digest;
  std::ranges::copy(bytes, digest.bytes.begin());
  return digest;
}

Result<Digest> Digest::Parse(std::string_view text) {
  Digest digest;
  if (text.size() == kHexSize && ParseHex(text, digest)) return digest;
  if (text.size() == kTextPrefix.size() + kBase64Size && text.starts_with(kTextPrefix) &&
      ParseBase64(text.substr(kTextPrefix.size()), digest)) {
    return digest;
  }
  return Fail(Errc::kInvalid, "not a digest: give 64 hexadecimal digits, or b3: and 44 characters of base64");
}

std::string Digest::Hex() const {
  std::string text;
  text.reserve(kHexSize);
  for (const std::byte byte : bytes) {
    text += kHexDigits[std::to_integer<std::size_t>(byte) >> 4];
    text += kHexDigits[std::to_integer<std::size_t>(byte) & 15];
  }
  return text;
}

std::string Digest::Text() const {
  std::string text(kTextPrefix);
  AppendBase64(bytes, text);
  return text;
}

struct Hasher::State {
  blake3_hasher hasher;
};

Hasher::Hasher() : state_(std::make_unique<State>()) { Reset(); }
Hasher::~Hasher() = default;
Hasher::Hasher(const Hasher& other) : state_(std::make_unique<State>(*other.state_)) {}
Hasher& Hasher::operator=(const Hasher& other) {
  if (this != &other) state_ = std::make_unique<State>(*other.state_);
  return *this;
}
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::Update(ByteSpan bytes) { blake3_hasher_update(&state_->hasher, bytes.data(), bytes.size()); }

Digest Hasher::Finish() const { return FinishState(state_->hasher); }

void Hasher::Reset() { blake3_hasher_init(&state_->hasher); }

}  // namespace strata::store
