// What memory can answer is answered by the thread that read the call, and what lies in memory is not copied.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "subject.h"

namespace strata::vfs::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

constexpr OpContext kAtOnce{.credentials = {}, .may_block = false};

Tree SomeTree() {
  Tree tree{DirNode("d"),
            FileNode("d/f", Pattern(5000, 1)),
            SymlinkNode("d/s", "target"),
            DirNode("d/e"),
            DirNode("d/e/deep"),
            FileNode("d/e/deep/g", "g"),
            FileNode("twice", "2"),
            LinkNode("d/again", "twice")};
  // More than one page of a listing.
  tree.push_back(DirNode("many"));
  for (int i = 0; i < 700; ++i) tree.push_back(FileNode("many/" + std::to_string(i), "x"));
  return tree;
}

struct Seen {
  std::size_t directories = 0, files = 0, bytes = 0, links = 0;
};

// Everything that NFS asks in a walk, of a client that may not wait.
Seen WalkAtOnce(FileSystem& fs) {
  Seen seen;
  std::vector<ObjectId> pending{fs.Root()};
  while (!pending.empty()) {
    const ObjectId directory = pending.back();
    pending.pop_back();
    ++seen.directories;
    EXPECT_OK(fs.GetAttributes(kAtOnce, directory));
    EXPECT_OK(fs.Access(kAtOnce, directory, 0x3f, nullptr));
    EXPECT_OK(fs.Lookup(kAtOnce, directory, "..", nullptr));
    EXPECT_CODE(fs.Lookup(kAtOnce, directory, "no such name", nullptr), Errc::kNotFound);
    EXPECT_OK(fs.ListXattr(kAtOnce, directory));
    EntrySink names(10'000), entries(10'000);
    const auto listing = fs.ReadDirectory(kAtOnce, directory, Cookie(), false, names);
    const auto whole = fs.ReadDirectory(kAtOnce, directory, Cookie(), true, entries);
    EXPECT_OK(listing);
    EXPECT_OK(whole);
    EXPECT_EQ(names.entries.size(), entries.entries.size());
    for (const Listed& entry : entries.entries) {
      if (entry.name == "." || entry.name == "..") continue;
      const auto found = fs.Lookup(kAtOnce, directory, entry.name, nullptr);
      EXPECT_OK(found);
      if (!found) continue;
      EXPECT_EQ(found->id, entry.id);
      EXPECT_OK(fs.Access(kAtOnce, found->id, 0x3f, nullptr));
      switch (found->attributes.type) {
        case FileType::kDirectory:
          pending.push_back(found->id);
          break;
        case FileType::kSymlink:
          ++seen.links;
          EXPECT_EQ(Describe(CodeOf(fs.ReadLink(kAtOnce, found->id, nullptr))), "success");
          break;
        default: {
          ++seen.files;
          StringSink sink;
          EXPECT_OK(fs.Read(kAtOnce, found->id, 0, 1 << 20, sink));
          seen.bytes += sink.data.size();
        }
      }
    }
  }
  return seen;
}

TEST(MemoryAnswers, AColdWalkOverLayersInMemoryNeverLeavesTheThread) {
  for (const bool several : {false, true}) {
    std::vector<Tree> layers{SomeTree()};
    if (several) layers.insert(layers.begin(), {DirNode("d"), FileNode("d/h", "h"), WhiteoutNode("d/s")});
    WorkspaceSubject subject(layers, TestOptions());
    const Seen seen = WalkAtOnce(subject.fs());
    EXPECT_EQ(seen.directories, 5u);
    EXPECT_EQ(seen.files, several ? 705u : 704u);
    EXPECT_EQ(seen.links, several ? 0u : 1u);
    EXPECT_GT(seen.bytes, 5700u);
  }
}

