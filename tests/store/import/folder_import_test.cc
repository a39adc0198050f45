#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/env.h"
#include "base/unique_fd.h"
#include "store/castore/attributes.h"
#include "store/import/import.h"
#include "store/import/import_cache.h"
#include "store/import/large_file_reader.h"
#include "store/import/unpack.h"
#include "tests/base/fault_env.h"
#include "tests/base/temp_folder.h"
#include "tests/store/fixtures.h"
#include "tests/store/import/import_testing.h"

namespace strata::store {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

ImportOptions KeepMetadata() {
  ImportOptions options;
  options.keep_metadata = true;
  return options;
}

// A tree in memory with a clock that stands far enough ahead for files made just now to be settled.
class FolderImport : public testing::Test {
 protected:
  FolderImport() { env_.SetClock(Time{Env::System().Now().ns + 3'600'000'000'000}); }
  Result<ImportReport> Import(const std::string& path, ImportOptions options = {}) {
    options.cache = cache_.get();
    return ImportPath(env_, store_.store(), path, options);
  }
  void OpenCache() {
    auto cache = ImportCache::Open(env_, folder_ / "cache");
    ASSERT_TRUE(cache) << cache.error().ToString();
    cache_ = std::move(*cache);
  }

  TempFolder folder_;
  FaultEnv env_;
  TestStore store_;
  std::unique_ptr<ImportCache> cache_;
};

// CA-44
TEST_F(FolderImport, CA44_ATreeOfAllKindsGivesTheDigestsOfTheVectors) {
  STRATA_FIXTURE(tree, "tree.json");
  STRATA_FIXTURE(blobs, "blobs.json");
  const std::string root = folder_ / "tree";
  fs::create_directory(root);
  // The content of each file is put together from the chunks of the fixtures' store; it has all but the empty one.
  std::vector<nlohmann::json> entries(tree["entries"].begin(), tree["entries"].end());
  std::ranges::sort(entries, {},
                    [](const nlohmann::json& entry) { return entry["path_hex"].get<std::string>().size(); });
  const std::string store = FixturePath("store");
  ASSERT_FALSE(store.empty());
  const auto chunk = [&](const std::string& hex) {
    const std::string packed = ReadTestFile(store + "/chunks/b3/" + hex.substr(0, 4) + "/" + hex);
    auto source = Unpack(AsBytes(packed), hex);
    std::string content(1 << 20, '\0');
    content.resize((*source)->Read(std::as_writable_bytes(std::span(content))).value());
    return content;
  };
  for (const nlohmann::json& entry : entries) {
    const std::string path = root + "/" + TextFromHex(entry["path_hex"].get<std::string>());
    if (entry["kind"] == "directory") {
      fs::create_directory(path);
    } else if (entry["kind"] == "symlink") {
      ASSERT_EQ(::symlink(TextFromHex(entry["target_hex"].get<std::string>()).c_str(), path.c_str()), 0);
    } else {
      std::string content;
      const std::string digest = entry["digest"];
      if (entry["size"] != 0) {
        const nlohmann::json& chunks = blobs.at(digest)["chunks"];
        if (chunks.empty()) content = chunk(digest);
        for (const auto& part : chunks) content += chunk(part["digest"].get<std::string>());
      }
      WriteTestFile(path, content);
      ASSERT_EQ(::chmod(path.c_str(), entry["executable"].get<bool>() ? 0700 : 0677), 0);  // the owner's x alone counts
    }
  }
  const auto report = Import(root);
  ASSERT_TRUE(report) << report.error().ToString();
  EXPECT_EQ(report->root.digest.Hex(), tree["root"]["digest"]);
  EXPECT_EQ(report->root.size, tree["root"]["size"]);
}

TEST_F(FolderImport, CA19_ComplicatedHasItsDigestInBothEras) {
  const std::string root = folder_ / "c";
  fs::create_directories(root + "/keep");
  WriteTestFile(root + "/.keep", "");
  WriteTestFile(root + "/keep/.keep", "");
  fs::create_symlink("/nix/store/somewhereelse", root + "/aa");
  const auto documented = Import(root);
  ASSERT_TRUE(documented) << documented.error().ToString();
  EXPECT_EQ(documented->root.digest.Hex(), "3f951a15afd586fb3121ef4d13d582e811ce0e5a7f21c0497fd87490e9e2355a");
  EXPECT_EQ(documented->root.size, 4U);
  EXPECT_EQ(documented->files, 2U);
  EXPECT_EQ(documented->directories, 2U);
  EXPECT_EQ(documented->symlinks, 1U);
  ImportOptions doubled;
  doubled.sizes = SizeRule::kDoubled;
  EXPECT_EQ(Import(root, doubled)->root.digest.Hex(),
            "424a7f6ce08d805d15b428062faae96299a1675d708c3a39261afe38cdd04feb");
}

TEST_F(FolderImport, LargeFilesHaveTheDigestsThatTvixGivesThem) {
  STRATA_FIXTURE(cases, "tvix/large.json");
  for (const auto& [name, expected] : cases.items()) {
    SCOPED_TRACE(name);
    if (expected["kind"] == "lines") continue;  // how these are made is not said
    const auto input = MakeInput(expected["kind"].get<std::string>(), expected["length"], expected.value("seed", 0U));
    WriteTestFile(folder_ / "large", AsText(input));
    const auto report = Import(folder_ / "large");
    ASSERT_TRUE(report) << report.error().ToString();
    EXPECT_EQ(report->root.digest.Hex(), expected["root"]["digest"]);
    EXPECT_EQ(report->root.kind, NodeKind::kFile);
    EXPECT_EQ(report->root.size, expected["length"]);
  }
}

TEST_F(FolderImport, AFileAndASymlinkAreRootsThemselves) {
  WriteTestFile(folder_ / "f", "hello");
  ::chmod((folder_ / "f").c_str(), 0755);
  fs::create_symlink("nowhere", folder_ / "l");
  EXPECT_EQ(Import(folder_ / "f")->root, Node::OfFile(Digest::Of(AsBytes("hello")), 5, true));
  EXPECT_EQ(Import(folder_ / "l")->root, Node::OfSymlink("nowhere"));
  fs::create_directory_symlink(folder_.path(), folder_ / "to-folder");
  EXPECT_EQ(Import(folder_ / "to-folder")->root.kind, NodeKind::kSymlink);
  EXPECT_THAT(Import(folder_ / "missing").error().ToString(), HasSubstr("missing"));
}

TEST_F(FolderImport, ManyFoldersAndThreadsGiveTheSameTreeAsAnArchiveOfThem) {
  const std::string root = folder_ / "many";
  std::vector<TarItem> items{{.path = "./", .type = '5'}};
  for (int i = 0; i < 700; ++i) {
    const std::string directory = std::to_string(i % 5) + "/" + std::to_string(i % 13) + "/" + std::to_string(i % 3);
    fs::create_directories(root + "/" + directory);
    const std::string path = directory + "/" + std::to_string(i);
    const std::string content(static_cast<std::size_t>(i * 37 % 5000), 'c');
    WriteTestFile(root + "/" + path, content);
    ::chmod((root + "/" + path).c_str(), 0644);
    items.push_back({.path = "./" + path, .content = content});
  }
  fs::create_directories(root + "/empty/er");
  items.push_back({.path = "./empty/er", .type = '5'});
  const auto archive = store_.ImportBytes(TarOf(items));
  ASSERT_TRUE(archive) << archive.error().ToString();
  for (const unsigned jobs : {1U, 2U, 7U}) {
    ImportOptions options;
    options.jobs = jobs;
    const auto report = Import(root, options);
    ASSERT_TRUE(report) << report.error().ToString();
    EXPECT_EQ(report->root, archive->root);
    EXPECT_EQ(report->files, 700U);
  }
}

TEST_F(FolderImport, ATreeDeeperThanAPathMayBeLongIsTaken) {
  const std::string root = folder_ / "deep", name(255, 'n');
  fs::create_directory(root);
  UniqueFd at(::open(root.c_str(), O_RDONLY | O_DIRECTORY));
  constexpr int kDepth = 40;  // PATH_MAX is 4,096
  for (int i = 0; i < kDepth; ++i) {
    ASSERT_EQ(::mkdirat(at.get(), name.c_str(), 0700), 0);
    at = UniqueFd(::openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY));
    ASSERT_TRUE(at);
  }
  const auto report = Import(root);
  ASSERT_TRUE(report) << report.error().ToString();
  EXPECT_EQ(report->directories, kDepth + 1U);
  EXPECT_EQ(report->root.size, static_cast<std::uint64_t>(kDepth));
}

