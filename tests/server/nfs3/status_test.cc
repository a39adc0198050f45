#include "server/nfs3/status.h"

#include <gtest/gtest.h>

#include <set>

namespace strata::nfs3 {
namespace {

constexpr auto kLastErrc = Errc::kBusy;

TEST(NfsStatusTest, EveryErrorHasTheStatusOfItsName) {
  EXPECT_EQ(StatusOf(Errc::kPermission), 1u);
  EXPECT_EQ(StatusOf(Errc::kNotFound), 2u);
  EXPECT_EQ(StatusOf(Errc::kIo), 5u);
  EXPECT_EQ(StatusOf(Errc::kNoDevice), 6u);
  EXPECT_EQ(StatusOf(Errc::kAccess), 13u);
  EXPECT_EQ(StatusOf(Errc::kExists), 17u);
  EXPECT_EQ(StatusOf(Errc::kCrossDevice), 18u);
  EXPECT_EQ(StatusOf(Errc::kNotDirectory), 20u);
  EXPECT_EQ(StatusOf(Errc::kIsDirectory), 21u);
  EXPECT_EQ(StatusOf(Errc::kInvalid), 22u);
  EXPECT_EQ(StatusOf(Errc::kFileTooBig), 27u);
  EXPECT_EQ(StatusOf(Errc::kNoSpace), 28u);
  EXPECT_EQ(StatusOf(Errc::kReadOnly), 30u);
  EXPECT_EQ(StatusOf(Errc::kTooManyLinks), 31u);
  EXPECT_EQ(StatusOf(Errc::kNameTooLong), 63u);
  EXPECT_EQ(StatusOf(Errc::kNotEmpty), 66u);
  EXPECT_EQ(StatusOf(Errc::kQuota), 69u);
  EXPECT_EQ(StatusOf(Errc::kStale), 70u);
  EXPECT_EQ(StatusOf(Errc::kBadHandle), 10001u);
  EXPECT_EQ(StatusOf(Errc::kNotSync), 10002u);
  EXPECT_EQ(StatusOf(Errc::kBadCookie), 10003u);
  EXPECT_EQ(StatusOf(Errc::kNotSupported), 10004u);
  EXPECT_EQ(StatusOf(Errc::kTooSmall), 10005u);
  EXPECT_EQ(StatusOf(Errc::kServerFault), 10006u);
  EXPECT_EQ(StatusOf(Errc::kBadType), 10007u);
  EXPECT_EQ(StatusOf(Errc::kJukebox), 10008u);
  EXPECT_EQ(StatusOf(Errc::kWouldBlock), 10008u);
  EXPECT_EQ(StatusOf(Errc::kCorrupt), 5u);
  EXPECT_EQ(StatusOf(Errc::kBusy), 5u);
}

TEST(NfsStatusTest, GetAttrAnswersNothingButWhatRfc1813AllowsIt) {
  const std::set<std::uint32_t> legal = {5, 13, 70, 10001, 10006, 10008};
  for (int code = 0; code <= static_cast<int>(kLastErrc); ++code) {
    EXPECT_TRUE(legal.contains(StatusFor(Proc::kGetAttr, static_cast<Errc>(code)))) << code;
  }
}

TEST(NfsStatusTest, AStatusThatAProcedureDoesNotKnowBecomesTheNearest) {
  EXPECT_EQ(StatusFor(Proc::kRead, Errc::kNotEmpty), NFS3ERR_IO);
  EXPECT_EQ(StatusFor(Proc::kRead, Errc::kPermission), NFS3ERR_ACCES);
  EXPECT_EQ(StatusFor(Proc::kReadLink, Errc::kIsDirectory), NFS3ERR_INVAL);
  EXPECT_EQ(StatusFor(Proc::kWrite, Errc::kNotFound), NFS3ERR_STALE);
  EXPECT_EQ(StatusFor(Proc::kGetAttr, Errc::kReadOnly), NFS3ERR_IO);
  EXPECT_EQ(StatusFor(Proc::kCommit, Errc::kBadCookie), NFS3ERR_IO);
}

// Spec nfsv3 4.3, 4.5, 5.1 to 5.6, 6.2: the statuses that the rules name leave from the procedures that they name them
// for.
TEST(NfsStatusTest, TheStatusesThatTheRulesNameLeave) {
  EXPECT_EQ(StatusFor(Proc::kSetAttr, Errc::kNotSync), NFS3ERR_NOT_SYNC);
  EXPECT_EQ(StatusFor(Proc::kSetAttr, Errc::kIsDirectory), NFS3ERR_ISDIR);
  EXPECT_EQ(StatusFor(Proc::kSetAttr, Errc::kFileTooBig), NFS3ERR_FBIG);
  EXPECT_EQ(StatusFor(Proc::kSetAttr, Errc::kPermission), NFS3ERR_PERM);
  EXPECT_EQ(StatusFor(Proc::kLookup, Errc::kNameTooLong), NFS3ERR_NAMETOOLONG);
  EXPECT_EQ(StatusFor(Proc::kReadDirPlus, Errc::kTooSmall), NFS3ERR_TOOSMALL);
  EXPECT_EQ(StatusFor(Proc::kRename, Errc::kIsDirectory), NFS3ERR_ISDIR);
  EXPECT_EQ(StatusFor(Proc::kRename, Errc::kNotEmpty), NFS3ERR_NOTEMPTY);
  EXPECT_EQ(StatusFor(Proc::kRename, Errc::kCrossDevice), NFS3ERR_XDEV);
  EXPECT_EQ(StatusFor(Proc::kRemove, Errc::kIsDirectory), NFS3ERR_ISDIR);
  EXPECT_EQ(StatusFor(Proc::kRmdir, Errc::kNotDirectory), NFS3ERR_NOTDIR);
  EXPECT_EQ(StatusFor(Proc::kRmdir, Errc::kNotEmpty), NFS3ERR_NOTEMPTY);
  EXPECT_EQ(StatusFor(Proc::kLink, Errc::kTooManyLinks), NFS3ERR_MLINK);
  EXPECT_EQ(StatusFor(Proc::kLink, Errc::kIsDirectory), NFS3ERR_ISDIR);
  EXPECT_EQ(StatusFor(Proc::kCreate, Errc::kExists), NFS3ERR_EXIST);
  EXPECT_EQ(StatusFor(Proc::kWrite, Errc::kFileTooBig), NFS3ERR_FBIG);
  EXPECT_EQ(StatusFor(Proc::kWrite, Errc::kNoSpace), NFS3ERR_NOSPC);
  EXPECT_EQ(StatusFor(Proc::kWrite, Errc::kQuota), NFS3ERR_DQUOT);
}

}  // namespace
}  // namespace strata::nfs3
