// Where a check makes its temporary files: in the workspace's folder, which has the room; where that cannot be written,
// in another.
#pragma once

#include <memory>
#include <string>

#include "base/env.h"
#include "base/status.h"

namespace strata::vfs {

class Scratch {
 public:
  // `elsewhere`: the other folder.
  static Result<std::unique_ptr<Scratch>> Make(Env& env, const std::string& workspace, const std::string& elsewhere);
  // Removes the files.
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  // Paths for the index that is made from the journal, and for a copy of the workspace's own.
  std::string fresh() const { return base_; }
  std::string copy() const { return base_ + ".copy"; }

 private:
  Scratch(Env& env, std::string base) : env_(env), base_(std::move(base)) {}

  Env& env_;
  const std::string base_;
};

}  // namespace strata::vfs
