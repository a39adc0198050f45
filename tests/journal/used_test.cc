// Files of segments that were given up, and become segments again.
#include "journal/used.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "base/hash.h"
#include "journal/verify.h"
#include "tests/journal/journal_util.h"

namespace strata::journal {
namespace {

ino_t FileOf(const std::string& path) {
  struct stat st{};
  return ::stat(path.c_str(), &st) == 0 ? st.st_ino : 0;
}

SegmentHeader HeaderOf(const std::string& path) {
  SegmentHeader header;
  const std::string bytes = Slurp(path);
  EXPECT_EQ(DecodeSegmentHeader(AsBytes(bytes), header), HeaderState::kValid) << path;
  return header;
}

std::size_t Kept(const std::string& directory) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    count += entry.path().filename().string().starts_with(kUsedName) ? 1 : 0;
  }
  return count;
}

struct Log {
  std::vector<Written> records;
  std::vector<Appended> places;
  std::uint32_t number = 0;

  // Until the journal is in `segment`; then all is durable.
  void FillUntil(Journal& journal, std::uint64_t segment) {
    while (journal.end().value / kSmallSegment < segment) {
      records.push_back(Sample(++number));
      places.push_back(MustAppend(journal, records.back()));
    }
    ASSERT_TRUE(journal.SyncAndWait(journal.end()));
  }
  std::vector<Written> From(Lsn begin) const {
    std::vector<Written> left;
    for (std::size_t i = 0; i < records.size(); ++i) {
      if (places[i].begin >= begin) left.push_back(records[i]);
    }
    return left;
  }
};

TEST(UsedSegments, AreSegmentsAgain) {
  TempFolder folder;
  Log log;
  {
    auto journal = MustOpen(Env::System(), folder / "j");
    log.FillUntil(*journal, 4);
    const ino_t first = FileOf(folder / ("j/" + SegmentName(0))), second = FileOf(folder / ("j/" + SegmentName(2)));
    ASSERT_TRUE(journal->Retire(Lsn(kSmallSegment)));
    ASSERT_TRUE(journal->GiveUp(2));
    EXPECT_EQ(Kept(folder / "j"), 2u);
    EXPECT_TRUE(journal->IsGivenUp(2));
    log.FillUntil(*journal, 7);
    EXPECT_EQ(Kept(folder / "j"), 0u);
    const ino_t fifth = FileOf(folder / ("j/" + SegmentName(5))), sixth = FileOf(folder / ("j/" + SegmentName(6)));
    EXPECT_TRUE((fifth == first && sixth == second) || (fifth == second && sixth == first));
    const SegmentHeader old = HeaderOf(folder / ("j/" + SegmentName(3)));
    const SegmentHeader used = HeaderOf(folder / ("j/" + SegmentName(5)));
    EXPECT_FALSE(old.own_salt);
    EXPECT_TRUE(used.own_salt);
    EXPECT_NE(used.FrameSalt(), old.salt);
    EXPECT_NE(used.FrameSalt(), HeaderOf(folder / ("j/" + SegmentName(6))).FrameSalt());
    log.FillUntil(*journal, 8);
    EXPECT_TRUE(journal->GiveUp(5)) << "and given up again";
  }
  EXPECT_EQ(Kept(folder / "j"), 0u) << "who ends leaves none";
  std::vector<Written> left;
  for (std::size_t i = 0; i < log.records.size(); ++i) {
    const std::uint64_t segment = log.places[i].begin.value / kSmallSegment;
    if (segment != 0 && segment != 2 && segment != 5) left.push_back(log.records[i]);
  }
  EXPECT_EQ(ReadAll(*MustOpen(Env::System(), folder / "j", Options(kSmallSegment, true))).records, left);
  std::size_t verified = 0;
  auto found = VerifyJournal(Env::System(), folder / "j", kVolume, [&](const RecordView&, bool) { ++verified; }, {});
  ASSERT_TRUE(found) << found.error().ToString();
  EXPECT_TRUE(found->faults.empty());
  EXPECT_EQ(found->tail_bytes, 0u);
  EXPECT_EQ(verified, left.size());
  Spill(folder / "j/used.2", "of a process that was killed");
  auto journal = MustOpen(Env::System(), folder / "j");
  EXPECT_EQ(Kept(folder / "j"), 0u);
  EXPECT_EQ(journal->cut_bytes(), 0u);
  EXPECT_EQ(ReadAll(*journal).records, left);
}

