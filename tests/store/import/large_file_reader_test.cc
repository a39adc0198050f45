#include "store/import/large_file_reader.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "store/import/import.h"
#include "tests/base/temp_folder.h"
#include "tests/store/import/import_testing.h"

namespace strata::store {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kPiece = 4 << 20;

std::string Numbers(std::size_t size) {
  std::string bytes(size, '\0');
  std::uint32_t state = 1;
  for (char& byte : bytes) byte = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return bytes;
}

Result<std::string> ReadAll(LargeFileReader& reader) {
  std::string all;
  while (true) {
    STRATA_ASSIGN(const ByteSpan piece, reader.Next());
    if (piece.empty()) return all;
    all.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  }
}

std::size_t PagesInCache(int fd, std::size_t size) {
  void* const mapped = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  std::vector<unsigned char> pages((size + 4095) / 4096);
  EXPECT_EQ(::mincore(mapped, size, pages.data()), 0);
  ::munmap(mapped, size);
  return static_cast<std::size_t>(std::ranges::count_if(pages, [](unsigned char page) { return (page & 1) != 0; }));
}

class LargeFileReaderTest : public ::testing::Test {
 protected:
  std::string Make(const std::string& content) {
    const std::string path = folder_.path() + "/file";
    WriteTestFile(path, content);
    return path;
  }
  static UniqueFd OpenIt(const std::string& path) { return UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)); }
  static void DropFromCache(int fd) {
    ASSERT_EQ(::fsync(fd), 0);
    ASSERT_EQ(::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
  }

  const TempFolder folder_;
};

TEST_F(LargeFileReaderTest, GivesFilesOfEverySizeCachedOrNot) {
  const std::string content = Numbers(4 * kPiece + 4097);
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{4096}, kPiece - 1, kPiece, kPiece + 1,
                                 3 * kPiece, 4 * kPiece + 511, 4 * kPiece + 4097}) {
    const std::string path = Make(content.substr(0, size));
    const UniqueFd fd = OpenIt(path);
    for (const bool cached : {true, false}) {
      if (!cached) DropFromCache(fd.get());
      LargeFileReader reader(fd.get(), path);
      const auto read = ReadAll(reader);
      ASSERT_TRUE(read) << read.error().ToString();
      ASSERT_TRUE(*read == content.substr(0, size)) << size << (cached ? " cached" : " not cached");
    }
  }
}

TEST_F(LargeFileReaderTest, LeavesThePageCacheAsItWas) {
  const std::string content = Numbers(3 * kPiece);
  const std::string path = Make(content);
  const UniqueFd fd = OpenIt(path);
  if (const UniqueFd direct(::open(path.c_str(), O_RDONLY | O_DIRECT)); !direct) GTEST_SKIP() << "no O_DIRECT here";
  DropFromCache(fd.get());
  if (PagesInCache(fd.get(), content.size()) > 0) GTEST_SKIP() << "what is written stays in memory here";
  {
    LargeFileReader reader(fd.get(), path);
    ASSERT_TRUE(ReadAll(reader).value() == content);
  }
  EXPECT_EQ(PagesInCache(fd.get(), content.size()), 0U);
  EXPECT_EQ(::fcntl(fd.get(), F_GETFL) & O_DIRECT, 0);
}

TEST_F(LargeFileReaderTest, ReadsWhatIsNotOnTheDiskYet) {
  const std::string path = Make("");
  const UniqueFd out(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  const std::string content = Numbers(2 * kPiece);
  // A hole that the page cache knows nothing of, and a few pages behind it that are only there.
  ASSERT_EQ(::pwrite(out.get(), content.data(), 8192, static_cast<off_t>(kPiece + 4096)), 8192);
  const UniqueFd fd = OpenIt(path);
  LargeFileReader reader(fd.get(), path);
  const std::string read = ReadAll(reader).value();
  EXPECT_TRUE(read == std::string(kPiece + 4096, '\0') + content.substr(0, 8192));
}

TEST_F(LargeFileReaderTest, EndsWhereverItsTakerStops) {
  const std::string path = Make(Numbers(5 * kPiece));
  const UniqueFd fd = OpenIt(path);
  for (int taken = 0; taken <= 6; ++taken) {
    LargeFileReader reader(fd.get(), path);
    for (int i = 0; i < taken; ++i) ASSERT_TRUE(reader.Next());
  }
}

TEST_F(LargeFileReaderTest, TellsWhyItEnded) {
  const UniqueFd fd(::open(folder_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  LargeFileReader reader(fd.get(), "a folder");
  const auto read = ReadAll(reader);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), Errc::kIsDirectory);
  EXPECT_THAT(read.error().ToString(), HasSubstr("reading a folder"));
  EXPECT_FALSE(reader.Next()) << "and again";
}

}  // namespace
}  // namespace strata::store
