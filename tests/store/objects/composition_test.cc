#include "store/composition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "store/near_spec.h"

namespace strata::store {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Kind = CompositionInstance::Kind;

constexpr const char* kFile = "/srv/stores.json";

std::string RefusedComposition(std::string_view text, Errc code = Errc::kInvalid) {
  const auto composition = ParseComposition(text, kFile);
  EXPECT_FALSE(composition.has_value()) << text << " was taken";
  if (composition) return {};
  EXPECT_EQ(composition.error().code(), code);
  EXPECT_THAT(composition.error().ToString(), HasSubstr(kFile));
  return std::string(composition.error().message());
}

TEST(CA38_Composition, NamesInstancesOfBlobsDirectoriesAndRoots) {
  const auto composition = ParseComposition(R"({
    "blobs": {
      "main": {"type": "cache", "near": "local", "far": "archive"},
      "local": {"type": "pack", "address": "pack:local"},
      "archive": {"type": "objectstore", "address": "objectstore+file:///mnt/archive?avg_chunk_size=65536"},
      "scratch": {"type": "memory"}
    },
    "directories": {"main": {"type": "combined", "near": "a", "far": "b"},
                    "a": {"type": "memory", "address": "memory://"},
                    "b": {"type": "grpc", "address": "grpc+unix:///run/castore.sock"}},
    "roots": {"main": {"type": "pack", "address": "pack:/srv/store"}}
  })",
                                            kFile);
  ASSERT_TRUE(composition.has_value()) << composition.error().ToString();
  const auto& blobs = composition->blobs;
  EXPECT_EQ(blobs.size(), 4u);
  EXPECT_EQ(blobs.at("main").kind, Kind::kCache);
  EXPECT_EQ(blobs.at("main").near, "local");
  EXPECT_EQ(blobs.at("main").far, "archive");
  // From the folder of the file.
  EXPECT_EQ(blobs.at("local").address.path, "/srv/local");
  EXPECT_EQ(blobs.at("archive").address.avg_chunk_size, 65536u);
  EXPECT_EQ(blobs.at("scratch").address.kind, StoreKind::kMemory);
  EXPECT_EQ(composition->directories.at("main").kind, Kind::kCombined);
  EXPECT_EQ(composition->directories.at("b").address.kind, StoreKind::kGrpc);
  EXPECT_EQ(composition->roots.at("main").address.path, "/srv/store");
  EXPECT_TRUE(ParseComposition("{}", kFile).has_value());
}

TEST(CA38_Composition, WhatIsUnknownIsRefused) {
  EXPECT_THAT(RefusedComposition(R"({"blob": {}})"), HasSubstr("\"blob\""));
  EXPECT_THAT(RefusedComposition(R"({"blobs": {"a": {"type": "memory", "size": "1"}}})"),
              AllOf(HasSubstr("blobs.a"), HasSubstr("\"size\"")));
  EXPECT_THAT(RefusedComposition(R"({"blobs": {"a": {"type": "combined", "near": "a", "far": "a", "address": "x"}}})"),
              HasSubstr("\"address\""));
  EXPECT_THAT(RefusedComposition(R"({"blobs": {"a": {"type": "disk"}}})"), HasSubstr("no type \"disk\""));
  EXPECT_THAT(RefusedComposition(R"({"blobs": {"a": {"type": "memory"}, "a": {"type": "memory"}}})"),
              HasSubstr("\"a\" is given twice"));
  EXPECT_THAT(RefusedComposition(R"({"blobs": {}, "blobs": {}})"), HasSubstr("\"blobs\" is given twice"));
  EXPECT_THAT(RefusedComposition(R"({"blobs": {"a": {"type": "memory", "type": "pack"}}})"),
              HasSubstr("\"type\" is given twice"));
}

TEST(CA38_Composition, StoresThatAreKnownElsewhereAreRefusedWithWhatToUseInstead) {
  for (const char* type : {"redb", "bigtable", "sled", "simplefs"}) {
    EXPECT_THAT(
        RefusedComposition(R"({"blobs": {"a": {"type": ")" + std::string(type) + R"("}}})", Errc::kNotSupported),
        AllOf(HasSubstr("blobs.a"), HasSubstr("; use ")));
  }
}

