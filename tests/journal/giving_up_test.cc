// Segments that are given up in the middle of a journal.
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <random>
#include <thread>

#include "journal/verify.h"
#include "tests/journal/journal_util.h"

namespace strata::journal {
namespace {

// A journal of records, and where they lie.
struct Written400 {
  std::vector<Written> records;
  std::vector<Appended> places;

  explicit Written400(Journal& journal, std::uint32_t count = 400) {
    for (std::uint32_t i = 0; i < count; ++i) {
      records.push_back(Sample(i));
      places.push_back(MustAppend(journal, records.back()));
    }
    EXPECT_TRUE(journal.SyncAndWait(journal.end()));
  }
  // Those that do not lie in the given segments.
  std::vector<Written> Without(const std::vector<std::uint64_t>& segments) const {
    std::vector<Written> left;
    for (std::size_t i = 0; i < records.size(); ++i) {
      if (std::ranges::find(segments, places[i].begin.value / kSmallSegment) == segments.end()) {
        left.push_back(records[i]);
      }
    }
    return left;
  }
  std::size_t FirstIn(std::uint64_t segment) const {
    return static_cast<std::size_t>(
        std::ranges::find_if(places, [&](const Appended& at) { return at.begin.value / kSmallSegment == segment; }) -
        places.begin());
  }
};

std::uint64_t RecordBytes(const Written400& written, const std::vector<std::uint64_t>& without) {
  std::uint64_t bytes = 0;
  for (const Appended& at : written.places) {
    if (std::ranges::find(without, at.begin.value / kSmallSegment) == without.end())
      bytes += (at.end.value - at.begin.value);
  }
  return bytes;
}

VerifiedJournal MustVerify(const std::string& directory) {
  auto verified = VerifyJournal(Env::System(), directory, kVolume, [](const RecordView&, bool) {}, {});
  EXPECT_TRUE(verified) << verified.error().ToString();
  return verified.value_or(VerifiedJournal{});
}

TEST(JournalGivesUp, OneSegmentInTheMiddleWhileItIsRead) {
  TempFolder folder;
  std::optional<Written400> written;
  {
    auto journal = MustOpen(Env::System(), folder / "j");
    written.emplace(*journal);
    const std::vector<Appended>& places = written->places;
    const std::size_t in_two = written->FirstIn(2) + 1;
    const PinnedBytes pinned = journal->Data(places[in_two].begin, places[in_two].payload, 5, false).value();
    std::atomic<bool> ends{false};
    std::thread reader([&] {
      while (!ends) {
        for (std::size_t i = 1; i < places.size(); i += 7) {
          auto data = journal->Data(places[i].begin, places[i].payload, written->records[i].payload.size(), true);
          if (data) {
            EXPECT_EQ(AsText(data->bytes), written->records[i].payload);
          } else {
            EXPECT_EQ(data.error().code(), Errc::kCorrupt);
            EXPECT_FALSE(journal->Holds(places[i].begin));
          }
          EXPECT_TRUE(journal->NextHead(places[i].begin));
        }
      }
    });
    EXPECT_EQ(journal->held_bytes(), RecordBytes(*written, {}));
    const std::uint64_t before = journal->disk_bytes();
    for (const std::uint64_t segment : {2u, 3u, 5u}) {
      EXPECT_TRUE(journal->GiveUp(segment));
      EXPECT_TRUE(journal->IsGivenUp(segment));
      EXPECT_EQ(std::filesystem::file_size(folder / ("j/" + SegmentName(segment))), kSegmentHeaderBytes);
      EXPECT_EQ(journal->GiveUp(segment).error().code(), Errc::kInvalid) << "it is given up already";
    }
    ends = true;
    reader.join();
    EXPECT_LT(journal->disk_bytes(), before - 2 * kSmallSegment);
    EXPECT_EQ(journal->held_bytes(), RecordBytes(*written, {2, 3, 5}));
    EXPECT_EQ(AsText(pinned.bytes), written->records[in_two].payload.substr(0, 5)) << "what is pinned stays";
    EXPECT_EQ(ReadAll(*journal).records, written->Without({2, 3, 5}));
    EXPECT_EQ(journal->Next(places[in_two].begin).value()->begin.value / kSmallSegment, 4u);
    const std::uint64_t last = journal->end().value / kSmallSegment;
    EXPECT_EQ(journal->GiveUp(last).error().code(), Errc::kInvalid) << "the last one is written to";
    EXPECT_EQ(journal->GiveUp(last + 1).error().code(), Errc::kInvalid);
  }
  EXPECT_EQ(ReadAll(*MustOpen(Env::System(), folder / "j", Options(kSmallSegment, true))).records,
            written->Without({2, 3, 5}));
  const VerifiedJournal verified = MustVerify(folder / "j");
  EXPECT_TRUE(verified.faults.empty());
  EXPECT_EQ(verified.given_up, 3u);
  EXPECT_EQ(verified.records, written->Without({2, 3, 5}).size());
  auto journal = MustOpen(Env::System(), folder / "j");
  EXPECT_EQ(journal->held_bytes(), RecordBytes(*written, {2, 3, 5}));
  EXPECT_EQ(ReadAll(*journal).records, written->Without({2, 3, 5}));
  const Appended& gone = written->places[written->FirstIn(3)];
  EXPECT_EQ(journal->Data(gone.begin, gone.payload, 1, true).error().code(), Errc::kCorrupt);
  // The first segments go, stubs among them.
  ASSERT_TRUE(journal->SyncAndWait(MustAppend(*journal, {"more", ""}).end));
  EXPECT_TRUE(journal->Retire(Lsn(4 * kSmallSegment)));
  EXPECT_EQ(journal->begin(), Lsn(4 * kSmallSegment + kSegmentHeaderBytes));
  std::vector<Written> left = written->Without({0, 1, 2, 3, 5});
  left.push_back({"more", ""});
  EXPECT_EQ(ReadAll(*journal).records, left);
  EXPECT_TRUE(journal->GiveUp(4)) << "also the first one";
  EXPECT_TRUE(journal->GiveUp(6));
  journal.reset();
  journal = MustOpen(Env::System(), folder / "j");
  EXPECT_EQ(ReadAll(*journal).records.size(), MustVerify(folder / "j").records);
  EXPECT_TRUE(journal->IsGivenUp(4));
}

TEST(JournalGivesUp, WhatIsNotDurableStays) {
  TempFolder folder;
  FaultEnv env;
  auto journal = MustOpen(env, folder / "j");
  while (journal->end().value < kSmallSegment) MustAppend(*journal, Sample(40));
  EXPECT_EQ(journal->GiveUp(0).error().code(), Errc::kInvalid);
  ASSERT_TRUE(journal->SyncAndWait(journal->end()));
  EXPECT_TRUE(journal->GiveUp(0));
}

// The chain over a stub still proves that nothing is missing.
TEST(JournalGivesUp, AndStillMissesWhatIsGone) {
  int number = 0;
  const auto refused = [&](const std::function<void(const std::string& directory)>& harm) {
    SCOPED_TRACE(++number);
    TempFolder folder;
    {
      auto journal = MustOpen(Env::System(), folder / "j");
      const Written400 written(*journal, 160);
      ASSERT_GE(journal->end().value / kSmallSegment, 5u);
      ASSERT_TRUE(journal->GiveUp(2));
      MustAppend(*journal, {"vouches for those before", "x"});
    }
    harm(folder / "j/");
    EXPECT_FALSE(MustVerify(folder / "j").faults.empty());
    auto journal = Journal::Open(Env::System(), folder / "j", Options());
    ASSERT_FALSE(journal);
    EXPECT_EQ(journal.error().code(), Errc::kCorrupt);
  };
  const auto change = [](const std::string& path, const std::function<void(SegmentHeader&)>& edit) {
    std::string bytes = Slurp(path);
    SegmentHeader header;
    ASSERT_EQ(DecodeSegmentHeader(AsBytes(bytes), header), HeaderState::kValid);
    edit(header);
    const auto encoded = EncodeSegmentHeader(header);
    bytes.replace(0, kSegmentHeaderBytes, AsText(encoded));
    Spill(path, bytes);
  };
  refused([](const std::string& j) { std::filesystem::remove(j + SegmentName(2)); });
  refused([](const std::string& j) {
    for (std::uint64_t k = 3; k < 16; ++k) std::filesystem::remove(j + SegmentName(k));
  });
  refused([&](const std::string& j) { change(j + SegmentName(2), [](auto& header) { header.salt ^= 1; }); });
  refused([&](const std::string& j) { change(j + SegmentName(2), [](auto& header) { header.durable -= 8; }); });
  refused([&](const std::string& j) { change(j + SegmentName(2), [](auto& header) { header.durable = 8; }); });
}

TEST(JournalGivesUp, AndARepairMayEndInIt) {
  TempFolder folder;
  std::optional<Written400> written;
  {
    auto journal = MustOpen(Env::System(), folder / "j");
    written.emplace(*journal, 160);
    ASSERT_TRUE(journal->GiveUp(2));
  }
  JournalOptions options = Options();
  options.ends_at = written->places[written->FirstIn(3) - 1].end;
  std::vector<Written> left(written->records.begin(),
                            written->records.begin() + static_cast<std::ptrdiff_t>(written->FirstIn(2)));
  {
    auto journal = MustOpen(Env::System(), folder / "j", options);
    EXPECT_EQ(ReadAll(*journal).records, left);
    left.push_back({"new", "behind it"});
    MustAppend(*journal, left.back());
  }
  EXPECT_EQ(ReadAll(*MustOpen(Env::System(), folder / "j")).records, left);
  EXPECT_TRUE(MustVerify(folder / "j").faults.empty());
}

// The machine stops at each call that giving up makes, and what had not been synced is there or not.
TEST(JournalGivesUp, WholeOrNotAtAllWhereverTheMachineStops) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  int old = 0, stub = 0;
  for (int round = 0; round < 39; ++round) {
    TempFolder folder;
    FaultEnv env;
    auto journal = MustOpen(env, folder / "j");
    const Written400 written(*journal, 100);
    env.StopAfter(1 + round % 13);  // it makes nine calls, or a few more
    (void)journal->GiveUp(1);
    env.PowerLoss(random(), static_cast<int>(random() % 3) * 450);
    journal.reset();
    auto check = MustOpen(env, folder / "j");
    ASSERT_TRUE(check);
    const bool given_up = check->IsGivenUp(1);
    ++(given_up ? stub : old);
    EXPECT_EQ(ReadAll(*check).records, given_up ? written.Without({1}) : written.records);
    EXPECT_FALSE(std::filesystem::exists(folder / "j/stub"));
  }
  EXPECT_GT(old, 0);
  EXPECT_GT(stub, 0);
}

TEST(JournalGivesUp, AndGoesOnAfterAFailure) {
  for (const FaultEnv::Call call :
       {FaultEnv::kOpen, FaultEnv::kTruncate, FaultEnv::kWrite, FaultEnv::kSync, FaultEnv::kRename}) {
    TempFolder folder;
    FaultEnv env;
    auto journal = MustOpen(env, folder / "j");
    const Written400 written(*journal, 100);
    env.FailAfter(call, call == FaultEnv::kOpen ? 2 : 0, Errc::kNoSpace);
    EXPECT_EQ(journal->GiveUp(1).error().code(), Errc::kNoSpace) << call;
    EXPECT_FALSE(journal->IsGivenUp(1));
    EXPECT_EQ(ReadAll(*journal).records, written.records);
    EXPECT_TRUE(journal->GiveUp(1));
    EXPECT_EQ(ReadAll(*journal).records, written.Without({1}));
  }
}

}  // namespace
}  // namespace strata::journal
