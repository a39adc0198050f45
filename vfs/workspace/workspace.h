// Workspace: a writable volume over read-only layers (specs overlay, X rules). What clients change lies in its folder;
// the layers never change.
//
// The folder:
//   workspace.json   what it is: format, volume id, keys, layers
//   lock             held by the process that serves it
//   journal/         the truth (docs/formats/journal.md)
//   index.db         a checkpoint of it (docs/formats/index.md)
//   control          a socket of whoever serves it, not the workspace's own (server/control.h)
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "vfs/file_system.h"
#include "vfs/layer.h"
#include "vfs/layer/opener.h"
#include "vfs/layer/spec.h"
#include "vfs/volume_keys.h"
#include "vfs/workspace/memory_budget.h"

namespace strata::vfs {

struct WorkspaceLayer {
  LayerSpec spec;  // a host folder's path is absolute
  // What it was resolved to when the workspace was made, or last rebased (WorkspaceOptions::rebase).
  Resolution resolution{};
  friend bool operator==(const WorkspaceLayer&, const WorkspaceLayer&) = default;
};

// What workspace.json holds.
struct WorkspaceConfig : VolumeKeys {
  std::vector<WorkspaceLayer> layers;  // highest first
  friend bool operator==(const WorkspaceConfig&, const WorkspaceConfig&) = default;
};

// Makes the workspace folder `path` (its parent must exist) over `layers`. kExists if there is a workspace already,
// kNotEmpty if there is something else, which stays as it is; kBusy if another process makes or serves it. kNotFound or
// kNotDirectory, with a message, for a layer that cannot be used. What an earlier call left that was cut short is
// replaced.
// `segment_size`: of the journal, for ever; 0 for the default.
Result<void> InitWorkspace(Env& env, const std::string& path, const std::vector<LayerSpec>& layers,
                           std::uint64_t segment_size = 0, const LayerOpeners& openers = LayerOpeners::Default());
inline std::string WorkspaceConfigPath(const std::string& path) { return path + "/workspace.json"; }
Result<WorkspaceConfig> LoadWorkspaceConfig(Env& env, const std::string& path);
// The text of workspace.json and back. kInvalid for layers that cannot be kept: a relative path, too long specs;
// kCorrupt for a text that is none of ours, kNotSupported for one of a newer version: `file` is for the message.
Result<std::string> FormatWorkspaceConfig(const WorkspaceConfig& config);
Result<WorkspaceConfig> ParseWorkspaceConfig(std::string_view text, const std::string& file);
// Whether `path` holds a workspace.json.
bool IsWorkspace(Env& env, const std::string& path);

enum class Durability : std::uint8_t {
  kStrict,   // changes of the name space are durable before they are answered, as RFC 1813 says
  kRelaxed,  // they may be answered before: a power cut loses at most `relaxed_interval_ns` of them; COMMIT and stable
             // writes still wait
};

// How much of the past stays in the journal, beside what a workspace still consists of.
struct HistoryPolicy {
  bool all = false;         // nothing is given up
  std::int64_t age_ns = 0;  // what was changed within this time stays
  std::uint64_t bytes = 0;  // the last so many bytes stay
};

struct WorkspaceOptions {
  // Nothing is written, no lock is taken; what another process that serves the workspace does later is not seen.
  bool read_only = false;
  // Layers that resolve to something else than the workspace was laid over are taken as they are now, for good.
  // Without, they are refused.
  bool rebase = false;
  const LayerOpeners* openers = nullptr;  // null: LayerOpeners::Default()
  // Of castore trees (LayerOptions).
  bool show_xattr = true;
  bool list_roots = false;
  // What is equal shows one inode number (CastoreOptions::share_key). kInvalid but for OpenAsItIs.
  bool share_inodes = false;
  Durability durability = Durability::kStrict;
  std::int64_t relaxed_interval_ns = 1'000'000'000;
  // What it may take in memory, in all (MemoryBudget says what for). Changes wait where what is not yet in the index
  // would go beyond.
  std::size_t memory_bytes = kDefaultMemoryBytes;
  // Instead of MemoryBudget's whole_directory_names and shed_names: for tests of directories of which only a part is in
  // memory. 0: as it says.
  std::size_t whole_directory_names = 0;
  // The same for whole_file_extents and shed_extents.
  std::size_t whole_file_extents = 0;
  HistoryPolicy history;
  // What is remembered of a layer that may change is believed for so long; 0: only within the call that asked.
  std::int64_t layer_recheck_ns = 1'000'000'000;
  // A checkpoint begins when the journal has grown by so many bytes, or so many records.
  std::uint64_t checkpoint_bytes = 128 << 20;
  std::uint64_t checkpoint_records = 100'000;
  // One is made, too, when nothing was changed for so long, and when the index has been behind for so long; 0: not for
  // that.
  std::int64_t quiet_checkpoint_ns = 2'000'000'000;
  std::int64_t behind_checkpoint_ns = 10'000'000'000;
};

enum class ChangeKind : std::uint8_t { kAdded, kModified, kDeleted };

// One line of `strata diff`.
struct PathChange {
  ChangeKind kind = ChangeKind::kAdded;
  std::string path;  // from the root, "/a/b"
  FileType type = FileType::kRegular;
};

enum class ConflictKind : std::uint8_t {
  kChanged,      // a layer's file, changed here, was changed in the layer since
  kGone,         // the same, but it is no longer in the layer, or another one is in its place
  kUnreachable,  // no name leads any more to what was changed here: the layer's directory that held it was taken away
};

// Something that was changed here and then in a layer.
struct Conflict {
  ConflictKind kind = ConflictKind::kChanged;
  std::string path;  // from the root, "/a/b"; empty for kUnreachable
  InodeNumber ino;
  FileType type = FileType::kRegular;
};

class Workspace : public FileSystem {
 public:
  // Opens it over the layers that its folder names. kBusy if another process serves it, kCorrupt where the journal is
  // damaged. kInvalid for a layer that resolves to something else than before, also with `rebase` where what was
  // changed here lies over what it was. The journal's tail is replayed first; a missing or damaged index is rebuilt
  // from the journal.
  static Result<std::unique_ptr<Workspace>> Open(Env& env, const std::string& path, const WorkspaceOptions& options);
  // The same over these layers (highest first) instead of those that the folder names. A folder that was made without
  // layers has a root of its own, through which none shows.
  static Result<std::unique_ptr<Workspace>> OpenOver(Env& env, const std::string& path,
                                                     std::vector<std::unique_ptr<Layer>> layers,
                                                     const WorkspaceOptions& options);
  // What `spec` names, as it is and for good: nothing is kept anywhere but in `home`, a folder where the volume's kind
  // keeps what must be the same each time (vfs/home.h; "" where nothing is to be kept). Always read-only.
  static Result<std::unique_ptr<Workspace>> OpenAsItIs(Env& env, const LayerSpec& spec, const VolumeKeys& keys,
                                                       const std::string& home, const WorkspaceOptions& options);
  // The same of a layer that the caller has made.
  static Result<std::unique_ptr<Workspace>> OpenAsItIs(Env& env, std::unique_ptr<Layer> layer, const VolumeKeys& keys,
                                                       const WorkspaceOptions& options);
  // Ends with a checkpoint; errors are logged.
  ~Workspace() override = default;

