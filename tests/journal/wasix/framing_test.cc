// Where the records of a journal lie, and what else can stand in their place.
#include "journal/wasix/framing.h"

#include <gtest/gtest.h>

#include "tests/journal/wasix/fixtures.h"

namespace strata::journal::wasix {
namespace {

using Kind = Frame::Kind;
using Torn = Frame::Torn;

constexpr const char* kMagicHex = "310d6dd027362979";
// A CloseFileDescriptorV1 of fd 4.
constexpr const char* kCloseHex = "000b000000000008 0400000000000000";

Frame FirstOf(std::string_view hex) {
  const auto bytes = FromHex(hex);
  return FrameReader(bytes).Next();
}

TEST(WasixFraming, AHeaderIsTheseBytes) {
  std::array<std::byte, kHeaderBytes> bytes{};
  EncodeHeader({.type = EntryType::kPathRenameV1, .payload_size = 0x0102030405f6}, bytes.data());
  EXPECT_EQ(ToHex(bytes), "001a0102030405f6");
  const RecordHeader header = DecodeHeader(bytes.data());
  EXPECT_EQ(header.type, EntryType::kPathRenameV1);
  EXPECT_EQ(header.payload_size, 0x0102030405f6U);
}

TEST(WasixFraming, TheBeginningTellsWhatAFileIs) {
  const auto magic = FromHex(kMagicHex);
  EXPECT_EQ(CheckBeginning({}), Beginning::kEmpty);
  for (std::size_t size = 1; size < 8; ++size) {
    EXPECT_EQ(CheckBeginning(ByteSpan(magic).first(size)), Beginning::kCutShort) << size;
    EXPECT_EQ(CheckBeginning(std::vector<std::byte>(size)), Beginning::kCutShort) << size;
  }
  EXPECT_EQ(CheckBeginning(magic), Beginning::kMagic);
  EXPECT_EQ(CheckBeginning(FromHex(std::string(kMagicHex) + "00")), Beginning::kMagic);
  EXPECT_EQ(CheckBeginning(FromHex("790d6dd027362979")), Beginning::kWrongMagic);
  EXPECT_EQ(CheckBeginning(FromHex("0000000000000000")), Beginning::kWrongMagic);
}

TEST(WasixFraming, AFileOfFewBytesHasNoRecord) {
  const auto magic = FromHex(kMagicHex);
  EXPECT_EQ(FirstOf("").kind, Kind::kEnd);
  for (std::size_t size = 1; size < 8; ++size) {
    const auto bytes = Copy(ByteSpan(magic).first(size));
    const Frame frame = FrameReader(bytes).Next();
    EXPECT_EQ(frame.kind, Kind::kTornTail);
    EXPECT_EQ(frame.torn, Torn::kShortHeader);
    EXPECT_EQ(frame.position, 0U);
  }
  const Frame end = FirstOf(kMagicHex);
  EXPECT_EQ(end.kind, Kind::kEnd);
  EXPECT_EQ(end.position, 8U);
}

TEST(WasixFraming, MagicsAreSkippedWhereverAHeaderMayStand) {
  const auto bytes = FromHex(std::string(kMagicHex) + kMagicHex + kCloseHex + kMagicHex + kCloseHex + kMagicHex);
  FrameReader reader(bytes);
  for (const std::uint64_t position : {16U, 40U}) {
    const Frame frame = reader.Next();
    EXPECT_EQ(frame.kind, Kind::kRecord);
    EXPECT_EQ(frame.position, position);
    EXPECT_EQ(frame.payload_position(), position + 8);
    EXPECT_EQ(frame.end(), position + 16);
    EXPECT_EQ(frame.header.type, EntryType::kCloseFileDescriptorV1);
    EXPECT_EQ(ToHex(frame.payload), "0400000000000000");
  }
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(reader.Next().kind, Kind::kEnd);
    EXPECT_EQ(reader.position(), bytes.size());
  }
}

TEST(WasixFraming, RecordsWithoutAPayloadAreRecords) {
  const Frame frame = FirstOf("003c000000000000");
  EXPECT_EQ(frame.kind, Kind::kRecord);
  EXPECT_TRUE(frame.payload.empty());
  EXPECT_EQ(frame.end(), 8U);
}

TEST(WasixFraming, AHeaderOfZerosIsATornTail) {
  const auto bytes = FromHex(std::string(kMagicHex) + "0000000000000000 6a756e6b");
  FrameReader reader(bytes);
  for (int i = 0; i < 2; ++i) {
    const Frame frame = reader.Next();
    EXPECT_EQ(frame.kind, Kind::kTornTail);
    EXPECT_EQ(frame.torn, Torn::kZeroHeader);
    EXPECT_EQ(frame.position, 8U);
  }
}

TEST(WasixFraming, APayloadPastTheEndIsATornTail) {
  for (const char* size : {"000000000010", "000000000009", "7fffffffffff", "ffffffffffff"}) {
    const Frame frame = FirstOf(std::string(kMagicHex) + "000b" + size + "0400000000000000");
    EXPECT_EQ(frame.kind, Kind::kTornTail) << size;
    EXPECT_EQ(frame.torn, Torn::kPayloadPastEnd) << size;
    EXPECT_EQ(frame.position, 8U);
    EXPECT_TRUE(frame.payload.empty());
  }
}

TEST(WasixFraming, UnknownTypesAreReportedAndCanBeSkipped) {
  for (const char* type : {"0008", "0041", "310d", "ffff", "0000"}) {
    const auto bytes = FromHex(std::string(type) + "000000000008 0000000000000000" + kCloseHex);
    FrameReader reader(bytes);
    for (int i = 0; i < 2; ++i) {
      const Frame frame = reader.Next();
      EXPECT_EQ(frame.kind, Kind::kUnknownType) << type;
      EXPECT_EQ(frame.position, 0U);
      EXPECT_EQ(frame.end(), 16U);
    }
    const Frame unknown = reader.Next();
    EXPECT_TRUE(reader.Skip(unknown));
    EXPECT_FALSE(reader.Skip(unknown)) << "it lies behind";
    const Frame frame = reader.Next();
    EXPECT_EQ(frame.kind, Kind::kRecord);
    EXPECT_EQ(frame.position, 16U);
    EXPECT_FALSE(reader.Skip(frame));
  }
}

TEST(WasixFraming, AnUnknownTypePastTheEndCannotBeSkipped) {
  for (const char* size : {"000000000009", "ffffffffffff"}) {
    const auto bytes = FromHex(std::string("0041") + size + "0000000000000000");
    FrameReader reader(bytes);
    const Frame frame = reader.Next();
    EXPECT_EQ(frame.kind, Kind::kUnknownType);
    EXPECT_FALSE(reader.Skip(frame));
    EXPECT_EQ(reader.position(), 0U);
  }
}

TEST(WasixFraming, ASizeThatIsNoMultipleOf8IsReportedAndRead) {
  const auto bytes = FromHex(std::string("001b000000000003 616263") + kCloseHex);
  FrameReader reader(bytes);
  Frame frame = reader.Next();
  EXPECT_EQ(frame.kind, Kind::kRecord);
  EXPECT_TRUE(frame.odd_size);
  EXPECT_EQ(ToHex(frame.payload), "616263");
  frame = reader.Next();
  EXPECT_EQ(frame.kind, Kind::kRecord);
  EXPECT_FALSE(frame.odd_size);
  EXPECT_EQ(frame.position, 11U);
}

TEST(WasixFraming, AWindowIsToldFromTheFile) {
  const auto bytes = FromHex(std::string(kMagicHex) + kCloseHex + kCloseHex);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto window = Copy(ByteSpan(bytes).first(size));
    FrameReader reader(window, 0, bytes.size());
    Frame frame = reader.Next();
    while (frame.kind == Kind::kRecord) frame = reader.Next();
    EXPECT_EQ(frame.kind, Kind::kBeyondWindow) << size;
    EXPECT_EQ(frame.position, size < 8 ? 0 : size < 24 ? 8U : 24U) << size;
    // It goes on from there with another window.
    const auto rest = Copy(ByteSpan(bytes).subspan(frame.position));
    FrameReader next(rest, frame.position, bytes.size());
    frame = next.Next();
    EXPECT_EQ(frame.kind, Kind::kRecord);
    EXPECT_EQ(frame.position, size < 24 ? 8U : 24U);
  }
}

