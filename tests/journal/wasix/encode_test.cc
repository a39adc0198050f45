// The bytes that are written are those that Wasmer's library writes.
#include "journal/wasix/encode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "journal/wasix/decode.h"
#include "tests/base/seed.h"
#include "tests/journal/wasix/fixtures.h"
#include "tests/journal/wasix/plain_decoder.h"
#include "tests/journal/wasix/random_entry.h"

namespace strata::journal::wasix {
namespace {

class WasixEncode : public ::testing::TestWithParam<std::string_view> {};

// A journal's torn tail is not part of its records.
TEST_P(WasixEncode, GivesTheBytesOfEachRecord) {
  STRATA_WASIX_FIXTURE(fixture, GetParam());
  FrameReader reader(fixture.bytes);
  std::size_t count = 0;
  for (Frame frame = reader.Next(); frame.kind == Frame::Kind::kRecord; frame = reader.Next(), ++count) {
    const auto entry = Decode(frame.header.type, frame.payload, frame.payload_position());
    ASSERT_TRUE(entry) << entry.error().ToString();
    std::vector<std::byte> bytes;
    ASSERT_TRUE(Encode(*entry, frame.position, bytes));
    EXPECT_EQ(EncodedSize(*entry, frame.position), bytes.size());
    EXPECT_EQ(ToHex(bytes), ToHex(ByteSpan(fixture.bytes).subspan(frame.position, frame.end() - frame.position)))
        << EntryName(frame.header.type) << " at " << frame.position;
  }
  EXPECT_EQ(count, fixture.lines.size());
}
INSTANTIATE_TEST_SUITE_P(Rkyv08, WasixEncode, ::testing::ValuesIn(kJournalsOf08), [](const auto& info) {
  std::string name(info.param);
  std::ranges::replace_if(name, [](char c) { return c == '/' || c == '-'; }, '_');
  return name;
});

// The example of docs/formats/wasix.md.
TEST(WasixEncode, TheExampleIsTheseBytes) {
  std::vector<std::byte> bytes(kMagic.begin(), kMagic.end());
  ASSERT_TRUE(Encode(CreateDirectoryV1{.fd = 3, .path = "/a"}, bytes.size(), bytes));
  ASSERT_TRUE(Encode(CloseFileDescriptorV1{.fd = 4}, bytes.size(), bytes));
  EXPECT_EQ(ToHex(bytes),
            "310d6dd027362979000e000000000018"
            "2f6100000000000003000000f4ffffff"
            "0200000000000000000b000000000008"
            "0400000000000000");
}

// Wasmer's library writes these with rkyv 0.7 as with rkyv 0.8.
TEST(WasixEncode, AJournalIsTheseBytes) {
  const std::string data = "hi\n";
  const std::vector<Entry> entries{
      CreateDirectoryV1{.fd = 3, .path = "/a"},
      OpenFileDescriptorV1{.fd = 4,
                           .dirfd = 3,
                           .path = "/a/f",
                           .o_flags = {OFlags::kCreate},
                           .fs_rights_base = {Rights::kAll},
                           .fs_rights_inheriting = {Rights::kAll},
                           .fs_flags = {}},
      FileDescriptorWriteV1{.fd = 4, .offset = 0, .data = AsBytes(data)},
      CloseFileDescriptorV1{.fd = 4},
      PathRenameV1{.old_fd = 3, .old_path = "/a/f", .new_fd = 3, .new_path = "/a/g"},
  };
  std::vector<std::byte> bytes(kMagic.begin(), kMagic.end());
  for (const Entry& entry : entries) ASSERT_TRUE(Encode(entry, bytes.size(), bytes));
  EXPECT_EQ(ToHex(bytes),
            "310d6dd027362979000e000000000018"
            "2f6100000000000003000000f4ffffff"
            "0200000000000000000a000000000030"
            "2f612f66000000000400000003000000"
            "0000000000000100ffffffff7f000000"
            "ffffffff7f000000d8ffffff04000000"
            "00060000000000280000000000000000"
            "68690a0000000000f8ffffff03000000"
            "00000000000000000400000000000000"
            "000b0000000000080400000000000000"
            "001a0000000000380000000000000000"
            "2f612f66000000000000000000000000"
            "2f612f670000000003000000e4ffffff"
            "0400000003000000e8ffffff04000000");
}

TEST(WasixEncode, AWriteInThreePiecesIsTheSameRecord) {
  const std::string text(100, 'd');
  for (std::size_t size = 0; size < text.size(); ++size) {
    for (std::uint64_t position = 0; position < 32; ++position) {
      const FileDescriptorWriteV1 write{
          .fd = 7, .offset = 1 << 20, .data = AsBytes(text).first(size), .is_64bit = true};
      std::vector<std::byte> whole;
      ASSERT_TRUE(Encode(write, position, whole));
      const auto frame = EncodeAround(write, position);
      ASSERT_TRUE(frame);
      std::vector<std::byte> pieces(frame->before().begin(), frame->before().end());
      EXPECT_EQ(position + pieces.size(), frame->data_position());
      EXPECT_EQ(frame->data_position() % 16, 0U);
      pieces.insert(pieces.end(), write.data.begin(), write.data.end());
      pieces.insert(pieces.end(), frame->after().begin(), frame->after().end());
      ASSERT_EQ(ToHex(pieces), ToHex(whole)) << size << " bytes at " << position;
    }
  }
}

TEST(WasixEncode, MoreThan32BitsReachIsRefused) {
  // Nothing reads the bytes: only their number matters.
  const std::byte byte{};
  const auto write = [&](std::uint64_t size) { return EncodeAround({.data = ByteSpan(&byte, size)}, 8).has_value(); };
  EXPECT_TRUE(write((std::uint64_t{1} << 31) - 16));
  EXPECT_FALSE(write((std::uint64_t{1} << 31) + 1));
  EXPECT_FALSE(write(std::uint64_t{1} << 32));
  std::vector<std::byte> bytes{std::byte{1}};
  const auto result = Encode(FileDescriptorWriteV1{.data = ByteSpan(&byte, std::uint64_t{1} << 32)}, 8, bytes);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Errc::kFileTooBig);
  EXPECT_EQ(bytes.size(), 1U);
}

TEST(WasixEncode, RandomEntriesComeBackAsTheyWere) {
  std::mt19937_64 random(SeedOfRun());
  for (int i = 0; i < 20'000; ++i) {
    const RandomEntry made(random);
    const std::uint64_t position = random() % (1 << 20) * 8;
    std::vector<std::byte> first, second;
    ASSERT_TRUE(Encode(made.entry(), position, first));
    ASSERT_EQ(first.size(), EncodedSize(made.entry(), position));
    ASSERT_EQ(first.size() % 8, 0U);
    const auto entry = Decode(TypeOf(made.entry()), ByteSpan(first).subspan(kHeaderBytes), position + kHeaderBytes);
    ASSERT_TRUE(entry) << entry.error().ToString();
    ASSERT_EQ(Flat(*entry), Flat(made.entry()));
    ASSERT_TRUE(Encode(*entry, position, second));
    ASSERT_EQ(first, second);
  }
}

TEST(WasixEncode, APlainDecoderReadsRandomRecordsOfTheFileSystem) {
  std::mt19937_64 random(SeedOfRun());
  int records = 0;
  while (records < 10'000) {
    const RandomEntry made(random);
    const auto number = static_cast<unsigned>(TypeOf(made.entry()));
    if (!plain::IsFileSystemRecord(number)) continue;
    ++records;
    const std::uint64_t position = random() % (1 << 20) * 8;
    std::vector<std::byte> bytes;
    ASSERT_TRUE(Encode(made.entry(), position, bytes));
    plain::Record record;
    ASSERT_TRUE(plain::Decode(std::string(AsText(bytes)), position, record));
    EXPECT_EQ(record.type, number);
    ASSERT_EQ(record.fields, Flat(made.entry())) << EntryName(TypeOf(made.entry()));
    for (const std::uint64_t at : record.positions_of_byte_strings) EXPECT_EQ(at % 16, 0U);
  }
}

}  // namespace
}  // namespace strata::journal::wasix
