// Torn tails, lost power and damaged bytes.
#include <algorithm>
#include <filesystem>
#include <random>

#include "tests/journal/journal_util.h"

namespace strata::journal {
namespace {

const std::string kFirst = "0000000000000000.seg";

bool IsPrefix(const std::vector<Written>& part, const std::vector<Written>& whole) {
  return part.size() <= whole.size() && std::equal(part.begin(), part.end(), whole.begin());
}

TEST(JournalRecovery, CutsATornTailAtEveryByte) {
  TempFolder folder;
  Env& env = Env::System();
  std::vector<Written> records;
  std::vector<std::uint64_t> ends;
  {
    auto journal = MustOpen(env, folder / "j");
    for (std::uint32_t i = 1; i < 6; ++i) {
      records.push_back({"head" + std::to_string(i), std::string(i * 9, 'p')});
      ends.push_back(MustAppend(*journal, records.back()).end.value);
    }
  }
  const std::string whole = Slurp(folder / ("j/" + kFirst));
  for (std::uint64_t size = kSegmentHeaderBytes; size <= ends.back(); ++size) {
    std::string torn = whole.substr(0, size);
    if (size % 2 == 0) torn.resize(whole.size());
    Spill(folder / ("j/" + kFirst), torn);
    auto journal = MustOpen(env, folder / "j");
    ASSERT_TRUE(journal) << size;
    ReadBack all = ReadAll(*journal);
    ASSERT_FALSE(all.error);
    ASSERT_TRUE(IsPrefix(all.records, records)) << size;
    // Up to 7 bytes of padding may be missing from a record that is whole.
    const auto whole_records =
        static_cast<std::size_t>(std::ranges::count_if(ends, [&](auto end) { return end <= size; }));
    ASSERT_GE(all.records.size(), whole_records) << size;
    // What is appended now is read after the next opening, and nothing stale behind it.
    all.records.push_back({"new", "x"});
    MustAppend(*journal, all.records.back());
    journal.reset();
    ASSERT_EQ(ReadAll(*MustOpen(env, folder / "j")).records, all.records) << size;
  }
}

TEST(JournalRecovery, NeverGivesAWrongRecordForAFlippedBit) {
  TempFolder folder;
  Env& env = Env::System();
  std::vector<Written> records;
  std::uint64_t end = 0;
  std::uint64_t vouched = 0;  // what the last record says was durable
  {
    auto journal = MustOpen(env, folder / "j", Options(4096));
    for (std::uint32_t i = 1; i < 5; ++i) {
      records.push_back({"head" + std::to_string(i), std::string(i * 9, 'p')});
      vouched = journal->durable().value;
      end = MustAppend(*journal, records.back()).end.value;
      ASSERT_TRUE(journal->SyncAndWait(Lsn(end)));
    }
  }
  const std::string whole = Slurp(folder / ("j/" + kFirst));
  int refused = 0;
  int cut = 0;
  for (std::uint64_t at = 0; at < end + 64; ++at) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
    Spill(folder / ("j/" + kFirst), flipped);
    auto journal = Journal::Open(env, folder / "j", Options());
    if (!journal) {
      ASSERT_TRUE(journal.error().code() == Errc::kCorrupt) << at << ' ' << journal.error().ToString();
      ASSERT_EQ(Slurp(folder / ("j/" + kFirst)), flipped) << "a damaged journal must stay as it is";
      ++refused;
      continue;
    }
    const ReadBack all = ReadAll(**journal);
    ASSERT_FALSE(all.error) << at;
    ASSERT_TRUE(IsPrefix(all.records, records)) << at;
    if (all.records.size() < records.size()) {
      // Only what nothing vouches for may be cut without a word.
      ASSERT_GE(at, vouched);
      ++cut;
    }
  }
  EXPECT_GT(refused, 200);
  EXPECT_GT(cut, 20);
}

TEST(JournalRecovery, NamesTheFileAndThePlaceOfADamage) {
  TempFolder folder;
  Env& env = Env::System();
  std::uint64_t position = 0;
  {
    auto journal = MustOpen(env, folder / "j");
    for (std::uint32_t i = 0; i < 100; ++i) {
      const Appended appended = MustAppend(*journal, Sample(i));
      if (i == 80) position = appended.begin.value;
      ASSERT_TRUE(journal->SyncAndWait(appended.end));
    }
  }
  const std::string name = folder / ("j/" + SegmentName(position / kSmallSegment));
  std::string bytes = Slurp(name);
  bytes[position % kSmallSegment + 50] ^= 1;
  Spill(name, bytes);
  std::optional<Status> error;
  if (auto journal = Journal::Open(env, folder / "j", Options()); !journal) {
    error = journal.error();
  } else {
    error = ReadAll(**journal).error;  // a segment known to be durable is not read when opening
  }
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), Errc::kCorrupt);
  EXPECT_NE(error->message().find(SegmentName(position / kSmallSegment)), std::string_view::npos) << error->message();
  EXPECT_NE(error->message().find("position " + std::to_string(position)), std::string_view::npos) << error->message();
}