TEST(CA38_Composition, WhatIsMissingOrOfTheWrongKindIsRefused) {
  EXPECT_THAT(RefusedComposition(""), HasSubstr("parse error"));
  EXPECT_THAT(RefusedComposition("[]"), HasSubstr("no JSON object"));
  EXPECT_THAT(RefusedComposition(R"({"blobs": []})"), HasSubstr("blobs is no object"));
  EXPECT_THAT(RefusedComposition(R"({"blobs": {"a": 1}})"), HasSubstr("blobs.a is no object"));
  EXPECT_THAT(RefusedComposition(R"({"blobs": {"": {"type": "memory"}}})"), HasSubstr("without a name"));
  EXPECT_THAT(RefusedComposition(R"({"blobs": {"a": {}}})"), HasSubstr("has no type"));
  EXPECT_THAT(RefusedComposition(R"({"blobs": {"a": {"type": 1}}})"), HasSubstr("has no type"));
  EXPECT_THAT(RefusedComposition(R"({"blobs": {"a": {"type": "pack"}}})"), HasSubstr("must begin with pack:"));
  EXPECT_THAT(RefusedComposition(R"({"blobs": {"a": {"type": "pack", "address": 7}}})"),
              HasSubstr("address is no string"));
  EXPECT_THAT(RefusedComposition(R"({"blobs": {"a": {"type": "pack", "address": "memory://"}}})"),
              HasSubstr("must begin with pack:"));
  EXPECT_THAT(RefusedComposition(R"({"blobs": {"a": {"type": "pack", "address": "pack:/"}}})"),
              HasSubstr("must not be /"));
  EXPECT_THAT(RefusedComposition(R"({"blobs": {"a": {"type": "cache", "near": "a"}}})"),
              HasSubstr("needs near and far"));
  EXPECT_THAT(RefusedComposition(R"({"blobs": {"a": {"type": "composition", "address": "composition:/x#y"}}})"),
              HasSubstr("no type \"composition\""));
  EXPECT_THAT(RefusedComposition(R"({"roots": {"a": {"type": "cache", "near": "a", "far": "b"}}})"),
              HasSubstr("names change"));
}

TEST(CA38_Composition, ANearStoreMayHaveASize) {
  const auto text = [](const std::string& local, const std::string& local_directories, const std::string& more = "") {
    return R"({"blobs": {"main": {"type": "cache", "near": "local", "far": "m"}, "m": {"type": "memory"},
                         "local": )" +
           local + more + R"(},
               "directories": {"main": {"type": "cache", "near": "local", "far": "m"}, "m": {"type": "memory"},
                               "local": )" +
           local_directories + "}}";
  };
  const std::string sized = R"({"type": "pack", "address": "pack:/near", "size": "10G"})";
  const auto composition = ParseComposition(text(sized, sized), kFile);
  ASSERT_TRUE(composition.has_value()) << composition.error().ToString();
  EXPECT_EQ(composition->blobs.at("local").near_bytes, 10ULL << 30);
  EXPECT_EQ(composition->directories.at("local").near_bytes, 10ULL << 30);
  EXPECT_EQ(composition->blobs.at("m").near_bytes, 0u);
  for (const char* size : {"", "0G", "10", "G", "-1G", "1.5G", "10g", "99999999999T", " 1G"}) {
    const std::string wrong = R"({"type": "pack", "address": "pack:/near", "size": ")" + std::string(size) + "\"}";
    EXPECT_THAT(RefusedComposition(text(wrong, wrong)), AllOf(HasSubstr("blobs.local"), HasSubstr("512M or 10G")));
  }
  const std::string other = R"({"type": "pack", "address": "pack:/near", "size": "9G"})";
  const std::string none = R"({"type": "pack", "address": "pack:/near"})";
  EXPECT_THAT(RefusedComposition(text(sized, other)), HasSubstr("different sizes"));
  EXPECT_THAT(RefusedComposition(text(sized, none)), HasSubstr("different sizes"));
  // What drops things is no place for what is put.
  EXPECT_THAT(RefusedComposition(text(sized, sized, R"(, "x": {"type": "cache", "near": "m", "far": "local"})")),
              AllOf(HasSubstr("blobs.local has a size"), HasSubstr("blobs.x")));
  EXPECT_THAT(RefusedComposition(text(sized, sized, R"(, "x": {"type": "combined", "near": "local", "far": "m"})")),
              AllOf(HasSubstr("blobs.local has a size"), HasSubstr("blobs.x")));
  EXPECT_THAT(RefusedComposition(R"({"roots": {"a": )" + sized + "}}"), HasSubstr("\"size\""));
}

