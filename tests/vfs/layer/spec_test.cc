// The texts that name layers: what they mean, what is refused, and that writing and reading are each other's inverse.
#include "vfs/layer/spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace strata::vfs {
namespace {

using ::testing::HasSubstr;

LayerSpec Host(std::string path, MarkerStyles markers = kDefaultMarkers, std::string at = "") {
  return {.kind = LayerKind::kHost, .path = std::move(path), .markers = markers, .at = std::move(at)};
}
LayerSpec Castore(std::string root, std::string store, std::string at = "") {
  return {.kind = LayerKind::kCastore, .root = std::move(root), .store = std::move(store), .at = std::move(at)};
}

void ExpectMeans(std::string_view text, const LayerSpec& spec) {
  const auto parsed = ParseLayerSpec(text);
  ASSERT_TRUE(parsed) << text << ": " << parsed.error().ToString();
  EXPECT_EQ(*parsed, spec) << text << " is " << FormatLayerSpec(*parsed);
}

TEST(LayerSpecs, WhatBeginsWithNoKindIsAPathByteForByte) {
  for (const std::string path :
       {"/lower", "/a?b", "/a?at=/b", "/100%", "/50%41", "/a@b#c", "/host:/x", "/a,markers=files", "/\xff\x01",
        "relative", "./host:x", "..", "host", "ftp:/x", ":", "Host:/x"}) {
    ExpectMeans(path, Host(path));
  }
}

TEST(LayerSpecs, AHostFolderHasMarkersAndAPlace) {
  ExpectMeans("host:/lower", Host("/lower"));
  ExpectMeans("host:lower/x", Host("lower/x"));
  ExpectMeans("host:/a%3fb%23%25%40@", Host("/a?b#%@@"));
  ExpectMeans("host:/%fF%0a", Host("/\xff\n"));
  ExpectMeans("host:/l?markers=files", Host("/l", {.files = true}));
  ExpectMeans("host:/l?markers=xattr+files+chardev", Host("/l", {.files = true, .chardev = true, .xattr = true}));
  ExpectMeans("host:/l?markers=none&at=/usr/local", Host("/l", {}, "/usr/local"));
  ExpectMeans("host:/l?at=/a%26b%3f&markers=chardev+xattr", Host("/l", kDefaultMarkers, "/a&b?"));
}

TEST(LayerSpecs, ACastoreTreeHasANameAndAStore) {
  ExpectMeans("castore:web@/srv/store", Castore("web", "/srv/store"));
  ExpectMeans("castore:b3:rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI=@pack:/s?at=/app",
              Castore("b3:rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI=", "pack:/s", "/app"));
  ExpectMeans("castore:a%40b@grpc+http://me@host:1%3fwait-connect=1",
              Castore("a@b", "grpc+http://me@host:1?wait-connect=1"));
}

TEST(LayerSpecs, WithoutAStoreItIsTheUsersOwnAndWithoutANameAllOfThem) {
  ExpectMeans("castore:web", Castore("web", "pack:"));
  ExpectMeans("castore:web@", Castore("web", "pack:"));
  ExpectMeans("castore:web?at=/a", Castore("web", "pack:", "/a"));
  ExpectMeans("castore:@/srv/store", Castore("", "/srv/store"));
  EXPECT_EQ(FormatLayerSpec(Castore("", "/srv/store")), "castore:@/srv/store");
}

TEST(LayerSpecs, APlaceIsMadeOfNames) {
  for (const char* none : {"/", "//", "///"}) ExpectMeans("host:/l?at=" + std::string(none), Host("/l"));
  for (const char* same : {"/a/b", "/a/b/", "//a///b//"}) {
    ExpectMeans("host:/l?at=" + std::string(same), Host("/l", kDefaultMarkers, "/a/b"));
  }
  ExpectMeans("host:/l?at=/...", Host("/l", kDefaultMarkers, "/..."));
}

TEST(LayerSpecs, WithoutMarkersOfItsOwnAFolderHasThoseGiven) {
  EXPECT_EQ(ParseLayerSpec("/l", MarkerStyles{})->markers, MarkerStyles{});
  EXPECT_EQ(ParseLayerSpec("host:/l?at=/a", MarkerStyles{})->markers, MarkerStyles{});
  EXPECT_EQ(ParseLayerSpec("host:/l?markers=chardev", MarkerStyles{})->markers, MarkerStyles{.chardev = true});
  EXPECT_EQ(*ParseLayerSpec("castore:a@/s", MarkerStyles{}), Castore("a", "/s"));
}

TEST(LayerSpecs, WhatIsWrongIsRefusedWithWhatToWrite) {
  struct Case {
    std::string text;
    std::string word;  // of the message
  };
  const std::string long_name(256, 'n'), long_path(kMaxPathBytes + 1, 'p');
  std::string long_place;
  for (int i = 0; i < 30; ++i) long_place += "/" + std::string(200, 'n');
  for (const auto& [text, word] : std::vector<Case>{
           {"", "empty"},
           {"host:", "path is missing"},
           {"host:?at=/a", "path is missing"},
           {"host:/a#b", "%23"},
           {"host:/a?at=/b#c", "%23"},
           {"host:/a%", "%25"},
           {"host:/a%4", "%25"},
           {"host:/a%4g", "%25"},
           {"host:/a%00b", "NUL"},
           {std::string("/a\0b", 4), "NUL"},
           {"host:/a?", "markers=... and at=..."},
           {"host:/a?at=/b&", "markers=... and at=..."},
           {"host:/a?mode=1", "no option 'mode'"},
           {"host:/a?at", "begins with '/'"},
           {"host:/a?at=", "begins with '/'"},
           {"host:/a?at=b", "begins with '/'"},
           {"host:/a?at=/b/../c", "'..'"},
           {"host:/a?at=/b/%2e", "'.'"},
           {"host:/a?at=/b%00", "NUL"},
           {"host:/a?at=/b&at=/c", "twice"},
           {"host:/a?markers=none&markers=none", "twice"},
           {"host:/a?markers=", "joined by '+'"},
           {"host:/a?markers=files+", "joined by '+'"},
           {"host:/a?markers=none+files", "joined by '+'"},
           {"host:/a?markers=files&markers", "twice"},
           {"host:/a?at=/" + long_name, "255"},
           {"host:/a?at=" + long_place, "4096"},
           {"host:/" + long_path, "4096"},
           {"/" + long_path, "4096"},
           {"/" + std::string(kMaxSpecBytes, 'p'), "64 KiB"},
           {"castore:", "castore:NAME@STORE"},
           {"castore:?at=/a", "castore:NAME@STORE"},
           {"castore:a%00@/s", "NUL"},
           {"castore:web@/s?markers=files", "no option 'markers'; castore: has at=..."},
       }) {
    const auto parsed = ParseLayerSpec(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code(), Errc::kInvalid) << text;
    EXPECT_THAT(std::string(parsed.error().message()), HasSubstr(word)) << text;
    EXPECT_LT(parsed.error().message().size(), 1000u);
  }
}

TEST(LayerSpecs, KindsThatComeLaterAreNoPaths) {
  for (const char* text : {"rafs:/img.boot?blobs=/b", "wasix:/file@17"}) {
    const auto parsed = ParseLayerSpec(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code(), Errc::kNotSupported);
    EXPECT_THAT(std::string(parsed.error().message()), HasSubstr("./" + std::string(text)));
  }
}

TEST(LayerSpecs, AFolderWithoutOptionsIsWrittenAsItsPath) {
  EXPECT_EQ(FormatLayerSpec(Host("/srv/base")), "/srv/base");
  EXPECT_EQ(FormatLayerSpec(Host("/a?b%c#d@e")), "/a?b%c#d@e");
  EXPECT_EQ(FormatLayerSpec(Host("/\xc3\xa9t\xc3\xa9")), "/\xc3\xa9t\xc3\xa9");
  EXPECT_EQ(FormatLayerSpec(Host("/\xc3\xa9?", {})), "host:/\xc3\xa9%3f?markers=none");
  EXPECT_EQ(FormatLayerSpec(Host("relative")), "host:relative");
}

TEST(LayerSpecs, BytesThatAreNoUtf8AreWrittenByTheirNumbers) {
  EXPECT_EQ(FormatLayerSpec(Host("/\xff/\n")), "host:/%ff/%0a");
  EXPECT_EQ(FormatLayerSpec(Host("/a", kDefaultMarkers, "/\xc3&b")), "host:/a?at=/%c3%26b");
  EXPECT_EQ(FormatLayerSpec(Castore("w@\xe2\x80\xae", "/s")), "castore:w%40%e2%80%ae@/s") << "turns the direction";
}

// Any bytes but NUL, those that mean something more often.
std::string RandomBytes(std::mt19937_64& random, std::size_t most) {
  static constexpr std::string_view kOften = "?@#%&+=:,/.a\xff\xc3\xa9";
  std::string text(1 + random() % most, 'x');
  for (char& c : text) c = random() % 4 == 0 ? static_cast<char>(1 + random() % 255) : kOften[random() % kOften.size()];
  return text;
}

TEST(LayerSpecs, WritingAndReadingAreEachOthersInverse) {
  constexpr std::uint64_t kSeed = 20240601;
  std::mt19937_64 random(kSeed);
  for (int round = 0; round < 20'000; ++round) {
    LayerSpec spec;
    if (random() % 2 == 0) {
      spec = Host((random() % 8 == 0 ? "" : "/") + RandomBytes(random, 20),
                  {.files = random() % 2 == 0, .chardev = random() % 2 == 0, .xattr = random() % 2 == 0});
    } else {
      spec = Castore(RandomBytes(random, 20), RandomBytes(random, 20));
    }
    for (std::uint64_t names = random() % 3; names > 0; --names) {
      std::string name = RandomBytes(random, 8);
      for (char& c : name) c = c == '/' ? 'n' : c;
      if (name != "." && name != "..") spec.at += "/" + name;
    }
    const std::string text = FormatLayerSpec(spec);
    const auto again = ParseLayerSpec(text);
    ASSERT_TRUE(again) << "seed " << kSeed << ": " << text << ": " << again.error().ToString();
    ASSERT_EQ(*again, spec) << "seed " << kSeed << ": " << text;
    for (const char c : text) ASSERT_TRUE(static_cast<unsigned char>(c) >= ' ' && c != 0x7f) << text;
  }
}

}  // namespace
}  // namespace strata::vfs
