#include "store/castore/directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <map>

#include "tests/store/castore/castore_testing.h"
#include "tests/store/fixtures.h"

namespace strata::store {
namespace {

using ::testing::HasSubstr;

std::vector<std::string> NamesOf(const Directory& directory) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < directory.count(); ++i) names.emplace_back(directory.At(i).name);
  return names;
}

Node SomeFile(std::uint64_t size = 1) { return Node::OfFile(Digest::OfEmpty(), size); }
Node SomeDirectory(std::uint64_t size) { return Node::OfDirectory(Digest::OfEmpty(), size); }

TEST(Directory, CA19_TheVectorsOfDirectories) {
  EXPECT_EQ(Directory().digest(), Digest::OfEmpty());
  EXPECT_EQ(ToHex(WithKeep().canonical()), "12290a052e6b6565701220" + Digest::OfEmpty().Hex());
  EXPECT_EQ(WithKeep().digest().Hex(), "8b5b5d642b646bb8ed504b0862c39413e87e57491497de7bd075953f7b83810e");
  EXPECT_EQ(WithKeep().Size(SizeRule::kDocumented), 1);
  EXPECT_EQ(Complicated().canonical().size(), 119);
  EXPECT_EQ(Complicated().digest().Hex(), "3f951a15afd586fb3121ef4d13d582e811ce0e5a7f21c0497fd87490e9e2355a");
  EXPECT_EQ(Complicated().Size(SizeRule::kDocumented), 4);
  EXPECT_EQ(DirectoryB().digest().Hex(), "8701f4722d8dae7f2c40fa003331b8437a3825f9e1bfd3a77998c64cc226b9cc");
  EXPECT_EQ(DirectoryC().digest().Hex(), "78eb200ae0cc95d4ea954655fbcf91e285013a261310e161927f2401d2bca803");
  EXPECT_EQ(DirectoryD().digest().Hex(), "99922a5c1801805287a647af73bca0ed7352a5f7f373e54992795bcc4a235213");
}

TEST(Directory, CA14_CA70_ADirectoryHasASizeByEachRule) {
  const Directory doubled = MakeDirectory({{".keep", SomeFile(0)},
                                           {"aa", Node::OfSymlink(std::string(kElsewhere))},
                                           {"keep", NodeTo(WithKeep(), SizeRule::kDoubled)}});
  EXPECT_EQ(doubled.digest().Hex(), "424a7f6ce08d805d15b428062faae96299a1675d708c3a39261afe38cdd04feb");
  EXPECT_EQ(doubled.Size(SizeRule::kDoubled), 8);
  EXPECT_EQ(WithKeep().Size(SizeRule::kDoubled), 2);
  EXPECT_TRUE(WithKeep().MayHaveSize(1));
  EXPECT_TRUE(WithKeep().MayHaveSize(2));
  EXPECT_FALSE(WithKeep().MayHaveSize(0));
  EXPECT_FALSE(WithKeep().MayHaveSize(3));
}

TEST(Directory, CA14_ADoubledSizeThatDoesNotFitIsOneThatNoEdgeCanBear) {
  const Directory large = MakeDirectory({{"a", SomeDirectory(UINT64_MAX - 1)}});
  EXPECT_EQ(large.Size(SizeRule::kDocumented), UINT64_MAX);
  EXPECT_EQ(large.Size(SizeRule::kDoubled), UINT64_MAX);
  EXPECT_FALSE(Directory::Make({{"up", NodeTo(large)}}));
}

TEST(Directory, CA14_TheTableOfSizes) {
  EXPECT_EQ(Directory().Size(SizeRule::kDocumented), 0);
  EXPECT_EQ(MakeDirectory({{"a", SomeDirectory(0)}}).Size(SizeRule::kDocumented), 1);
  EXPECT_EQ(MakeDirectory({{"a", SomeDirectory(4)}}).Size(SizeRule::kDocumented), 5);
  EXPECT_EQ(MakeDirectory({{"a", SomeFile(77)}}).Size(SizeRule::kDocumented), 1);
  EXPECT_EQ(MakeDirectory({{"a", Node::OfSymlink("target")}}).Size(SizeRule::kDocumented), 1);
}

