// workspace.json (docs/formats/workspace.md): its bytes, those of version 1, and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "vfs/workspace/workspace.h"

namespace strata::vfs::testing {
namespace {

using ::testing::HasSubstr;

WorkspaceConfig Sample() {
  WorkspaceConfig config;
  config.volume_id = 0xa1;
  config.handle_key = {0x0123456789abcdef, 0xfedcba9876543210};
  config.name_key = {1, 2};
  config.layers.push_back({{.path = "/plugins", .markers = {.files = true}, .at = "/app/plugins"}});
  config.layers.push_back(
      {{.kind = LayerKind::kCastore, .root = "web", .store = "/srv/store"}, {.kind = "digest", .value = "8b5b"}});
  config.layers.push_back({{.path = "/lower"}});
  return config;
}

// What docs/formats/workspace.md shows.
constexpr std::string_view kVersion2 = R"({
  "format": "strata workspace",
  "handle_key": [
    "0123456789abcdef",
    "fedcba9876543210"
  ],
  "keys_check": "bf7b7dca",
  "layers": [
    {
      "spec": "host:/plugins?markers=files&at=/app/plugins"
    },
    {
      "resolved": {
        "kind": "digest",
        "value": "8b5b"
      },
      "spec": "castore:web@/srv/store"
    },
    {
      "spec": "/lower"
    }
  ],
  "layers_check": "CHECK",
  "name_key": [
    "0000000000000001",
    "0000000000000002"
  ],
  "version": 2,
  "volume_id": "00000000000000a1"
}
)";
constexpr std::string_view kVersion1 =
    R"({"format": "strata workspace", "version": 1, "volume_id": "00000000000000a1",
        "handle_key": ["0123456789abcdef", "fedcba9876543210"],
        "name_key": ["0000000000000001", "0000000000000002"], "keys_check": "bf7b7dca",
        "layers": [{"path": "/low?er", "markers": ["chardev", "xattr"]}, {"path": "/b", "markers": []},
                   {"path": "/c", "markers": ["files"]}]})";

std::string Golden() {
  std::string text(kVersion2);
  text.replace(text.find("CHECK"), 5, "37ed5aba");
  return text;
}

void ExpectRefused(const std::string& text, Errc code, const std::string& word) {
  const auto parsed = ParseWorkspaceConfig(text, "/ws/workspace.json");
  ASSERT_FALSE(parsed) << text;
  EXPECT_EQ(parsed.error().code(), code) << parsed.error().ToString();
  EXPECT_THAT(std::string(parsed.error().message()), HasSubstr("/ws/workspace.json"));
  EXPECT_THAT(std::string(parsed.error().message()), HasSubstr(word));
}

std::string With(std::string text, std::string_view what, std::string_view by) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), by);
}

TEST(WorkspaceConfigs, TheBytesAreThoseOfTheDocument) {
  const auto text = FormatWorkspaceConfig(Sample());
  ASSERT_TRUE(text);
  EXPECT_EQ(*text, Golden());
  const auto parsed = ParseWorkspaceConfig(Golden(), "f");
  ASSERT_TRUE(parsed) << parsed.error().ToString();
  EXPECT_EQ(*parsed, Sample());
}

TEST(WorkspaceConfigs, Version1IsReadAndWrittenAnewAsVersion2) {
  const auto parsed = ParseWorkspaceConfig(kVersion1, "f");
  ASSERT_TRUE(parsed) << parsed.error().ToString();
  WorkspaceConfig expected = Sample();
  expected.layers = {
      {{.path = "/low?er"}}, {{.path = "/b", .markers = {}}}, {{.path = "/c", .markers = {.files = true}}}};
  EXPECT_EQ(*parsed, expected);
  const auto anew = FormatWorkspaceConfig(*parsed);
  ASSERT_TRUE(anew);
  EXPECT_THAT(*anew, HasSubstr("\"version\": 2"));
  EXPECT_EQ(*ParseWorkspaceConfig(*anew, "f"), expected);
}

TEST(WorkspaceConfigs, PathsThatAreNoUtf8AreKept) {
  WorkspaceConfig config = Sample();
  config.layers = {{{.path = "/\xff\xfe/%\n"}}, {{.path = "/a", .at = "/\xc3"}}};
  const auto text = FormatWorkspaceConfig(config);
  ASSERT_TRUE(text) << text.error().ToString();
  EXPECT_THAT(*text, HasSubstr("host:/%ff%fe/%25%0a"));
  const auto again = ParseWorkspaceConfig(*text, "f");
  ASSERT_TRUE(again) << again.error().ToString();
  EXPECT_EQ(*again, config);
}

