#include "server/nfs3/handle.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>

#include "base/hash.h"
#include "tests/server/nfs3/fake_file_system.h"

namespace strata::nfs3 {
namespace {

class HandleTest : public ::testing::Test {
 protected:
  HandleTest() {
    volume_ = std::make_shared<strata::testing::FakeFileSystem>(0x1122334455667788,
                                                                SipHashKey{0x0706050403020100, 0x0f0e0d0c0b0a0908});
    EXPECT_TRUE(exports_.Add({ExportOptions{}, volume_}));
    EncodeHandle(volume_->Volume(), id_, handle_);
  }
  Errc ErrorOf(ByteSpan handle) {
    const auto found = ResolveHandle(exports_, handle);
    return found ? Errc::kExists : found.error().code();
  }

  std::shared_ptr<strata::testing::FakeFileSystem> volume_;
  Exports exports_;
  const vfs::ObjectId id_{InodeNumber(0xa1a2a3a4a5a6a7a8), Generation(0xb1b2b3b4), 0xc1c2c3c4c5c6c7c8};
  std::byte handle_[kHandleBytes] = {};
};

TEST_F(HandleTest, WhatWasEncodedResolvesToTheSameObject) {
  const auto found = ResolveHandle(exports_, handle_);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->id, id_);
  EXPECT_EQ(found->entry, &exports_.all().front());
}

// Spec nfsv3 3.1: a handle is good across restarts, so its bytes are a format.
TEST_F(HandleTest, Rule3_1_TheBytesAreThoseOfTheFormat) {
  const unsigned char head[32] = {1,    0,    0,    0,    0xb4, 0xb3, 0xb2, 0xb1, 0x88, 0x77, 0x66,
                                  0x55, 0x44, 0x33, 0x22, 0x11, 0xa8, 0xa7, 0xa6, 0xa5, 0xa4, 0xa3,
                                  0xa2, 0xa1, 0xc8, 0xc7, 0xc6, 0xc5, 0xc4, 0xc3, 0xc2, 0xc1};
  EXPECT_EQ(std::memcmp(handle_, head, sizeof head), 0);
  EXPECT_EQ(LoadLe<std::uint64_t>(handle_ + 32),
            SipHash24(volume_->Volume().handle_key, std::as_bytes(std::span(head))));
  EXPECT_LE(kHandleBytes, kMaxHandleBytes);
}

TEST_F(HandleTest, Rule3_1_AHandleWithAnyBitFlippedIsRefused) {
  for (std::size_t bit = 0; bit < 8 * kHandleBytes; ++bit) {
    handle_[bit / 8] ^= std::byte{1} << (bit % 8);
    const Errc error = ErrorOf(handle_);
    const bool in_volume = bit / 64 == 1;
    EXPECT_EQ(error, in_volume ? Errc::kStale : Errc::kBadHandle) << "bit " << bit;
    handle_[bit / 8] ^= std::byte{1} << (bit % 8);
  }
  EXPECT_TRUE(ResolveHandle(exports_, handle_));
}

TEST_F(HandleTest, AHandleOfAnyOtherLengthIsRefused) {
  std::byte longer[kMaxHandleBytes] = {};
  std::memcpy(longer, handle_, kHandleBytes);
  for (std::size_t size = 0; size <= kMaxHandleBytes; ++size) {
    if (size != kHandleBytes) {
      EXPECT_EQ(ErrorOf({longer, size}), Errc::kBadHandle) << size;
    }
  }
}

TEST_F(HandleTest, AHandleOfAVolumeThatIsNotExportedIsStale) {
  const strata::testing::FakeFileSystem other(99);
  EncodeHandle(other.Volume(), id_, handle_);
  EXPECT_EQ(ErrorOf(handle_), Errc::kStale);
}

TEST_F(HandleTest, AHandleMadeWithAnotherKeyIsRefused) {
  vfs::VolumeInfo forged = volume_->Volume();
  forged.handle_key[1] ^= 1;
  EncodeHandle(forged, id_, handle_);
  EXPECT_EQ(ErrorOf(handle_), Errc::kBadHandle);
}

}  // namespace
}  // namespace strata::nfs3
