#include "store/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "store/chunker.h"

namespace strata::store {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

StoreAddress Parsed(std::string_view text, std::string_view base = {}) {
  const auto address = ParseStoreAddress(text, base);
  EXPECT_TRUE(address.has_value()) << text << ": " << (address ? "" : address.error().ToString());
  return address.value_or(StoreAddress());
}

std::string Refused(std::string_view text, Errc code = Errc::kInvalid) {
  const auto address = ParseStoreAddress(text);
  EXPECT_FALSE(address.has_value()) << text << " was taken";
  if (address) return {};
  EXPECT_EQ(address.error().code(), code) << address.error().ToString();
  return std::string(address.error().message());
}

TEST(StoreAddress, NothingAndPackAloneAreTheDefaultStore) {
  EXPECT_EQ(Parsed(""), StoreAddress());
  EXPECT_EQ(Parsed("pack:"), StoreAddress());
  EXPECT_EQ(FormatStoreAddress(StoreAddress()), "pack:");
}

TEST(StoreAddress, APackHasAFolderAndNoHost) {
  EXPECT_EQ(Parsed("pack:/srv/store").path, "/srv/store");
  EXPECT_EQ(Parsed("pack:///srv/store"), Parsed("pack:/srv/store"));
  EXPECT_EQ(Parsed("PACK:/srv/a%3Fb%25").path, "/srv/a?b%");
  EXPECT_THAT(Refused("pack://host/srv"), HasSubstr("must have no host"));
  EXPECT_THAT(Refused("pack:/"), HasSubstr("must not be /"));
  EXPECT_THAT(Refused("pack:///"), HasSubstr("must not be /"));
  EXPECT_THAT(Refused("pack:here"), HasSubstr("not absolute"));
  EXPECT_THAT(Refused("pack:/srv?avg_chunk_size=4096"), HasSubstr("no option \"avg_chunk_size\""));
  EXPECT_THAT(Refused("pack:/srv#x"), HasSubstr("only a composition"));
}

TEST(StoreAddress, ARelativePathIsTakenFromTheFolderGiven) {
  EXPECT_EQ(Parsed("pack:here", "/home/me").path, "/home/me/here");
  EXPECT_EQ(Parsed("composition:stores.json#main", "/etc/").path, "/etc/stores.json");
  EXPECT_EQ(Parsed("pack:/there", "/home/me").path, "/there");
}

TEST(StoreAddress, CA26_MemoryHasNoHostAndNoPathNotEvenTheRoot) {
  EXPECT_EQ(Parsed("memory://").kind, StoreKind::kMemory);
  EXPECT_THAT(Refused("memory:///"), HasSubstr("must have no path"));
  EXPECT_THAT(Refused("memory:///path"), HasSubstr("must have no path"));
  EXPECT_THAT(Refused("memory://host"), HasSubstr("must have no host"));
  EXPECT_THAT(Refused("memory:"), HasSubstr("// must follow"));
  EXPECT_THAT(Refused("memory://?a=1"), HasSubstr("no option"));
}

TEST(StoreAddress, CA27_ObjectStoresHaveASchemeOfTheirOwnAndOptions) {
  const StoreAddress file = Parsed("objectstore+file:///srv/store?avg_chunk_size=4096");
  EXPECT_EQ(file.kind, StoreKind::kObjectsInFolder);
  EXPECT_EQ(file.path, "/srv/store");
  EXPECT_EQ(file.avg_chunk_size, 4096u);
  EXPECT_EQ(Parsed("objectstore+memory:///").kind, StoreKind::kObjectsInMemory);
  const StoreAddress s3 = Parsed("objectstore+s3://bucket/folder?region=eu-1&avg_chunk_size=65536&a=b%26c");
  EXPECT_EQ(s3.kind, StoreKind::kObjectsFar);
  EXPECT_EQ(s3.scheme, "objectstore+s3");
  EXPECT_EQ(s3.authority, "bucket");
  EXPECT_EQ(s3.path, "/folder");
  EXPECT_EQ(s3.avg_chunk_size, 65536u);
  EXPECT_EQ(s3.options, (std::vector<std::pair<std::string, std::string>>{{"region", "eu-1"}, {"a", "b&c"}}));
  EXPECT_EQ(Parsed("objectstore+https://Host.example:8443").path, "/");
  EXPECT_EQ(Parsed("objectstore+https://Host.example:8443").authority, "host.example:8443");

  EXPECT_THAT(Refused("objectstore+file://host/srv"), HasSubstr("must have no host"));
  EXPECT_THAT(Refused("objectstore+file://"), HasSubstr("path is missing"));
  EXPECT_THAT(Refused("objectstore+file:/srv"), HasSubstr("// must follow"));
  EXPECT_THAT(Refused("objectstore+file:///srv?region=x"), HasSubstr("no option \"region\""));
  EXPECT_THAT(Refused("objectstore+s3:///folder"), HasSubstr("host is missing"));
  EXPECT_THAT(Refused("objectstore+s3://b/f?x=1&x=2"), HasSubstr("given twice"));
  EXPECT_THAT(Refused("objectstore+ftp://host/"), HasSubstr("no kind of store"));
  for (const char* size : {"", "0", "511", "2097153", "-1", "4k", "99999999999", "%34096x"}) {
    EXPECT_THAT(Refused(std::string("objectstore+file:///srv?avg_chunk_size=") + size), HasSubstr("number of bytes"));
  }
}

TEST(StoreAddress, EverySizeOfChunksThatAnAddressMayGiveIsOneThatTheChunkerTakes) {
  for (const std::uint32_t size : {kMinAvgChunkSize, 4096u, kMaxAvgChunkSize}) {
    EXPECT_TRUE(Chunker::Make(ChunkSizes::OfAverage(size)).has_value()) << size;
  }
  for (const std::uint32_t size : {kMinAvgChunkSize - 1, kMaxAvgChunkSize + 2}) {
    EXPECT_FALSE(Chunker::Make(ChunkSizes::OfAverage(size)).has_value()) << size;
  }
}

TEST(StoreAddress, CA31_GrpcHasASocketOrAHostAndNothingElse) {
  EXPECT_EQ(Parsed("grpc+unix:///run/castore.sock").path, "/run/castore.sock");
  EXPECT_FALSE(Parsed("grpc+http://localhost").wait_connect);
  EXPECT_TRUE(Parsed("grpc+http://localhost:12345?wait-connect=1").wait_connect);
  EXPECT_EQ(Parsed("grpc+https://[::1]:12345").authority, "[::1]:12345");
  EXPECT_THAT(Refused("grpc+unix://host/run/castore.sock"), HasSubstr("must have no host"));
  EXPECT_THAT(Refused("grpc+unix:///"), HasSubstr("must not be /"));
  EXPECT_THAT(Refused("grpc+unix://"), HasSubstr("path is missing"));
  EXPECT_THAT(Refused("grpc+http://[::1]:12345/some-path"), HasSubstr("must have no path"));
  EXPECT_THAT(Refused("grpc+http://localhost/"), HasSubstr("must have no path"));
  EXPECT_THAT(Refused("grpc+http://"), HasSubstr("host is missing"));
  EXPECT_THAT(Refused("grpc+http://localhost?wait-connect=2"), HasSubstr("0 or 1"));
  EXPECT_THAT(Refused("grpc://localhost"), HasSubstr("no kind of store"));
}

TEST(StoreAddress, AHostIsChecked) {
  EXPECT_THAT(Refused("grpc+http://me:secret@host"), HasSubstr("port is no number"));
  EXPECT_THAT(Refused("grpc+http://me@host"), HasSubstr("a user or a password"));
  EXPECT_THAT(Refused("grpc+http://host:0"), HasSubstr("port"));
  EXPECT_THAT(Refused("grpc+http://host:65536"), HasSubstr("port"));
  EXPECT_THAT(Refused("grpc+http://host:"), HasSubstr("port"));
  EXPECT_THAT(Refused("grpc+http://:80"), HasSubstr("host is missing"));
  EXPECT_THAT(Refused("grpc+http://[::1"), HasSubstr("not closed"));
  EXPECT_THAT(Refused("grpc+http://[::1]x"), HasSubstr("only :PORT"));
  EXPECT_THAT(Refused("grpc+http://[host]"), HasSubstr("no IPv6"));
  EXPECT_THAT(Refused("grpc+http://a b"), HasSubstr("a host's name has"));
}

TEST(StoreAddress, CA38_ACompositionHasAFileAndTheNameOfAnInstance) {
  const StoreAddress address = Parsed("composition:/srv/stores.json#main%23one");
  EXPECT_EQ(address.kind, StoreKind::kComposition);
  EXPECT_EQ(address.path, "/srv/stores.json");
  EXPECT_EQ(address.instance, "main#one");
  EXPECT_THAT(Refused("composition:/srv/stores.json"), HasSubstr("the name of one"));
  EXPECT_THAT(Refused("composition:/srv/stores.json#"), HasSubstr("the name of one"));
  EXPECT_THAT(Refused("composition:#main"), HasSubstr("file is missing"));
  EXPECT_THAT(Refused("composition://host/stores.json#main"), HasSubstr("must have no host"));
}

// CA-33, CA-37, CA-38.
TEST(StoreAddress, StoresThatAreKnownElsewhereAreRefusedWithWhatToUseInstead) {
  EXPECT_THAT(Refused("redb:///var/lib/x.redb", Errc::kNotSupported), HasSubstr("use pack:/PATH"));
  EXPECT_THAT(Refused("redb://", Errc::kNotSupported), HasSubstr("use pack:/PATH"));
  EXPECT_THAT(Refused("sled:///var/lib/x", Errc::kNotSupported), HasSubstr("use pack:/PATH"));
  EXPECT_THAT(Refused("simplefs:///x", Errc::kNotSupported), HasSubstr("objectstore+file"));
  EXPECT_THAT(Refused("bigtable://i?project_id=p", Errc::kNotSupported), HasSubstr("objectstore+s3"));
  EXPECT_THAT(Refused("cache://?near=a&far=b", Errc::kNotSupported), HasSubstr("composition:/FILE.json#NAME"));
  EXPECT_THAT(Refused("combined://", Errc::kNotSupported), HasSubstr("composition:/FILE.json#NAME"));
  EXPECT_THAT(Refused("objectstore+gs://b/", Errc::kNotSupported), HasSubstr("objectstore+s3"));
}

TEST(StoreAddress, ARefusalNamesTheAddressAndNothingThatATerminalWouldObey) {
  EXPECT_THAT(Refused("pack:x\x1b[2J"), AllOf(HasSubstr("pack:x?[2J"), testing::Not(HasSubstr("\x1b"))));
  EXPECT_THAT(Refused("/srv/store"), HasSubstr("write pack: before it"));
  EXPECT_THAT(Refused("store"), HasSubstr("scheme is missing"));
  EXPECT_THAT(Refused("pack:/a%zz"), HasSubstr("two hexadecimal digits"));
  EXPECT_THAT(Refused("pack:/a%4"), HasSubstr("two hexadecimal digits"));
  EXPECT_THAT(Refused("pack:/a%00"), HasSubstr("%00"));
  EXPECT_THAT(Refused(std::string_view("pack:/a\0", 8)), HasSubstr("NUL"));
  EXPECT_THAT(Refused("pack:/" + std::string(kMaxStoreAddressBytes, 'a')), HasSubstr("too long"));
}

TEST(StoreAddress, FormatAndParseAreEachOthersInverse) {
  std::mt19937 random(7);
  const auto name = [&](std::size_t most) {
    std::string text;
    for (std::size_t size = random() % most + 1; text.size() < size;) {
      const char c = static_cast<char>(random() % 255 + 1);
      text += random() % 3 == 0 ? c : "/a?#%@&=:+ "[random() % 11];
    }
    return text;
  };
  for (int i = 0; i < 20'000; ++i) {
    StoreAddress address;
    switch (random() % 5) {
      case 0:
        address.path = "/" + name(12) + "x";
        break;
      case 1:
        address = {.kind = StoreKind::kObjectsInFolder, .scheme = "objectstore+file", .path = "/" + name(12)};
        if (random() % 2 == 0) address.avg_chunk_size = kMinAvgChunkSize + random() % 4096;
        break;
      case 2:
        address = {.kind = StoreKind::kObjectsFar, .scheme = "objectstore+s3", .authority = "b", .path = "/" + name(9)};
        address.options = {{name(5), name(5)}, {name(5) + "2", ""}};
        if (address.options[0].first == address.options[1].first) continue;
        break;
      case 3:
        address = {.kind = StoreKind::kGrpc, .scheme = "grpc+unix", .path = "/" + name(9) + "s"};
        address.wait_connect = random() % 2 == 0;
        break;
      default:
        address = {.kind = StoreKind::kComposition, .scheme = "composition", .path = "/" + name(9) + "f"};
        address.instance = name(9);
    }
    const std::string text = FormatStoreAddress(address);
    ASSERT_EQ(Parsed(text), address) << text;
    for (const char c : text) ASSERT_TRUE(c > ' ' && c <= '~') << text;
  }
}

}  // namespace
}  // namespace strata::store
