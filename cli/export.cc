// strata export: writes a tree of a store as a folder or as a tar archive.
#include "store/export/export.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <memory>

#include "base/unique_fd.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/transfer_progress.h"
#include "cli/trees.h"
#include "store/castore/names.h"

namespace strata::cli {
namespace {

using store::ExportOptions;
using store::ExportProgress;
using store::ExportReport;
using store::ExportSource;

struct ExportArguments {
  std::string root;
  std::string store;
  std::string to;
  std::string top;
  bool plain = false;
  bool skip_unsupported = false;
  bool json = false;
};

Result<void> WriteAll(int fd, ByteSpan bytes, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(fd, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return Fail(Status::FromErrno(errno, "writing " + name));
    bytes = bytes.subspan(static_cast<std::size_t>(wrote));
  }
  return {};
}

// Writes of small pieces together.
class ArchiveOutput {
 public:
  ArchiveOutput(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
  Result<void> Write(ByteSpan bytes) {
    buffer_ += AsText(bytes);
    return buffer_.size() >= kAtOnce ? Flush() : Result<void>{};
  }
  Result<void> Flush() {
    STRATA_TRY(WriteAll(fd_, AsBytes(buffer_), name_));
    buffer_.clear();
    return {};
  }

 private:
  static constexpr std::size_t kAtOnce = 256 << 10;
  const int fd_;
  const std::string name_;
  std::string buffer_;
};

Result<ExportReport> WriteArchive(const ExportSource& source, const std::string& top, int fd, const std::string& name,
                                  const ExportOptions& options) {
  ArchiveOutput output(fd, name);
  auto report = store::ExportToTar(source, top, [&](ByteSpan bytes) { return output.Write(bytes); }, options);
  if (report) STRATA_TRY(output.Flush());
  return report;
}

// A file is there whole, or not at all: it is written beside its place, and then renamed.
Result<ExportReport> ToArchive(const ExportSource& source, const std::string& top, const std::string& path,
                               const ExportOptions& options) {
  if (path == "-") {
    if (::isatty(STDOUT_FILENO) != 0) {
      return Fail(Errc::kInvalid, "exporting to standard output: it is a terminal; name a file: --to tar:FILE");
    }
    return WriteArchive(source, top, STDOUT_FILENO, "standard output", options);
  }
  struct stat st;
  if (::stat(path.c_str(), &st) == 0 && !S_ISREG(st.st_mode)) {
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));  // such as a fifo
    if (!fd) return Fail(Status::FromErrno(errno, "opening " + path));
    return WriteArchive(source, top, fd.get(), path, options);
  }
  const std::string beside = path + ".new";
  const auto written = [&]() -> Result<ExportReport> {
    const UniqueFd fd(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666));
    if (!fd) return Fail(Status::FromErrno(errno, "making " + beside));
    STRATA_ASSIGN(ExportReport report, WriteArchive(source, top, fd.get(), beside, options));
    if (::fsync(fd.get()) != 0) return Fail(Status::FromErrno(errno, "syncing " + beside));
    STRATA_TRY(Env::System().Rename(beside, path));
    STRATA_TRY(Env::System().SyncDirectory(DirectoryOf(path)));
    return report;
  };
  auto report = written();
  if (!report) (void)::unlink(beside.c_str());
  return report;
}

void PrintExport(const ExportArguments& arguments, const ExportReport& report, std::chrono::duration<double> took,
                 bool to_output) {
  for (const std::string& name : report.skipped_names) std::fprintf(stderr, "left out: %s\n", Printable(name).c_str());
  if (report.owners_left) {
    std::fputs("note: owners were not set, since only the superuser may do that\n", stderr);
  }
  if (arguments.json && !to_output) {
    PrintJson({{"files", report.files},
               {"directories", report.directories},
               {"symlinks", report.symlinks},
               {"bytes", report.bytes},
               {"hard_links", report.hard_links},
               {"specials", report.specials},
               {"left_out", report.skipped},
               {"left_out_names", report.skipped_names},
               {"owners_left", report.owners_left},
               {"seconds", took.count()}});
    return;
  }
  std::fprintf(stderr, "%s files, %s directories, %s symlinks, %s, %.1f s\n",
               CountText(report.files + report.hard_links).c_str(), CountText(report.directories).c_str(),
               CountText(report.symlinks).c_str(), BytesText(report.bytes).c_str(), took.count());
}

