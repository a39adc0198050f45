// strata import and strata export as a user runs them.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

#include "tests/cli/cli_fixture.h"

namespace strata::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

class ImportCommand : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    environment_["XDG_CACHE_HOME"] = home_ + "/cache";
    environment_["TMPDIR"] = folder_.path();
  }
  std::vector<std::string> With(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--store", store_});
    return arguments;
  }
  std::string Shell(const std::string& command) const {
    const e2e::Finished done = e2e::Run({"/bin/sh", "-c", command}, environment_);
    EXPECT_EQ(done.status, 0) << done.errors;
    return done.output;
  }
  const std::string store_ = "objectstore+file://" + (folder_ / "store");
};

TEST_F(ImportCommand, PrintsTheDigestAndTheSameTheNextTimeWithoutReading) {
  const e2e::Finished first = Strata(With({"import", dir_, "--name", "project"}));
  ASSERT_EQ(first.status, 0) << first.errors;
  EXPECT_THAT(first.output, MatchesRegex("b3:[A-Za-z0-9+/]{43}=\n"));
  EXPECT_THAT(first.errors, HasSubstr("2 files, 2 directories, 1 symlinks, 22 B"));
  const nlohmann::json again = Json(With({"import", dir_, "--json"}));
  EXPECT_EQ(again["root"]["digest"].get<std::string>() + "\n", first.output);
  EXPECT_EQ(again["root"]["kind"], "directory");
  EXPECT_EQ(again["root"]["size"], 4);
  EXPECT_EQ(again["new_blobs"], 0);
  const nlohmann::json uncached = Json(With({"import", dir_, "--json", "--no-cache"}));
  EXPECT_EQ(uncached["cached"], 0);
  EXPECT_EQ(uncached["root"], again["root"]);
  const std::string doubled = Text(With({"import", dir_, "--sizes", "doubled", "-q"}));
  EXPECT_NE(doubled, first.output);
}

TEST_F(ImportCommand, OfAFileOrSymlinkPrintsTheNode) {
  EXPECT_THAT(Text(With({"import", dir_ + "/readme"})), MatchesRegex("file b3:[^ ]* 8\n"));
  EXPECT_EQ(Text(With({"import", dir_ + "/link"})), "symlink src/main.c\n");
}

TEST_F(ImportCommand, TakesArchivesFromAPipeAndByTheirNames) {
  const std::string root = Text(With({"import", dir_, "-q"}));
  const std::string import = std::string(STRATA_PROGRAM) + " import - -q --store " + store_;
  EXPECT_EQ(Shell("tar -C " + dir_ + " -c . | " + import), root);
  EXPECT_EQ(Shell("tar -C " + dir_ + " -c . | gzip | " + import), root);
  EXPECT_EQ(Shell("tar -C " + folder_.path() + " -c project | " + import), root);
  Shell("tar -C " + dir_ + " -cf " + (folder_ / "t.tar") + " .");
  EXPECT_EQ(Text(With({"import", folder_ / "t.tar", "-q"})), root);
  EXPECT_THAT(Text(With({"import", folder_ / "t.tar", "--as", "file"})), HasSubstr("file b3:"));
  EXPECT_NE(Shell("tar -C " + dir_ + " -c readme src | " + import), root) << "what holds the two of them";
  ExpectRefused(With({"import", folder_ / "t.tar", "--strict", "--as", "file", "--name", "a/b"}), 1, {"Slashes"});
}

TEST_F(ImportCommand, NamesWhatIsLeftOut) {
  const std::string odd = folder_ / "odd";
  fs::create_directory(odd);
  ASSERT_EQ(::mkfifo((odd + "/fifo").c_str(), 0600), 0);
  ExpectRefused(With({"import", odd}), 1, {odd + "/fifo", "--skip-unsupported", "--keep-metadata"});
  const e2e::Finished done = Strata(With({"import", odd, "--skip-unsupported"}));
  EXPECT_EQ(done.status, 0);
  EXPECT_THAT(done.errors, HasSubstr("left out: " + odd + "/fifo\n"));
  ExpectRefused(With({"import", folder_ / "missing"}), 1, {"missing"});
}