TEST(Directory, CA11_SizesThatOverflowAreRefused) {
  const auto refused = [](NamedNodes entries) {
    const auto made = Directory::Make(std::move(entries));
    return !made && made.error().code() == Errc::kInvalid && made.error().message().contains("SizeOverflow");
  };
  EXPECT_TRUE(Directory::Make({{"a", SomeDirectory(UINT64_MAX - 1)}}));
  EXPECT_TRUE(refused({{"a", SomeDirectory(UINT64_MAX)}}));
  EXPECT_TRUE(refused({{"a", SomeDirectory(UINT64_MAX / 2)}, {"b", SomeDirectory(UINT64_MAX / 2)}}));
  EXPECT_TRUE(refused({{"a", SomeDirectory(UINT64_MAX - 1)}, {"b", Node::OfSymlink("x")}}));
  EXPECT_TRUE(Directory::Make({{"a", SomeFile(UINT64_MAX)}, {"b", SomeFile(UINT64_MAX)}}));
}

TEST(Directory, CA2_EntriesOfAllKindsAreInTheOrderOfTheirNamesBytes) {
  const Directory directory = MakeDirectory({{"b", SomeFile()},
                                             {"\x80", SomeFile()},
                                             {"a", Node::OfSymlink("t")},
                                             {"B", SomeDirectory(3)},
                                             {"aa", SomeDirectory(0)},
                                             {"a-", SomeFile()}});
  EXPECT_THAT(NamesOf(directory), ::testing::ElementsAre("B", "a", "a-", "aa", "b", "\x80"));
}

TEST(Directory, AnEntryIsWhatWasPut) {
  NamedNodes entries;
  const std::uint64_t sizes[] = {0, 1, 127, 128, 16383, 16384, 1ULL << 40, UINT64_MAX >> 1};
  for (const std::uint64_t size : sizes) {
    const std::string name = std::to_string(size);
    entries.emplace_back("file " + name, Node::OfFile(Digest::Of(AsBytes(name)), size));
    entries.emplace_back("program " + name, Node::OfFile(Digest::Of(AsBytes(name)), size, true));
  }
  entries.emplace_back("directory", Node::OfDirectory(Digest::Of(AsBytes("d")), 1000));
  entries.emplace_back("empty directory", Node::OfDirectory(Digest::OfEmpty(), 0));
  for (const std::size_t length : {1, 127, 128, 4095}) {
    entries.emplace_back("link " + std::to_string(length), Node::OfSymlink(std::string(length, 't')));
  }
  for (const std::size_t length : {127, 128, 255}) entries.emplace_back(std::string(length, 'n'), SomeFile(5));
  std::ranges::sort(entries, {}, &NamedNodes::value_type::first);
  const Directory directory = MakeDirectory(entries);
  ASSERT_EQ(directory.count(), entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const Directory::Entry entry = directory.At(i);
    EXPECT_EQ(entry.name, entries[i].first);
    EXPECT_EQ(entry.node(), entries[i].second) << entry.name;
    EXPECT_EQ(entry.size, entries[i].second.size) << entry.name;
    EXPECT_EQ(directory.Find(entry.name), i);
  }
}

TEST(Directory, ANameThatIsNotThereIsNotFound) {
  const Directory directory = MakeDirectory({{"b", SomeFile()}, {"bb", Node::OfSymlink("t")}, {"c", SomeFile()}});
  for (const char* name : {"", "a", "ba", "bbb", "C", "d", "\xff"}) EXPECT_EQ(directory.Find(name), 3) << name;
  EXPECT_EQ(directory.LowerBound(""), 0);
  EXPECT_EQ(directory.LowerBound("ba"), 1);
  EXPECT_EQ(directory.LowerBound("bb"), 1);
  EXPECT_EQ(directory.LowerBound("d"), 3);
  EXPECT_EQ(Directory().Find("a"), 0);
}

TEST(Directory, OneOfAHundredThousandEntriesIsFoundAndTakesLittleMoreMemoryThanItsBytes) {
  NamedNodes entries;
  constexpr std::size_t kCount = 100'000;
  for (std::size_t i = 0; i < kCount; ++i) {
    const std::string name = "entry " + std::to_string(i);
    entries.emplace_back(name, i % 3 == 0 ? SomeDirectory(i) : i % 3 == 1 ? SomeFile(i) : Node::OfSymlink(name));
  }
  const Directory directory = MakeDirectory(entries);
  EXPECT_TRUE(std::ranges::is_sorted(NamesOf(directory)));
  for (std::size_t i = 0; i < kCount; i += 997) {
    const std::size_t index = directory.Find(entries[i].first);
    ASSERT_LT(index, kCount);
    EXPECT_EQ(directory.At(index).node(), entries[i].second);
  }
  EXPECT_LE(directory.Footprint(), directory.canonical().size() + 4 * kCount + 160);
}

