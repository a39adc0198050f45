// What becomes of a tree whose store fails: an input/output error for what is asked, a line in the log, and nothing
// remembered.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/vfs/layer/castore/castore_testing.h"

namespace strata::vfs {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr Errc kLast = Errc::kBusy;
const auto kAll = [](const LayerEntry&) { return true; };

// {a: {b: {c: "content"}}, z: "z"}, over services that a test can make fail.
class CastoreFailures : public ::testing::Test {
 protected:
  CastoreFailures() {
    file_ = store_.PutFile("content");
    b_ = store_.PutDirectory({{"c", file_}});
    root_ = store_.PutDirectory({{"a", store_.PutDirectory({{"b", b_}})}, {"z", store_.PutFile("z")}});
    Open();
  }
  void Open(std::size_t memory = 16 << 20) {
    layer_ = OpenWith(blobs_, directories_, {.node = root_, .attributes = std::nullopt},
                      {.description = "castore:web@memory", .memory_bytes = memory});
  }
  // The directory b, from now on, as `answer` has it.
  void AnswerB(const HookedDirectories::Answer& answer) {
    directories_->hook = [answer, b = b_.digest](const Waiting&, const store::Digest& digest) {
      return digest == b ? std::optional(answer) : std::nullopt;
    };
  }
  LayerNode B() { return FindInLayer(*layer_, "a/b")->node; }
  LayerNode C() { return FindInLayer(*layer_, "a/b/c")->node; }

