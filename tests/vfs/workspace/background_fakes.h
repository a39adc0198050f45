// For the tests of the background: a clock and a disk that a test sets, and an index that keeps nothing but tells what
// it is told to.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/env.h"
#include "store/index/index.h"
#include "store/index/scan.h"

namespace strata::vfs::testing {

// The real files, at a time and on a disk of the test's.
class ManualEnv final : public Env {
 public:
  std::atomic<std::int64_t> now_ns{1'000'000'000'000};
  std::atomic<std::uint64_t> available{1ULL << 40};

  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override { return base_.Open(path, mode); }
  Result<void> CreateDirectory(const std::string& path) override { return base_.CreateDirectory(path); }
  Result<std::vector<std::string>> ListDirectory(const std::string& path) override { return base_.ListDirectory(path); }
  Result<void> Rename(const std::string& from, const std::string& to) override { return base_.Rename(from, to); }
  Result<void> Remove(const std::string& path) override { return base_.Remove(path); }
  Result<void> SyncDirectory(const std::string& path) override { return base_.SyncDirectory(path); }
  Result<Space> SpaceOf(const std::string&) override { return Space{.total = 1ULL << 40, .available = available}; }
  Time Now() override { return Time{now_ns}; }
  std::int64_t MonotonicNs() override { return now_ns; }
  void Random(MutableByteSpan out) override { base_.Random(out); }

 private:
  Env& base_ = Env::System();
};

class FakeIndex final : public store::Index {
 public:
  std::optional<Errc> failure;     // of every commit
  bool reader_in_the_way = false;  // nothing can be settled
  bool settles_for_ever = false;   // until it is told to stop
  store::IndexCounts counts;
  std::vector<store::LivingSegment> segments;
  std::function<void()> on_commit;  // before one
  std::atomic<int> commits{0}, settled{0};
  std::atomic<int> reads{0};  // of rows

  Result<Checkpoint> LastCheckpoint() override { return checkpoint_; }
  Result<std::optional<store::IndexInode>> LoadInode(InodeNumber) override {
    return Nothing<std::optional<store::IndexInode>>();
  }
  Result<std::optional<store::IndexEntry>> LoadEntry(InodeNumber, std::uint64_t, std::string_view) override {
    return Nothing<std::optional<store::IndexEntry>>();
  }
  Result<bool> LoadEntries(InodeNumber, std::uint64_t, std::size_t,
                           const std::function<void(const store::IndexEntry&)>&) override {
    return Nothing<bool>();
  }
  Result<std::uint64_t> LoadExtents(InodeNumber, std::uint64_t, std::uint64_t, std::size_t,
                                    std::vector<Extent>&) override {
    return Nothing<std::uint64_t>();
  }
  store::IndexCounts Counts() const override { return counts; }
  Result<void> VisitInodes(const std::function<void(const InodeRecord&)>&) override { return {}; }
  Result<void> VisitNumbers(InodeNumber, const std::function<void(InodeNumber)>&) override { return {}; }
  Result<std::vector<store::LivingSegment>> LivingIn(std::uint64_t first, std::uint64_t last) override {
    ++reads;
    std::vector<store::LivingSegment> within;
    for (const store::LivingSegment& row : segments) {
      if (row.segment >= first && row.segment <= last) within.push_back(row);
    }
    return within;
  }
  Result<void> Check() override { return {}; }
  bool damaged() const override { return false; }
  Result<std::unique_ptr<store::IndexScan>> Scan() override { return Fail(Errc::kNotSupported); }
  Result<std::unique_ptr<Writer>> Begin(std::uint64_t) override { return std::make_unique<FakeWriter>(*this); }
  Result<bool> Settle(const std::function<void()>&, const std::function<bool()>& stop) override {
    if (settles_for_ever) {
      while (!stop()) std::this_thread::yield();
      return false;
    }
    settled += !reader_in_the_way;
    return !reader_in_the_way;
  }

 private:
  class FakeWriter final : public Writer {
   public:
    explicit FakeWriter(FakeIndex& index) : index_(index) {}
    Result<void> PutInode(const InodeRecord&) override { return {}; }
    Result<void> Touch(InodeNumber, std::uint32_t, std::uint64_t, std::uint32_t, Time, Time) override { return {}; }
    Result<void> PutEntry(InodeNumber, const store::IndexEntry&) override { return {}; }
    Result<void> RemoveEntry(InodeNumber, std::uint64_t, std::string_view) override { return {}; }
    Result<void> PutExtent(InodeNumber, const Extent&) override { return {}; }
    Result<void> Truncate(InodeNumber, std::uint64_t) override { return {}; }
    Result<void> Purge(InodeNumber) override { return {}; }
    std::size_t bytes() const override { return 0; }
    Result<void> Commit(const Checkpoint& checkpoint, const std::function<void()>&) override {
      if (index_.on_commit) index_.on_commit();
      if (index_.failure) return Fail(*index_.failure, "the index's disk");
      index_.checkpoint_ = checkpoint;
      ++index_.commits;
      return {};
    }

   private:
    FakeIndex& index_;
  };

  template <typename T>
  Result<T> Nothing() {
    ++reads;
    return T();
  }

  Checkpoint checkpoint_;
};

}  // namespace strata::vfs::testing
