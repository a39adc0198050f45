// strata ls, cat, stat, diff: look at a workspace without a mount, also while it is being served.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/xattr.h"
#include "vfs/string_sink.h"

namespace strata::cli {
namespace {

struct LookArguments {
  std::string workspace;
  std::string path = "/";
  bool json = false;
  bool conflicts = false;  // of diff
};

using Look = Result<void> (*)(const LookArguments&);

struct NamedEntry {
  std::string name;
  Attributes attributes;
};

class CollectingSink final : public vfs::DirectorySink {
 public:
  explicit CollectingSink(std::vector<NamedEntry>& entries) : entries_(entries) {}
  bool Add(const vfs::DirectoryEntry& entry) override {
    if (entry.name != "." && entry.name != "..") entries_.push_back({std::string(entry.name), *entry.attributes});
    return true;
  }
  std::size_t Mark() override { return entries_.size(); }
  void Rewind(std::size_t mark) override { entries_.resize(mark); }

 private:
  std::vector<NamedEntry>& entries_;
};

Result<void> List(const LookArguments& arguments) {
  STRATA_ASSIGN(auto volume, OpenForReading(arguments.workspace));
  STRATA_ASSIGN(vfs::Entry at, Walk(*volume, arguments.path));
  std::vector<NamedEntry> entries;
  if (at.attributes.type == FileType::kDirectory) {
    CollectingSink sink(entries);
    STRATA_TRY(volume->ReadDirectory(LocalContext(), at.id, Cookie(0), true, sink));
  } else {
    entries.push_back({arguments.path.substr(arguments.path.rfind('/') + 1), at.attributes});
  }
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  if (arguments.json) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const NamedEntry& entry : entries) {
      nlohmann::ordered_json item = {{"name", entry.name}};
      item.update(ToJson(entry.attributes));
      list.push_back(std::move(item));
    }
    PrintJson(list);
    return {};
  }
  std::size_t links = 1, size = 1;
  for (const NamedEntry& entry : entries) {
    links = std::max(links, std::to_string(entry.attributes.nlink).size());
    size = std::max(size, std::to_string(entry.attributes.size).size());
  }
  for (const NamedEntry& entry : entries) {
    const Attributes& a = entry.attributes;
    const std::string shown = Printable(entry.name);
    const char* colour = a.type == FileType::kDirectory ? kBlue : a.type == FileType::kSymlink ? kCyan : nullptr;
    std::printf("%s %*u %6u %6u %*llu %s %s\n", ModeText(a).c_str(), static_cast<int>(links), a.nlink, a.uid, a.gid,
                static_cast<int>(size), static_cast<unsigned long long>(a.size), TimeText(a.mtime).c_str(),
                (colour != nullptr ? Coloured(shown, colour) : shown).c_str());
  }
  return {};
}

Result<void> Cat(const LookArguments& arguments) {
  STRATA_ASSIGN(auto volume, OpenForReading(arguments.workspace));
  STRATA_ASSIGN(vfs::Entry at, Walk(*volume, arguments.path));
  constexpr std::uint32_t kPiece = 1 << 20;
  std::string whole;  // for JSON, which is one piece
  for (std::uint64_t offset = 0;;) {
    vfs::StringSink sink;
    auto read = volume->Read(LocalContext(), at.id, offset, kPiece, sink);
    if (!read) return Fail(read.error().WithContext(arguments.path));
    if (arguments.json) {
      whole += sink.data;
    } else {
      STRATA_TRY(WriteOut(AsBytes(sink.data)));
    }
    offset += read->count;
    if (read->eof) break;
  }
  if (!arguments.json) return {};
  nlohmann::ordered_json json = {{"path", arguments.path}};
  json.update(BytesToJson(whole, "content"));
  PrintJson(json);
  return {};
}

Result<void> StatOne(const LookArguments& arguments) {
  STRATA_ASSIGN(auto volume, OpenForReading(arguments.workspace));
  STRATA_ASSIGN(vfs::Entry at, Walk(*volume, arguments.path));
  std::string target;
  if (at.attributes.type == FileType::kSymlink) {
    STRATA_ASSIGN(target, volume->ReadLink(LocalContext(), at.id, nullptr));
  }
  STRATA_ASSIGN(const std::vector<Xattr> xattrs, ReadXattrs(*volume, at.id));
  STRATA_ASSIGN(const std::vector<std::string> sources, volume->Sources(at.id));
  if (arguments.json) {
    nlohmann::ordered_json json = {{"path", arguments.path}};
    json.update(ToJson(at.attributes));
    if (!target.empty()) json["target"] = target;
    json["xattrs"] = ToJson(xattrs);
    json["sources"] = sources;
    PrintJson(json);
    return {};
  }
  const Attributes& a = at.attributes;
  std::printf("path    %s%s%s\n", Printable(arguments.path).c_str(), target.empty() ? "" : " -> ",
              Printable(target).c_str());
  std::printf("type    %s\nmode    %04o (%s)\nowner   uid %u, gid %u\nlinks   %u\n", TypeName(a.type).data(), a.mode,
              ModeText(a).c_str(), a.uid, a.gid, a.nlink);
  std::printf("size    %llu bytes, %llu held\nfileid  %llu\n", static_cast<unsigned long long>(a.size),
              static_cast<unsigned long long>(a.used), static_cast<unsigned long long>(a.ino.value));
  if (a.type == FileType::kBlockDevice || a.type == FileType::kCharacterDevice) {
    std::printf("device  %u:%u\n", a.rdev.major, a.rdev.minor);
  }
  std::printf("access  %s\nmodify  %s\nchange  %s\n", TimeText(a.atime).c_str(), TimeText(a.mtime).c_str(),
              TimeText(a.ctime).c_str());
  for (const Xattr& xattr : xattrs) {
    std::printf("xattr   %s = %s\n", Printable(xattr.name).c_str(), ShownValue(xattr).c_str());
  }
  for (const std::string& source : sources) std::printf("from    %s\n", Printable(source).c_str());
  return {};
}

