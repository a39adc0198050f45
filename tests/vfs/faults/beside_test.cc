// A reader beside the writer: it sees what the writer had flushed when it was opened, and goes on seeing that, whatever
// is changed and checkpointed meanwhile.
#include <gtest/gtest.h>

#include "tests/vfs/faults/stream.h"

namespace strata::vfs::testing {
namespace {

Tree Base() {
  return {DirNode("a"),
          FileNode("a/a", Pattern(20'000, 1)),
          FileNode("a/b", "small"),
          DirNode("a/c"),
          FileNode("a/c/a", "deep"),
          DirNode("b"),
          FileNode("b/a", "b"),
          LinkNode("b/d", "a/b"),
          SymlinkNode("c", "a/b"),
          DirNode("e"),
          FileNode("e/f", "removed")};
}

std::string ImageOf(Workspace& workspace) {
  Holding holding(workspace);
  return TreeImage(holding, true);
}

std::string Lines(Workspace& workspace) {
  std::string lines;
  auto changes = workspace.Changes();
  EXPECT_OK(changes);
  if (!changes) return "failed";
  for (const PathChange& change : *changes) {
    lines += "+~-"[static_cast<int>(change.kind)] + change.path + '\n';
  }
  return lines;
}

// Some of everything that a record can say.
void ChangeMuch(Client& c) {
  EXPECT_OK(c.Chmod("a/b", 0600));
  EXPECT_OK(c.WriteAt("a/a", 100, Pattern(5000, 9)));
  EXPECT_OK(c.Truncate("a/a", 15'000));
  EXPECT_OK(c.Unlink("a/c/a"));
  EXPECT_OK(c.Rmdir("a/c"));
  EXPECT_OK(c.WriteFile("a/new", "new"));
  EXPECT_OK(c.WriteFile("a/gone", "gone"));
  EXPECT_OK(c.Unlink("a/gone"));
  EXPECT_OK(c.RenameAt("b", "b2"));
  EXPECT_OK(c.LinkAt("b2/a", "linked"));
  EXPECT_OK(c.Unlink("b2/a"));
  EXPECT_OK(c.Unlink("e/f"));
  EXPECT_OK(c.Mkdir("e/f"));
  EXPECT_OK(c.WriteFile("e/f/g", Pattern(3000, 4)));
}

TEST(BesideTheWriter, SeesWhatWasFlushedWhetherTheIndexHoldsItOrNot) {
  for (const bool checkpointed : {false, true}) {
    FaultySubject subject({Base()});
    Client client(subject);
    ChangeMuch(client);
    if (checkpointed) {
      ASSERT_OK(subject.workspace().Checkpoint());
    }
    auto reader = subject.OpenBeside();
    EXPECT_EQ(ImageOf(*reader), TreeImage(subject, true)) << "checkpointed " << checkpointed;
    EXPECT_EQ(Lines(*reader), Lines(subject.workspace()));
  }
}

TEST(BesideTheWriter, GoesOnSeeingWhatItWasOpenedOn) {
  for (const bool looked : {false, true}) {
    SCOPED_TRACE(looked ? "after a look" : "before any look");
    FaultySubject subject({Base()});
    Client client(subject);
    EXPECT_OK(client.WriteFile("a/early", Pattern(4000, 2)));
    EXPECT_OK(client.Mkdir("d"));
    EXPECT_OK(client.WriteFile("d/x", "x"));
    EXPECT_OK(client.Chmod("e", 0700));
    ASSERT_OK(subject.workspace().Checkpoint());
    EXPECT_OK(client.WriteFile("d/y", "y"));
    const std::string image = TreeImage(subject, true);
    const std::string lines = Lines(subject.workspace());
    auto reader = subject.OpenBeside();
    if (looked) {
      EXPECT_EQ(ImageOf(*reader), image);
    }
    for (int i = 0; i < 3; ++i) {
      if (i == 0) ChangeMuch(client);
      EXPECT_OK(client.WriteFile("d/x", "xx" + std::to_string(i)));
      EXPECT_OK(client.WriteFile("d/z" + std::to_string(i), "z"));
      if (i == 1) {
        EXPECT_OK(client.Unlink("a/early"));
        EXPECT_OK(client.Unlink("d/y"));
      }
      ASSERT_OK(subject.workspace().Checkpoint());
    }
    EXPECT_EQ(ImageOf(*reader), image);
    EXPECT_EQ(Lines(*reader), lines);
  }
}

TEST(BesideTheWriter, HandlesOfTheWriterAreGoodForTheReader) {
  FaultySubject subject({Base()});
  Client client(subject);
  ChangeMuch(client);
  const ObjectId removed = client.IdOf("a/b");
  const ObjectId kept = client.IdOf("e/f/g");
  const ObjectId lower = client.IdOf("a/a");
  EXPECT_OK(client.Unlink("a/b"));
  EXPECT_OK(client.Unlink("b2/d"));
  auto reader = subject.OpenBeside();
  Holding holding(*reader);
  Client looking(holding);
  EXPECT_CODE(looking.Get(removed), Errc::kStale);
  EXPECT_OK(looking.Get(kept));
  EXPECT_OK(looking.Get(lower));
  EXPECT_EQ(looking.ReadAll(kept).value_or("?"), Pattern(3000, 4));
  EXPECT_CODE(looking.Write(kept, 0, "x"), Errc::kReadOnly);
}

TEST(BesideTheWriter, ShowsTheSameAsTheWriterAtRandomMoments) {
  std::size_t compared = 0;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    FaultySubject subject({Base()}, LivelyOptions(), 256 << 10);
    subject.workspace();
    Stream stream(subject, Base(), seed);
    std::unique_ptr<Workspace> early;
    std::string early_image;
    for (int step = 0; step < 150; ++step) {
      stream.Step(false);
      ASSERT_FALSE(HasFailure());
      if (random() % 25 == 0) {
        ASSERT_OK(subject.workspace().Checkpoint());
      }
      if (random() % 15 != 0) continue;
      ASSERT_OK(subject.fs().Flush());
      const std::string image = TreeImage(subject, true);
      auto reader = subject.OpenBeside();
      ASSERT_NE(reader, nullptr);
      ASSERT_EQ(ImageOf(*reader), image) << "at step " << step;
      ++compared;
      if (early == nullptr) {
        early = subject.OpenBeside();
        early_image = image;
      } else if (random() % 4 == 0) {
        ASSERT_EQ(ImageOf(*early), early_image) << "of the reader that was opened before, at step " << step;
        early.reset();
      }
    }
  }
  EXPECT_GT(compared, 30u);
}

TEST(BesideTheWriter, ALongLivedReaderDoesNotKeepTheWriterFromCheckpoints) {
  FaultySubject subject({Base()});
  Client client(subject);
  EXPECT_OK(client.MakeFile("n"));
  ASSERT_OK(subject.workspace().Checkpoint());
  auto reader = subject.OpenBeside();
  const std::string image = ImageOf(*reader);
  for (int i = 0; i < 20; ++i) {
    EXPECT_OK(client.WriteFile("n", std::to_string(i)));
    ASSERT_OK(subject.workspace().Checkpoint());
  }
  const std::string now = TreeImage(subject, true);
  subject.Restart();
  EXPECT_EQ(TreeImage(subject, true), now);
  EXPECT_EQ(ImageOf(*reader), image);
}

}  // namespace
}  // namespace strata::vfs::testing
