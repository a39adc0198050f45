// TransferProgress: how far an import or export has come, on standard error: a line that is written over and over on a
// terminal, elsewhere a plain line every ten seconds.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace strata::cli {

struct Transfer {
  std::uint64_t items = 0;
  std::uint64_t bytes = 0;
  std::optional<double> part{};  // 0 to 1, where it is known how much there is
};

// "1.2 GiB", "512 B".
std::string BytesText(std::uint64_t bytes);
// "1:05", "2:00:09".
std::string DurationText(std::chrono::seconds duration);
// "12,345".
std::string CountText(std::uint64_t count);

class TransferProgress {
 public:
  // `doing`: "import"; `items`: "files".
  TransferProgress(std::string doing, std::string items);
  ~TransferProgress() { Clear(); }
  TransferProgress(const TransferProgress&) = delete;
  TransferProgress& operator=(const TransferProgress&) = delete;

  void Show(const Transfer& transfer);
  // Takes the line away, so that something else can be printed.
  void Clear();
  bool terminal() const { return terminal_; }

 private:
  using Clock = std::chrono::steady_clock;
  // Bytes a second, of about the last ten.
  double Rate(const Transfer& transfer, Clock::time_point now);

  const std::string doing_, items_;
  const bool terminal_;
  const Clock::time_point begun_ = Clock::now();
  bool shown_ = false;
  Clock::time_point next_{};
  // Of the rate: what there was at the last two marks.
  Clock::time_point mark_ = begun_, mark_before_ = begun_;
  std::uint64_t bytes_at_mark_ = 0, bytes_before_ = 0;
};

}  // namespace strata::cli
