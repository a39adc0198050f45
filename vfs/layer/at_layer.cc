#include "vfs/layer/at_layer.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "vfs/file_system.h"

namespace strata::vfs {
namespace {

constexpr std::size_t kMostNames = (std::uint64_t{1} << kLayerIdBits) - kFirstFreeId;

class AtLayer final : public Layer {
 public:
  // `root`: the status of the inner root. `names`: at least one.
  AtLayer(std::unique_ptr<Layer> inner, const LayerStat& root, std::vector<std::string> names)
      : inner_(std::move(inner)),
        inner_root_(root.node),
        inner_type_(root.attributes.type),
        names_(std::move(names)),
        traits_(inner_->Traits()) {
    for (const std::string& name : names_) at_ += (at_.empty() ? "" : "/") + name;
    if (!traits_.fingerprint.empty()) traits_.fingerprint += " at /" + at_;
  }

  const LayerTraits& Traits() const override { return traits_; }
  LayerNode Root() const override { return {kFirstFreeId, 0}; }
  Result<LayerStat> Stat(const OpContext& context, const LayerNode& node) override;
  Result<LayerStat> Lookup(const OpContext& context, const LayerNode& directory, std::string_view name) override;
  Result<void> ReadDirectory(const OpContext& context, const LayerNode& directory,
                             const std::function<bool(const LayerEntry&)>& visit) override;
  Result<std::size_t> Read(const OpContext& context, const LayerNode& node, std::uint64_t offset, std::size_t length,
                           const LayerVersion* expected, ReadSink& sink) override;
  Result<std::string> ReadLink(const OpContext& context, const LayerNode& node) override;
  Result<std::string> PathOf(const OpContext& context, const LayerNode& node) override;
  Result<std::vector<std::string>> ListXattr(const OpContext& context, const LayerNode& node) override;
  Result<std::string> GetXattr(const OpContext& context, const LayerNode& node, std::string_view name) override;
  std::string Describe() const override { return inner_->Describe() + " at /" + at_; }

 private:
  static bool IsMadeUp(const LayerNode& node) { return node.id >= kFirstFreeId; }
  // How many names lie above a made-up directory; kStale for one that there is not.
  Result<std::size_t> DepthOf(const LayerNode& node) const {
    if (node.id - kFirstFreeId >= names_.size()) return Fail(Errc::kStale);
    return node.id - kFirstFreeId;
  }
  LayerNode MadeUp(std::size_t depth) const {
    return {kFirstFreeId + depth, depth == 0 ? 0 : kFirstFreeId + depth - 1};
  }
  // Where the inner root lies.
  LayerNode Place() const { return {inner_root_.id, kFirstFreeId + names_.size() - 1}; }
  // As the inner layer knows it: its root has no parent, and nothing in it lies in a made-up directory.
  LayerNode Inner(const LayerNode& node) const {
    if (node.id == inner_root_.id) return inner_root_;
    return {node.id, node.parent < kFirstFreeId ? node.parent : 0};
  }
  std::string PathAt(std::size_t depth) const {
    std::string path;
    for (std::size_t i = 0; i < depth; ++i) path += (i == 0 ? "" : "/") + names_[i];
    return path;
  }
  LayerStat StatMadeUp(std::size_t depth) const;
  Result<LayerStat> StatInnerRoot(const OpContext& context);

