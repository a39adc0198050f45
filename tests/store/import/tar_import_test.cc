#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/env.h"
#include "store/castore/attributes.h"
#include "store/import/import.h"
#include "tests/base/temp_folder.h"
#include "tests/store/fixtures.h"
#include "tests/store/import/import_testing.h"

namespace strata::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string HexOf(std::string_view text) { return Digest::Of(AsBytes(text)).Hex(); }

std::vector<std::string> ListOf(std::string_view tar, ImportOptions options = {}) {
  TestStore store;
  const auto report = store.ImportBytes(tar, options);
  if (!report) return {report.error().ToString()};
  return store.List(report->root);
}

std::string WhyNotImported(std::string_view tar, ImportOptions options = {}) {
  TestStore store;
  const auto report = store.ImportBytes(tar, options);
  return report ? "imported" : report.error().ToString();
}

// CA-45, as tvix takes its 34 kinds of archives; what it panics at is refused.
TEST(TarImport, CA45_TakesAndRefusesWhatTvixDoes) {
  STRATA_FIXTURE(cases, "tvix/tar.json");
  ASSERT_EQ(cases.size(), 34U);
  for (const auto& [name, expected] : cases.items()) {
    SCOPED_TRACE(name);
    const std::string tar = ReadTestFile(FixturePath("tvix/tar/" + expected["file"].get<std::string>()));
    ASSERT_FALSE(tar.empty());
    const bool taken = expected["result"] == "ok";
    for (const char* era : {"root_doubled", "root_documented"}) {
      TestStore store;
      ImportOptions options;
      options.strict = true;
      options.sizes = std::string_view(era) == "root_doubled" ? SizeRule::kDoubled : SizeRule::kDocumented;
      const auto report = store.ImportBytes(tar, options);
      ASSERT_EQ(report.has_value(), taken) << (report ? "taken" : report.error().ToString());
      if (!taken) continue;
      std::vector<std::string> wanted;
      for (const auto& entry : expected["entries"]) {
        const std::string shown = Escaped(TextFromHex(entry["path_hex"].get<std::string>()));
        if (entry["kind"] == "directory") wanted.push_back("dir " + shown + "/");
        if (entry["kind"] == "symlink") {
          // Of a long target in a pax header tvix takes the beginning that the other header has.
          wanted.push_back("link " + shown + " -> " + Escaped(TextFromHex(entry["target_hex"].get<std::string>())));
        }
        if (entry["kind"] == "file") {
          wanted.push_back("file " + shown + " " + std::to_string(entry["size"].get<std::uint64_t>()) +
                           (entry["executable"].get<bool>() ? " x " : " ") + entry["digest"].get<std::string>());
        }
      }
      EXPECT_THAT(store.List(report->root), testing::UnorderedElementsAreArray(wanted));
      if (options.sizes == SizeRule::kDocumented) {
        EXPECT_EQ(report->root.size, wanted.size());
      }
      if (!expected.contains(era) || expected[era].empty()) continue;
      EXPECT_EQ(report->root.digest.Hex(), expected[era]["digest"]);
      EXPECT_EQ(report->root.size, expected[era]["size"]);
    }
  }
}

TEST(TarImport, TheTopIsTheRootUnlessItHoldsOneDirectoryAndIsNoEntryItself) {
  const std::string digest = HexOf("x");
  const TarItem file{.path = "r/f", .content = "x"};
  const TarItem other{.path = "g", .content = "x"};
  EXPECT_THAT(ListOf(TarOf({file})), ElementsAre("file f 1 " + digest));
  EXPECT_THAT(ListOf(TarOf({file, other})), ElementsAre("file g 1 " + digest, "dir r/", "file r/f 1 " + digest));
  EXPECT_THAT(ListOf(TarOf({other})), ElementsAre("file g 1 " + digest));
  EXPECT_THAT(ListOf(TarOf({})), IsEmpty());
  // `tar c .` gives what importing the folder gives, whatever that holds.
  const TarItem dot{.path = "./", .type = '5'};
  EXPECT_THAT(ListOf(TarOf({dot, {.path = "./r/f", .content = "x"}})), ElementsAre("dir r/", "file r/f 1 " + digest));
  ImportOptions strict;
  strict.strict = true;
  EXPECT_THAT(ListOf(TarOf({dot, {.path = "./r/f", .content = "x"}}), strict), ElementsAre("file f 1 " + digest));
  EXPECT_THAT(WhyNotImported(TarOf({file, other}), strict),
              HasSubstr("unexpected number of top level directory entries"));
  TestStore store;
  EXPECT_EQ(store.ImportBytes(TarOf({file, other}))->top_level, 2U);
}

