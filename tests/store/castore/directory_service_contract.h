// What every DirectoryService does (spec castore 6: CA-34 to CA-36, CA-40, CA-42, and 12). A test program runs it on an
// implementation as it does BlobServiceContract.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "store/castore/directory_service.h"

namespace strata::store {

struct MadeDirectoryService {
  std::shared_ptr<void> ground;  // goes after the service
  std::shared_ptr<DirectoryService> service;
  // Where what was put outlives the service: opens it anew, after `service` was let go. May be empty.
  std::function<std::shared_ptr<DirectoryService>()> reopen;
};

struct DirectoryServiceMaker {
  std::string name;  // letters and digits
  // A service that holds nothing and takes directories.
  std::function<MadeDirectoryService()> make;
  // Whether any directory is put, and got, by itself; else only those without children, and roots of what was put
  // together (CA-37).
  bool any_alone = true;

  static std::string Name(const ::testing::TestParamInfo<DirectoryServiceMaker>& info) { return info.param.name; }
  friend std::ostream& operator<<(std::ostream& out, const DirectoryServiceMaker& maker) { return out << maker.name; }
};

class DirectoryServiceContract : public ::testing::TestWithParam<DirectoryServiceMaker> {
 protected:
  DirectoryServiceContract() : made_(GetParam().make()) {}
  DirectoryService& service() { return *made_.service; }

  // Puts them together, in this order; the first error.
  Result<Digest> PutAll(const std::vector<Directory>& directories);
  // The digests that GetRecursive visits.
  std::vector<Digest> Closure(const Digest& root);

  const Waiting waiting_{};
  MadeDirectoryService made_;
};

}  // namespace strata::store
