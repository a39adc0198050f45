#include "base/env.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/base/temp_folder.h"

namespace strata {
namespace {

TEST(SystemEnv, WritesPiecesOneAfterTheOtherAndReadsUpToTheEnd) {
  TempFolder folder;
  Env& env = Env::System();
  auto file = env.Open(folder / "f", OpenMode::kCreateExclusive);
  ASSERT_TRUE(file) << file.error().ToString();
  std::vector<ByteSpan> pieces;
  for (int i = 0; i < 200; ++i) pieces.push_back(AsBytes(i % 3 == 0 ? "" : "ab"));
  ASSERT_TRUE((*file)->WriteAt(1, pieces));
  std::vector<std::byte> out(1000);
  auto got = (*file)->ReadAt(0, out);
  ASSERT_TRUE(got);
  const std::size_t full =
      static_cast<std::size_t>(std::ranges::count_if(pieces, [](ByteSpan p) { return !p.empty(); }));
  ASSERT_EQ(*got, 1 + 2 * full);
  EXPECT_EQ(out[0], std::byte{0});
  EXPECT_EQ(AsText(ByteSpan(out).subspan(*got - 4, 4)), "abab");
  EXPECT_EQ((*file)->Size().value(), *got);
}

TEST(SystemEnv, ShowsLaterWritesInAMapping) {
  TempFolder folder;
  auto file = Env::System().Open(folder / "f", OpenMode::kCreate);
  ASSERT_TRUE(file);
  ASSERT_TRUE((*file)->Allocate(0, 8192));
  EXPECT_EQ((*file)->Size().value(), 8192u);
  auto mapping = (*file)->Map(1 << 20);
  ASSERT_TRUE(mapping);
  const ByteSpan pieces[] = {AsBytes("hello")};
  ASSERT_TRUE((*file)->WriteAt(4096, pieces));
  EXPECT_EQ(AsText((*mapping)->bytes().subspan(4096, 5)), "hello");
  ASSERT_TRUE((*file)->SyncData());
}

TEST(SystemEnv, RefusesASecondLock) {
  TempFolder folder;
  Env& env = Env::System();
  auto first = env.Open(folder / "lock", OpenMode::kCreate);
  auto second = env.Open(folder / "lock", OpenMode::kReadWrite);
  ASSERT_TRUE(first && second);
  EXPECT_TRUE((*first)->Lock());
  auto refused = (*second)->Lock();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::kBusy);
  first->reset();
  EXPECT_TRUE((*second)->Lock());
}

TEST(SystemEnv, NamesThePathInItsErrors) {
  TempFolder folder;
  Env& env = Env::System();
  auto missing = env.Open(folder / "missing", OpenMode::kRead);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), Errc::kNotFound);
  EXPECT_NE(missing.error().message().find("missing"), std::string_view::npos);
  ASSERT_TRUE(env.Open(folder / "f", OpenMode::kCreate));
  auto exists = env.Open(folder / "f", OpenMode::kCreateExclusive);
  ASSERT_FALSE(exists);
  EXPECT_EQ(exists.error().code(), Errc::kExists);
  auto no_directory = env.CreateDirectory(folder / "f");
  ASSERT_FALSE(no_directory);
  EXPECT_EQ(no_directory.error().code(), Errc::kNotDirectory);
}

TEST(SystemEnv, MakesListsRenamesAndRemoves) {
  TempFolder folder;
  Env& env = Env::System();
  ASSERT_TRUE(env.CreateDirectory(folder / "d"));
  ASSERT_TRUE(env.CreateDirectory(folder / "d"));
  ASSERT_TRUE(env.Open(folder / "d/a", OpenMode::kCreate));
  ASSERT_TRUE(env.Rename(folder / "d/a", folder / "d/b"));
  ASSERT_TRUE(env.SyncDirectory(folder / "d"));
  EXPECT_EQ(env.ListDirectory(folder / "d").value(), std::vector<std::string>{"b"});
  ASSERT_TRUE(env.Remove(folder / "d/b"));
  EXPECT_TRUE(env.ListDirectory(folder / "d").value().empty());
  EXPECT_FALSE(env.Remove(folder / "d/b"));
}

TEST(SystemEnv, TellsSpaceTimeAndRandomBytes) {
  TempFolder folder;
  Env& env = Env::System();
  auto space = env.SpaceOf(folder / ".");
  ASSERT_TRUE(space);
  EXPECT_GT(space->total, 0u);
  EXPECT_GT(env.Now().ns, std::int64_t{1'600'000'000} * 1'000'000'000);
  const std::int64_t before = env.MonotonicNs();
  EXPECT_LE(before, env.MonotonicNs());
  std::vector<std::byte> bytes(1000);
  env.Random(bytes);
  EXPECT_LT(std::ranges::count(bytes, std::byte{0}), 100);
}

TEST(DirectoryOf, GivesTheFolderThatHoldsAPath) {
  EXPECT_EQ(DirectoryOf("/a/b/c"), "/a/b");
  EXPECT_EQ(DirectoryOf("/a"), "/");
  EXPECT_EQ(DirectoryOf("a/b"), "a");
  EXPECT_EQ(DirectoryOf("a"), ".");
}

TEST(ReplaceFile, LeavesTheNewContentAndNoOtherFile) {
  TempFolder folder;
  Env& env = Env::System();
  ASSERT_TRUE(ReplaceFile(env, folder / "config", "a longer first content"));
  ASSERT_TRUE(ReplaceFile(env, folder / "config", "second"));
  EXPECT_EQ(ReadWholeFile(env, folder / "config", 100).value(), "second");
  EXPECT_EQ(env.ListDirectory(folder / ".").value().size(), 1u);
  auto too_big = ReadWholeFile(env, folder / "config", 5);
  ASSERT_FALSE(too_big);
  EXPECT_EQ(too_big.error().code(), Errc::kFileTooBig);
}

}  // namespace
}  // namespace strata
