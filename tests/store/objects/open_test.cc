#include "store/open.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "store/leases.h"
#include "store/pack/pack_store.h"
#include "tests/base/temp_folder.h"
#include "tests/store/castore/castore_testing.h"
#include "tests/store/fixtures.h"
#include "tests/store/objects/objects_testing.h"

namespace strata::store {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

Store Opened(const std::string& address, const StoreOptions& options = {}) {
  auto store = OpenStore(Env::System(), address, options);
  EXPECT_TRUE(store.has_value()) << store.error().ToString();
  return store.value_or(Store());
}

std::string RefusedStore(const std::string& address, Errc code, const StoreOptions& options = {}) {
  const auto store = OpenStore(Env::System(), address, options);
  EXPECT_FALSE(store.has_value()) << address << " was opened";
  if (store) return {};
  EXPECT_EQ(store.error().code(), code) << store.error().ToString();
  return std::string(store.error().message());
}

// Puts a blob, a directory and a name; gets them back.
void ExpectWorks(Store& store) {
  ASSERT_NE(store.blobs, nullptr);
  EXPECT_EQ(store.blobs->Put(AsBytes("content")).value(), Digest::Of(AsBytes("content")));
  EXPECT_TRUE(store.blobs->Has({}, Digest::Of(AsBytes("content"))).value());
  const auto putter = store.directories->PutMany().value();
  ASSERT_TRUE(putter->Put(DirectoryA()).has_value());
  ASSERT_TRUE(putter->Put(DirectoryB()).has_value());
  EXPECT_EQ(putter->Close().value(), DirectoryB().digest());
  EXPECT_EQ(store.directories->Get({}, DirectoryB().digest()).value(), DirectoryB());
  const Root root{NodeTo(DirectoryB()), std::nullopt, Time{1}};
  ASSERT_TRUE(store.roots->Set("name", root).has_value());
  EXPECT_EQ(store.roots->Get({}, "name").value(), root);
  EXPECT_TRUE(store.Sync().has_value());
}

TEST(OpenStore, StoresInMemoryAreOpenedEmpty) {
  for (const char* address : {"memory://", "objectstore+memory:///"}) {
    SCOPED_TRACE(address);
    Store store = Opened(address);
    ExpectWorks(store);
    EXPECT_EQ(store.Describe(), address);
    EXPECT_FALSE(Opened(address).blobs->Has({}, Digest::Of(AsBytes("content"))).value());
  }
}

TEST(OpenStore, AFolderKeepsWhatIsPut) {
  TempFolder folder;
  const std::string address = "objectstore+file://" + folder / "store";
  EXPECT_THAT(RefusedStore(address, Errc::kNotFound), HasSubstr("mkdir"));
  {
    Store store = Opened(address, {.create = true, .sizes = SizeRule::kDoubled});
    ExpectWorks(store);
    EXPECT_EQ(store.sizes, SizeRule::kDoubled);
  }
  const Store store = Opened(address, {.read_only = true});
  EXPECT_TRUE(store.blobs->Has({}, Digest::Of(AsBytes("content"))).value());
  EXPECT_EQ(Recursive(*store.directories, DirectoryB().digest())->size(), 2u);
  EXPECT_TRUE(store.roots->Get({}, "name").value().has_value());
  EXPECT_EQ(store.blobs->Put(AsBytes("more")).error().code(), Errc::kReadOnly);
  EXPECT_EQ(store.roots->Remove("name").error().code(), Errc::kReadOnly);
}

TEST(OpenStore, AStoreThatTvixWroteIsOpenedAsItIs) {
  STRATA_FIXTURE(expected, "tvix/store.json");
  const Store store = Opened("objectstore+file://" + FixturePath("tvix/store"), {.read_only = true});
  const auto& root = expected["roots"]["nested"]["documented"];
  const auto found = Recursive(*store.directories, Digest::Parse(root["digest"].get<std::string>()).value());
  EXPECT_EQ(found->size(), root["recursive_order"].size());
}

TEST(OpenStore, TheChunkSizeOfTheAddressIsUsed) {
  TempFolder folder;
  const Store store = Opened("objectstore+file://" + folder / "s" + "?avg_chunk_size=1024", {.create = true});
  const Digest digest = store.blobs->Put(MakeInput("noise", 50'000, 1)).value();
  EXPECT_GT(store.blobs->Chunks({}, digest).value()->size(), 20u);
}

TEST(OpenStore, FarStoresComeLater) {
  for (const char* address :
       {"objectstore+s3://bucket/x", "objectstore+https://host/x", "grpc+unix:///run/x", "grpc+http://host:80"}) {
    EXPECT_THAT(RefusedStore(address, Errc::kNotSupported),
                AllOf(HasSubstr("far stores come later"), HasSubstr("use ")));
  }
  EXPECT_THAT(RefusedStore("redb:///x", Errc::kNotSupported), HasSubstr("use pack:"));
}

TEST(OpenStore, APackStoreIsOpenedByItsFolder) {
  TempFolder folder;
  const std::string address = "pack:" + folder / "store";
  EXPECT_THAT(RefusedStore(address, Errc::kNotFound), HasSubstr(folder / "store"));
  {
    Store store = Opened(address, {.create = true});
    ExpectWorks(store);
    EXPECT_NE(store.pack, nullptr);
    EXPECT_EQ(store.Describe(), address);
  }
  const Store store = Opened("pack:store", {.read_only = true, .base_folder = folder.path()});
  EXPECT_TRUE(store.blobs->Has({}, Digest::Of(AsBytes("content"))).value());
  EXPECT_EQ(store.blobs->Put(AsBytes("more")).error().code(), Errc::kReadOnly);
}

// CA-67. Otherwise a server that runs for months would keep all that was put meanwhile.
TEST(HoldTree, HoldsTheTreeAndItsAttributesAndNothingThatIsPutMeanwhile) {
  TempFolder folder;
  const std::string address = "pack:" + folder / "store";
  Opened(address, {.create = true});
  const Digest attributes = Digest::Of(AsBytes("attributes"));
  {
    const auto held = HoldTree(Env::System(), address, {NodeTo(DirectoryB()), attributes, Time{1}}, "a test");
    ASSERT_TRUE(held.has_value()) << held.error().ToString();
    const auto leases = ReadLeases(Env::System(), folder / "store/leases");
    ASSERT_TRUE(leases.has_value()) << leases.error().ToString();
    ASSERT_EQ(leases->size(), 1U);
    const LeaseState& lease = leases->front();
    EXPECT_TRUE(lease.held);
    EXPECT_EQ(lease.holder, "a test");
    EXPECT_EQ(lease.times.since.ns, INT64_MAX);
    EXPECT_EQ(lease.items, (std::vector<LeaseItem>{{LeaseItem::Kind::kDirectory, DirectoryB().digest()},
                                                   {LeaseItem::Kind::kBlob, attributes}}));
  }
  const auto after = ReadLeases(Env::System(), folder / "store/leases");
  ASSERT_TRUE(after.has_value()) << after.error().ToString();
  ASSERT_EQ(after->size(), 1U);
  EXPECT_FALSE(after->front().held);
  EXPECT_FALSE(after->front().ended) << "it lasts for a day";
}

TEST(OpenStore, TheDefaultStoreIsAPackStoreInTheUsersDataFolder) {
  TempFolder folder;
  ::setenv("XDG_DATA_HOME", folder.path().c_str(), 1);
  Store store = Opened("", {.create = true});
  ExpectWorks(store);
  EXPECT_TRUE(std::filesystem::exists(folder / "strata/store"));
  EXPECT_EQ(store.Describe(), "pack:");
  ::unsetenv("XDG_DATA_HOME");
}

class OpenComposition : public ::testing::Test {
 protected:
  std::string Write(const std::string& text) {
    std::ofstream(folder_ / "stores.json") << text;
    return "composition:" + folder_ / "stores.json";
  }
  TempFolder folder_;
};

TEST_F(OpenComposition, CA38_AnInstanceIsPutTogetherFromOthers) {
  const std::string file = Write(R"({
    "blobs": {"main": {"type": "cache", "near": "near", "far": "far"},
              "near": {"type": "memory"},
              "far": {"type": "objectstore", "address": "objectstore+file://)" +
                                 folder_ / "far" + R"("}},
    "directories": {"main": {"type": "cache", "near": "near", "far": "far"},
                    "near": {"type": "memory"},
                    "far": {"type": "objectstore", "address": "objectstore+file://)" +
                                 folder_ / "far" + R"("}},
    "roots": {"main": {"type": "objectstore", "address": "objectstore+file://)" +
                                 folder_ / "far" + R"("}}
  })");
  {
    Store store = Opened(file + "#main", {.create = true});
    ExpectWorks(store);
    EXPECT_EQ(store.Describe(), file + "#main");
  }
  // What was put through the cache went to the far store.
  const Store far = Opened("objectstore+file://" + folder_ / "far");
  EXPECT_TRUE(far.blobs->Has({}, Digest::Of(AsBytes("content"))).value());
  EXPECT_EQ(Recursive(*far.directories, DirectoryB().digest())->size(), 2u);
  EXPECT_TRUE(far.roots->Get({}, "name").value().has_value());
}

TEST_F(OpenComposition, CA38_CombinedWhatIsPutGoesNear) {
  const std::string instances = R"({"main": {"type": "combined", "near": "near", "far": "far"},
    "near": {"type": "objectstore", "address": "objectstore+file://)" +
                                folder_ / "near" + R"("},
    "far": {"type": "objectstore", "address": "objectstore+file://)" +
                                folder_ / "far" + R"("}})";
  const std::string file =
      Write(R"({"blobs": )" + instances + R"(, "directories": )" + instances + R"(, "roots": )" + instances + "}");
  {
    Store store = Opened(file + "#main", {.create = true});
    ExpectWorks(store);
  }
  EXPECT_TRUE(Opened(file + "#near").roots->Get({}, "name").value().has_value());
  EXPECT_FALSE(Opened(file + "#far").roots->Get({}, "name").value().has_value());
  EXPECT_TRUE(Opened(file + "#near").blobs->Has({}, Digest::Of(AsBytes("content"))).value());
}

