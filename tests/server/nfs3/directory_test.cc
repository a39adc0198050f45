// READDIR, READDIRPLUS: what is listed, and the two budgets to the byte.
#include "tests/server/nfs3/oracle.h"

namespace strata::testing {
namespace {

class Nfs3DirectoryTest : public ::testing::Test {
 protected:
  Nfs3DirectoryTest() {
    for (int i = 0; i < kFiles; ++i)
      volume_.Make(root_, Name(i), FileType::kRegular, std::string(static_cast<std::size_t>(i), 'x'));
  }
  // Lengths that need each number of padding bytes.
  static std::string Name(int i) {
    return std::string(static_cast<std::size_t>(i % 5 + 1), static_cast<char>('a' + i));
  }
  static std::vector<std::string> AllNames() {
    std::vector<std::string> names = {".", ".."};
    for (int i = 0; i < kFiles; ++i) names.push_back(Name(i));
    return names;
  }
  // Sizes by RFC 1813, worked out by hand.
  static std::size_t DirectorySize(const std::string& name) { return 8 + 4 + (name.size() + 3) / 4 * 4 + 8; }
  static constexpr std::size_t kFixed = 88 + 8 + 4 + 4;  // post_op_attr, cookieverf, the end of the list, eof
  static std::size_t EntrySize(const std::string& name) { return 4 + DirectorySize(name); }
  static std::size_t EntryPlusSize(const std::string& name) { return 4 + DirectorySize(name) + 88 + 4 + 4 + 40; }

