// One look at a whole workspace: what a report says, and what a repair goes by.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "journal/verify.h"
#include "store/index/index.h"
#include "vfs/check/findings.h"
#include "vfs/check/scratch.h"
#include "vfs/layer/lower_tree.h"
#include "vfs/workspace/checkpointer.h"
#include "vfs/workspace/workspace.h"

namespace strata::vfs {

// The workspace's lock is held while one of these lives.
class Survey {
 public:
  // `lower` may be null, where the layers cannot be read. All must outlive it.
  Survey(Env& env, const std::string& path, const WorkspaceConfig& config, LowerTree* lower,
         const CheckOptions& options, Findings& findings)
      : env_(env), path_(path), config_(config), lower_(lower), options_(options), findings_(findings) {}
  Survey(const Survey&) = delete;
  Survey& operator=(const Survey&) = delete;

  // Looks at everything. A failure is of the look, not of what is looked at.
  Result<void> Run();
  // The index that knows most, for names in messages; null where none can be read.
  store::Index* names() const { return fresh_ ? fresh_.get() : index_.get(); }

  // Of the journal: what can be read from its front without a fault.
  Lsn sound_end() const { return sound_end_; }
  bool journal_readable() const { return journal_.segment_size != 0 && begins_right_; }
  bool journal_whole() const { return journal_readable() && journal_.faults.empty() && sound_end_ == journal_.end; }
  const journal::VerifiedJournal& journal() const { return journal_; }
  // Of the index.
  bool index_there() const { return index_there_; }
  bool index_good() const { return index_good_; }  // as far as it can be told
  Lsn index_lsn() const { return checkpoint_.lsn; }
  // The journal opens, and the index has all that lies in its faults: the workspace can be served as it is.
  bool serves_as_it_is() const;
  // What the records behind the first fault changed, in words; empty where there are none.
  std::string Lost() const;

 private:
  class Effects;

  void Stage(std::string_view stage, double part) const {
    if (options_.progress) options_.progress(stage, part);
  }
  std::function<void(double)> StageOf(std::string_view stage) const {
    return [this, stage](double part) { Stage(stage, part); };
  }
  Result<void> OpenIndex();
  Result<void> ReadJournal();
  void TakeRecord(const journal::RecordView& record, bool behind);
  void JudgeJournal();
  void JudgeIndex();
  // Replays the journal into a fresh index and compares.
  Result<void> Replay();
  Result<void> CheckWhole();
  // Which files consist of what lies in faults of the journal.
  Result<void> FindUnreadable();

  Env& env_;
  const std::string& path_;
  const WorkspaceConfig& config_;
  LowerTree* const lower_;
  const CheckOptions& options_;
  Findings& findings_;

  journal::VerifiedJournal journal_;
  Lsn sound_end_;
  bool begins_right_ = false;
  Lsn begin_allowed_;               // the highest of the `begin` effects
  std::optional<Lsn> undecodable_;  // the first record that checks and cannot be understood
  std::set<InodeNumber> lost_inodes_;
  std::map<InodeNumber, std::string> lost_names_;
  std::uint64_t lost_records_ = 0;

  bool index_there_ = false, index_good_ = false;
  bool record_found_ = false;  // the journal has the record that the index was last made from
  store::Index::Checkpoint checkpoint_;
  std::unique_ptr<Scratch> scratch_;  // before those whose files it removes
  std::unique_ptr<store::Index> index_, fresh_;
};

}  // namespace strata::vfs