TEST_F(OpenComposition, OnePackStoreServesAllInstancesThatNameIt) {
  const std::string pack =
      R"({"main": {"type": "combined", "near": "pack", "far": "memory"}, "memory": {"type": "memory"},
    "pack": {"type": "pack", "address": "pack:store"}})";
  const std::string file =
      Write(R"({"blobs": )" + pack + R"(, "directories": )" + pack + R"(, "roots": )" + pack + "}");
  Store store = Opened(file + "#main", {.create = true});
  ExpectWorks(store);
  ASSERT_NE(store.pack, nullptr);
  EXPECT_TRUE(store.pack->blobs()->Has({}, Digest::Of(AsBytes("content"))).value());
  EXPECT_EQ(Opened(file + "#memory").pack, nullptr);
}

TEST_F(OpenComposition, ACacheFillsItsNearStoreAlsoWhereTheStoreIsOnlyRead) {
  const std::string far_address = "objectstore+file://" + folder_ / "far";
  Digest digest;
  {
    Store far = Opened(far_address, {.create = true});
    ExpectWorks(far);
    digest = Digest::Of(AsBytes("content"));
  }
  for (const std::string size : {R"(, "size": "64M")", ""}) {
    SCOPED_TRACE(size.empty() ? "without a bound" : "with a bound");
    const std::string near_path = folder_ / (size.empty() ? "near" : "bounded");
    if (size.empty()) Opened("pack:" + near_path, {.create = true});
    const std::string instances = R"({"main": {"type": "cache", "near": "near", "far": "far"},
      "near": {"type": "pack", "address": "pack:)" +
                                  near_path + '"' + size + R"(},
      "far": {"type": "objectstore", "address": ")" +
                                  far_address + "\"}}";
    const std::string file = Write(R"({"blobs": )" + instances + R"(, "directories": )" + instances + "}");
    {
      const Store store = Opened(file + "#main", {.read_only = true});
      EXPECT_EQ(store.pack, nullptr);
      const auto reader = store.blobs->Open({}, digest).value();
      ASSERT_NE(reader, nullptr);
      std::byte byte[1];
      EXPECT_EQ(reader->ReadAt({}, 0, byte).value(), 1u);
      EXPECT_EQ(Recursive(*store.directories, DirectoryB().digest())->size(), 2u);
      EXPECT_EQ(store.blobs->Put(AsBytes("more")).error().code(), Errc::kReadOnly);
    }
    const Store near = Opened("pack:" + near_path, {.read_only = true});
    EXPECT_TRUE(near.blobs->Has({}, digest).value());
    EXPECT_EQ(Recursive(*near.directories, DirectoryB().digest())->size(), 2u);
    if (!size.empty()) {
      EXPECT_THAT(RefusedStore(file + "#near", Errc::kInvalid), HasSubstr("name a cache in which it is near"));
    }
  }
}

TEST_F(OpenComposition, NamesAreNotNeeded) {
  const std::string file =
      Write(R"({"blobs": {"main": {"type": "memory"}}, "directories": {"main": {"type": "memory"}}})");
  const Store store = Opened(file + "#main");
  EXPECT_EQ(store.roots->Get({}, "name").value(), std::nullopt);
  EXPECT_THAT(store.roots->Set("name", {NodeTo(DirectoryA()), std::nullopt, Time{}}).error().ToString(),
              HasSubstr(file + "#main"));
}

TEST_F(OpenComposition, WhatIsMissingOrWrongIsNamed) {
  const std::string file = Write(R"({"blobs": {"main": {"type": "memory"}}})");
  EXPECT_THAT(RefusedStore(file + "#main", Errc::kNotFound), AllOf(HasSubstr("\"main\""), HasSubstr("directories")));
  EXPECT_THAT(RefusedStore(file + "#other", Errc::kNotFound), AllOf(HasSubstr("\"other\""), HasSubstr("blobs")));
  EXPECT_THAT(RefusedStore("composition:" + folder_ / "none.json" + "#main", Errc::kNotFound), HasSubstr("none.json"));
  Write("{");
  EXPECT_THAT(RefusedStore(file + "#main", Errc::kInvalid), HasSubstr("stores.json"));
  Write(R"({"blobs": {"main": {"type": "grpc", "address": "grpc+http://host"}}})");
  EXPECT_THAT(RefusedStore(file + "#main", Errc::kNotSupported), HasSubstr("stores.json"));
}

}  // namespace
}  // namespace strata::store
