// Directories in the layout of object stores, held against the store that tvix wrote.
#include "store/objects/object_directories.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "store/castore/memory_directories.h"
#include "store/objects/folder_bucket.h"
#include "store/objects/layout.h"
#include "store/objects/memory_bucket.h"
#include "store/objects/zstd.h"
#include "tests/base/temp_folder.h"
#include "tests/store/castore/castore_testing.h"
#include "tests/store/fixtures.h"
#include "tests/store/objects/objects_testing.h"

namespace strata::store {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// A store in memory whose directories spill into memory.
struct InMemory {
  std::shared_ptr<MemoryBucket> bucket = std::make_shared<MemoryBucket>();
  ObjectDirectories directories{Env::System(), bucket, {}};
};

Digest PutTree(DirectoryService& service, const std::vector<Directory>& leaves_first) {
  const auto putter = service.PutMany().value();
  for (const Directory& directory : leaves_first) {
    const auto put = putter->Put(directory);
    EXPECT_TRUE(put.has_value()) << put.error().ToString();
  }
  return putter->Close().value();
}

// The refusal of a root whose object is damaged.
std::string CorruptMessage(DirectoryService& service, const Digest& root) {
  const auto directory = service.Get({}, root);
  EXPECT_FALSE(directory.has_value());
  if (directory) return {};
  EXPECT_EQ(directory.error().code(), Errc::kCorrupt) << directory.error().ToString();
  return std::string(directory.error().message());
}

TEST(ObjectDirectories, CA37_TheStoreThatTvixWroteIsReadInItsOrder) {
  STRATA_FIXTURE(expected, "tvix/store.json");
  auto bucket = FolderBucket::Open(Env::System(), FixturePath("tvix/store"), {.read_only = true});
  ASSERT_TRUE(bucket.has_value()) << bucket.error().ToString();
  ObjectDirectories directories(Env::System(), std::shared_ptr<ObjectBucket>(std::move(*bucket)), {});
  for (const auto& [name, tree] : expected["roots"].items()) {
    for (const char* era : {"documented", "doubled"}) {
      SCOPED_TRACE(name + " " + era);
      const auto& root = tree[era];
      const auto found = Recursive(directories, Digest::Parse(root["digest"].get<std::string>()).value());
      ASSERT_TRUE(found.has_value()) << found.error().ToString();
      ASSERT_EQ(found->size(), root["recursive_order"].size());
      for (std::size_t i = 0; i < found->size(); ++i) {
        const std::string digest = root["recursive_order"][i];
        EXPECT_EQ((*found)[i].digest().Hex(), digest);
        EXPECT_EQ(ToHex((*found)[i].canonical()), root["directories"][digest]);
        // What came in the closure is there by itself now.
        EXPECT_EQ(directories.Get({}, (*found)[i].digest()).value(), (*found)[i]);
      }
    }
  }
}

TEST(ObjectDirectories, CA37_WhatIsWrittenHasTheBytesOfTvixOnceDecompressed) {
  STRATA_FIXTURE(expected, "tvix/store.json");
  const std::shared_ptr<ObjectBucket> theirs =
      FolderBucket::Open(Env::System(), FixturePath("tvix/store"), {.read_only = true}).value();
  InMemory ours;
  int compared = 0;
  for (const auto& [name, tree] : expected["roots"].items()) {
    for (const char* era : {"documented", "doubled"}) {
      SCOPED_TRACE(name + " " + era);
      const auto& root = tree[era];
      MemoryDirectoryService all;
      for (const auto& [digest, message] : root["directories"].items()) {
        ASSERT_TRUE(all.Put(Directory::Parse(FromHex(message.get<std::string>())).value()).has_value());
      }
      const auto putter = ours.directories.PutMany().value();
      ASSERT_TRUE(VisitLeavesToRoot(all, {}, Digest::Parse(root["digest"].get<std::string>()).value(),
                                    [&](const Directory& directory) { return putter->Put(directory).has_value(); })
                      .has_value());
      const Digest digest = putter->Close().value();
      EXPECT_EQ(digest.Hex(), root["digest"]);
      const auto stream = [&](ObjectBucket& bucket) {
        return ZstdDecompress(GetRaw(bucket, DirectoryKey(digest)), 1 << 24).value();
      };
      EXPECT_EQ(stream(*ours.bucket), stream(*theirs));
      ++compared;
    }
  }
  EXPECT_EQ(compared, 20);
}

TEST(ObjectDirectories, CA69_ADirectoryComesOnlyInItsRootsClosure) {
  InMemory store;
  PutTree(store.directories, {DirectoryA(), DirectoryB()});
  ObjectDirectories other(Env::System(), store.bucket, {});
  EXPECT_EQ(other.Get({}, DirectoryA().digest()).value(), std::nullopt);
  EXPECT_THAT(other.WhyMissing(), HasSubstr("give the digest of a root"));
  EXPECT_EQ(other.Get({}, DirectoryB().digest()).value(), DirectoryB());
  EXPECT_EQ(other.Get({}, DirectoryA().digest()).value(), DirectoryA());
}

TEST(ObjectDirectories, CA37_ADirectoryWithDirectoriesInItIsRefusedAlone) {
  InMemory store;
  const auto refused = store.directories.Put(DirectoryB());
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), Errc::kInvalid);
  EXPECT_THAT(refused.error().ToString(), HasSubstr("the whole tree"));
  EXPECT_EQ(store.directories.Put(WithKeep()).value(), WithKeep().digest());
  EXPECT_EQ(store.directories.Get({}, WithKeep().digest()).value(), WithKeep());
}