TEST(JournalRecovery, MissesASegmentThatIsGone) {
  for (const int gone : {0, 1, 3}) {
    TempFolder folder;
    Env& env = Env::System();
    std::uint64_t last = 0;
    {
      auto journal = MustOpen(env, folder / "j");
      for (std::uint32_t i = 0; i < 120; ++i) {
        MustAppend(*journal, Sample(i));
        ASSERT_TRUE(journal->SyncAndWait(journal->end()));
      }
      last = journal->end().value / kSmallSegment;
    }
    ASSERT_GE(last, 4u);
    std::filesystem::remove(folder / ("j/" + SegmentName(static_cast<std::uint64_t>(gone))));
    auto journal = Journal::Open(env, folder / "j", Options());
    if (gone == 0) {
      // Segments before the first may have been given up; what needs them will not find them.
      ASSERT_TRUE(journal);
      EXPECT_EQ((*journal)->Data(Lsn(64), Lsn(110), 1, true).error().code(), Errc::kCorrupt);
    } else {
      ASSERT_FALSE(journal) << gone;
      EXPECT_EQ(journal.error().code(), Errc::kCorrupt);
    }
  }
}

TEST(JournalRecovery, StartsAnewOnlyWhereTheFirstSegmentIsBlank) {
  TempFolder folder;
  Env& env = Env::System();
  for (const std::size_t size : {0u, 64u, 8192u}) {
    std::filesystem::remove_all(folder / "j");
    std::filesystem::create_directory(folder / "j");
    Spill(folder / ("j/" + kFirst), std::string(size, '\0'));
    auto journal = MustOpen(env, folder / "j");
    ASSERT_TRUE(journal) << size;
    MustAppend(*journal, Sample(1));
    journal.reset();
    EXPECT_EQ(ReadAll(*MustOpen(env, folder / "j")).records.size(), 1u);
  }
  std::filesystem::remove_all(folder / "j");
  std::filesystem::create_directory(folder / "j");
  Spill(folder / ("j/" + kFirst), std::string(100, '\0') + "x");
  EXPECT_EQ(Journal::Open(env, folder / "j", Options()).error().code(), Errc::kCorrupt);
}

// Random appends, flushes and syncs, a loss of power that keeps a random part of what was not synced, again and again.
TEST(JournalRecovery, LosesNothingDurableWhenThePowerGoes) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int history = 0; history < 12; ++history) {
    TempFolder folder;
    FaultEnv env;
    std::vector<Written> records;  // all that may be there, in order
    std::uint32_t number = 0;
    for (int life = 0; life < 8; ++life) {
      auto journal = MustOpen(env, folder / "j", Options(8192));
      ASSERT_TRUE(journal) << "history " << history << " life " << life;
      const ReadBack found = ReadAll(*journal);
      ASSERT_FALSE(found.error) << found.error->ToString();
      ASSERT_TRUE(IsPrefix(found.records, records)) << "history " << history << " life " << life;
      records = found.records;
      std::size_t durable = records.size();
      const int steps = static_cast<int>(random() % 60);
      for (int step = 0; step < steps; ++step) {
        records.push_back(Sample(++number));
        MustAppend(*journal, records.back());
        if (random() % 4 == 0) {
          ASSERT_TRUE(journal->Flush());
        }
        if (random() % 12 == 0) {
          ASSERT_TRUE(journal->SyncAndWait(journal->end()));
          durable = records.size();
        }
      }
      env.PowerLoss(random(), static_cast<int>(random() % 3) * 450);
      journal.reset();
      auto check = MustOpen(env, folder / "j", Options(8192, true));
      ASSERT_TRUE(check);
      const ReadBack left = ReadAll(*check);
      ASSERT_FALSE(left.error) << left.error->ToString();
      ASSERT_GE(left.records.size(), durable) << "history " << history << " life " << life;
      ASSERT_TRUE(IsPrefix(left.records, records));
    }
  }
}

