// READDIR and READDIRPLUS, page by page (rule 5.2).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>

#include "tests/e2e/raw_client.h"
#include "tests/e2e/service.h"

namespace strata::e2e {
namespace {

class Listing : public ::testing::Test {
 protected:
  static constexpr int kLower = 200, kUpper = 100;
  void SetUp() override {
    std::filesystem::create_directory(service_.lower() + "/d");
    for (int i = 0; i < kLower; ++i) WriteHostFile(service_.lower() + "/d/lower-" + std::to_string(i), "");
    ASSERT_TRUE(service_.Start());
    client_ = std::make_unique<RawClient>(service_.port());
    ASSERT_TRUE(client_->connected());
    directory_ = client_->Walk("d");
    for (int i = 0; i < kUpper; ++i)
      ASSERT_EQ(client_->Create(directory_, "upper-" + std::to_string(i))->status, NFS3_OK);
  }
  static std::multiset<std::string> NamesOf(const std::vector<Listed>& entries) {
    std::multiset<std::string> names;
    for (const Listed& entry : entries) names.insert(entry.name);
    return names;
  }
  static std::multiset<std::string> All() {
    std::multiset<std::string> names = {".", ".."};
    for (int i = 0; i < kLower; ++i) names.insert("lower-" + std::to_string(i));
    for (int i = 0; i < kUpper; ++i) names.insert("upper-" + std::to_string(i));
    return names;
  }

