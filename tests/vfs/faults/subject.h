// A workspace over layers in memory whose files lie in an Env that fails and loses power.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/base/fault_env.h"
#include "tests/vfs/workspace/harness.h"
#include "tests/vfs/workspace/tree.h"
#include "vfs/workspace/workspace.h"

namespace strata::vfs::testing {

// All that runs by itself does so, and far more often than it would: what holds must hold at any moment of it.
inline WorkspaceOptions LivelyOptions() {
  WorkspaceOptions options;
  options.memory_bytes = 16 << 20;
  options.checkpoint_bytes = 64 << 10;
  options.checkpoint_records = 16;
  options.quiet_checkpoint_ns = 1'000'000;
  options.behind_checkpoint_ns = 5'000'000;
  return options;
}

// Nothing happens by itself: for a test that decides alone what is durable, what the index holds, or which of the
// journal's calls fails.
inline WorkspaceOptions QuietOptions() {
  WorkspaceOptions options;
  options.memory_bytes = 16 << 20;
  options.checkpoint_bytes = ~0ULL;
  options.checkpoint_records = ~0ULL;
  options.quiet_checkpoint_ns = 0;
  options.behind_checkpoint_ns = 0;
  options.history.all = true;
  return options;
}

// What is made to fail here need not be told in the log.
void SilenceLog();

class FaultySubject : public FileSystemHolder {
 public:
  // `layers`: highest first. The workspace is opened by Open, or by the first call.
  FaultySubject(std::vector<Tree> layers, const WorkspaceOptions& options = LivelyOptions(),
                std::uint64_t segment_size = 1 << 20)
      : layers_(std::move(layers)), options_(options) {
    SilenceLog();
    std::vector<LayerSpec> named;
    if (!layers_.empty()) {
      const std::string none = folder_.path() + "/no layer";
      std::filesystem::create_directory(none);
      named.push_back({.path = none, .markers = {}});
    }
    EXPECT_OK(InitWorkspace(env_, folder(), named, segment_size));
  }

  FaultEnv& env() { return env_; }
  std::string folder() const { return folder_.path() + "/workspace"; }
  std::string index() const { return folder() + "/index.db"; }
  WorkspaceOptions& options() { return options_; }

  Result<void> Open() {
    if (workspace_ != nullptr) return {};
    STRATA_ASSIGN(workspace_, OpenAs(options_));
    return {};
  }
  // Another one over the same folder that only looks, as another process would.
  std::unique_ptr<Workspace> OpenBeside() {
    WorkspaceOptions looking = options_;
    looking.read_only = true;
    auto opened = OpenAs(looking);
    EXPECT_OK(opened);
    return opened ? std::move(*opened) : nullptr;
  }
  void Close() { workspace_.reset(); }
  void Restart() {
    Close();
    workspace();
  }

  Workspace& workspace() {
    if (auto opened = Open(); !opened) {
      // Nothing can follow: a test goes on only over a file system.
      std::fprintf(stderr, "opening the workspace: %s\n", opened.error().ToString().c_str());
      std::abort();
    }
    return *workspace_;
  }
  FileSystem& fs() override { return workspace(); }

 private:
  Result<std::unique_ptr<Workspace>> OpenAs(const WorkspaceOptions& options) {
    std::vector<std::unique_ptr<Layer>> layers;
    for (const Tree& tree : layers_) layers.push_back(MakeLayer(tree));
    return Workspace::OpenOver(env_, folder(), std::move(layers), options);
  }

  TempFolder folder_;
  FaultEnv env_;
  std::vector<Tree> layers_;
  WorkspaceOptions options_;
  std::unique_ptr<Workspace> workspace_;
};

// The index as files. It does not lie in the Env, and so is kept over a loss of power by hand. Taken while nothing
// writes it.
class IndexCopy {
 public:
  void Take(const FaultySubject& subject);
  // Puts it in the place of the index; where none was taken there is none.
  void Restore(const FaultySubject& subject) const;

 private:
  std::map<std::string, std::string> files_;
};

// Any file system, to be called by a Client.
class Holding : public FileSystemHolder {
 public:
  explicit Holding(FileSystem& held) : held_(&held) {}
  FileSystem& fs() override { return *held_; }

 private:
  FileSystem* held_;
};

// All that a file system shows, a line for each name: type, mode, owner, links, size, content, and which names are one
// object. Equal texts: equal trees. With `exact`, numbers and times too. Fails the test where a listing, its attributes
// and a lookup disagree.
std::string TreeImage(FileSystemHolder& holder, bool exact);

}  // namespace strata::vfs::testing
