// Spec nfsv3 6: READ, WRITE, COMMIT.
#include "contract.h"

STRATA_CONTRACT(DataContract)

namespace strata::vfs::testing {
namespace {

TEST_P(DataContract, R6_1_EofComesExactlyWithTheLastByte) {
  Given({FileNode("w/f", "0123456789"), FileNode("w/empty", "")});
  Client client = Root();
  auto made = client.WriteFile("w/own", "0123456789");
  ASSERT_OK(made);
  for (const ObjectId& id : {client.IdOf("w/f"), *made}) {
    auto read = [&](std::uint64_t offset, std::uint32_t count) { return client.Read(id, offset, count).value(); };
    EXPECT_EQ(read(0, 9).data, "012345678");
    EXPECT_FALSE(read(0, 9).eof);
    EXPECT_EQ(read(0, 10).data, "0123456789");
    EXPECT_TRUE(read(0, 10).eof);
    EXPECT_TRUE(read(0, 11).eof);
    EXPECT_EQ(read(4, 1'000'000).data, "456789");
    EXPECT_TRUE(read(4, 1'000'000).eof);
    EXPECT_EQ(read(3, 2).data, "34");
    EXPECT_FALSE(read(3, 2).eof);
    EXPECT_EQ(read(10, 1).data, "");
    EXPECT_TRUE(read(10, 1).eof);
    EXPECT_TRUE(read(11, 1).eof);
    EXPECT_EQ(read(11, 5).data, "");
    EXPECT_FALSE(read(0, 0).eof);
    for (std::uint64_t offset : {1ULL << 32, 1ULL << 62, (1ULL << 63) - 1, 1ULL << 63, ~0ULL - 5, ~0ULL}) {
      auto far = client.Read(id, offset, 1 << 20);
      ASSERT_OK(far) << offset;
      EXPECT_EQ(far->data, "");
      EXPECT_TRUE(far->eof);
    }
    Pause();
  }
  auto empty = client.Read(client.IdOf("w/empty"), 0, 100);
  ASSERT_OK(empty);
  EXPECT_EQ(empty->data, "");
  EXPECT_TRUE(empty->eof);
}

TEST_P(DataContract, R6_1_AHoleReadsAsZeros) {
  Given({SparseNode("w/given", 300'000)});
  Client client = Root();
  EXPECT_EQ(client.ReadFile("w/given").value_or("failed"), std::string(300'000, '\0'));
  auto f = client.MakeFile("w/f");
  ASSERT_OK(f);
  ASSERT_OK(client.Write(*f, 1'000'000, "end"));
  std::string expected(1'000'003, '\0');
  expected.replace(1'000'000, 3, "end");
  EXPECT_EQ(client.ReadFile("w/f").value_or("failed"), expected);
  ASSERT_OK(client.Write(*f, 500'000, "middle"));
  expected.replace(500'000, 6, "middle");
  Pause();
  EXPECT_EQ(client.ReadFile("w/f").value_or("failed"), expected);
  EXPECT_EQ(client.Read(*f, 499'990, 30)->data, expected.substr(499'990, 30));
}

TEST_P(DataContract, R6_1_AReadOfAByteRangeIsThatRangeWhateverTheFileIsMadeOf) {
  std::string expected = Pattern(200'000, 1);
  Given({FileNode("w/f", expected)});
  Client client = Root();
  const ObjectId f = client.IdOf("w/f");
  auto write = [&](std::uint64_t offset, std::string data) {
    ASSERT_OK(client.Write(f, offset, data));
    if (expected.size() < offset + data.size()) expected.resize(offset + data.size());
    expected.replace(offset, data.size(), data);
  };
  write(0, Pattern(10, 2));
  write(100, Pattern(5000, 3));
  write(199'990, Pattern(20, 4));
  write(4000, Pattern(60'000, 5));
  write(250'000, Pattern(70'000, 6));
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(client.ReadAll(f).value_or("failed"), expected);
    for (std::uint64_t offset = 0; offset < expected.size(); offset += 3571) {
      const std::uint32_t count = static_cast<std::uint32_t>((offset * 7) % 9000 + 1);
      auto answer = client.Read(f, offset, count);
      ASSERT_OK(answer);
      ASSERT_EQ(answer->data, expected.substr(offset, count)) << offset << " + " << count;
      ASSERT_EQ(answer->eof, offset + count >= expected.size());
    }
    Pause();
  }
}

TEST_P(DataContract, R6_2_OverlappingWritesLeaveTheLastOnesBytes) {
  Given({FileNode("w/f", std::string(1000, '.'))});
  Client client = Root();
  const ObjectId f = client.IdOf("w/f");
  std::string expected(1000, '.');
  // Every way in which a new piece can lie over old ones: before, over an end, within, around, exactly upon.
  const std::pair<std::size_t, std::size_t> pieces[] = {
      {100, 100}, {150, 100}, {50, 100}, {60, 10}, {90, 200},  {90, 200}, {89, 202}, {300, 50},
      {350, 50},  {299, 1},   {300, 1},  {399, 1}, {400, 600}, {0, 1000}, {500, 1},  {500, 2},
      {499, 2},   {990, 10},  {985, 10}, {10, 1},  {12, 1},    {11, 1},   {9, 5}};
  char mark = 'a';
  for (const auto& [offset, size] : pieces) {
    const std::string data(size, mark++);
    ASSERT_OK(client.Write(f, offset, data));
    expected.replace(offset, size, data);
    ASSERT_EQ(client.ReadAll(f).value_or("failed"), expected) << offset << " + " << size;
  }
  Pause();
  EXPECT_EQ(client.ReadAll(f).value_or("failed"), expected);
  EXPECT_EQ(client.Get(f)->size, 1000u);
}

TEST_P(DataContract, R6_2_AShortenedFileGrowsAgainWithZeros) {
  Given({FileNode("w/f", std::string(10'000, 'x'))});
  Client client = Root();
  const ObjectId f = client.IdOf("w/f");
  ASSERT_OK(client.Write(f, 6000, std::string(100, 'y')));
  ASSERT_OK(client.Set(f, Size(5000)));
  ASSERT_OK(client.Set(f, Size(10'000)));
  std::string expected = std::string(5000, 'x') + std::string(5000, '\0');
  EXPECT_EQ(client.ReadAll(f).value_or("failed"), expected);
  Pause();
  EXPECT_EQ(client.ReadAll(f).value_or("failed"), expected);
  ASSERT_OK(client.Write(f, 7000, "z"));
  expected[7000] = 'z';
  ASSERT_OK(client.Set(f, Size(7001)));
  ASSERT_OK(client.Write(f, 8000, "w"));
  expected.resize(8001);
  expected.replace(7001, 999, std::string(999, '\0'));
  expected[8000] = 'w';
  EXPECT_EQ(client.ReadAll(f).value_or("failed"), expected);
  ASSERT_OK(client.Set(f, Size(0)));
  ASSERT_OK(client.Set(f, Size(3)));
  Pause();
  EXPECT_EQ(client.ReadAll(f).value_or("failed"), std::string(3, '\0'));
}

TEST_P(DataContract, R6_2_AWritePastTheLargestFileIsTooBig) {
  Given({FileNode("w/f", "x")});
  Client client = Root();
  const ObjectId f = client.IdOf("w/f");
  const Attributes before = client.Get(f).value();
  EXPECT_CODE(client.Write(f, kMaxFileSize, "x"), Errc::kFileTooBig);
  EXPECT_CODE(client.Write(f, kMaxFileSize - 2, "xxx"), Errc::kFileTooBig);
  EXPECT_CODE(client.Write(f, ~std::uint64_t{0}, "xxx"), Errc::kFileTooBig);
  EXPECT_CODE(client.Write(f, std::uint64_t{1} << 63, "x"), Errc::kFileTooBig);
  ExpectSame(client.Get(f).value(), before);
}

TEST_P(DataContract, R6_2_TheLastByteOfTheLargestFileCanBeWritten) {
  Given();
  Client client = Root();
  auto f = client.MakeFile("w/f");
  ASSERT_OK(f);
  ASSERT_OK(client.Write(*f, kMaxFileSize - 3, "end"));
  EXPECT_EQ(client.Get(*f)->size, kMaxFileSize);
  Pause();
  auto answer = client.Read(*f, kMaxFileSize - 5, 100);
  ASSERT_OK(answer);
  EXPECT_EQ(answer->data, std::string("\0\0end", 5));
  EXPECT_TRUE(answer->eof);
  auto middle = client.Read(*f, kMaxFileSize / 2, 1 << 20);
  ASSERT_OK(middle);
  EXPECT_EQ(middle->data, std::string(1 << 20, '\0'));
  EXPECT_FALSE(middle->eof);
  EXPECT_LT(client.Get(*f)->used, 1u << 20);
  EXPECT_OK(client.Set(*f, Size(kMaxFileSize)));
}

TEST_P(DataContract, R6_2_WritesOfEverySizeAndStabilityAreReadBack) {
  Given({FileNode("w/f", "")});
  Client client = Root();
  const ObjectId f = client.IdOf("w/f");
  std::string expected;
  std::uint64_t seed = 0;
  for (std::size_t size : {std::size_t{1}, std::size_t{511}, std::size_t{4096}, std::size_t{4097}, std::size_t{65'536},
                           std::size_t{1'000'003}, std::size_t{1} << 20}) {
    for (Stability stability : {Stability::kUnstable, Stability::kDataSync, Stability::kFileSync}) {
      const std::string data = Pattern(size, ++seed);
      auto written = client.Write(f, expected.size(), data, stability);
      ASSERT_OK(written);
      ASSERT_EQ(*written, size);
      expected += data;
      if (stability != Stability::kUnstable) {
        EXPECT_EQ(client.mutation().commitment, Commitment::kDurable);
      } else {
        EXPECT_NE(client.mutation().commitment, Commitment::kNone);
      }
    }
  }
  EXPECT_EQ(client.ReadAll(f).value_or("failed"), expected);
  Pause();
  EXPECT_EQ(client.ReadAll(f, 65'536).value_or("failed"), expected);
}

TEST_P(DataContract, R6_2_AWriteOfNoByteChangesNothing) {
  Given({FileNode("w/f", "x")});
  Client client = Root();
  const ObjectId f = client.IdOf("w/f");
  auto written = client.Write(f, 100, "");
  ASSERT_OK(written);
  EXPECT_EQ(*written, 0u);
  EXPECT_EQ(client.Get(f)->size, 1u);
}

TEST_P(DataContract, R6_3_CommitMakesEverythingWrittenDurable) {
  Given({FileNode("w/f", "hello"), DirNode("w/d")});
  Client client = Root();
  const ObjectId f = client.IdOf("w/f");
  EXPECT_OK(client.Commit(f));
  ASSERT_OK(client.Write(f, 0, "HELLO"));
  ASSERT_OK(client.Commit(f));
  subject().Restart();
  EXPECT_EQ(client.ReadAll(f).value_or("failed"), "HELLO");
  EXPECT_OK(client.Commit(f));
}

TEST_P(DataContract, R6_3_TheWriteVerifierIsOfOneLifeOfTheServer) {
  Given();
  if (IsModel()) return;
  Client client = Root();
  const WriteVerifier first = subject().fs().CurrentWriteVerifier();
  ASSERT_OK(client.WriteFile("w/f", "x"));
  EXPECT_EQ(subject().fs().CurrentWriteVerifier(), first);
  subject().Restart();
  EXPECT_NE(subject().fs().CurrentWriteVerifier(), first);
}

TEST_P(DataContract, AnEmptySyncIsAnswered) {
  Given();
  Mutation mutation;
  mutation.commitment = Commitment::kDurable;
  EXPECT_OK(Settle(subject().fs(), mutation));
  EXPECT_OK(subject().fs().Flush());
}

TEST_P(DataContract, R6_4_UsageIsTrueAndNotZero) {
  Given({FileNode("w/f", "x")});
  if (IsModel()) return;
  FileSystem& fs = subject().fs();
  auto usage = fs.Usage({}, fs.Root());
  ASSERT_OK(usage);
  EXPECT_GT(usage->total_bytes, 0u);
  EXPECT_GT(usage->free_bytes, 0u);
  EXPECT_GT(usage->available_bytes, 0u);
  EXPECT_LE(usage->free_bytes, usage->total_bytes);
  EXPECT_LE(usage->available_bytes, usage->total_bytes);
  EXPECT_GT(usage->total_files, 0u);
  EXPECT_GT(usage->free_files, 0u);
}

}  // namespace
}  // namespace strata::vfs::testing