TEST_F(FolderImport, AFileThatIsReadAheadIsWhole) {
  const std::string root = folder_ / "r";
  fs::create_directory(root);
  std::string content(kReadAheadFrom + 12345, '\0');
  for (std::size_t i = 0; i < content.size(); i += 4096) content[i] = static_cast<char>(i >> 12);
  WriteTestFile(root + "/large", content);
  const auto report = Import(root);
  ASSERT_TRUE(report) << report.error().ToString();
  EXPECT_EQ(report->bytes, content.size());
  EXPECT_TRUE(store_.blobs.Has({}, Digest::Of(AsBytes(content))).value());
}

TEST_F(FolderImport, TheSecondTimeFilesAreNotRead) {
  OpenCache();
  const std::string root = folder_ / "r";
  fs::create_directory(root);
  for (int i = 0; i < 100; ++i) WriteTestFile(root + "/" + std::to_string(i), std::to_string(i));
  WriteTestFile(root + "/large", std::string(kStreamFrom * 2, 'x'));
  const auto first = Import(root);
  ASSERT_TRUE(first) << first.error().ToString();
  EXPECT_EQ(first->cached, 0U);
  const int written = store_.blobs.written;
  const auto second = Import(root);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->cached, 101U);
  EXPECT_EQ(second->bytes, first->bytes);
  EXPECT_EQ(second->root, first->root);
  EXPECT_EQ(store_.blobs.written, written);
  // A digest is believed only where the store has it.
  store_.blobs.Forget(Digest::Of(AsBytes("7")));
  const auto third = Import(root);
  ASSERT_TRUE(third);
  EXPECT_EQ(third->cached, 100U);
  EXPECT_EQ(store_.blobs.Content(Digest::Of(AsBytes("7"))), "7");
  // What has changed is read, also where size and mtime are as they were.
  const auto time = fs::last_write_time(root + "/5");
  WriteTestFile(root + "/5", "y");
  fs::last_write_time(root + "/5", time);
  const auto fourth = Import(root);
  EXPECT_EQ(fourth->cached, 100U);
  EXPECT_NE(fourth->root, first->root);
}

