#include "tests/store/fixtures.h"

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace strata::store {
namespace {

std::vector<std::byte> MakeNoise(std::size_t length, std::uint64_t seed) {
  std::vector<std::byte> bytes(length + 8);
  for (std::size_t i = 0; i < length; i += 8) {
    std::uint64_t z = seed += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    StoreLe(bytes.data() + i, z ^ z >> 31);
  }
  bytes.resize(length);
  return bytes;
}

}  // namespace

std::string FixturePath(std::string_view name) {
  const char* elsewhere = std::getenv("STRATA_FIXTURES");
  const std::filesystem::path folder = elsewhere != nullptr ? elsewhere : STRATA_FIXTURES;
  const std::filesystem::path path = folder / "castore" / name;
  return std::filesystem::exists(path) ? path.string() : std::string();
}

nlohmann::json ReadFixture(std::string_view name) {
  const std::string path = FixturePath(name);
  if (path.empty()) return nullptr;
  std::ifstream in(path, std::ios::binary);
  return nlohmann::json::parse(in);
}

std::vector<std::byte> MakeInput(std::string_view kind, std::size_t length, std::uint64_t seed) {
  if (kind == "noise") return MakeNoise(length, seed);
  std::vector<std::byte> bytes(length);
  if (kind == "zero") return bytes;
  if (kind == "count") {
    for (std::size_t i = 0; i < length; ++i) bytes[i] = static_cast<std::byte>(i % 255);
    return bytes;
  }
  if (kind == "repeat") {
    const auto noise = MakeNoise(64 << 10, seed);
    for (std::size_t i = 0; i < length; ++i) bytes[i] = i % 100003 == 99999 ? std::byte{7} : noise[i % noise.size()];
    return bytes;
  }
  if (kind == "text") {
    bytes = MakeNoise(length, seed);
    for (std::byte& byte : bytes) {
      byte = static_cast<std::byte>("etaoin shrdlu\n,."[std::to_integer<unsigned>(byte) & 15]);
    }
    return bytes;
  }
  throw std::invalid_argument("no kind of input: " + std::string(kind));
}

}  // namespace strata::store