TEST(TarImport, WhatComesLaterReplacesWhatCameBeforeUnlessBothAreDirectories) {
  const auto file = [](std::string path, std::string content) {
    return TarItem{.path = std::move(path), .content = std::move(content)};
  };
  const auto directory = [](std::string path) { return TarItem{.path = std::move(path), .type = '5'}; };
  const TarItem top{.path = ".", .type = '5'};
  // A file in a directory that became a file, and a directory again: only what came after that file is left.
  EXPECT_THAT(ListOf(TarOf({top, file("d/old", "1"), file("d", "2"), file("d/new", "3")})),
              ElementsAre("dir d/", "file d/new 1 " + HexOf("3")));
  EXPECT_THAT(ListOf(TarOf({top, file("d/e/old", "1"), file("d", "2")})), ElementsAre("file d 1 " + HexOf("2")));
  EXPECT_THAT(ListOf(TarOf({top, file("d/old", "1"), file("d", "2"), directory("d")})), ElementsAre("dir d/"));
  EXPECT_THAT(ListOf(TarOf({top, directory("d"), file("d/a", "1"), directory("d"), file("d/b", "2")})),
              ElementsAre("dir d/", "file d/a 1 " + HexOf("1"), "file d/b 1 " + HexOf("2")));
  // Names that sort between a directory and what lies in it do not come between them.
  EXPECT_THAT(
      ListOf(TarOf({top, file("d/a", "1"), file("d-a", "2"), file("d.a", "3"), file("d", "4"), file("d/b", "5")})),
      ElementsAre("dir d/", "file d/b 1 " + HexOf("5"), "file d-a 1 " + HexOf("2"), "file d.a 1 " + HexOf("3")));
  EXPECT_THAT(ListOf(TarOf({top, file("a/b", "1"), file("a", "2"), file("a/b", "3"), file("a/b/c", "4")})),
              ElementsAre("dir a/", "dir a/b/", "file a/b/c 1 " + HexOf("4")));
}

TEST(TarImport, AHardLinkIsASecondEntryOfWhatItsPathWasThen) {
  const TarItem top{.path = ".", .type = '5'};
  const TarItem a1{.path = "./a", .content = "1", .mode = 0755}, a2{.path = "a", .content = "2"};
  const auto link = [](std::string path, std::string target) {
    return TarItem{.path = std::move(path), .type = '1', .link = std::move(target)};
  };
  TestStore store;
  const auto report = store.ImportBytes(TarOf({top,
                                               a1,
                                               link("b", "a"),
                                               a2,
                                               link("c", "./a"),
                                               link("d", "b"),
                                               link("e", "d"),
                                               {.path = "s", .type = '2', .link = "t"},
                                               link("f", "s")}));
  ASSERT_TRUE(report) << report.error().ToString();
  EXPECT_EQ(report->hard_links, 5U);
  EXPECT_THAT(store.List(report->root),
              ElementsAre("file a 1 " + HexOf("2"), "file b 1 x " + HexOf("1"), "file c 1 " + HexOf("2"),
                          "file d 1 x " + HexOf("1"), "file e 1 x " + HexOf("1"), "link f -> t", "link s -> t"));
  EXPECT_THAT(WhyNotImported(TarOf({link("b", "a"), a2})),
              HasSubstr("the hard link \"b\" in the archive is to \"a\", which does not come before it"));
  EXPECT_THAT(WhyNotImported(TarOf({top, {.path = "d", .type = '5'}, link("l", "d")})),
              HasSubstr("which is a directory"));
  std::vector<TarItem> chain{top, a2};
  for (int i = 0; i < 40; ++i)
    chain.push_back(link("l" + std::to_string(i), i == 0 ? "a" : "l" + std::to_string(i - 1)));
  EXPECT_THAT(WhyNotImported(TarOf(chain)), HasSubstr("16"));
  ImportOptions strict;
  strict.strict = true;
  EXPECT_THAT(WhyNotImported(TarOf({top, a2, link("b", "a")}), strict),
              HasSubstr("unsupported tar entry b type: Link"));
}

