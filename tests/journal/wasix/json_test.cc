// The JSON of records: Wasmer's text, both ways, and text that is none.
#include "journal/wasix/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory_resource>

#include "journal/wasix/decode.h"
#include "journal/wasix/encode.h"
#include "tests/base/seed.h"
#include "tests/journal/wasix/fixtures.h"
#include "tests/journal/wasix/random_entry.h"

namespace strata::journal::wasix {
namespace {

using ::testing::HasSubstr;

std::string Line(const Entry& entry) {
  const auto text = WriteJson(entry, JsonStyle::kLine);
  return text ? *text : text.error().ToString();
}

class Read {
 public:
  explicit Read(std::string_view text) : entry_(ReadJson(text, arena_)) {}
  bool ok() const { return entry_.has_value(); }
  const Entry& entry() const { return *entry_; }
  std::string error() const { return ok() ? "(none)" : std::string(entry_.error().message()); }
  Errc code() const { return entry_.error().code(); }

 private:
  std::pmr::monotonic_buffer_resource arena_;
  Result<Entry> entry_;
};

TEST(WasixJson, EveryRecordOfTheFixturesComesBack) {
  for (const auto& names : {std::span<const std::string_view>(kJournalsOf08), {kJournalsOf07}}) {
    for (const std::string_view name : names) {
      STRATA_WASIX_FIXTURE(fixture, name);
      for (const Record& record : RecordsOf(fixture.bytes)) {
        const auto entry = Decode(record.type, record.payload, record.position);
        ASSERT_TRUE(entry);
        for (const JsonStyle style : {JsonStyle::kPretty, JsonStyle::kLine}) {
          const auto text = WriteJson(*entry, style);
          ASSERT_TRUE(text);
          const Read read(*text);
          ASSERT_TRUE(read.ok()) << read.error() << ": " << *text;
          EXPECT_EQ(Flat(read.entry()), Flat(*entry)) << *text;
          EXPECT_EQ(TypeOf(read.entry()), record.type);
        }
      }
    }
  }
}

TEST(WasixJson, TheFieldsStandInWasmersOrder) {
  EXPECT_EQ(WriteJson(FileDescriptorWriteV1{.fd = 4, .offset = 0, .data = AsBytes("hi\n")}, JsonStyle::kPretty).value(),
            "{\n"
            "  \"file_descriptor_write_v1\": {\n"
            "    \"fd\": 4,\n"
            "    \"offset\": 0,\n"
            "    \"data\": \"AwAAADBoaQo=\",\n"
            "    \"is_64bit\": false\n"
            "  }\n"
            "}");
  EXPECT_EQ(Line(OpenFileDescriptorV2{.fd = 4, .dirfd = 3, .dirflags = 1, .path = "/a", .o_flags = {9}}),
            R"({"open_file_descriptor_v2":{"fd":4,"dirfd":3,"dirflags":1,"path":"/a","o_flags":{"bits":9},)"
            R"("fs_rights_base":{"bits":0},"fs_rights_inheriting":{"bits":0},"fs_flags":{"bits":0},)"
            R"("fd_flags":{"bits":0}}})");
  EXPECT_EQ(Line(CreateSymbolicLinkV1{.old_path = "a", .fd = 3, .new_path = "b"}),
            R"({"create_symbolic_link_v1":{"old_path":"a","fd":3,"new_path":"b"}})");
  EXPECT_EQ(Line(SnapshotV1{.when = {1, 2}, .trigger = SnapshotTrigger::kFirstListen}),
            R"({"snapshot_v1":{"when":{"secs_since_epoch":1,"nanos_since_epoch":2},"trigger":"first-listen"}})");
  EXPECT_EQ(Line(FileDescriptorSeekV1{.fd = 1, .offset = -1, .whence = Whence::kUnknown}),
            R"({"file_descriptor_seek_v1":{"fd":1,"offset":-1,"whence":"Unknown"}})");
  EXPECT_EQ(Line(FileDescriptorWriteV1{}),
            R"({"file_descriptor_write_v1":{"fd":0,"offset":0,"data":"AAAAAAA=","is_64bit":false}})");
}

TEST(WasixJson, RecordsWithoutFieldsAreStrings) {
  EXPECT_EQ(Line(PortAddrClearV1{}), R"("port_addr_clear_v1")");
  EXPECT_EQ(WriteJson(ClearEtherealV1{}, JsonStyle::kPretty).value(), R"("clear_ethereal_v1")");
  for (const char* name :
       {"port_addr_clear_v1", "port_unbridge_v1", "port_dhcp_acquire_v1", "port_route_clear_v1", "clear_ethereal_v1"}) {
    for (const std::string& text : {'"' + std::string(name) + '"', "{\"" + std::string(name) + "\": null}"}) {
      const Read read(text);
      ASSERT_TRUE(read.ok()) << read.error();
      EXPECT_EQ(EntryName(TypeOf(read.entry())), name);
    }
    EXPECT_FALSE(Read("{\"" + std::string(name) + "\": {}}").ok());
  }
  EXPECT_FALSE(Read(R"("close_file_descriptor_v1")").ok());
}

TEST(WasixJson, NamesOfOlderReleasesAreRead) {
  const Read pipe(R"({"create_pipe_v1":{"fd1":21,"fd2":22}})");
  ASSERT_TRUE(pipe.ok()) << pipe.error();
  EXPECT_EQ(std::get<CreatePipeV1>(pipe.entry()).write_fd, 22U);
  for (const char* trigger : {"PeriodicInterval", "periodic-interval"}) {
    const Read snapshot(R"({"snapshot_v1":{"when":{"secs_since_epoch":1,"nanos_since_epoch":2},"trigger":")" +
                        std::string(trigger) + "\"}}");
    ASSERT_TRUE(snapshot.ok()) << snapshot.error();
    EXPECT_EQ(std::get<SnapshotV1>(snapshot.entry()).trigger, SnapshotTrigger::kPeriodicInterval);
  }
}

TEST(WasixJson, FieldsThatARecordHasNotArePassedOver) {
  const Read read(R"({"close_file_descriptor_v1":{"fd":4,"tls_base":null}})");
  ASSERT_TRUE(read.ok()) << read.error();
  EXPECT_EQ(Line(read.entry()), R"({"close_file_descriptor_v1":{"fd":4}})");
}

TEST(WasixJson, AddressesAreTextAsInRust) {
  Ipv6Address ip{0xfe, 0x80};
  ip[15] = 1;
  const Entry entry = SocketBindV1{.fd = 1, .addr = SocketAddressV6{.ip = ip, .port = 443, .scope_id = 3}};
  EXPECT_EQ(Line(entry), R"({"socket_bind_v1":{"fd":1,"addr":"[fe80::1%3]:443"}})");
  EXPECT_EQ(Flat(Read(Line(entry)).entry()), Flat(entry));
  for (const char* address : {"127.0.0.1:0", "[::]:65535", "[::ffff:1.2.3.4]:1"}) {
    const Read read(R"({"socket_bind_v1":{"fd":1,"addr":")" + std::string(address) + "\"}}");
    ASSERT_TRUE(read.ok()) << read.error();
    EXPECT_THAT(Line(read.entry()), HasSubstr(address));
  }
  for (const char* address : {"", "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536", "1.2.3.4:-1", "1.2.3.4:+1", "1.2.3.4: 1",
                              ":1", "::1:1", "[::1]", "[::1]1", "[::1]:", "[::1:1", "[::1%]:1", "[::1%x]:1",
                              "[1.2.3.4]:1", "1.2.3.4\\u0000:1", "1.2.3.4:1\\u0000", "host:1"}) {
    EXPECT_FALSE(Read(R"({"socket_bind_v1":{"fd":1,"addr":")" + std::string(address) + "\"}}").ok()) << address;
  }
}

