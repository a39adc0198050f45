// A read-only volume: every change is refused, and ACCESS promises none (spec nfsv3 4.6).
#include "contract.h"

STRATA_CONTRACT(ReadOnlyContract)

namespace strata::vfs::testing {
namespace {

TEST_P(ReadOnlyContract, R4_6_EveryChangeIsRefusedAndEverythingReads) {
  Given({FileNode("w/f", "hello"), DirNode("w/d"), SymlinkNode("w/s", "t")});
  Client client = Root();
  ASSERT_OK(client.WriteFile("w/own", "own"));
  const ObjectId w = client.IdOf("w");
  const ObjectId f = client.IdOf("w/f");
  const Attributes before = client.Get(w).value();
  subject().Reopen(true);
  EXPECT_TRUE(subject().fs().Volume().read_only);
  EXPECT_CODE(client.Set(f, Mode(0600)), Errc::kReadOnly);
  EXPECT_CODE(client.Set(f, Size(0)), Errc::kReadOnly);
  EXPECT_CODE(client.Write(f, 0, "x"), Errc::kReadOnly);
  EXPECT_CODE(client.Create(w, "n", CreateMode::kGuarded), Errc::kReadOnly);
  EXPECT_CODE(client.Create(w, "n", CreateMode::kExclusive), Errc::kReadOnly);
  EXPECT_CODE(client.Create(w, "f", CreateMode::kUnchecked, Size(0)), Errc::kReadOnly);
  EXPECT_CODE(client.MakeDirectory(w, "n"), Errc::kReadOnly);
  EXPECT_CODE(client.MakeSymlink(w, "n", "t"), Errc::kReadOnly);
  EXPECT_CODE(client.MakeNode(w, "n", FileType::kFifo, {}), Errc::kReadOnly);
  EXPECT_CODE(client.Remove(w, "f"), Errc::kReadOnly);
  EXPECT_CODE(client.RemoveDirectory(w, "d"), Errc::kReadOnly);
  EXPECT_CODE(client.Rename(w, "f", w, "g"), Errc::kReadOnly);
  EXPECT_CODE(client.Link(f, w, "n"), Errc::kReadOnly);

  EXPECT_EQ(client.ReadFile("w/f").value_or("failed"), "hello");
  EXPECT_EQ(client.ReadFile("w/own").value_or("failed"), "own");
  EXPECT_EQ(client.ReadLinkAt("w/s").value_or("failed"), "t");
  EXPECT_THAT(client.List("w").value(), ::testing::ElementsAre("d", "f", "own", "s"));
  ExpectSame(client.Get(w).value(), before);
  for (const char* path : {"w", "w/f", "w/d", "w/own"}) {
    const std::uint32_t granted = client.Access(client.IdOf(path)).value();
    EXPECT_EQ(granted & (kAccessModify | kAccessExtend | kAccessDelete), 0u) << path;
    EXPECT_NE(granted & kAccessRead, 0u) << path;
  }
  // And once it may be written again, it can be.
  subject().Reopen(false);
  EXPECT_OK(client.Write(f, 0, "J"));
  EXPECT_EQ(client.ReadFile("w/f").value_or("failed"), "Jello");
}

}  // namespace
}  // namespace strata::vfs::testing