// What was read by name is read by handle after a restart: then only the layer knows where it lies.
TEST(MemoryAnswers, AHandleOfALayersObjectIsFoundAgainWithoutLeavingTheThread) {
  WorkspaceSubject subject({SomeTree()}, TestOptions());
  Client client(subject);
  const ObjectId file = client.IdOf("d/e/deep/g"), link = client.IdOf("d/again"), directory = client.IdOf("d/e");
  subject.Restart();
  for (const ObjectId& id : {file, link, directory}) EXPECT_OK(subject.fs().GetAttributes(kAtOnce, id));
}

TEST(MemoryAnswers, BesideWhatWasChangedHereToo) {
  WorkspaceSubject subject({SomeTree()}, TestOptions());
  Client client(subject);
  ASSERT_OK(client.WriteFile("d/e/new", "new"));
  ASSERT_OK(client.Chmod("twice", 0600));
  ASSERT_OK(client.Unlink("d/s"));
  const ObjectId many = client.IdOf("many");
  subject.Checkpoint();
  subject.Restart();
  // Of what the upper holds nothing is in memory yet; of what it does not hold the layer tells.
  EntrySink entries(1000);
  EXPECT_OK(subject.fs().ReadDirectory(kAtOnce, many, Cookie(), true, entries));
  EXPECT_EQ(entries.entries.size(), 702u);
  // Once it has been asked for, that is in memory as well.
  Client again(subject);
  EXPECT_OK(again.List("d/e"));
  EXPECT_OK(again.Stat("twice"));
  EXPECT_GT(again.blocked(), 0u) << "the index was asked";
  const std::uint64_t blocked = again.blocked();
  EXPECT_OK(again.List("d/e"));
  EXPECT_OK(again.Stat("twice"));
  EXPECT_OK(again.Stat("d/e/new"));
  EXPECT_OK(again.ReadFile("d/e/deep/g")) << "which is the layer's alone, and seen for the first time";
  EXPECT_EQ(again.blocked(), blocked);
}

TEST(MemoryAnswers, WhatAHostFolderHoldsIsAskedForWhereACallMayWait) {
  WorkspaceOptions options = TestOptions();
  options.layer_recheck_ns = std::int64_t{3600} * 1'000'000'000;
  HostSubject subject({{DirNode("d"), FileNode("d/f", "f"), SymlinkNode("d/s", "t")}}, options);
  FileSystem& fs = subject.fs();
  EXPECT_CODE(fs.Lookup(kAtOnce, fs.Root(), "d", nullptr), Errc::kWouldBlock);
  EntrySink entries(10);
  EXPECT_CODE(fs.ReadDirectory(kAtOnce, fs.Root(), Cookie(), true, entries), Errc::kWouldBlock);
  Client client(subject);
  const ObjectId file = client.IdOf("d/f"), link = client.IdOf("d/s"), directory = client.IdOf("d");
  EXPECT_OK(client.List("d"));
  EXPECT_OK(client.ReadFile("d/f"));
  // What is remembered is told at once.
  const std::uint64_t blocked = client.blocked();
  EXPECT_OK(client.Get(file));
  EXPECT_OK(client.ReadLink(link));
  EXPECT_OK(client.ListAll(directory));
  EXPECT_EQ(client.blocked(), blocked);
  // Of extended attributes nothing is.
  EXPECT_CODE(fs.ListXattr(kAtOnce, file), Errc::kWouldBlock);
  EXPECT_CODE(fs.GetXattr(kAtOnce, file, "user.a"), Errc::kWouldBlock);
}

// Counts what a READ copies and what it only points to.
class CountingSink final : public ReadSink {
 public:
  MutableByteSpan Allocate(std::size_t size) override {
    allocated += size;
    room_.resize(size);
    return room_;
  }
  void Trim(std::size_t size) override { allocated -= size; }
  void Reference(ByteSpan bytes, std::shared_ptr<const void> pin) override {
    referenced += bytes.size();
    pieces.push_back(bytes);
    EXPECT_NE(pin, nullptr) << "nothing keeps the bytes where they are";
    pins.push_back(std::move(pin));
  }
  void Zeros(std::size_t size) override { zeros += size; }