  const std::unique_ptr<Layer> inner_;
  const LayerNode inner_root_;
  const FileType inner_type_;
  const std::vector<std::string> names_;
  std::string at_;  // the names, joined by '/'
  LayerTraits traits_;
};

LayerStat AtLayer::StatMadeUp(std::size_t depth) const {
  LayerStat stat;
  stat.node = MadeUp(depth);
  stat.made_up = true;
  stat.attributes.type = FileType::kDirectory;
  stat.attributes.mode = 0755;
  stat.attributes.nlink = depth + 1 < names_.size() || inner_type_ == FileType::kDirectory ? 3 : 2;
  stat.attributes.ino = InodeNumber(stat.node.id);
  // Of another path it is another directory, though it has the same id.
  stat.generation = static_cast<std::uint32_t>(SipHash24({0x7374726174612e61, 0x74}, AsBytes(PathAt(depth)))) | 1;
  return stat;
}

Result<LayerStat> AtLayer::StatInnerRoot(const OpContext& context) {
  STRATA_ASSIGN(LayerStat stat, inner_->Stat(context, inner_root_));
  stat.node = Place();
  return stat;
}

Result<LayerStat> AtLayer::Stat(const OpContext& context, const LayerNode& node) {
  if (node.id == inner_root_.id) return StatInnerRoot(context);
  if (!IsMadeUp(node)) return inner_->Stat(context, Inner(node));
  STRATA_ASSIGN(const std::size_t depth, DepthOf(node));
  return StatMadeUp(depth);
}

Result<LayerStat> AtLayer::Lookup(const OpContext& context, const LayerNode& directory, std::string_view name) {
  if (!IsMadeUp(directory)) return inner_->Lookup(context, Inner(directory), name);
  STRATA_ASSIGN(const std::size_t depth, DepthOf(directory));
  if (name != names_[depth]) return Fail(Errc::kNotFound);
  if (depth + 1 == names_.size()) return StatInnerRoot(context);
  return StatMadeUp(depth + 1);
}

Result<void> AtLayer::ReadDirectory(const OpContext& context, const LayerNode& directory,
                                    const std::function<bool(const LayerEntry&)>& visit) {
  if (!IsMadeUp(directory)) return inner_->ReadDirectory(context, Inner(directory), visit);
  STRATA_ASSIGN(const std::size_t depth, DepthOf(directory));
  const bool last = depth + 1 == names_.size();
  visit({.name = names_[depth],
         .node = last ? Place() : MadeUp(depth + 1),
         .type = last ? inner_type_ : FileType::kDirectory});
  return {};
}

Result<std::size_t> AtLayer::Read(const OpContext& context, const LayerNode& node, std::uint64_t offset,
                                  std::size_t length, const LayerVersion* expected, ReadSink& sink) {
  if (!IsMadeUp(node)) return inner_->Read(context, Inner(node), offset, length, expected, sink);
  STRATA_TRY(DepthOf(node));
  return Fail(Errc::kIsDirectory);
}

Result<std::string> AtLayer::ReadLink(const OpContext& context, const LayerNode& node) {
  if (!IsMadeUp(node)) return inner_->ReadLink(context, Inner(node));
  STRATA_TRY(DepthOf(node));
  return Fail(Errc::kInvalid);
}

Result<std::string> AtLayer::PathOf(const OpContext& context, const LayerNode& node) {
  if (IsMadeUp(node)) {
    STRATA_ASSIGN(const std::size_t depth, DepthOf(node));
    return PathAt(depth);
  }
  STRATA_ASSIGN(const std::string within, inner_->PathOf(context, Inner(node)));
  return within.empty() ? at_ : at_ + "/" + within;
}

Result<std::vector<std::string>> AtLayer::ListXattr(const OpContext& context, const LayerNode& node) {
  if (!IsMadeUp(node)) return inner_->ListXattr(context, Inner(node));
  STRATA_TRY(DepthOf(node));
  return std::vector<std::string>();
}

Result<std::string> AtLayer::GetXattr(const OpContext& context, const LayerNode& node, std::string_view name) {
  if (!IsMadeUp(node)) return inner_->GetXattr(context, Inner(node), name);
  STRATA_TRY(DepthOf(node));
  return Fail(Errc::kNotFound);
}

}  // namespace

Result<std::unique_ptr<Layer>> PlaceLayerAt(std::unique_ptr<Layer> inner, std::string_view at) {
  if (at.empty()) return inner;
  std::vector<std::string> names;
  for (std::string_view rest = at; !rest.empty();) {
    if (rest.front() != '/') return Fail(Errc::kInvalid, "a layer's place begins with '/'");
    rest.remove_prefix(1);
    const std::string_view name = rest.substr(0, rest.find('/'));
    STRATA_TRY(CheckNewName(name, Errc::kInvalid));
    if (names.size() == kMostNames) return Fail(Errc::kInvalid, "a layer's place has too many names");
    names.emplace_back(name);
    rest.remove_prefix(name.size());
  }
  if (inner->Root().id >= kFirstFreeId) {
    return Fail(Errc::kInvalid, inner->Describe() + " has a place already; join the two into one");
  }
  STRATA_ASSIGN(const LayerStat root, inner->Stat(kBackground, inner->Root()));
  return std::make_unique<AtLayer>(std::move(inner), root, std::move(names));
}

}  // namespace strata::vfs