TEST(Directory, CopiesShareTheBytes) {
  const Directory one = Complicated();
  const Directory copy = one;
  EXPECT_EQ(copy.canonical().data(), one.canonical().data());
  EXPECT_EQ(one, Complicated());
  EXPECT_FALSE(one == WithKeep());
}

TEST(Directory, CA18_BytesThatDoNotHashToTheNameAreCorrupt) {
  const Directory directory = Complicated();
  EXPECT_EQ(Directory::ParseVerified(directory.canonical(), directory.digest()).value(), directory);
  std::vector<std::byte> bytes(directory.canonical().begin(), directory.canonical().end());
  bytes[5] ^= std::byte{1};
  const auto damaged = Directory::ParseVerified(bytes, directory.digest());
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code(), Errc::kCorrupt);
  EXPECT_THAT(std::string(damaged.error().message()), HasSubstr(directory.digest().Text()));
}

TEST(Directory, CA37_AMessageThatIsTooLargeIsNotLookedAt) {
  // Memory that must not be touched.
  constexpr std::size_t kSize = kMaxDirectoryBytes + 1;
  void* const memory = mmap(nullptr, kSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  const auto refused = Directory::Parse({static_cast<const std::byte*>(memory), kSize});
  munmap(memory, kSize);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::kInvalid);
}