TEST(WorkspaceConfigs, ATurnedBitInALayerIsNoticedUnlessTheCheckIsLeftOut) {
  const std::string turned = With(Golden(), "at=/app/plugins", "at=/apr/plugins");
  ExpectRefused(turned, Errc::kCorrupt, "layers_check");
  ExpectRefused(With(Golden(), "8b5b", "8b5c"), Errc::kCorrupt, "layers_check");
  ExpectRefused(With(Golden(), "\"kind\": \"digest\"", "\"kind\": \"digess\""), Errc::kCorrupt, "layers_check");
  // Who moves a layer's folder may say so by hand.
  const std::string line = "  \"layers_check\": \"37ed5aba\",\n";
  const auto by_hand = ParseWorkspaceConfig(With(turned, line, ""), "f");
  ASSERT_TRUE(by_hand) << by_hand.error().ToString();
  EXPECT_EQ(by_hand->layers[0].spec.at, "/apr/plugins");
}

TEST(WorkspaceConfigs, WhatDoesNotFitIsRefused) {
  ExpectRefused(With(Golden(), "\"version\": 2", "\"version\": 3"), Errc::kNotSupported, "newer version");
  ExpectRefused(With(Golden(), "\"version\": 2", "\"version\": 0"), Errc::kCorrupt, "no version 0");
  ExpectRefused(With(Golden(), "bf7b7dca", "bf7b7dcb"), Errc::kCorrupt, "keys");
  ExpectRefused(With(Golden(), "\"/lower\"", "\"lower\""), Errc::kCorrupt, "not an absolute path");
  ExpectRefused(With(Golden(), "\"/lower\"", "\"host:/lower?mode=1\""), Errc::kCorrupt, "no option 'mode'");
  ExpectRefused(With(Golden(), "\"/lower\"", "\"rafs:/lower\""), Errc::kCorrupt, "rafs");
  ExpectRefused(With(Golden(), "\"/lower\"", "17"), Errc::kCorrupt, "does not parse");
  ExpectRefused(With(Golden(), "\"kind\": \"digest\"", "\"kind\": \"\""), Errc::kCorrupt, "resolved to nothing");
  ExpectRefused(With(Golden(), "8b5b", "\\u00e9"), Errc::kCorrupt, "cannot be kept");
  ExpectRefused(With(Golden(), "8b5b", std::string(2000, '0')), Errc::kCorrupt, "cannot be kept");
  ExpectRefused(With(std::string(kVersion1), "/b", "b"), Errc::kCorrupt, "not an absolute path");
  ExpectRefused(With(std::string(kVersion1), "\"files\"", "\"files+xattr\""), Errc::kCorrupt, "no such markers");
}

TEST(WorkspaceConfigs, WhatCannotBeKeptIsNotWritten) {
  for (const WorkspaceLayer& layer :
       {WorkspaceLayer{{.path = "relative"}}, WorkspaceLayer{{.path = ""}}, WorkspaceLayer{{.path = "/a", .at = "b"}},
        WorkspaceLayer{{.path = "/a", .at = "/b/"}}, WorkspaceLayer{{.path = std::string("/a\0b", 4)}},
        WorkspaceLayer{{.path = "/a"}, {.kind = "", .value = "x"}},
        WorkspaceLayer{{.path = "/a"}, {.kind = "digest", .value = "\xff"}}}) {
    WorkspaceConfig config = Sample();
    config.layers = {layer};
    const auto text = FormatWorkspaceConfig(config);
    ASSERT_FALSE(text) << *text;
    EXPECT_EQ(text.error().code(), Errc::kInvalid);
  }
  // What would not be read again.
  WorkspaceConfig config = Sample();
  config.layers.assign(255, {{.path = "/" + std::string(4090, '\xff')}});
  EXPECT_FALSE(FormatWorkspaceConfig(config));
  config.layers.resize(50);
  EXPECT_TRUE(FormatWorkspaceConfig(config));
}

}  // namespace
}  // namespace strata::vfs::testing
