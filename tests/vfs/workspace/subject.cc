#include "subject.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <optional>

#include "model.h"
#include "vfs/control_tree.h"

namespace strata::vfs::testing {
namespace {

class ModelSubject final : public Subject {
 public:
  FileSystem& fs() override { return model_; }
  void Reopen(bool read_only) override { model_.SetReadOnly(read_only); }

 private:
  ModelFileSystem model_;
};

// A workspace as clients see it where they are shown the control tree.
class ControlTreeSubject final : public Subject {
 public:
  explicit ControlTreeSubject(std::vector<Tree> layers) : workspace_(std::move(layers), TestOptions()) {}
  FileSystem& fs() override {
    if (!tree_) tree_.emplace(std::shared_ptr<FileSystem>(std::shared_ptr<void>(), &workspace_.fs()));
    return *tree_;
  }
  void Restart() override {
    tree_.reset();
    workspace_.Restart();
  }
  void Reopen(bool read_only) override {
    tree_.reset();
    workspace_.Reopen(read_only);
  }

 private:
  WorkspaceSubject workspace_;
  std::optional<ControlTree> tree_;
};

// Spreads the tree over three layers: each directory is in all of them, the rest in turn. The highest copy of what is
// in several counts, so the lower ones differ in what a merge must not show.
std::vector<Tree> SpreadOverThree(const Tree& given) {
  std::vector<Tree> layers(3);
  std::size_t turn = 0;
  std::size_t of_links = 0;
  for (const TreeNode& node : given) of_links += node.same_as.empty() ? 0 : 1;
  for (const TreeNode& node : given) {
    if (node.type == FileType::kDirectory) {
      layers[0].push_back(node);
      TreeNode lower = node;
      lower.mode = 0700;
      lower.uid = lower.gid = 4242;
      layers[1].push_back(lower);
      layers[2].push_back(lower);
      // Deleted by the middle layer: never to be seen.
      layers[1].push_back(WhiteoutNode(node.path + "/deleted below"));
      layers[2].push_back(FileNode(node.path + "/deleted below", "must not show"));
      continue;
    }
    // Links of one file must lie in one layer.
    const std::size_t at = of_links != 0 ? 1 : turn++ % 3;
    layers[at].push_back(node);
    if (at < 2 && of_links == 0)
      layers[at + 1].push_back(FileNode(node.path, "hidden by the layer above", 0600, 77, 77));
  }
  return layers;
}

std::unique_ptr<Subject> Made(std::unique_ptr<Subject> subject, const Tree& given) {
  Client client(*subject);
  BuildThrough(client, given);
  subject->Pause();
  return subject;
}

}  // namespace

// Small enough that a test fills several.
constexpr std::uint64_t kSegmentSize = 4 << 20;

WorkspaceOptions TestOptions() {
  WorkspaceOptions options;
  options.durability = Durability::kRelaxed;
  options.memory_bytes = 16 << 20;
  return options;
}

std::vector<std::string> ChangeLines(Workspace& workspace) {
  std::vector<std::string> lines;
  const auto changes = workspace.Changes();
  EXPECT_OK(changes);
  if (!changes) return lines;
  for (const PathChange& change : *changes) lines.push_back("AMD"[static_cast<int>(change.kind)] + change.path);
  return lines;
}

std::vector<std::string> ConflictLines(Workspace& workspace) {
  static constexpr const char* kWords[] = {"changed ", "gone ", "unreachable "};
  std::vector<std::string> lines;
  const auto conflicts = workspace.Conflicts();
  EXPECT_OK(conflicts);
  if (!conflicts) return lines;
  for (const Conflict& conflict : *conflicts) lines.push_back(kWords[static_cast<int>(conflict.kind)] + conflict.path);
  return lines;
}

WorkspaceSubject::WorkspaceSubject(std::vector<Tree> layers, const WorkspaceOptions& options, AtPause at_pause)
    : layers_(std::move(layers)), options_(options), at_pause_(at_pause) {
  // A workspace made without layers hides whatever is put beneath it later.
  std::vector<LayerSpec> named;
  if (!layers_.empty()) {
    const std::string none = folder_.path() + "/no layer";
    std::filesystem::create_directory(none);
    named.push_back({.path = none, .markers = {}});
  }
  EXPECT_OK(InitWorkspace(Env::System(), folder(), named, kSegmentSize));
}

WorkspaceSubject::~WorkspaceSubject() = default;

HostSubject::HostSubject(std::vector<Tree> layers, const WorkspaceOptions& options, MarkerStyles markers,
                         const std::vector<std::string>& places)
    : options_(options) {
  std::vector<LayerSpec> named;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    folders_.push_back(folder_.path() + "/layer" + std::to_string(i));
    BuildHostFolder(folders_.back(), layers[i]);
    images_.push_back(HostFolderImage(folders_.back()));
    named.push_back({.path = folders_.back(), .markers = markers, .at = i < places.size() ? places[i] : ""});
  }
  EXPECT_OK(InitWorkspace(Env::System(), folder(), named, kSegmentSize));
}

