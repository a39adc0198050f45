#include "cli/trees.h"

#include <cstdlib>
#include <utility>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/serve_options.h"
#include "store/castore/names.h"

namespace strata::cli {

Result<store::Store> OpenNamedStore(const std::string& text, store::StoreOptions options) {
  STRATA_ASSIGN(const store::StoreAddress address, ReadStore(text));
  if (options.create && address.kind == store::StoreKind::kPack) STRATA_TRY(MakeParents(address.path));
  if (options.spill_folder.empty()) options.spill_folder = TemporaryFolder();
  return store::OpenStore(Env::System(), address, options);
}

Result<store::Root> FindTree(const store::Store& store, const std::string& text) {
  const auto digest = store::Digest::Parse(text);
  if (!digest) {
    if (auto valid = store::CheckNodeName(text); !valid) {
      return Fail(valid.error().WithContext("neither a name nor a digest"));
    }
    STRATA_ASSIGN(std::optional<store::Root> root, store.roots->Get(Waiting(), text));
    if (root) return *std::move(root);
    return Fail(Errc::kNotFound, "the store " + store.Describe() + " has no tree of the name " + text +
                                     "; strata store ls shows those that it has");
  }
  store::Root root;
  STRATA_ASSIGN(const std::optional<store::Directory> directory, store.directories->Get(Waiting(), *digest));
  if (directory) {
    root.node = store::Node::OfDirectory(*digest, directory->Size(store.sizes));
    return root;
  }
  STRATA_ASSIGN(const std::shared_ptr<store::BlobReader> blob, store.blobs->Open(Waiting(), *digest));
  if (blob) {
    root.node = store::Node::OfFile(*digest, blob->size());
    return root;
  }
  return Fail(Errc::kNotFound,
              "the store " + store.Describe() + " has neither a directory nor a file " + digest->Text());
}

std::string NodeText(const store::Node& node) {
  switch (node.kind) {
    case store::NodeKind::kDirectory:
      break;
    case store::NodeKind::kFile:
      return "file " + node.digest.Text() + " " + std::to_string(node.size) + (node.executable ? " executable" : "");
    case store::NodeKind::kSymlink:
      return "symlink " + Printable(node.target);
  }
  return node.digest.Text();
}

nlohmann::ordered_json ToJson(const store::Node& node) {
  switch (node.kind) {
    case store::NodeKind::kDirectory:
      return {{"kind", "directory"}, {"digest", node.digest.Text()}, {"hex", node.digest.Hex()}, {"size", node.size}};
    case store::NodeKind::kFile:
      return {{"kind", "file"},
              {"digest", node.digest.Text()},
              {"hex", node.digest.Hex()},
              {"size", node.size},
              {"executable", node.executable}};
    case store::NodeKind::kSymlink:
      break;
  }
  return {{"kind", "symlink"}, {"target", node.target}};
}

Result<std::uint64_t> ReadSize(const std::string& option, const std::string& text) {
  if (const auto size = ParseSize(text)) return *size;
  return Fail(Errc::kInvalid, option + " " + text + ": not a size; give a number and K, M, G or T, such as 20M");
}

std::string TemporaryFolder() {
  const char* const folder = std::getenv("TMPDIR");
  return folder != nullptr && folder[0] == '/' ? folder : "/var/tmp";
}

}  // namespace strata::cli
