// A program that serves a castore tree out of blobs, directories and names of its own, here of one each. It prints its
// URL and ends with its input.
#include <cstdio>

#include "server/server.h"
#include "store/blobs/bytes_reader.h"
#include "vfs/control_tree.h"
#include "vfs/layer/castore/castore_layer.h"
#include "vfs/workspace/workspace.h"
using namespace strata;
using namespace strata::store;

const std::string kText = "hello from a blob\n";
const Digest kBlob = Digest::Of(AsBytes(kText));
const Directory kTree = Directory::Make({{"hello", Node::OfFile(kBlob, kText.size())}}).value();

struct Blobs final : BlobService {
  Result<bool> Has(const Waiting&, const Digest& digest) override { return digest == kBlob; }
  Result<std::shared_ptr<BlobReader>> Open(const Waiting&, const Digest& digest) override {
    return digest == kBlob ? ReadBytes({AsBytes(kText), nullptr}) : nullptr;
  }
  std::string Describe() const override { return "the program's blobs"; }
};
struct Directories final : DirectoryService {
  Result<std::optional<Directory>> Get(const Waiting&, const Digest& digest) override {
    return digest == kTree.digest() ? std::optional(kTree) : std::nullopt;
  }
  std::string Describe() const override { return "the program's directories"; }
};
struct Names final : RootNodes {
  const Root root{Node::OfDirectory(kTree.digest(), kTree.Size(SizeRule::kDocumented)), std::nullopt};
  Result<std::optional<Root>> Get(const Waiting&, std::string_view name) override {
    return name == "greeting" ? std::optional(root) : std::nullopt;
  }
  Result<void> List(const Waiting&, const std::function<bool(std::string_view, const Root&)>& visit) override {
    return visit("greeting", root), Result<void>();
  }
};

Result<std::unique_ptr<Server>> Serve() {
  STRATA_ASSIGN(const std::optional<Root> root, Names().Get({}, "greeting"));
  STRATA_ASSIGN(auto layer, vfs::OpenCastoreLayer(std::make_shared<Blobs>(), std::make_shared<Directories>(),
                                                  root.value().node, root->attributes, {}));
  const vfs::VolumeKeys keys{.volume_id = 1, .handle_key = {2, 3}, .name_key = {4, 5}};  // kept, handles stay good
  STRATA_ASSIGN(auto tree, vfs::Workspace::OpenAsItIs(Env::System(), std::move(layer), keys, {}));
  ExportOptions options;
  options.insecure_ports = true;
  return Server::Start({.listen = {{"127.0.0.1", 0}}, .locks = false},
                       {{options, std::make_shared<vfs::ControlTree>(std::move(tree))}});
}
int main() {
  const auto server = Serve();
  if (!server) return std::fprintf(stderr, "%s\n", server.error().ToString().c_str()), 1;
  const unsigned port = (*server)->endpoints()[0].port;
  std::printf("nfs://127.0.0.1/?nfsport=%u&mountport=%u\n", port, port), std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
}
