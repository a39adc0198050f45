// The file of a WASIX journal: what is appended is there as Wasmer writes it, survives, and nothing of others is
// overwritten.
#include "journal/wasix/log_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "journal/wasix/decode.h"
#include "journal/wasix/framing.h"
#include "tests/base/fault_env.h"
#include "tests/base/temp_folder.h"
#include "tests/journal/journal_util.h"

namespace strata::journal::wasix {
namespace {

using ::testing::HasSubstr;

std::string Magic() { return std::string(AsText(kMagic)); }

std::string Data(std::size_t size, int seed) {
  std::string data(size, '\0');
  for (std::size_t i = 0; i < size; ++i) data[i] = static_cast<char>((i * 31 + i / 251) % 256 + seed);
  return data;
}

// What the file holds, a line a record, up to what is no whole record.
std::vector<std::string> Records(const std::string& file) {
  std::vector<std::string> records;
  FrameReader reader(AsBytes(file));
  for (Frame frame = reader.Next(); frame.kind == Frame::Kind::kRecord; frame = reader.Next()) {
    auto entry = Decode(frame.header.type, frame.payload, frame.payload_position());
    EXPECT_TRUE(entry) << entry.error().ToString();
    if (!entry) break;
    std::string line(EntryName(frame.header.type));
    if (const auto* write = std::get_if<FileDescriptorWriteV1>(&*entry)) {
      line += " fd=" + std::to_string(write->fd) + " at=" + std::to_string(write->offset) + ' ';
      line += write->data.size() < 100 ? std::string(AsText(write->data)) : std::to_string(write->data.size());
    }
    if (const auto* made = std::get_if<CreateDirectoryV1>(&*entry)) line += ' ' + std::string(made->path);
    records.push_back(line);
  }
  return records;
}

class LogFileTest : public ::testing::Test {
 protected:
  std::unique_ptr<LogFile> MustOpen(Env& env, const LogFileOptions& options = {}) {
    auto opened = LogFile::Open(env, path_, options);
    EXPECT_TRUE(opened) << opened.error().ToString();
    return opened ? *std::move(opened) : nullptr;
  }
  // Opened, and appended to where it ends.
  std::unique_ptr<LogFile> MustStart(Env& env, const LogFileOptions& options = {}) {
    auto file = MustOpen(env, options);
    const auto started = file->StartAppending(file->end());
    EXPECT_TRUE(started) << started.error().ToString();
    return file;
  }
  static Result<LogFile::Place> Write(LogFile& file, std::string_view data, std::uint32_t fd = 64) {
    const Entry entry = FileDescriptorWriteV1{.fd = fd, .offset = 7, .data = AsBytes(data)};
    return file.Append({&entry, 1});
  }
  static Result<LogFile::Place> Make(LogFile& file, std::string_view path) {
    const Entry entry = CreateDirectoryV1{.fd = 3, .path = path};
    return file.Append({&entry, 1});
  }
  static Result<void> SyncAndWait(LogFile& file) {
    Result<void> outcome;
    std::atomic<bool> done = false;
    file.Sync(file.end(), [&](Result<void> result) {
      outcome = std::move(result);
      done.store(true);
      done.notify_one();
    });
    done.wait(false);
    return outcome;
  }

