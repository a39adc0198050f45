// The defaults of FileSystem, the checks of names, and access by mode bits.
#include "vfs/file_system.h"

#include <gtest/gtest.h>

#include <string>

namespace strata::vfs {
namespace {

// One file, number 1; read-only unless told.
class OneFile : public FileSystem {
 public:
  OneFile() { volume_.read_only = true; }
  const VolumeInfo& Volume() const override { return volume_; }
  ObjectId Root() const override { return {kRootInode, Generation(0), 0}; }
  Result<Attributes> GetAttributes(const OpContext&, const ObjectId& id) override {
    if (id.ino != kRootInode) return Fail(Errc::kStale);
    return attributes_;
  }
  Result<Entry> Lookup(const OpContext&, const ObjectId&, std::string_view, std::optional<Attributes>*) override {
    return Fail(Errc::kNotFound);
  }
  Result<ReadResult> Read(const OpContext&, const ObjectId&, std::uint64_t, std::uint32_t, ReadSink&) override {
    return ReadResult{};
  }
  Result<Listing> ReadDirectory(const OpContext&, const ObjectId&, Cookie, bool, DirectorySink&) override {
    return Listing{};
  }

  VolumeInfo volume_;
  Attributes attributes_;
};

TEST(FileSystemDefaults, AChangeIsRefusedWithTheObjectsAttributes) {
  OneFile fs;
  fs.attributes_.size = 42;
  Mutation mutation;
  auto written = fs.Write({}, fs.Root(), 0, {}, Stability::kUnstable, mutation);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code(), Errc::kReadOnly);
  ASSERT_TRUE(mutation.target.before && mutation.target.after);
  EXPECT_EQ(mutation.target.before->size, 42u);
  EXPECT_EQ(mutation.target.after->size, 42u);
  EXPECT_EQ(mutation.commitment, Commitment::kNone);

  Mutation rename;
  EXPECT_EQ(fs.Rename({}, fs.Root(), "a", fs.Root(), "b", rename).error().code(), Errc::kReadOnly);
  EXPECT_TRUE(rename.target.after && rename.second.after);
}

TEST(FileSystemDefaults, AStaleObjectIsStaleEvenWhereNothingMayChange) {
  OneFile fs;
  Mutation mutation;
  EXPECT_EQ(fs.Remove({}, {InodeNumber(9), {}, 0}, "x", mutation).error().code(), Errc::kStale);
  EXPECT_FALSE(mutation.target.after);
}

TEST(FileSystemDefaults, ACommitHasNothingToDoAndSyncCallsBack) {
  OneFile fs;
  Mutation mutation;
  EXPECT_TRUE(fs.Commit({}, fs.Root(), mutation));
  bool called = false;
  fs.Sync(Lsn(7), [&](Result<void> result) { called = result.has_value(); });
  EXPECT_TRUE(called);
}

TEST(FileSystemDefaults, AccessOnAReadOnlyVolumeGrantsNoChange) {
  OneFile fs;
  fs.attributes_.mode = 0777;
  std::optional<Attributes> after;
  constexpr std::uint32_t kAll = 0x3f;
  auto granted = fs.Access({}, fs.Root(), kAll, &after);
  ASSERT_TRUE(granted);
  EXPECT_EQ(*granted, kAccessRead | kAccessExecute);
  EXPECT_TRUE(after);
  fs.volume_.read_only = false;
  EXPECT_EQ(fs.Access({}, fs.Root(), kAll, nullptr), kAccessRead | kAccessExecute | kAccessModify | kAccessExtend);
}

TEST(Names, AreCheckedForSizeNulAndSlash) {
  EXPECT_TRUE(CheckName("a"));
  EXPECT_TRUE(CheckName("."));
  EXPECT_TRUE(CheckName("\xff\x01 .wh.x"));
  EXPECT_TRUE(CheckName(std::string(255, 'n')));
  EXPECT_EQ(CheckName(std::string(256, 'n')).error().code(), Errc::kNameTooLong);
  EXPECT_EQ(CheckName("").error().code(), Errc::kInvalid);
  EXPECT_EQ(CheckName("a/b").error().code(), Errc::kInvalid);
  EXPECT_EQ(CheckName(std::string_view("a\0b", 3)).error().code(), Errc::kInvalid);
}

TEST(Names, DotsCannotBeMade) {
  EXPECT_EQ(CheckNewName(".", Errc::kExists).error().code(), Errc::kExists);
  EXPECT_EQ(CheckNewName("..", Errc::kInvalid).error().code(), Errc::kInvalid);
  EXPECT_TRUE(CheckNewName("...", Errc::kInvalid));
}

TEST(AccessByModeTest, TheFirstClassThatMatchesDecides) {
  Attributes file;
  file.mode = 0174;
  file.uid = 10;
  file.gid = 20;
  constexpr std::uint32_t kAll = 0x3f;
  Credentials owner{10, 20, 0, {}};
  EXPECT_EQ(AccessByMode(file, owner, kAll), kAccessExecute);  // the owner's bits alone, though the group has more
  Credentials group{11, 99, 1, {20}};
  EXPECT_EQ(AccessByMode(file, group, kAll), kAccessRead | kAccessModify | kAccessExtend | kAccessExecute);
  Credentials other{11, 99, 0, {}};
  EXPECT_EQ(AccessByMode(file, other, kAll), kAccessRead);
  EXPECT_EQ(AccessByMode(file, other, kAccessModify), 0u);
}

TEST(AccessByModeTest, TheSuperuserExecutesOnlyWhatSomebodyMay) {
  Attributes file;
  file.mode = 0600;
  const Credentials root;
  EXPECT_EQ(AccessByMode(file, root, kAccessExecute | kAccessRead), kAccessRead);
  file.mode = 0610;
  EXPECT_EQ(AccessByMode(file, root, kAccessExecute), kAccessExecute);
  Attributes directory;
  directory.type = FileType::kDirectory;
  directory.mode = 0;
  EXPECT_EQ(AccessByMode(directory, root, 0x3f),
            kAccessRead | kAccessLookup | kAccessModify | kAccessExtend | kAccessDelete);
}

}  // namespace
}  // namespace strata::vfs
