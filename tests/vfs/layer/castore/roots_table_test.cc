// The table of which ids the roots of a store have: given out once, on disk before that, whatever fails meanwhile.
#include "vfs/layer/castore/roots_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/base/fault_env.h"
#include "tests/vfs/layer/castore/castore_testing.h"

namespace strata::vfs::castore {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

store::Digest KeyNo(int number) { return store::Digest::Of(AsBytes("key " + std::to_string(number))); }
RootRange Want(const std::string& name, int key, std::uint64_t ids = 1) { return {name, KeyNo(key), 0, ids}; }

std::string FileText(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void SetFileText(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc).write(text.data(), static_cast<std::streamsize>(text.size()));
}

class RootsTableTest : public ::testing::Test {
 protected:
  std::unique_ptr<RootsTable> Open(Env& env = Env::System()) {
    auto table = RootsTable::Open(env, home_.path());
    EXPECT_TRUE(table) << (table ? "" : table.error().ToString());
    return table ? std::move(*table) : nullptr;
  }
  std::string file() const { return home_ / "roots.table"; }

  TempFolder home_{FolderInMemory()};
};

Result<void> AddOne(RootsTable& table, const RootRange& wanted) { return table.Add({&wanted, 1}); }

TEST_F(RootsTableTest, EachRootHasItsOwnIdsAndKeepsThem) {
  std::vector<RootRange> wanted{Want("a", 1, 10), Want("b", 1, 5), Want("a", 2, 7), Want("\xff odd", 3)};
  {
    const auto table = Open();
    EXPECT_EQ(table->Find("a", KeyNo(1)), nullptr);
    EXPECT_EQ(table->OwnerOf(2), nullptr);
    ASSERT_TRUE(table->Add(wanted));
    ASSERT_TRUE(table->Add(wanted)) << "what they have";
    EXPECT_EQ(table->size(), 4u);
  }
  const auto table = Open();
  std::uint64_t next = 2;
  for (const RootRange& one : wanted) {
    const RootRange* const found = table->Find(one.name, one.key);
    ASSERT_NE(found, nullptr) << one.name;
    EXPECT_EQ(found->first, next);
    EXPECT_EQ(found->ids, one.ids);
    EXPECT_EQ(table->OwnerOf(next), found);
    EXPECT_EQ(table->OwnerOf(next + one.ids - 1), found);
    next += one.ids;
  }
  for (const std::uint64_t id : {std::uint64_t{0}, std::uint64_t{1}, next, ~std::uint64_t{0}}) {
    EXPECT_EQ(table->OwnerOf(id), nullptr) << id;
  }
}

// docs/formats/roots.md has the same, worked out by another program.
TEST_F(RootsTableTest, TheBytesAreThoseOfTheFormat) {
  const auto table = Open();
  const RootRange wanted{"web", store::Digest::OfEmpty(), 0, 0x1234};
  ASSERT_TRUE(AddOne(*table, wanted));
  const std::string text = FileText(file());
  std::string hex;
  for (const char c : text) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(c));
    hex += digits;
  }
  const std::string header = std::string("5354524154415254") + "01000000" + "42cf7346" + std::string(96, '0');
  const std::string frame = std::string("726e6765") + "35000000" + "9645c316" + "00000000" + "0200000000000000" +
                            "3412000000000000" + "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262" +
                            "0300" + "776562" + std::string(2 * (128 - 69), '0');
  EXPECT_EQ(hex, header + frame);
}

TEST_F(RootsTableTest, MoreThanAFrameHoldsIsAddedAtOnce) {
  std::vector<RootRange> wanted;
  for (int i = 0; i < 6000; ++i) wanted.push_back(Want(std::string(100, 'x') + std::to_string(i), i, 3));
  ASSERT_TRUE(Open()->Add(wanted));
  EXPECT_GT(FileText(file()).size(), 2 * roots_format::kMostFrame);
  const auto table = Open();
  EXPECT_EQ(table->size(), wanted.size());
  std::set<std::uint64_t> firsts;
  for (const RootRange& one : wanted) firsts.insert(table->Find(one.name, one.key)->first);
  EXPECT_EQ(firsts.size(), wanted.size());
  EXPECT_EQ(*firsts.rbegin(), 2 + 3 * 5999u);
}