// Two copies of a journal went different ways, and a segment of one was put among those of the other.
TEST(JournalRecovery, RefusesASegmentOfACopyThatWentAnotherWay) {
  TempFolder folder;
  Env& env = Env::System();
  {
    MustAppend(*MustOpen(env, folder / "one"), Sample(3));
  }
  std::filesystem::copy(folder / "one", folder / "other");
  for (const char* name : {"one", "other"}) {
    auto journal = MustOpen(env, folder / name);
    // The same sizes, so that positions say nothing; only what is written differs.
    for (int i = 0; i < 60; ++i) {
      MustAppend(*journal, {name[1] == 'n' ? "a" : "b", std::string(1000, 'x')});
      ASSERT_TRUE(journal->SyncAndWait(journal->end()));
    }
  }
  const std::string last = SegmentName(3);
  ASSERT_TRUE(std::filesystem::exists(folder / ("one/" + last)));
  std::filesystem::copy_file(folder / ("one/" + last), folder / ("other/" + last),
                             std::filesystem::copy_options::overwrite_existing);
  auto journal = Journal::Open(env, folder / "other", Options());
  ASSERT_FALSE(journal);
  EXPECT_EQ(journal.error().code(), Errc::kCorrupt);
}

TEST(JournalRecovery, WhatLiesBeforeARecordThatIsKnownIsNotRead) {
  TempFolder folder;
  Env& env = Env::System();
  std::vector<Appended> at;
  Written last;
  std::uint32_t check = 0;
  {
    auto journal = MustOpen(env, folder / "j");
    for (std::uint32_t i = 1; i < 6; ++i) at.push_back(MustAppend(*journal, last = {"head", std::string(i * 90, 'p')}));
    ASSERT_TRUE(journal->SyncAndWait(journal->end()));
    at.push_back(MustAppend(*journal, last = {"vouches for those before", "x"}));
    check = (*journal->Next(at[4].begin))->check;
  }
  const std::string file = folder / ("j/" + kFirst);
  std::string damaged = Slurp(file);
  damaged[at[1].begin.value + 50] ^= 1;
  Spill(file, damaged);
  EXPECT_FALSE(Journal::Open(env, folder / "j", Options())) << "the damage must be seen by who reads there";
  JournalOptions options = Options();
  options.known = {at[4].begin, check + 1};
  EXPECT_FALSE(Journal::Open(env, folder / "j", options)) << "another record lies there";
  EXPECT_EQ(Slurp(file), damaged);
  options.known = {at[4].begin, check};
  auto journal = MustOpen(env, folder / "j", options);
  ASSERT_TRUE(journal);
  EXPECT_EQ(journal->cut_bytes(), 0u);
  EXPECT_EQ(journal->end(), at[5].end);
  EXPECT_FALSE(journal->Data(at[1].begin, at[1].payload, 10, true)) << "what does not check is not given";
  EXPECT_TRUE(journal->Data(at[2].begin, at[2].payload, 10, true));
  MustAppend(*journal, {"more", "y"});
}

TEST(JournalRecovery, EndsWhereARepairSays) {
  TempFolder folder;
  Env& env = Env::System();
  std::vector<Appended> at;
  std::vector<Written> records;
  {
    auto journal = MustOpen(env, folder / "j", Options(4096));
    for (std::uint32_t i = 0; i < 40; ++i) {
      records.push_back(Sample(i));
      at.push_back(MustAppend(*journal, records.back()));
    }
    ASSERT_TRUE(journal->SyncAndWait(journal->end()));
    MustAppend(*journal, {"vouches for those before", "x"});
  }
  for (const std::size_t keep : {30u, 17u, 1u}) {
    JournalOptions options = Options(4096);
    options.ends_at = at[keep - 1].end;
    const std::vector<Written> kept(records.begin(), records.begin() + static_cast<std::ptrdiff_t>(keep));
    options.read_only = true;
    EXPECT_EQ(ReadAll(*MustOpen(env, folder / "j", options)).records, kept);
    options.read_only = false;
    EXPECT_EQ(ReadAll(*MustOpen(env, folder / "j", options)).records, kept);
    EXPECT_EQ(ReadAll(*MustOpen(env, folder / "j")).records, kept) << "nothing of the rest is left";
  }
}

}  // namespace
}  // namespace strata::journal
