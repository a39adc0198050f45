#include "cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace strata::cli {
namespace {

constexpr std::chrono::milliseconds kInterval(100);
constexpr int kBarCells = 30;

}  // namespace

Progress::Progress() : terminal_(::isatty(STDERR_FILENO) != 0 && std::getenv("TERM") != nullptr) {}

void Progress::Show(std::string_view what, double part) {
  if (!terminal_) return;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_ && what == what_) return;
  next_ = now + kInterval;
  what_ = what;
  const double whole = std::clamp(part, 0.0, 1.0);
  const int cells = static_cast<int>(whole * kBarCells);
  std::fprintf(stderr, "\r\033[K%-10s [%s%s] %3d %%", what_.c_str(),
               std::string(static_cast<std::size_t>(cells), '#').c_str(),
               std::string(static_cast<std::size_t>(kBarCells - cells), '.').c_str(), static_cast<int>(whole * 100));
  std::fflush(stderr);
  shown_ = true;
}

void Progress::Clear() {
  if (!shown_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  shown_ = false;
}

}  // namespace strata::cli
