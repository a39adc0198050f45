// Two file systems side by side, the reference model and a subject: each call goes to both, and whatever can be
// compared must agree.
#pragma once

#include <deque>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "model.h"
#include "subject.h"

namespace strata::vfs::testing {

class Duo {
 public:
  // `given` is what `subject` shows already.
  Duo(Subject& subject, const Tree& given, std::uint64_t seed);

  // One random call.
  void Step();
  // Compares everything that can be reached from the root.
  void CompareTrees();
  // What the last calls were, for the message of a failure.
  std::string Trace() const;
  std::uint64_t succeeded() const { return succeeded_; }
  std::uint64_t refused() const { return refused_; }

 private:
  // One object as both know it.
  struct Known {
    ObjectId model;
    ObjectId subject;
    FileType type = FileType::kRegular;
    // When both last looked the same: mtimes change together or not at all.
    bool timed = false;
    Time model_mtime, subject_mtime, subject_ctime;
  };

  std::uint64_t Random(std::uint64_t limit) {
    return std::uniform_int_distribution<std::uint64_t>(0, limit - 1)(random_);
  }
  template <typename T, std::size_t N>
  const T& Pick(const T (&choices)[N]) {
    return choices[Random(N)];
  }
  Known& PickObject(bool directory);
  std::string PickName();
  Credentials PickUser();

  // Runs `call(client, side)` on both; side 0 is the model. True if both succeeded.
  template <typename F>
  bool Both(const std::string& what, const Credentials& who, F&& call);
  void Learn(const Entry& model, const Entry& subject);
  void CompareAttributes(Known& known, const Attributes& model, const Attributes& subject);
  void Compare(Known& known);
  void CompareData(const Known& known, const Credentials& who, std::uint64_t offset, std::uint32_t count);
  void CompareDirectory(const std::string& path, std::uint64_t model_ino);
  bool MayChange(const Known& directory, const Credentials& who);
  const ObjectId& On(int side, const Known& known) const { return side == 0 ? known.model : known.subject; }

  void DoCreate();
  void DoMake();
  void DoRemove();
  void DoRename();
  void DoLink();
  void DoWrite();
  void DoSet();
  void DoLook();

  class Holder : public FileSystemHolder {
   public:
    FileSystem& fs() override { return model; }
    ModelFileSystem model;
  };

  Holder model_;
  Subject& subject_;
  std::mt19937_64 random_;
  std::map<std::uint64_t, Known> known_;  // by the model's number; also what is gone
  std::vector<std::uint64_t> order_;      // its keys
  std::deque<std::string> trace_;
  std::uint64_t succeeded_ = 0;
  std::uint64_t refused_ = 0;
};

}  // namespace strata::vfs::testing
