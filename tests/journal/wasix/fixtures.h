// Journals that Wasmer's own library wrote, and what that library reads back from them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "journal/wasix/entries.h"
#include "tests/base/hex.h"

namespace strata::journal::wasix {

inline constexpr std::array<std::string_view, 10> kJournalsOf08{
    "rkyv08/vector",      "rkyv08/every-record",   "rkyv08/story-v1",     "rkyv08/story-v2",
    "rkyv08/part1",       "rkyv08/story-reopened", "rkyv08/concatenated", "rkyv08/torn-in-header",
    "rkyv08/zero-header", "rkyv08/torn-in-payload"};
inline constexpr std::array<std::string_view, 9> kJournalsOf07{
    "rkyv07/vector",         "rkyv07/every-record",   "rkyv07/story-v1",
    "rkyv07/part1",          "rkyv07/story-reopened", "rkyv07/concatenated",
    "rkyv07/torn-in-header", "rkyv07/zero-header",    "rkyv07/torn-in-payload"};

struct Fixture {
  std::vector<std::byte> bytes;
  std::vector<nlohmann::json> lines;  // {"start", "end", "entry"} of each record
  bool missing() const { return bytes.empty(); }
};
Fixture ReadFixture(std::string_view name);

// To begin a test that needs a journal: declares `variable`, or skips the test and says why.
#define STRATA_WASIX_FIXTURE(variable, name)                                                        \
  const auto variable = ::strata::journal::wasix::ReadFixture(name);                                \
  if ((variable).missing()) {                                                                       \
    GTEST_SKIP() << "the fixtures are missing (../shared/fixtures/wasix/" << (name) << ".journal)"; \
  }

// One record, header and payload, of a journal.
struct Record {
  EntryType type{};
  std::uint64_t position = 0;  // of the payload
  std::vector<std::byte> payload;
};
std::vector<Record> RecordsOf(ByteSpan journal);

// Bytes whose end a sanitizer knows.
std::vector<std::byte> Copy(ByteSpan bytes);

}  // namespace strata::journal::wasix
