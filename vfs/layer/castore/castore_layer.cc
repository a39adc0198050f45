#include "vfs/layer/castore/castore_layer.h"

#include <utility>

#include "vfs/layer/castore/served_tree.h"

namespace strata::vfs {
namespace {

using castore::ServedTree;
using castore::TreeRoot;
using castore::TreeSource;

class CastoreLayer final : public Layer {
 public:
  CastoreLayer(std::unique_ptr<TreeSource> source, TreeRoot root, std::string fingerprint, std::uint32_t generation)
      : traits_{.immutable = true,
                .fingerprint = std::move(fingerprint),
                .shares_numbers = source->options.share_key.has_value()},
        source_(std::move(source)),
        tree_(*source_, std::move(root), {.generation = generation, .ids = kFirstFreeId - 1}) {}

  ServedTree& tree() { return tree_; }

  const LayerTraits& Traits() const override { return traits_; }
  LayerNode Root() const override { return tree_.root(); }
  Result<LayerStat> Stat(const OpContext& context, const LayerNode& node) override { return tree_.Stat(context, node); }
  Result<LayerStat> Lookup(const OpContext& context, const LayerNode& directory, std::string_view name) override {
    return tree_.Lookup(context, directory, name);
  }
  Result<void> ReadDirectory(const OpContext& context, const LayerNode& directory,
                             const std::function<bool(const LayerEntry&)>& visit) override {
    return tree_.ReadDirectory(context, directory, visit);
  }
  Result<std::size_t> Read(const OpContext& context, const LayerNode& node, std::uint64_t offset, std::size_t length,
                           const LayerVersion* expected, ReadSink& sink) override {
    return tree_.Read(context, node, offset, length, expected, sink);
  }
  Result<std::string> ReadLink(const OpContext& context, const LayerNode& node) override {
    return tree_.ReadLink(context, node);
  }
  Result<std::string> PathOf(const OpContext& context, const LayerNode& node) override {
    return tree_.PathOf(context, node);
  }
  Result<std::vector<std::string>> ListXattr(const OpContext& context, const LayerNode& node) override {
    return tree_.ListXattr(context, node);
  }
  Result<std::string> GetXattr(const OpContext& context, const LayerNode& node, std::string_view name) override {
    return tree_.GetXattr(context, node, name);
  }
  std::string Describe() const override { return source_->options.description; }

 private:
  const LayerTraits traits_;
  const std::unique_ptr<TreeSource> source_;
  ServedTree tree_;
};

// Sets the size of a bare digest: by the rule by which it fits the attributes, if there are any.
Result<void> SetSize(TreeSource& source, TreeRoot& root) {
  STRATA_ASSIGN(const std::optional<store::Directory> directory, source.directories->Get({}, root.node.digest));
  if (!directory) {
    return Fail(Errc::kNotFound, source.directories->Describe() + " has no directory " + root.node.digest.Text() +
                                     "; strata store ls shows the trees that it has");
  }
  if (root.node.size != 0) return {};
  root.node.size = directory->Size(store::SizeRule::kDocumented);
  const std::uint64_t doubled = directory->Size(store::SizeRule::kDoubled);
  if (root.attributes && root.attributes->nodes() - 1 != root.node.size &&
      root.attributes->nodes() - 1 == doubled / 2) {
    root.node.size = doubled;
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Layer>> OpenCastoreLayer(std::shared_ptr<store::BlobService> blobs,
                                                std::shared_ptr<store::DirectoryService> directories,
                                                const store::Node& root, const std::optional<store::Digest>& attributes,
                                                const CastoreOptions& options) {
  if (root.kind != store::NodeKind::kDirectory) {
    return Fail(Errc::kNotDirectory, options.description + " is a " +
                                         (root.kind == store::NodeKind::kFile ? "file" : "symlink") +
                                         ", not a directory; serve it beside others: castore:@STORE --list-roots");
  }
  auto source = std::make_unique<TreeSource>(std::move(blobs), std::move(directories), options);
  if (attributes) {
    STRATA_ASSIGN(const bool there, source->blobs->Has({}, *attributes));
    if (!there) {
      return Fail(Errc::kNotFound, source->blobs->Describe() + " has no blob " + attributes->Text() +
                                       ", which holds the attributes of " + options.description +
                                       "; the plain tree can be served: castore:" + root.digest.Text());
    }
  }
  STRATA_ASSIGN(TreeRoot tree, castore::OpenTreeRoot(*source, {}, root, attributes));
  STRATA_TRY(SetSize(*source, tree));
  std::string fingerprint = root.digest.Hex();
  store::Digest key = root.digest;
  if (attributes) {
    fingerprint += "+" + attributes->Hex();
    key = store::Digest::Of(AsBytes(fingerprint));
  }
  auto layer = std::make_unique<CastoreLayer>(std::move(source), std::move(tree), std::move(fingerprint),
                                              castore::GenerationOf(key));
  // What does not fit together is said now.
  STRATA_TRY(layer->tree().CheckRoot({}));
  return layer;
}

}  // namespace strata::vfs
