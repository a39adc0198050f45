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

// "DIR" or "DIR,markers=files+chardev+xattr" ("none" for none). A folder whose name holds ",markers=" is named through
// a link.
Result<vfs::LayerSpec> ParseLayer(const std::string& text) {
  vfs::LayerSpec spec;
  const std::size_t option = text.rfind(",markers=");
  STRATA_ASSIGN(spec.path, AbsolutePath(text.substr(0, option)));
  if (option == std::string::npos) return spec;
  spec.markers = {};
  std::string_view styles = std::string_view(text).substr(option + sizeof(",markers=") - 1);
  while (!styles.empty()) {
    const std::size_t plus = styles.find('+');
    const std::string_view style = styles.substr(0, plus);
    styles = plus == std::string_view::npos ? std::string_view() : styles.substr(plus + 1);
    if (style == "files") {
      spec.markers.files = true;
    } else if (style == "chardev") {
      spec.markers.chardev = true;
    } else if (style == "xattr") {
      spec.markers.xattr = true;
    } else if (style != "none") {
      return Fail(Errc::kInvalid, "--layer " + text + ": markers are files, chardev and xattr, joined by '+', or none");
    }
  }
  return spec;
}

Result<void> Init(const InitArguments& arguments) {
  std::vector<vfs::LayerSpec> layers;
  for (const std::string& text : arguments.layers) {
    STRATA_ASSIGN(vfs::LayerSpec spec, ParseLayer(text));
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
      ->add_option(
          "--layer", arguments->layers,
          "A folder to lay beneath, several times; the first is the highest. DIR,markers=files+chardev+xattr says "
          "which whiteouts of other overlays are understood in it (default chardev+xattr; none)")
      ->type_name("DIR");
  command->footer(
      "Examples:\n"
      "  strata init ~/ws                                  an empty writable tree\n"
      "  strata init ~/ws --layer ~/patches --layer ~/base  patches over base\n"
      "  strata init ~/ws --layer img3,markers=files --layer img2,markers=files   unpacked OCI layers");
  command->callback([arguments, &action] { action = [arguments] { return Init(*arguments); }; });
}

}  // namespace strata::cli
