// What every RootNodes that names can be set in does (spec castore 9: CA-49, CA-66). A test program runs it on an
// implementation as it does BlobServiceContract.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "store/castore/root_nodes.h"

namespace strata::store {

struct MadeRootNodes {
  std::shared_ptr<void> ground;  // goes after the names
  std::shared_ptr<RootNodes> roots;
  // Where the names outlive the object: opens them anew, after `roots` was let go. May be empty.
  std::function<std::shared_ptr<RootNodes>()> reopen;
};

struct RootNodesMaker {
  std::string name;  // letters and digits
  // Of no names, that can be set.
  std::function<MadeRootNodes()> make;

  static std::string Name(const ::testing::TestParamInfo<RootNodesMaker>& info) { return info.param.name; }
  friend std::ostream& operator<<(std::ostream& out, const RootNodesMaker& maker) { return out << maker.name; }
};

class RootNodesContract : public ::testing::TestWithParam<RootNodesMaker> {
 protected:
  RootNodesContract() : made_(GetParam().make()) {}
  RootNodes& roots() { return *made_.roots; }
  std::vector<std::string> Names();

  const Waiting waiting_{};
  MadeRootNodes made_;
};

}  // namespace strata::store
