#include "cli/transfer_progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace strata::cli {
namespace {

constexpr std::chrono::milliseconds kTerminalInterval{100};
constexpr std::chrono::seconds kPlainInterval{10};
constexpr std::chrono::seconds kRateWindow{5};
constexpr int kBarWidth = 20;
// Before so much is done, the time that is left is a guess of nothing.
constexpr double kLeastPart = 0.005;

}  // namespace

std::string BytesText(std::uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 || value >= 100 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text;
}

std::string DurationText(std::chrono::seconds duration) {
  const long long seconds = duration.count();
  char text[32];
  if (seconds >= 3600) {
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", seconds / 3600, seconds / 60 % 60, seconds % 60);
  } else {
    std::snprintf(text, sizeof text, "%lld:%02lld", seconds / 60, seconds % 60);
  }
  return text;
}

std::string CountText(std::uint64_t count) {
  std::string text = std::to_string(count);
  for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, 1, ',');
  return text;
}

TransferProgress::TransferProgress(std::string doing, std::string items)
    : doing_(std::move(doing)),
      items_(std::move(items)),
      terminal_(::isatty(STDERR_FILENO) != 0 && std::getenv("TERM") != nullptr) {
  if (!terminal_) next_ = begun_ + kPlainInterval;
}

double TransferProgress::Rate(const Transfer& transfer, Clock::time_point now) {
  if (now - mark_ >= kRateWindow) {
    mark_before_ = std::exchange(mark_, now);
    bytes_before_ = std::exchange(bytes_at_mark_, transfer.bytes);
  }
  const double seconds = std::chrono::duration<double>(now - mark_before_).count();
  // What is read again is taken back.
  const std::uint64_t bytes = transfer.bytes - std::min(transfer.bytes, bytes_before_);
  return seconds > 0 ? static_cast<double>(bytes) / seconds : 0;
}

void TransferProgress::Show(const Transfer& transfer) {
  const auto now = Clock::now();
  const double rate = Rate(transfer, now);
  if (now < next_) return;
  next_ = now + (terminal_ ? Clock::duration(kTerminalInterval) : Clock::duration(kPlainInterval));
  std::string line = doing_;
  if (transfer.part) {
    const double part = std::clamp(*transfer.part, 0.0, 1.0);
    if (terminal_) {
      const int cells = static_cast<int>(part * kBarWidth);
      line += " [" + std::string(static_cast<std::size_t>(cells), '#') +
              std::string(static_cast<std::size_t>(kBarWidth - cells), '.') + "]";
    }
    char percent[16];
    std::snprintf(percent, sizeof percent, " %3d %%", static_cast<int>(part * 100));
    line += percent;
  }
  line += "  " + CountText(transfer.items) + " " + items_ + "  " + BytesText(transfer.bytes) + "  " +
          BytesText(static_cast<std::uint64_t>(rate)) + "/s";
  const double elapsed = std::chrono::duration<double>(now - begun_).count();
  if (transfer.part && *transfer.part >= kLeastPart && *transfer.part <= 1) {
    const auto left = std::chrono::seconds(static_cast<long long>(elapsed / *transfer.part * (1 - *transfer.part)));
    line += "  " + DurationText(left) + " left";
  }
  std::fprintf(stderr, terminal_ ? "\r\033[K%s" : "%s\n", line.c_str());
  std::fflush(stderr);
  shown_ = terminal_;
}

void TransferProgress::Clear() {
  if (!shown_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  shown_ = false;
}

}  // namespace strata::cli
