// A workspace's folder as bytes, which a test can put back changed; what a workspace shows, path by path; and what is
// logged meanwhile.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/vfs/workspace/harness.h"
#include "tests/vfs/workspace/tree.h"
#include "vfs/check/check.h"
#include "vfs/workspace/workspace.h"

namespace strata::vfs::testing {

// File by file, by the path within the folder.
using Picture = std::map<std::string, std::string>;
Picture TakePicture(const std::string& folder);
// The folder then holds this and nothing else.
void PutPicture(const std::string& folder, const Picture& picture);

// What a path leads to, in words; "unreadable" where it cannot be told.
using Shown = std::map<std::string, std::string>;
inline constexpr const char* kUnreadable = "unreadable";
Shown ShownBy(FileSystem& fs);
// Whether all that `shown` tells is so in `truth`, and nothing of `truth` is left out but for what is unreadable; says
// in `why` what is not.
bool AgreesWith(const Shown& shown, const Shown& truth, std::string* why);

// Keeps log lines of warnings and errors instead of printing them, for as long as it lives.
class LogKeeper {
 public:
  LogKeeper();
  ~LogKeeper();
  LogKeeper(const LogKeeper&) = delete;
  LogKeeper& operator=(const LogKeeper&) = delete;
  std::vector<std::string> Lines() const;
  void Clear();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// A workspace over one layer in memory, whose every state is remembered.
class History {
 public:
  // Segments of `segment_size` bytes.
  explicit History(std::uint64_t segment_size = 8192);

  const std::string& folder() const { return path_; }
  const Tree& layer() const { return layer_; }
  Result<std::unique_ptr<Workspace>> Open(const WorkspaceOptions& options) const;
  Result<std::unique_ptr<Workspace>> Open() const;
  Result<CheckReport> Check(bool repair = false) const;
  std::unique_ptr<Layer> MakeOneLayer() const { return MakeLayer(layer_); }

  // Changes of every kind, each made durable, and a state remembered after each; opens the workspace for it, and closes
  // it. With `killed`, the folder is left as a kill leaves it, with a checkpoint in the middle that is in the index's
  // log only.
  void Live(bool killed);
  const std::vector<Shown>& states() const { return states_; }

 private:
  TempFolder temp_;
  std::string path_;
  Tree layer_;
  std::vector<Shown> states_;
};

WorkspaceOptions SmallOptions();

}  // namespace strata::vfs::testing
