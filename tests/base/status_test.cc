#include "base/status.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "base/bytes.h"

namespace strata {
namespace {

TEST(Status, SaysWhatWasDoneToWhatAndWhy) {
  const Status status = Status::FromErrno(ENOENT, "open /x").WithContext("start");
  EXPECT_EQ(status.code(), Errc::kNotFound);
  EXPECT_EQ(status.ToString(), "start: open /x: No such file or directory (ENOENT)");
  EXPECT_EQ(Status(Errc::kStale).message(), "stale file handle");
}

TEST(Status, MapsErrnoToTheNearestCode) {
  EXPECT_EQ(ErrcFromErrno(ENOSPC), Errc::kNoSpace);
  EXPECT_EQ(ErrcFromErrno(EDQUOT), Errc::kQuota);
  EXPECT_EQ(ErrcFromErrno(EROFS), Errc::kReadOnly);
  EXPECT_EQ(ErrcFromErrno(ESTALE), Errc::kStale);
  EXPECT_EQ(ErrcFromErrno(EBUSY), Errc::kBusy);
  EXPECT_EQ(ErrcFromErrno(ELOOP), Errc::kInvalid);
  EXPECT_EQ(ErrcFromErrno(EPIPE), Errc::kIo);
}

TEST(Status, TellsThatThereIsNoSpace) {
  EXPECT_TRUE(Status::FromErrno(ENOSPC, "write /x").IsOutOfSpace());
  EXPECT_TRUE(Status::FromErrno(EDQUOT, "write /x").IsOutOfSpace());
  EXPECT_FALSE(Status::FromErrno(EFBIG, "write /x").IsOutOfSpace());
}

TEST(ByteReader, StaysFailedAfterAReadPastTheEnd) {
  ByteReader reader(AsBytes("\x01\x02\x03"));
  EXPECT_EQ(reader.Read<std::uint16_t>(), 0x0201);
  EXPECT_EQ(reader.Read<std::uint16_t>(), 0);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.Read<std::uint8_t>(), 0);
  EXPECT_TRUE(reader.ReadBytes(1).empty());
}

}  // namespace
}  // namespace strata
