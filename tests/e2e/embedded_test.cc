// The library in programs of others: examples/embedded.cc and examples/castore.cc as they stand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>

#include "store/digest.h"
#include "tests/base/temp_folder.h"
#include "tests/e2e/process.h"
#include "tests/e2e/sync_client.h"

namespace strata::e2e {
namespace {

TEST(Embedded, TheExampleServesItsOwnTreeUntilItsInputEnds) {
  Process process({STRATA_EMBEDDED});
  const std::string url = process.ReadLine();
  const std::size_t at = url.find("nfsport=");
  ASSERT_NE(at, std::string::npos) << url << process.errors();
  SyncClient client(static_cast<std::uint16_t>(std::atoi(url.c_str() + at + 8)));
  ASSERT_TRUE(client.mounted()) << client.error();
  std::string content;
  ASSERT_EQ(client.ReadFile("/hello", &content), 0) << client.error();
  EXPECT_EQ(content, "hello from inside the program\n");
  EXPECT_THAT(client.Names("/"), ::testing::ElementsAre("hello"));
  EXPECT_EQ(client.ReadFile("/other", &content), -ENOENT);
  EXPECT_EQ(client.WriteFile("/hello", "x"), -EROFS);
  EXPECT_EQ(nfs_mkdir(client, "/dir"), -EROFS);
  process.CloseInput();
  EXPECT_EQ(process.Wait(), 0) << process.errors();
}

TEST(Embedded, TheCastoreExampleServesItsOwnBlobsAndTheirDigests) {
  const TempFolder folder;
  Process process({STRATA_CASTORE_EXAMPLE, folder / "home"});
  const std::string url = process.ReadLine();
  const std::size_t at = url.find("nfsport=");
  ASSERT_NE(at, std::string::npos) << url << process.errors();
  SyncClient client(static_cast<std::uint16_t>(std::atoi(url.c_str() + at + 8)));
  ASSERT_TRUE(client.mounted()) << client.error();
  std::string content;
  ASSERT_EQ(client.ReadFile("/greeting/hello", &content), 0) << client.error();
  EXPECT_EQ(content, "hello from a blob\n");
  const std::string digest = store::Digest::Of(AsBytes(content)).Text();
  ASSERT_EQ(client.ReadFile("/.strata/xattr/user.tvix.castore.blob.digest/greeting/hello", &content), 0)
      << client.error();
  EXPECT_EQ(content, digest);
  ASSERT_EQ(client.ReadFile("/.strata/xattr-names/greeting/.self", &content), 0) << client.error();
  EXPECT_EQ(content, "user.tvix.castore.directory.digest\n");
  EXPECT_THAT(client.Names("/"), ::testing::ElementsAre("greeting"));
  EXPECT_EQ(client.ReadFile("/other", &content), -ENOENT);
  EXPECT_EQ(client.WriteFile("/greeting/hello", "x"), -EROFS);
  process.CloseInput();
  EXPECT_EQ(process.Wait(), 0) << process.errors();
}

}  // namespace
}  // namespace strata::e2e
