// Check: everything that a workspace's folder holds, looked at whole: `strata check`.
//
// The journal is the truth: it is read from end to end, replayed into a fresh index in a temporary file, and the index
// is compared with that. What the fresh index tells is a tree, and is checked as one. A check goes on after what it
// finds as far as it can.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "vfs/layer.h"
#include "vfs/layer/opener.h"
#include "vfs/workspace/memory_budget.h"

namespace strata::vfs {

enum class Severity : std::uint8_t {
  kInformation,  // nothing is wrong
  kWarning,      // something outside of the workspace, or of no consequence
  kDamage,
};

struct Finding {
  Severity severity = Severity::kDamage;
  std::string where;   // a file of the workspace, or a path within it
  std::string what;    // what is so, and what it means
  std::string advice;  // what to do; may be empty
};

struct CheckReport {
  struct Count {
    std::string what;  // "journal records"
    std::uint64_t number = 0;
  };
  std::vector<Count> checked;
  std::vector<Finding> findings;
  std::uint64_t left_out = 0;        // findings beyond the largest number kept
  std::vector<std::string> repairs;  // what was done, and what was lost by it, in words
  std::uint64_t damage = 0;          // how many findings of kDamage there were, those left out too
  bool damaged() const { return damage > 0; }
};

struct CheckOptions {
  // Rebuilds the index from the journal, and cuts the journal where it cannot be read on. What is replaced or cut is
  // kept beside as NAME.damaged; what was kept under that name before is then NAME.damaged.2, and so on.
  bool repair = false;
  std::size_t memory_bytes = kDefaultMemoryBytes;
  // For temporary files, where the workspace's folder cannot be written.
  std::string temporary_folder = "/tmp";
  const LayerOpeners* openers = nullptr;  // null: LayerOpeners::Default()
  // Hears what is being looked at, and how far that has come, 0 to 1. May be null.
  std::function<void(std::string_view stage, double part)> progress = {};
};

// The workspace folder `path`, over the layers that it names. kBusy if a process serves it; other failures where
// nothing can be looked at. Without `repair` no file is changed, and temporary ones are gone afterwards. After a repair
// the report is of what is there then.
Result<CheckReport> CheckWorkspace(Env& env, const std::string& path, const CheckOptions& options);
// The same over these layers (highest first).
Result<CheckReport> CheckWorkspaceOver(Env& env, const std::string& path, std::vector<std::unique_ptr<Layer>> layers,
                                       const CheckOptions& options);

}  // namespace strata::vfs
