// RecordSorter: sorts more records than memory holds. What does not fit is written to a temporary file in sorted runs,
// which are merged when they are read. The files have no names: they go with the process.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/status.h"

namespace strata::store {

// Sorted by the bytes of `key`, then by `order`.
struct SortedRecord {
  std::string_view key;
  std::uint64_t order = 0;
  std::string_view payload;
};

// Not thread-safe.
class RecordStream {
 public:
  virtual ~RecordStream() = default;
  // False at the end. The record's parts are valid until the next call. kCorrupt where a temporary file does not give
  // back what was written to it.
  virtual Result<bool> Next(SortedRecord& record) = 0;
};

struct SortedRun;

// Not thread-safe.
class RecordSorter {
 public:
  static constexpr std::size_t kMaxRecordBytes = 16 << 20;  // key and payload

  // `folder`: where the temporary files lie, if there are any. `memory`: bytes of records held at most; a record is
  // counted with 24 more. Merging takes up to 8 MiB besides.
  RecordSorter(Env& env, std::string folder, std::size_t memory);
  ~RecordSorter();
  RecordSorter(const RecordSorter&) = delete;
  RecordSorter& operator=(const RecordSorter&) = delete;

  // kNoSpace and the like from the temporary file, with a word on how to use another folder. Not after Read.
  Result<void> Add(std::string_view key, std::uint64_t order, std::string_view payload);
  // All records from the first one on; any number of streams, one after the other or side by side. They refer to the
  // sorter.
  Result<std::unique_ptr<RecordStream>> Read();
  std::uint64_t count() const { return count_; }
  // Bytes written to temporary files so far.
  std::uint64_t spilled() const { return spilled_; }

 private:
  Result<void> Spill();
  Result<void> MergeLevel(std::size_t level);
  std::byte* Room(std::size_t size);
  void Sort();

  Env& env_;
  const std::string folder_;
  const std::size_t memory_;
  std::uint64_t count_ = 0;
  std::uint64_t spilled_ = 0;
  // In memory: records in blocks, and where each of them begins.
  std::vector<std::unique_ptr<std::byte[]>> blocks_;
  std::size_t block_left_ = 0;  // of the last block
  std::byte* next_ = nullptr;
  std::size_t held_ = 0;
  std::vector<const std::byte*> records_;
  bool sorted_ = true;
  // On disk: runs by how often their records were merged.
  std::vector<std::vector<std::shared_ptr<SortedRun>>> levels_;
};

}  // namespace strata::store
