// DirectoryService: castore directories by their digest (spec castore 6: CA-34 to CA-36). The interface that a store,
// or a program with directories of its own, implements. Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/fetch.h"
#include "base/status.h"
#include "store/castore/directory.h"

namespace strata::store {

// Takes the directories of one tree, children before their parents. May be dropped without Close. Not thread-safe.
class DirectoryPutter {
 public:
  virtual ~DirectoryPutter() = default;

  // kInvalid for one that names a directory which was not put here before (CA-40, CA-42), and after Close.
  virtual Result<void> Put(const Directory& directory) = 0;
  // The digest of the one directory that no other names; kInvalid where there is none or several, and when it is called
  // again.
  virtual Result<Digest> Close() = 0;
};

class DirectoryService {
 public:
  virtual ~DirectoryService() = default;

  // Nothing: it does not have it. kCorrupt where what it has does not hash to `digest`.
  virtual Result<std::optional<Directory>> Get(const Waiting& waiting, const Digest& digest) = 0;
  // Default: kReadOnly.
  virtual Result<Digest> Put(const Directory& directory);
  // Calls visit for the root, then for what lies beneath it, breadth first, each directory once, until it says false
  // (CA-35). For nothing where the root is unknown; kCorrupt for a child that is missing. Default: by Get, with 50
  // bytes or so of memory for each directory. It begins anew at each call: to come again is not for large trees.
  virtual Result<void> GetRecursive(const Waiting& waiting, const Digest& root,
                                    const std::function<bool(const Directory&)>& visit);
  // Default: checks (CA-40, CA-42), and puts each by Put at once. What it gives must not outlive the service.
  virtual Result<std::unique_ptr<DirectoryPutter>> PutMany();
  // Makes durable what was put so far; default: it is so already.
  virtual Result<void> Sync();
  // For messages: which store this is.
  virtual std::string Describe() const = 0;
  // For messages about a directory that somebody asked for and that it lacks: what may be the reason, if there is one
  // of its own. Default: nothing.
  virtual std::string WhyMissing() const { return {}; }
};

// The node at `path` beneath `root`: names with a slash between each two, nothing for the root itself (CA-7, CA-39).
// Nothing where there is none, also beneath a file or a symlink, which is not followed. kInvalid for what is no path,
// such as one with an empty name or ".."; kCorrupt for a directory that is missing.
Result<std::optional<Node>> FindNode(DirectoryService& service, const Waiting& waiting, const Node& root,
                                     std::string_view path);

// As GetRecursive, but children before their parents, depth first, the root last (CA-42): the order in which a tree is
// put elsewhere. Memory: the same, and the directories between the root and the one that is visited.
Result<void> VisitLeavesToRoot(DirectoryService& service, const Waiting& waiting, const Digest& root,
                               const std::function<bool(const Directory&)>& visit);

}  // namespace strata::store
