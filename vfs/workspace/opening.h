// Opening: a workspace's journal and index, put together again after whatever happened to them (docs/architecture.md,
// "The journal is the truth; the index is what it says").
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "base/env.h"
#include "journal/journal.h"
#include "store/index/index.h"
#include "vfs/workspace/keeper.h"
#include "vfs/workspace/memory_budget.h"
#include "vfs/workspace/number_filter.h"
#include "vfs/workspace/past_requests.h"
#include "vfs/workspace/workspace.h"

namespace strata::vfs {

struct Opened {
  std::unique_ptr<journal::ChangeLog> journal;
  std::unique_ptr<store::Index> index;  // null for a reader of a workspace that was never served
  // Null for a reader. Not started; the index holds all that the journal did.
  std::unique_ptr<Keeper> keeper;
  Lsn position;  // what the index covered when it was opened
  InodeNumber next_ino{2};
  std::deque<FoundRequest> past_requests;
};

class Opening {
 public:
  // All must outlive what is opened. `copied_up` learns which of the layers' numbers the index holds.
  Opening(Env& env, const std::string& path, const WorkspaceConfig& config, const WorkspaceOptions& options,
          const MemoryBudget& budget, NumberFilter& copied_up)
      : env_(env), path_(path), config_(config), options_(options), budget_(budget), copied_up_(copied_up) {}

  // The caller holds the workspace's lock, unless it only reads. A missing or damaged index is made anew from the
  // journal. kCorrupt where journal and index do not belong together, or the journal is damaged: with what to do.
  Result<Opened> Run();

 private:
  Result<void> OpenAll(Opened& opened);
  Result<void> OpenIndex(Opened& opened);
  Result<void> OpenJournal(Opened& opened);
  std::uint64_t ReserveBytes() const;
  Result<void> Recover(Opened& opened, const store::Index::Checkpoint& checkpoint);
  // kCorrupt unless the index was made from this journal, and the journal has all that the index counts on.
  Result<void> CheckBelongTogether(journal::ChangeLog& journal, const store::Index::Checkpoint& checkpoint) const;
  // kCorrupt where the journal begins later than it may.
  Result<void> CheckBegin(const journal::ChangeLog& journal, const store::Index::Checkpoint& checkpoint) const;

  Env& env_;
  const std::string& path_;
  const WorkspaceConfig& config_;
  const WorkspaceOptions& options_;
  const MemoryBudget& budget_;
  NumberFilter& copied_up_;
};

}  // namespace strata::vfs
