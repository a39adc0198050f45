#include "journal/record.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <variant>

#include "base/hash.h"
#include "tests/base/hex.h"
#include "tests/journal/journal_util.h"

namespace strata::journal {
namespace {

// An effect with its name kept.
struct OwnedEntry {
  EntryEffect effect;
  std::string name;
  friend bool operator==(const OwnedEntry& a, const OwnedEntry& b) {
    return a.name == b.name && a.effect.directory == b.effect.directory && a.effect.state == b.effect.state &&
           a.effect.ino == b.effect.ino && a.effect.type == b.effect.type;
  }
};
using AnyEffect = std::variant<InodeRecord, TouchEffect, OwnedEntry, DataEffect, TruncateEffect, PurgeEffect>;

std::vector<std::byte> Encoded(const Change& change) {
  std::vector<std::byte> head{std::byte{7}};  // what is there is replaced
  EncodeRecord(change, head);
  return head;
}

class Collector final : public EffectVisitor {
 public:
  Result<void> On(const InodeRecord& inode) override { return Keep(inode); }
  Result<void> On(const TouchEffect& effect) override { return Keep(effect); }
  Result<void> On(const EntryEffect& effect) override { return Keep(OwnedEntry{effect, std::string(effect.name)}); }
  Result<void> On(const DataEffect& effect) override { return Keep(effect); }
  Result<void> On(const TruncateEffect& effect) override { return Keep(effect); }
  Result<void> On(const PurgeEffect& effect) override { return Keep(effect); }
  std::vector<AnyEffect> effects;
  std::optional<Status> refuse;

