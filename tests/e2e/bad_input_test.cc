// What no honest client sends: each gets the status that RFC 1813 names, and the server goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/e2e/raw_client.h"
#include "tests/e2e/service.h"
#include "tests/e2e/wire.h"

namespace strata::e2e {
namespace {

using ::testing::AnyOf;

enum : std::uint32_t { kGetAttr = 1, kLookup = 3, kWrite = 7, kCreate = 8, kMkdir = 9, kSymlink = 10, kRemove = 12 };
constexpr std::uint32_t kGarbageArguments = 4;

class BadInput : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(service_.lower() + "/dir");
    WriteHostFile(service_.lower() + "/dir/file", "content");
    WriteHostFile(service_.lower() + "/../outside", "secret");
    before_ = Fingerprint(service_.lower());
    ASSERT_TRUE(service_.Start());
    client_ = std::make_unique<RawClient>(service_.port());
    ASSERT_TRUE(client_->connected());
    root_ = client_->root();
    file_ = client_->Walk("dir/file");
  }
  void TearDown() override {
    RawClient after(service_.port());
    EXPECT_TRUE(after.connected()) << "the server goes on";
    EXPECT_EQ(after.Read(file_, 0, 100)->data, "content") << "and nothing was changed";
    EXPECT_EQ(Fingerprint(service_.lower()), before_);
  }
  // The status of a GETATTR of a handle of any bytes; ~0 where the call itself was refused.
  std::uint32_t StatusOf(const Handle& handle) {
    Wire wire(service_.port());
    const WireReply reply = wire.Call(NFS_PROGRAM, 3, kGetAttr, Xdr().Opaque(handle).bytes());
    EXPECT_TRUE(reply.came) << "a reply is never skipped (rule 1.2)";
    return reply.accepted == 0 ? reply.Word(0) : ~0U;
  }

  Service service_;
  std::string before_;
  std::unique_ptr<RawClient> client_;
  Handle root_, file_;
};

TEST_F(BadInput, AForgedHandleIsBad_Rule3_1) {
  for (std::size_t bit = 0; bit < file_.size() * 8; ++bit) {
    Handle forged = file_;
    forged[bit / 8] = static_cast<char>(forged[bit / 8] ^ 1 << bit % 8);
    // Bytes 8 to 15 are the volume's id: that of a volume which is not served here, whose key nobody knows, is stale.
    const bool volume = bit / 8 >= 8 && bit / 8 < 16;
    ASSERT_EQ(client_->GetAttr(forged)->status, volume ? NFS3ERR_STALE : NFS3ERR_BADHANDLE) << "bit " << bit;
  }
  for (const char byte : {'\0', '\xff', 'A'}) EXPECT_EQ(StatusOf(Handle(file_.size(), byte)), NFS3ERR_BADHANDLE);
}

TEST_F(BadInput, ATruncatedOrExtendedHandleIsBad_Rule3_1) {
  for (std::size_t length = 0; length < file_.size(); ++length) {
    ASSERT_EQ(StatusOf(file_.substr(0, length)), NFS3ERR_BADHANDLE) << length;
  }
  for (std::size_t length = file_.size() + 1; length <= 64; ++length) {
    ASSERT_EQ(StatusOf(file_ + std::string(length - file_.size(), '\0')), NFS3ERR_BADHANDLE) << length;
  }
}

