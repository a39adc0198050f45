// Packs and indexes that are cut, or in which bytes are others: what is lost has a name, what is not is there, and
// wrong bytes are never given.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "store/pack/scan.h"
#include "store/pack/verify.h"
#include "tests/store/pack/one_file_env.h"
#include "tests/store/pack/pack_testing.h"

namespace strata::store::pack {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

class PackDamage : public ::testing::Test {
 protected:
  // A store of some blobs, one of several chunks, and two directories. `indexed`: an index has them.
  void Make(bool indexed) {
    std::filesystem::remove_all(path_);
    const auto store = MustOpen(Env::System(), path_);
    for (std::uint64_t i = 0; i < 5; ++i) Put(*store, Noise(20 + 30 * i, i));
    Put(*store, Words(300, 1));
    Put(*store, Noise(1500, 9));
    const Directory inner = DirectoryOf({{"f", Node::OfFile(Digest::Of(AsBytes(Noise(20, 0))), 20)}});
    const Directory outer = DirectoryOf({{"inner", Node::OfDirectory(inner.digest(), 1)}});
    for (const Directory& directory : {inner, outer}) {
      ASSERT_OK(store->directories()->Put(directory));
      directories_[directory.digest()] = directory;
    }
    ASSERT_OK(store->Sync());
    ASSERT_OK(store->roots()->Set("name", {.node = Node::OfDirectory(outer.digest(), 2), .attributes = {}, .set = {}}));
    if (indexed) ASSERT_OK(store->engine().PublishIndexes());
  }
  void Put(PackStore& store, const std::string& blob) { blobs_[MustPut(store, blob)] = blob; }

  std::string PackOf(PackClass pack_class) const {
    for (const std::string& path : FilesOf(path_, ".pack")) {
      if (Slurp(path)[10] == static_cast<char>(pack_class)) return path;
    }
    return "";
  }

  PackStoreOptions ReadOnly() const {
    PackStoreOptions options = SmallOptions();
    options.read_only = true;
    return options;
  }

  // Of each blob and directory, right bytes or none; how many are there.
  int ReadAll(PackStore& store) {
    int there = 0;
    for (const auto& [digest, blob] : blobs_) {
      const std::string got = Get(store, digest);
      if (got == blob) {
        ++there;
        EXPECT_TRUE(store.blobs()->Has({}, digest).value());
      } else {
        EXPECT_THAT(got, AnyOf("(none)", HasSubstr(digest.Text()))) << "an error names what is lost";
      }
    }
    for (const auto& [digest, directory] : directories_) {
      const auto got = store.directories()->Get({}, digest);
      if (got && *got) {
        EXPECT_EQ(**got, directory);
        ++there;
      } else if (!got) {
        EXPECT_THAT(got.error().ToString(), HasSubstr(digest.Text()));
      }
    }
    return there;
  }
  int All() const { return static_cast<int>(blobs_.size() + directories_.size()); }

  // Puts all anew, and expects that all is there then and stays so.
  void Mend() {
    {
      const auto store = MustOpen(Env::System(), path_);
      // What is read and found bad counts as missing.
      ReadAll(*store);
      for (const auto& [digest, blob] : blobs_) ASSERT_EQ(MustPut(*store, blob), digest);
      for (const auto& [digest, directory] : directories_) ASSERT_OK(store->directories()->Put(directory));
      ASSERT_OK(store->Sync());
      ASSERT_EQ(ReadAll(*store), All());
    }
    ASSERT_EQ(ReadAll(*MustOpen(Env::System(), path_, ReadOnly())), All());
  }

