// Progress: one line on a terminal's standard error that says what is being done and how far it has come; nothing where
// that is no terminal.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace strata::cli {

class Progress {
 public:
  Progress();
  ~Progress() { Clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `part`: 0 to 1. As cheap as a look at the clock, most times.
  void Show(std::string_view what, double part);
  // Takes the line away, so that something else can be printed.
  void Clear();

 private:
  const bool terminal_;
  bool shown_ = false;
  std::string what_;
  std::chrono::steady_clock::time_point next_{};
};

}  // namespace strata::cli