TEST(WasixJson, ProtocolsHaveTheNamesThatWasmerSpellsOut) {
  for (const auto& [number, name] :
       {std::pair(6, "Tcp"), std::pair(3, "ProtoThree"), std::pair(97, "ProtoNineetyseven"),
        std::pair(144, "ProtoOnehundredandfourtyfour"), std::pair(263, "Max")}) {
    const Entry entry = SocketOpenV1{.pt = SocketProtocol(number)};
    EXPECT_THAT(Line(entry), HasSubstr("\"" + std::string(name) + "\""));
    EXPECT_EQ(Flat(Read(Line(entry)).entry()), Flat(entry));
  }
  const Entry nameless = SocketOpenV1{.pt = SocketProtocol(264)};
  EXPECT_THAT(Line(nameless), HasSubstr("\"pt\":264"));
  EXPECT_EQ(Flat(Read(Line(nameless)).entry()), Flat(nameless));
}

TEST(WasixJson, PathsThatAreNoUtf8LoseThoseBytes) {
  EXPECT_EQ(Line(ChangeDirectoryV1{.path = "/a\xff/b"}), "{\"change_directory_v1\":{\"path\":\"/a\xef\xbf\xbd/b\"}}");
}

TEST(WasixJson, RandomEntriesComeBackAsTheirText) {
  std::mt19937_64 random(SeedOfRun());
  for (int i = 0; i < 5'000; ++i) {
    const RandomEntry made(random);
    const std::string text = Line(made.entry());
    const Read read(text);
    ASSERT_TRUE(read.ok()) << read.error() << ": " << text;
    ASSERT_EQ(Line(read.entry()), text);
  }
}