TEST(Directory, ARefusalNamesTheEntryButNotAllOfALongName) {
  const auto refused = Directory::Make({{std::string(100'000, 'n'), SomeFile()}});
  ASSERT_FALSE(refused);
  EXPECT_THAT(std::string(refused.error().message()), HasSubstr("InvalidName(TooLong)"));
  EXPECT_LT(refused.error().message().size(), 300);
  const auto odd = Directory::Make({{"a/\n\xff\"", SomeFile()}});
  ASSERT_FALSE(odd);
  EXPECT_THAT(std::string(odd.error().message()), HasSubstr("\"a/\\x0a\\xff\\x22\""));
}

TEST(Directory, CA8_CA9_CA10_RefusedMessagesAreRefusedForTheReason) {
  STRATA_FIXTURE(cases, "refused.json");
  const std::map<std::string, std::string> words = {{"slash", "InvalidName(Slashes)"},
                                                    {"NUL", "InvalidName(Null)"},
                                                    {"symlink target empty", "InvalidSymlinkTarget(Empty)"},
                                                    {"symlink target too long", "InvalidSymlinkTarget(TooLong)"},
                                                    {"symlink target NUL", "InvalidSymlinkTarget(Null)"}};
  ASSERT_FALSE(cases.empty());
  for (const auto& one : cases) {
    const std::string error = one["error"];
    const auto parsed = Directory::Parse(FromHex(one["hex"].get<std::string>()));
    ASSERT_FALSE(parsed) << error;
    EXPECT_EQ(parsed.error().code(), Errc::kInvalid);
    const auto word = words.find(error);
    const std::string wanted = word != words.end()                  ? word->second
                               : error.starts_with("not a message") ? "not a Directory message"
                                                                    : error;
    EXPECT_THAT(std::string(parsed.error().message()), HasSubstr(wanted)) << error;
  }
}

TEST(Directory, CA12_OneListMayBeginBehindAnother) {
  const Directory made =
      Directory::Make({{"a", Node::OfSymlink("t")}, {"b", SomeDirectory(0)}, {"c", SomeDirectory(0)}}).value();
  // The directories come first in the message, whatever their names.
  EXPECT_TRUE(ToHex(made.canonical()).starts_with("0a250a0162"));
  const auto parsed = Directory::Parse(made.canonical());
  ASSERT_TRUE(parsed) << parsed.error().ToString();
  EXPECT_EQ(NamesOf(*parsed), (std::vector<std::string>{"a", "b", "c"}));
}

TEST(Directory, CA15_CA16_StoredDirectoriesReadAndWrittenAgainAreTheSame) {
  STRATA_FIXTURE(directories, "directories.json");
  ASSERT_FALSE(directories.empty());
  for (const auto& [digest, hex] : directories.items()) {
    const auto parsed = Directory::Parse(FromHex(hex.get<std::string>()));
    ASSERT_TRUE(parsed) << digest << ": " << parsed.error().ToString();
    EXPECT_EQ(ToHex(parsed->canonical()), hex.get<std::string>());
    EXPECT_EQ(parsed->digest().Hex(), digest);
    NamedNodes entries;
    for (std::size_t i = parsed->count(); i-- > 0;) {
      entries.emplace_back(std::string(parsed->At(i).name), parsed->At(i).node());
    }
    EXPECT_EQ(Directory::Make(entries).value(), *parsed);
  }
}

TEST(Directory, CA14_ATreeOfStoredDirectoriesIsWhatItsListSays) {
  STRATA_FIXTURE(tree, "tree.json");
  STRATA_FIXTURE(directories, "directories.json");
  const auto get = [&](const std::string& digest) {
    return Directory::Parse(FromHex(directories.at(digest).get<std::string>())).value();
  };
  std::map<std::string, nlohmann::json> found;
  const auto walk = [&](const auto& self, const Directory& directory, const std::string& path) -> void {
    for (std::size_t i = 0; i < directory.count(); ++i) {
      const Directory::Entry entry = directory.At(i);
      const std::string below = path + std::string(entry.name);
      nlohmann::json one = {{"path_hex", ToHex(AsBytes(below))}};
      if (entry.kind == NodeKind::kSymlink) {
        one["kind"] = "symlink";
        one["target_hex"] = ToHex(AsBytes(entry.target));
      } else {
        one["digest"] = entry.digest->Hex();
        one["size"] = entry.size;
        one["kind"] = entry.kind == NodeKind::kFile ? "file" : "directory";
        if (entry.kind == NodeKind::kFile) one["executable"] = entry.executable;
      }
      found[below] = one;
      if (entry.kind != NodeKind::kDirectory) continue;
      const Directory child = get(entry.digest->Hex());
      EXPECT_EQ(child.Size(SizeRule::kDocumented), entry.size) << below;
      self(self, child, below + "/");
    }
  };
  const std::string root = tree["root"]["digest"];
  walk(walk, get(root), "");
  ASSERT_EQ(found.size(), tree["entries"].size());
  for (const auto& entry : tree["entries"]) {
    EXPECT_EQ(found[TextFromHex(entry["path_hex"].get<std::string>())], entry);
  }
  EXPECT_EQ(get(root).Size(SizeRule::kDocumented), tree["root"]["size"].get<std::uint64_t>());
  EXPECT_EQ(get(root).digest().Text(), tree["root"]["text"].get<std::string>());
}

TEST(Directory, CA8_WhatTvixSaysOfEachMessage) {
  STRATA_FIXTURE(messages, "tvix/messages.json");
  ASSERT_FALSE(messages.empty());
  for (const auto& message : messages) {
    SCOPED_TRACE(message["name"].get<std::string>());
    const std::vector<std::byte> bytes = FromHex(message["hex"].get<std::string>());
    const std::string result = message["result"];
    const auto parsed = Directory::Parse(bytes);
    if (result != "ok") {
      ASSERT_FALSE(parsed);
      EXPECT_EQ(parsed.error().code(), Errc::kInvalid);
      EXPECT_THAT(std::string(parsed.error().message()),
                  HasSubstr(result == "not a message" ? "not a Directory message" : result));
      continue;
    }
    ASSERT_TRUE(parsed) << parsed.error().ToString();
    EXPECT_EQ(parsed->digest().Hex(), message["digest_of_canonical"].get<std::string>());
    EXPECT_EQ(std::ranges::equal(parsed->canonical(), bytes), message["canonical"].get<bool>());
    EXPECT_EQ(parsed->Size(SizeRule::kDocumented), message["size_documented"].get<std::uint64_t>());
    EXPECT_EQ(parsed->Size(SizeRule::kDoubled),
              message["size_doubled"].is_null() ? UINT64_MAX : message["size_doubled"].get<std::uint64_t>());
  }
}

}  // namespace
}  // namespace strata::store
