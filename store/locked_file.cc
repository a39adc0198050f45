#include "store/locked_file.h"

#include <thread>

namespace strata::store {

Result<std::unique_ptr<File>> CreateLocked(Env& env, const std::string& path) {
  constexpr int kTries = 1000;
  for (int attempt = 0;; ++attempt) {
    auto file = env.Open(path, OpenMode::kCreateExclusive);
    if (file) {
      const auto locked = (*file)->Lock();
      if (!locked && locked.error().code() != Errc::kBusy) return Fail(locked.error());
      if (locked) {
        const auto there = env.Open(path, OpenMode::kRead);
        if (there) return file;
        if (there.error().code() != Errc::kNotFound) return Fail(there.error());
      }
    } else if (file.error().code() != Errc::kExists || attempt == 0) {
      return file;
    }
    if (attempt == kTries) return Fail(Errc::kExists, path + " is there, and another has it");
    // Who has it locked is about to remove it.
    std::this_thread::yield();
  }
}

}  // namespace strata::store
