#include "store/import/tar_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "store/import/unpack.h"
#include "tests/base/temp_folder.h"
#include "tests/store/import/import_testing.h"

namespace strata::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::uint64_t kLargestFile = std::uint64_t{1} << 40;

struct ReadEntry {
  TarEntry entry;
  std::string content;
};

// All entries, or the first error.
Result<std::vector<ReadEntry>> ReadTar(ByteSource& source, std::uint64_t largest = kLargestFile) {
  TarReader reader(source, largest);
  std::vector<ReadEntry> entries;
  for (ReadEntry read;;) {
    STRATA_ASSIGN(const bool more, reader.Next(read.entry));
    if (!more) return entries;
    read.content.resize(read.entry.size);
    STRATA_ASSIGN(const std::size_t got, reader.ReadData(std::as_writable_bytes(std::span(read.content))));
    EXPECT_EQ(got, read.entry.size);
    entries.push_back(read);
  }
}

Result<std::vector<ReadEntry>> ReadTar(std::string_view tar, std::uint64_t largest = kLargestFile) {
  MemorySource source(AsBytes(tar));
  return ReadTar(source, largest);
}

std::string WhyRefused(std::string_view tar, std::uint64_t largest = kLargestFile) {
  const auto read = ReadTar(tar, largest);
  return read ? "accepted" : read.error().ToString();
}

ReadEntry OnlyEntry(std::string_view tar) {
  auto read = ReadTar(tar);
  if (!read || read->size() != 1) {
    ADD_FAILURE() << (read ? std::to_string(read->size()) + " entries" : read.error().ToString());
    return {};
  }
  return std::move(read->front());
}

