// What looks at a whole store: verification, scrub, and the counts.
#include "store/pack/verify.h"

#include <gtest/gtest.h>

#include "store/pack/list_record.h"
#include "store/pack/stat.h"
#include "tests/store/pack/collect_testing.h"

namespace strata::store::pack {
namespace {

TEST_F(PackCollect, AScrubGoesOnWhereItStopped) {
  {
    const auto store = Open();
    for (std::uint64_t seed = 0; seed < 10; ++seed) Tree(*store, seed);
  }
  const auto store = Open();
  const std::uint64_t packs = FilesOf(path_, ".pack").size();
  ASSERT_GT(packs, 3U);
  std::uint64_t records = 0, rounds = 0;
  while (true) {
    VerifyOptions options;
    int left = 10;
    options.progress = [&](std::string_view, std::uint64_t, std::uint64_t) { return --left > 0; };
    const auto report = ScrubStore(store->engine(), options);
    ASSERT_OK(report);
    EXPECT_EQ(report->problems, 0U);
    records += report->records;
    ++rounds;
    if (!report->stopped) break;
    ASSERT_LE(report->records, 10U);
  }
  const auto whole = VerifyStore(store->engine());
  ASSERT_OK(whole);
  EXPECT_EQ(records, whole->records);
  EXPECT_GT(rounds, 3U);
}

TEST_F(PackCollect, AScrubReadsNoFasterThanItMay) {
  {
    const auto store = Open();
    for (std::uint64_t seed = 0; seed < 4; ++seed) Tree(*store, seed);
  }
  VerifyOptions options;
  options.bytes_a_second = 200'000;
  const auto begin = std::chrono::steady_clock::now();
  const auto report = ScrubStore(Open()->engine(), options);
  ASSERT_OK(report);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  EXPECT_GE(took.count(), static_cast<double>(report->bytes) / 200'000 * 0.99);
}

TEST_F(PackCollect, AVerificationFindsAListOfSoundChunksThatMakeAnotherBlob) {
  const auto store = Open();
  const Digest one = MustPut(*store, Noise(5000, 1));
  const auto chunks = store->blobs()->Chunks({}, one);
  ASSERT_OK(chunks);
  ChunkList others = **chunks;
  std::ranges::reverse(others);
  const Digest claimed = Digest::Of(AsBytes("another blob"));
  ASSERT_OK(store->engine().PutAnew(RecordKind::kList, claimed, EncodeList(false, others)));
  ASSERT_OK(store->Sync());
  std::vector<Problem> problems;
  VerifyOptions options;
  options.told = [&](const Problem& problem) { problems.push_back(problem); };
  ASSERT_OK(VerifyStore(store->engine(), options));
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].what, Problem::What::kWrongBlob);
  EXPECT_EQ(problems[0].digest, claimed);
}

TEST_F(PackCollect, TheCountsAreThoseOfWhatWasPut) {
  const auto store = Open();
  const Directory one = Tree(*store, 1);
  const Directory two =
      DirectoryOf({{"a", Node::OfDirectory(one.digest(), 2)}, {"b", Node::OfDirectory(one.digest(), 2)}});
  ASSERT_OK(store->directories()->Put(two));
  Name(*store, "n", two);
  Name(*store, "m", one);
  for (const bool indexed : {false, true}) {
    if (indexed) ASSERT_OK(store->engine().PublishIndexes());
    StatOptions options;
    options.logical = true;
    const auto stat = StatStore(store->engine(), options);
    ASSERT_OK(stat);
    EXPECT_EQ(stat->Of(RecordKind::kDirectory).records, 2U);
    EXPECT_EQ(stat->Of(RecordKind::kList).records, 1U);
    EXPECT_EQ(stat->Of(RecordKind::kChunk).raw, 5200U);
    EXPECT_LT(stat->Of(RecordKind::kChunk).stored, 5200U);
    EXPECT_EQ(stat->names, 2U);
    EXPECT_EQ(stat->logical_files, 6U);
    EXPECT_EQ(stat->logical_bytes, 3 * 5200U);
    EXPECT_EQ(stat->unindexed == 0, indexed);
    std::uint64_t listed = 0;
    ASSERT_OK(ListRecords(store->engine(), [&](const IndexEntry&) -> Result<bool> {
      ++listed;
      return true;
    }));
    EXPECT_EQ(listed, stat->Of(RecordKind::kDirectory).records + stat->Of(RecordKind::kList).records +
                          stat->Of(RecordKind::kChunk).records);
  }
}

}  // namespace
}  // namespace strata::store::pack