  std::string Text() const {
    std::string text;
    for (const ByteSpan piece : pieces) text += AsText(piece);
    return text;
  }

  std::size_t allocated = 0, referenced = 0, zeros = 0;
  std::vector<ByteSpan> pieces;
  std::vector<std::shared_ptr<const void>> pins;

 private:
  std::vector<std::byte> room_;
};

// Overlay T4.
TEST(MemoryAnswers, T4_AReadOfALayerInMemoryCopiesNoByte) {
  constexpr std::size_t kMebibyte = 1 << 20;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{1000}, kMebibyte + 1}) {
    SCOPED_TRACE(size);
    const std::string content = Pattern(size, size);
    WorkspaceSubject subject({{DirNode("d"), FileNode("d/f", content)}}, TestOptions());
    Client client(subject);
    const ObjectId file = client.IdOf("d/f");
    const std::byte* begin = nullptr;
    for (const std::size_t offset :
         {std::size_t{0}, std::size_t{1}, std::size_t{999}, size / 2, size - size / 3, size, size + 1, kMebibyte}) {
      for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{4096}, kMebibyte}) {
        SCOPED_TRACE(std::to_string(offset) + '+' + std::to_string(count));
        CountingSink sink;
        const auto read = subject.fs().Read(kAtOnce, file, offset, static_cast<std::uint32_t>(count), sink);
        ASSERT_OK(read);
        const std::string expected = offset < size ? content.substr(offset, count) : "";
        EXPECT_EQ(read->count, expected.size());
        EXPECT_EQ(read->eof, offset + expected.size() >= size);
        EXPECT_EQ(sink.allocated + sink.zeros, 0u);
        EXPECT_EQ(sink.referenced, expected.size());
        ASSERT_TRUE(sink.Text() == expected);
        if (expected.empty()) continue;
        // Each time the very same bytes.
        ASSERT_EQ(sink.pieces.size(), 1u);
        if (begin == nullptr) begin = sink.pieces[0].data() - offset;
        EXPECT_EQ(sink.pieces[0].data(), begin + offset);
      }
    }
  }
}

TEST(MemoryAnswers, WhatAReadPointsToOutlivesTheWorkspace) {
  CountingSink sink;
  const std::string content = Pattern(100'000, 5);
  {
    WorkspaceSubject subject({{FileNode("f", content)}}, TestOptions());
    Client client(subject);
    ASSERT_OK(subject.fs().Read(kAtOnce, client.IdOf("f"), 0, 1 << 20, sink));
  }
  EXPECT_TRUE(sink.Text() == content);
}

TEST(MemoryAnswers, T4_OfAFileThatWasChangedHereTheRestIsStillPointedTo) {
  const std::string content = Pattern(200'000, 6);
  WorkspaceSubject subject({{FileNode("f", content)}}, TestOptions());
  Client client(subject);
  const std::string written = Pattern(10'000, 7);
  ASSERT_OK(client.WriteAt("f", 50'000, written));
  ASSERT_OK(client.Truncate("f", 150'000));
  ASSERT_OK(client.Truncate("f", 160'000));
  CountingSink sink;
  const auto read = subject.fs().Read(kBackground, client.IdOf("f"), 0, 1 << 20, sink);
  ASSERT_OK(read);
  EXPECT_EQ(read->count, 160'000u);
  EXPECT_EQ(sink.allocated, 0u);
  EXPECT_EQ(sink.zeros, 10'000u);
  EXPECT_EQ(sink.referenced, 150'000u);
  std::string expected = content.substr(0, 150'000);
  expected.replace(50'000, written.size(), written);
  EXPECT_TRUE(sink.Text() == expected);
}

}  // namespace
}  // namespace strata::vfs::testing