TEST(ObjectDirectories, AClosureIsReadOnceHoweverManyWantIt) {
  const auto memory = std::make_shared<MemoryBucket>();
  ObjectDirectories writer(Env::System(), memory, {});
  const Digest root = PutTree(writer, {DirectoryA(), DirectoryB(), DirectoryD()});
  const auto bucket = std::make_shared<CountingBucket>(memory);
  ObjectDirectories directories(Env::System(), bucket, {});
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { EXPECT_EQ(directories.Get({}, root).value(), DirectoryD()); });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(bucket->opens, 1);
  EXPECT_EQ(Recursive(directories, root)->size(), 3u);
  EXPECT_EQ(bucket->opens, 1);
}

TEST(ObjectDirectories, CA69_TheNearStoreTakesTheWholeClosure) {
  InMemory store;
  const Digest root = PutTree(store.directories, {DirectoryA(), DirectoryB(), DirectoryD()});
  const auto near = std::make_shared<MemoryDirectoryService>();
  {
    ObjectDirectories directories(Env::System(), store.bucket, {}, near);
    EXPECT_EQ(directories.Get({}, root).value(), DirectoryD());
  }
  for (const Directory& directory : {DirectoryA(), DirectoryB(), DirectoryD()}) {
    EXPECT_EQ(near->Get({}, directory.digest()).value(), directory);
  }
  // And is asked first.
  ObjectDirectories directories(Env::System(), std::make_shared<MemoryBucket>(), {}, near);
  EXPECT_EQ(Recursive(directories, root)->size(), 3u);
}

TEST(ObjectDirectories, ANearStoreThatIsFullDoesNotHideTheTree) {
  InMemory store;
  const Digest root = PutTree(store.directories, {DirectoryA(), DirectoryB(), DirectoryD()});
  ObjectDirectories directories(Env::System(), store.bucket, {}, std::make_shared<MemoryDirectoryService>(1));
  EXPECT_EQ(Recursive(directories, root)->size(), 3u);
}