TEST(TarReader, GivesEntriesOfEachTypeWithTheirData) {
  const auto read = ReadTar(TarOf({{.path = "d/", .type = '5', .mode = 0750},
                                   {.path = "d/file", .content = std::string(1000, 'x'), .uid = 7, .gid = 8},
                                   {.path = "d/link", .type = '2', .link = "file"},
                                   {.path = "d/hard", .type = '1', .link = "d/file"},
                                   {.path = "fifo", .type = '6'},
                                   {.path = "old", .content = "o", .type = '\0'},
                                   {.path = "contiguous", .content = "c", .type = '7'}}));
  ASSERT_TRUE(read) << read.error().ToString();
  std::vector<TarType> types;
  for (const ReadEntry& entry : *read) types.push_back(entry.entry.type);
  EXPECT_THAT(types, ElementsAre(TarType::kDirectory, TarType::kFile, TarType::kSymlink, TarType::kHardLink,
                                 TarType::kFifo, TarType::kFile, TarType::kFile));
  EXPECT_EQ((*read)[0].entry.attributes.mode, 0750U);
  EXPECT_EQ((*read)[1].content, std::string(1000, 'x'));
  EXPECT_EQ((*read)[1].entry.attributes.uid, 7U);
  EXPECT_EQ((*read)[1].entry.attributes.gid, 8U);
  EXPECT_EQ((*read)[1].entry.attributes.mtime, Time::From(1'600'000'000, 0));
  EXPECT_EQ((*read)[2].entry.target, "file");
  EXPECT_EQ((*read)[3].entry.target, "d/file");
  EXPECT_EQ((*read)[5].content, "o");
}

TEST(TarReader, PaxHeadersSayNamesAsBytesInAnyCharacterSet) {
  const std::string name("r/\xff\xfe\xc3\xbc"), target(1000, '\xe9');
  const ReadEntry read = OnlyEntry(TarOf({{.path = "short",
                                           .type = '2',
                                           .link = "short",
                                           .pax = {{"path", name},
                                                   {"linkpath", target},
                                                   {"hdrcharset", "BINARY"},
                                                   {"uid", "4000000000"},
                                                   {"mtime", "-1.25"},
                                                   {"comment", "a=b\nc"}}}}));
  EXPECT_EQ(read.entry.path, name);
  EXPECT_EQ(read.entry.target, target);
  EXPECT_EQ(read.entry.attributes.uid, 4'000'000'000U);
  EXPECT_EQ(read.entry.attributes.mtime, Time{-1'250'000'000});
}

TEST(TarReader, PaxHeadersSaySizesAndExtendedAttributes) {
  const ReadEntry read = OnlyEntry(
      TarOf({{.path = "a",
              .content = "hello",
              .pax = {{"size", "5"}, {"SCHILY.xattr.user.b", std::string("\0x\n", 3)}, {"SCHILY.xattr.user.a", "1"}},
              .size = 0}}));
  EXPECT_EQ(read.content, "hello");
  EXPECT_THAT(read.entry.attributes.xattrs,
              ElementsAre(Xattr{"user.a", "1"}, Xattr{"user.b", std::string("\0x\n", 3)}));
}

TEST(TarReader, AUstarNameContinuesInItsPrefixAndAGnuOneDoesNot) {
  TarItem item{.path = "name", .content = "x"};
  std::string tar = TarOf({item});
  // The checksum is mended by taking from the device numbers what the prefix adds.
  const std::string prefix = "first/second";
  const auto with_prefix = [&](std::string magic) {
    std::string header = TarHeaderOf({.path = "name", .content = "x", .magic = std::move(magic)});
    header.replace(345, prefix.size(), prefix);
    header.replace(148, 8, "        ");
    std::uint64_t sum = 0;
    for (const char c : header) sum += static_cast<unsigned char>(c);
    char text[9];
    std::snprintf(text, sizeof text, "%06llo", static_cast<unsigned long long>(sum));
    header.replace(148, 7, std::string(text, 7));
    return header + tar.substr(512);
  };
  EXPECT_EQ(OnlyEntry(with_prefix(std::string("ustar\0"
                                              "00",
                                              8)))
                .entry.path,
            "first/second/name");
  EXPECT_EQ(OnlyEntry(with_prefix(std::string("ustar  \0", 8))).entry.path, "name");
}

TEST(TarReader, AHardLinkMayStateASizeWithOrWithoutData) {
  const std::string tail = TarOf({{.path = "b", .content = "b"}});
  const std::string without = TarHeaderOf({.path = "l", .type = '1', .link = "a", .size = 700}) + tail;
  const std::string with =
      TarOf({{.path = "l", .content = std::string(700, 'x'), .type = '1', .link = "a"}}, false) + tail;
  for (const std::string& tar : {without, with}) {
    const auto read = ReadTar(tar);
    ASSERT_TRUE(read) << read.error().ToString();
    ASSERT_EQ(read->size(), 2U);
    EXPECT_EQ((*read)[0].entry.size, 0U);
    EXPECT_EQ((*read)[1].content, "b");
  }
}

TEST(TarReader, ReadsWhatGnuTarAndItsDialectsWrite) {
  if (std::system("tar --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "there is no tar";
  TempFolder folder;
  ASSERT_EQ(std::system(
                ("cd " + folder.path() +
                 " && mkdir src && printf begin > src/sparse && truncate -s 3M src/sparse && printf end >> "
                 "src/sparse && truncate -s 5000001 src/sparse && truncate -s 70000 src/hole && cd src && for i in "
                 "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do printf $i | dd "
                 "of=many bs=1 seek=$((i*65536)) conv=notrunc 2>/dev/null; done")
                    .c_str()),
            0);
  const std::string sparse = ReadTestFile(folder / "src/sparse"), many = ReadTestFile(folder / "src/many");
  for (const char* format : {"--format=oldgnu", "--format=gnu", "--format=pax", "--format=pax --sparse-version=0.1",
                             "--format=pax --sparse-version=0.0", "--format=ustar"}) {
    SCOPED_TRACE(format);
    ASSERT_EQ(
        std::system(("cd " + folder.path() + " && tar " + format +
                     (std::string(format) == "--format=ustar" ? "" : " -S") + " -cf t.tar src/sparse src/hole src/many")
                        .c_str()),
        0);
    const auto read = ReadTar(ReadTestFile(folder / "t.tar"));
    ASSERT_TRUE(read) << read.error().ToString();
    ASSERT_EQ(read->size(), 3U);
    EXPECT_EQ((*read)[0].entry.path, "src/sparse");
    EXPECT_TRUE((*read)[0].content == sparse);
    EXPECT_TRUE((*read)[1].content == std::string(70'000, '\0'));
    EXPECT_TRUE((*read)[2].content == many);
  }
}

TEST(TarReader, OpensWhatIsCompressed) {
  TempFolder folder;
  WriteTestFile(folder / "t.tar", TarOf({{.path = "a", .content = std::string(100'000, 'a')}}));
  for (const char* compress : {"cat", "gzip", "xz", "bzip2", "zstd -q"}) {
    const std::string command =
        std::string(compress) + " < " + folder.path() + "/t.tar > " + folder.path() + "/t.out 2>/dev/null";
    if (std::system(command.c_str()) != 0) continue;  // the program is not here
    SCOPED_TRACE(compress);
    const std::string packed = ReadTestFile(folder / "t.out");
    auto source = Unpack(AsBytes(packed), "t");
    ASSERT_TRUE(source) << source.error().ToString();
    const auto read = ReadTar(**source);
    ASSERT_TRUE(read) << read.error().ToString();
    EXPECT_EQ(read->at(0).content, std::string(100'000, 'a'));
    if (std::string(compress) == "cat") continue;
    auto cut = Unpack(AsBytes(std::string_view(packed).substr(0, packed.size() - 20)), "cut.tar");
    const auto part = cut ? ReadTar(**cut) : Fail(cut.error());
    EXPECT_FALSE(part);
  }
}

TEST(TarReader, SaysWhatIsWrongAndWhere) {
  EXPECT_THAT(WhyRefused(""), HasSubstr("there is nothing"));
  EXPECT_THAT(WhyRefused(std::string(3000, 'x')), HasSubstr("this is no tar archive"));
  EXPECT_THAT(WhyRefused("short"), HasSubstr("it was cut, or is no tar archive"));
  const std::string good = TarOf({{.path = "a", .content = std::string(600, 'x')}, {.path = "b", .content = "y"}});
  std::string damaged = good;
  damaged[1536] = 'z';  // the name in the second header
  EXPECT_THAT(WhyRefused(damaged), AllOf(HasSubstr("at byte 2048"), HasSubstr("damaged")));
  EXPECT_THAT(WhyRefused(good.substr(0, 900)), HasSubstr("unexpected size for a wanted: 600 got: 388"));
  EXPECT_THAT(WhyRefused(good.substr(0, 1200)), HasSubstr("it ends within a: it was cut"));
  EXPECT_THAT(WhyRefused(TarHeaderOf({.path = "a", .content = "x", .magic = "notustar"}).replace(124, 2, "zz")),
              HasSubstr("no tar archive"));
  EXPECT_THAT(WhyRefused(TarOf({{.path = "a", .pax = {{"size", "x"}}}})), HasSubstr("no number as size"));
  EXPECT_THAT(WhyRefused(TarOf({{.path = "a", .content = "12 path=b", .type = 'x'}})),
              HasSubstr("a record that is none"));
  EXPECT_THAT(WhyRefused(TarOf({{.path = "L", .type = 'L', .size = 1 << 30}})), HasSubstr("at most 1048576 are taken"));
  EXPECT_THAT(WhyRefused(TarOf({{.path = "L", .content = "long", .type = 'L'}})),
              HasSubstr("before the entry that its last header belongs to"));
  const auto sparse = [](const char* map, const char* size) {
    return TarOf({{.path = "s", .content = "abc", .pax = {{"GNU.sparse.map", map}, {"GNU.sparse.size", size}}}});
  };
  EXPECT_THAT(WhyRefused(sparse("5,3", "1000000000000000")), HasSubstr("would unfold to 1000000000000000 bytes"));
  EXPECT_THAT(WhyRefused(sparse("5,3", "7")), HasSubstr("beyond the file's end"));
  EXPECT_THAT(WhyRefused(sparse("5,2,6,1", "100")), HasSubstr("overlap"));
  EXPECT_THAT(WhyRefused(sparse("5,9", "100")), HasSubstr("another size than the data"));
  EXPECT_THAT(WhyRefused(sparse("5,9223372036854775807", "100")), HasSubstr("overlap"));
  EXPECT_EQ(OnlyEntry(sparse("5,3", "10")).content, std::string("\0\0\0\0\0abc\0\0", 10));
}

TEST(TarReader, TellsAnEndThatIsMarkedFromOneThatIsNot) {
  const auto end_of = [](const std::string& tar) {
    MemorySource source(AsBytes(tar));
    TarReader reader(source, kLargestFile);
    TarEntry entry;
    for (auto more = reader.Next(entry); more && *more;) more = reader.Next(entry);
    return reader.Finish().value();
  };
  const std::string marked = TarOf({{.path = "a", .content = "x"}});
  EXPECT_TRUE(end_of(marked).marked);
  EXPECT_FALSE(end_of(marked).more);
  EXPECT_TRUE(end_of(marked + std::string(20'000, '\0')).marked);
  EXPECT_FALSE(end_of(marked + std::string(20'000, '\0')).more);
  EXPECT_TRUE(end_of(marked + std::string(20'000, '\0') + marked).more);
  EXPECT_FALSE(end_of(marked.substr(0, 1024)).marked);
  EXPECT_FALSE(end_of(marked.substr(0, 1536)).marked);
}

TEST(TarHeader, NumbersMayBeOctalOrBinary) {
  std::string header = TarHeaderOf({.path = "a"});
  const auto size_of = [&](std::string field) -> std::optional<std::uint64_t> {
    field.resize(12);
    std::string block = header;
    block.replace(124, 12, field);
    block.replace(148, 8, "        ");
    std::uint64_t sum = 0;
    for (const char c : block) sum += static_cast<unsigned char>(c);
    char text[9];
    std::snprintf(text, sizeof text, "%06llo", static_cast<unsigned long long>(sum));
    block.replace(148, 7, std::string(text, 7));
    TarBlock bytes;
    std::ranges::copy(AsBytes(block), bytes.begin());
    const auto parsed = ParseTarHeader(bytes);
    if (!parsed) return std::nullopt;
    EXPECT_TRUE(*parsed);
    return (*parsed)->size;
  };
  EXPECT_EQ(size_of("00000000017"), 15U);
  EXPECT_EQ(size_of("  17 "), 15U);
  EXPECT_EQ(size_of("777777777777"), 0777777777777U);
  EXPECT_EQ(size_of(std::string("\x80\0\0\0\0\0\0\x10\0\0\0\1", 12)), (std::uint64_t{16} << 32) + 1);
  EXPECT_EQ(size_of(""), 0U);
  EXPECT_EQ(size_of("8"), std::nullopt);
  EXPECT_EQ(size_of("1 2"), std::nullopt);
  EXPECT_EQ(size_of(std::string(12, '\xff')), std::nullopt);                                          // -1
  EXPECT_EQ(size_of(std::string("\x80\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12)), std::nullopt);  // beyond 64 bits
}

TEST(TarHeader, PaxTimesHaveFractionsAndSigns) {
  EXPECT_EQ(ParsePaxTime("12"), Time{12'000'000'000});
  EXPECT_EQ(ParsePaxTime("12.5"), Time{12'500'000'000});
  EXPECT_EQ(ParsePaxTime("0.123456789999"), Time{123'456'789});
  EXPECT_EQ(ParsePaxTime("-0.25"), Time{-250'000'000});
  EXPECT_EQ(ParsePaxTime("-3"), Time{-3'000'000'000});
  EXPECT_EQ(ParsePaxTime("x"), std::nullopt);
  EXPECT_EQ(ParsePaxTime(""), std::nullopt);
  EXPECT_EQ(ParsePaxTime("1.x"), std::nullopt);
}

}  // namespace
}  // namespace strata::store
