// strata xattr: the extended attributes of a file, which NFSv3 has no words for.
#include "cli/xattr.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "cli/output.h"

namespace strata::cli {
namespace {

constexpr std::size_t kMaxShownBytes = 256;

struct XattrArguments {
  std::string workspace;
  std::string path;
  std::string name;
  bool json = false;
};

Result<void> ListXattrs(const XattrArguments& arguments) {
  STRATA_ASSIGN(auto volume, OpenForReading(arguments.workspace));
  STRATA_ASSIGN(const vfs::Entry at, Walk(*volume, arguments.path));
  const auto xattrs = ReadXattrs(*volume, at.id);
  if (!xattrs) return Fail(xattrs.error().WithContext(arguments.path));
  if (arguments.json) {
    PrintJson(ToJson(*xattrs));
    return {};
  }
  std::size_t width = 0;
  for (const Xattr& xattr : *xattrs) width = std::max(width, Printable(xattr.name).size());
  for (const Xattr& xattr : *xattrs) {
    std::printf("%-*s  %s\n", static_cast<int>(width), Printable(xattr.name).c_str(), ShownValue(xattr).c_str());
  }
  return {};
}

Result<void> GetXattr(const XattrArguments& arguments) {
  STRATA_ASSIGN(auto volume, OpenForReading(arguments.workspace));
  STRATA_ASSIGN(const vfs::Entry at, Walk(*volume, arguments.path));
  const auto value = volume->GetXattr(LocalContext(), at.id, arguments.name);
  if (!value && value.error().code() == Errc::kNotFound) {
    return Fail(Errc::kNotFound, arguments.path + " has no extended attribute " + arguments.name +
                                     "; strata xattr list shows those that it has");
  }
  if (!value) return Fail(value.error().WithContext(arguments.path));
  if (!arguments.json) return WriteOut(AsBytes(*value));
  nlohmann::ordered_json json = {{"path", arguments.path}, {"name", arguments.name}};
  json.update(BytesToJson(*value, "value"));
  PrintJson(json);
  return {};
}

using Run = Result<void> (*)(const XattrArguments&);

CLI::App* AddOne(CLI::App& xattr, Action& action, const std::shared_ptr<XattrArguments>& arguments, const char* name,
                 const char* help, Run run) {
  CLI::App* command = xattr.add_subcommand(name, help);
  command->add_option("WS_OR_SPEC", arguments->workspace, "A workspace, or a folder or spec that was served")
      ->required();
  command->add_option("PATH", arguments->path, "A path within it, from its root")->required();
  command->add_flag("--json", arguments->json, "JSON, for programs; values that are no UTF-8 in base64");
  command->callback([arguments, run, &action] { action = [arguments, run] { return run(*arguments); }; });
  return command;
}

}  // namespace

Result<std::vector<Xattr>> ReadXattrs(vfs::FileSystem& volume, const vfs::ObjectId& id) {
  STRATA_ASSIGN(std::vector<std::string> names, volume.ListXattr(LocalContext(), id));
  std::vector<Xattr> xattrs;
  for (std::string& name : names) {
    auto value = volume.GetXattr(LocalContext(), id, name);
    if (!value && value.error().code() == Errc::kNotFound) continue;  // it went away meanwhile
    if (!value && value.error().code() != Errc::kAccess) return Fail(value.error().WithContext(name));
    xattrs.push_back({std::move(name), value ? std::optional(*std::move(value)) : std::nullopt});
  }
  return xattrs;
}

nlohmann::ordered_json ToJson(const std::vector<Xattr>& xattrs) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Xattr& xattr : xattrs) {
    nlohmann::ordered_json item = {{"name", xattr.name}};
    if (xattr.value) {
      item.update(BytesToJson(*xattr.value, "value"));
    } else {
      item["value"] = nullptr;
    }
    list.push_back(std::move(item));
  }
  return list;
}

std::string ShownValue(const Xattr& xattr) {
  if (!xattr.value) return "not readable";
  const std::string& value = *xattr.value;
  const bool shown = value.size() <= kMaxShownBytes && IsUtf8(value) && Printable(value) == value;
  return shown ? value : std::to_string(value.size()) + " bytes";
}

void AddXattr(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<XattrArguments>();
  CLI::App* xattr = app.add_subcommand(
      "xattr", "Show extended attributes of a file of a workspace or tree, such as the digests of a castore tree");
  xattr->require_subcommand(1);
  AddOne(*xattr, action, arguments, "list", "List their names and values; of a value that is no text, its length",
         ListXattrs);
  AddOne(*xattr, action, arguments, "get", "Print one value, byte for byte", GetXattr)
      ->add_option("NAME", arguments->name, "Its whole name, such as user.tvix.castore.blob.digest")
      ->required();
  xattr->footer(
      "In a mount they are files: /.strata/xattr-names/PATH and /.strata/xattr/NAME/PATH (strata serve).\n"
      "Examples:\n"
      "  strata xattr list ~/ws bin/tool\n"
      "  strata xattr get castore:NAME@/srv/store bin user.tvix.castore.directory.digest");
}

}  // namespace strata::cli