 private:
  Result<void> Keep(AnyEffect effect) {
    if (refuse) return Fail(*refuse);
    effects.push_back(std::move(effect));
    return {};
  }
};

InodeRecord FullInode() {
  InodeRecord inode;
  inode.ino = InodeNumber(0x1234567890ULL);
  inode.generation = Generation(7);
  inode.locator = 99;
  inode.type = FileType::kSymlink;
  inode.mode = 07777;
  inode.uid = 1000;
  inode.gid = 1001;
  inode.nlink = 3;
  inode.size = 1ULL << 40;
  inode.rdev = {8, 1};
  inode.atime.ns = 1;
  inode.mtime.ns = -2;
  inode.ctime.ns = 3;
  inode.parent = InodeNumber(5);
  inode.opaque = true;
  inode.base_size = 77;
  inode.create_verifier = {1, 2, 3, 4, 5, 6, 7, 8};
  inode.origin = {.sources = {{1, 2, 3}, {4, 5, 6}}, .size = 12, .mtime = {34}};
  inode.symlink_target = "../else/where";
  return inode;
}

TEST(Record, GivesBackEveryEffectInOrder) {
  const RecordHeader header{.kind = RecordKind::kRename, .time = {123456789}, .uid = 1000};
  const InodeRecord full = FullInode();
  InodeRecord plain;
  plain.ino = InodeNumber(9);
  const TouchEffect touch{.ino = InodeNumber(3), .nlink = 2, .size = 10, .mode = 0755, .mtime = {5}, .ctime = {-6}};
  const std::string longest(255, 'n');
  const EntryEffect entry{.directory = InodeNumber(1),
                          .name = longest,
                          .state = EntryEffect::State::kWhiteout,
                          .ino = InodeNumber(0),
                          .type = FileType::kDirectory};
  const DataEffect data{.ino = InodeNumber(9), .offset = 1ULL << 40, .length = 10, .payload_offset = 90};
  const TruncateEffect truncate{.ino = InodeNumber(9), .size = 8};
  const PurgeEffect purge{.ino = InodeNumber(4)};
  Change change(header);
  change.Add(full);
  change.Add(plain);
  change.Add(touch);
  change.Add(entry);
  change.Add(data);
  change.Add(truncate);
  change.Add(purge);
  Collector collector;
  const std::vector<std::byte> head = Encoded(change);
  auto read = VisitRecord(head, 100, collector);
  ASSERT_TRUE(read) << read.error().ToString();
  EXPECT_EQ(*read, header);
  EXPECT_EQ(ReadRecordHeader(head).value(), header);
  const std::vector<AnyEffect> expected{full, plain, touch, OwnedEntry{entry, longest}, data, truncate, purge};
  EXPECT_EQ(collector.effects, expected);
}

TEST(Record, StopsAtTheErrorOfAVisit) {
  Change change({.kind = RecordKind::kRemove});
  change.Add(PurgeEffect{InodeNumber(4)});
  Collector collector;
  collector.refuse = Status(Errc::kStale);
  EXPECT_EQ(VisitRecord(Encoded(change), 0, collector).error().code(), Errc::kStale);
}

TEST(Record, RefusesDataBeyondThePayload) {
  for (const auto& [offset, length, payload_offset] :
       {std::tuple{0ULL, 11u, 90u}, {0ULL, 1u, 100u}, {0ULL, ~0u, 1u}, {0x7fff'ffff'ffff'ffffULL, 1u, 0u}}) {
    Change change({.kind = RecordKind::kWrite});
    change.Add(DataEffect{InodeNumber(9), offset, length, payload_offset});
    Collector collector;
    EXPECT_EQ(VisitRecord(Encoded(change), 100, collector).error().code(), Errc::kCorrupt);
    EXPECT_TRUE(collector.effects.empty());
  }
}

TEST(Record, RefusesNamesThatNoDirectoryHolds) {
  for (const std::string& name : {std::string(), std::string("."), std::string(".."), std::string("a/b"),
                                  std::string("a\0b", 3), std::string(256, 'x')}) {
    Change change({.kind = RecordKind::kCreate});
    change.Add(EntryEffect{.directory = InodeNumber(1), .name = name, .ino = InodeNumber(2)});
    Collector collector;
    EXPECT_EQ(VisitRecord(Encoded(change), 0, collector).error().code(), Errc::kCorrupt) << name;
  }
}

TEST(Record, TellsANewerVersionFromGarbage) {
  Change change({.kind = RecordKind::kWrite});
  const auto with = [&](std::string_view more) { return std::string(AsText(Encoded(change))) + std::string(more); };
  const auto visit = [](const std::string& head) {
    Collector collector;
    return VisitRecord(AsBytes(head), 0, collector);
  };
  using namespace std::string_view_literals;
  EXPECT_TRUE(visit(with("")));
  EXPECT_EQ(visit(with("\x07\x02\0\0xx"sv)).error().code(), Errc::kNotSupported);  // reserved for later
  EXPECT_EQ(visit(with("\x7f\0\0\0"sv)).error().code(), Errc::kNotSupported);
  EXPECT_TRUE(visit(with("\x80\x02\0\0xx"sv)));  // advisory: skipped
  EXPECT_EQ(visit(with("\0\0\0\0"sv)).error().code(), Errc::kCorrupt);
  EXPECT_EQ(visit(with("\x06\x08\0\0xx"sv)).error().code(), Errc::kCorrupt);
  EXPECT_EQ(visit(with("\x06\x02\0\0xx"sv)).error().code(), Errc::kCorrupt);
  std::string newer = with("");
  newer[0] = 2;
  EXPECT_EQ(visit(newer).error().code(), Errc::kNotSupported);
  EXPECT_EQ(visit("").error().code(), Errc::kCorrupt);
}

TEST(Record, SurvivesEveryFlippedBitAndEveryCut) {
  Change change({.kind = RecordKind::kCreate, .time = {1}, .uid = 2});
  const InodeRecord inode = FullInode();
  change.Add(inode);
  change.Add(EntryEffect{.directory = InodeNumber(1), .name = "name", .ino = InodeNumber(2)});
  change.Add(DataEffect{InodeNumber(2), 0, 10, 0});
  const std::vector<std::byte> head = Encoded(change);
  const std::string whole(AsText(head));
  std::size_t refused = 0;
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    Collector collector;
    if (!VisitRecord(AsBytes(flipped), 10, collector)) ++refused;
  }
  EXPECT_GT(refused, 50u);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    Collector collector;
    (void)VisitRecord(AsBytes(whole).first(size), 10, collector);
    EXPECT_LE(collector.effects.size(), 2u);
  }
}

// docs/formats/journal.md shows these bytes.
TEST(JournalFormat, IsWhatTheDocumentShows) {
  Change change({.kind = RecordKind::kWrite, .time = {1'700'000'000'000'000'000}, .uid = 1000});
  change.Add(DataEffect{.ino = InodeNumber(5), .offset = 4096, .length = 5, .payload_offset = 0});
  change.Add(TouchEffect{.ino = InodeNumber(5),
                         .nlink = 1,
                         .size = 4101,
                         .mode = 0644,
                         .mtime = {1'700'000'000'000'000'000},
                         .ctime = {1'700'000'000'000'000'000}});
  EXPECT_EQ(ToHex(Encoded(change)),
            "01030000e803000000002a36fe9c971704180000050000000000000000100000"
            "00000000050000000000000002280000050000000000000001000000a4010000"
            "051000000000000000002a36fe9c971700002a36fe9c9717");

  const ByteSpan payload = AsBytes("hello");
  const Frame frame{.head_size = static_cast<std::uint32_t>(Encoded(change).size()),
                    .payload_size = 5,
                    .head_crc = Crc32c(Encoded(change)),
                    .payload_crc = Crc32c(payload),
                    .position = 64,
                    .durable = 64};
  std::byte bytes[kFrameBytes];
  EXPECT_EQ(EncodeFrame(frame, 0xdeadbeef, bytes), 0x18d04c6fu);
  EXPECT_EQ(ToHex(bytes),
            "53544a5258000000050000003933c2054cbb719a400000000000000040000000"
            "000000006f4cd018");
  EXPECT_EQ(frame.RecordBytes(), 136u);

  const SegmentHeader header{.salt = 0xdeadbeef,
                             .volume_id = 0x1122334455667788ULL,
                             .index = 1,
                             .segment_size = 64 << 20,
                             .previous_end = 0x3fff000,
                             .previous_check = 0x18d04c6f,
                             .durable = 0x3ff0000};
  EXPECT_EQ(ToHex(EncodeSegmentHeader(header)),
            "5354524154414a0a01000000efbeadde88776655443322110100000000000000"
            "000000040000000000f0ff03000000000000ff03000000006f4cd018460f7ea9");

  // The same segment, given up: the check of its last record, and where its records ended.
  SegmentHeader stub = header;
  stub.salt = 0x0badcafe;
  stub.durable = 0x7fff800;
  stub.given_up = true;
  const auto stub_bytes = EncodeSegmentHeader(stub);
  EXPECT_EQ(ToHex(stub_bytes),
            "5354524154414a0a02000100fecaad0b88776655443322110100000000000000"
            "000000040000000000f0ff030000000000f8ff07000000006f4cd0186f7baab0");
  SegmentHeader read;
  ASSERT_EQ(DecodeSegmentHeader(stub_bytes, read), HeaderState::kValid);
  EXPECT_TRUE(read.given_up);
  EXPECT_EQ(read.salt, stub.salt);
  EXPECT_EQ(read.durable, stub.durable);
  EXPECT_EQ(read.Promised(), 2 * header.segment_size + kSegmentHeaderBytes);

  // The same segment in a file that was another before: its frames have a salt of their own.
  SegmentHeader used = header;
  used.own_salt = true;
  const auto used_bytes = EncodeSegmentHeader(used);
  EXPECT_EQ(ToHex(used_bytes),
            "5354524154414a0a02000200efbeadde88776655443322110100000000000000"
            "000000040000000000f0ff03000000000000ff03000000006f4cd0182afe3486");
  ASSERT_EQ(DecodeSegmentHeader(used_bytes, read), HeaderState::kValid);
  EXPECT_TRUE(read.own_salt);
  EXPECT_FALSE(read.given_up);
  EXPECT_EQ(read.FrameSalt(), 0x163cb133u);
  EXPECT_EQ(header.FrameSalt(), header.salt);
}

TEST(JournalFormat, NamesSegmentsInHex) {
  EXPECT_EQ(SegmentName(0x2a), "000000000000002a.seg");
  EXPECT_EQ(ParseSegmentName("000000000000002a.seg"), 0x2au);
  for (const char* name : {"2a.seg", "000000000000002A.seg", "000000000000002a.tmp", "ffffffffffffffff.seg", "lock",
                           "00000000000000g0.seg"}) {
    EXPECT_EQ(ParseSegmentName(name), std::nullopt) << name;
  }
}

}  // namespace
}  // namespace strata::journal