TEST_F(RootsTableTest, ServersThatShareTheHomeGiveTheSame) {
  const auto one = Open(), other = Open();
  ASSERT_TRUE(AddOne(*one, Want("a", 1, 10)));
  EXPECT_EQ(other->OwnerOf(5), nullptr);
  ASSERT_TRUE(other->Refresh());
  ASSERT_NE(other->OwnerOf(5), nullptr);
  EXPECT_EQ(other->OwnerOf(5)->name, "a");
  ASSERT_TRUE(AddOne(*other, Want("b", 2, 10)));
  ASSERT_TRUE(AddOne(*one, Want("b", 2, 10)));
  EXPECT_EQ(one->Find("b", KeyNo(2))->first, other->Find("b", KeyNo(2))->first);
  ASSERT_TRUE(AddOne(*one, Want("c", 3)));
  ASSERT_TRUE(other->Refresh());
  EXPECT_EQ(other->Find("c", KeyNo(3))->first, 22u);
}

TEST_F(RootsTableTest, ManyAddAtOnceAndNoIdIsGivenTwice) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const auto table = Open();
      for (int i = 0; i < 15; ++i) {
        EXPECT_TRUE(AddOne(*table, Want("own" + std::to_string(t), i, 2)));
        EXPECT_TRUE(AddOne(*table, Want("common", i, 3)));
        EXPECT_NE(table->Find("common", KeyNo(i)), nullptr);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto table = Open();
  EXPECT_EQ(table->size(), 4u * 15 + 15);
  std::uint64_t id = 2;
  while (const RootRange* range = table->OwnerOf(id)) id += range->ids;
  EXPECT_EQ(id, 2u + 4 * 15 * 2 + 15 * 3);
}

TEST_F(RootsTableTest, ATornTailIsCutAndAllBeforeItStands) {
  {
    const auto table = Open();
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(AddOne(*table, Want("root" + std::to_string(i), i, 4)));
  }
  const std::string whole = FileText(file());
  ASSERT_EQ(whole.size(), 64u + 3 * 128);
  CapturedLog log;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    SCOPED_TRACE(size);
    SetFileText(file(), whole.substr(0, size));
    const std::size_t left = size < 64 ? 0 : (size - 64) / 128;
    const auto table = Open();
    ASSERT_EQ(table->size(), left);
    for (std::size_t i = 0; i < left; ++i) EXPECT_EQ(table->OwnerOf(2 + 4 * i)->name, "root" + std::to_string(i));
    ASSERT_TRUE(AddOne(*table, Want("new", 9)));
    EXPECT_EQ(Open()->Find("new", KeyNo(9))->first, 2 + 4 * left);
  }
  // As a power cut leaves it: its length is there, some of its blocks are not.
  SetFileText(file(), whole.substr(0, 64 + 256) + std::string(128, '\0'));
  EXPECT_EQ(Open()->size(), 2u);
}

TEST_F(RootsTableTest, DamageIsRefusedAndNeverGivesAnotherRange) {
  {
    const auto table = Open();
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(AddOne(*table, Want("root" + std::to_string(i), i, 4)));
  }
  const std::string whole = FileText(file());
  CapturedLog log;
  int refused = 0;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    SCOPED_TRACE(at);
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x11);
    SetFileText(file(), bytes);
    const auto table = RootsTable::Open(Env::System(), home_.path());
    if (!table) {
      ++refused;
      const Errc code = table.error().code();
      EXPECT_TRUE(code == Errc::kCorrupt || code == Errc::kNotSupported);
      EXPECT_THAT(std::string(table.error().message()), HasSubstr(file()));
      if (code == Errc::kCorrupt) {
        EXPECT_THAT(std::string(table.error().message()), HasSubstr("clients then have to mount anew"));
      }
      EXPECT_EQ(FileText(file()), bytes) << "as it was found";
      continue;
    }
    for (int i = 0; i < 3; ++i) {
      const RootRange* const range = (*table)->OwnerOf(2 + 4 * static_cast<std::uint64_t>(i));
      if (range == nullptr) {
        EXPECT_EQ(i, 2) << "only the last may look as if it was not written to its end";
        continue;
      }
      EXPECT_EQ(range->name, "root" + std::to_string(i));
      EXPECT_EQ(range->key, KeyNo(i));
    }
  }
  EXPECT_GT(refused, 100);
  SetFileText(file(), whole + std::string(2 * roots_format::kMostFrame, 'x'));
  EXPECT_EQ(RootsTable::Open(Env::System(), home_.path()).error().code(), Errc::kCorrupt);
}

TEST_F(RootsTableTest, ATableThatBecomesShorterIsRefused) {
  const auto table = Open();
  ASSERT_TRUE(AddOne(*table, Want("a", 1)));
  ASSERT_TRUE(AddOne(*table, Want("b", 1)));
  SetFileText(file(), FileText(file()).substr(0, 64 + 128));
  EXPECT_EQ(AddOne(*table, Want("c", 1)).error().code(), Errc::kCorrupt);
  EXPECT_EQ(table->Refresh().error().code(), Errc::kCorrupt);
  EXPECT_NE(table->Find("b", KeyNo(1)), nullptr) << "what is known is served on";
}