  Service service_;
  std::unique_ptr<RawClient> client_;
  Handle directory_;
};

TEST_F(Listing, PagesOfTheSmallestCountsListEachEntryOnce_Rule5_2) {
  for (const bool plus : {false, true}) {
    int calls = 0;
    // One entry of a READDIRPLUS with its handle and attributes, and the reply around it.
    EXPECT_EQ(NamesOf(client_->List(directory_, plus, plus ? 400 : 200, &calls)), All()) << "plus " << plus;
    EXPECT_GT(calls, 40) << "the pages were not small";
  }
}

TEST_F(Listing, ACountThatHoldsNoEntryIsTooSmall_Rule5_2) {
  const std::string verifier(8, '\0');
  EXPECT_EQ(client_->ReadDir(directory_, 0, verifier, 0)->status, NFS3ERR_TOOSMALL);
  EXPECT_EQ(client_->ReadDir(directory_, 0, verifier, 100)->status, NFS3ERR_TOOSMALL);
  EXPECT_EQ(client_->ReadDirPlus(directory_, 0, verifier, 0, 0)->status, NFS3ERR_TOOSMALL);
  EXPECT_EQ(client_->ReadDirPlus(directory_, 0, verifier, 4096, 100)->status, NFS3ERR_TOOSMALL);
}

TEST_F(Listing, DircountBoundsTheNamesOfReaddirplus_Rule5_2) {
  RawClient::Call few = client_->ReadDirPlus(directory_, 0, std::string(8, '\0'), 128, 65536);
  ASSERT_EQ(few->status, NFS3_OK);
  EXPECT_FALSE(few->entries.empty());
  std::size_t bytes = 0;
  for (const Listed& entry : few->entries) bytes += 8 + 4 + (entry.name.size() + 3) / 4 * 4 + 8;
  EXPECT_LE(bytes, 128U) << "RFC 1813 3.3.17: dircount counts fileid, name and cookie";
  EXPECT_FALSE(few->eof);
}

TEST_F(Listing, CountsOfFourGibibytesAreCut_Rule6_1) {
  RawClient::Call plain = client_->ReadDir(directory_, 0, std::string(8, '\0'), 0xffff'ffffU);
  ASSERT_EQ(plain->status, NFS3_OK) << plain->error;
  EXPECT_TRUE(plain->eof);
  EXPECT_EQ(NamesOf(plain->entries), All());
  RawClient::Call plus = client_->ReadDirPlus(directory_, 0, std::string(8, '\0'), 0xffff'ffffU, 0xffff'ffffU);
  ASSERT_EQ(plus->status, NFS3_OK) << plus->error;
  EXPECT_FALSE(plus->entries.empty());
}

TEST_F(Listing, ReaddirplusTellsWhatLookupAndGetattrTell_Rule3_3) {
  std::map<std::string, std::uint64_t> plain;
  for (const Listed& entry : client_->List(directory_, false, 65536)) plain[entry.name] = entry.fileid;
  const std::vector<Listed> entries = client_->List(directory_, true, 65536);
  ASSERT_EQ(entries.size(), plain.size());
  for (const Listed& entry : entries) {
    EXPECT_EQ(entry.fileid, plain[entry.name]) << entry.name;
    EXPECT_NE(entry.fileid, 0U);
    RawClient::Call found = client_->Lookup(directory_, entry.name);
    ASSERT_EQ(found->status, NFS3_OK) << entry.name;
    EXPECT_EQ(found->object->fileid, entry.fileid) << entry.name;
    if (entry.name == "..") continue;  // may come without attributes
    ASSERT_TRUE(entry.attributes && entry.handle) << entry.name;
    EXPECT_EQ(*entry.handle, *found->handle) << entry.name;
    EXPECT_EQ(entry.attributes->fileid, entry.fileid) << entry.name;
  }
}

TEST_F(Listing, EntriesThatStayAreListedOnceWhileOthersComeAndGo_Rule5_2) {
  std::string verifier(8, '\0');
  std::uint64_t cookie = 0;
  std::multiset<std::string> seen;
  for (int page = 0;; ++page) {
    RawClient::Call call = client_->ReadDirPlus(directory_, cookie, verifier, 1024, 1024);
    ASSERT_EQ(call->status, NFS3_OK);
    for (const Listed& entry : call->entries) seen.insert(entry.name);
    if (call->eof) break;
    ASSERT_FALSE(call->entries.empty());
    cookie = call->entries.back().cookie;
    verifier = call->verifier;
    if (page < 40) {
      // What comes and goes: every second of the upper ones goes, new ones come, one that was just listed is removed.
      const std::string number = std::to_string(page);
      client_->Create(directory_, "new-" + number).Get();
      if (page % 2 == 0) client_->Remove(directory_, "upper-" + number).Get();
    }
  }
  for (int i = 0; i < kLower; ++i) EXPECT_EQ(seen.count("lower-" + std::to_string(i)), 1U) << i;
  for (int i = 1; i < kUpper; i += 2) EXPECT_EQ(seen.count("upper-" + std::to_string(i)), 1U) << i;
  for (const std::string& name : seen) EXPECT_EQ(seen.count(name), 1U) << name;
}

TEST_F(Listing, AnyCookieEverGivenResumesThereAlsoAfterARestart_Rule5_2) {
  const std::vector<Listed> entries = client_->List(directory_, true, 2048);
  ASSERT_EQ(entries.size(), kLower + kUpper + 2U);
  const std::string verifier = client_->ReadDirPlus(directory_, 0, std::string(8, '\0'), 1024, 1024)->verifier;
  service_.Stop();
  ASSERT_TRUE(service_.Start());
  client_ = std::make_unique<RawClient>(service_.port());
  for (std::size_t i = 0; i < entries.size(); i += 7) {
    RawClient::Call rest = client_->ReadDir(directory_, entries[i].cookie, verifier, 1 << 20);
    ASSERT_EQ(rest->status, NFS3_OK);
    ASSERT_EQ(rest->entries.size(), entries.size() - i - 1) << "after entry " << i;
    if (!rest->entries.empty()) {
      EXPECT_EQ(rest->entries[0].name, entries[i + 1].name);
    }
    EXPECT_TRUE(rest->eof);
  }
}

TEST_F(Listing, ACookieNeverGivenIsRefusedOrListsNothingTwice_Rule5_2) {
  const std::multiset<std::string> all = All();
  for (const std::uint64_t cookie : {~0ULL, ~0ULL - 1, 1ULL << 63, 0x1234'5678'9abc'def0ULL, 3ULL}) {
    for (const bool plus : {false, true}) {
      const std::string verifier(8, '\0');
      RawClient::Call call = plus ? client_->ReadDirPlus(directory_, cookie, verifier, 65536, 65536)
                                  : client_->ReadDir(directory_, cookie, verifier, 65536);
      ASSERT_TRUE(call->answered) << call->error;
      if (call->status == NFS3ERR_BAD_COOKIE) continue;
      ASSERT_EQ(call->status, NFS3_OK) << std::hex << cookie;
      const std::multiset<std::string> names = NamesOf(call->entries);
      for (const std::string& name : names) {
        EXPECT_EQ(names.count(name), 1U);
        EXPECT_TRUE(all.contains(name)) << name;
      }
    }
  }
  EXPECT_EQ(client_->ReadDir(client_->Walk("d/lower-1"), 0, std::string(8, '\0'), 4096)->status, NFS3ERR_NOTDIR);
}

}  // namespace
}  // namespace strata::e2e