TEST(NearSpec, IsAPackStoreAndASize) {
  const auto spec = ParseNearSpec("pack:near,x,512M", "/srv");
  ASSERT_TRUE(spec.has_value()) << spec.error().ToString();
  EXPECT_EQ(spec->address.path, "/srv/near,x");
  EXPECT_EQ(spec->bytes, 512ULL << 20);
  EXPECT_EQ(ParseNearSpec("pack:/a,65536K")->bytes, 64ULL << 20);
  EXPECT_EQ(ParseNearSpec("pack:/a,2T")->bytes, 2ULL << 40);
  for (const char* text : {"", "pack:/a", "pack:/a,", "pack:/a,10", "pack:/a,10G ", "memory://,1G", "pack:,1G", ",1G",
                           "objectstore+file:///a,1G", "pack:relative,1G"}) {
    const auto refused = ParseNearSpec(text);
    EXPECT_FALSE(refused.has_value()) << text;
  }
  EXPECT_THAT(ParseNearSpec("pack:/a").error().ToString(), HasSubstr("written like pack:/var/cache/strata,10G"));
}

TEST(CA38_Composition, AnInstanceThatLeadsBackToItselfIsRefused) {
  const std::string memory = R"("m": {"type": "memory"})";
  EXPECT_THAT(RefusedComposition(R"({"blobs": {"a": {"type": "cache", "near": "a", "far": "m"}, )" + memory + "}}"),
              HasSubstr("blobs.a leads back to itself"));
  EXPECT_THAT(RefusedComposition(R"({"blobs": {"a": {"type": "cache", "near": "m", "far": "b"},
                                   "b": {"type": "combined", "near": "a", "far": "m"}, )" +
                                 memory + "}}"),
              HasSubstr("leads back to itself"));
  EXPECT_THAT(RefusedComposition(R"({"blobs": {"a": {"type": "cache", "near": "m", "far": "x"}, )" + memory + "}}"),
              HasSubstr("no such instance in blobs"));
  // One of another family does not count.
  EXPECT_THAT(RefusedComposition(R"({"blobs": {)" + memory +
                                 R"(}, "directories": {"a": {"type": "cache", "near": "m", "far": "m"}}})"),
              HasSubstr("no such instance in directories"));
  // Two ways to the same are no way back.
  EXPECT_TRUE(
      ParseComposition(R"({"blobs": {"a": {"type": "combined", "near": "m", "far": "m"}, )" + memory + "}}", kFile)
          .has_value());
}

TEST(CA38_Composition, DepthNumberAndSizeAreBounded) {
  // n9 stands before n8, and so on; their order in the file says nothing of it.
  const auto chain = [](std::size_t length, bool rising) {
    std::string text = R"({"blobs": {)";
    for (std::size_t i = 0; i < length; ++i) {
      const auto name = [&](std::size_t at) { return std::string(1, static_cast<char>(rising ? 'a' + at : 'z' - at)); };
      text += i == 0 ? "" : ", ";
      text += '"' + name(i) + R"(": )";
      text += i == 0 ? R"({"type": "memory"})"
                     : R"({"type": "combined", "near": ")" + name(i - 1) + R"(", "far": ")" + name(0) + R"("})";
    }
    return text + "}}";
  };
  for (const bool rising : {false, true}) {
    EXPECT_TRUE(ParseComposition(chain(kMaxCompositionDepth, rising), kFile).has_value());
    EXPECT_THAT(RefusedComposition(chain(kMaxCompositionDepth + 1, rising)), HasSubstr("more than 16 instances"));
  }
  std::string many = R"({"blobs": {"0": {"type": "memory"})";
  for (std::size_t i = 1; i <= kMaxInstances; ++i) many += ", \"" + std::to_string(i) + R"(": {"type": "memory"})";
  EXPECT_THAT(RefusedComposition(many + "}}"), HasSubstr("more than 1024 instances"));
  EXPECT_THAT(RefusedComposition(std::string(kMaxCompositionBytes + 1, ' ')), HasSubstr("more than 1 MiB"));
  EXPECT_THAT(RefusedComposition(R"({"blobs": {"a": {"type": {"x": {}}}}})"), HasSubstr("nested too deep"));
  EXPECT_THAT(RefusedComposition(std::string(500'000, '[')), HasSubstr("nested too deep"));
}

TEST(CA38_Composition, ARefusalShowsNothingThatATerminalWouldObey) {
  EXPECT_THAT(RefusedComposition("{\"\x1b[2J\": 1}"), testing::Not(HasSubstr("\x1b")));
  EXPECT_THAT(RefusedComposition(R"({"\u001b[2J": 1})"), testing::Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace strata::store
