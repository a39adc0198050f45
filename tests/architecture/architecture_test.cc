// The walls between the rooms, read from the sources themselves. (That each header compiles by itself is held by the
// target headers_stand_alone and by the sources of dev.)
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/architecture/include_rules.h"

namespace strata::architecture {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int kMostLines = 600;

struct Source {
  std::string path;  // from the root
  std::string text;
};

std::vector<Source> Sources() {
  const fs::path root = STRATA_SOURCE_DIR;
  std::vector<Source> sources;
  for (const char* room : {"base", "journal", "store", "vfs", "server", "cli"}) {
    if (!fs::exists(root / room)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / room)) {
      const auto extension = entry.path().extension();
      if (extension != ".h" && extension != ".cc") continue;
      std::ifstream in(entry.path(), std::ios::binary);
      sources.push_back(
          {fs::relative(entry.path(), root).string(), std::string(std::istreambuf_iterator<char>(in), {})});
    }
  }
  return sources;
}

std::vector<std::string> ViolationsIn(std::string_view file, std::string_view text) {
  return Violations(file, ReadIncludes(text));
}

TEST(Architecture, EveryIncludeGoesDownwardsAndLibrariesStayInTheirRooms) {
  std::map<std::string_view, int> includes_of_room;
  std::vector<std::string> violations;
  const auto sources = Sources();
  for (const Source& source : sources) {
    const auto includes = ReadIncludes(source.text);
    includes_of_room[RoomOf(source.path)] += static_cast<int>(includes.size());
    for (auto& violation : Violations(source.path, includes)) violations.push_back(std::move(violation));
  }
  EXPECT_THAT(violations, IsEmpty());
  for (const char* room :
       {"base", "journal", "store", "vfs", "vfs/layer", "vfs/workspace", "vfs/check", "server", "cli"}) {
    EXPECT_GT(includes_of_room[room], 0) << "no include was read in " << room
                                         << "/: is this test looking in the right place?";
  }
}

TEST(Architecture, EveryHeaderIsIncludedOnce) {
  int headers = 0;
  for (const Source& source : Sources()) {
    if (!source.path.ends_with(".h")) continue;
    ++headers;
    EXPECT_THAT(source.text, HasSubstr("#pragma once\n")) << source.path;
  }
  EXPECT_GT(headers, 0);
}

// So a header with a source beside it compiles by itself wherever the source does (headers_stand_alone).
TEST(Architecture, ASourceIncludesItsOwnHeaderFirst) {
  const auto sources = Sources();
  std::set<std::string_view> paths;
  for (const Source& source : sources) paths.insert(source.path);
  int pairs = 0;
  for (const Source& source : sources) {
    if (!source.path.ends_with(".cc")) continue;
    const std::string header = source.path.substr(0, source.path.size() - 2) + "h";
    if (!paths.contains(header)) continue;
    ++pairs;
    const auto includes = ReadIncludes(source.text);
    EXPECT_EQ(includes.empty() ? "nothing" : includes.front().path, header) << source.path;
  }
  EXPECT_GT(pairs, 0);
}

TEST(Architecture, NoFileGrowsPastSixHundredLines) {
  int files = 0;
  for (const Source& source : Sources()) {
    ++files;
    EXPECT_LE(std::ranges::count(source.text, '\n'), kMostLines)
        << source.path << " asks to be split along a seam that has a name";
  }
  EXPECT_GT(files, 0);
}

TEST(IncludeRules, IncludesAreReadAndThoseInCommentsAndStringsAreNot) {
  const auto includes = ReadIncludes(
      "// #include \"a.h\"\n/*\n#include \"b.h\"\n*/ #include \"base/c.h\"\n  #  include <d/e.h>  // why\nauto s = "
      "\"/*\";\n#include \"base/f.h\"\n"
      "auto c = '\"';\nint n = 1'000;\n#include <g>\n");
  std::vector<std::string> paths;
  std::vector<int> lines;
  for (const auto& include : includes) {
    paths.push_back(include.path);
    lines.push_back(include.line);
  }
  EXPECT_THAT(paths, ElementsAre("base/c.h", "d/e.h", "base/f.h", "g"));
  EXPECT_THAT(lines, ElementsAre(4, 5, 7, 10));
}

TEST(IncludeRules, AnIncludeUpwardsIsFound) {
  EXPECT_THAT(ViolationsIn("vfs/a.cc", "#include \"server/b.h\"\n"),
              ElementsAre(HasSubstr("vfs/a.cc:1: vfs/ must not include server/b.h")));
  EXPECT_THAT(ViolationsIn("base/a.h", "#include <vfs/types.h>\n"),
              ElementsAre(HasSubstr("must not include vfs/types.h")));
  EXPECT_THAT(ViolationsIn("vfs/workspace/a.cc",
                           "#include \"journal/b.h\"\n#include \"store/index/c.h\"\n#include \"base/d.h\"\n"),
              IsEmpty());
}

