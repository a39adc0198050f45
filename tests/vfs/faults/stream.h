// A random stream of changes that is remembered, so that the state after any number of its first changes can be made
// again on the reference model.
#pragma once

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/vfs/faults/subject.h"
#include "tests/vfs/workspace/model.h"

namespace strata::vfs::testing {

// A small layer of every kind of thing, for streams to begin with.
Tree StreamBase();

class Stream {
 public:
  // `base`: what the subject shows when it begins.
  Stream(FaultySubject& subject, Tree base, std::uint64_t seed);

  // One change. With `wait`, its commitment is waited for and must be met.
  void Step(bool wait);
  // As Step, while the machine may stop: false, with nothing remembered, where it did before the change was made.
  bool StepOrStop(bool wait);
  // Waits until everything so far is durable.
  void SyncAll();

  // The journal position before which everything has been promised.
  Lsn promised() const { return promised_; }
  std::size_t steps() const { return steps_.size(); }
  std::size_t changes() const { return changes_; }

  // Forgets the changes that lie at or behind `end`, expects that what is left is exactly what the subject shows, and
  // that handles are good or stale as they should be.
  void CutAndCompare(Lsn end);
  void Compare();

 private:
  struct Known {
    ObjectId model, subject;
    bool directory = false;
  };
  enum class Kind { kCreate, kMkdir, kSymlink, kRemove, kRmdir, kRename, kLink, kWrite, kSet };
  struct Op {
    Kind kind = Kind::kCreate;
    std::size_t a = 0, b = 0;  // of known_
    std::string name, to;
    std::uint64_t offset = 0;
    std::string data;
    SetAttributes set;
    Stability stability = Stability::kUnstable;
    Lsn end;                // of its record; 0: it changed nothing
    std::size_t known = 0;  // how many objects were known before it
  };
  class Holder : public FileSystemHolder {
   public:
    FileSystem& fs() override { return *model; }
    std::unique_ptr<ModelFileSystem> model = std::make_unique<ModelFileSystem>();
  };

  std::uint64_t Random(std::uint64_t limit) { return random_() % limit; }
  std::size_t Pick(bool directory);
  std::string Name() { return std::string(1, static_cast<char>('a' + Random(6))); }
  Op Think();
  static Result<Entry> Apply(FileSystem& fs, const Op& op, const ObjectId& a, const ObjectId& b, Mutation& mutation);
  void BuildModel();

  FaultySubject& subject_;
  const Tree base_;
  std::mt19937_64 random_;
  Holder model_;
  std::vector<Known> known_;
  std::size_t from_base_ = 0;
  std::vector<Op> steps_;
  std::vector<Known> lost_;  // what was made and then lost with the power
  Lsn promised_;
  std::size_t changes_ = 0;
};

}  // namespace strata::vfs::testing
