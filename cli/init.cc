// strata init: makes a workspace over several layers.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/command.h"

namespace strata::cli {
namespace {

struct InitArguments {
  std::string workspace;
  std::vector<std::string> layers;
};

Result<void> Init(const InitArguments& arguments) {
  std::vector<vfs::LayerSpec> layers;
  for (const std::string& text : arguments.layers) {
    STRATA_ASSIGN(vfs::LayerSpec spec, ReadSpec(text, vfs::kDefaultMarkers));
    layers.push_back(std::move(spec));
  }
  STRATA_TRY(vfs::InitWorkspace(Env::System(), arguments.workspace, layers));
  STRATA_ASSIGN(std::string path, AbsolutePath(arguments.workspace));
  std::printf("workspace=%s layers=%zu\nserve it with: strata serve %s\n", path.c_str(), layers.size(), path.c_str());
  return {};
}

}  // namespace

void AddInit(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<InitArguments>();
  CLI::App* command = app.add_subcommand("init", "Make a workspace, over layers or empty");
  command->add_option("WORKSPACE", arguments->workspace, "The folder to make")->required();
  command
      ->add_option("--layer", arguments->layers,
                   "What to lay beneath, several times; the first is the highest. A folder; or "
                   "host:DIR?markers=files+chardev+xattr&at=/SUB/PATH, where markers says which whiteouts of other "
                   "overlays are understood in it (default chardev+xattr; none) and at, at which directory it lies; "
                   "or castore:NAME@STORE. '?', '#' and '%' in a name are then written %3f, %23 and %25")
      ->type_name("SPEC");
  command->footer(
      "Examples:\n"
      "  strata init ~/ws                                  an empty writable tree\n"
      "  strata init ~/ws --layer ~/patches --layer ~/base  patches over base\n"
      "  strata init ~/ws --layer 'host:plugins?at=/app/plugins' --layer ~/base   plugins at a directory of base\n"
      "  strata init ~/ws --layer 'host:img3?markers=files' --layer 'host:img2?markers=files'   unpacked OCI layers");
  command->callback([arguments, &action] { action = [arguments] { return Init(*arguments); }; });
}

}  // namespace strata::cli
