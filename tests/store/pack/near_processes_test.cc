// Several processes that use one near store at once, and such as are killed in the middle of it.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "base/unique_fd.h"
#include "tests/store/pack/near_testing.h"

namespace strata::store::pack {
namespace {

constexpr std::uint64_t kSharedBound = 4 << 20;
constexpr std::size_t kSharedBlob = 16 << 10;
constexpr std::uint64_t kSharedBlobs = 4 * kSharedBound / kSharedBlob;

pid_t StartReader(const std::function<bool()>& work) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::_exit(work() ? 0 : 1);
}

bool EndsWell(pid_t pid) {
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Reads all blobs through the near store at `path`, from `first` on and around; false where one is not what it is.
bool ReadAround(const std::string& path, std::uint64_t first, const std::function<void()>& at_each) {
  const auto far = std::make_shared<CountedFar>();
  const auto cache = NearCache::Open(Env::System(), path, {.bytes = kSharedBound, .memory_bytes = 0});
  if (!cache) return false;
  const auto blobs = NearBlobs::Make((*cache)->blobs(), far);
  for (std::uint64_t i = 0; i < kSharedBlobs; ++i) {
    const std::string content = Noise(kSharedBlob, (first + i) % kSharedBlobs);
    const auto digest = far->Put(AsBytes(content));
    if (!digest || ReadWhole(*blobs, *digest) != content) return false;
    at_each();
  }
  return true;
}

TEST(NearProcesses, TwoReadThroughOneStoreWhichKeepsToItsBound) {
  const QuickFolder folder;
  const std::string path = folder / "near";
  const auto work = [&](std::uint64_t first) { return [&, first] { return ReadAround(path, first, [] {}); }; };
  const pid_t one = StartReader(work(0)), other = StartReader(work(kSharedBlobs / 3));
  EXPECT_TRUE(EndsWell(one));
  EXPECT_TRUE(EndsWell(other));
  const auto cache = MustOpenNear(Env::System(), path, kSharedBound);
  EXPECT_LE(BytesOfPacks(path), kSharedBound);
  EXPECT_GE(BytesOfPacks(path), kSharedBound / 2);
}

TEST(NearProcesses, OneThatWasKilledLeavesAStoreThatServesWhatIsWhole) {
  const QuickFolder folder;
  const std::string path = folder / "near";
  std::uint64_t random = 7;
  for (int round = 0; round < 12; ++round) {
    SCOPED_TRACE(round);
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = StartReader([&] {
      (void)ReadAround(path, static_cast<std::uint64_t>(round) * 50, [&] {
        if (::write(ends[1], ".", 1) != 1) ::_exit(2);
      });
      return true;
    });
    ::close(ends[1]);
    const UniqueFd said(ends[0]);
    random = random * 6364136223846793005ULL + 1442695040888963407ULL;
    char dot = 0;
    for (std::uint64_t left = 1 + (random >> 33) % 300; left > 0; --left) ASSERT_EQ(::read(said.get(), &dot, 1), 1);
    ::kill(child, SIGKILL);
    EXPECT_FALSE(EndsWell(child));
    ASSERT_TRUE(ReadAround(path, static_cast<std::uint64_t>(round) * 50, [] {}));
    EXPECT_LE(BytesOfPacks(path), kSharedBound + kSharedBound / 32);
  }
}

}  // namespace
}  // namespace strata::store::pack