TEST(TarImport, WhatIsNoNodeIsRefusedOrLeftOutAndNamed) {
  const std::string tar =
      TarOf({{.path = "r/a", .content = "1"}, {.path = "r/fifo", .type = '6'}, {.path = "r/odd", .type = 'Q'}});
  EXPECT_THAT(WhyNotImported(tar),
              AllOf(HasSubstr("unsupported tar entry r/fifo type: Fifo"), HasSubstr("--skip-unsupported")));
  TestStore store;
  ImportOptions options;
  options.skip_unsupported = true;
  const auto report = store.ImportBytes(tar, options);
  ASSERT_TRUE(report) << report.error().ToString();
  EXPECT_EQ(report->skipped, 2U);
  EXPECT_THAT(report->skipped_names, ElementsAre("r/fifo", "r/odd"));
  EXPECT_THAT(store.List(report->root), ElementsAre("file a 1 " + HexOf("1")));
}

TEST(TarImport, TheSameAgainWritesNothing) {
  const std::string tar = TarOf({{.path = "a", .content = std::string(2'000'000, 'a')}, {.path = "b", .content = "b"}});
  TestStore store;
  const auto first = store.ImportBytes(tar);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->new_blobs, 1U);
  const int written = store.blobs.written;
  const auto second = store.ImportBytes(tar);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->root, first->root);
  EXPECT_EQ(second->new_blobs, 0U);
  EXPECT_EQ(store.blobs.written, written + 1);  // what is streamed is known by its end only
  EXPECT_EQ(store.blobs.syncs, 2);
}

// CA-46
TEST(TarImport, FilesOfAnySizeAndMemoryGiveTheSameTree) {
  std::vector<TarItem> items;
  for (int i = 0; i < 3000; ++i) {
    items.push_back({.path = "r/" + std::to_string(i % 17) + "/" + std::to_string(i * 7919 % 3000),
                     .content = std::string(static_cast<std::size_t>(i % 50), static_cast<char>(i))});
  }
  items.push_back({.path = "r/1/almost", .content = std::string(kStreamFrom - 1, 'x')});
  items.push_back({.path = "r/1/just", .content = std::string(kStreamFrom, 'x')});
  items.push_back({.path = "r/1/more", .content = std::string(3 * kStreamFrom + 1, 'x')});
  const std::string tar = TarOf(items);
  TestStore store;
  const auto large = store.ImportBytes(tar);
  ASSERT_TRUE(large) << large.error().ToString();
  EXPECT_EQ(large->files, 3003U);
  EXPECT_EQ(large->directories, 18U);
  TempFolder folder;
  ImportOptions little;
  little.memory = 64 << 10;
  little.temporary_folder = folder.path();
  little.jobs = 3;
  const auto small = store.ImportBytes(tar, little);
  ASSERT_TRUE(small) << small.error().ToString();
  EXPECT_EQ(small->root, large->root);
  little.temporary_folder = folder / "missing";
  EXPECT_THAT(store.ImportBytes(tar, little).error().ToString(), HasSubstr("TMPDIR"));
}

TEST(TarImport, AStoreThatIsFullEndsItWithTheFilesName) {
  TestStore store;
  store.blobs.fail_after = 2;
  std::vector<TarItem> items;
  for (int i = 0; i < 500; ++i) items.push_back({.path = "f" + std::to_string(i), .content = std::to_string(i)});
  const auto report = store.ImportBytes(TarOf(items));
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), Errc::kNoSpace);
  EXPECT_THAT(report.error().ToString(), AllOf(HasSubstr("importing test.tar"), HasSubstr("storing \"f")));
}

TEST(TarImport, CountsWhatItReads) {
  TestStore store;
  ImportProgress last;
  ImportOptions options;
  options.progress = [&](const ImportProgress& progress) { last = progress; };
  ASSERT_TRUE(store.ImportBytes(TarOf({{.path = "a", .content = "12345"}, {.path = "b", .content = "67"}}), options));
  EXPECT_EQ(last.files, 1U);  // it is called as the first entry has been taken
  EXPECT_EQ(last.bytes, 5U);
  EXPECT_GT(last.position, 0U);
}