TEST(ObjectDirectories, DirectoriesSpillIntoAFileWithoutAName) {
  TempFolder folder;
  const auto bucket = std::make_shared<MemoryBucket>();
  ObjectDirectories directories(Env::System(), bucket, {.folder = folder / "spill"});
  // A tree of more than what stays in memory.
  std::vector<Directory> tree;
  NamedNodes top;
  for (int i = 0; i < 3'000; ++i) {
    NamedNodes files;
    for (int j = 0; j < 30; ++j) {
      files.emplace_back("file " + std::to_string(j), Node::OfFile(Digest::OfEmpty(), static_cast<std::uint64_t>(i)));
    }
    tree.push_back(MakeDirectory(files));
    top.emplace_back("directory " + std::to_string(i), NodeTo(tree.back()));
  }
  tree.push_back(MakeDirectory(top));
  const Digest root = PutTree(directories, tree);
  ObjectDirectories reader(Env::System(), bucket, {.folder = folder / "spill"});
  const auto found = Recursive(reader, root);
  ASSERT_TRUE(found.has_value()) << found.error().ToString();
  EXPECT_EQ(found->size(), 3'001u);
  EXPECT_EQ(reader.Get({}, tree[1'234].digest()).value(), tree[1'234]);
  EXPECT_TRUE(std::filesystem::is_empty(folder / "spill"));

  // In memory alone there is no room for it.
  ObjectDirectories small(Env::System(), bucket, {.folder = {}, .memory_bytes = 1 << 20});
  const auto refused = small.Get({}, root);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), Errc::kNoSpace);
  EXPECT_THAT(refused.error().ToString(), HasSubstr("put a store in front"));
}

class DamagedClosure : public ::testing::Test {
 protected:
  void Store(const Digest& root, ByteSpan object) { PutRaw(*store_.bucket, DirectoryKey(root), object); }
  std::string Message(const Digest& root) { return CorruptMessage(store_.directories, root); }
  InMemory store_;
};

TEST_F(DamagedClosure, OneWithoutADirectoryIsRefused) {
  const Digest root = DirectoryB().digest();
  Store(root, ClosureObject({}));
  EXPECT_THAT(Message(root), HasSubstr("no directory stands in it"));
  Store(root, {});
  EXPECT_THAT(Message(root), HasSubstr("end too early"));
  Store(root, AsBytes("this was never compressed"));
  EXPECT_THAT(Message(root), HasSubstr("not what was compressed"));
}

TEST_F(DamagedClosure, TheMessageNamesTheRootTheObjectTheStoreAndWhatToDo) {
  const Digest root = DirectoryB().digest();
  Store(root, ClosureObject({}));
  EXPECT_THAT(Message(root), AllOf(HasSubstr(root.Text()), HasSubstr(DirectoryKey(root)),
                                   HasSubstr("objectstore+memory:///"), HasSubstr("put the tree again")));
}

TEST_F(DamagedClosure, CA41_ADirectoryThatNoneBeforeItNamesIsRefused) {
  const Digest root = DirectoryB().digest();
  for (const std::vector<Directory>& order :
       {std::vector{DirectoryA(), DirectoryB()}, std::vector{DirectoryB(), WithKeep(), DirectoryA()},
        std::vector{DirectoryB(), DirectoryA(), WithKeep()}}) {
    std::vector<std::vector<std::byte>> frames;
    for (const Directory& directory : order) frames.push_back(BytesOf(directory));
    Store(root, ClosureObject(frames));
    EXPECT_THAT(Message(root), HasSubstr("that none before it names"));
  }
}

TEST_F(DamagedClosure, CA42_AMissingChildIsFound) {
  const Digest root = DirectoryD().digest();
  Store(root, ClosureObject({BytesOf(DirectoryD()), BytesOf(DirectoryA())}));
  EXPECT_THAT(Message(root), HasSubstr("incomplete"));
}

TEST_F(DamagedClosure, CA42_AnEdgeOfAWrongSizeIsFound) {
  Node edge = NodeTo(DirectoryA());
  edge.size += 42;
  const Directory wrong = MakeDirectory({{"a", edge}});
  Store(wrong.digest(), ClosureObject({BytesOf(wrong), BytesOf(DirectoryA())}));
  EXPECT_THAT(Message(wrong.digest()), HasSubstr("size"));
}