TEST(WasixFraming, EveryCutOfAJournalEndsOrIsTorn) {
  STRATA_WASIX_FIXTURE(fixture, "rkyv08/every-record");
  const std::size_t whole = RecordsOf(fixture.bytes).size();
  for (std::size_t size = 0; size < fixture.bytes.size(); ++size) {
    FrameReader reader(ByteSpan(fixture.bytes).first(size));
    std::size_t records = 0;
    Frame frame = reader.Next();
    for (; frame.kind == Kind::kRecord; frame = reader.Next()) ++records;
    EXPECT_LT(records, whole);
    EXPECT_EQ(frame.kind, frame.position == size ? Kind::kEnd : Kind::kTornTail) << size;
  }
}

TEST(WasixFraming, TheTornFixturesAreTornWhereWasmerStopped) {
  const auto last = [](const Fixture& fixture) {
    FrameReader reader(fixture.bytes);
    Frame frame = reader.Next();
    while (frame.kind == Kind::kRecord) frame = reader.Next();
    return frame;
  };
  for (const std::string era : {"rkyv08", "rkyv07"}) {
    for (const auto& [name, torn] :
         {std::pair("torn-in-header", Torn::kShortHeader), std::pair("torn-in-payload", Torn::kPayloadPastEnd),
          std::pair("zero-header", Torn::kZeroHeader)}) {
      STRATA_WASIX_FIXTURE(fixture, era + "/" + name);
      const Frame frame = last(fixture);
      EXPECT_EQ(frame.kind, Kind::kTornTail) << name;
      EXPECT_EQ(frame.torn, torn) << name;
      EXPECT_EQ(frame.position, fixture.lines.back()["end"]) << name;
    }
  }
}

}  // namespace
}  // namespace strata::journal::wasix