TEST(TarImport, KeepsWhatCastoreCannotSayBesideTheSameTree) {
  const TarItem top{.path = ".", .type = '5', .mode = 0711, .uid = 1, .gid = 2, .mtime = 50};
  const std::vector<TarItem> nodes = {
      top,
      {.path = "a", .content = "1", .mode = 04755, .uid = 1000, .gid = 100, .mtime = 77},
      {.path = "a2", .type = '1', .link = "a"},
      {.path = "implied/x", .content = "x", .pax = {{"SCHILY.xattr.user.k", "v"}, {"mtime", "1.000000005"}}},
      {.path = "l", .type = '2', .link = "a", .uid = 3}};
  std::vector<TarItem> all = nodes;
  all.push_back({.path = "dev", .type = '3', .mode = 0600, .uid = 9});
  all.push_back({.path = "implied/fifo", .type = '6', .mode = 0640});
  TestStore store;
  const auto plain = store.ImportBytes(TarOf(nodes));
  ASSERT_TRUE(plain);
  EXPECT_FALSE(plain->attributes);
  ImportOptions keep;
  keep.keep_metadata = true;
  const auto report = store.ImportBytes(TarOf(all), keep);
  ASSERT_TRUE(report) << report.error().ToString();
  EXPECT_EQ(report->root, plain->root);
  EXPECT_EQ(report->specials, 2U);
  ASSERT_TRUE(report->attributes);
  EXPECT_EQ(store.ImportBytes(TarOf(all), keep)->attributes, report->attributes);
  auto blob = store.blobs.Open(Waiting(), *report->attributes);
  auto reader = AttributesReader::Open(Waiting(), *blob, report->root.digest);
  ASSERT_TRUE(reader) << reader.error().ToString();
  const AttributesReader& kept = **reader;
  // Numbers: 0 the top, 1 a, 2 a2, 3 implied, 4 implied/x, 5 l.
  ASSERT_EQ(kept.nodes(), 6U);
  const auto get = [&](std::uint64_t number) { return kept.Get(Waiting(), number).value(); };
  EXPECT_EQ(get(0).mode, 0711U);
  EXPECT_EQ(get(0).specials, 1U);
  EXPECT_EQ(get(1).mode, 04755U);
  EXPECT_EQ(get(1).uid, 1000U);
  EXPECT_EQ(get(1).gid, 100U);
  EXPECT_EQ(get(1).mtime, Time::From(77, 0));
  EXPECT_EQ(get(1).links, 2U);
  EXPECT_EQ(get(1).first_link, 1U);
  EXPECT_EQ(get(2).mode, 04755U);
  EXPECT_EQ(get(2).links, 2U);
  EXPECT_EQ(get(2).first_link, 1U);
  EXPECT_EQ(get(3).mode, 0755U);
  EXPECT_EQ(get(4).mtime, Time{1'000'000'005});
  EXPECT_THAT(kept.Xattrs(Waiting(), get(4).xattrs_at, get(4).xattrs_size).value(), ElementsAre(Xattr{"user.k", "v"}));
  EXPECT_EQ(get(5).uid, 3U);
  EXPECT_EQ(get(5).links, 1U);
  ASSERT_EQ(kept.specials(), 2U);
  const SpecialEntry device = kept.Special(Waiting(), get(0).first_special).value();
  EXPECT_EQ(device.name, "dev");
  EXPECT_EQ(device.type, FileType::kCharacterDevice);
  EXPECT_EQ(device.uid, 9U);
  const SpecialEntry fifo = kept.Special(Waiting(), get(3).first_special).value();
  EXPECT_EQ(fifo.name, "fifo");
  EXPECT_EQ(fifo.parent, 3U);
  EXPECT_EQ(fifo.mode, 0640U);
}

TEST(TarImport, TheNumbersOfAttributesBeginAtTheRootWhateverThatIs) {
  TestStore store;
  ImportOptions keep;
  keep.keep_metadata = true;
  const auto report = store.ImportBytes(TarOf({{.path = "r", .type = '5', .mode = 0700},
                                               {.path = "r/a", .content = "1", .mode = 0604},
                                               {.path = "r/b", .type = '1', .link = "r/a"},
                                               {.path = "r/p", .type = '6'}}),
                                        keep);
  ASSERT_TRUE(report) << report.error().ToString();
  EXPECT_EQ(report->directories, 1U);
  auto reader =
      AttributesReader::Open(Waiting(), store.blobs.Open(Waiting(), *report->attributes).value(), report->root.digest);
  ASSERT_TRUE(reader) << reader.error().ToString();
  EXPECT_EQ((*reader)->nodes(), 3U);
  EXPECT_EQ((*reader)->Get(Waiting(), 0)->mode, 0700U);
  EXPECT_EQ((*reader)->Get(Waiting(), 1)->mode, 0604U);
  EXPECT_EQ((*reader)->Get(Waiting(), 2)->first_link, 1U);
  EXPECT_EQ((*reader)->Special(Waiting(), 0)->parent, 0U);
}

}  // namespace
}  // namespace strata::store