  const TempFolder folder_;
  const std::string path_ = folder_.path() + "/log";
};

TEST_F(LogFileTest, WhatIsAppendedIsThereAndIsGoneOnWithLater) {
  std::vector<std::string> expected;
  const std::string large = Data(100'000, 1);
  for (int round = 0; round < 3; ++round) {
    const auto file = MustStart(Env::System());
    ASSERT_TRUE(Make(*file, "/d" + std::to_string(round)));
    const std::vector<Entry> several{CreateDirectoryV1{.fd = 3, .path = "/e"},
                                     FileDescriptorWriteV1{.fd = 5, .offset = 7, .data = AsBytes(large)},
                                     CloseFileDescriptorV1{.fd = 5}};
    const auto placed = file->Append(several);
    ASSERT_TRUE(placed);
    EXPECT_EQ(placed->data % 16, 0U);
    const auto small = Write(*file, "hello");
    ASSERT_TRUE(small);
    EXPECT_EQ(small->begin, placed->end);
    EXPECT_EQ(small->end, file->end());
    for (const char* name :
         {"create_directory_v1 /d", "create_directory_v1 /e", "file_descriptor_write_v1 fd=5 at=7 100000",
          "close_file_descriptor_v1", "file_descriptor_write_v1 fd=64 at=7 hello"}) {
      expected.push_back(name);
      if (expected.back().ends_with("/d")) expected.back() += std::to_string(round);
    }
    ASSERT_TRUE(file->Flush());
    const std::string bytes = Slurp(path_);
    EXPECT_EQ(bytes.size(), file->end());
    EXPECT_EQ(bytes.substr(placed->data, large.size()), large);
    EXPECT_EQ(bytes.substr(small->data, 5), "hello");
    EXPECT_EQ(Records(bytes), expected);
  }
  EXPECT_TRUE(Slurp(path_).starts_with(Magic()));
}

TEST_F(LogFileTest, OneAppendsAtATimeAndOthersMayRead) {
  const auto file = MustStart(Env::System());
  const auto second = LogFile::Open(Env::System(), path_, {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Errc::kBusy);
  EXPECT_THAT(second.error().ToString(), HasSubstr("--read-only"));
  const auto reader = MustOpen(Env::System(), {.read_only = true});
  EXPECT_EQ(reader->StartAppending(8).error().code(), Errc::kReadOnly);
  EXPECT_EQ(Make(*reader, "/a").error().code(), Errc::kReadOnly);
}

TEST_F(LogFileTest, WhatIsNoJournalIsRefusedAndLeftAsItIs) {
  EXPECT_EQ(LogFile::Open(Env::System(), path_, {.read_only = true}).error().code(), Errc::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(path_));
  for (std::size_t size = 1; size < 8; ++size) {
    Spill(path_, Magic().substr(0, size));
    EXPECT_EQ(LogFile::Open(Env::System(), path_, {}).error().code(), Errc::kCorrupt) << size;
    EXPECT_EQ(Slurp(path_).size(), size);
  }
  Spill(path_, "no journal at all");
  EXPECT_EQ(LogFile::Open(Env::System(), path_, {}).error().code(), Errc::kCorrupt);
  EXPECT_EQ(Slurp(path_), "no journal at all");
}

TEST_F(LogFileTest, ATornTailIsKeptAndCutBeforeAnythingIsAppended) {
  {
    ASSERT_TRUE(Make(*MustStart(Env::System()), "/a"));
  }
  const std::string whole = Slurp(path_);
  const std::string tail = std::string(8, '\0') + Data(3 << 20, 3);
  for (int round = 0; round < 3; ++round) {
    SCOPED_TRACE(round);
    Spill(path_, whole + tail);
    const auto file = MustOpen(Env::System());
    ASSERT_EQ(file->end(), whole.size() + tail.size());
    ASSERT_TRUE(file->StartAppending(whole.size()));
    ASSERT_TRUE(Make(*file, "/b"));
    ASSERT_TRUE(file->Flush());
    EXPECT_EQ(Records(Slurp(path_)), (std::vector<std::string>{"create_directory_v1 /a", "create_directory_v1 /b"}));
    std::string kept = path_ + ".torn." + std::to_string(whole.size());
    if (round > 0) kept += '.' + std::to_string(round);
    EXPECT_EQ(Slurp(kept), tail);
  }
  const auto file = MustOpen(Env::System());
  EXPECT_EQ(file->StartAppending(file->end() + 1).error().code(), Errc::kInvalid);
}

TEST_F(LogFileTest, NothingThatAnotherProgramAppendedIsOverwritten) {
  Status told(Errc::kStale);
  const auto file = MustStart(Env::System(), {.on_failure = [&](const Status& status) { told = status; }});
  ASSERT_TRUE(Make(*file, "/a"));
  ASSERT_TRUE(file->Flush());
  const std::string before = Slurp(path_);
  std::ofstream(path_, std::ios::binary | std::ios::app) << "another's record";
  ASSERT_TRUE(Make(*file, "/b")) << "it is in the buffer";
  EXPECT_EQ(file->Flush().error().code(), Errc::kBusy);
  EXPECT_EQ(told.code(), Errc::kBusy);
  EXPECT_THAT(told.ToString(), HasSubstr("another program"));
  EXPECT_EQ(Make(*file, "/c").error().code(), Errc::kBusy);
  EXPECT_EQ(Write(*file, Data(100'000, 1)).error().code(), Errc::kBusy);
  EXPECT_EQ(SyncAndWait(*file).error().code(), Errc::kBusy);
  EXPECT_TRUE(file->failed());
  EXPECT_EQ(Slurp(path_), before + "another's record");
}

TEST_F(LogFileTest, AFileThatWasCutIsAnErrorAndNoSignal) {
  const auto file = MustStart(Env::System());
  const auto placed = Write(*file, Data(200'000, 1));
  ASSERT_TRUE(placed);
  ASSERT_TRUE(file->Data(placed->data, 200'000));
  std::filesystem::resize_file(path_, 100);
  EXPECT_EQ(file->Data(placed->data, 200'000).error().code(), Errc::kIo);
  std::vector<std::byte> bytes(100);
  const auto few = file->Data(placed->data + 1000, 100);
  ASSERT_TRUE(few);
  ASSERT_TRUE(few->unmapped);
  EXPECT_EQ(file->Copy(placed->data + 1000, bytes, true).error().code(), Errc::kIo);
  ASSERT_TRUE(Make(*file, "/a"));
  EXPECT_EQ(file->Flush().error().code(), Errc::kIo);
}

TEST_F(LogFileTest, WhatIsSyncedSurvivesAPowerCut) {
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    FaultEnv env;
    std::filesystem::remove(path_);
    auto file = MustStart(env);
    std::vector<std::string> expected;
    std::size_t durable = 0;
    for (int i = 0; i < 20; ++i) {
      const std::string name = "/n" + std::to_string(i);
      ASSERT_TRUE(Make(*file, name));
      expected.push_back("create_directory_v1 " + name);
      if (i % 7 == 3) {
        ASSERT_TRUE(file->Flush());
      }
      if (i == 11) {
        ASSERT_TRUE(SyncAndWait(*file));
        EXPECT_EQ(file->durable(), file->end());
        durable = expected.size();
      }
    }
    ASSERT_TRUE(file->Flush());
    env.PowerLoss(seed, seed % 2 == 0 ? 0 : 500);
    file.reset();
    const std::vector<std::string> left = Records(Slurp(path_));
    ASSERT_GE(left.size(), durable);
    for (std::size_t i = 0; i < durable; ++i) EXPECT_EQ(left[i], expected[i]);
  }
}

TEST_F(LogFileTest, AFullDiskTakesNothingAndLeavesWhatWasThere) {
  FaultEnv env;
  const auto file = MustStart(env);
  ASSERT_TRUE(Make(*file, "/a"));
  const std::uint64_t end = file->end();
  env.SetTornWrite(50);
  env.FailAfter(FaultEnv::kWrite, 0, Errc::kNoSpace);
  const std::string large = Data(100'000, 1);
  const std::vector<Entry> several{CreateDirectoryV1{.fd = 3, .path = "/lost"},
                                   FileDescriptorWriteV1{.fd = 5, .data = AsBytes(large)}};
  EXPECT_EQ(file->Append(several).error().code(), Errc::kNoSpace);
  EXPECT_EQ(file->end(), end);
  // The second of two large ones.
  const std::vector<Entry> two{FileDescriptorWriteV1{.fd = 5, .data = AsBytes(large)},
                               CreateDirectoryV1{.fd = 3, .path = "/lost"},
                               FileDescriptorWriteV1{.fd = 5, .data = AsBytes(large)}};
  env.FailAfter(FaultEnv::kWrite, 1, Errc::kNoSpace);
  EXPECT_EQ(file->Append(two).error().code(), Errc::kNoSpace);
  EXPECT_EQ(file->end(), end);
  env.FailAfter(FaultEnv::kWrite, 0, Errc::kNoSpace);
  ASSERT_TRUE(Make(*file, "/b"));
  EXPECT_EQ(file->Flush().error().code(), Errc::kNoSpace);
  ASSERT_TRUE(Make(*file, "/c"));
  ASSERT_TRUE(SyncAndWait(*file));
  EXPECT_FALSE(file->failed());
  EXPECT_EQ(Records(Slurp(path_)),
            (std::vector<std::string>{"create_directory_v1 /a", "create_directory_v1 /b", "create_directory_v1 /c"}));
}

TEST_F(LogFileTest, AnyOtherFailureIsTheEndOfAppending) {
  for (const auto call : {FaultEnv::kWrite, FaultEnv::kSync}) {
    FaultEnv env;
    std::filesystem::remove(path_);
    const auto file = MustStart(env);
    ASSERT_TRUE(Make(*file, "/a"));
    env.FailAfter(call, 0, Errc::kIo);
    EXPECT_EQ(SyncAndWait(*file).error().code(), Errc::kIo);
    EXPECT_EQ(SyncAndWait(*file).error().code(), Errc::kIo) << "for good";
    EXPECT_EQ(Make(*file, "/b").error().code(), Errc::kIo);
  }
}

TEST_F(LogFileTest, DataIsReadFromTheBufferTheFileAndTheMapping) {
  const auto file = MustStart(Env::System(), {.mapped_bytes = 1 << 20});
  std::vector<std::pair<LogFile::Place, std::string>> written;
  for (int i = 0; i < 60; ++i) {
    const std::string data = Data(i % 3 == 0 ? 100 : 3000 * static_cast<std::size_t>(i), i);
    const auto placed = Write(*file, data);
    ASSERT_TRUE(placed);
    written.emplace_back(*placed, data);
    for (const auto& [place, bytes] : {written.back(), written[static_cast<std::size_t>(i) / 2]}) {
      const auto read = file->Data(place.data, bytes.size());
      ASSERT_TRUE(read);
      std::string copy(bytes.size(), '\0');
      if (read->unmapped) {
        ASSERT_TRUE(file->Copy(place.data, std::as_writable_bytes(std::span(copy)), true));
      } else {
        copy = AsText(read->bytes);
      }
      ASSERT_EQ(copy, bytes);
    }
  }
  file->ReleasePages();
  EXPECT_EQ(file->Data(file->end() - 1, 2).error().code(), Errc::kCorrupt);
  EXPECT_EQ(file->Data(~std::uint64_t{0}, 2).error().code(), Errc::kCorrupt);
}

TEST_F(LogFileTest, ManyThreadsAppendSyncAndRead) {
  constexpr int kThreads = 4, kEach = 200;
  {
    const auto file = MustStart(Env::System(), {.sync_interval_ns = 1'000'000});
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kEach; ++i) {
          const std::string data = Data(i % 50 == 7 ? 40'000 : 20, t);
          const auto placed = Write(*file, data, static_cast<std::uint32_t>(t));
          ASSERT_TRUE(placed);
          if (i % 20 == 3) {
            ASSERT_TRUE(SyncAndWait(*file));
          }
          std::string copy(20, '\0');
          ASSERT_TRUE(file->Data(placed->data, 20));
          ASSERT_TRUE(file->Copy(placed->data, std::as_writable_bytes(std::span(copy)), true));
          ASSERT_EQ(copy, data.substr(0, 20));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(Records(Slurp(path_)).size(), static_cast<std::size_t>(kThreads * kEach));
}

}  // namespace
}  // namespace strata::journal::wasix
