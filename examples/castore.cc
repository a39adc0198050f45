// A program that serves castore trees out of blobs, directories and names of its own, here of one each. It keeps in a
// folder what makes handles outlive it, prints its URL, and ends with its input.
#include <cstdio>

#include "server/server.h"
#include "store/blobs/bytes_reader.h"
#include "vfs/control_tree.h"
#include "vfs/home.h"
#include "vfs/layer/castore/roots_layer.h"
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

Result<std::unique_ptr<Server>> Serve(const std::string& home) {
  Env& env = Env::System();
  STRATA_ASSIGN(const vfs::VolumeKeys keys, vfs::OpenHome(env, home, "castore:@example"));
  STRATA_ASSIGN(auto layer, vfs::OpenRootsLayer(env, std::make_shared<Blobs>(), std::make_shared<Directories>(),
                                                std::make_shared<Names>(), {.home = home, .list_roots = true}));
  STRATA_ASSIGN(auto trees, vfs::Workspace::OpenAsItIs(env, std::move(layer), keys, {}));
  ExportOptions options;
  options.insecure_ports = true;
  return Server::Start({.listen = {{"127.0.0.1", 0}}, .locks = false},
                       {{options, std::make_shared<vfs::ControlTree>(std::move(trees))}});
}
int main(int argc, char** argv) {
  const auto server = Serve(argc > 1 ? argv[1] : "castore-home");
  if (!server) return std::fprintf(stderr, "%s\n", server.error().ToString().c_str()), 1;
  const unsigned port = (*server)->endpoints()[0].port;
  std::printf("nfs://127.0.0.1/?nfsport=%u&mountport=%u\n", port, port), std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
}
