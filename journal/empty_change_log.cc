#include "journal/empty_change_log.h"

#include <utility>

namespace strata::journal {
namespace {

class Empty final : public ChangeLog {
 public:
  Result<Appended> Append(const Change&) override { return Fail(Errc::kReadOnly); }
  Result<void> Flush() override { return {}; }
  void Sync(Lsn, std::move_only_function<void(Result<void>)> done) override { done({}); }
  Lsn end() const override { return {}; }
  Lsn durable() const override { return {}; }
  bool failed() const override { return false; }
  Result<PinnedBytes> Data(Lsn, Lsn, std::uint64_t, bool) override { return Fail(Errc::kCorrupt); }
  Result<void> Copy(Lsn, MutableByteSpan, bool) override { return Fail(Errc::kCorrupt); }
  Result<std::optional<RecordView>> Next(Lsn) override { return std::nullopt; }
  Result<std::optional<RecordView>> NextHead(Lsn) override { return std::nullopt; }
  void ReleasePages() override {}
  Result<void> Retire(Lsn) override { return Fail(Errc::kReadOnly); }
  Result<void> GiveUp(std::uint64_t) override { return Fail(Errc::kReadOnly); }
  bool IsGivenUp(std::uint64_t) const override { return false; }
  Lsn begin() const override { return {}; }
  std::uint64_t segment_size() const override { return 1; }
  std::uint64_t cut_bytes() const override { return 0; }
  std::uint64_t cut_segments() const override { return 0; }
  std::uint64_t disk_bytes() const override { return 0; }
  std::uint64_t held_bytes() const override { return 0; }
  bool GiveReserveUp() override { return false; }
  void RestoreReserve() override {}
  std::uint64_t missing_reserve() const override { return 0; }
};

}  // namespace

std::unique_ptr<ChangeLog> EmptyChangeLog() { return std::make_unique<Empty>(); }

}  // namespace strata::journal
