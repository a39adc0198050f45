// More segments than there are descriptors and mappings.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>

#include "journal/segment_table.h"
#include "journal/verify.h"
#include "tests/journal/journal_util.h"

namespace strata::journal {
namespace {

std::size_t OpenDescriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

std::size_t MappedSegments() {
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);) count += line.find(".seg") != std::string::npos ? 1 : 0;
  return count;
}

JournalOptions FewOpen(std::size_t open_segments) {
  JournalOptions options = Options(4096);
  options.open_segments = open_segments;
  return options;
}

struct Records {
  std::vector<Written> records;
  std::vector<Appended> places;

  void Append(Journal& journal, std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
      records.push_back({"head", std::string(1800 + i % 100, static_cast<char>('a' + i % 26)) + std::to_string(i)});
      places.push_back(MustAppend(journal, records.back()));
    }
  }
  void ReadAtRandom(Journal& journal, std::uint32_t seed, int reads) const {
    std::mt19937 random(seed);
    for (int i = 0; i < reads; ++i) {
      const std::size_t at = random() % records.size();
      const std::string& payload = records[at].payload;
      auto data = journal.Data(places[at].begin, places[at].payload, payload.size(), true);
      ASSERT_TRUE(data) << data.error().ToString();
      if (data->unmapped) {
        std::string bytes(payload.size(), '\0');
        ASSERT_TRUE(journal.Copy(places[at].payload, std::as_writable_bytes(std::span(bytes)), true));
        ASSERT_EQ(bytes, payload);
      } else {
        ASSERT_EQ(AsText(data->bytes), payload);
      }
    }
  }
};

// What it has seen fail in the child is told by the child's end.
void InAProcessOfFewDescriptors(const std::function<void()>& run) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const rlimit few{40, 40};
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
    run();
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST(OpenSegments, AreFewerThanSegments) {
  TempFolder folder;
  InAProcessOfFewDescriptors([&] {
    Records written;
    {
      auto journal = MustOpen(Env::System(), folder / "j", Options(4096));
      ASSERT_TRUE(journal);
      written.Append(*journal, 300);
      ASSERT_TRUE(journal->SyncAndWait(journal->end()));
      ASSERT_GT(journal->end().value / 4096, 140u);
      written.ReadAtRandom(*journal, 1, 500);
      EXPECT_EQ(ReadAll(*journal).records, written.records);
      EXPECT_LE(MappedSegments(), kFewestOpenSegments + 1);
    }
    {
      auto reader = MustOpen(Env::System(), folder / "j", Options(4096, true));
      ASSERT_TRUE(reader);
      written.ReadAtRandom(*reader, 2, 500);
      EXPECT_EQ(ReadAll(*reader).records, written.records);
    }
    std::uint64_t verified = 0;
    auto found = VerifyJournal(Env::System(), folder / "j", kVolume, [&](const RecordView&, bool) { ++verified; }, {});
    ASSERT_TRUE(found) << found.error().ToString();
    EXPECT_TRUE(found->faults.empty());
    EXPECT_EQ(verified, written.records.size());
    auto journal = MustOpen(Env::System(), folder / "j", Options(4096));
    ASSERT_TRUE(journal);
    written.Append(*journal, 50);
    written.ReadAtRandom(*journal, 3, 500);
    EXPECT_TRUE(journal->SyncAndWait(journal->end()));
    EXPECT_TRUE(journal->GiveUp(70));
    EXPECT_TRUE(journal->Retire(Lsn(20 * 4096)));
    EXPECT_TRUE(journal->Data(written.places[200].begin, written.places[200].payload, 100, true));
  });
}

TEST(OpenSegments, AreBoundedWhoeverReads) {
  constexpr std::size_t kLimit = 6;
  TempFolder folder;
  Records written;
  {
    auto journal = MustOpen(Env::System(), folder / "j", FewOpen(kLimit));
    written.Append(*journal, 200);
  }
  const std::size_t before = OpenDescriptors();
  auto journal = MustOpen(Env::System(), folder / "j", FewOpen(kLimit));
  std::atomic<int> reading = 4;
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      written.ReadAtRandom(*journal, t, 3000);
      if (t == 0) {
        EXPECT_EQ(ReadAll(*journal).records.size(), written.records.size());
      }
      --reading;
    });
  }
  std::size_t most_open = 0, most_mapped = 0;
  while (reading != 0) {
    most_open = std::max(most_open, OpenDescriptors());
    most_mapped = std::max(most_mapped, MappedSegments());
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most_open, before + kLimit + 3) << "the lock, and what counts them";
  EXPECT_LE(most_mapped, 2 * kLimit);
  EXPECT_GE(most_mapped, 2u);
}

TEST(OpenSegments, AreCopiedFromWhereTooManyArePinned) {
  constexpr std::size_t kLimit = 6;
  TempFolder folder;
  auto journal = MustOpen(Env::System(), folder / "j", FewOpen(kLimit));
  Records written;
  written.Append(*journal, 200);
  ASSERT_TRUE(journal->Flush());
  std::vector<PinnedBytes> pinned;
  std::vector<std::size_t> of;
  std::size_t unmapped = 0;
  for (std::size_t at = 0; at < written.records.size(); ++at) {
    const std::string& payload = written.records[at].payload;
    auto data = journal->Data(written.places[at].begin, written.places[at].payload, payload.size(), true);
    ASSERT_TRUE(data) << data.error().ToString();
    if (data->unmapped) {
      ++unmapped;
      std::string bytes(payload.size(), '\0');
      ASSERT_TRUE(journal->Copy(written.places[at].payload, std::as_writable_bytes(std::span(bytes)), true));
      EXPECT_EQ(bytes, payload);
    } else {
      pinned.push_back(std::move(*data));
      of.push_back(at);
    }
  }
  EXPECT_GT(unmapped, 100u);
  EXPECT_GE(pinned.size(), 2 * kLimit);
  EXPECT_LE(MappedSegments(), 2 * kLimit + 1);
  journal.reset();
  for (std::size_t i = 0; i < pinned.size(); ++i) EXPECT_EQ(AsText(pinned[i].bytes), written.records[of[i]].payload);
  pinned.clear();
  EXPECT_EQ(MappedSegments(), 0u);
}

TEST(OpenSegments, AreAskedForByWhoMayWait) {
  TempFolder folder;
  auto journal = MustOpen(Env::System(), folder / "j", FewOpen(4));
  Records written;
  written.Append(*journal, 100);
  // The committer opens what it syncs; afterwards others take its place.
  ASSERT_TRUE(journal->SyncAndWait(journal->end()));
  for (std::size_t i = 40; i < 100; ++i) {
    ASSERT_TRUE(journal->Data(written.places[i].begin, written.places[i].payload, 10, true));
  }
  auto refused = journal->Data(written.places[0].begin, written.places[0].payload, 10, false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::kWouldBlock);
  EXPECT_TRUE(journal->Data(written.places[0].begin, written.places[0].payload, 10, true));
  EXPECT_TRUE(journal->Data(written.places[0].begin, written.places[0].payload, 10, false));
}

}  // namespace
}  // namespace strata::journal