  // Makes everything changed so far durable, in the journal and in the index.
  virtual Result<void> Checkpoint() = 0;
  virtual Lsn journal_end() const = 0;
  // Gives up as much of the journal's past as `policy` allows and is worth it; happens by itself too, by
  // WorkspaceOptions::history.
  virtual Result<void> GiveUpHistory(const HistoryPolicy& policy) = 0;
  // Bytes of memory that the caches hold, by their own count.
  virtual std::size_t cache_bytes() const = 0;
  // What differs from the layers, ordered by path, as a comparison of the two trees would tell it: what was renamed is
  // deleted there and added here. A directory that was added is one line, and so is each thing within it; of one that
  // was deleted only itself. Modified is what differs in type, mode, owner or content; times do not count, nor does a
  // directory's content.
  virtual Result<std::vector<PathChange>> Changes() = 0;
  // What was changed both here and, since then, in a layer, ordered by path. Of a file's bytes those that lie in the
  // layer cannot be read; what was written here can.
  virtual Result<std::vector<Conflict>> Conflicts() = 0;
  // For people: what the object comes from, the highest first. The workspace itself ("workspace PATH") where it holds
  // something of it, then the layers that have a part in what is shown of it (Layer::Describe).
  virtual Result<std::vector<std::string>> Sources(const ObjectId& id) = 0;
};

}  // namespace strata::vfs
