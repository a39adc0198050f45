#include "store/export/export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "store/import/tar_reader.h"
#include "tests/base/temp_folder.h"
#include "tests/store/import/import_testing.h"

namespace strata::store {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Long names at each bound of the header's fields, names that are no UTF-8, an empty file, a large one, links.
std::vector<TarItem> TreeItems() {
  std::vector<TarItem> items{{.path = "./", .type = '5', .mode = 0755}};
  for (const std::size_t length : {1U, 99U, 100U, 101U, 154U, 155U, 156U, 250U, 255U}) {
    const std::string name(length, 'n');
    items.push_back({.path = "x", .content = std::to_string(length), .pax = {{"path", "f/" + name}}});
    items.push_back({.path = "x", .content = "deep", .pax = {{"path", "d/" + name + "/" + name + "/f"}}});
    items.push_back({.path = "x", .type = '2', .pax = {{"path", "s/" + name}, {"linkpath", std::string(length, 't')}}});
  }
  items.push_back({.path = "\xff\xfe name\n", .content = "bytes", .mode = 0700});
  items.push_back(
      {.path = "x", .content = "b", .pax = {{"path", std::string(120, '\xe9') + "/" + std::string(120, '\xe9')}}});
  items.push_back({.path = "empty"});
  items.push_back({.path = "large", .content = std::string(3 * kStreamFrom + 5, 'l')});
  items.push_back({.path = "no/entries/", .type = '5'});
  return items;
}

// The same with what castore cannot say.
std::vector<TarItem> RichItems() {
  std::vector<TarItem> items = TreeItems();
  items.push_back({.path = "a", .content = "a", .mode = 04751, .uid = 3, .gid = 4, .mtime = 1});
  items.push_back({.path = "no/b", .type = '1', .link = "a"});
  items.push_back({.path = "z", .content = "z", .mode = 0, .pax = {{"uid", "3000000000"}, {"mtime", "-5.000000001"}}});
  items.push_back({.path = "zz", .type = '1', .link = "z"});
  items.push_back({.path = "zzz", .type = '1', .link = "z"});
  items.push_back({.path = "fifo", .type = '6', .mode = 0620});
  items.push_back({.path = "no/fifo", .type = '6', .mode = 0600});
  return items;
}

struct ExportTest : testing::Test {
  // Imports what is then exported.
  ImportReport Fill(const std::vector<TarItem>& items, bool keep) {
    ImportOptions options;
    options.keep_metadata = keep;
    auto report = store.ImportBytes(TarOf(items), options);
    if (!report) {
      ADD_FAILURE() << report.error().ToString();
      return {};
    }
    if (report->attributes) {
      reader = AttributesReader::Open(Waiting(), store.blobs.Open(Waiting(), *report->attributes).value(),
                                      report->root.digest)
                   .value();
    }
    return *report;
  }
  ExportSource SourceOf(const Node& root) { return {store.blobs, store.directories, root, reader.get()}; }
  Result<std::string> Tar(const Node& root, const std::string& name = ".", ExportOptions options = {}) {
    std::string tar;
    STRATA_TRY(ExportToTar(
        SourceOf(root), name,
        [&](ByteSpan bytes) -> Result<void> {
          tar += AsText(bytes);
          return {};
        },
        options));
    return tar;
  }
  Result<ExportReport> Folder(const Node& root, const std::string& path, ExportOptions options = {}) {
    return ExportToFolder(SourceOf(root), path, options);
  }