// What is in such a file may look like records of the segment that it becomes, but for the salt: here it is made so.
TEST(UsedSegments, HoldNothingThatIsTakenForARecord) {
  TempFolder folder;
  std::vector<Written> records;
  {
    auto journal = MustOpen(Env::System(), folder / "j");
    Log log;
    log.FillUntil(*journal, 3);
    ASSERT_TRUE(journal->Retire(Lsn(2 * kSmallSegment)));
    const std::uint32_t salt = HeaderOf(folder / ("j/" + SegmentName(2))).salt;
    for (std::uint64_t i = 0; i < 2; ++i) {
      std::string content = Slurp(folder / ("j/used." + std::to_string(i)));
      content.resize(kSmallSegment);  // its unused end was cut
      for (std::uint64_t at = kSegmentHeaderBytes; at + kFrameBytes <= content.size(); at += kFrameBytes) {
        const std::uint64_t base = 4 * kSmallSegment;
        const Frame frame{
            .head_crc = Crc32c({}), .payload_crc = Crc32c({}), .position = base + at, .durable = base + at};
        EncodeFrame(frame, salt, reinterpret_cast<std::byte*>(content.data()) + at);
      }
      std::fstream(folder / ("j/used." + std::to_string(i)), std::ios::in | std::ios::out) << content;
    }
    while (journal->end().value / kSmallSegment < 4 || journal->end().value % kSmallSegment < 2000) {
      log.records.push_back(Sample(++log.number));
      log.places.push_back(MustAppend(*journal, log.records.back()));
    }
    ASSERT_TRUE(journal->SyncAndWait(journal->end()));
    records = log.From(journal->begin());
    ASSERT_TRUE(HeaderOf(folder / ("j/" + SegmentName(4))).own_salt);
  }
  auto journal = MustOpen(Env::System(), folder / "j");
  ASSERT_TRUE(journal);
  EXPECT_EQ(ReadAll(*journal).records, records);
  EXPECT_EQ(journal->cut_bytes(), 0u);
  MustAppend(*journal, Sample(5));
}

TEST(UsedSegments, AreNotWrittenToWhileAnybodyLooksAtThem) {
  TempFolder folder;
  auto journal = MustOpen(Env::System(), folder / "j");
  Log log;
  log.FillUntil(*journal, 4);
  const std::size_t at = 3;
  const PinnedBytes pinned = journal->Data(log.places[at].begin, log.places[at].payload, 20, true).value();
  auto reader = MustOpen(Env::System(), folder / "j", Options(kSmallSegment, true));
  const std::size_t in_one = static_cast<std::size_t>(
      std::ranges::find_if(log.places, [](const Appended& place) { return place.begin.value > kSmallSegment; }) -
      log.places.begin());
  const auto read = [&] {
    return reader->Data(log.places[in_one].begin, log.places[in_one].payload, log.records[in_one].payload.size(), true);
  };
  ASSERT_TRUE(read());
  ASSERT_TRUE(journal->Retire(Lsn(3 * kSmallSegment)));
  EXPECT_EQ(Kept(folder / "j"), 3u);
  log.FillUntil(*journal, 9);
  EXPECT_EQ(AsText(pinned.bytes), log.records[at].payload.substr(0, 20));
  auto again = read();
  ASSERT_TRUE(again) << again.error().ToString();
  EXPECT_EQ(AsText(again->bytes), log.records[in_one].payload);
}

TEST(UsedSegments, AreFewAndGoWhereNobodyWantsThem) {
  TempFolder folder;
  auto journal = MustOpen(Env::System(), folder / "j");
  Log log;
  log.FillUntil(*journal, 10);
  ASSERT_TRUE(journal->Retire(Lsn(9 * kSmallSegment)));
  EXPECT_EQ(Kept(folder / "j"), kUsedSegments);
  for (std::size_t i = 0; i < kUsedSegments; ++i) {
    EXPECT_EQ(Kept(folder / "j"), kUsedSegments - i);
    journal->ReleasePages();  // the first finds that some were just put
    if (i == 0) journal->ReleasePages();
  }
  EXPECT_EQ(Kept(folder / "j"), 0u);
}

// Segments come and go while the power fails again and again, with any part of what was not synced.
TEST(UsedSegments, LoseNothingDurableWhenThePowerGoes) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int history = 0; history < 6; ++history) {
    TempFolder folder;
    FaultEnv env;
    std::vector<Written> records;
    std::uint32_t number = 0;
    for (int life = 0; life < 6; ++life) {
      auto journal = MustOpen(env, folder / "j", Options(8192));
      ASSERT_TRUE(journal) << "history " << history << " life " << life;
      records = ReadAll(*journal).records;
      std::size_t durable = records.size();
      for (int step = static_cast<int>(random() % 120); step > 0; --step) {
        records.push_back(Sample(++number));
        MustAppend(*journal, records.back());
        if (random() % 8 == 0) {
          ASSERT_TRUE(journal->SyncAndWait(journal->end()));
          durable = records.size();
          const std::uint64_t last = journal->end().value / 8192, first = journal->begin().value / 8192;
          if (random() % 3 == 0 && last > first + 1) {
            ASSERT_TRUE(journal->Retire(Lsn((first + 1) * 8192)));
          } else if (last > first + 3 && !journal->IsGivenUp(last - 2)) {
            ASSERT_TRUE(journal->GiveUp(last - 2));
          } else {
            continue;
          }
          records = ReadAll(*journal).records;
          durable = records.size();
        }
      }
      env.PowerLoss(random(), static_cast<int>(random() % 3) * 450);
      journal.reset();
      auto check = MustOpen(env, folder / "j", Options(8192, true));
      ASSERT_TRUE(check) << "history " << history << " life " << life;
      const ReadBack left = ReadAll(*check);
      ASSERT_FALSE(left.error) << left.error->ToString();
      ASSERT_GE(left.records.size(), durable) << "history " << history << " life " << life;
      ASSERT_TRUE(std::equal(left.records.begin(), left.records.end(), records.begin())) << history << ' ' << life;
    }
  }
}

}  // namespace
}  // namespace strata::journal
