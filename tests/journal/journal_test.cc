#include "journal/journal.h"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <future>
#include <latch>
#include <random>
#include <set>
#include <thread>

#include "base/hash.h"
#include "tests/journal/journal_util.h"

namespace strata::journal {
namespace {

using namespace std::chrono_literals;

TEST(Journal, GivesBackWhatWasAppendedBeforeAndAfterReopening) {
  TempFolder folder;
  Env& env = Env::System();
  std::vector<Written> records;
  Lsn end;
  {
    auto journal = MustOpen(env, folder / "j");
    for (std::uint32_t i = 0; i < 200; ++i) {
      records.push_back(Sample(i));
      const Appended appended = MustAppend(*journal, records.back());
      auto data = journal->Data(appended.begin, appended.payload, records.back().payload.size(), false);
      ASSERT_TRUE(data) << data.error().ToString();
      EXPECT_EQ(AsText(data->bytes), records.back().payload);
      end = appended.end;
    }
    EXPECT_GT(journal->disk_bytes(), 5 * kSmallSegment);
    EXPECT_EQ(ReadAll(*journal).records, records);
    EXPECT_EQ(journal->end(), end);
  }
  auto journal = MustOpen(env, folder / "j", Options(1 << 20));  // the journal keeps its own segment size
  const ReadBack all = ReadAll(*journal);
  EXPECT_FALSE(all.error) << all.error->ToString();
  EXPECT_EQ(all.records, records);
  EXPECT_EQ(journal->end(), end);
  EXPECT_EQ(journal->durable(), end);
  records.push_back(Sample(1000));
  MustAppend(*journal, records.back());
  EXPECT_EQ(ReadAll(*journal).records, records);
}

TEST(Journal, KeepsDataPinnedBeyondItsOwnLife) {
  TempFolder folder;
  PinnedBytes data;
  {
    auto journal = MustOpen(Env::System(), folder / "j");
    const Appended appended = MustAppend(*journal, {"h", "payload"});
    data = journal->Data(appended.begin, appended.payload, 7, false).value();
  }
  EXPECT_EQ(AsText(data.bytes), "payload");
}

TEST(Journal, TakesPayloadsOfEverySizeUpToTheLargest) {
  TempFolder folder;
  std::vector<Written> records;
  std::mt19937 random(5);
  {
    auto journal = MustOpen(Env::System(), folder / "j", Options(4 << 20));
    for (const std::size_t size : {0u, 1u, 32767u, 32768u, 32769u, 100'001u, 1u << 20, (1u << 20) - 1, 5u, 1u << 20}) {
      Written record{std::string(size % 91, 'x'), std::string(size, '\0')};
      for (char& byte : record.payload) byte = static_cast<char>(random());
      const Appended appended = MustAppend(*journal, record);
      EXPECT_EQ(AsText(journal->Data(appended.begin, appended.payload, size, false).value().bytes), record.payload);
      records.push_back(std::move(record));
    }
    EXPECT_EQ(ReadAll(*journal).records, records);
    const std::string too_much(kMaxPayloadBytes + 1, 'x');
    EXPECT_EQ(journal->Append({}, AsBytes(too_much)).error().code(), Errc::kInvalid);
    EXPECT_EQ(journal->Append(AsBytes(too_much).first(kMaxHeadBytes + 1), {}).error().code(), Errc::kInvalid);
    EXPECT_TRUE(journal->Append(AsBytes(too_much).first(kMaxHeadBytes), {}));
  }
  auto journal = MustOpen(Env::System(), folder / "j");
  records.push_back({std::string(kMaxHeadBytes, 'x'), ""});
  EXPECT_EQ(ReadAll(*journal).records, records);
}

TEST(Journal, RefusesRangesThatItDoesNotHold) {
  TempFolder folder;
  auto journal = MustOpen(Env::System(), folder / "j");
  const Appended first = MustAppend(*journal, Sample(40));
  for (std::uint32_t i = 0; i < 60; ++i) MustAppend(*journal, Sample(i));
  const std::uint64_t end = journal->end().value;
  ASSERT_GT(end, kSmallSegment);
  const auto code = [&](std::uint64_t position, std::uint64_t length) {
    auto data = journal->Data(Lsn(position - std::min<std::uint64_t>(position, 48)), Lsn(position), length, true);
    return data ? std::optional<Errc>() : data.error().code();
  };
  EXPECT_EQ(code(first.payload.value, 1), std::nullopt);
  EXPECT_EQ(code(0, 10), Errc::kCorrupt);
  EXPECT_EQ(code(end, 1), Errc::kCorrupt);
  EXPECT_EQ(code(end - 1, 2), Errc::kCorrupt);
  EXPECT_EQ(code(kSmallSegment - 1, 2), Errc::kCorrupt);  // would span two segments
  EXPECT_EQ(code(first.payload.value, ~std::uint64_t{0}), Errc::kCorrupt);
  EXPECT_EQ(code(~std::uint64_t{0}, 2), Errc::kCorrupt);
  EXPECT_EQ(code(std::uint64_t{1} << 60, 2), Errc::kCorrupt);
}

TEST(Journal, LetsOneProcessWriteAndOthersReadAPrefixMeanwhile) {
  TempFolder folder;
  Env& env = Env::System();
  auto journal = MustOpen(env, folder / "j");
  auto second = Journal::Open(env, folder / "j", Options());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Errc::kBusy);

  constexpr std::uint32_t kRecords = 3000;
  std::atomic<bool> done = false;
  std::latch begun(1);
  std::thread writer([&] {
    for (std::uint32_t i = 0; i < kRecords; ++i) {
      MustAppend(*journal, Sample(i));
      if (i % 3 == 0) {
        EXPECT_TRUE(journal->Flush());
      }
      if (i % 50 == 0) {
        EXPECT_TRUE(journal->SyncAndWait(journal->end()));
      }
      if (i == 100) begun.count_down();
    }
    EXPECT_TRUE(journal->Flush());
    done = true;
  });
  begun.wait();
  std::size_t seen = 0;
  for (bool last = false; !last;) {
    last = done;
    auto viewer = MustOpen(env, folder / "j", Options(kSmallSegment, true));
    if (!viewer) break;
    const ReadBack all = ReadAll(*viewer);
    EXPECT_FALSE(all.error) << all.error->ToString();
    EXPECT_GE(all.records.size(), std::max<std::size_t>(seen, 99));
    seen = all.records.size();
    for (std::uint32_t i = 0; i < seen; ++i) EXPECT_EQ(all.records[i], Sample(i));
    EXPECT_EQ(viewer->Append({}, {}).error().code(), Errc::kReadOnly);
    EXPECT_TRUE(viewer->SyncAndWait(viewer->end()));
  }
  writer.join();
  EXPECT_EQ(seen, kRecords);
}

TEST(Journal, SaysWhenThereIsNoneToRead) {
  TempFolder folder;
  EXPECT_EQ(Journal::Open(Env::System(), folder / "none", Options(4096, true)).error().code(), Errc::kNotFound);
  EXPECT_EQ(Journal::Open(Env::System(), folder.path(), Options(4096, true)).error().code(), Errc::kNotFound);
  EXPECT_EQ(Journal::Open(Env::System(), folder / "j", Options(5000)).error().code(), Errc::kInvalid);
}

TEST(Journal, RefusesAnotherVolumeAndANewerVersion) {
  TempFolder folder;
  Env& env = Env::System();
  MustOpen(env, folder / "j").reset();
  JournalOptions other = Options();
  other.volume_id = 7;
  EXPECT_EQ(Journal::Open(env, folder / "j", other).error().code(), Errc::kCorrupt);

  const std::string path = folder / "j/0000000000000000.seg";
  std::string bytes = Slurp(path);
  bytes[8] = 3;
  const std::uint32_t crc = Crc32c(AsBytes(bytes).first(60));
  std::memcpy(bytes.data() + 60, &crc, 4);
  Spill(path, bytes);
  EXPECT_EQ(Journal::Open(env, folder / "j", Options()).error().code(), Errc::kNotSupported);
}

TEST(Journal, ServesManyWhoWaitWithOneSync) {
  TempFolder folder;
  FaultEnv env;
  auto journal = MustOpen(env, folder / "j");
  // The first sync is held until all others have asked; then one more serves them all.
  std::latch asked(1), entered(1);
  std::atomic<int> syncs = 0;
  env.OnSync([&] {
    if (syncs++ == 0) {
      entered.count_down();
      asked.wait();
    }
  });
  constexpr int kWaiters = 50;
  std::latch served(kWaiters + 1);
  const auto ask = [&] {
    const Appended appended = MustAppend(*journal, Sample(3));
    journal->Sync(appended.end, [&, appended](Result<void> result) {
      EXPECT_TRUE(result);
      EXPECT_GE(journal->durable(), appended.end);
      served.count_down();
    });
  };
  ask();
  entered.wait();
  const int files_before = syncs;
  for (int i = 0; i < kWaiters; ++i) ask();
  asked.count_down();
  served.wait();
  EXPECT_EQ(files_before, 1);
  EXPECT_LE(syncs, 4);  // the 51 records lie in at most 3 segments
  bool at_once = false;
  journal->Sync(journal->durable(), [&](Result<void> result) { at_once = result.has_value(); });
  EXPECT_TRUE(at_once);
  EXPECT_EQ(journal->SyncAndWait(Lsn(journal->end().value + 8)).error().code(), Errc::kInvalid);
}

TEST(Journal, HoldsUnderManyThreads) {
  TempFolder folder;
  constexpr int kThreads = 8;
  constexpr int kRecords = 400;
  std::multiset<std::string> heads;
  {
    auto journal = MustOpen(Env::System(), folder / "j", Options(128 << 10));
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kRecords; ++i) {
          const Written record{std::to_string(t) + "." + std::to_string(i),
                               std::string(i % 50 == 0 ? 40'000 : i, static_cast<char>('a' + t))};
          const Appended appended = MustAppend(*journal, record);
          if (i % 7 == 0) {
            EXPECT_TRUE(journal->Flush());
          }
          if (i % 20 == 0) {
            EXPECT_TRUE(journal->SyncAndWait(appended.end));
            EXPECT_GE(journal->durable(), appended.end);
          }
          auto data = journal->Data(appended.begin, appended.payload, record.payload.size(), false);
          ASSERT_TRUE(data) << data.error().ToString();
          EXPECT_EQ(AsText(data->bytes), record.payload);
          auto next = journal->Next(appended.begin);
          ASSERT_TRUE(next && *next);
          EXPECT_EQ(AsText((*next)->head), record.head);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  auto journal = MustOpen(Env::System(), folder / "j");
  const ReadBack all = ReadAll(*journal);
  EXPECT_FALSE(all.error);
  for (const Written& record : all.records) heads.insert(record.head);
  EXPECT_EQ(heads.size(), std::size_t{kThreads} * kRecords);
  EXPECT_EQ(std::set<std::string>(heads.begin(), heads.end()).size(), heads.size());
}

TEST(Journal, AppendsNothingWithoutSpaceAndGoesOnWhenThereIsSome) {
  TempFolder folder;
  FaultEnv env;
  std::vector<Written> records;
  {
    auto journal = MustOpen(env, folder / "j");
    while (journal->end().value < kSmallSegment - 2000) {
      records.push_back({"h", std::string(1000, 'p')});
      MustAppend(*journal, records.back());
    }
    env.FailAfter(FaultEnv::kAllocate, 0, Errc::kNoSpace, true);
    const Lsn before = journal->end();
    for (int i = 0; i < 3; ++i) {
      auto refused = journal->Append(AsBytes("h"), AsBytes(std::string(3000, 'q')));
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().code(), Errc::kNoSpace);
      EXPECT_EQ(journal->end(), before);
    }
    records.push_back({"small", "fits into what is left of the segment"});
    MustAppend(*journal, records.back());
    EXPECT_FALSE(journal->failed());
    EXPECT_TRUE(journal->SyncAndWait(journal->end()));
    env.FailAfter(FaultEnv::kAllocate, 1000, Errc::kNoSpace);
    records.push_back({"h", std::string(3000, 'q')});
    MustAppend(*journal, records.back());
  }
  EXPECT_EQ(ReadAll(*MustOpen(env, folder / "j")).records, records);
}

TEST(Journal, AllocatesAsMuchAsThereIsWhenSpaceIsShort) {
  TempFolder folder;
  FaultEnv env;
  auto journal = MustOpen(env, folder / "j", Options(64 << 20));
  EXPECT_LE(journal->disk_bytes(), 1u << 20);
  const Written record{"h", std::string(1 << 20, 'p')};
  env.FailAfter(FaultEnv::kAllocate, 0, Errc::kNoSpace);  // the generous step fails, the needed one does not
  MustAppend(*journal, record);
  EXPECT_LT(journal->disk_bytes(), 2u << 20);
  EXPECT_EQ(ReadAll(*journal).records, std::vector<Written>{record});
}

TEST(Journal, HasFailedForGoodAfterAFailedWrite) {
  TempFolder folder;
  FaultEnv env;
  const Written kept = Sample(10);
  {
    auto journal = MustOpen(env, folder / "j");
    MustAppend(*journal, kept);
    ASSERT_TRUE(journal->SyncAndWait(journal->end()));
    MustAppend(*journal, Sample(11));
    env.SetTornWrite(20);
    env.FailAfter(FaultEnv::kWrite, 0, Errc::kIo);
    EXPECT_EQ(journal->Flush().error().code(), Errc::kIo);
    EXPECT_TRUE(journal->failed());
    EXPECT_EQ(journal->Flush().error().code(), Errc::kIo);
    EXPECT_EQ(journal->Append({}, {}).error().code(), Errc::kIo);
    EXPECT_EQ(journal->SyncAndWait(journal->end()).error().code(), Errc::kIo);
  }
  EXPECT_EQ(ReadAll(*MustOpen(env, folder / "j")).records, std::vector<Written>{kept});
}

TEST(Journal, HasFailedForGoodAfterAFailedSync) {
  TempFolder folder;
  FaultEnv env;
  const Written kept = Sample(10);
  {
    auto journal = MustOpen(env, folder / "j");
    MustAppend(*journal, kept);
    ASSERT_TRUE(journal->SyncAndWait(journal->end()));
    const Lsn durable = journal->durable();
    MustAppend(*journal, Sample(11));
    env.FailAfter(FaultEnv::kSync, 0, Errc::kIo);
    EXPECT_EQ(journal->SyncAndWait(journal->end()).error().code(), Errc::kIo);
    EXPECT_EQ(journal->durable(), durable);
    // The kernel may have dropped what it failed to write: a second sync that succeeds means nothing.
    EXPECT_EQ(journal->SyncAndWait(journal->end()).error().code(), Errc::kIo);
    EXPECT_EQ(journal->Append({}, {}).error().code(), Errc::kIo);
    EXPECT_EQ(env.Count(FaultEnv::kSync), 3);
    env.PowerLoss();
  }
  EXPECT_EQ(ReadAll(*MustOpen(env, folder / "j")).records, std::vector<Written>{kept});
}

// Of this process, in KiB: pages of mapped files, those of /dev/shm among them.
long MappedPages() {
  std::ifstream status("/proc/self/status");
  long sum = 0;
  for (std::string key; status >> key;) {
    long value = 0;
    if ((key == "RssFile:" || key == "RssShmem:") && status >> value) sum += value;
    std::getline(status, key);
  }
  return sum;
}

TEST(Journal, HoldsNoMorePagesOfWhatIsReadThanItIsAllowed) {
  const TempFolder folder;
  JournalOptions options = Options(4 << 20);
  options.mapped_bytes = 2 << 20;
  auto journal = MustOpen(Env::System(), folder / "journal", options);
  const std::string payload(1 << 20, 'p');
  std::vector<Appended> written;
  for (int i = 0; i < 32; ++i) written.push_back(MustAppend(*journal, {"head", payload}));
  ASSERT_TRUE(journal->Flush());
  const long before = MappedPages();
  long most = 0;
  for (int turn = 0; turn < 2; ++turn) {
    for (const Appended& record : written) {
      if (turn == 0) {
        auto data = journal->Data(record.begin, record.payload, payload.size(), false);
        ASSERT_TRUE(data) << data.error().ToString();
        ASSERT_EQ(AsText(data->bytes), payload);
      } else {
        auto view = journal->Next(record.begin);
        ASSERT_TRUE(view && *view);
      }
      most = std::max(most, MappedPages());
    }
  }
  EXPECT_GT(most, before) << "nothing was read through a mapping";
  EXPECT_LT(most, before + (4 << 10)) << "KiB; all that was read is 64 MiB";
  journal->ReleasePages();
  EXPECT_LT(MappedPages(), before + (1 << 10));
}

// Linux may map at one touch as much as it caches as one folio, which for large writes is more than what it maps around
// a touch otherwise.
TEST(Journal, HoldsNoMorePagesThanItIsAllowedAlsoOfLargeFolios) {
  const TempFolder folder;
  JournalOptions options = Options(64 << 20);
  options.mapped_bytes = 8 << 20;
  auto journal = MustOpen(Env::System(), folder / "journal", options);
  const std::string payload(1 << 20, 'p');
  std::vector<Appended> written;
  for (int i = 0; i < 120; ++i) written.push_back(MustAppend(*journal, {"head", payload}));
  ASSERT_TRUE(journal->Flush());
  const long before = MappedPages();
  long most = 0;
  for (const Appended& record : written) {
    for (const std::uint64_t skip : {0u, 400'000u, 800'000u}) {
      auto data = journal->Data(record.begin, Lsn(record.payload.value + skip), 4096, false);
      ASSERT_TRUE(data) << data.error().ToString();
      if (data->unmapped) continue;
      ASSERT_EQ(AsText(data->bytes), std::string(4096, 'p'));
      most = std::max(most, MappedPages());
    }
  }
  EXPECT_GT(most, before) << "nothing was read through a mapping";
  EXPECT_LT(most, before + (12 << 10)) << "KiB; all that was read is 120 MiB";
}

TEST(Journal, CopiesSmallReadsWhereNoMorePagesMayBeMapped) {
  const TempFolder folder;
  JournalOptions options = Options(4 << 20);
  options.mapped_bytes = 1 << 20;  // the process's own code counts too, as it is first run
  auto journal = MustOpen(Env::System(), folder / "journal", options);
  std::vector<std::pair<Appended, std::string>> written;
  for (int i = 0; i < 256; ++i) {
    std::string payload(16 << 10, static_cast<char>('a' + i % 26));
    payload += std::to_string(i);
    written.emplace_back(MustAppend(*journal, {"head", payload}), payload);
  }
  ASSERT_TRUE(journal->Flush());
  int mapped = 0, copied = 0;
  for (const auto& [record, payload] : written) {
    const std::size_t skip = payload.size() - 5000;
    auto data = journal->Data(record.begin, Lsn(record.payload.value + skip), 5000, false);
    ASSERT_TRUE(data) << data.error().ToString();
    if (!data->unmapped) {
      ++mapped;
      EXPECT_EQ(AsText(data->bytes), payload.substr(skip));
      continue;
    }
    ++copied;
    std::string bytes(5000, '\0');
    const auto out = std::as_writable_bytes(std::span(bytes));
    auto cached = journal->Copy(Lsn(record.payload.value + skip), out, false);
    if (!cached) {
      EXPECT_EQ(cached.error().code(), Errc::kWouldBlock);
      ASSERT_TRUE(journal->Copy(Lsn(record.payload.value + skip), out, true));
    }
    EXPECT_EQ(bytes, payload.substr(skip));
  }
  EXPECT_GE(mapped, 4);
  EXPECT_GE(copied, 150);
  journal->ReleasePages();
  EXPECT_FALSE(journal->Data(written[200].first.begin, written[200].first.payload, 10, false)->unmapped)
      << "there is room again";
}

TEST(Journal, ReadsTheSameFromEveryBorder) {
  TempFolder folder;
  auto journal = MustOpen(Env::System(), folder / "j");
  std::vector<Appended> places;
  for (std::uint32_t i = 0; i < 100; ++i) places.push_back(MustAppend(*journal, Sample(i)));
  for (std::size_t i = 0; i < places.size(); ++i) {
    auto at_begin = journal->Next(places[i].begin);
    ASSERT_TRUE(at_begin && *at_begin);
    EXPECT_EQ((*at_begin)->begin, places[i].begin);
    EXPECT_EQ((*at_begin)->end, places[i].end);
    EXPECT_EQ((*at_begin)->payload_position, places[i].payload);
    auto head = journal->NextHead(places[i].begin);
    ASSERT_TRUE(head && *head);
    EXPECT_EQ((*head)->begin, (*at_begin)->begin);
    EXPECT_EQ((*head)->end, (*at_begin)->end);
    EXPECT_EQ((*head)->check, (*at_begin)->check);
    EXPECT_EQ((*head)->payload_position, (*at_begin)->payload_position);
    EXPECT_EQ((*head)->payload_size, (*at_begin)->payload.size());
    EXPECT_EQ(AsText((*head)->head), AsText((*at_begin)->head));
    auto at_end = journal->Next(places[i].end);
    ASSERT_TRUE(at_end);
    ASSERT_EQ(at_end->has_value(), i + 1 < places.size());
    if (*at_end) {
      EXPECT_EQ((*at_end)->begin, places[i + 1].begin);
    }
  }
  EXPECT_EQ(journal->Next(Lsn(places[5].begin.value + 8)).error().code(), Errc::kCorrupt);
}

TEST(Journal, NextHeadChecksTheHeadAndNotThePayload) {
  TempFolder folder;
  std::vector<Appended> places;
  auto journal = MustOpen(Env::System(), folder / "j", Options(4 << 20));
  const std::vector<std::string> payloads{std::string(100, 'p'), std::string(1 << 20, 'q'), std::string(5000, 'r'), ""};
  for (const std::string& payload : payloads) places.push_back(MustAppend(*journal, {"head", payload}));
  ASSERT_TRUE(journal->Flush());
  const std::string path = folder / ("j/" + SegmentName(0));
  const auto flip = [&](std::uint64_t at) {
    std::string bytes = Slurp(path);
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    Spill(path, bytes);
  };
  flip(places[1].payload.value + 700'000);
  EXPECT_EQ(journal->Next(places[1].begin).error().code(), Errc::kCorrupt);
  Lsn at{0};
  for (std::size_t i = 0; i < places.size(); ++i) {
    auto next = journal->NextHead(at);
    ASSERT_TRUE(next && *next) << i;
    EXPECT_EQ((*next)->begin, places[i].begin);
    EXPECT_EQ(AsText((*next)->head), "head");
    EXPECT_EQ((*next)->payload_size, payloads[i].size());
    EXPECT_TRUE((*next)->payload.empty());
    at = (*next)->end;
  }
  EXPECT_FALSE(journal->NextHead(at)->has_value());
  flip(places[2].payload.value - 1);
  JournalOptions options = Options();
  options.read_only = true;
  options.known = {{places[3].begin, (*journal->Next(places[3].begin))->check}};
  auto reader = MustOpen(Env::System(), folder / "j", options);
  EXPECT_EQ(reader->NextHead(places[2].begin).error().code(), Errc::kCorrupt);
}

TEST(Journal, ChecksARecordOfBeforeTheFirstTimeItsDataIsRead) {
  TempFolder folder;
  std::vector<Appended> places;
  {
    auto journal = MustOpen(Env::System(), folder / "j");
    for (std::uint32_t i = 20; i < 60; ++i) {
      places.push_back(MustAppend(*journal, Sample(i)));
      ASSERT_TRUE(journal->SyncAndWait(journal->end()));  // each is known to be durable by the next
    }
  }
  // One byte of the third record's data, in the first segment, which a start does not read.
  const std::string path = folder / ("j/" + SegmentName(0));
  std::string content = Slurp(path);
  const std::size_t at = places[2].payload.value + 5;
  content[at] = static_cast<char>(content[at] ^ 1);
  Spill(path, content);
  auto journal = MustOpen(Env::System(), folder / "j");
  EXPECT_EQ(journal->Data(places[1].begin, places[1].payload, 3, false).error().code(), Errc::kWouldBlock)
      << "checking reads the disk";
  auto whole = journal->Data(places[1].begin, Lsn(places[1].payload.value + 1), 3, true);
  ASSERT_TRUE(whole) << whole.error().ToString();
  EXPECT_EQ(AsText(whole->bytes), Sample(21).payload.substr(1, 3));
  EXPECT_TRUE(journal->Data(places[1].begin, places[1].payload, 3, false)) << "it has been checked";
  for (int again = 0; again < 2; ++again) {
    auto damaged = journal->Data(places[2].begin, places[2].payload, 1, true);
    ASSERT_FALSE(damaged) << "the byte asked for is right, the record is not";
    EXPECT_EQ(damaged.error().code(), Errc::kCorrupt);
    EXPECT_NE(damaged.error().message().find(path), std::string::npos) << damaged.error().ToString();
  }
}

TEST(Journal, GivesUpItsFirstSegmentsWhileTheyAreRead) {
  TempFolder folder;
  std::vector<Written> records;
  std::vector<Appended> places;
  Lsn begin;
  {
    auto journal = MustOpen(Env::System(), folder / "j");
    for (std::uint32_t i = 0; i < 400; ++i) {
      records.push_back(Sample(i));
      places.push_back(MustAppend(*journal, records.back()));
    }
    EXPECT_EQ(journal->Retire(journal->end()).error().code(), Errc::kInvalid) << "what is not durable stays";
    ASSERT_TRUE(journal->SyncAndWait(journal->end()));
    EXPECT_TRUE(journal->Retire(Lsn(kSmallSegment - 1)));
    EXPECT_EQ(journal->begin(), Lsn(kSegmentHeaderBytes)) << "a segment goes whole or not at all";
    const PinnedBytes pinned = journal->Data(places[40].begin, places[40].payload, 5, false).value();
    std::atomic<bool> ends{false};
    std::thread reader([&] {
      while (!ends) {
        for (std::size_t i = 1; i < places.size(); i += 7) {
          auto data = journal->Data(places[i].begin, places[i].payload, records[i].payload.size(), true);
          if (data) {
            EXPECT_EQ(AsText(data->bytes), records[i].payload);
          } else {
            EXPECT_EQ(data.error().code(), Errc::kCorrupt);
          }
          (void)journal->Next(places[i].begin);
        }
      }
    });
    const std::uint64_t before = journal->disk_bytes();
    for (std::uint64_t segment = 1; segment < 6; ++segment) {
      EXPECT_TRUE(journal->Retire(Lsn(segment * kSmallSegment + 100)));
      EXPECT_FALSE(std::filesystem::exists(folder / ("j/" + SegmentName(segment - 1))));
    }
    ends = true;
    reader.join();
    EXPECT_LT(journal->disk_bytes(), before - 4 * kSmallSegment);
    EXPECT_EQ(AsText(pinned.bytes), records[40].payload.substr(0, 5)) << "what is pinned stays";
    begin = journal->begin();
    EXPECT_EQ(begin, Lsn(5 * kSmallSegment + kSegmentHeaderBytes));
    EXPECT_FALSE(journal->Data(places[40].begin, places[40].payload, 5, true));
  }
  auto journal = MustOpen(Env::System(), folder / "j");
  EXPECT_EQ(journal->begin(), begin);
  const std::size_t first = static_cast<std::size_t>(
      std::ranges::find_if(places, [&](const Appended& place) { return place.begin >= begin; }) - places.begin());
  ASSERT_LT(first, records.size());
  EXPECT_EQ(ReadAll(*journal).records,
            std::vector<Written>(records.begin() + static_cast<std::ptrdiff_t>(first), records.end()));
  MustAppend(*journal, Sample(7));
}

}  // namespace
}  // namespace strata::journal
