#include "store/objects/object_roots.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "store/castore/root_message.h"
#include "store/objects/folder_bucket.h"
#include "store/objects/layout.h"
#include "store/objects/memory_bucket.h"
#include "tests/base/temp_folder.h"
#include "tests/store/castore/castore_testing.h"
#include "tests/store/fixtures.h"
#include "tests/store/objects/objects_testing.h"

namespace strata::store {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Root SomeRoot() { return {NodeTo(WithKeep()), WithKeep().digest(), Time{1'700'000'000'123'456'789}}; }

// docs/formats/objectstore.md shows these bytes.
TEST(RootMessage, CA66_HasTheBytesOfTheDocument) {
  const std::string keep = WithKeep().digest().Hex();
  const auto bytes = EncodeRoot(SomeRoot());
  EXPECT_EQ(ToHex(ByteSpan(bytes).first(bytes.size() - 4)),
            "0a26"
            "0a24"
            "1220" +
                keep +
                "1801"
                "1220" +
                keep +
                "18959a97ece39fe7cb17"
                "2204");
  EXPECT_EQ(ToHex(ByteSpan(bytes).last(4)), "6d8eba4e");
  EXPECT_EQ(ParseRoot(bytes).value(), SomeRoot());
}

TEST(RootMessage, EveryKindOfRootIsReadBackAsItWas) {
  for (const Root& root : {SomeRoot(), Root{Node::OfFile(Digest::OfEmpty(), 0, true), std::nullopt, Time{}},
                           Root{Node::OfSymlink(std::string(4095, 'x')), std::nullopt, Time{-1}}}) {
    const auto bytes = EncodeRoot(root);
    EXPECT_LE(bytes.size(), kMaxRootBytes);
    EXPECT_EQ(ParseRoot(bytes).value(), root);
  }
}

TEST(RootMessage, AWrongBitAnywhereAndAnyCutIsFound) {
  const auto bytes = EncodeRoot(SomeRoot());
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    auto damaged = bytes;
    damaged[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    EXPECT_EQ(ParseRoot(damaged).error().code(), Errc::kCorrupt);
  }
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(ParseRoot(ByteSpan(bytes).first(size)).has_value());
}

TEST(ObjectRoots, NamesAreSetListedAndRemoved) {
  TempFolder folder;
  const std::shared_ptr<ObjectBucket> bucket =
      FolderBucket::Open(Env::System(), folder.path(), {.create = true}).value();
  ObjectRoots roots(bucket);
  for (const char* name : {"b", "a\xff", ".hidden", "-x"}) ASSERT_TRUE(roots.Set(name, SomeRoot()).has_value());
  std::vector<std::string> names;
  ASSERT_TRUE(roots
                  .List({},
                        [&](std::string_view name, const Root& root) {
                          EXPECT_EQ(root, SomeRoot());
                          names.emplace_back(name);
                          return true;
                        })
                  .has_value());
  EXPECT_THAT(names, ElementsAre("-x", ".hidden", "a\xff", "b"));
  // Others see it at once.
  ObjectRoots other(FolderBucket::Open(Env::System(), folder.path(), {.read_only = true}).value());
  EXPECT_EQ(other.Get({}, "b").value(), SomeRoot());
  ASSERT_TRUE(roots.Remove("b").has_value());
  EXPECT_EQ(other.Get({}, "b").value(), std::nullopt);
  EXPECT_EQ(roots.Remove("b").error().code(), Errc::kNotFound);
}

TEST(ObjectRoots, ANameThatNoDirectoryCouldHoldIsNone) {
  ObjectRoots roots(std::make_shared<MemoryBucket>());
  for (const std::string& name : {std::string(), std::string("."), std::string(".."), std::string("a/b"),
                                  std::string("../blobs/b3"), std::string(256, 'x'), std::string("a\0b", 3)}) {
    EXPECT_EQ(roots.Set(name, SomeRoot()).error().code(), Errc::kInvalid);
    EXPECT_EQ(roots.Remove(name).error().code(), Errc::kInvalid);
    EXPECT_EQ(roots.Get({}, name).value(), std::nullopt);
  }
}

TEST(ObjectRoots, ADamagedNameIsNamed) {
  const auto bucket = std::make_shared<MemoryBucket>();
  ObjectRoots roots(bucket);
  PutRaw(*bucket, RootKey("name"), AsBytes("no root"));
  const auto refused = roots.Get({}, "name");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), Errc::kCorrupt);
  EXPECT_THAT(refused.error().ToString(), AllOf(HasSubstr("roots/name"), HasSubstr("set it again")));
  EXPECT_EQ(roots.List({}, [](std::string_view, const Root&) { return true; }).error().code(), Errc::kCorrupt);
}

}  // namespace
}  // namespace strata::store