TEST(IncludeRules, TheRoomsWithinVfsAreToldApart) {
  EXPECT_THAT(ViolationsIn("vfs/a.cc", "#include \"vfs/layer/b.h\"\n"), ElementsAre(HasSubstr("must not include")));
  EXPECT_THAT(ViolationsIn("vfs/layer/castore/a.cc", "#include \"store/castore/b.h\"\n"), IsEmpty());
  EXPECT_THAT(ViolationsIn("vfs/layer/a.cc", "#include \"journal/b.h\"\n"), ElementsAre(HasSubstr("must not include")));
  EXPECT_THAT(ViolationsIn("vfs/layer/a.cc", "#include \"vfs/workspace/b.h\"\n"),
              ElementsAre(HasSubstr("vfs/layer/ must not include vfs/workspace/b.h")));
  EXPECT_THAT(ViolationsIn("vfs/workspace/a.cc", "#include \"vfs/check/b.h\"\n"),
              ElementsAre(HasSubstr("must not include")));
  EXPECT_THAT(ViolationsIn("vfs/check/a.cc", "#include \"vfs/workspace/b.h\"\n#include \"vfs/layer.h\"\n"), IsEmpty());
}

TEST(IncludeRules, JournalAndStoreKnowNothingOfEachOther) {
  EXPECT_THAT(ViolationsIn("journal/a.cc", "#include \"store/index/index.h\"\n"),
              ElementsAre(HasSubstr("must not include")));
  EXPECT_THAT(ViolationsIn("store/a.cc", "#include \"journal/journal.h\"\n"),
              ElementsAre(HasSubstr("must not include")));
}

TEST(IncludeRules, TheServerDoesNotKnowHowAVolumeIsKept) {
  EXPECT_THAT(ViolationsIn("server/nfs3/a.cc", "#include \"journal/journal.h\"\n"),
              ElementsAre(HasSubstr("must not include")));
  EXPECT_THAT(ViolationsIn("server/nfs3/a.cc", "#include \"vfs/file_system.h\"\n"), IsEmpty());
}

TEST(IncludeRules, LibrariesOutOfTheirRoomAreFound) {
  EXPECT_THAT(ViolationsIn("store/blobs.cc", "#include <sqlite3.h>\n"),
              ElementsAre(HasSubstr("SQLite belongs in store/index/ only")));
  EXPECT_THAT(ViolationsIn("cli/serve.cc", "#include <boost/asio/io_context.hpp>\n"),
              ElementsAre(HasSubstr("Boost.Asio belongs in server/ only")));
  EXPECT_THAT(ViolationsIn("vfs/a.cc", "#include <rpc/xdr.h>\n"),
              ElementsAre(HasSubstr("libtirpc belongs in server/ only")));
  EXPECT_THAT(ViolationsIn("store/blobs/a.cc", "#include <blake3.h>\n"),
              ElementsAre(HasSubstr("BLAKE3 belongs in store/digest.cc only")));
  EXPECT_THAT(ViolationsIn("vfs/a.cc", "#include <zstd.h>\n"),
              ElementsAre(HasSubstr("libzstd belongs in store/ only")));
  EXPECT_THAT(ViolationsIn("store/a.cc", "#include <lz4.h>\n"),
              ElementsAre(HasSubstr("liblz4 belongs in journal/wasix/ only")));
  EXPECT_THAT(ViolationsIn("store/pack/engine.cc", "#include <xxhash.h>\n"),
              ElementsAre(HasSubstr("xxHash belongs in store/pack/part_tags only")));
  EXPECT_THAT(ViolationsIn("store/import/tar_reader.cc", "#include <archive.h>\n"),
              ElementsAre(HasSubstr("libarchive belongs in store/import/unpack only")));
  EXPECT_THAT(ViolationsIn("store/index/a.cc", "#include <sqlite3.h>\n"), IsEmpty());
  EXPECT_THAT(ViolationsIn("server/rpc/a.cc", "#include <boost/asio/write.hpp>\n#include <rpc/rpc.h>\n"), IsEmpty());
}

TEST(IncludeRules, AnIncludeNotFromTheRootIsFound) {
  EXPECT_THAT(ViolationsIn("vfs/a.cc", "#include \"types.h\"\n"),
              ElementsAre(HasSubstr("not included by its path from the root")));
  EXPECT_THAT(ViolationsIn("vfs/a.cc", "#include \"vfs/../server/a.h\"\n"), ElementsAre(HasSubstr("leads upwards")));
}

}  // namespace
}  // namespace strata::architecture