// Racily clean, as git says: a change within the same tick of the clock would not show.
TEST_F(FolderImport, AFileThatWasJustWrittenIsNotCached) {
  OpenCache();
  WriteTestFile(folder_ / "f", "1");
  struct stat st;
  ASSERT_EQ(::stat((folder_ / "f").c_str(), &st), 0);
  env_.SetClock(Time::From(st.st_mtim.tv_sec, static_cast<std::uint32_t>(st.st_mtim.tv_nsec)));
  ASSERT_TRUE(Import(folder_ / "f"));
  EXPECT_EQ(Import(folder_ / "f")->cached, 0U);
}

TEST_F(FolderImport, AFileThatChangesMeanwhileIsReadAgain) {
  const std::string path = folder_ / "f";
  WriteTestFile(path, "first");
  int changes = 1;
  store_.blobs.on_has = [&](const Digest&) {
    if (changes-- > 0) WriteTestFile(path, "second!");
  };
  const auto report = Import(path);
  ASSERT_TRUE(report) << report.error().ToString();
  EXPECT_EQ(report->root.digest, Digest::Of(AsBytes("second!")));
  EXPECT_EQ(report->root.size, 7U);
  EXPECT_EQ(report->bytes, 7U);
}

TEST_F(FolderImport, AFileThatKeepsChangingIsRefusedByItsName) {
  const std::string path = folder_ / "f";
  WriteTestFile(path, "0");
  int changes = 0;
  store_.blobs.on_has = [&](const Digest&) { WriteTestFile(path, std::to_string(++changes)); };
  const auto report = Import(path);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), Errc::kBusy);
  EXPECT_EQ(changes, 3);
  EXPECT_THAT(report.error().ToString(), AllOf(HasSubstr(path), HasSubstr("changed while it was read")));
}

// CA-46
TEST_F(FolderImport, AFileOfAnotherSizeThanItSaysIsRefusedWithBoth) {
  if (!fs::exists("/proc/self/status")) GTEST_SKIP() << "there is no /proc";
  const auto report = Import("/proc/self/status");  // says that it is empty
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().ToString(), HasSubstr("unexpected size for /proc/self/status wanted: 0 got: 1"));
}

