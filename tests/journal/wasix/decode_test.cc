// What Wasmer's library wrote is read as that library reads it; what is no record is refused.
#include "journal/wasix/decode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <lz4.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <regex>

#include "journal/wasix/encode.h"
#include "journal/wasix/framing.h"
#include "journal/wasix/json.h"
#include "tests/journal/wasix/fixtures.h"

namespace strata::journal::wasix {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

// What the fixtures have in the place of a byte string. Base64 and LZ4 are decoded without the code that is tested.
json Summary(const std::string& packed) {
  std::string bytes(packed.size() / 4 * 3 + 1, '\0');
  const int size =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                      reinterpret_cast<const unsigned char*>(packed.data()), static_cast<int>(packed.size()));
  EXPECT_GT(size, 4) << packed;
  if (size <= 4) return nullptr;
  const auto padding = static_cast<std::size_t>(std::count(packed.end() - 2, packed.end(), '='));
  std::uint32_t raw_size = 0;
  std::memcpy(&raw_size, bytes.data(), sizeof raw_size);
  std::string raw(raw_size + 1, '\0');
  EXPECT_EQ(LZ4_decompress_safe(bytes.data() + 4, raw.data(), size - 4 - static_cast<int>(padding),
                                static_cast<int>(raw_size)),
            static_cast<int>(raw_size));
  raw.resize(raw_size);
  std::array<std::byte, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(raw.data()), raw.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  json summary{{"len", raw.size()}, {"sha256", ToHex(digest)}};
  if (raw.size() <= 64) summary["hex"] = ToHex(AsBytes(raw));
  return summary;
}

json Summarized(const Entry& entry) {
  const auto text = WriteJson(entry, JsonStyle::kLine);
  EXPECT_TRUE(text) << text.error().ToString();
  json result = json::parse(text.value_or("null"));
  if (!result.is_object()) return result;
  for (auto& [name, value] : result.begin().value().items()) {
    if (name == "data" || name == "compressed_data" || name.ends_with("_stack") || name == "store_data") {
      value = Summary(value.get<std::string>());
    }
  }
  return result;
}

