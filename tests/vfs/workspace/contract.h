// What every vfs::FileSystem that can be changed must do, whatever it is made of and wherever its files came from. The
// rules are those of spec nfsv3 3 to 6; each test names its rule.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "subject.h"

namespace strata::vfs::testing {

class Contract : public ::testing::TestWithParam<SubjectKind> {
 protected:
  // Starts the subject with these files and, always, a directory /w that anybody may write to.
  void Given(Tree tree = {}) {
    tree.insert(tree.begin(), DirNode("w", 0777));
    subject_ = GetParam().make(tree);
  }
  Subject& subject() { return *subject_; }
  Client Root() { return Client(*subject_); }
  Client As(const Credentials& who) { return Client(*subject_, who); }
  // Between two batches of a test: here the restarting kinds restart.
  void Pause() { subject_->Pause(); }
  bool IsModel() const { return GetParam().name == "Model"; }

 private:
  std::unique_ptr<Subject> subject_;
};

inline std::string KindName(const ::testing::TestParamInfo<SubjectKind>& info) { return info.param.name; }

// A few callers.
inline const Credentials kAlice = User(1000, 1000);
inline const Credentials kBob = User(1001, 1001);
inline const Credentials kCarol = User(1002, 1002, {1000, 2000});  // in Alice's group

// Fails unless `a` and `b` are the same but for atime.
inline void ExpectSame(const Attributes& a, Attributes b) {
  b.atime = a.atime;
  EXPECT_TRUE(a == b) << "size " << a.size << " and " << b.size << ", nlink " << a.nlink << " and " << b.nlink
                      << ", mode " << std::oct << a.mode << " and " << b.mode << std::dec << ", owner " << a.uid << '.'
                      << a.gid << " and " << b.uid << '.' << b.gid << ", used " << a.used << " and " << b.used
                      << ", mtime " << a.mtime.ns << " and " << b.mtime.ns << ", ctime " << a.ctime.ns << " and "
                      << b.ctime.ns << ", ino " << a.ino.value << " and " << b.ino.value;
}

}  // namespace strata::vfs::testing

#define STRATA_CONTRACT(suite)                                                        \
  namespace strata::vfs::testing {                                                    \
  class suite : public Contract {};                                                   \
  INSTANTIATE_TEST_SUITE_P(Of, suite, ::testing::ValuesIn(SubjectKinds()), KindName); \
  }