  TempFolder folder;
  TestStore store;
  std::unique_ptr<AttributesReader> reader;
};

TEST_F(ExportTest, ATarGivesTheTreeBackAndTheSameBytesEachTime) {
  const ImportReport report = Fill(TreeItems(), false);
  const auto tar = Tar(report.root);
  ASSERT_TRUE(tar) << tar.error().ToString();
  const auto again = store.ImportBytes(*tar);
  ASSERT_TRUE(again) << again.error().ToString();
  EXPECT_EQ(again->root, report.root);
  EXPECT_TRUE(*tar == *Tar(report.root));
  // Under a name of its own, tvix takes it too (CA-45).
  ImportOptions strict;
  strict.strict = true;
  EXPECT_EQ(store.ImportBytes(*Tar(report.root, "top"), strict)->root, report.root);
}

TEST_F(ExportTest, ATarGivesBackWhatCastoreCannotSay) {
  const ImportReport report = Fill(RichItems(), true);
  const auto tar = Tar(report.root);
  ASSERT_TRUE(tar) << tar.error().ToString();
  ImportOptions keep;
  keep.keep_metadata = true;
  const auto again = store.ImportBytes(*tar, keep);
  ASSERT_TRUE(again) << again.error().ToString();
  EXPECT_EQ(again->root, report.root);
  EXPECT_EQ(again->attributes, report.attributes);
  EXPECT_EQ(again->hard_links, 3U);
  EXPECT_EQ(again->specials, 2U);
}

// The format of the archive is a promise: the same bytes with every version.
TEST_F(ExportTest, TheBytesOfATarAreTheseOnes) {
  const ImportReport report = Fill({{.path = "./", .type = '5'},
                                    {.path = "./.keep"},
                                    {.path = "./aa", .type = '2', .link = "/nix/store/somewhereelse"},
                                    {.path = "./keep/.keep"},
                                    {.path = "./x", .content = "x", .mode = 0755}},
                                   false);
  const std::string tar = Tar(report.root).value();
  ASSERT_EQ(tar.size(), 9 * 512U);
  // Of the last header: name, mode, owner, size, time, checksum, type; the magic; no device.
  EXPECT_EQ(std::string_view(tar).substr(5 * 512, 4), std::string_view("./x\0", 4));
  EXPECT_EQ(std::string_view(tar).substr(5 * 512 + 100, 57), std::string_view("0000555\0"
                                                                              "0000000\0"
                                                                              "0000000\0"
                                                                              "00000000001\0"
                                                                              "00000000000\0"
                                                                              "007524\0 0",
                                                                              57));
  EXPECT_EQ(std::string_view(tar).substr(5 * 512 + 257, 8), std::string_view("ustar\0"
                                                                             "00",
                                                                             8));
  EXPECT_EQ(std::string_view(tar).substr(5 * 512 + 329, 16), std::string_view("0000000\0"
                                                                              "0000000\0",
                                                                              16));
  // Made by another program from the description of the format.
  EXPECT_EQ(Digest::Of(AsBytes(tar)).Hex(), "ecf68049a4fb298001ccc017167111744dc8d973b872c1e7f93171468a8a3615");
}

TEST_F(ExportTest, OtherProgramsReadTheTar) {
  if (std::system("tar --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "there is no tar";
  const ImportReport report = Fill(TreeItems(), false);
  WriteTestFile(folder / "t.tar", Tar(report.root).value());
  ASSERT_EQ(
      std::system(
          ("mkdir " + (folder / "out") + " && tar -C " + (folder / "out") + " -xf " + (folder / "t.tar")).c_str()),
      0);
  const auto again = store.Import(folder / "out");
  ASSERT_TRUE(again) << again.error().ToString();
  EXPECT_EQ(again->root, report.root);
  std::system(("chmod -R u+w " + (folder / "out")).c_str());
}

TEST_F(ExportTest, AFolderGivesTheTreeBack) {
  const ImportReport report = Fill(TreeItems(), false);
  const auto exported = Folder(report.root, folder / "out");
  ASSERT_TRUE(exported) << exported.error().ToString();
  EXPECT_EQ(exported->files, report.files);
  EXPECT_EQ(exported->directories, report.directories);
  EXPECT_EQ(exported->symlinks, report.symlinks);
  EXPECT_EQ(exported->bytes, report.bytes);
  const auto again = store.Import(folder / "out");
  ASSERT_TRUE(again) << again.error().ToString();
  EXPECT_EQ(again->root, report.root);
  struct stat st;
  for (const char* path : {"", "/large", "/f", "/empty"}) {
    ASSERT_EQ(::lstat(((folder / "out") + path).c_str(), &st), 0);
    EXPECT_EQ(st.st_mtim.tv_sec, 0) << path;
    EXPECT_EQ(st.st_mode & 07777, S_ISDIR(st.st_mode) ? 0755U : 0644U) << path;
  }
}

TEST_F(ExportTest, AFolderGivesBackWhatCastoreCannotSay) {
  if (::geteuid() != 0) GTEST_SKIP() << "only the superuser sets owners";
  const ImportReport report = Fill(RichItems(), true);
  fs::create_directory(folder / "out");  // an empty one is taken
  const auto exported = Folder(report.root, folder / "out");
  ASSERT_TRUE(exported) << exported.error().ToString();
  EXPECT_EQ(exported->hard_links, 3U);
  EXPECT_EQ(exported->specials, 2U);
  EXPECT_FALSE(exported->owners_left);
  ImportOptions keep;
  keep.keep_metadata = true;
  const auto again = store.Import(folder / "out", keep);
  ASSERT_TRUE(again) << again.error().ToString();
  EXPECT_EQ(again->root, report.root);
  EXPECT_EQ(again->attributes, report.attributes);
}

TEST_F(ExportTest, FilesAndSymlinksAreExportedByThemselves) {
  store.blobs.Keep("hello").value();
  const Node file = Node::OfFile(Digest::Of(AsBytes("hello")), 5, true), link = Node::OfSymlink("nowhere");
  ASSERT_TRUE(Folder(file, folder / "f"));
  EXPECT_EQ(ReadTestFile(folder / "f"), "hello");
  ASSERT_TRUE(Folder(link, folder / "l"));
  EXPECT_EQ(fs::read_symlink(folder / "l"), "nowhere");
  EXPECT_EQ(store.Import(folder / "f")->root, file);
  EXPECT_EQ(Folder(file, folder / "f").error().code(), Errc::kExists);
  EXPECT_EQ(Folder(file, folder / "l").error().code(), Errc::kExists);
  const auto tar = Tar(file, "name");
  ASSERT_TRUE(tar);
  EXPECT_THAT(store.List(store.ImportBytes(*tar)->root), ElementsAre("file name 5 x " + file.digest.Hex()));
}

TEST_F(ExportTest, OnlyAnEmptyFolderIsWrittenTo) {
  const ImportReport report = Fill({{.path = "./", .type = '5'}, {.path = "a", .content = "a"}}, false);
  fs::create_directory(folder / "full");
  WriteTestFile(folder / "full/mine", "mine");
  const auto full = Folder(report.root, folder / "full");
  EXPECT_EQ(full.error().code(), Errc::kNotEmpty);
  EXPECT_THAT(full.error().ToString(), AllOf(HasSubstr(folder / "full"), HasSubstr("mine")));
  EXPECT_EQ(ReadTestFile(folder / "full/mine"), "mine");
  fs::create_directory(folder / "real");
  fs::create_directory_symlink(folder / "real", folder / "link");
  EXPECT_FALSE(Folder(report.root, folder / "link"));
  EXPECT_TRUE(fs::is_empty(folder / "real"));
  WriteTestFile(folder / "file", "");
  EXPECT_FALSE(Folder(report.root, folder / "file"));
}

TEST_F(ExportTest, WhatTheStoreLacksIsNamed) {
  const ImportReport report = Fill(
      {{.path = "./", .type = '5'}, {.path = "d/lost", .content = "lost"}, {.path = "d/x", .content = "x"}}, false);
  store.blobs.Forget(Digest::Of(AsBytes("lost")));
  for (const auto& error : {Folder(report.root, folder / "out").error(), Tar(report.root).error()}) {
    EXPECT_EQ(error.code(), Errc::kNotFound);
    EXPECT_THAT(error.ToString(), AllOf(HasSubstr("\"d/lost\""), HasSubstr(Digest::Of(AsBytes("lost")).Text())));
  }
  const auto missing = Tar(Node::OfDirectory(Digest::Of(AsBytes("no directory")), 5));
  EXPECT_EQ(missing.error().code(), Errc::kNotFound);
  const auto other_size = Tar(Node::OfFile(Digest::Of(AsBytes("x")), 2));
  EXPECT_THAT(other_size.error().ToString(), HasSubstr("unexpected size for \".\" wanted: 2 got: 1"));
}

TEST_F(ExportTest, AttributesOfAnotherTreeAreRefused) {
  const ImportReport other = Fill({{.path = "./", .type = '5'}, {.path = "a"}, {.path = "b"}}, true);
  const ImportReport report = Fill({{.path = "./", .type = '5'}, {.path = "a"}}, false);
  EXPECT_FALSE(
      AttributesReader::Open(Waiting(), store.blobs.Open(Waiting(), *other.attributes).value(), report.root.digest));
  EXPECT_EQ(Tar(report.root).error().code(), Errc::kCorrupt);
}

TEST_F(ExportTest, AFullDiskIsAnErrorOfTheWriter) {
  const ImportReport report = Fill(TreeItems(), false);
  std::uint64_t left = 5000;
  const auto exported = ExportToTar(SourceOf(report.root), ".",
                                    [&](ByteSpan bytes) -> Result<void> {
                                      if (bytes.size() > left) return Fail(Errc::kNoSpace, "full");
                                      left -= bytes.size();
                                      return {};
                                    },
                                    {});
  EXPECT_EQ(exported.error().code(), Errc::kNoSpace);
}

}  // namespace
}  // namespace strata::store
