// What every BlobService does (spec castore 5: CA-20 to CA-25, and 12). A test program runs it on an implementation by
//
//   INSTANTIATE_TEST_SUITE_P(Pack, BlobServiceContract, ::testing::Values(BlobServiceMaker{...}),
//   BlobServiceMaker::Name);
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "store/blobs/blob_service.h"

namespace strata::store {

struct MadeBlobService {
  // What the service lies in, such as a temporary folder; goes after it.
  std::shared_ptr<void> ground;
  std::shared_ptr<BlobService> service;
  // Where what was put outlives the service: opens it anew, after `service` was let go. May be empty.
  std::function<std::shared_ptr<BlobService>()> reopen;
};

struct BlobServiceMaker {
  std::string name;  // letters and digits
  // A service that holds nothing and takes blobs.
  std::function<MadeBlobService()> make;

  static std::string Name(const ::testing::TestParamInfo<BlobServiceMaker>& info) { return info.param.name; }
  friend std::ostream& operator<<(std::ostream& out, const BlobServiceMaker& maker) { return out << maker.name; }
};

class BlobServiceContract : public ::testing::TestWithParam<BlobServiceMaker> {
 protected:
  BlobServiceContract() : made_(GetParam().make()) {}
  BlobService& service() { return *made_.service; }

  // Puts by a writer, in pieces of `piece` bytes.
  Digest Write(ByteSpan content, std::size_t piece);
  // Expects that the service has all of `content`, and nothing else, by that name.
  void ExpectHas(const Digest& digest, ByteSpan content);
  void ExpectHasNot(const Digest& digest);

  const Waiting waiting_{};
  MadeBlobService made_;
};

// All that a reader gives, by ReadAt in pieces of `piece` bytes.
Result<std::string> ReadAll(BlobReader& reader, std::size_t piece = 64 << 10);

}  // namespace strata::store
