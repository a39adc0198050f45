// What the journal's tests share: making journals, and reading them back.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "journal/format.h"
#include "journal/journal.h"
#include "tests/base/fault_env.h"
#include "tests/base/temp_folder.h"

namespace strata::journal {

inline constexpr std::uint64_t kVolume = 0x1122334455667788ULL;
inline constexpr std::uint64_t kSmallSegment = 16384;

struct Written {
  std::string head, payload;
  friend bool operator==(const Written&, const Written&) = default;
};

inline JournalOptions Options(std::uint64_t segment_size = kSmallSegment, bool read_only = false) {
  return {.segment_size = segment_size, .read_only = read_only, .volume_id = kVolume};
}

inline std::unique_ptr<Journal> MustOpen(Env& env, const std::string& directory,
                                         const JournalOptions& options = Options()) {
  auto journal = Journal::Open(env, directory, options);
  EXPECT_TRUE(journal) << journal.error().ToString();
  return journal ? std::move(*journal) : nullptr;
}

inline Appended MustAppend(Journal& journal, const Written& record) {
  auto appended = journal.Append(AsBytes(record.head), AsBytes(record.payload));
  EXPECT_TRUE(appended) << appended.error().ToString();
  return appended.value_or(Appended{});
}

// Record number i of a test: sizes and bytes vary, and no two are equal.
inline Written Sample(std::uint32_t i) {
  Written record;
  record.head = "head " + std::to_string(i) + std::string(i % 23, 'h');
  record.payload = std::string(i * 37 % 1500, static_cast<char>('a' + i % 26));
  return record;
}

// Every record from the beginning, or the error that ended the reading.
struct ReadBack {
  std::vector<Written> records;
  std::optional<Status> error;
};

inline ReadBack ReadAll(Journal& journal) {
  ReadBack all;
  Lsn at{0};
  while (true) {
    auto next = journal.Next(at);
    if (!next) {
      all.error = next.error();
      return all;
    }
    if (!*next) return all;
    all.records.push_back({std::string(AsText((*next)->head)), std::string(AsText((*next)->payload))});
    EXPECT_GT((*next)->end, at);
    at = (*next)->end;
  }
}

inline std::string Slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
inline void Spill(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

}  // namespace strata::journal
