#include "store/castore/attributes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "store/import/attributes_writer.h"
#include "tests/base/temp_folder.h"
#include "tests/store/fixtures.h"
#include "tests/store/import/import_testing.h"

namespace strata::store {
namespace {

using ::testing::HasSubstr;

NodeAttributes Simple(std::uint32_t mode, std::uint32_t uid, std::uint32_t gid, std::int64_t seconds) {
  return {mode, uid, gid, Time::From(seconds, 0), {}};
}

const Digest kRoot = Digest::Of(AsBytes("a root"));

// The example of docs/formats/attributes.md.
TEST(Attributes, TheBytesAreThoseOfTheFormatsPage) {
  TestBlobs blobs;
  AttributesWriter writer(Env::System(), "/nonexistent", 1 << 20);
  ASSERT_TRUE(writer.Set(1, Simple(0644, 1000, 100, 1)));  // in any order
  ASSERT_TRUE(writer.Set(0, Simple(0755, 0, 0, 2)));
  const std::string blob = blobs.Content(writer.Finish(0, kRoot, blobs).value());
  ASSERT_EQ(blob.size(), 96U + 2 * 24);
  const std::string hex = ToHex(AsBytes(blob));
  EXPECT_EQ(hex.substr(0, 24), "535452415441415401000000");
  EXPECT_EQ(hex.substr(32, 64), "0200000000000000000000000000000000000000000000000000000000000000");
  EXPECT_EQ(hex.substr(96, 64), kRoot.Hex());
  EXPECT_EQ(hex.substr(160, 32), std::string(32, '0'));
  EXPECT_EQ(hex.substr(192),
            "0094357700000000000000000000000"
            "0ed01000000000000"
            "00ca9a3b00000000e803000064000000"
            "a401000000000000");
}

TEST(Attributes, RowsOfEachTableHaveTheirBytes) {
  using namespace attributes_format;
  EXPECT_EQ(ToHex(EncodeExtra({0x11, 0x22, 0x33, 0x44, 0x55, 0x66})),
            "1100000000000000"
            "22000000"
            "33000000"
            "4400000000000000"
            "5500000000000000"
            "66000000"
            "00000000");
  SpecialEntry special;
  special.name = "tty";
  special.type = FileType::kCharacterDevice;
  special.device = {4, 64};
  special.mode = 0620;
  special.uid = 1;
  special.gid = 5;
  special.mtime = Time{-1};
  special.parent = 9;
  special.xattrs_size = 7;
  EXPECT_EQ(ToHex(EncodeSpecial(special, 0x100)),
            "ffffffffffffffff"
            "01000000"
            "05000000"
            "9001"
            "04"
            "00"
            "04000000"
            "40000000"
            "07000000"
            "0900000000000000"
            "0001000000000000"
            "0300"
            "000000000000");
  EXPECT_EQ(ToHex(AsBytes(*EncodeXattrs({{"user.a", "xyz"}}))),
            "0603000000"
            "757365722e61"
            "78797a");
}

struct ModelNode {
  NodeAttributes attributes;
  std::string link_key;
  std::map<std::string, std::pair<FileType, NodeAttributes>> specials;
};

// Any nodes, set in any order and with any memory, are read as they were set.
TEST(Attributes, WhatIsSetIsRead) {
  TempFolder folder;
  for (const std::uint32_t seed : {1U, 2U, 3U, 4U}) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto draw = [&] {
      NodeAttributes attributes{static_cast<std::uint32_t>(random() % 010000),
                                static_cast<std::uint32_t>(random()),
                                static_cast<std::uint32_t>(random()),
                                Time{static_cast<std::int64_t>(random()) * 1'000'003 - 1'000'000'000'000},
                                {}};
      for (std::uint32_t i = random() % 8 == 0 ? random() % 4 : 0; i > 0; --i) {
        attributes.xattrs.push_back(
            {"user." + std::to_string(4 - i), std::string(random() % 300, static_cast<char>(i))});
      }
      return attributes;
    };
    const std::uint64_t first = seed % 2;  // what comes before is dropped
    std::vector<ModelNode> model(1000);
    for (ModelNode& node : model) {
      node.attributes = draw();
      if (random() % 5 == 0) node.link_key = std::to_string(random() % 60);
      if (random() % 10 == 0) {
        for (std::uint32_t i = random() % 4; i > 0; --i)
          node.specials["s" + std::to_string(i)] = {FileType::kFifo, draw()};
      }
    }
    // All names of a file have the same attributes.
    std::map<std::string, std::vector<std::uint64_t>> groups;
    for (std::uint64_t i = first; i < model.size(); ++i) {
      if (model[i].link_key.empty()) continue;
      auto& group = groups[model[i].link_key];
      if (!group.empty()) model[i].attributes = model[group.front()].attributes;
      group.push_back(i);
    }
    AttributesWriter writer(Env::System(), folder.path(), seed < 3 ? 8 << 10 : 8 << 20);
    std::vector<std::uint64_t> order(model.size());
    for (std::uint64_t i = 0; i < order.size(); ++i) order[i] = i;
    std::ranges::shuffle(order, random);
    for (const std::uint64_t i : order) {
      ASSERT_TRUE(writer.Set(i, model[i].attributes, i < first ? "" : model[i].link_key));
      for (const auto& [name, special] : model[i].specials) {
        ASSERT_TRUE(writer.AddSpecial(i, name, special.first, {}, special.second));
      }
    }
    TestBlobs blobs;
    const auto digest = writer.Finish(first, kRoot, blobs);
    ASSERT_TRUE(digest) << digest.error().ToString();
    auto opened = AttributesReader::Open(Waiting(), blobs.Open(Waiting(), *digest).value(), kRoot);
    ASSERT_TRUE(opened) << opened.error().ToString();
    const AttributesReader& reader = **opened;
    ASSERT_EQ(reader.nodes(), model.size() - first);
    std::uint64_t specials = 0;
    for (std::uint64_t i = first; i < model.size(); ++i) {
      const auto got = reader.Get(Waiting(), i - first);
      ASSERT_TRUE(got) << got.error().ToString();
      const NodeAttributes read{got->mode, got->uid, got->gid, got->mtime,
                                reader.Xattrs(Waiting(), got->xattrs_at, got->xattrs_size).value()};
      ASSERT_EQ(read, model[i].attributes) << i;
      const auto& group = groups[model[i].link_key];
      const bool linked = !model[i].link_key.empty() && group.size() > 1;
      ASSERT_EQ(got->links, linked ? group.size() : 1U);
      ASSERT_EQ(got->first_link, (linked ? group.front() : i) - first);
      ASSERT_EQ(got->specials, model[i].specials.size());
      std::uint64_t at = got->first_special;
      for (const auto& [name, special] : model[i].specials) {
        const auto entry = reader.Special(Waiting(), at++);
        ASSERT_TRUE(entry) << entry.error().ToString();
        EXPECT_EQ(entry->name, name);
        EXPECT_EQ(entry->type, special.first);
        EXPECT_EQ(entry->parent, i - first);
        const NodeAttributes of_it{entry->mode, entry->uid, entry->gid, entry->mtime,
                                   reader.Xattrs(Waiting(), entry->xattrs_at, entry->xattrs_size).value()};
        EXPECT_EQ(of_it, special.second);
        ++specials;
      }
    }
    EXPECT_EQ(reader.specials(), specials);
  }
}

TEST(Attributes, ANodeThatWasNotSetIsAFault) {
  TestBlobs blobs;
  AttributesWriter writer(Env::System(), "/nonexistent", 1 << 20);
  ASSERT_TRUE(writer.Set(0, Simple(0644, 0, 0, 0)));
  ASSERT_TRUE(writer.Set(2, Simple(0644, 0, 0, 0)));
  EXPECT_EQ(writer.Finish(0, kRoot, blobs).error().code(), Errc::kServerFault);
}

TEST(Attributes, ExtendedAttributesThatNoFileCanHaveAreRefused) {
  AttributesWriter writer(Env::System(), "/nonexistent", 1 << 20);
  const auto set = [&](Xattr xattr) {
    NodeAttributes attributes;
    attributes.xattrs.push_back(std::move(xattr));
    return writer.Set(0, attributes).has_value();
  };
  EXPECT_FALSE(set({"", "v"}));
  EXPECT_FALSE(set({std::string(256, 'n'), "v"}));
  EXPECT_FALSE(set({std::string("a\0b", 3), "v"}));
  EXPECT_FALSE(set({"user.a", std::string(65537, 'v')}));
  EXPECT_TRUE(set({"user.a", std::string(65536, 'v')}));
}

TEST(Attributes, AWaitingStoreIsPassedOn) {
  class Waits final : public BlobReader {
   public:
    std::uint64_t size() const override { return 1000; }
    Result<std::size_t> ReadAt(const Waiting&, std::uint64_t, MutableByteSpan) override {
      return Fail(Errc::kWouldBlock);
    }
  };
  EXPECT_EQ(AttributesReader::Open(Waiting{.may_block = false}, std::make_shared<Waits>(), kRoot).error().code(),
            Errc::kWouldBlock);
}

TEST(Attributes, ABlobOfAnotherTreeOrVersionIsRefused) {
  TestBlobs blobs;
  AttributesWriter writer(Env::System(), "/nonexistent", 1 << 20);
  ASSERT_TRUE(writer.Set(0, Simple(0644, 0, 0, 0)));
  const std::string blob = blobs.Content(writer.Finish(0, kRoot, blobs).value());
  const auto why = [&](const std::string& content, const Digest& root) {
    const Digest digest = blobs.Keep(content).value();
    const auto opened = AttributesReader::Open(Waiting(), blobs.Open(Waiting(), digest).value(), root);
    return opened ? "opened" : opened.error().ToString();
  };
  EXPECT_EQ(why(blob, kRoot), "opened");
  EXPECT_THAT(why(blob, Digest::OfEmpty()), HasSubstr("belongs to the tree " + kRoot.Text()));
  EXPECT_THAT(why(blob + "x", kRoot), HasSubstr("its size"));
  EXPECT_THAT(why(blob.substr(0, blob.size() - 1), kRoot), HasSubstr("its size"));
  EXPECT_THAT(why(blob.substr(0, 50), kRoot), HasSubstr("too early"));
  std::string newer = blob, damaged = blob;
  newer[8] = 2;
  damaged[20] = 1;
  EXPECT_THAT(why(newer, kRoot), HasSubstr("use a newer one"));
  EXPECT_THAT(why(damaged, kRoot), HasSubstr("checksum"));
}

}  // namespace
}  // namespace strata::store
