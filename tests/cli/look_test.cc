// strata init, ls, cat, stat and diff.
#include <gmock/gmock.h>
#include <signal.h>

#include <filesystem>

#include "tests/cli/cli_fixture.h"

namespace strata::cli {
namespace {

using e2e::ServedProcess;
using e2e::SyncClient;
using e2e::WriteHostFile;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Look : public CliTest {
 protected:
  std::vector<std::string> Names(const json& list) {
    std::vector<std::string> names;
    for (const json& item : list) names.push_back(item.at("name"));
    return names;
  }
  // "A /path" lines from JSON: what the text must say too.
  static json Change(const char* change, const char* path, const char* type) {
    return {{"change", change}, {"path", path}, {"type", type}};
  }
};

TEST_F(Look, AnEmptyWorkspaceIsAnEmptyWritableTree) {
  EXPECT_THAT(Text({"init", workspace_}), HasSubstr("workspace=" + workspace_ + " layers=0\n"));
  EXPECT_EQ(Text({"ls", workspace_}), "");
  EXPECT_EQ(Json({"ls", workspace_, "--json"}), json::array());
  EXPECT_EQ(Json({"diff", workspace_, "--json"}), json::array());
  ServedProcess served({workspace_, "--insecure-ports"}, 0, environment_);
  SyncClient client(served.port());
  ASSERT_TRUE(client.mounted()) << served.process().errors();
  ASSERT_EQ(client.WriteFile("/new", "x"), 0);
  EXPECT_EQ(Text({"diff", workspace_}), "A /new\n");
}

TEST_F(Look, OfSeveralLayersTheFirstIsTheHighest) {
  const std::string patch = folder_ / "patch";
  std::filesystem::create_directories(patch + "/src");
  WriteHostFile(patch + "/readme", "patched\n");
  WriteHostFile(patch + "/src/extra.c", "extra\n");
  EXPECT_THAT(Text({"init", workspace_, "--layer", patch, "--layer", dir_}), HasSubstr("layers=2"));
  EXPECT_EQ(Text({"cat", workspace_, "readme"}), "patched\n");
  EXPECT_EQ(Text({"cat", workspace_, "/src/main.c"}), "int main() {}\n");
  EXPECT_THAT(Names(Json({"ls", workspace_, "src", "--json"})), ElementsAre("extra.c", "main.c"));
  EXPECT_EQ(Text({"diff", workspace_}), "") << "layers among themselves are no change";
}

TEST_F(Look, ALayerIsNamedByItsPathOrByASpecInAllCommands) {
  const std::string odd = folder_ / "a?b%,markers=files";
  std::filesystem::create_directories(odd + "/d");
  WriteHostFile(odd + "/d/.wh.x", "");
  const std::string encoded = folder_ / "a%3fb%25,markers=files";
  int number = 0;
  // A folder of that name is meant, even where it could be the earlier form.
  for (const auto& [spec, markers_are_files] :
       std::vector<std::pair<std::string, bool>>{{odd, false},
                                                 {"host:" + encoded, false},
                                                 {"host:" + encoded + "?markers=files", true},
                                                 {odd + ",markers=files", true}}) {
    const std::string workspace = workspace_ + std::to_string(number++);
    EXPECT_THAT(Text({"init", workspace, "--layer", spec, "--layer", dir_}), HasSubstr("layers=2")) << spec;
    EXPECT_EQ(Text({"ls", workspace, "d"}).empty(), markers_are_files) << spec;
    EXPECT_EQ(Text({"cat", workspace, "readme"}), "read me\n");
    EXPECT_THAT(Text({"check", workspace}), HasSubstr("no damage found"));
  }
}

TEST_F(Look, ALayerMayLieAtASubDirectory) {
  const std::string base = folder_ / "base";
  std::filesystem::create_directories(base + "/opt/tools");
  std::filesystem::permissions(base + "/opt", std::filesystem::perms::owner_all);
  WriteHostFile(base + "/opt/tools/readme", "of the base\n");
  const std::string spec = "host:project?at=/opt/tools";  // relative to where the command runs
  const std::string here = std::filesystem::current_path();
  std::filesystem::current_path(folder_.path());
  EXPECT_THAT(Text({"init", workspace_, "--layer", spec, "--layer", base}), HasSubstr("layers=2"));
  EXPECT_THAT(Text({"init", workspace_ + "2", "--layer", base, "--layer", spec}), HasSubstr("layers=2"));
  std::filesystem::current_path(here);
  EXPECT_THAT(Names(Json({"ls", workspace_, "opt/tools", "--json"})), ElementsAre("link", "readme", "src"));
  EXPECT_EQ(Text({"cat", workspace_, "opt/tools/readme"}), "read me\n");
  EXPECT_EQ(Text({"cat", workspace_ + "2", "opt/tools/readme"}), "of the base\n");
  EXPECT_EQ(Json({"stat", workspace_, "opt", "--json"}).at("mode"), "0700") << "that of the base";
  // Served alone, all above it is made up; and what is written there is found again.
  const std::string alone = "host:" + dir_ + "?at=/deep/down";
  for (int life = 0; life < 2; ++life) {
    ServedProcess served({alone, "--insecure-ports"}, 0, environment_);
    SyncClient client(served.port());
    ASSERT_TRUE(client.mounted()) << served.process().errors();
    if (life == 0) {
      EXPECT_THAT(client.Names("/deep"), ElementsAre("down"));
      ASSERT_EQ(client.WriteFile("/deep/down/src/new", "x"), 0);
      ASSERT_EQ(client.WriteFile("/deep/beside", "y"), 0);
    }
    std::string content;
    EXPECT_EQ(client.ReadFile("/deep/down/src/main.c", &content), 0);
    EXPECT_EQ(content, "int main() {}\n");
  }
  EXPECT_EQ(Text({"diff", alone}), "A /deep/beside\nA /deep/down/src/new\n");
  EXPECT_THAT(Text({"check", alone}), HasSubstr("no damage found"));
}

TEST_F(Look, ALayersPathMayBeAnyBytes) {
  const std::string raw = folder_ / "\xff\xfe\n";
  std::filesystem::create_directories(raw);
  WriteHostFile(raw + "/file", "there");
  for (const std::string& spec : {raw, "host:" + folder_ / "%ff%FE%0a"}) {
    EXPECT_THAT(Text({"init", workspace_, "--layer", spec}), HasSubstr("layers=1"));
    EXPECT_EQ(Text({"cat", workspace_, "file"}), "there");
    EXPECT_THAT(e2e::ReadHostFile(workspace_ + "/workspace.json"), HasSubstr("host:" + folder_ / "%ff%fe%0a"));
    std::filesystem::remove_all(workspace_);
  }
}

TEST_F(Look, AWorkspaceOfVersion1IsServedAndStaysAsItIs) {
  Text({"init", workspace_, "--layer", dir_});
  const std::string config = workspace_ + "/workspace.json";
  json old = json::parse(e2e::ReadHostFile(config));
  old["version"] = 1;
  old["layers"] = json::array({{{"path", dir_}, {"markers", {"chardev", "xattr"}}}});
  old.erase("layers_check");
  WriteHostFile(config, old.dump());
  {
    ServedProcess served({workspace_, "--rebase", "--insecure-ports"}, 0, environment_);
    SyncClient client(served.port());
    ASSERT_TRUE(client.mounted()) << served.process().errors();
    ASSERT_EQ(client.WriteFile("/new", "x"), 0);
  }
  EXPECT_EQ(Text({"diff", workspace_}), "A /new\n");
  EXPECT_EQ(json::parse(e2e::ReadHostFile(config)), old) << "what need not be changed stays for the older program";
}

TEST_F(Look, ASpecStandsForTheWorkspaceThatWasMadeOverIt) {
  const std::string spec = "host:" + dir_ + "?markers=chardev";
  EXPECT_NE(Strata({"ls", spec}).errors.find("there is no workspace over " + spec), std::string::npos);
  for (const std::string& served_as : {spec, dir_}) {
    ServedProcess served({served_as, "--insecure-ports"}, 0, environment_);
    SyncClient client(served.port());
    ASSERT_TRUE(client.mounted()) << served.process().errors();
    ASSERT_EQ(client.WriteFile(served_as == spec ? "/by-spec" : "/by-path", "x"), 0);
  }
  EXPECT_EQ(Text({"diff", spec}), "A /by-spec\n");
  EXPECT_EQ(Text({"diff", dir_}), "A /by-path\n");
  EXPECT_EQ(Text({"diff", "host:" + dir_}), "A /by-path\n") << "no more is said than by the path alone";
  EXPECT_THAT(Text({"check", spec}), HasSubstr("no damage found"));
  EXPECT_EQ(Text({"cat", spec, "by-spec"}), "x");
}

TEST_F(Look, LsAndStatTellTheSameInTextAndInJson) {
  Text({"init", workspace_, "--layer", dir_});
  const json list = Json({"ls", workspace_, "--json"});
  EXPECT_THAT(Names(list), ElementsAre("link", "readme", "src"));
  const json& readme = list[1];
  EXPECT_EQ(readme.at("type"), "file");
  EXPECT_EQ(readme.at("size"), 8);
  EXPECT_EQ(list[0].at("type"), "symlink");
  EXPECT_EQ(list[2].at("type"), "directory");
  const json stat = Json({"stat", workspace_, "/readme", "--json"});
  for (const char* field : {"type", "mode", "nlink", "uid", "gid", "size", "fileid", "mtime", "ctime"}) {
    EXPECT_EQ(stat.at(field), readme.at(field)) << field;
  }
  EXPECT_EQ(stat.at("path"), "/readme");
  EXPECT_EQ(Json({"stat", workspace_, "link", "--json"}).at("target"), "src/main.c");
  const std::string text = Text({"ls", workspace_});
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3);
  EXPECT_THAT(text, HasSubstr("readme\n"));
  EXPECT_THAT(text, HasSubstr("drwx"));
  EXPECT_THAT(Text({"stat", workspace_, "readme"}), HasSubstr("size    8 bytes"));
  EXPECT_THAT(Text({"stat", workspace_, "readme"}),
              HasSubstr("fileid  " + std::to_string(stat.at("fileid").get<std::uint64_t>())));
}

TEST_F(Look, DiffListsWhatWasAddedModifiedAndDeletedAtOnceWhileServed) {
  ServedProcess served({dir_, "--workspace", workspace_, "--insecure-ports"}, 0, environment_);
  SyncClient client(served.port());
  ASSERT_TRUE(client.mounted()) << served.process().errors();
  EXPECT_EQ(Text({"diff", workspace_}), "");
  ASSERT_EQ(client.WriteFile("/readme", "changed"), 0);
  EXPECT_EQ(Text({"diff", workspace_}), "M /readme\n");
  EXPECT_EQ(Text({"cat", workspace_, "readme"}), "changed");
  ASSERT_EQ(nfs_mkdir(client, "/src/new"), 0);
  ASSERT_EQ(client.WriteFile("/src/new/file", "x"), 0);
  ASSERT_EQ(nfs_unlink(client, "/link"), 0);
  const json changes = Json({"diff", workspace_, "--json"});
  ASSERT_EQ(changes.size(), 4U) << changes;
  EXPECT_EQ(changes[0], Change("deleted", "/link", "symlink"));
  EXPECT_EQ(changes[1], Change("modified", "/readme", "file"));
  EXPECT_EQ(changes[2], Change("added", "/src/new", "directory"));
  EXPECT_EQ(changes[3], Change("added", "/src/new/file", "file"));
  EXPECT_EQ(Text({"diff", workspace_}), "D /link\nM /readme\nA /src/new/\nA /src/new/file\n");
  EXPECT_EQ(Text({"diff", workspace_, "src/new"}), "A /src/new/\nA /src/new/file\n");
  EXPECT_EQ(Text({"diff", workspace_, "/readme"}), "M /readme\n");
  EXPECT_THAT(Names(Json({"ls", workspace_, "src", "--json"})), ElementsAre("main.c", "new"));
  EXPECT_EQ(Json({"stat", workspace_, "src/new/file", "--json"}).at("size"), 1);
  EXPECT_EQ(client.WriteFile("/after", "the server is not disturbed by who looks"), 0);
  served.process().Signal(SIGTERM);
  EXPECT_EQ(served.process().Wait(), 0);
  EXPECT_EQ(Text({"diff", workspace_}), "A /after\nD /link\nM /readme\nA /src/new/\nA /src/new/file\n");
}

TEST_F(Look, DiffListsWhatWasChangedInTheLayerToo) {
  const std::string layer = folder_ / "layer";
  std::filesystem::create_directory(layer);
  for (const char* name : {"/kept", "/both", "/away"}) WriteHostFile(layer + name, "one\n");
  ServedProcess served({layer, "--workspace", workspace_, "--insecure-ports"}, 0, environment_);
  SyncClient client(served.port());
  ASSERT_TRUE(client.mounted()) << served.process().errors();
  for (const char* name : {"/kept", "/both", "/away"}) ASSERT_EQ(nfs_chmod(client, name, 0600), 0);
  EXPECT_EQ(Text({"diff", workspace_, "--conflicts"}), "");
  WriteHostFile(layer + "/both", "changed, and longer\n");
  std::filesystem::remove(layer + "/away");
  EXPECT_EQ(Text({"diff", workspace_, "--conflicts"}),
            "gone         /away  (changed here, and removed or replaced in the layer)\n"
            "changed      /both  (changed in the layer since it was changed here)\n");
  EXPECT_EQ(Text({"diff", workspace_, "both", "--conflicts"}),
            "changed      /both  (changed in the layer since it was changed here)\n");
  const json conflicts = Json({"diff", workspace_, "--conflicts", "--json"});
  ASSERT_EQ(conflicts.size(), 2U) << conflicts;
  EXPECT_EQ(conflicts[0].at("conflict"), "gone");
  EXPECT_EQ(conflicts[1].at("conflict"), "changed");
  EXPECT_EQ(conflicts[1].at("path"), "/both");
  EXPECT_EQ(conflicts[1].at("type"), "file");
  ASSERT_EQ(nfs_unlink(client, "/both"), 0);
  ASSERT_EQ(nfs_unlink(client, "/away"), 0);
  EXPECT_EQ(Json({"diff", workspace_, "--conflicts", "--json"}), json::array());
}

TEST_F(Look, NamesThatWouldDisturbATerminalAreShownEscaped) {
  ServedProcess served({dir_, "--workspace", workspace_, "--insecure-ports"}, 0, environment_);
  SyncClient client(served.port());
  ASSERT_TRUE(client.mounted()) << served.process().errors();
  ASSERT_EQ(client.WriteFile("/a\nb\x1b[31m", "x"), 0);
  ASSERT_EQ(client.WriteFile("/caf\xe9", "not UTF-8"), 0);
  EXPECT_THAT(Text({"ls", workspace_}), HasSubstr("a\\x0ab\\x1b[31m\n"));
  EXPECT_THAT(Text({"diff", workspace_}), HasSubstr("A /a\\x0ab\\x1b[31m\n"));
  EXPECT_EQ(Json({"diff", workspace_, "--json"}).size(), 2U) << "also a name of another encoding is JSON";
  EXPECT_EQ(Text({"cat", workspace_, "caf\xe9"}), "not UTF-8");
}

TEST_F(Look, NothingIsColouredOrDrawnWhereThatIsNoTerminal) {
  ASSERT_EQ(Strata({"init", workspace_, "--layer", dir_}).status, 0);
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"ls", workspace_}, {"stat", workspace_}, {"diff", workspace_}, {"check", workspace_}}) {
    const e2e::Finished done = Strata(arguments);
    EXPECT_EQ(done.status, 0) << done.errors;
    EXPECT_EQ((done.output + done.errors).find_first_of("\033\r"), std::string::npos) << arguments[0];
  }
}

TEST_F(Look, WhatIsNotThereIsNamedInTheMessage) {
  Text({"init", workspace_, "--layer", dir_});
  ExpectRefused({"cat", workspace_, "missing/file"}, 1, {"missing/file"});
  ExpectRefused({"cat", workspace_, "src"}, 1, {"src", "directory"});
  ExpectRefused({"ls", workspace_, "readme/below"}, 1, {"readme/below"});
  ExpectRefused({"stat", folder_ / "nowhere", "x"}, 1, {"nowhere"});
  ExpectRefused({"diff", dir_}, 1, {"project"});
}

}  // namespace
}  // namespace strata::cli