TEST_F(RootsTableTest, WhatFailsIsNotGivenOutAndALaterTrySucceeds) {
  CapturedLog log;
  for (const auto call :
       {FaultEnv::kOpen, FaultEnv::kWrite, FaultEnv::kSync, FaultEnv::kSyncDirectory, FaultEnv::kTruncate}) {
    for (int successes = 0; successes < 4; ++successes) {
      SCOPED_TRACE(std::to_string(call) + " " + std::to_string(successes));
      const TempFolder home(FolderInMemory());
      FaultEnv env;
      auto table = RootsTable::Open(env, home.path());
      ASSERT_TRUE(table);
      env.FailAfter(call, successes, Errc::kNoSpace);
      env.SetTornWrite(20);
      bool failed = false;
      for (int i = 0; i < 3; ++i) {
        const auto added = AddOne(**table, Want("r", i, 2));
        if (added) continue;
        failed = true;
        EXPECT_EQ(added.error().code(), Errc::kNoSpace);
        EXPECT_THAT(std::string(added.error().message()), HasSubstr(home.path()));
        EXPECT_EQ((*table)->Find("r", KeyNo(i)), nullptr);
        ASSERT_TRUE(AddOne(**table, Want("r", i, 2))) << "the next one";
      }
      EXPECT_TRUE(failed || successes > 0);
      const auto again = RootsTable::Open(Env::System(), home.path());
      ASSERT_TRUE(again);
      EXPECT_EQ((*again)->size(), 3u);
      for (int i = 0; i < 3; ++i) EXPECT_EQ((*again)->Find("r", KeyNo(i))->first, 2u + 2 * static_cast<unsigned>(i));
    }
  }
}

TEST_F(RootsTableTest, WhatCannotBeTakenBackStopsTheTable) {
  CapturedLog log;
  FaultEnv env;
  const auto table = Open(env);
  ASSERT_TRUE(AddOne(*table, Want("a", 1)));
  env.FailAfter(FaultEnv::kSync, 0, Errc::kIo, true);
  env.FailAfter(FaultEnv::kTruncate, 0, Errc::kIo, true);
  EXPECT_FALSE(AddOne(*table, Want("b", 1)));
  env.PowerLoss();
  const auto refused = AddOne(*table, Want("c", 1));
  EXPECT_EQ(refused.error().code(), Errc::kIo);
  EXPECT_THAT(std::string(refused.error().message()), HasSubstr("start the server again"));
  EXPECT_NE(table->Find("a", KeyNo(1)), nullptr);
}

TEST_F(RootsTableTest, APowerCutLosesNothingThatWasGivenOut) {
  for (std::uint32_t seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(seed);
    const TempFolder home(FolderInMemory());
    FaultEnv env;
    CapturedLog log;
    std::vector<std::pair<int, std::uint64_t>> given;
    {
      auto table = RootsTable::Open(env, home.path());
      ASSERT_TRUE(table);
      env.StopAfter(static_cast<int>(seed));
      for (int i = 0; i < 6; ++i) {
        if (AddOne(**table, Want("r", i, 2))) given.emplace_back(i, (*table)->Find("r", KeyNo(i))->first);
      }
    }
    env.PowerLoss(seed, 500);
    auto table = RootsTable::Open(env, home.path());
    ASSERT_TRUE(table) << table.error().ToString();
    for (const auto& [key, first] : given) {
      ASSERT_NE((*table)->Find("r", KeyNo(key)), nullptr) << key;
      EXPECT_EQ((*table)->Find("r", KeyNo(key))->first, first);
    }
    ASSERT_TRUE(AddOne(**table, Want("r", 99, 2)));
  }
}

TEST_F(RootsTableTest, CA68_WhenNumbersAreUsedUpItSaysWhatToDo) {
  const auto table = Open();
  ASSERT_TRUE(AddOne(*table, Want("large", 1, roots_format::kEndId - 10)));
  const std::vector<RootRange> wanted{Want("fits", 2, 8), Want("more", 3, 1)};
  const auto refused = table->Add(wanted);
  EXPECT_EQ(refused.error().code(), Errc::kNoSpace);
  EXPECT_THAT(std::string(refused.error().message()),
              AllOf(HasSubstr("\"more\""), HasSubstr(file()), HasSubstr("remove it")));
  EXPECT_NE(table->Find("fits", KeyNo(2)), nullptr) << "what there was room for";
  EXPECT_EQ(table->OwnerOf(roots_format::kEndId - 1)->name, "fits");
  EXPECT_EQ(Open()->size(), 2u);
}

}  // namespace
}  // namespace strata::vfs::castore