  MemoryStore store_;
  store::Node file_, b_, root_;
  std::shared_ptr<HookedDirectories> directories_ = std::make_shared<HookedDirectories>(store_.directories);
  std::shared_ptr<HookedBlobs> blobs_ = std::make_shared<HookedBlobs>(store_.blobs);
  std::unique_ptr<Layer> layer_;
};

TEST_F(CastoreFailures, AnyErrorOfTheDirectoriesIsEioAndALaterSuccessCounts) {
  CapturedLog log;
  const std::uint64_t c = C().id;
  for (int code = 0; code <= static_cast<int>(kLast); ++code) {
    const Errc error = static_cast<Errc>(code);
    if (error == Errc::kWouldBlock) continue;
    SCOPED_TRACE(ErrcName(error));
    AnswerB(Fail(error, "the disk is on fire"));
    Open();
    const LayerNode b = B();
    EXPECT_EQ(layer_->Lookup(kBackground, b, "c").error().code(), Errc::kIo);
    EXPECT_EQ(layer_->Lookup(kBackground, b, "none").error().code(), Errc::kIo) << "not that it is not there";
    EXPECT_EQ(layer_->ReadDirectory(kBackground, b, kAll).error().code(), Errc::kIo);
    EXPECT_EQ(layer_->Stat(kBackground, Bare(c)).error().code(), Errc::kIo);
    EXPECT_EQ(layer_->PathOf(kBackground, Bare(c)).error().code(), Errc::kIo);
    EXPECT_EQ(ReadFromLayer(*layer_, Bare(c), 0, 10).error().code(), Errc::kIo);
    EXPECT_EQ(ReadFromLayer(*layer_, FindInLayer(*layer_, "z")->node, 0, 10), "z") << "all else is served";
    directories_->hook = nullptr;
    EXPECT_EQ(ReadFromLayer(*layer_, Bare(c), 0, 10), "content");
    EXPECT_EQ(layer_->Lookup(kBackground, b, "none").error().code(), Errc::kNotFound);
  }
}

TEST_F(CastoreFailures, TheLogSaysOncePathDigestAndStore) {
  CapturedLog log;
  AnswerB(Fail(Errc::kNoDevice, "the disk is on fire"));
  const LayerNode b = B();
  ASSERT_EQ(layer_->Lookup(kBackground, b, "c").error().code(), Errc::kIo);
  ASSERT_THAT(log.lines(), SizeIs(1));
  EXPECT_THAT(log.lines()[0], AllOf(HasSubstr("event=castore_unreadable"), HasSubstr("path=/a/b "),
                                    HasSubstr(b_.digest.Text()), HasSubstr("hooked:directories"),
                                    HasSubstr("castore:web@memory"), HasSubstr("the disk is on fire")));
  // From the number alone it is not known where it would lie: as far as memory tells.
  const std::uint64_t c = b.id + 1;
  ASSERT_EQ(layer_->Stat(kBackground, Bare(c)).error().code(), Errc::kIo);
  EXPECT_THAT(log.lines().back(), HasSubstr("path=/a/b/... "));
  for (int i = 0; i < 1000; ++i) (void)layer_->Stat(kBackground, Bare(c));
  EXPECT_LE(log.lines().size(), 20u) << "a client can ask for it in a loop";
}

TEST_F(CastoreFailures, AFailureAsksTheStoreOnce) {
  CapturedLog log;
  AnswerB(Fail(Errc::kIo, "no"));
  const LayerNode b = B();
  const int gets = directories_->gets;
  EXPECT_FALSE(layer_->Lookup(kBackground, b, "c"));
  EXPECT_EQ(directories_->gets, gets + 1) << "also not for the message";
}

TEST_F(CastoreFailures, ADirectoryThatIsMissingDamagedOrAnotherOneIsEio) {
  CapturedLog log;
  const LayerNode b = B();
  AnswerB(std::optional<store::Directory>());
  EXPECT_EQ(layer_->Lookup(kBackground, b, "c").error().code(), Errc::kIo);
  EXPECT_THAT(log.lines().back(), AllOf(HasSubstr("is not in hooked:directories"), HasSubstr("strata store verify")));
  AnswerB(Fail(Errc::kCorrupt, "it does not hash to its name"));
  EXPECT_EQ(layer_->Lookup(kBackground, b, "c").error().code(), Errc::kIo);
  // Two entries: of another size than the edge says.
  AnswerB(*store::Directory::Make({{"c", file_}, {"d", file_}}));
  EXPECT_EQ(layer_->Lookup(kBackground, b, "c").error().code(), Errc::kIo);
  EXPECT_THAT(log.lines().back(), HasSubstr("holds 2 nodes, and the edge to it says 1"));
  directories_->hook = nullptr;
  EXPECT_TRUE(layer_->Lookup(kBackground, b, "c"));
}

TEST_F(CastoreFailures, AnyErrorOfABlobIsEioAndALaterSuccessCounts) {
  CapturedLog log;
  const LayerNode c = C();
  for (int code = 0; code <= static_cast<int>(kLast); ++code) {
    const Errc error = static_cast<Errc>(code);
    if (error == Errc::kWouldBlock) continue;
    SCOPED_TRACE(ErrcName(error));
    for (const bool when_opened : {true, false}) {
      Open();
      if (when_opened) {
        blobs_->hook = [error](const Waiting&, const store::Digest&) {
          return HookedBlobs::Answer(Fail(error, "no luck"));
        };
      } else {
        blobs_->read_hook = [error](const Waiting&, const store::Digest&) -> Result<void> {
          return Fail(error, "no luck");
        };
      }
      EXPECT_EQ(ReadFromLayer(*layer_, c, 0, 10).error().code(), Errc::kIo);
      EXPECT_TRUE(layer_->Stat(kBackground, c));
      blobs_->hook = nullptr;
      blobs_->read_hook = nullptr;
      EXPECT_EQ(ReadFromLayer(*layer_, c, 0, 10), "content");
    }
  }
  EXPECT_THAT(log.lines().front(), AllOf(HasSubstr("path=/a/b/c "), HasSubstr(file_.digest.Text()),
                                         HasSubstr("hooked:blobs"), HasSubstr("no luck")));
}

TEST_F(CastoreFailures, ABlobThatIsMissingOrOfAnotherSizeIsEio) {
  CapturedLog log;
  const LayerNode c = C();
  blobs_->hook = [](const Waiting&, const store::Digest&) { return HookedBlobs::Answer(nullptr); };
  EXPECT_EQ(ReadFromLayer(*layer_, c, 0, 10).error().code(), Errc::kIo);
  EXPECT_THAT(log.lines().back(), AllOf(HasSubstr("it is not there"), HasSubstr(file_.digest.Text())));
  for (const char* other : {"", "shorter", "conten", "content and more"}) {
    if (std::string_view(other).size() == 7) continue;
    const store::Digest digest = store_.PutFile(other).digest;
    blobs_->hook = [&, digest](const Waiting& waiting, const store::Digest&) {
      return HookedBlobs::Answer(store_.blobs->Open(waiting, digest));
    };
    EXPECT_EQ(ReadFromLayer(*layer_, c, 0, 10).error().code(), Errc::kIo) << other;
    EXPECT_THAT(log.lines().back(), HasSubstr("and the tree says 7"));
  }
  blobs_->hook = nullptr;
  EXPECT_EQ(ReadFromLayer(*layer_, c, 0, 10), "content");
}

TEST_F(CastoreFailures, AFileThatIsSaidToBeEmptyAndIsNotIsEio) {
  CapturedLog log;
  const store::Node wrong = store::Node::OfFile(store_.PutFile("full").digest, 0);
  const auto layer = OpenNode(store_, store_.PutDirectory({{"wrong", wrong}}));
  EXPECT_EQ(ReadFromLayer(*layer, FindInLayer(*layer, "wrong")->node, 0, 10).error().code(), Errc::kIo);
}

// ---- waiting

TEST_F(CastoreFailures, WhatHasToBeWaitedForIsPassedOnAndNotLogged) {
  CapturedLog log;
  const std::uint64_t c = C().id;
  for (const bool may_block : {false, true}) {
    SCOPED_TRACE(may_block);
    const auto on_its_way = std::make_shared<Fetch>("b");
    const auto wait = [&](const Waiting& waiting) -> std::optional<Status> {
      if (waiting.fetch == nullptr) return waiting.may_block ? std::nullopt : std::optional(Status(Errc::kWouldBlock));
      *waiting.fetch = on_its_way;
      return Status(Errc::kWouldBlock);
    };
    directories_->hook = [&](const Waiting& waiting, const store::Digest& digest) {
      const auto status = digest == b_.digest ? wait(waiting) : std::nullopt;
      return status ? std::optional(HookedDirectories::Answer(Fail(*status))) : std::nullopt;
    };
    blobs_->hook = [&](const Waiting& waiting, const store::Digest&) {
      const auto status = wait(waiting);
      return status ? std::optional(HookedBlobs::Answer(Fail(*status))) : std::nullopt;
    };
    Open();
    std::shared_ptr<Fetch> fetch;
    const OpContext fetching{.credentials = {}, .may_block = may_block, .fetch = &fetch};
    EXPECT_EQ(layer_->Stat(fetching, Bare(c)).error().code(), Errc::kWouldBlock);
    EXPECT_EQ(fetch, on_its_way);
    fetch = nullptr;
    EXPECT_EQ(layer_->PathOf(fetching, Bare(c)).error().code(), Errc::kWouldBlock);
    EXPECT_EQ(fetch, on_its_way);
    if (!may_block) {
      const OpContext at_once{.credentials = {}, .may_block = false};
      EXPECT_EQ(layer_->Stat(at_once, Bare(c)).error().code(), Errc::kWouldBlock);
    }
    ASSERT_TRUE(layer_->Stat(kBackground, Bare(c))) << "who may wait does";
    // Its directory is in memory now.
    StringSink sink;
    fetch = nullptr;
    EXPECT_EQ(layer_->Read(fetching, Bare(c), 0, 10, nullptr, sink).error().code(), Errc::kWouldBlock);
    EXPECT_EQ(fetch, on_its_way);
    EXPECT_EQ(sink.data, "");
    EXPECT_TRUE(layer_->Stat(fetching, Bare(c)));
    directories_->hook = nullptr;
    blobs_->hook = nullptr;
    EXPECT_EQ(ReadFromLayer(*layer_, Bare(c), 0, 10), "content");
  }
  EXPECT_THAT(log.lines(), IsEmpty());
}

TEST_F(CastoreFailures, AReadThatWaitsInTheMiddleGivesNothing) {
  CapturedLog log;
  const auto chunked = std::make_shared<ChunkedBlobs>(3);
  ASSERT_TRUE(chunked->Put(AsBytes("content")));
  int reads = 0;
  const auto blobs = std::make_shared<HookedBlobs>(chunked);
  blobs->read_hook = [&](const Waiting& waiting, const store::Digest&) -> Result<void> {
    return ++reads == 2 && !waiting.may_block ? Fail(Errc::kWouldBlock) : Result<void>();
  };
  const auto layer = OpenWith(blobs, store_.directories, {.node = root_, .attributes = std::nullopt});
  const LayerNode c = FindInLayer(*layer, "a/b/c")->node;
  StringSink sink;
  const OpContext at_once{.credentials = {}, .may_block = false};
  EXPECT_EQ(layer->Read(at_once, c, 0, 10, nullptr, sink).error().code(), Errc::kWouldBlock);
  EXPECT_EQ(sink.data, "");
  EXPECT_EQ(ReadFromLayer(*layer, c, 0, 10), "content");
  EXPECT_THAT(log.lines(), IsEmpty());
}

TEST_F(CastoreFailures, AChunkThatIsMissingIsEioUntilItIsThere) {
  CapturedLog log;
  const auto chunked = std::make_shared<ChunkedBlobs>(3);
  ASSERT_TRUE(chunked->Put(AsBytes("content")));
  const store::Digest second = chunked->ChunksOf(file_.digest)[1].digest;
  chunked->Forget(second);
  const auto layer = OpenWith(chunked, store_.directories, {.node = root_, .attributes = std::nullopt});
  const LayerNode c = FindInLayer(*layer, "a/b/c")->node;
  EXPECT_EQ(ReadFromLayer(*layer, c, 0, 3), "con") << "what is there";
  EXPECT_EQ(ReadFromLayer(*layer, c, 0, 10).error().code(), Errc::kIo);
  EXPECT_THAT(log.lines().back(), AllOf(HasSubstr(second.Text()), HasSubstr("path=/a/b/c ")));
  chunked->Forget({});
  EXPECT_EQ(ReadFromLayer(*layer, c, 0, 10), "content");
}

}  // namespace
}  // namespace strata::vfs
