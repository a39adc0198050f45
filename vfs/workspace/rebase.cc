// Rebase: the layers resolve to something else than the workspace was laid over, and that is taken over for good.
//
// What the upper changed of a layer's objects is tied to their numbers there, and those of other trees are others. So
// it is refused where there is any such change: it would come to lie over something else, or no name would lead to it.
// What was made anew, whiteouts in the root, and the root itself do not depend on numbers.
#include <algorithm>
#include <string>
#include <vector>

#include "base/log.h"
#include "vfs/workspace/layers.h"
#include "vfs/workspace/workspace_impl.h"

namespace strata::vfs {

// `moved`: for each layer, whether it is another one now.
Result<void> WorkspaceImpl::CheckNothingLiesOver(const std::vector<bool>& moved) {
  STRATA_ASSIGN(const LowerFound root, lower_.Root(kBackground));
  const auto stays = [&](const InodeRecord& record, const Origin::Source& source) {
    if (source.layer >= moved.size() || !moved[source.layer]) return true;
    // Made up, by the same spec (at_layer.h).
    if (source.node >= kFirstFreeId) return true;
    if (record.ino != kRootInode) return false;
    return std::ranges::any_of(root.node.sources, [&](const Origin::Source& now) {
      return now.layer == source.layer && now.node == source.node;
    });
  };
  std::uint64_t tied = 0;
  STRATA_TRY(index_->VisitInodes([&](const InodeRecord& record) {
    if (!std::ranges::all_of(record.origin.sources,
                             [&](const Origin::Source& source) { return stays(record, source); })) {
      ++tied;
    }
  }));
  if (tied == 0) return {};
  return Fail(Errc::kNotEmpty,
              path_ + " cannot be laid over what its layers are now: " + std::to_string(tied) +
                  " of their files and directories were changed or removed in it (strata diff " + path_ +
                  " lists them, once the layers are what they were); nothing was changed: put the layers back, or lay "
                  "a new workspace over them with strata init");
}

Result<void> WorkspaceImpl::Rebase(const std::vector<Resolution>& found) {
  WorkspaceConfig config = config_;
  std::vector<bool> moved(config.layers.size(), false);
  for (std::size_t i = 0; i < config.layers.size(); ++i) {
    moved[i] = config.layers[i].resolution != found[i];
    config.layers[i].resolution = found[i];
  }
  if (std::ranges::find(moved, true) == moved.end()) return {};
  STRATA_TRY(CheckNothingLiesOver(moved));
  STRATA_ASSIGN(const std::string text, FormatWorkspaceConfig(config));
  // It was read before the lock was held.
  STRATA_ASSIGN(const WorkspaceConfig kept, LoadWorkspaceConfig(env_, path_));
  if (kept != config_) return Fail(Errc::kBusy, path_ + " was rebased by another process meanwhile; try again");
  STRATA_TRY(ReplaceFile(env_, WorkspaceConfigPath(path_), text));
  for (std::size_t i = 0; i < config.layers.size(); ++i) {
    if (!moved[i]) continue;
    log::Info("rebased", {{"workspace", path_},
                          {"layer", FormatLayerSpec(config.layers[i].spec)},
                          {"from", config_.layers[i].resolution.Text()},
                          {"to", found[i].Text()}});
  }
  return {};
}

}  // namespace strata::vfs