Result<void> Export(const ExportArguments& arguments) {
  const std::size_t colon = arguments.to.find(':');
  const std::string kind = arguments.to.substr(0, colon), path = arguments.to.substr(colon + 1);
  const auto begun = std::chrono::steady_clock::now();
  std::string wanted = arguments.root, named_store = arguments.store;
  if (wanted.starts_with("castore:")) {
    STRATA_ASSIGN(const vfs::LayerSpec spec, vfs::ParseLayerSpec(wanted));
    if (!spec.at.empty()) return Fail(Errc::kNotSupported, "exporting " + wanted + ": an option at= says nothing here");
    wanted = spec.root;
    if (!spec.store.empty()) named_store = spec.store;
  }
  STRATA_ASSIGN(const store::Store store, OpenNamedStore(named_store, {.read_only = true}));
  STRATA_ASSIGN(const store::Root root, FindTree(store, wanted));
  std::unique_ptr<store::AttributesReader> attributes;
  if (root.attributes && !arguments.plain) {
    STRATA_ASSIGN(auto blob, store.blobs->Open(Waiting(), *root.attributes));
    if (!blob) {
      return Fail(Errc::kNotFound, "the store " + store.Describe() + " does not have the attributes of " + wanted +
                                       ", " + root.attributes->Text() + "; export the tree alone with --plain");
    }
    STRATA_ASSIGN(attributes, store::AttributesReader::Open(Waiting(), std::move(blob), root.node.digest));
  }
  const ExportSource source{*store.blobs, *store.directories, root.node, attributes.get()};
  TransferProgress shown("export", "entries");
  ExportOptions options;
  options.skip_unsupported = arguments.skip_unsupported;
  options.progress = [&](const ExportProgress& progress) {
    shown.Show({progress.nodes, progress.bytes,
                progress.total > 1
                    ? std::optional(static_cast<double>(progress.nodes) / static_cast<double>(progress.total))
                    : std::nullopt});
  };
  const std::string top = !arguments.top.empty()                          ? arguments.top
                          : root.node.kind == store::NodeKind::kDirectory ? "."
                          : wanted.find('/') == std::string::npos         ? wanted
                                                                          : "root";
  STRATA_ASSIGN(const ExportReport report,
                kind == "dir" ? store::ExportToFolder(source, path, options) : ToArchive(source, top, path, options));
  shown.Clear();
  PrintExport(arguments, report, std::chrono::steady_clock::now() - begun, kind == "tar" && path == "-");
  return {};
}

}  // namespace

void AddExport(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<ExportArguments>();
  CLI::App* command = app.add_subcommand("export", "Write a tree of a store as a folder or as a tar archive");
  command
      ->add_option("ROOT", arguments->root,
                   "A name in the store, the digest of a directory or file, or castore:ROOT@STORE")
      ->required();
  command
      ->add_option("--to", arguments->to,
                   "dir:PATH, a folder that is not there yet or is empty; or tar:FILE, where tar:- is standard output")
      ->required()
      ->type_name("dir:PATH|tar:FILE");
  command->add_option("--store", arguments->store, "The store; by default the user's own")->type_name("STORE");
  command->add_option("--top", arguments->top, "What an archive calls the root; by default \".\"")->type_name("NAME");
  command->add_flag("--plain", arguments->plain, "Without the owners, modes and times that the name carries");
  command->add_flag(
      "--skip-unsupported", arguments->skip_unsupported,
      "Leave out what cannot be made there, such as devices where you are not the superuser, and name it");
  command->add_flag("--json", arguments->json, "JSON, for programs");
  command->footer(
      "The same tree gives the same bytes each time. Where no metadata was kept, files have mode 0644 or 0755 in a "
      "folder\n"
      "and 0444 or 0555 in an archive, and times are 0 (1970-01-01).\n"
      "\n"
      "Examples:\n"
      "  strata export project --to dir:/tmp/project\n"
      "  strata export base --to tar:base.tar --store pack:/srv/store\n"
      "  strata export base --to tar:- | zstd > base.tar.zst");
  command->callback([arguments, &action] {
    const std::string& to = arguments->to;
    if ((!to.starts_with("dir:") && !to.starts_with("tar:")) || to.size() == 4) {
      throw CLI::ValidationError("--to", "is dir:PATH or tar:FILE");
    }
    if (!arguments->top.empty() && !store::CheckNodeName(arguments->top)) {
      throw CLI::ValidationError("--top", "is one name, without a slash");
    }
    action = [arguments] { return Export(*arguments); };
  });
}

}  // namespace strata::cli
