// A table of records by digest, for closures of millions of directories. A record takes its own size and some 8 to 14
// bytes more: records lie in blocks that never move, and what finds them is a set of their numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "absl/container/flat_hash_set.h"
#include "store/digest.h"

namespace strata::store {

// `Record` has a member `digest`.
template <typename Record>
class DigestTable {
 public:
  DigestTable() : numbers_(0, Hash{&records_}, Equal{&records_}) {}
  DigestTable(const DigestTable&) = delete;
  DigestTable& operator=(const DigestTable&) = delete;

  // At most 2^32 records.
  std::size_t size() const { return records_.size(); }
  // In the order in which they were added.
  const Record& operator[](std::size_t number) const { return records_[number]; }

  // Null where there is none. Valid until the table goes.
  Record* Find(const Digest& digest) {
    const auto found = numbers_.find(digest);
    return found == numbers_.end() ? nullptr : &records_[*found];
  }
  const Record* Find(const Digest& digest) const {
    const auto found = numbers_.find(digest);
    return found == numbers_.end() ? nullptr : &records_[*found];
  }
  // Of a digest that is not there yet.
  Record& Add(Record record) {
    records_.push_back(std::move(record));
    numbers_.insert(static_cast<std::uint32_t>(records_.size() - 1));
    return records_.back();
  }

 private:
  using Records = std::deque<Record>;
  struct Hash {
    using is_transparent = void;
    const Records* records;
    std::size_t operator()(const Digest& digest) const { return absl::Hash<Digest>()(digest); }
    std::size_t operator()(std::uint32_t number) const { return (*this)((*records)[number].digest); }
  };
  struct Equal {
    using is_transparent = void;
    const Records* records;
    bool operator()(std::uint32_t a, std::uint32_t b) const { return a == b; }
    bool operator()(std::uint32_t a, const Digest& b) const { return (*records)[a].digest == b; }
    bool operator()(const Digest& a, std::uint32_t b) const { return (*this)(b, a); }
  };

  Records records_;
  absl::flat_hash_set<std::uint32_t, Hash, Equal> numbers_;
};

}  // namespace strata::store