// Wasmer's older JSON with the newer names.
json Newer(json entry) {
  if (!entry.is_object()) return entry;
  const std::string name = entry.begin().key();
  json& fields = entry.begin().value();
  if (name == "create_pipe_v1" && fields.contains("fd1"))
    fields = {{"read_fd", fields["fd1"]}, {"write_fd", fields["fd2"]}};
  if (name == "set_thread_v1") fields["layout"].erase("tls_base");
  if (name == "snapshot_v1") {
    std::string trigger;
    for (const char c : fields["trigger"].get<std::string>()) {
      if (std::isupper(static_cast<unsigned char>(c)) != 0 && !trigger.empty()) trigger += '-';
      trigger += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    fields["trigger"] = trigger;
  }
  return entry;
}

class WasixJournal : public ::testing::TestWithParam<std::string_view> {};

TEST_P(WasixJournal, IsReadAsWasmerReadsIt) {
  STRATA_WASIX_FIXTURE(fixture, GetParam());
  FrameReader reader(fixture.bytes);
  std::size_t count = 0;
  for (Frame frame = reader.Next(); frame.kind == Frame::Kind::kRecord; frame = reader.Next(), ++count) {
    ASSERT_LT(count, fixture.lines.size());
    const json& line = fixture.lines[count];
    EXPECT_EQ(frame.payload_position(), line["start"]) << count;
    EXPECT_EQ(frame.end(), line["end"]) << count;
    EXPECT_FALSE(frame.odd_size);
    const auto entry = Decode(frame.header.type, frame.payload, frame.payload_position());
    ASSERT_TRUE(entry) << entry.error().ToString();
    EXPECT_EQ(TypeOf(*entry), frame.header.type);
    EXPECT_EQ(Summarized(*entry), Newer(line["entry"])) << count;
  }
  EXPECT_EQ(count, fixture.lines.size());
}
const auto kName = [](const auto& info) {
  return std::regex_replace(std::string(info.param), std::regex("[^a-z0-9]"), "_");
};
INSTANTIATE_TEST_SUITE_P(Rkyv08, WasixJournal, ::testing::ValuesIn(kJournalsOf08), kName);
INSTANTIATE_TEST_SUITE_P(Rkyv07, WasixJournal, ::testing::ValuesIn(kJournalsOf07), kName);

// The number behind "offset" in a message.
std::uint64_t OffsetIn(const Status& status) {
  std::smatch match;
  const std::string message(status.message());
  static const std::regex kOffset("offset ([0-9]+):");
  return std::regex_search(message, match, kOffset) ? std::stoull(match[1]) : 0;
}

// An entry whose bytes can all be read, or an error that says where.
void ExpectEntryOrError(EntryType type, const std::vector<std::byte>& payload, std::uint64_t position) {
  const auto entry = Decode(type, payload, position);
  if (entry) {
    std::vector<std::byte> bytes;
    EXPECT_TRUE(Encode(*entry, position - kHeaderBytes, bytes));
    return;
  }
  EXPECT_EQ(entry.error().code(), Errc::kCorrupt);
  EXPECT_THAT(entry.error().message(), HasSubstr(EntryName(type)));
  const std::uint64_t offset = OffsetIn(entry.error());
  EXPECT_GE(offset, position) << entry.error().ToString();
  EXPECT_LE(offset, position + payload.size()) << entry.error().ToString();
}

TEST(WasixDecode, AFlippedByteGivesAnEntryOrAnErrorWithItsOffset) {
  for (const char* name : {"rkyv08/every-record", "rkyv07/every-record"}) {
    STRATA_WASIX_FIXTURE(fixture, name);
    for (const Record& record : RecordsOf(fixture.bytes)) {
      for (std::size_t i = 0; i < record.payload.size(); ++i) {
        for (const unsigned mask : {0x01U, 0x80U, 0xffU}) {
          auto payload = Copy(record.payload);
          payload[i] ^= static_cast<std::byte>(mask);
          ExpectEntryOrError(record.type, payload, record.position);
        }
      }
    }
  }
}

TEST(WasixDecode, APayloadCutShortGivesAnEntryOrAnErrorWithItsOffset) {
  STRATA_WASIX_FIXTURE(fixture, "rkyv08/every-record");
  for (const Record& record : RecordsOf(fixture.bytes)) {
    for (std::size_t size = 0; size < record.payload.size(); ++size) {
      ExpectEntryOrError(record.type, Copy(ByteSpan(record.payload).first(size)), record.position);
      ExpectEntryOrError(record.type, Copy(ByteSpan(record.payload).subspan(record.payload.size() - size)),
                         record.position);
    }
  }
}

TEST(WasixDecode, AnyPayloadOfAnyTypeGivesAnEntryOrAnError) {
  for (unsigned type = 1; type <= 64; ++type) {
    if (!IsKnown(EntryType(type))) continue;
    for (std::size_t size = 0; size <= 160; ++size) {
      for (const unsigned fill : {0x00U, 0x01U, 0x02U, 0x7fU, 0x80U, 0xffU}) {
        ExpectEntryOrError(EntryType(type), std::vector<std::byte>(size, std::byte(fill)), 4096);
      }
    }
  }
}

TEST(WasixDecode, ANumberThatIsNoTypeIsNotSupported) {
  for (const unsigned type : {0U, 8U, 65U, 12557U, 65535U}) {
    const auto entry = Decode(EntryType(type), {}, 16);
    ASSERT_FALSE(entry);
    EXPECT_EQ(entry.error().code(), Errc::kNotSupported);
    EXPECT_EQ(OffsetIn(entry.error()), 16U);
  }
}

// The payload of a CreateDirectoryV1: `before` and a root with that reference.
std::vector<std::byte> Directory(std::size_t before, std::int32_t distance, std::uint32_t size) {
  std::vector<std::byte> payload(before + 16, std::byte{'x'});
  StoreLe(payload.data() + before, std::uint32_t{3});
  StoreLe(payload.data() + before + 4, distance);
  StoreLe(payload.data() + before + 8, size);
  return payload;
}

TEST(WasixDecode, ByteStringsLieBetweenTheBeginningOfThePayloadAndTheRoot) {
  const auto decode = [](std::int32_t distance, std::uint32_t size) {
    static std::vector<std::byte> payload;
    payload = Directory(16, distance, size);
    return Decode(EntryType::kCreateDirectoryV1, payload, 1000);
  };
  // The reference itself lies at 20.
  const auto whole = decode(-20, 16);
  ASSERT_TRUE(whole) << whole.error().ToString();
  EXPECT_EQ(std::get<CreateDirectoryV1>(*whole).path, std::string(16, 'x'));
  EXPECT_TRUE(decode(-4, 0)) << "no bytes, at the root";
  EXPECT_TRUE(decode(-20, 0));
  for (const auto& [distance, size] :
       std::vector<std::pair<std::int32_t, std::uint32_t>>{{-21, 0},
                                                           {-21, 1},
                                                           {-20, 17},
                                                           {-4, 1},
                                                           {-3, 0},
                                                           {0, 0},
                                                           {0, 4},
                                                           {8, 4},
                                                           {12, 1},
                                                           {-20, 0xffff'ffff},
                                                           {-20, 0x8000'0000},
                                                           {std::numeric_limits<std::int32_t>::min(), 4},
                                                           {std::numeric_limits<std::int32_t>::max(), 4},
                                                           {std::numeric_limits<std::int32_t>::max(), 0xffff'ffff}}) {
    const auto entry = decode(distance, size);
    ASSERT_FALSE(entry) << distance << ' ' << size;
    EXPECT_EQ(entry.error().code(), Errc::kCorrupt);
    EXPECT_THAT(entry.error().message(), HasSubstr("create_directory_v1, offset 1020: path "));
  }
}

TEST(WasixDecode, ByteStringsMayOverlap) {
  // Both paths of a rename are the same bytes.
  auto payload = FromHex("2f61626300000000 03000000 f4ffffff 04000000 03000000 eaffffff 02000000");
  const auto entry = Decode(EntryType::kPathRenameV1, payload, 0);
  ASSERT_TRUE(entry) << entry.error().ToString();
  EXPECT_EQ(std::get<PathRenameV1>(*entry).old_path, "/abc");
  EXPECT_EQ(std::get<PathRenameV1>(*entry).new_path, "bc");
}

Result<Entry> DecodeRoot(EntryType type, std::string_view hex) { return Decode(type, FromHex(hex), 0); }

TEST(WasixDecode, BothErasUnknownEnumeratorsAreRecognised) {
  const auto seek = [](const std::string& whence) {
    return DecodeRoot(EntryType::kFileDescriptorSeekV1, "05000000" + whence + "000000 0000000000000000");
  };
  for (const char* unknown : {"ff", "03"}) {
    ASSERT_TRUE(seek(unknown));
    EXPECT_EQ(std::get<FileDescriptorSeekV1>(*seek(unknown)).whence, Whence::kUnknown);
  }
  EXPECT_FALSE(seek("04"));
  EXPECT_FALSE(seek("fe"));
  const auto clock = [](const std::string& id) {
    return DecodeRoot(EntryType::kSetClockTimeV1, id + "00000000000000 0000000000000000");
  };
  for (const char* unknown : {"ff", "04"})
    EXPECT_EQ(std::get<SetClockTimeV1>(*clock(unknown)).clock_id, ClockId::kUnknown);
  EXPECT_FALSE(clock("05"));
  const auto advise = [](const std::string& advice) {
    return DecodeRoot(EntryType::kFileDescriptorAdviseV1,
                      "04000000 00000000 0000000000000000 0000000000000000" + advice + "00000000000000");
  };
  for (const char* unknown : {"ff", "06"}) {
    EXPECT_EQ(std::get<FileDescriptorAdviseV1>(*advise(unknown)).advice, Advice::kUnknown);
  }
  EXPECT_FALSE(advise("07"));
  const auto epoll = [](const std::string& op) {
    return DecodeRoot(EntryType::kEpollCtlV1, "14000000" + op + "000000 04000000 00000000" + std::string(80, '0'));
  };
  EXPECT_EQ(std::get<EpollCtlV1>(*epoll("03")).op, EpollOp::kUnknown);
  EXPECT_FALSE(epoll("ff")) << "this one has no other number";
}

TEST(WasixDecode, WrongTagsAndBoolsAreRefused) {
  const auto exit = [](const std::string& option, const std::string& code) {
    return DecodeRoot(EntryType::kProcessExitV1, option + "000000" + code + "000900 89000000 00000000");
  };
  EXPECT_FALSE(std::get<ProcessExitV1>(*exit("00", "07")).exit_code.has_value()) << "nothing is read behind a none";
  EXPECT_EQ(std::get<ProcessExitV1>(*exit("01", "00")).exit_code, ExitCode(ErrnoExit{.code = 9}));
  EXPECT_EQ(std::get<ProcessExitV1>(*exit("01", "01")).exit_code, ExitCode(OtherExit{.code = 137}));
  EXPECT_FALSE(exit("02", "00"));
  EXPECT_FALSE(exit("01", "02"));
  const auto duplicate = [](const std::string& cloexec) {
    return DecodeRoot(EntryType::kDuplicateFileDescriptorV2, "04000000 0c000000" + cloexec + "00000000000000");
  };
  EXPECT_TRUE(std::get<DuplicateFileDescriptorV2>(*duplicate("01")).cloexec);
  EXPECT_FALSE(std::get<DuplicateFileDescriptorV2>(*duplicate("00")).cloexec);
  EXPECT_FALSE(duplicate("02"));
  EXPECT_FALSE(duplicate("ff"));
  const auto address = [](const std::string& tag) {
    return DecodeRoot(EntryType::kPortDelAddrV1, tag + "0a010203" + std::string(38, '0'));
  };
  EXPECT_EQ(std::get<PortDelAddrV1>(*address("00")).addr, IpAddress(Ipv4Address{10, 1, 2, 3}));
  EXPECT_FALSE(address("02"));
}

TEST(WasixDecode, TheHashOfAModuleMayStandByItself) {
  const auto bare = FromHex("6d25cf734c49a1dd");
  const auto entry = Decode(EntryType::kInitModuleV1, bare, 16);
  ASSERT_TRUE(entry) << entry.error().ToString();
  EXPECT_EQ(ToHex(std::get<InitModuleV1>(*entry).wasm_hash.bytes), "6d25cf734c49a1dd");
}

TEST(WasixDecode, ByteStringsReferToThePayload) {
  const auto payload = FromHex("68690a0000000000 f8ffffff03000000 0000000000000000 0400000000000000");
  const auto entry = Decode(EntryType::kFileDescriptorWriteV1, payload, 112);
  ASSERT_TRUE(entry);
  EXPECT_EQ(std::get<FileDescriptorWriteV1>(*entry).data.data(), payload.data());
}

}  // namespace
}  // namespace strata::journal::wasix