TEST(WasixJson, TextThatIsNoEntryIsRefused) {
  for (const char* text : {"", "{", "null", "1", "[]", "{}", "\"\"", "\"no_such_record\"", R"({"no_such_record":{}})",
                           R"({"close_file_descriptor_v1":{"fd":4}} {})", R"({"close_file_descriptor_v1":[4]})",
                           R"({"close_file_descriptor_v1":{"fd":4},"unlink_file_v1":{}})", "\"\\ud800\"", "\"\xff\""}) {
    const Read read(text);
    ASSERT_FALSE(read.ok()) << text;
    EXPECT_EQ(read.code(), Errc::kInvalid);
  }
  const auto fd = [](const std::string& value) {
    return Read("{\"close_file_descriptor_v1\":{\"fd\":" + value + "}}");
  };
  EXPECT_TRUE(fd("4294967295").ok());
  for (const char* value :
       {"4294967296", "-1", "1.0", "1e3", "18446744073709551616", "1e999", "\"4\"", "null", "true", "[]", "{}"}) {
    const Read read = fd(value);
    ASSERT_FALSE(read.ok()) << value;
    EXPECT_EQ(read.code(), Errc::kInvalid);
  }
  EXPECT_THAT(fd("-1").error(), HasSubstr("close_file_descriptor_v1: \"fd\" is out of range"));
  EXPECT_THAT(Read(R"({"unlink_file_v1":{"fd":4}})").error(), HasSubstr("\"path\" is missing"));
  EXPECT_THAT(Read(R"({"unlink_file_v1":{"fd":4,"path":4}})").error(), HasSubstr("\"path\" is no string"));
  EXPECT_FALSE(Read(R"({"file_descriptor_seek_v1":{"fd":4,"offset":0,"whence":"set"}})").ok());
  EXPECT_FALSE(Read(R"({"file_descriptor_seek_v1":{"fd":4,"offset":9223372036854775808,"whence":"Set"}})").ok());
  EXPECT_TRUE(Read(R"({"file_descriptor_seek_v1":{"fd":4,"offset":-9223372036854775808,"whence":"Set"}})").ok());
  EXPECT_FALSE(Read(R"({"process_exit_v1":{"exit_code":2147483648}})").ok());
  EXPECT_TRUE(Read(R"({"process_exit_v1":{}})").ok()) << "an option may be missing";
  EXPECT_FALSE(Read(R"({"init_module_v1":{"wasm_hash":[1,256]}})").ok());
  EXPECT_FALSE(Read(R"({"init_module_v1":{"wasm_hash":"AQ=="}})").ok());
  EXPECT_FALSE(Read(R"({"epoll_ctl_v1":{"epfd":1,"op":"Add","fd":2,"event":{"ptr":1}}})").ok());
}