// Whether `path` is what the user named, or lies within.
bool LiesIn(std::string_view path, std::string_view named) {
  while (!named.empty() && named.back() == '/') named.remove_suffix(1);
  while (!named.empty() && named.front() == '/') named.remove_prefix(1);
  if (named.empty()) return true;
  if (path.starts_with('/')) path.remove_prefix(1);
  return path.starts_with(named) && (path.size() == named.size() || path[named.size()] == '/');
}

Result<void> Conflicts(const LookArguments& arguments) {
  STRATA_ASSIGN(auto volume, OpenForReading(arguments.workspace));
  STRATA_ASSIGN(std::vector<vfs::Conflict> conflicts, volume->Conflicts());
  std::erase_if(conflicts, [&](const vfs::Conflict& conflict) { return !LiesIn(conflict.path, arguments.path); });
  struct Row {
    const char* word;
    const char* meaning;
  };
  static constexpr Row kRows[] = {{"changed", "changed in the layer since it was changed here"},
                                  {"gone", "changed here, and removed or replaced in the layer"},
                                  {"unreachable", "changed here, and its directory was taken away in the layer"}};
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const vfs::Conflict& conflict : conflicts) {
    const Row& row = kRows[static_cast<int>(conflict.kind)];
    if (arguments.json) {
      list.push_back({{"conflict", row.word},
                      {"path", conflict.path},
                      {"type", TypeName(conflict.type)},
                      {"fileid", conflict.ino.value}});
    } else {
      const std::string shown =
          conflict.path.empty() ? "fileid " + std::to_string(conflict.ino.value) : Printable(conflict.path);
      std::printf("%-11s  %s  (%s)\n", row.word, Coloured(shown, kRed).c_str(), row.meaning);
    }
  }
  if (arguments.json) PrintJson(list);
  return {};
}

Result<void> Diff(const LookArguments& arguments) {
  if (arguments.conflicts) return Conflicts(arguments);
  STRATA_ASSIGN(auto volume, OpenForReading(arguments.workspace));
  STRATA_ASSIGN(std::vector<vfs::PathChange> changes, volume->Changes());
  std::erase_if(changes, [&](const vfs::PathChange& change) { return !LiesIn(change.path, arguments.path); });
  struct Row {
    const char* word;
    const char* letter;
    const char* colour;
  };
  static constexpr Row kRows[] = {{"added", "A", kGreen}, {"modified", "M", kYellow}, {"deleted", "D", kRed}};
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const vfs::PathChange& change : changes) {
    const Row& row = kRows[static_cast<int>(change.kind)];
    if (arguments.json) {
      list.push_back({{"change", row.word}, {"path", change.path}, {"type", TypeName(change.type)}});
    } else {
      std::printf("%s\n", Coloured(std::string(row.letter) + " " + Printable(change.path) +
                                       (change.type == FileType::kDirectory && change.path != "/" ? "/" : ""),
                                   row.colour)
                              .c_str());
    }
  }
  if (arguments.json) PrintJson(list);
  return {};
}

std::shared_ptr<LookArguments> Add(CLI::App& app, Action& action, const char* name, const char* help,
                                   const char* footer, Look look, bool path_required) {
  auto arguments = std::make_shared<LookArguments>();
  CLI::App* command = app.add_subcommand(name, help);
  command->add_option("WORKSPACE", arguments->workspace, "A workspace, or a folder or spec that was served")
      ->required();
  command->add_option("PATH", arguments->path, "A path within it, from its root")->required(path_required);
  command->add_flag("--json", arguments->json, "JSON, for programs");
  command->footer(footer);
  command->callback([arguments, look, &action] { action = [arguments, look] { return look(*arguments); }; });
  return arguments;
}

}  // namespace

void AddList(CLI::App& app, Action& action) {
  Add(app, action, "ls", "List a directory of a workspace",
      "Examples:\n  strata ls ~/project src\n  strata ls ~/ws --json", List, false);
}
void AddCat(CLI::App& app, Action& action) {
  Add(app, action, "cat", "Print a file of a workspace", "Example:\n  strata cat ~/project src/main.cc", Cat, true);
}
void AddStat(CLI::App& app, Action& action) {
  Add(app, action, "stat",
      "Show what is known of a file of a workspace: its attributes, extended ones too, and which layers it comes from",
      "Example:\n  strata stat ~/ws bin/tool --json", StatOne, false);
}
void AddDiff(CLI::App& app, Action& action) {
  const auto arguments =
      Add(app, action, "diff", "List what a workspace adds (A), modifies (M) and deletes (D) over its layers",
          "Examples:\n  strata diff ~/project\n  strata diff ~/ws src --json\n  strata diff ~/project --conflicts",
          Diff, false);
  app.get_subcommand("diff")->add_flag(
      "--conflicts", arguments->conflicts,
      "Only what was changed in the workspace and after that in a layer too: bytes of such a file that lie in the "
      "layer cannot be read (EIO); remove it or write it anew, or put the layer's file back");
}

}  // namespace strata::cli
