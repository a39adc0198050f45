// Processes for the tests of the pack store, and what a store must be like whatever became of them.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "store/pack/closure_walk.h"
#include "store/pack/verify.h"
#include "tests/store/pack/pack_testing.h"

namespace strata::store::pack {

// A process that runs `work`, which says numbers to the test; it has done well if it ends by itself with true.
class Child {
 public:
  using Say = std::function<void(std::uint32_t)>;
  explicit Child(const std::function<bool(const Say&)>& work) {
    int ends[2];
    if (::pipe(ends) != 0) std::abort();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::close(ends[0]);
      const bool well = work([&](std::uint32_t number) {
        if (::write(ends[1], &number, sizeof number) != sizeof number) ::_exit(2);
      });
      ::_exit(well ? 0 : 1);
    }
    ::close(ends[1]);
    said_ = UniqueFd(ends[0]);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ > 0) Kill();
  }

  // Waits for what it says next; nothing once it has ended.
  std::optional<std::uint32_t> Next() {
    std::uint32_t number = 0;
    if (::read(said_.get(), &number, sizeof number) != sizeof number) return std::nullopt;
    return number;
  }
  void Kill() {
    ::kill(pid_, SIGKILL);
    End();
  }
  bool End() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

 private:
  pid_t pid_ = -1;
  UniqueFd said_;
};

inline void ForgetLeases(const std::string& path) {
  for (const auto& entry : std::filesystem::directory_iterator(path + "/leases")) std::filesystem::remove(entry);
}

inline void ExpectSound(PackStore& store) {
  std::vector<std::string> told;
  VerifyOptions options;
  options.told = [&](const Problem& problem) { told.push_back(problem.message); };
  const auto report = VerifyStore(store.engine(), options);
  ASSERT_OK(report);
  EXPECT_EQ(told, std::vector<std::string>());
}

// All names lead to what is whole.
inline void ExpectNamesWhole(PackStore& store) {
  ClosureWalk walk(store.engine());
  ASSERT_OK(
      store.roots()->List({}, [&](std::string_view, const Root& root) { return walk.AddRoot(root).has_value(); }));
  ASSERT_OK(walk.CheckWhole());
}

}  // namespace strata::store::pack
