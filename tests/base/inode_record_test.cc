#include "base/inode_record.h"

#include <gtest/gtest.h>

namespace strata {
namespace {

TEST(Origin, IsReadAsItWasStored) {
  Origin origin;
  origin.size = 0x0102030405060708;
  origin.mtime.ns = -2;
  origin.sources = {{1, 2, 3}, {4, 5, 6}};
  std::vector<std::byte> bytes(kOriginHeadBytes + 2 * kOriginSourceBytes);
  StoreOriginHead(origin, bytes.data());
  StoreOriginSources(origin, bytes.data() + kOriginHeadBytes);
  EXPECT_EQ(AsText(ByteSpan(bytes).first(8)), "\x08\x07\x06\x05\x04\x03\x02\x01");
  Origin read;
  ByteReader reader(bytes);
  ReadOriginHead(reader, read);
  ReadOriginSources(reader, 2, read);
  EXPECT_TRUE(reader.ok());
  EXPECT_TRUE(read == origin);
  // What claims more than there is fails, and takes no memory for it.
  ByteReader again(bytes);
  ReadOriginHead(again, read);
  Origin cut;
  ReadOriginSources(again, 1'000'000'000, cut);
  EXPECT_FALSE(again.ok());
  EXPECT_LE(cut.sources.size(), 3u);
}

}  // namespace
}  // namespace strata