  static constexpr int kFiles = 20;
  Harness harness_;
  FakeFileSystem& volume_ = harness_.volume();
  const vfs::ObjectId root_ = volume_.Root();
  Bytes handle_ = harness_.Handle(root_);
};

template <typename Entry>
std::vector<std::string> NamesOf(const Entry* entry) {
  std::vector<std::string> names;
  for (; entry != nullptr; entry = entry->nextentry) names.push_back(entry->name);
  return names;
}

TEST_F(Nfs3DirectoryTest, ReadDirListsEverythingOnce) {
  const Decoded<READDIR3res> result(zdr_READDIR3res, harness_.Nfs(16, Calls::ReadDir(handle_, 0, 65536)).bytes);
  ASSERT_EQ(result->status, NFS3_OK);
  const READDIR3resok& ok = result->READDIR3res_u.resok;
  EXPECT_EQ(NamesOf(ok.reply.entries), AllNames());
  EXPECT_EQ(ok.reply.eof, 1u);
  EXPECT_EQ(Bytes(ok.cookieverf, ok.cookieverf + 8), Bytes(8));
  ExpectAttributes(ok.dir_attributes, volume_.AttributesOf(root_));
  const entry3* first = ok.reply.entries;
  EXPECT_EQ(first->fileid, 1u);
  EXPECT_EQ(first->nextentry->nextentry->fileid, 2u);
}

TEST_F(Nfs3DirectoryTest, ReadDirPlusGivesAttributesAndHandles) {
  const Decoded<READDIRPLUS3res> result(zdr_READDIRPLUS3res,
                                        harness_.Nfs(17, Calls::ReadDirPlus(handle_, 0, 65536, 65536)).bytes);
  ASSERT_EQ(result->status, NFS3_OK);
  const READDIRPLUS3resok& ok = result->READDIRPLUS3res_u.resok;
  EXPECT_EQ(NamesOf(ok.reply.entries), AllNames());
  EXPECT_EQ(ok.reply.eof, 1u);
  ExpectAttributes(ok.dir_attributes, volume_.AttributesOf(root_));
  for (const entryplus3* entry = ok.reply.entries; entry != nullptr; entry = entry->nextentry) {
    const vfs::Entry expected = volume_.Lookup({}, root_, entry->name, nullptr).value();
    ExpectAttributes(entry->name_attributes, expected.attributes);
    ASSERT_TRUE(entry->name_handle.handle_follows);
    ExpectHandle(entry->name_handle.post_op_fh3_u.handle, harness_.Handle(expected.id));
    EXPECT_EQ(entry->fileid, expected.attributes.ino.value);
  }
}

TEST_F(Nfs3DirectoryTest, EntriesWithoutAttributesLeaveThemOut) {
  volume_.hide_attributes = true;
  const Decoded<READDIRPLUS3res> result(zdr_READDIRPLUS3res,
                                        harness_.Nfs(17, Calls::ReadDirPlus(handle_, 0, 65536, 65536)).bytes);
  ASSERT_EQ(result->status, NFS3_OK);
  EXPECT_EQ(NamesOf(result->READDIRPLUS3res_u.resok.reply.entries), AllNames());
  EXPECT_FALSE(result->READDIRPLUS3res_u.resok.reply.entries->name_attributes.attributes_follow);
}

// Spec castore CA-58.
TEST_F(Nfs3DirectoryTest, NamesThatNobodyIsToldArePerm) {
  volume_.failure = Errc::kPermission;
  const Decoded<READDIR3res> plain(zdr_READDIR3res, harness_.Nfs(16, Calls::ReadDir(handle_, 0, 65536)).bytes);
  EXPECT_EQ(plain->status, NFS3ERR_PERM);
  ExpectAttributes(plain->READDIR3res_u.resfail.dir_attributes, volume_.AttributesOf(root_));
  const Decoded<READDIRPLUS3res> plus(zdr_READDIRPLUS3res,
                                      harness_.Nfs(17, Calls::ReadDirPlus(handle_, 0, 65536, 65536)).bytes);
  EXPECT_EQ(plus->status, NFS3ERR_PERM);
}

// Spec nfsv3 5.2: for every budget there is, exactly as many entries as fit, and not one byte more.
TEST_F(Nfs3DirectoryTest, Rule5_2_ReadDirObeysItsCountToTheByte) {
  const std::vector<std::string> names = AllNames();
  std::size_t whole = kFixed;
  for (const std::string& name : names) whole += EntrySize(name);
  for (std::size_t count = 0; count < whole + 20; ++count) {
    std::size_t fit = 0, size = kFixed;
    while (fit < names.size() && size + EntrySize(names[fit]) <= count) size += EntrySize(names[fit++]);
    const Reply reply = harness_.Nfs(16, Calls::ReadDir(handle_, 0, static_cast<uint32_t>(count)));
    const Decoded<READDIR3res> result(zdr_READDIR3res, reply.bytes);
    if (fit == 0) {
      ASSERT_EQ(result->status, NFS3ERR_TOOSMALL) << count;
      ExpectAttributes(result->READDIR3res_u.resfail.dir_attributes, volume_.AttributesOf(root_));
      continue;
    }
    ASSERT_EQ(result->status, NFS3_OK) << count;
    ASSERT_EQ(NamesOf(result->READDIR3res_u.resok.reply.entries).size(), fit) << count;
    ASSERT_EQ(reply.bytes.size(), 4 + size) << count;
    ASSERT_EQ(result->READDIR3res_u.resok.reply.eof, fit == names.size()) << count;
  }
}

TEST_F(Nfs3DirectoryTest, Rule5_2_ReadDirPlusObeysMaxcountToTheByte) {
  const std::vector<std::string> names = AllNames();
  std::size_t whole = kFixed;
  for (const std::string& name : names) whole += EntryPlusSize(name);
  for (std::size_t count = 0; count < whole + 20; ++count) {
    std::size_t fit = 0, size = kFixed;
    while (fit < names.size() && size + EntryPlusSize(names[fit]) <= count) size += EntryPlusSize(names[fit++]);
    const Reply reply = harness_.Nfs(17, Calls::ReadDirPlus(handle_, 0, ~0u, static_cast<uint32_t>(count)));
    ASSERT_EQ(reply.status(), fit == 0 ? 10005u : 0u) << count;
    if (fit == 0) continue;
    ASSERT_EQ(reply.bytes.size(), 4 + size) << count;
    ASSERT_EQ(reply.bytes.back(), fit == names.size()) << count;
  }
}

TEST_F(Nfs3DirectoryTest, Rule5_2_ReadDirPlusObeysDircountToTheByte) {
  const std::vector<std::string> names = AllNames();
  std::size_t whole = 0;
  for (const std::string& name : names) whole += DirectorySize(name);
  for (std::size_t count = 0; count < whole + 20; ++count) {
    std::size_t fit = 0, size = 0, reply_size = kFixed;
    while (fit < names.size() && size + DirectorySize(names[fit]) <= count) {
      size += DirectorySize(names[fit]);
      reply_size += EntryPlusSize(names[fit++]);
    }
    const Reply reply = harness_.Nfs(17, Calls::ReadDirPlus(handle_, 0, static_cast<uint32_t>(count), ~0u));
    ASSERT_EQ(reply.status(), fit == 0 ? 10005u : 0u) << count;
    if (fit > 0) {
      ASSERT_EQ(reply.bytes.size(), 4 + reply_size) << count;
    }
  }
}

// What the volume takes back is given back to both budgets.
TEST_F(Nfs3DirectoryTest, EntriesThatTheVolumeTakesBackLeaveNoTrace) {
  volume_.pairs = true;
  const std::vector<std::string> names = AllNames();
  ASSERT_EQ(names.size() % 2, 0u);
  for (uint32_t count = 0; count < 5000; ++count) {
    for (const bool by_dircount : {false, true}) {
      std::size_t fit = 0, size = by_dircount ? 0 : kFixed, bytes = kFixed;
      const auto pair_size = [&](std::size_t at) {
        return by_dircount ? DirectorySize(names[at]) + DirectorySize(names[at + 1])
                           : EntryPlusSize(names[at]) + EntryPlusSize(names[at + 1]);
      };
      for (; fit < names.size() && size + pair_size(fit) <= count; fit += 2) {
        size += pair_size(fit);
        bytes += EntryPlusSize(names[fit]) + EntryPlusSize(names[fit + 1]);
      }
      const Reply reply =
          harness_.Nfs(17, Calls::ReadDirPlus(handle_, 0, by_dircount ? count : ~0u, by_dircount ? ~0u : count));
      ASSERT_EQ(reply.status(), fit == 0 ? 10005u : 0u) << count;
      if (fit > 0) {
        ASSERT_EQ(reply.bytes.size(), 4 + bytes) << count;
        const Decoded<READDIRPLUS3res> result(zdr_READDIRPLUS3res, reply.bytes);
        ASSERT_EQ(NamesOf(result->READDIRPLUS3res_u.resok.reply.entries).size(), fit);
      }
    }
  }
}

TEST_F(Nfs3DirectoryTest, Rule5_2_ListingGoesOnFromEveryCookie) {
  for (const bool plus : {false, true}) {
    std::vector<std::string> names;
    uint64_t cookie = 0;
    bool eof = false;
    for (int calls = 0; !eof && calls < 100; ++calls) {
      if (plus) {
        const Decoded<READDIRPLUS3res> result(zdr_READDIRPLUS3res,
                                              harness_.Nfs(17, Calls::ReadDirPlus(handle_, cookie, 4096, 500)).bytes);
        ASSERT_EQ(result->status, NFS3_OK);
        for (const entryplus3* e = result->READDIRPLUS3res_u.resok.reply.entries; e != nullptr; e = e->nextentry) {
          names.push_back(e->name);
          cookie = e->cookie;
        }
        eof = result->READDIRPLUS3res_u.resok.reply.eof;
      } else {
        const Decoded<READDIR3res> result(zdr_READDIR3res,
                                          harness_.Nfs(16, Calls::ReadDir(handle_, cookie, 200, "anything")).bytes);
        ASSERT_EQ(result->status, NFS3_OK);
        for (const entry3* e = result->READDIR3res_u.resok.reply.entries; e != nullptr; e = e->nextentry) {
          names.push_back(e->name);
          cookie = e->cookie;
        }
        eof = result->READDIR3res_u.resok.reply.eof;
      }
    }
    EXPECT_TRUE(eof);
    EXPECT_EQ(names, AllNames());
  }
}

TEST_F(Nfs3DirectoryTest, AfterTheLastEntryThereIsNothingAndEofWhateverFits) {
  const Decoded<READDIR3res> result(zdr_READDIR3res, harness_.Nfs(16, Calls::ReadDir(handle_, ~0ull, kFixed)).bytes);
  ASSERT_EQ(result->status, NFS3_OK);
  EXPECT_EQ(result->READDIR3res_u.resok.reply.entries, nullptr);
  EXPECT_EQ(result->READDIR3res_u.resok.reply.eof, 1u);
  EXPECT_EQ(harness_.Nfs(17, Calls::ReadDirPlus(handle_, ~0ull, 0, kFixed)).status(), 0u);
}

TEST_F(Nfs3DirectoryTest, NoListingIsLargerThanAMebibyte) {
  const vfs::ObjectId big = volume_.Make(root_, "big", FileType::kDirectory);
  for (int i = 0; i < 6000; ++i) volume_.Make(big, std::string(240, 'n') + std::to_string(i), FileType::kRegular);
  const Reply reply = harness_.Nfs(17, Calls::ReadDirPlus(harness_.Handle(big), 0, ~0u, ~0u));
  EXPECT_EQ(reply.status(), 0u);
  EXPECT_LE(reply.bytes.size(), 4u + (1 << 20));
  EXPECT_GT(reply.bytes.size(), 4u + (1 << 20) - 512);
  EXPECT_EQ(reply.bytes.back(), 0);
}

TEST_F(Nfs3DirectoryTest, WhatIsNoDirectoryIsNotListed) {
  const vfs::ObjectId file = volume_.Make(root_, "file", FileType::kRegular);
  const Decoded<READDIR3res> result(zdr_READDIR3res,
                                    harness_.Nfs(16, Calls::ReadDir(harness_.Handle(file), 0, 4096)).bytes);
  EXPECT_EQ(result->status, NFS3ERR_NOTDIR);
  ExpectAttributes(result->READDIR3res_u.resfail.dir_attributes, volume_.AttributesOf(file));
}

TEST_F(Nfs3DirectoryTest, ABadCookieIsSaidToBeOne) {
  volume_.failure = Errc::kBadCookie;
  const Decoded<READDIR3res> result(zdr_READDIR3res, harness_.Nfs(16, Calls::ReadDir(handle_, 77, 4096)).bytes);
  EXPECT_EQ(result->status, NFS3ERR_BAD_COOKIE);
  ExpectAttributes(result->READDIR3res_u.resfail.dir_attributes, volume_.AttributesOf(root_));
}

}  // namespace
}  // namespace strata::testing
