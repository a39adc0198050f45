// A full disk and a failing one: what each kind of change answers, what it leaves, and how it goes on.
#include <gtest/gtest.h>

#include <chrono>
#include <future>

#include "tests/vfs/faults/subject.h"

namespace strata::vfs::testing {
namespace {

constexpr int kNever = 1 << 30;

Tree Base() {
  return {DirNode("d"), FileNode("d/f", Pattern(5000, 1)), FileNode("d/g", "g"), DirNode("d/e"),
          SymlinkNode("d/l", "f")};
}

// One call that changes something, made without waiting for its commitment.
struct Change {
  std::string name;
  std::function<Result<void>(FileSystem&, Client&, Mutation&)> call;
};

template <typename T>
Result<void> Plain(const Result<T>& result) {
  if (!result) return Fail(result.error());
  return {};
}

std::vector<Change> AllChanges() {
  static const OpContext kContext{.credentials = {}, .may_block = true};
  static const std::string kData = Pattern(2500, 7);
  return {
      {"SETATTR",
       [](FileSystem& fs, Client& c, Mutation& m) {
         SetAttributes set = Mode(0600);
         set.size = 3000;
         return fs.SetAttributesOf(kContext, c.IdOf("d/f"), set, {}, m);
       }},
      {"WRITE",
       [](FileSystem& fs, Client& c, Mutation& m) {
         return Plain(fs.Write(kContext, c.IdOf("d/f"), 100, AsBytes(kData), Stability::kUnstable, m));
       }},
      {"CREATE",
       [](FileSystem& fs, Client& c, Mutation& m) {
         return Plain(fs.Create(kContext, c.IdOf("d"), "new", CreateMode::kGuarded, Mode(0600), {}, m));
       }},
      {"CREATE of what exists, cutting it",
       [](FileSystem& fs, Client& c, Mutation& m) {
         return Plain(fs.Create(kContext, c.IdOf("d"), "f", CreateMode::kUnchecked, Size(0), {}, m));
       }},
      {"MKDIR", [](FileSystem& fs, Client& c,
                   Mutation& m) { return Plain(fs.MakeDirectory(kContext, c.IdOf("d"), "n", Mode(0700), m)); }},
      {"SYMLINK", [](FileSystem& fs, Client& c,
                     Mutation& m) { return Plain(fs.MakeSymlink(kContext, c.IdOf("d"), "s", "target", {}, m)); }},
      {"MKNOD", [](FileSystem& fs, Client& c,
                   Mutation& m) { return Plain(fs.MakeNode(kContext, c.IdOf("d"), "p", FileType::kFifo, {}, {}, m)); }},
      {"LINK", [](FileSystem& fs, Client& c,
                  Mutation& m) { return fs.Link(kContext, c.IdOf("d/f"), c.IdOf("d"), "linked", nullptr, m); }},
      {"RENAME", [](FileSystem& fs, Client& c,
                    Mutation& m) { return fs.Rename(kContext, c.IdOf("d"), "f", c.Root(), "moved", m); }},
      {"RENAME over a file", [](FileSystem& fs, Client& c,
                                Mutation& m) { return fs.Rename(kContext, c.IdOf("d"), "f", c.IdOf("d"), "g", m); }},
      {"RENAME of a directory",
       [](FileSystem& fs, Client& c, Mutation& m) { return fs.Rename(kContext, c.IdOf("d"), "e", c.Root(), "e", m); }},
      {"REMOVE", [](FileSystem& fs, Client& c, Mutation& m) { return fs.Remove(kContext, c.IdOf("d"), "f", m); }},
      {"RMDIR",
       [](FileSystem& fs, Client& c, Mutation& m) { return fs.RemoveDirectory(kContext, c.IdOf("d"), "e", m); }},
  };
}

class FullDisk : public ::testing::TestWithParam<std::tuple<std::size_t, Errc, bool>> {};

TEST_P(FullDisk, RefusesTheChangeWholeAndGoesOnOnceThereIsSpace) {
  const auto& [which, code, lower] = GetParam();
  const Change change = AllChanges()[which];
  SCOPED_TRACE(change.name);
  FaultySubject subject(lower ? std::vector<Tree>{Base()} : std::vector<Tree>{}, QuietOptions(), 8192);
  Client client(subject);
  if (!lower) BuildThrough(client, Base());
  const ObjectId filler = *client.MakeFile("filler");
  ASSERT_OK(client.Write(filler, 0, "what is read from the journal"));

  subject.env().FailAfter(FaultEnv::kAllocate, 0, code, true);
  // Up to the last byte: this is the smallest record that there is.
  std::optional<Errc> full;
  for (int i = 0; i < 1000 && !full; ++i) full = CodeOf(client.Write(filler, 0, "x"));
  ASSERT_EQ(full, code);
  const std::string before = TreeImage(subject, true);
  for (int again = 0; again < 2; ++again) {
    Mutation mutation;
    const auto refused = change.call(subject.fs(), client, mutation);
    EXPECT_CODE(refused, code);
    EXPECT_EQ(mutation.commitment, Commitment::kNone);
    if (mutation.target.before && mutation.target.after) {
      EXPECT_EQ(mutation.target.before->ctime.ns, mutation.target.after->ctime.ns) << "says that something changed";
    }
    // Reads go on, and nothing of it is to be seen.
    EXPECT_EQ(TreeImage(subject, true), before);
  }
  // What was answered can still be made durable.
  Mutation everything;
  everything.commitment = Commitment::kDurable;
  everything.lsn = subject.workspace().journal_end();
  EXPECT_OK(Settle(subject.fs(), everything));
  ASSERT_OK(subject.workspace().Checkpoint());
  EXPECT_EQ(TreeImage(subject, true), before);

  subject.env().FailAfter(FaultEnv::kAllocate, kNever, code);
  Mutation mutation;
  EXPECT_OK(change.call(subject.fs(), client, mutation));
  EXPECT_NE(mutation.commitment, Commitment::kNone);
  EXPECT_OK(Settle(subject.fs(), mutation));
  const std::string after = TreeImage(subject, true);
  EXPECT_NE(after, before);
  subject.Restart();
  EXPECT_EQ(TreeImage(subject, true), after);
}

INSTANTIATE_TEST_SUITE_P(Of, FullDisk,
                         ::testing::Combine(::testing::Range<std::size_t>(0, AllChanges().size()),
                                            ::testing::Values(Errc::kNoSpace, Errc::kQuota), ::testing::Bool()));

TEST(FullDiskAtTheEnd, LosesNothingWhenItStaysFullUntilTheNextStart) {
  for (const bool lower : {false, true}) {
    FaultySubject subject(lower ? std::vector<Tree>{Base()} : std::vector<Tree>{}, QuietOptions(), 8192);
    Client client(subject);
    ASSERT_OK(subject.Open());
    if (!lower) BuildThrough(client, Base());
    subject.env().FailAfter(FaultEnv::kAllocate, 0, Errc::kNoSpace, true);
    std::optional<Errc> full;
    for (int i = 0; i < 1000 && !full; ++i) full = CodeOf(client.MakeFile("n" + std::to_string(i)));
    ASSERT_EQ(full, Errc::kNoSpace);
    const std::string before = TreeImage(subject, true);
    subject.Close();
    ASSERT_OK(subject.Open());
    EXPECT_EQ(TreeImage(subject, true), before);
    EXPECT_CODE(client.WriteAt("n0", 0, Pattern(5000, 1)), Errc::kNoSpace);
    subject.env().FailAfter(FaultEnv::kAllocate, kNever, Errc::kNoSpace);
    // The reserve comes first, and is tried for now and then.
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    auto written = client.WriteAt("n0", 0, Pattern(5000, 1));
    while (!written && std::chrono::steady_clock::now() < end) written = client.WriteAt("n0", 0, Pattern(5000, 1));
    EXPECT_OK(written);
  }
}

// Where the file system cannot allocate ahead, it is the write that finds the disk full.
TEST(FullDiskAtAWrite, RefusesALargeWriteWholeAndGoesOnOnceThereIsSpace) {
  for (const Errc code : {Errc::kNoSpace, Errc::kQuota}) {
    FaultySubject subject({Base()}, QuietOptions());
    Client client(subject);
    ASSERT_OK(client.WriteAt("d/g", 0, "answered"));
    const std::string before = TreeImage(subject, true);
    subject.env().SetTornWrite(700);
    subject.env().FailAfter(FaultEnv::kWrite, 0, code, true);
    for (int again = 0; again < 3; ++again) {
      EXPECT_CODE(client.WriteAt("d/f", 5, Pattern(60'000, 3)), code);
      EXPECT_EQ(TreeImage(subject, true), before);
    }
    subject.env().FailAfter(FaultEnv::kWrite, kNever, code);
    EXPECT_OK(client.WriteAt("d/f", 5, Pattern(60'000, 3)));
    EXPECT_OK(client.Commit(client.IdOf("d/f")));
    const std::string after = TreeImage(subject, true);
    EXPECT_NE(after, before);
    subject.Restart();
    EXPECT_EQ(TreeImage(subject, true), after);
  }
}

TEST(FullDiskAtAWrite, FailsTheCommitmentAndMeetsALaterOneOnceThereIsSpace) {
  for (const Errc code : {Errc::kNoSpace, Errc::kQuota}) {
    FaultySubject subject({Base()}, QuietOptions());
    Client client(subject);
    ASSERT_OK(client.WriteAt("d/g", 0, "answered"));
    subject.env().SetTornWrite(100);
    subject.env().FailAfter(FaultEnv::kWrite, 0, code, true);
    EXPECT_CODE(client.MakeFile("d/n"), code);
    EXPECT_CODE(client.WriteAt("d/g", 0, "refused!"), code);
    EXPECT_OK(client.ReadFile("d/f"));
    subject.env().FailAfter(FaultEnv::kWrite, kNever, code);
    // The client was told that it failed; it may be there all the same.
    EXPECT_OK(client.WriteAt("d/g", 0, "go on"));
    EXPECT_OK(client.MakeFile("d/m"));
    const std::string after = TreeImage(subject, true);
    subject.Restart();
    EXPECT_EQ(TreeImage(subject, true), after);
  }
}

// Each kind of change whose commitment meets a disk that fails.
class FailingDisk : public ::testing::TestWithParam<std::tuple<std::size_t, FaultEnv::Call>> {};

TEST_P(FailingDisk, FailsWhatWaitsAndAllLaterChangesAndReadsGoOn) {
  const auto& [which, call] = GetParam();
  const Change change = AllChanges()[which];
  SCOPED_TRACE(change.name);
  FaultySubject subject({Base()}, QuietOptions());
  Client client(subject);
  ASSERT_OK(client.WriteFile("kept", "durable"));
  ASSERT_OK(client.Commit(client.IdOf("kept")));
  ASSERT_OK(client.Chmod("d/l", 0777));
  const std::string durable = TreeImage(subject, true);
  const WriteVerifier verifier = subject.fs().CurrentWriteVerifier();

  subject.env().SetTornWrite(60);
  subject.env().FailAfter(call, 0, Errc::kIo);
  Mutation mutation;
  ASSERT_OK(change.call(subject.fs(), client, mutation));  // it is in memory
  mutation.commitment = Commitment::kDurable;
  EXPECT_CODE(Settle(subject.fs(), mutation), Errc::kIo);
  EXPECT_NE(subject.fs().CurrentWriteVerifier(), verifier) << "clients must send again what was UNSTABLE";
  // The fault is over; the journal stays refused, since nobody knows what the disk holds.
  EXPECT_CODE(client.MakeFile("later"), Errc::kReadOnly);
  EXPECT_CODE(client.WriteAt("kept", 0, "x"), Errc::kReadOnly);
  EXPECT_CODE(Settle(subject.fs(), mutation), Errc::kIo);
  EXPECT_CODE(subject.fs().Flush(), Errc::kIo);
  EXPECT_CODE(subject.workspace().Checkpoint(), Errc::kIo);
  EXPECT_EQ(client.ReadFile("kept").value_or("?"), "durable");
  EXPECT_OK(client.List("d"));
  EXPECT_OK(client.Stat("d/g"));
  const WriteVerifier failed = subject.fs().CurrentWriteVerifier();
  EXPECT_EQ(subject.fs().CurrentWriteVerifier(), failed);

  // And the power goes too: only what was promised counts.
  subject.env().PowerLoss();
  subject.Close();
  ASSERT_OK(subject.Open());
  EXPECT_EQ(TreeImage(subject, true), durable);
  EXPECT_NE(subject.fs().CurrentWriteVerifier(), verifier);
  EXPECT_NE(subject.fs().CurrentWriteVerifier(), failed);
  EXPECT_OK(client.MakeFile("later"));
}

INSTANTIATE_TEST_SUITE_P(Of, FailingDisk,
                         ::testing::Combine(::testing::Range<std::size_t>(0, AllChanges().size()),
                                            ::testing::Values(FaultEnv::kWrite, FaultEnv::kSync)));

TEST(FailingDiskInAStream, KeepsEverythingThatWasPromisedWhereverItFails) {
  // The nth write or sync of one and the same series of changes fails, for each n.
  for (const FaultEnv::Call call : {FaultEnv::kWrite, FaultEnv::kSync, FaultEnv::kSyncDirectory, FaultEnv::kAllocate}) {
    bool failed = true;
    for (int n = 0; failed && n < 200; ++n) {
      SCOPED_TRACE("call " + std::to_string(call) + " number " + std::to_string(n));
      FaultySubject subject({Base()}, QuietOptions(), 128 << 10);
      Client client(subject);
      subject.workspace();
      subject.env().FailAfter(call, n, Errc::kIo);
      failed = false;
      std::vector<std::string> promised;
      for (int i = 0; i < 12; ++i) {
        const std::string name = "f" + std::to_string(i);
        auto made = client.MakeFile(name);
        if (made && client.Write(*made, 0, Pattern(i % 3 == 0 ? 50'000 : 300, i), Stability::kFileSync)) {
          promised.push_back(name);
        } else {
          failed = true;
        }
        if (i % 5 == 4 && !subject.workspace().Checkpoint()) failed = true;
      }
      EXPECT_EQ(failed, promised.size() != 12u);
      subject.env().PowerLoss(static_cast<std::uint32_t>(n), 500);
      subject.Close();
      ASSERT_OK(subject.Open());
      for (const std::string& name : promised) {
        const int i = std::stoi(name.substr(1));
        EXPECT_EQ(client.ReadFile(name).value_or("?"), Pattern(i % 3 == 0 ? 50'000 : 300, i)) << name;
      }
      ASSERT_FALSE(HasFailure());
      if (n == 0) {
        EXPECT_TRUE(failed) << "no call of this kind was made";
      }
    }
  }
}

TEST(FailingDiskAtTheStart, OpeningFailsCleanlyAtEveryCallAndWorksTheNextTime) {
  FaultySubject subject({Base()}, QuietOptions(), 64 << 10);
  Client client(subject);
  for (int i = 0; i < 10; ++i) ASSERT_OK(client.WriteFile("f" + std::to_string(i), Pattern(9000, i)));
  ASSERT_OK(client.Commit(client.IdOf("f9")));
  const std::string image = TreeImage(subject, true);
  for (const FaultEnv::Call call :
       {FaultEnv::kOpen, FaultEnv::kWrite, FaultEnv::kSync, FaultEnv::kSyncDirectory, FaultEnv::kMap}) {
    int refused = 0;
    for (int n = 0; n < 100; ++n) {
      SCOPED_TRACE("call " + std::to_string(call) + " number " + std::to_string(n));
      // Something to cut and to replay.
      subject.workspace();
      ASSERT_OK(client.WriteAt("f0", 0, Pattern(9000, 0)));
      ASSERT_OK(subject.fs().Flush());
      subject.Close();
      for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(subject.index() + suffix);
      subject.env().FailAfter(call, n, Errc::kIo);
      const auto opened = subject.Open();
      subject.env().FailAfter(call, kNever, Errc::kIo);
      if (opened) break;
      ++refused;
      ASSERT_OK(subject.Open());
    }
    if (call == FaultEnv::kOpen || call == FaultEnv::kSync || call == FaultEnv::kMap) {
      EXPECT_GT(refused, 0);
    }
    for (int i = 1; i < 10; ++i) {
      ASSERT_EQ(client.ReadFile("f" + std::to_string(i)).value_or("?"), Pattern(9000, static_cast<std::uint64_t>(i)));
    }
  }
}

}  // namespace
}  // namespace strata::vfs::testing