TEST(WasixJson, DeepTextIsRefused) {
  constexpr int kDepth = 100'000;
  EXPECT_FALSE(Read(std::string(kDepth, '[')).ok());
  EXPECT_FALSE(Read(std::string(kDepth, '[') + std::string(kDepth, ']')).ok());
  const std::string nested = std::string(kDepth, '[') + std::string(kDepth, ']');
  EXPECT_FALSE(Read("{\"close_file_descriptor_v1\":{\"fd\":" + nested + "}}").ok());
  EXPECT_TRUE(Read("{\"close_file_descriptor_v1\":{\"fd\":1,\"more\":" + nested + "}}").ok());
}

Read WithData(const std::string& data) {
  return Read(R"({"file_descriptor_write_v1":{"fd":4,"offset":0,"is_64bit":false,"data":")" + data + "\"}}");
}

TEST(WasixJson, BytesThatAreWronglyPackedAreRefused) {
  const Read whole = WithData("AwAAADBoaQo=");
  ASSERT_TRUE(whole.ok()) << whole.error();
  EXPECT_EQ(AsText(std::get<FileDescriptorWriteV1>(whole.entry()).data), "hi\n");
  for (const char* data : {
           "",
           "AwAAADBoaQo",    // no padding
           "AwAAADBoaQp=",   // bits left over
           "AwAAADBoaQo==",  // too much padding
           "AwAAADBoaQ=o",   // padding within
           "AwAAADBo aQo=",  // a space
           "AwAAADBoaQ_=",   // of another alphabet
           "====",
           "A===",
           "AwA=",              // no whole size
           "AwAAAA==",          // a size and no block
           "AgAAADBoaQo=",      // less than the block holds
           "BAAAADBoaQo=",      // more
           "/////zBoaQo=",      // 4 GiB
           "////fzBoaQo=",      // 2 GiB
           "AAABADBoaQo=",      // 64 KiB, of 4 bytes
           "AAAAADBoaQo=",      // nothing
           "BAAAABBoAQA=",      // a match that begins before the bytes
           "BAAAAP///////w==",  // a length that never ends
       }) {
    const Read read = WithData(data);
    ASSERT_FALSE(read.ok()) << data;
    EXPECT_EQ(read.code(), Errc::kInvalid);
    EXPECT_THAT(read.error(), HasSubstr("\"data\" is "));
  }
}

// Counts what is asked of it.
class CountingArena final : public std::pmr::memory_resource {
 public:
  std::size_t bytes = 0;

 private:
  void* do_allocate(std::size_t size, std::size_t alignment) override {
    bytes += size;
    return arena_.allocate(size, alignment);
  }
  void do_deallocate(void*, std::size_t, std::size_t) override {}
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  std::pmr::monotonic_buffer_resource arena_;
};

TEST(WasixJson, WhatIsAllocatedIsBoundedByTheText) {
  // A size of 1 GiB before a block of 4 bytes; of 4 * 255 and one more.
  for (const char* data : {"AAAAQDBoaQo=", "/QMAADBoaQo="}) {
    CountingArena arena;
    EXPECT_FALSE(ReadJson(
        R"({"socket_send_v1":{"fd":4,"data":")" + std::string(data) + R"(","flags":0,"is_64bit":false}})", arena));
    EXPECT_EQ(arena.bytes, 0U) << data;
  }
}

TEST(WasixJson, BytesThatCompressWellComeBack) {
  const std::string zeros(4 << 20, '\0');
  const std::string text = Line(FileDescriptorWriteV1{.data = AsBytes(zeros)});
  EXPECT_LT(text.size(), zeros.size() / 100);
  const Read read(text);
  ASSERT_TRUE(read.ok()) << read.error();
  EXPECT_EQ(AsText(std::get<FileDescriptorWriteV1>(read.entry()).data), zeros);
}

}  // namespace
}  // namespace strata::journal::wasix