TEST_F(FolderImport, WhatIsNoNodeIsRefusedLeftOutOrKept) {
  const std::string root = folder_ / "r";
  fs::create_directory(root);
  WriteTestFile(root + "/a", "1");
  ASSERT_EQ(::mkfifo((root + "/fifo").c_str(), 0640), 0);
  EXPECT_THAT(Import(root).error().ToString(),
              AllOf(HasSubstr("unsupported file type at " + root + "/fifo"), HasSubstr("--skip-unsupported")));
  ImportOptions skip;
  skip.skip_unsupported = true;
  const auto skipped = Import(root, skip);
  ASSERT_TRUE(skipped);
  EXPECT_THAT(skipped->skipped_names, ElementsAre(root + "/fifo"));
  const auto kept = Import(root, KeepMetadata());
  ASSERT_TRUE(kept) << kept.error().ToString();
  EXPECT_EQ(kept->root, skipped->root);
  EXPECT_EQ(kept->specials, 1U);
  EXPECT_EQ(kept->skipped, 0U);
}

TEST_F(FolderImport, KeepsWhatCastoreCannotSayByTheNodesNumbers) {
  const std::string root = folder_ / "r";
  fs::create_directories(root + "/d/e");
  WriteTestFile(root + "/d/e/z", "z");
  WriteTestFile(root + "/a", "1");
  fs::create_hard_link(root + "/a", root + "/d/linked");
  fs::create_hard_link(root + "/d/e/z", folder_ / "elsewhere");
  fs::create_symlink("a", root + "/s");
  ::chmod((root + "/a").c_str(), 06751);
  ::chmod((root + "/d").c_str(), 01700);
  const timespec times[2] = {{5, 6}, {7, 8}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (root + "/s").c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
  const bool xattrs = ::setxattr((root + "/d/e/z").c_str(), "user.note", "v", 1, 0) == 0;
  const auto report = Import(root, KeepMetadata());
  ASSERT_TRUE(report) << report.error().ToString();
  EXPECT_EQ(report->hard_links, 1U);
  auto opened =
      AttributesReader::Open(Waiting(), store_.blobs.Open(Waiting(), *report->attributes).value(), report->root.digest);
  ASSERT_TRUE(opened) << opened.error().ToString();
  const AttributesReader& kept = **opened;
  // 0 the root, 1 a, 2 d, 3 d/e, 4 d/e/z, 5 d/linked, 6 s.
  ASSERT_EQ(kept.nodes(), 7U);
  const auto get = [&](std::uint64_t number) { return kept.Get(Waiting(), number).value(); };
  EXPECT_EQ(get(1).mode, 06751U);
  EXPECT_EQ(get(1).uid, ::getuid());
  EXPECT_EQ(get(1).links, 2U);
  EXPECT_EQ(get(5).links, 2U);
  EXPECT_EQ(get(5).first_link, 1U);
  EXPECT_EQ(get(2).mode, 01700U);
  EXPECT_EQ(get(4).links, 1U);  // its other name lies elsewhere
  EXPECT_EQ(get(6).mtime, Time::From(7, 8));
  if (xattrs) {
    EXPECT_THAT(kept.Xattrs(Waiting(), get(4).xattrs_at, get(4).xattrs_size).value(),
                ElementsAre(Xattr{"user.note", "v"}));
  }
  const auto again = Import(root, KeepMetadata());
  EXPECT_EQ(again->attributes, report->attributes);
}

TEST_F(FolderImport, ReadingAFileIsSeenInTheProgressAndAFolderIsCounted) {
  const std::string root = folder_ / "r";
  fs::create_directory(root);
  for (int i = 0; i < 10; ++i) WriteTestFile(root + "/" + std::to_string(i), "12345");
  ImportOptions options;
  options.count = true;
  int calls = 0;
  options.progress = [&](const ImportProgress& progress) {
    ++calls;
    EXPECT_LE(progress.total_files, 10U);
    EXPECT_LE(progress.bytes, 50U);
  };
  ASSERT_TRUE(Import(root, options));
  EXPECT_GT(calls, 0);
}

TEST_F(FolderImport, AFullStoreEndsItWithTheFilesName) {
  const std::string root = folder_ / "r";
  fs::create_directory(root);
  for (int i = 0; i < 300; ++i) WriteTestFile(root + "/" + std::to_string(i), std::to_string(i));
  store_.blobs.fail_after = 20;
  const auto report = Import(root);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), Errc::kNoSpace);
  EXPECT_THAT(report.error().ToString(), HasSubstr("storing " + root + "/"));
  // The next one goes on with what is there.
  store_.blobs.fail_after = -1;
  const int written = store_.blobs.written;
  ASSERT_TRUE(Import(root));
  EXPECT_EQ(store_.blobs.written, 300) << written;
}

}  // namespace
}  // namespace strata::store