  QuickFolder folder_;
  const std::string path_ = folder_ / "s";
  std::map<Digest, std::string> blobs_;
  std::map<Digest, Directory> directories_;
};

TEST_F(PackDamage, APackThatWasCutAtAnyByteGivesWhatIsBeforeTheCut) {
  Make(false);
  const std::string path = PackOf(PackClass::kData);
  const std::string whole = Slurp(path);
  PackHeader header;
  ASSERT_EQ(DecodePackHeader(AsBytes(whole), header), HeaderState::kValid);
  std::vector<std::uint64_t> ends;
  {
    const auto file = Env::System().Open(path, OpenMode::kRead);
    ASSERT_OK(file);
    PackScan scan(**file, header.id, kPackHeaderBytes, whole.size(), PackScan::Depth::kStored);
    while (scan.Next().value() == PackScan::Found::kRecord) ends.push_back(scan.sound_end());
    ASSERT_EQ(ends.back(), whole.size());
  }
  for (std::size_t size = 0; size < whole.size(); ++size) {
    SCOPED_TRACE(size);
    // Every other time what is behind the cut is zeros, as after a lost power.
    std::string cut = whole.substr(0, size);
    if (size % 2 == 0) cut.resize(whole.size());
    Spill(path, cut);
    const auto sound = static_cast<std::size_t>(std::ranges::count_if(ends, [&](auto end) { return end <= size; }));
    std::size_t there = 0;
    {
      const auto store = MustOpen(Env::System(), path_, ReadOnly());
      ReadAll(*store);
      for (const auto& [digest, blob] : blobs_) there += Get(*store, digest) == blob ? 1 : 0;
      // A record may end with the zeros that are there instead.
      ASSERT_GE(store->engine().catalog().tails(PackClass::kData).size(), sound);
      if (size % 2 != 0) {
        ASSERT_EQ(store->engine().catalog().tails(PackClass::kData).size(), sound);
      }
    }
    ASSERT_EQ(Slurp(path), cut) << "who only reads changes nothing";
    if (size % 7 != 0) continue;
    // The next writer cuts the torn end and appends. (One whose header is gone it leaves.)
    {
      const auto store = MustOpen(Env::System(), path_);
      MustPut(*store, "after the cut");
      ASSERT_OK(store->Sync());
    }
    const auto store = MustOpen(Env::System(), path_, ReadOnly());
    ASSERT_EQ(Get(*store, Digest::Of(AsBytes("after the cut"))), "after the cut");
    std::size_t still = 0;
    for (const auto& [digest, blob] : blobs_) still += Get(*store, digest) == blob ? 1 : 0;
    ASSERT_EQ(still, there);
    for (const std::string& extra : FilesOf(path_, ".pack")) {
      if (extra != path && Slurp(extra)[10] == 0) std::filesystem::remove(extra);
    }
  }
}

// Where an index has the records that are cut off too.
TEST_F(PackDamage, APackThatWasCutBehindItsIndexGivesWhatIsBeforeTheCut) {
  Make(true);
  for (const PackClass pack_class : {PackClass::kData, PackClass::kDirectories}) {
    const std::string path = PackOf(pack_class);
    const std::string whole = Slurp(path);
    std::vector<std::pair<RecordHeader, std::uint64_t>> records;
    {
      const auto file = Env::System().Open(path, OpenMode::kRead);
      ASSERT_OK(file);
      PackScan scan(**file, *ParsePackFileName(path.substr(path.rfind('/') + 1)), kPackHeaderBytes, whole.size(),
                    PackScan::Depth::kStored);
      while (scan.Next().value() == PackScan::Found::kRecord) records.emplace_back(scan.header(), scan.sound_end());
      ASSERT_EQ(records.back().second, whole.size());
    }
    for (std::size_t size = 0; size < whole.size(); size += size < 200 ? 1 : 5) {
      SCOPED_TRACE(testing::Message() << path << " cut at " << size);
      std::string cut = whole.substr(0, size);
      if (size % 2 == 0) cut.resize(whole.size());
      Spill(path, cut);
      const auto store = MustOpen(Env::System(), path_, ReadOnly());
      ASSERT_TRUE(store);
      ReadAll(*store);
      for (const auto& [header, end] : records) {
        if (end > size || size < kPackHeaderBytes) continue;
        ASSERT_OK(store->engine().Read({}, header.kind, header.digest));
      }
    }
    Spill(path, whole);
  }
  EXPECT_EQ(ReadAll(*MustOpen(Env::System(), path_, ReadOnly())), All());
}

TEST_F(PackDamage, AFlippedByteInAPackLosesNoMoreThanOneRecordAndIsNamed) {
  for (const bool indexed : {false, true}) {
    Make(indexed);
    for (const PackClass pack_class : {PackClass::kData, PackClass::kDirectories}) {
      const std::string path = PackOf(pack_class);
      const std::string whole = Slurp(path);
      for (std::size_t at = 0; at < whole.size(); ++at) {
        SCOPED_TRACE(testing::Message() << (indexed ? "indexed, " : "") << path << ", byte " << at);
        std::string flipped = whole;
        flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
        Spill(path, flipped);
        const auto store = MustOpen(Env::System(), path_, ReadOnly());
        ASSERT_TRUE(store);
        const int there = ReadAll(*store);
        std::vector<Problem> problems;
        VerifyOptions options;
        options.told = [&](const Problem& problem) { problems.push_back(problem); };
        const auto report = VerifyStore(store->engine(), options);
        ASSERT_OK(report);
        ASSERT_TRUE(report->problems > 0 || report->torn_bytes > 0);
        if (at < kPackHeaderBytes) {
          ASSERT_EQ(there, All()) << "a header tells nothing that the file's name does not";
          continue;
        }
        ASSERT_GE(there, All() - 2) << "a record, and the blob that a chunk was of";
        // Where an index knew the record, its digest is told, also where its header is lost.
        const bool named =
            std::ranges::any_of(problems, [](const Problem& problem) { return problem.digest.has_value(); });
        ASSERT_TRUE(named || !indexed);
        ASSERT_TRUE(named || report->torn_bytes > 0 || problems.front().what == Problem::What::kLostBytes);
      }
      Spill(path, whole);
    }
  }
}

TEST_F(PackDamage, WhatADamagedPackHasLostIsPutAgain) {
  for (const bool indexed : {false, true}) {
    for (const std::size_t at : {70UL, 100UL, 130UL, 300UL, 700UL, 900UL}) {
      SCOPED_TRACE(testing::Message() << (indexed ? "indexed, " : "") << at);
      Make(indexed);
      for (const std::string& path : FilesOf(path_, ".pack")) {
        std::string bytes = Slurp(path);
        if (at >= bytes.size()) continue;
        bytes[at] = static_cast<char>(bytes[at] ^ 0x40);
        Spill(path, bytes);
      }
      Mend();
    }
  }
}

TEST_F(PackDamage, APackWithDamageInTheMiddleIsLeftAsItIs) {
  Make(false);
  const std::string path = PackOf(PackClass::kData);
  std::string bytes = Slurp(path);
  bytes[kPackHeaderBytes + 10] = static_cast<char>(bytes[kPackHeaderBytes + 10] ^ 1);
  Spill(path, bytes);
  {
    const auto store = MustOpen(Env::System(), path_);
    MustPut(*store, "more");
    ASSERT_OK(store->Sync());
  }
  EXPECT_EQ(Slurp(path), bytes);
  EXPECT_EQ(Get(*MustOpen(Env::System(), path_), Digest::Of(AsBytes("more"))), "more");
}

TEST_F(PackDamage, AFlippedByteInAnIndexLosesNothingAndTheIndexIsMadeAnew) {
  Make(true);
  // The directories' records and the chunks' are in two.
  const std::vector<std::string> indexes = FilesOf(path_, ".index");
  ASSERT_EQ(indexes.size(), 2U);
  for (const std::string& path : indexes) {
    const std::string whole = Slurp(path);
    for (std::size_t at = 0; at < whole.size(); at += at < 256 || whole[at] != 0 ? 1 : 37) {
      SCOPED_TRACE(testing::Message() << path << ", byte " << at);
      std::string flipped = whole;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
      Spill(path, flipped);
      const auto store = MustOpen(Env::System(), path_, ReadOnly());
      ASSERT_TRUE(store);
      ASSERT_EQ(ReadAll(*store), All());
    }
    // Cut short, also to nothing.
    for (std::size_t size = 0; size < whole.size(); ++size) {
      OneFileEnv cut(AsBytes(whole).first(size));
      const auto opened = IndexFile::Open(cut, path, 1 << 20);
      ASSERT_FALSE(opened) << size;
      ASSERT_EQ(opened.error().code(), Errc::kCorrupt) << size;
    }
    for (std::size_t size = 0; size < whole.size(); size += 1021) {
      Spill(path, whole.substr(0, size));
      ASSERT_EQ(ReadAll(*MustOpen(Env::System(), path_, ReadOnly())), All()) << size;
    }
    // Who may write makes it anew.
    std::string flipped = whole;
    flipped[whole.size() - 4096] = static_cast<char>(~flipped[whole.size() - 4096]);
    Spill(path, flipped);
    {
      const auto store = MustOpen(Env::System(), path_);
      ASSERT_EQ(ReadAll(*store), All());
    }
    EXPECT_FALSE(std::filesystem::exists(path));
    ASSERT_EQ(ReadAll(*MustOpen(Env::System(), path_, ReadOnly())), All());
  }
}

TEST_F(PackDamage, IndexesThatAreAllGoneAreMadeAnewFromThePacks) {
  Make(true);
  for (const std::string& path : FilesOf(path_, ".index")) std::filesystem::remove(path);
  EXPECT_EQ(ReadAll(*MustOpen(Env::System(), path_, ReadOnly())), All());
}

TEST_F(PackDamage, AMissingPackIsNamedByWhatLedThere) {
  Make(true);
  std::filesystem::remove(PackOf(PackClass::kData));
  const auto store = MustOpen(Env::System(), path_, ReadOnly());
  std::vector<std::string> told;
  const auto report = VerifyStore(
      store->engine(), {.told = [&](const Problem& problem) { told.push_back(problem.message); }, .progress = {}});
  ASSERT_OK(report);
  EXPECT_EQ(report->problems, 1U);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_THAT(told[0], HasSubstr(Digest::Of(AsBytes(Noise(20, 0))).Text()));
  EXPECT_THAT(told[0], HasSubstr("the name name"));
}

}  // namespace
}  // namespace strata::store::pack
