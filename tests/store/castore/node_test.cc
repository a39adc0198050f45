#include "store/castore/node.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/castore/names.h"
#include "tests/store/fixtures.h"

namespace strata::store {
namespace {

using ::testing::HasSubstr;

TEST(Names, CA3_NamesAreAcceptedOrRefusedAsTvixDoes) {
  STRATA_FIXTURE(cases, "tvix/names.json");
  ASSERT_FALSE(cases["names"].empty());
  for (const auto& one : cases["names"]) {
    const std::string result = one["result"];
    const auto checked = CheckNodeName(TextFromHex(one["hex"].get<std::string>()));
    EXPECT_EQ(checked.has_value(), result == "ok") << one;
    if (!checked) {
      EXPECT_THAT(std::string(checked.error().message()), HasSubstr("InvalidName(" + result + ")"));
    }
  }
}

TEST(Names, CA4_TargetsAreAcceptedOrRefusedAsTvixDoes) {
  STRATA_FIXTURE(cases, "tvix/names.json");
  ASSERT_FALSE(cases["targets"].empty());
  for (const auto& one : cases["targets"]) {
    const std::string result = one["result"];
    const auto checked = CheckSymlinkTarget(TextFromHex(one["hex"].get<std::string>()));
    EXPECT_EQ(checked.has_value(), result == "ok") << one;
    if (!checked) {
      EXPECT_THAT(std::string(checked.error().message()), HasSubstr("(" + result + ")"));
    }
  }
}

TEST(Names, CA3_TheRulesAreCheckedInTheirOrder) {
  EXPECT_EQ(NodeNameFault(""), "Empty");
  EXPECT_EQ(NodeNameFault(".."), "Parent");
  EXPECT_EQ(NodeNameFault("."), "CurDir");
  EXPECT_EQ(NodeNameFault(std::string(256, '\0') + "/"), "TooLong");
  EXPECT_EQ(NodeNameFault(std::string_view("/\0", 2)), "Null");
  EXPECT_EQ(NodeNameFault("a/b"), "Slashes");
  EXPECT_EQ(NodeNameFault(std::string(255, '\xff')), "");
}

Node NodeOfJson(const nlohmann::json& json) {
  if (json["kind"] == "symlink") return Node::OfSymlink(TextFromHex(json["target_hex"].get<std::string>()));
  const Digest digest = Digest::Parse(json["digest"].get<std::string>()).value();
  if (json["kind"] == "directory") return Node::OfDirectory(digest, json["size"]);
  return Node::OfFile(digest, json["size"], json["executable"]);
}

// "InvalidName(Convert(b"a/b", Slashes))" and its like, without what it is said of.
std::string WordOf(const std::string& debug) {
  for (const char* word : {"NoNodeSet", "NameInAnonymousNode", "InvalidDigestLen(1)"}) {
    if (debug.contains(word)) return word;
  }
  const std::string last = debug.substr(debug.rfind(", ") + 2);
  const std::string inner = last.substr(0, last.find(')'));
  return debug.contains("InvalidSymlinkTarget") ? "InvalidSymlinkTarget(" + inner + ")" : "InvalidName(" + inner + ")";
}

TEST(Node, CA13_RootsAreReadAsTvixReadsThem) {
  STRATA_FIXTURE(cases, "tvix/names.json");
  ASSERT_FALSE(cases["root_nodes"].empty());
  for (const auto& one : cases["root_nodes"]) {
    const auto bytes = FromHex(one["hex"].get<std::string>());
    const auto anonymous = ParseNode(bytes);
    const auto& expected = one["anonymous"];
    ASSERT_EQ(anonymous.has_value(), expected.contains("ok")) << one;
    if (anonymous) {
      EXPECT_EQ(*anonymous, NodeOfJson(expected["node"])) << one;
      EXPECT_EQ(ParseNode(EncodeNode(*anonymous)).value(), *anonymous);
    } else {
      EXPECT_EQ(anonymous.error().code(), Errc::kInvalid);
      EXPECT_THAT(std::string(anonymous.error().message()), HasSubstr(WordOf(expected["debug"])));
    }
    const auto named = ParseNamedNode(bytes);
    const auto& wanted = one["named"];
    ASSERT_EQ(named.has_value(), wanted.contains("ok")) << one;
    if (named) {
      EXPECT_EQ(named->first, TextFromHex(wanted["name_hex"].get<std::string>()));
      EXPECT_EQ(named->second, NodeOfJson(wanted["node"])) << one;
      EXPECT_EQ(ParseNamedNode(EncodeNamedNode(named->first, named->second)).value(), *named);
    } else {
      EXPECT_EQ(named.error().code(), Errc::kInvalid);
      EXPECT_THAT(std::string(named.error().message()), HasSubstr(WordOf(wanted["debug"])));
    }
  }
}

TEST(Node, CA1_ATreesRootIsWrittenAsTvixWritesIt) {
  STRATA_FIXTURE(large, "tvix/large.json");
  ASSERT_FALSE(large.empty());
  for (const auto& [name, input] : large.items()) {
    const Node node = NodeOfJson(input["root"]);
    EXPECT_EQ(EncodeNode(node), FromHex(input["root"]["node_hex"].get<std::string>())) << name;
    EXPECT_EQ(EncodeNamedNode("x", node), FromHex(input["root"]["node_named_x_hex"].get<std::string>())) << name;
  }
}

TEST(Node, OfSeveralKindsTheLastCountsAndOfOneKindTheLaterFields) {
  const Node file = Node::OfFile(Digest::OfEmpty(), 7, true);
  std::vector<std::byte> both = EncodeNode(Node::OfSymlink("t"));
  const auto encoded = EncodeNode(file);
  both.insert(both.end(), encoded.begin(), encoded.end());
  EXPECT_EQ(ParseNode(both).value(), file);
  const auto larger = FromHex("12021809");  // the same file's size, again
  both.insert(both.end(), larger.begin(), larger.end());
  EXPECT_EQ(ParseNode(both).value(), Node::OfFile(Digest::OfEmpty(), 9, true));
}

TEST(Node, WhatIsNoMessageIsRefused) {
  for (const char* hex : {"0a", "0a05", "08", "0801", "12021a01", "ff", "0f", "7b", "7b8401", "1a0412"}) {
    const auto parsed = ParseNode(FromHex(hex));
    ASSERT_FALSE(parsed) << hex;
    EXPECT_EQ(parsed.error().code(), Errc::kInvalid);
    EXPECT_THAT(std::string(parsed.error().message()), HasSubstr("not a Node message")) << hex;
  }
}

TEST(Node, FieldsThatAreNotKnownArePassedOverWhateverTheirType) {
  const Node link = Node::OfSymlink("t");
  const auto encoded = EncodeNode(link);
  // A number, 8 bytes, bytes, a group with a group in it, 4 bytes.
  for (const char* hex : {"7801", "790102030405060708", "7a03616263", "7b780183019a0102ffff84017c", "7d01020304"}) {
    auto bytes = FromHex(hex);
    bytes.insert(bytes.end(), encoded.begin(), encoded.end());
    const auto parsed = ParseNode(bytes);
    ASSERT_TRUE(parsed) << hex << ": " << parsed.error().ToString();
    EXPECT_EQ(*parsed, link);
  }
}

TEST(Node, GroupsAreRefusedWhereTheyNestDeeplyOrDoNotClose) {
  const auto nested = [](int depth) {
    std::string hex;
    for (int i = 0; i < depth; ++i) hex += "7b";
    for (int i = 0; i < depth; ++i) hex += "7c";
    auto bytes = FromHex(hex);
    const auto encoded = EncodeNode(Node::OfSymlink("t"));
    bytes.insert(bytes.end(), encoded.begin(), encoded.end());
    return ParseNode(bytes).has_value();
  };
  EXPECT_TRUE(nested(100));
  EXPECT_FALSE(nested(101));
  EXPECT_FALSE(nested(100'000));
  auto open = FromHex("7b");
  const auto encoded = EncodeNode(Node::OfSymlink("t"));
  open.insert(open.end(), encoded.begin(), encoded.end());
  EXPECT_FALSE(ParseNode(open));
}

}  // namespace
}  // namespace strata::store