TEST_F(ImportCommand, ExportGivesBackWhatWasImported) {
  const std::string root = Text(With({"import", dir_, "--name", "project", "--keep-metadata", "-q"}));
  ASSERT_EQ(Strata(With({"export", "project", "--to", "dir:" + (folder_ / "out")})).status, 0);
  EXPECT_EQ(Text(With({"import", folder_ / "out", "-q"})), root);
  EXPECT_EQ(fs::last_write_time(folder_ / "out/src/main.c"), fs::last_write_time(dir_ + "/src/main.c"));
  EXPECT_EQ(fs::last_write_time(folder_ / "out/src"), fs::last_write_time(dir_ + "/src"));
  for (const char* name : {"1.tar", "2.tar"}) {
    ASSERT_EQ(Strata(With({"export", "project", "--to", "tar:" + (folder_ / name)})).status, 0);
  }
  Shell("cmp " + (folder_ / "1.tar") + " " + (folder_ / "2.tar"));
  EXPECT_EQ(Text(With({"import", folder_ / "1.tar", "-q"})), root);
  // By digest, and to a pipe: the tree alone.
  const std::string digest = root.substr(0, root.size() - 1);
  EXPECT_EQ(
      Shell(std::string(STRATA_PROGRAM) + " export " + digest + " --to tar:- --top p --store " + store_ + " | tar -t"),
      "p/\np/link\np/readme\np/src/\np/src/main.c\n");
  ExpectRefused(With({"export", "project", "--to", "dir:" + (folder_ / "out")}), 1, {"not empty"});
  ExpectRefused(With({"export", "nobody", "--to", "dir:" + (folder_ / "new")}), 1, {"no tree of the name nobody"});
  EXPECT_FALSE(fs::exists(folder_ / "new"));
  EXPECT_EQ(Strata(With({"export", "project", "--to", "zip:x"})).status, 2);
  EXPECT_EQ(Strata(With({"import", dir_, "--keep-metadata"})).status, 2);
}

// The number that LOOKUP tells, after that which READDIRPLUS of its directory tells, which must be the same.
std::uint64_t ShownNumber(e2e::SyncClient& client, const std::string& directory, const std::string& name) {
  nfs_stat_64 stat{};
  EXPECT_EQ(nfs_lstat64(client, (directory + "/" + name).c_str(), &stat), 0) << client.error();
  nfsdir* listed = nullptr;
  EXPECT_EQ(nfs_opendir(client, directory.c_str(), &listed), 0) << client.error();
  if (listed == nullptr) return 0;
  std::uint64_t in_listing = 0;
  while (const nfsdirent* entry = nfs_readdir(client, listed)) {
    if (entry->name == name) in_listing = entry->inode;
  }
  nfs_closedir(client, listed);
  EXPECT_EQ(in_listing, stat.nfs_ino) << directory << '/' << name;
  return stat.nfs_ino;
}

TEST_F(ImportCommand, ServedWithShareInodesWhatIsEqualShowsOneNumberAlsoAfterARestart) {
  const std::string store = folder_ / "packs", tree = folder_ / "tree";
  std::filesystem::create_directories(tree + "/one/in");
  std::filesystem::create_directories(tree + "/two/in");
  for (const char* path : {"/one/in/f", "/two/in/f", "/g"}) e2e::WriteHostFile(tree + path, "the same");
  e2e::WriteHostFile(tree + "/two/other", "another");
  Text({"import", tree, "--store", store, "--name", "tree", "-q"});
  std::uint64_t shown = 0;
  for (const bool roots : {false, true}) {
    for (int round = 0; round < 2; ++round) {
      std::vector<std::string> arguments{roots ? "castore:@" + store : "castore:tree@" + store,
                                         "--read-only",
                                         "--share-inodes",
                                         "--insecure-ports",
                                         "--state",
                                         folder_ / (roots ? "home_of_roots" : "home_of_tree")};
      if (roots) arguments.emplace_back("--list-roots");
      e2e::ServedProcess served(arguments, 0, environment_);
      ASSERT_NE(served.port(), 0) << served.process().errors();
      e2e::SyncClient client(served.port());
      ASSERT_TRUE(client.mounted()) << client.error();
      const std::string top = roots ? "/tree" : "";
      const std::uint64_t file = ShownNumber(client, top + "/one/in", "f");
      EXPECT_EQ(ShownNumber(client, top + "/two/in", "f"), file);
      EXPECT_EQ(ShownNumber(client, top + (roots ? "" : "/"), "g"), file);
      EXPECT_EQ(ShownNumber(client, top + "/one", "in"), ShownNumber(client, top + "/two", "in"));
      EXPECT_NE(ShownNumber(client, top + "/two", "other"), file);
      if (round == 0) {
        shown = file;
      } else {
        EXPECT_EQ(file, shown) << "after a restart";
      }
    }
  }
}

}  // namespace
}  // namespace strata::cli