TEST_F(DamagedClosure, ADirectoryTwiceIsPassedOver) {
  Store(DirectoryB().digest(),
        ClosureObject({BytesOf(DirectoryB()), BytesOf(DirectoryA()), BytesOf(DirectoryA()), BytesOf(DirectoryB())}));
  EXPECT_EQ(Recursive(store_.directories, DirectoryB().digest())->size(), 2u);
}

TEST_F(DamagedClosure, CA18_AMessageThatIsNotCanonicalIsRefused) {
  auto bytes = BytesOf(WithKeep());
  bytes.push_back(std::byte{0x20});  // a field that nobody knows
  bytes.push_back(std::byte{0x01});
  const Digest digest = Digest::Of(bytes);
  Store(digest, ClosureObject({bytes}));
  EXPECT_THAT(Message(digest), HasSubstr("canonical"));
}

TEST_F(DamagedClosure, AMessageThatIsNoDirectoryIsRefused) {
  const std::string bytes = "no directory";
  const Digest digest = Digest::Of(AsBytes(bytes));
  Store(digest, ClosureObject({{AsBytes(bytes).begin(), AsBytes(bytes).end()}}));
  EXPECT_THAT(Message(digest), HasSubstr("cannot be read"));
}

TEST_F(DamagedClosure, AStreamCutAnywhereIsFound) {
  const Digest root = DirectoryD().digest();
  const std::vector<std::vector<std::byte>> frames = {BytesOf(DirectoryD()), BytesOf(DirectoryA()),
                                                      BytesOf(DirectoryB())};
  const std::size_t size = 12 + frames[0].size() + frames[1].size() + frames[2].size();
  for (std::size_t cut = 1; cut <= size; ++cut) {
    Store(root, ClosureObject(frames, cut));
    EXPECT_NE(Message(root), "");
  }
  const auto object = ClosureObject(frames);
  for (std::size_t kept = 0; kept < object.size(); ++kept) {
    Store(root, ByteSpan(object).first(kept));
    EXPECT_NE(Message(root), "");
  }
  auto longer = object;
  longer.push_back(std::byte{0});
  Store(root, longer);
  EXPECT_THAT(Message(root), HasSubstr("something follows"));
  Store(root, object);
  EXPECT_EQ(Recursive(store_.directories, root)->size(), 3u);
}

TEST_F(DamagedClosure, AWrongBitAnywhereGivesAnErrorOrTheRightDirectories) {
  const Digest root = Complicated().digest();
  const auto object = ClosureObject({BytesOf(Complicated()), BytesOf(WithKeep())});
  int refused = 0;
  for (std::size_t bit = 0; bit < object.size() * 8; ++bit) {
    auto damaged = object;
    damaged[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    const auto bucket = std::make_shared<MemoryBucket>();
    PutRaw(*bucket, DirectoryKey(root), damaged);
    ObjectDirectories directories(Env::System(), bucket, {});
    const auto found = Recursive(directories, root);
    if (!found) {
      EXPECT_EQ(found.error().code(), Errc::kCorrupt) << found.error().ToString();
      ++refused;
    } else {
      EXPECT_EQ(*found, (std::vector{Complicated(), WithKeep()}));
    }
  }
  // zstd has bits that say nothing.
  EXPECT_GT(refused, static_cast<int>(object.size() * 8 * 9 / 10));
}

TEST_F(DamagedClosure, AFrameThatIsTooLongIsNotRead) {
  const Digest root = DirectoryA().digest();
  const std::array<std::byte, 8> length = {std::byte{0x80}};
  Store(root, ZstdCompress(length).value());
  EXPECT_THAT(Message(root), HasSubstr("at most 134217728 are read"));
}

// 100 MiB of zeros, compressed to a few KiB: they are held once, found not to be what is asked for, and let go.
TEST_F(DamagedClosure, ABombIsRefused) {
  const Digest root = DirectoryA().digest();
  const auto bomb = ClosureObject({std::vector<std::byte>(100 << 20)});
  EXPECT_LT(bomb.size(), 20'000u);
  Store(root, bomb);
  EXPECT_THAT(Message(root), HasSubstr("that none before it names"));
}

}  // namespace
}  // namespace strata::store
