// Vectors that were made by others, in a folder beside the source tree, or where the variable STRATA_FIXTURES says.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "tests/base/hex.h"

namespace strata::store {

// The path of a castore fixture, such as "tvix/messages.json"; empty where the fixtures are missing.
std::string FixturePath(std::string_view name);

// What a file of the fixtures holds; null where it is missing.
nlohmann::json ReadFixture(std::string_view name);

// To begin a test that needs `name`: declares `variable`, or skips the test and says why.
#define STRATA_FIXTURE(variable, name)                                                   \
  const nlohmann::json variable = ::strata::store::ReadFixture(name);                    \
  if (variable.is_null()) {                                                              \
    GTEST_SKIP() << "the fixtures are missing (../shared/fixtures/castore/" name << ")"; \
  }

inline std::string TextFromHex(std::string_view hex) { return std::string(AsText(FromHex(hex))); }

// The inputs that fastcdc.json and tvix/large.json name by `kind`, `length` and `seed`.
std::vector<std::byte> MakeInput(std::string_view kind, std::size_t length, std::uint64_t seed);

}  // namespace strata::store