HostSubject::~HostSubject() {
  workspace_.reset();
  ExpectLowersUntouched();
}

Workspace& HostSubject::workspace() {
  if (workspace_ == nullptr) {
    auto opened = Workspace::Open(Env::System(), folder(), options_);
    if (!opened) {
      std::fprintf(stderr, "opening the workspace: %s\n", opened.error().ToString().c_str());
      std::abort();
    }
    workspace_ = std::move(*opened);
  }
  return *workspace_;
}

void HostSubject::Reopen(bool read_only) {
  workspace_.reset();
  options_.read_only = read_only;
  workspace();
}

void HostSubject::ExpectLowersUntouched() {
  for (std::size_t i = 0; i < folders_.size(); ++i) {
    EXPECT_EQ(HostFolderImage(folders_[i]), images_[i]) << "a layer was changed (spec nfsv3 6.5)";
  }
}

std::vector<std::string> HostSubject::Changes() {
  std::vector<std::string> lines;
  auto changes = workspace().Changes();
  EXPECT_OK(changes);
  if (!changes) return lines;
  for (const PathChange& change : *changes) {
    const char sign = change.kind == ChangeKind::kAdded ? '+' : change.kind == ChangeKind::kDeleted ? '-' : '~';
    lines.push_back(sign + change.path);
  }
  return lines;
}

Workspace& WorkspaceSubject::workspace() {
  if (workspace_ == nullptr) {
    std::vector<std::unique_ptr<Layer>> layers;
    for (const Tree& tree : layers_) layers.push_back(MakeLayer(tree));
    auto opened = Workspace::OpenOver(Env::System(), folder(), std::move(layers), options_);
    if (!opened) {
      // Nothing can follow: a test goes on only over a file system.
      std::fprintf(stderr, "opening the workspace: %s\n", opened.error().ToString().c_str());
      std::abort();
    }
    workspace_ = std::move(*opened);
  }
  return *workspace_;
}

FileSystem& WorkspaceSubject::fs() { return workspace(); }

void WorkspaceSubject::Reopen(bool read_only) {
  workspace_.reset();
  options_.read_only = read_only;
  workspace();
}

void WorkspaceSubject::Checkpoint() { EXPECT_OK(workspace().Checkpoint()); }

void WorkspaceSubject::Pause() {
  if (at_pause_ == AtPause::kRestart) Restart();
  if (at_pause_ == AtPause::kCheckpoint) Checkpoint();
}

std::vector<SubjectKind> SubjectKinds() {
  using AtPause = WorkspaceSubject::AtPause;
  WorkspaceOptions tiny = TestOptions();
  tiny.memory_bytes = 4096;
  tiny.whole_directory_names = tiny.whole_file_extents = 1;
  // Enough for the filters of large directories.
  WorkspaceOptions small = tiny;
  small.memory_bytes = 64 << 10;
  WorkspaceOptions strict = TestOptions();
  strict.durability = Durability::kStrict;
  return {
      {"Model", [](const Tree& given) { return Made(std::make_unique<ModelSubject>(), given); }},
      {"Upper",
       [strict](const Tree& given) {
         return Made(std::make_unique<WorkspaceSubject>(std::vector<Tree>{}, strict), given);
       }},
      {"UpperRestarted",
       [](const Tree& given) {
         return Made(std::make_unique<WorkspaceSubject>(std::vector<Tree>{}, TestOptions(), AtPause::kRestart), given);
       }},
      {"UpperTinyCache",
       [tiny](const Tree& given) {
         return Made(std::make_unique<WorkspaceSubject>(std::vector<Tree>{}, tiny, AtPause::kCheckpoint), given);
       }},
      {"UpperSmallCache",
       [small](const Tree& given) {
         return Made(std::make_unique<WorkspaceSubject>(std::vector<Tree>{}, small, AtPause::kCheckpoint), given);
       }},
      {"OneLayer",
       [](const Tree& given) { return std::make_unique<WorkspaceSubject>(std::vector<Tree>{given}, TestOptions()); }},
      {"ThreeLayers",
       [](const Tree& given) { return std::make_unique<WorkspaceSubject>(SpreadOverThree(given), TestOptions()); }},
      {"ThreeLayersUnderAControlTree",
       [](const Tree& given) { return std::make_unique<ControlTreeSubject>(SpreadOverThree(given)); }},
      {"ThreeLayersRestarted",
       [](const Tree& given) {
         return std::make_unique<WorkspaceSubject>(SpreadOverThree(given), TestOptions(), AtPause::kRestart);
       }},
      {"ThreeLayersTinyCache",
       [tiny](const Tree& given) {
         return std::make_unique<WorkspaceSubject>(SpreadOverThree(given), tiny, AtPause::kCheckpoint);
       }},
      {"ThreeLayersSmallCache",
       [small](const Tree& given) {
         return std::make_unique<WorkspaceSubject>(SpreadOverThree(given), small, AtPause::kCheckpoint);
       }},
  };
}

}  // namespace strata::vfs::testing