TEST_F(BadInput, AHandleLongerThanTheProtocolKnowsIsGarbage_Rule1_2) {
  Wire wire(service_.port());
  EXPECT_EQ(wire.Call(NFS_PROGRAM, 3, kGetAttr, Xdr().Opaque(std::string(65, 'x')).bytes()).accepted,
            kGarbageArguments);
  EXPECT_EQ(wire.Call(NFS_PROGRAM, 3, kGetAttr, Xdr().Word(0xffff'ffffU).bytes()).accepted, kGarbageArguments);
  EXPECT_EQ(wire.Call(NFS_PROGRAM, 3, kGetAttr, Xdr().Opaque(file_).Word(0).bytes()).accepted, kGarbageArguments)
      << "bytes left over";
  EXPECT_EQ(wire.Call(NFS_PROGRAM, 3, kGetAttr, "").accepted, kGarbageArguments);
  EXPECT_EQ(wire.Call(NFS_PROGRAM, 3, kGetAttr, Xdr().Opaque(file_).bytes()).Word(0), NFS3_OK)
      << "the connection goes on";
}

TEST_F(BadInput, AHandleOfAnotherServerIsRefused_Rule3_1) {
  Service other;
  WriteHostFile(other.lower() + "/file", "x");
  ASSERT_TRUE(other.Start());
  RawClient theirs(other.port());
  for (const Handle& foreign : {theirs.root(), theirs.Walk("file")}) {
    EXPECT_THAT(client_->GetAttr(foreign)->status, AnyOf(NFS3ERR_BADHANDLE, NFS3ERR_STALE));
    EXPECT_THAT(client_->Write(foreign, 0, "x")->status, AnyOf(NFS3ERR_BADHANDLE, NFS3ERR_STALE));
    EXPECT_THAT(client_->Link(foreign, root_, "linked")->status, AnyOf(NFS3ERR_BADHANDLE, NFS3ERR_STALE, NFS3ERR_XDEV));
  }
}

TEST_F(BadInput, AHandleOfARemovedObjectIsStaleForEver_Rule3_2) {
  RawClient::Call made = client_->Create(root_, "brief");
  const Handle handle = *made->handle;
  ASSERT_EQ(client_->Remove(root_, "brief")->status, NFS3_OK);
  for (int i = 0; i < 50; ++i) ASSERT_EQ(client_->Create(root_, "next-" + std::to_string(i))->status, NFS3_OK);
  EXPECT_EQ(client_->GetAttr(handle)->status, NFS3ERR_STALE);
  EXPECT_EQ(client_->Write(handle, 0, "x")->status, NFS3ERR_STALE);
  EXPECT_EQ(client_->Read(handle, 0, 1)->status, NFS3ERR_STALE);
  EXPECT_EQ(client_->Link(handle, root_, "again")->status, NFS3ERR_STALE);
  RawClient::Call directory = client_->MakeDirectory(root_, "d");
  ASSERT_EQ(client_->RemoveDirectory(root_, "d")->status, NFS3_OK);
  EXPECT_EQ(client_->Create(*directory->handle, "in")->status, NFS3ERR_STALE);
  EXPECT_EQ(client_->ReadDir(*directory->handle, 0, std::string(8, '\0'), 4096)->status, NFS3ERR_STALE);
}

TEST_F(BadInput, NamesThatAreNoNamesAreRefusedByEveryProcedure_Rule5_1) {
  RawClient& c = *client_;
  const std::string slash = "dir/file", up = "../outside", empty, full(255, 'n'), longer(256, 'n'), longest(1000, 'n');
  const auto invalid = AnyOf(NFS3ERR_INVAL, NFS3ERR_ACCES);
  for (const std::string& name : {slash, up, std::string("/"), empty}) {
    EXPECT_THAT(c.Lookup(root_, name)->status, AnyOf(NFS3ERR_INVAL, NFS3ERR_ACCES, NFS3ERR_NOENT)) << name;
    EXPECT_THAT(c.Create(root_, name)->status, invalid) << name;
    EXPECT_THAT(c.CreateExclusive(root_, name, "verifier")->status, invalid) << name;
    EXPECT_THAT(c.MakeDirectory(root_, name)->status, invalid) << name;
    EXPECT_THAT(c.MakeSymlink(root_, name, "t")->status, invalid) << name;
    EXPECT_THAT(c.MakeNode(root_, name, NF3FIFO)->status, invalid) << name;
    EXPECT_THAT(c.Remove(root_, name)->status, AnyOf(NFS3ERR_INVAL, NFS3ERR_ACCES, NFS3ERR_NOENT)) << name;
    EXPECT_THAT(c.RemoveDirectory(root_, name)->status, AnyOf(NFS3ERR_INVAL, NFS3ERR_ACCES, NFS3ERR_NOENT)) << name;
    EXPECT_THAT(c.Rename(root_, "dir", root_, name)->status, invalid) << name;
    EXPECT_THAT(c.Link(file_, root_, name)->status, invalid) << name;
  }
  for (const std::string& name : {longer, longest}) {
    EXPECT_EQ(c.Lookup(root_, name)->status, NFS3ERR_NAMETOOLONG);
    EXPECT_EQ(c.Create(root_, name)->status, NFS3ERR_NAMETOOLONG);
    EXPECT_EQ(c.MakeDirectory(root_, name)->status, NFS3ERR_NAMETOOLONG);
    EXPECT_EQ(c.MakeSymlink(root_, name, "t")->status, NFS3ERR_NAMETOOLONG);
    EXPECT_EQ(c.MakeNode(root_, name, NF3FIFO)->status, NFS3ERR_NAMETOOLONG);
    EXPECT_EQ(c.Remove(root_, name)->status, NFS3ERR_NAMETOOLONG);
    EXPECT_EQ(c.Rename(root_, "dir", root_, name)->status, NFS3ERR_NAMETOOLONG);
    EXPECT_EQ(c.Rename(root_, name, root_, "dir")->status, NFS3ERR_NAMETOOLONG);
    EXPECT_EQ(c.Link(file_, root_, name)->status, NFS3ERR_NAMETOOLONG);
  }
  EXPECT_EQ(c.Create(root_, full)->status, NFS3_OK) << "255 bytes are a name";
  EXPECT_EQ(c.Lookup(root_, full)->status, NFS3_OK);
  EXPECT_EQ(c.Create(root_, "caf\xe9 \xff\x01")->status, NFS3_OK) << "in any encoding";
  EXPECT_EQ(c.Lookup(root_, "caf\xe9 \xff\x01")->status, NFS3_OK);
}

TEST_F(BadInput, DotAndDotdotAreOnlyLookedUp_Rule5_1) {
  RawClient& c = *client_;
  const Handle directory = c.Walk("dir");
  EXPECT_EQ(*c.Lookup(directory, ".")->handle, directory);
  EXPECT_EQ(*c.Lookup(directory, "..")->handle, root_);
  EXPECT_EQ(*c.Lookup(root_, "..")->handle, root_) << "'..' of an export's root is that root";
  const auto refused = AnyOf(NFS3ERR_INVAL, NFS3ERR_EXIST, NFS3ERR_NOTEMPTY, NFS3ERR_ISDIR);
  for (const std::string name : {".", ".."}) {
    EXPECT_THAT(c.Create(directory, name)->status, refused);
    EXPECT_THAT(c.MakeDirectory(directory, name)->status, refused);
    EXPECT_THAT(c.MakeSymlink(directory, name, "t")->status, refused);
    EXPECT_THAT(c.MakeNode(directory, name, NF3FIFO)->status, refused);
    EXPECT_THAT(c.Remove(directory, name)->status, refused);
    EXPECT_THAT(c.RemoveDirectory(directory, name)->status, refused);
    EXPECT_THAT(c.Rename(directory, name, root_, "moved")->status, refused);
    EXPECT_THAT(c.Rename(directory, "file", directory, name)->status, refused);
    EXPECT_THAT(c.Link(file_, directory, name)->status, refused);
  }
}

TEST_F(BadInput, NamesAndTargetsWithNulAreRefusedOrKeptWhole_Rule5_1) {
  Wire wire(service_.port());
  const std::string name("fi\0le", 5);
  const std::string none = Xdr().Word(0).Word(0).Word(0).Word(0).Word(0).Word(0).bytes();  // an empty sattr3
  const auto invalid = AnyOf(NFS3ERR_INVAL, NFS3ERR_ACCES);
  const std::string where = Xdr().Opaque(root_).Opaque(name).bytes();
  EXPECT_THAT(wire.Call(NFS_PROGRAM, 3, kLookup, where).Word(0), AnyOf(NFS3ERR_INVAL, NFS3ERR_ACCES, NFS3ERR_NOENT));
  EXPECT_THAT(wire.Call(NFS_PROGRAM, 3, kCreate, where + Xdr().Word(1).bytes() + none).Word(0), invalid);
  EXPECT_THAT(wire.Call(NFS_PROGRAM, 3, kMkdir, where + none).Word(0), invalid);
  EXPECT_THAT(wire.Call(NFS_PROGRAM, 3, kSymlink, where + none + Xdr().Opaque("t").bytes()).Word(0), invalid);
  EXPECT_THAT(wire.Call(NFS_PROGRAM, 3, kRemove, where).Word(0), AnyOf(NFS3ERR_INVAL, NFS3ERR_ACCES, NFS3ERR_NOENT));
  EXPECT_EQ(client_->Lookup(root_, "fi")->status, NFS3ERR_NOENT) << "the name was not cut at its NUL";
}

TEST_F(BadInput, NamesAndSymlinkTargetsAreBounded_Rules5_1And5_6) {
  // libnfs sends none of these.
  Wire wire(service_.port());
  const std::string none = Xdr().Word(0).Word(0).Word(0).Word(0).Word(0).Word(0).bytes();  // an empty sattr3
  const std::string where = Xdr().Opaque(root_).Opaque("sym").bytes() + none, longest(4096, 't');
  ASSERT_EQ(wire.Call(NFS_PROGRAM, 3, kSymlink, where + Xdr().Opaque(longest + "t").bytes()).Word(0),
            NFS3ERR_NAMETOOLONG);
  EXPECT_EQ(client_->Lookup(root_, "sym")->status, NFS3ERR_NOENT);
  ASSERT_EQ(wire.Call(NFS_PROGRAM, 3, kSymlink, where + Xdr().Opaque(longest).bytes()).Word(0), NFS3_OK);
  EXPECT_EQ(client_->ReadLink(client_->Walk("sym"))->data, longest);
  for (const std::size_t length : {70'000, 900'000}) {
    const std::string name = Xdr().Opaque(root_).Opaque(std::string(length, 'n')).bytes();
    EXPECT_EQ(wire.Call(NFS_PROGRAM, 3, kLookup, name).Word(0), NFS3ERR_NAMETOOLONG) << length;
    EXPECT_EQ(wire.Call(NFS_PROGRAM, 3, kMkdir, name + none).Word(0), NFS3ERR_NAMETOOLONG) << length;
    EXPECT_EQ(wire.Call(NFS_PROGRAM, 3, kSymlink, where + Xdr().Opaque(std::string(length, 't')).bytes()).Word(0),
              NFS3ERR_NAMETOOLONG);
  }
}

TEST_F(BadInput, OffsetsNearTheEndOfNumbersAreRefusedOrEmpty_Rules6_1And6_2) {
  RawClient& c = *client_;
  const Handle file = *c.Create(root_, "new")->handle;
  constexpr std::uint64_t kMax = 0x7fff'ffff'ffff'ffffULL, kLast = ~std::uint64_t{0};
  for (const std::uint64_t offset : {kMax, kMax - 1, kMax + 1, kLast, kLast - 3, kLast - (std::uint64_t{1} << 32)}) {
    RawClient::Call read = c.Read(file, offset, 4096);
    ASSERT_EQ(read->status, NFS3_OK) << std::hex << offset;
    EXPECT_TRUE(read->eof);
    EXPECT_EQ(read->count, 0U);
    EXPECT_EQ(c.Write(file, offset, "four")->status, NFS3ERR_FBIG) << std::hex << offset;
    EXPECT_TRUE(c.Commit(file, offset, 0xffff'ffffU)->answered);
  }
  EXPECT_EQ(c.GetAttr(file)->object->size, 0U);
  EXPECT_EQ(c.SetAttr(file, Size(kMax + 1))->status, NFS3ERR_FBIG);
  EXPECT_EQ(c.SetAttr(file, Size(~0ULL))->status, NFS3ERR_FBIG);
  EXPECT_EQ(c.Write(file, kMax - 4, "four")->status, NFS3_OK) << "what ends at 2^63 - 1 fits";
  EXPECT_EQ(c.Read(file, kMax - 4, 100)->data, "four");
  EXPECT_EQ(c.SetAttr(file, Size(0))->status, NFS3_OK);
}

TEST_F(BadInput, CountsOfZeroAndFourGibibytesAreAnswered_Rule6_1) {
  RawClient& c = *client_;
  const fattr3 before = *c.GetAttr(file_)->object;
  RawClient::Call nothing = c.Read(file_, 0, 0);
  ASSERT_EQ(nothing->status, NFS3_OK);
  EXPECT_EQ(nothing->count, 0U);
  EXPECT_FALSE(nothing->eof) << "the last byte was not returned";
  RawClient::Call all = c.Read(file_, 0, 0xffff'ffffU);
  EXPECT_EQ(all->data, "content") << "a count above rtmax is cut";
  EXPECT_TRUE(all->eof);
  RawClient::Call empty = c.Write(file_, 0, "");
  ASSERT_EQ(empty->status, NFS3_OK);
  EXPECT_EQ(empty->count, 0U);
  EXPECT_EQ(c.Write(file_, 1 << 30, "")->status, NFS3_OK);
  EXPECT_EQ(c.GetAttr(file_)->object->size, before.size) << "a write of nothing does not grow the file";
  // A count that the data does not bear out: refused, or only what is there; never what lies beyond it.
  Wire wire(service_.port());
  const Handle file = *c.Create(root_, "new")->handle;
  for (const std::uint32_t count : {0xffff'ffffU, 5U, 1U << 20}) {
    const WireReply reply =
        wire.Call(NFS_PROGRAM, 3, kWrite, Xdr().Opaque(file).Long(0).Word(count).Word(2).Opaque("four").bytes());
    ASSERT_TRUE(reply.came);
    if (reply.accepted == kGarbageArguments) continue;
    if (reply.Word(0) == NFS3_OK) {
      EXPECT_EQ(c.GetAttr(file)->object->size, 4U) << count;
    } else {
      EXPECT_EQ(reply.Word(0), NFS3ERR_INVAL) << count;
    }
  }
  EXPECT_LE(c.GetAttr(file)->object->size, 4U);
}

// RFC 1813 3.3.7: a server may write less than it was given, and says so.
TEST_F(BadInput, AWriteBeyondWtmaxIsWrittenUpToIt_Rule6_2) {
  const Handle file = *client_->Create(root_, "new")->handle;
  Wire wire(service_.port());
  const std::uint32_t most = client_->FsInfo(root_)->fsinfo.wtmax;
  for (const std::uint32_t count : {most + 4, most + (8U << 10), 2 * most, 4 * most}) {
    const std::string data = RandomBytes(count, count);
    const WireReply reply =
        wire.Call(NFS_PROGRAM, 3, kWrite, Xdr().Opaque(file).Long(0).Word(count).Word(2).Opaque(data).bytes());
    ASSERT_TRUE(reply.came) << count << ": the connection goes on";
    ASSERT_EQ(reply.Word(0), NFS3_OK);
    // The status, two words that say what follows, wcc_attr, fattr3; then count and committed.
    ASSERT_EQ(reply.Word(1 + 1 + 6 + 1 + 21), most) << count;
    EXPECT_EQ(client_->GetAttr(file)->object->size, most);
    EXPECT_EQ(client_->Read(file, most - 100, 200)->data, data.substr(most - 100, 100));
  }
  const WireReply beyond = wire.Call(NFS_PROGRAM, 3, kWrite, std::string(5 * most, '\0'));
  EXPECT_FALSE(beyond.came) << "a record has a largest size all the same";
}

TEST_F(BadInput, EnumerationsOutOfRangeAreGarbage_Rule1_2) {
  Wire wire(service_.port());
  const Handle file = *client_->Create(root_, "new")->handle;
  EXPECT_EQ(
      wire.Call(NFS_PROGRAM, 3, kWrite, Xdr().Opaque(file).Long(0).Word(4).Word(3).Opaque("four").bytes()).accepted,
      kGarbageArguments);
  EXPECT_EQ(wire.Call(NFS_PROGRAM, 3, kCreate, Xdr().Opaque(root_).Opaque("x").Word(3).bytes()).accepted,
            kGarbageArguments);
  EXPECT_EQ(client_->GetAttr(file)->object->size, 0U);
}

}  // namespace
}  // namespace strata::e2e
