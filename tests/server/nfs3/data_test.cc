// READ, WRITE, COMMIT.
#include "tests/server/nfs3/oracle.h"

namespace strata::testing {
namespace {

class Nfs3DataTest : public ::testing::Test {
 protected:
  std::string Data(const READ3resok& ok) { return {ok.data.data_val, ok.data.data_len}; }

  Harness harness_;
  FakeFileSystem& volume_ = harness_.volume();
  const vfs::ObjectId root_ = volume_.Root();
  const vfs::ObjectId file_ = volume_.Make(root_, "file", FileType::kRegular, "0123456789");
  Bytes handle_ = harness_.Handle(file_);
};

TEST_F(Nfs3DataTest, ReadGivesTheBytesThatWereAskedForCopiedOrReferenced) {
  for (const bool reference : {false, true}) {
    volume_.reference_data = reference;
    for (uint32_t offset = 0; offset < 12; ++offset) {
      for (uint32_t count = 0; count < 12; ++count) {
        const Decoded<READ3res> result(zdr_READ3res, harness_.Nfs(6, Calls::Read(handle_, offset, count)).bytes);
        ASSERT_EQ(result->status, NFS3_OK);
        const READ3resok& ok = result->READ3res_u.resok;
        const std::string expected = std::string("0123456789").substr(std::min(offset, 10u), count);
        EXPECT_EQ(Data(ok), expected);
        EXPECT_EQ(ok.count, expected.size());
        // Spec nfsv3 6.1: eof exactly when the last byte was returned, or the offset lies past it.
        EXPECT_EQ(ok.eof, offset + expected.size() >= 10u) << offset << "+" << count;
        ExpectAttributes(ok.file_attributes, volume_.AttributesOf(file_));
      }
    }
  }
}

TEST_F(Nfs3DataTest, Rule6_1_CountAboveTheLimitIsCut) {
  const vfs::ObjectId big = volume_.Make(root_, "big", FileType::kRegular, std::string(3 << 20, 'b'));
  for (const bool reference : {false, true}) {
    volume_.reference_data = reference;
    for (const uint32_t count : {1u << 20, (1u << 20) + 1, ~0u}) {
      const Decoded<READ3res> result(zdr_READ3res, harness_.Nfs(6, Calls::Read(harness_.Handle(big), 5, count)).bytes);
      ASSERT_EQ(result->status, NFS3_OK);
      EXPECT_EQ(Data(result->READ3res_u.resok), std::string(1 << 20, 'b'));
      EXPECT_EQ(result->READ3res_u.resok.eof, 0u);
    }
  }
}

TEST_F(Nfs3DataTest, ReadsAtTheEndOfTheNumbersGiveNothingAndEof) {
  for (const uint64_t offset : {~0ull, ~0ull - 5, 1ull << 63, (1ull << 63) - 1, (1ull << 63) - 2}) {
    const Decoded<READ3res> result(zdr_READ3res, harness_.Nfs(6, Calls::Read(handle_, offset, ~0u)).bytes);
    ASSERT_EQ(result->status, NFS3_OK);
    EXPECT_EQ(result->READ3res_u.resok.count, 0u);
    EXPECT_EQ(result->READ3res_u.resok.eof, 1u);
    EXPECT_LE(volume_.last_offset, vfs::kMaxFileSize);
    EXPECT_LE(volume_.last_count, vfs::kMaxFileSize - volume_.last_offset) << "the volume's sum must not overflow";
  }
}

TEST_F(Nfs3DataTest, AFailedReadLeavesNoDataAndCarriesAttributes) {
  volume_.failure = Errc::kAccess;
  const Decoded<READ3res> result(zdr_READ3res, harness_.Nfs(6, Calls::Read(handle_, 0, 10)).bytes);
  EXPECT_EQ(result->status, NFS3ERR_ACCES);
  ExpectAttributes(result->READ3res_u.resfail.file_attributes, volume_.AttributesOf(file_));
}

TEST_F(Nfs3DataTest, AReadWhoseVolumeGivesNoAttributesAsksForThem) {
  volume_.hide_attributes = true;
  {
    const Decoded<READ3res> result(zdr_READ3res, harness_.Nfs(6, Calls::Read(handle_, 0, 10)).bytes);
    ASSERT_EQ(result->status, NFS3_OK);
    ExpectAttributes(result->READ3res_u.resok.file_attributes, volume_.AttributesOf(file_));
  }
  volume_.attributes_fail = true;
  const Decoded<READ3res> result(zdr_READ3res, harness_.Nfs(6, Calls::Read(handle_, 0, 10)).bytes);
  EXPECT_EQ(result->status, NFS3ERR_IO);
  EXPECT_FALSE(result->READ3res_u.resfail.file_attributes.attributes_follow);
}

TEST_F(Nfs3DataTest, Rule6_2_WriteAnswersWithTheStabilityAskedForAndTheVerifier) {
  for (const stable_how stable : {UNSTABLE, DATA_SYNC, FILE_SYNC}) {
    volume_.commitment = stable == UNSTABLE ? vfs::Commitment::kWritten : vfs::Commitment::kDurable;
    const Attributes before = volume_.AttributesOf(file_);
    const Reply reply = harness_.Nfs(7, Calls::Write(handle_, 3, "abc", stable));
    const Decoded<WRITE3res> result(zdr_WRITE3res, reply.bytes);
    ASSERT_EQ(result->status, NFS3_OK);
    const WRITE3resok& ok = result->WRITE3res_u.resok;
    EXPECT_EQ(ok.count, 3u);
    EXPECT_EQ(ok.committed, stable);
    EXPECT_EQ(static_cast<stable_how>(volume_.last_stability), stable);
    EXPECT_EQ(std::memcmp(ok.verf, volume_.verifier.data(), 8), 0);
    ExpectWcc(ok.file_wcc, before, volume_.AttributesOf(file_));
    EXPECT_TRUE(reply.has_volume);
    EXPECT_EQ(reply.commitment, volume_.commitment);
    EXPECT_EQ(reply.lsn.value, static_cast<std::uint64_t>(volume_.AttributesOf(file_).ctime.ns));
  }
}

TEST_F(Nfs3DataTest, WriteTakesTheDataFromTheRecordWithoutACopy) {
  const Bytes call = Calls::Write(handle_, 0, std::string(5000, 'w'), UNSTABLE);
  EXPECT_EQ(harness_.Nfs(7, call).status(), 0u);
  const auto* begin = reinterpret_cast<const std::byte*>(call.data());
  EXPECT_GE(volume_.last_data, begin);
  EXPECT_LT(volume_.last_data, begin + call.size());
}

TEST_F(Nfs3DataTest, WriteOfNoBytesSucceeds) {
  const Decoded<WRITE3res> result(zdr_WRITE3res, harness_.Nfs(7, Calls::Write(handle_, 3, "", FILE_SYNC)).bytes);
  ASSERT_EQ(result->status, NFS3_OK);
  EXPECT_EQ(result->WRITE3res_u.resok.count, 0u);
}

TEST_F(Nfs3DataTest, WriteOfMoreDataThanCountWritesCountAndOfLessIsGarbage) {
  EXPECT_EQ(harness_.Nfs(7, Calls::Write(handle_, 0, "abcdef", UNSTABLE, 2)).status(), 0u);
  EXPECT_EQ(volume_.last_count, 2u);
  const int calls = volume_.calls;
  EXPECT_EQ(harness_.Nfs(7, Calls::Write(handle_, 0, "abcdef", UNSTABLE, 7)).accept, kGarbageArgs);
  EXPECT_EQ(harness_.Nfs(7, Calls::Write(handle_, 0, "abc", static_cast<stable_how>(3))).accept, kGarbageArgs);
  EXPECT_EQ(volume_.calls, calls);
}

TEST_F(Nfs3DataTest, AWriteAboveTheLimitIsCut) {
  const Decoded<WRITE3res> result(
      zdr_WRITE3res, harness_.Nfs(7, Calls::Write(handle_, 0, std::string((1 << 20) + 4, 'w'), UNSTABLE)).bytes);
  ASSERT_EQ(result->status, NFS3_OK);
  EXPECT_EQ(result->WRITE3res_u.resok.count, 1u << 20);
}

TEST_F(Nfs3DataTest, Rule6_2_AWriteThatEndsPastTheLargestFileIsFbig) {
  const int before = volume_.calls;
  for (const uint64_t offset : {~0ull, ~0ull - 2, 1ull << 63, (1ull << 63) - 2}) {
    const Decoded<WRITE3res> result(zdr_WRITE3res,
                                    harness_.Nfs(7, Calls::Write(handle_, offset, "abc", FILE_SYNC)).bytes);
    EXPECT_EQ(result->status, NFS3ERR_FBIG) << offset;
    ExpectAttributes(result->WRITE3res_u.resfail.file_wcc.after, volume_.AttributesOf(file_));
  }
  EXPECT_EQ(volume_.calls, before + 4) << "nothing but the attributes is asked of the volume";
  // The last byte that a file can have: the volume's to refuse or take.
  EXPECT_EQ(harness_.Nfs(7, Calls::Write(handle_, (1ull << 63) - 4, "abc", FILE_SYNC)).status(), 28u);
}

TEST_F(Nfs3DataTest, Rule4_1_AFailedWriteCarriesWccData) {
  for (const Errc failure : {Errc::kNoSpace, Errc::kQuota, Errc::kReadOnly, Errc::kAccess}) {
    volume_.failure = failure;
    const Attributes now = volume_.AttributesOf(file_);
    const Reply reply = harness_.Nfs(7, Calls::Write(handle_, 0, "abc", FILE_SYNC));
    const Decoded<WRITE3res> result(zdr_WRITE3res, reply.bytes);
    EXPECT_NE(result->status, NFS3_OK);
    ExpectWcc(result->WRITE3res_u.resfail.file_wcc, now, now);
    EXPECT_FALSE(reply.has_volume);
  }
}

TEST_F(Nfs3DataTest, Rule6_3_CommitWaitsForTheDiskAndGivesTheVerifier) {
  const Attributes now = volume_.AttributesOf(file_);
  for (const uint64_t offset : {0ull, ~0ull}) {
    const Reply reply = harness_.Nfs(21, Calls::Commit(handle_, offset, ~0u));
    const Decoded<COMMIT3res> result(zdr_COMMIT3res, reply.bytes);
    ASSERT_EQ(result->status, NFS3_OK);
    EXPECT_EQ(std::memcmp(result->COMMIT3res_u.resok.verf, volume_.verifier.data(), 8), 0);
    ExpectWcc(result->COMMIT3res_u.resok.file_wcc, now, now);
    EXPECT_EQ(reply.commitment, vfs::Commitment::kDurable);
    EXPECT_EQ(reply.lsn, Lsn(42));
  }
}

}  // namespace
}  // namespace strata::testing
