// strata import: makes a tree in a store of a folder, a file, a symlink or a tar archive.
#include "store/import/import.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "base/log.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/transfer_progress.h"
#include "cli/trees.h"
#include "store/import/import_cache.h"
#include "store/import/unpack.h"
#include "store/pack/pack_store.h"

namespace strata::cli {
namespace {

using store::ImportOptions;
using store::ImportProgress;
using store::ImportReport;

constexpr std::uint64_t kLeastMemory = 32 << 20;

struct ImportArguments {
  std::string source;
  std::string store;
  std::string name;
  std::string as = "auto";
  std::string sizes = "documented";
  bool strict = false;
  bool skip_unsupported = false;
  bool keep_metadata = false;
  bool no_cache = false;
  bool json = false;
  bool quiet = false;
  unsigned jobs = 0;
  std::string memory = "256M";
};

bool IsArchiveName(std::string_view name) {
  static constexpr std::array<std::string_view, 9> kEndings = {".tar",    ".tar.gz", ".tgz",     ".tar.zst", ".tzst",
                                                               ".tar.xz", ".txz",    ".tar.bz2", ".tbz2"};
  return std::ranges::any_of(kEndings, [&](std::string_view ending) { return name.ends_with(ending); });
}

// Where no cache can be kept there is none.
std::unique_ptr<store::ImportCache> OpenCache() {
  std::string folder;
  if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg != nullptr && xdg[0] == '/') {
    folder = xdg;
  } else if (const char* home = std::getenv("HOME"); home != nullptr && home[0] == '/') {
    folder = std::string(home) + "/.cache";
  } else {
    return nullptr;
  }
  const std::string path = folder + "/strata/import";
  const auto opened = [&]() -> Result<std::unique_ptr<store::ImportCache>> {
    STRATA_TRY(MakeParents(path));
    return store::ImportCache::Open(Env::System(), path);
  };
  auto cache = opened();
  if (cache) return std::move(*cache);
  log::Debug("no_import_cache", {{"file", path}, {"error", cache.error()}});
  return nullptr;
}

std::optional<double> PartOf(const ImportProgress& progress, std::uint64_t archive_bytes) {
  if (archive_bytes > 0) return static_cast<double>(progress.position) / static_cast<double>(archive_bytes);
  if (progress.counting || progress.total_files == 0) return std::nullopt;
  // Small files cost their number, large ones their bytes.
  const double files = static_cast<double>(progress.files) / static_cast<double>(progress.total_files);
  if (progress.total_bytes == 0) return files;
  return std::min(1.0, (files + static_cast<double>(progress.bytes) / static_cast<double>(progress.total_bytes)) / 2);
}

Result<ImportReport> ImportArchive(store::ImportStore store, const ImportArguments& arguments, ImportOptions& options,
                                   TransferProgress& shown) {
  const bool from_input = arguments.source == "-";
  const std::string name = from_input ? "standard input" : arguments.source;
  UniqueFd fd(from_input ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                         : ::open(arguments.source.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) return Fail(Status::FromErrno(errno, "opening " + name));
  if (::isatty(fd.get()) != 0) {
    return Fail(Errc::kInvalid,
                "importing " + name + ": it is a terminal; give the archive by a pipe: tar c . | strata import -");
  }
  struct stat st;
  if (::fstat(fd.get(), &st) != 0) return Fail(Status::FromErrno(errno, "looking at " + name));
  if (S_ISDIR(st.st_mode)) return Fail(Errc::kIsDirectory, name + " is a folder, and no archive; leave --as away");
  const std::uint64_t archive_bytes = S_ISREG(st.st_mode) ? static_cast<std::uint64_t>(st.st_size) : 0;
  options.progress = [&shown, archive_bytes](const ImportProgress& progress) {
    shown.Show({progress.files, progress.bytes, PartOf(progress, archive_bytes)});
  };
  STRATA_ASSIGN(const auto source, store::Unpack(std::move(fd), name));
  return store::ImportTar(Env::System(), store, *source, name, options);
}

Result<ImportReport> ImportHostPath(store::ImportStore store, const ImportArguments& arguments, ImportOptions& options,
                                    TransferProgress& shown) {
  const auto cache = arguments.no_cache ? nullptr : OpenCache();
  options.cache = cache.get();
  options.count = shown.terminal();
  options.progress = [&shown](const ImportProgress& progress) {
    shown.Show({progress.files, progress.bytes, PartOf(progress, 0)});
  };
  return store::ImportPath(Env::System(), store, arguments.source, options);
}

void PrintImport(const ImportArguments& arguments, const ImportReport& report, std::chrono::duration<double> took) {
  for (const std::string& name : report.skipped_names) std::fprintf(stderr, "left out: %s\n", Printable(name).c_str());
  if (report.skipped > report.skipped_names.size()) {
    std::fprintf(stderr, "left out: and %s more\n", CountText(report.skipped - report.skipped_names.size()).c_str());
  }
  if (report.end_missing) {
    std::fputs("warning: the archive has no end mark: it may have been cut between two entries\n", stderr);
  }
  if (report.more_after_end) {
    std::fputs("warning: something follows the archive's end, and was not imported: perhaps a second archive\n",
               stderr);
  }
  if (arguments.json) {
    nlohmann::ordered_json json = {{"root", ToJson(report.root)}};
    if (!arguments.name.empty()) json["name"] = arguments.name;
    if (report.attributes) json["attributes"] = report.attributes->Text();
    json.update({{"files", report.files},
                 {"directories", report.directories},
                 {"symlinks", report.symlinks},
                 {"bytes", report.bytes},
                 {"hard_links", report.hard_links},
                 {"specials", report.specials},
                 {"top_level", report.top_level},
                 {"cached", report.cached},
                 {"new_blobs", report.new_blobs},
                 {"left_out", report.skipped},
                 {"left_out_names", report.skipped_names},
                 {"end_missing", report.end_missing},
                 {"more_after_end", report.more_after_end},
                 {"seconds", took.count()}});
    PrintJson(json);
    return;
  }
  std::printf("%s\n", NodeText(report.root).c_str());
  if (arguments.quiet) return;
  std::fflush(stdout);
  std::string line = CountText(report.files) + " files, " + CountText(report.directories) + " directories, " +
                     CountText(report.symlinks) + " symlinks, " + BytesText(report.bytes);
  const auto add = [&](std::uint64_t count, const char* what) {
    if (count > 0) line += ", " + CountText(count) + " " + what;
  };
  add(report.hard_links, "hard links");
  add(report.specials, "special entries");
  if (report.top_level != 1) line += ", " + CountText(report.top_level) + " entries at the top";
  add(report.cached, "files not read, since they have not changed");
  std::fprintf(stderr, "%s, %.1f s\n", line.c_str(), took.count());
}

Result<void> Import(const ImportArguments& arguments) {
  ImportOptions options;
  options.sizes = arguments.sizes == "doubled" ? store::SizeRule::kDoubled : store::SizeRule::kDocumented;
  options.strict = arguments.strict;
  options.skip_unsupported = arguments.skip_unsupported;
  options.keep_metadata = arguments.keep_metadata;
  options.jobs = arguments.jobs;
  options.temporary_folder = TemporaryFolder();
  STRATA_ASSIGN(const std::uint64_t memory, ReadSize("--memory", arguments.memory));
  if (memory < kLeastMemory) {
    return Fail(Errc::kInvalid, "--memory " + arguments.memory + ": too little to import with; give 32M at least");
  }
  // What sorts and waits, and what the store gathers.
  options.memory = memory / 4 * 3;
  const auto begun = std::chrono::steady_clock::now();
  STRATA_ASSIGN(const store::Store store,
                OpenNamedStore(arguments.store, {.memory_bytes = memory / 4, .create = true, .sizes = options.sizes}));
  // What is put stays until it has its name.
  const std::shared_ptr<const void> work = store.pack ? store.pack->Work() : nullptr;
  const store::ImportStore target{*store.blobs, *store.directories};
  TransferProgress shown("import", "files");
  const bool archive =
      arguments.source == "-" || arguments.as == "tar" || (arguments.as == "auto" && IsArchiveName(arguments.source));
  STRATA_ASSIGN(const ImportReport report, archive ? ImportArchive(target, arguments, options, shown)
                                                   : ImportHostPath(target, arguments, options, shown));
  if (!arguments.name.empty()) {
    STRATA_TRY(store.roots->Set(arguments.name, {report.root, report.attributes, Env::System().Now()}));
  }
  shown.Clear();
  PrintImport(arguments, report, std::chrono::steady_clock::now() - begun);
  return {};
}

}  // namespace

void AddImport(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<ImportArguments>();
  CLI::App* command = app.add_subcommand("import", "Put a folder, a file, a symlink or a tar archive into a store");
  command
      ->add_option("SOURCE", arguments->source,
                   "What to import; '-' is a tar archive from standard input. Symlinks are not followed")
      ->required();
  command
      ->add_option("--store", arguments->store,
                   "The store; by default the user's own, which is made where it is missing")
      ->type_name("STORE");
  command->add_option("--name", arguments->name, "Give the tree this name in the store, in place of what had it")
      ->type_name("NAME");
  command
      ->add_option(
          "--as", arguments->as,
          "What SOURCE is: a tar archive, or a file to be taken as it is; auto goes by its name (.tar, .tar.gz, "
          ".tgz, .tar.zst, .tar.xz and the like)")
      ->check(CLI::IsMember({"auto", "tar", "file"}))
      ->capture_default_str();
  command
      ->add_option("--sizes", arguments->sizes,
                   "Which sizes directories bear, and so which digests nested trees have: as documented, or doubled as "
                   "tvix since 2024-08-16 and snix have them")
      ->check(CLI::IsMember({"documented", "doubled"}))
      ->capture_default_str();
  command->add_flag(
      "--strict", arguments->strict,
      "Of an archive: refuse what tvix refuses, which is hard links and anything but one directory at the top");
  command->add_flag("--skip-unsupported", arguments->skip_unsupported,
                    "Leave out devices, fifos and sockets, and name each; without it they end the import");
  command->add_flag(
      "--keep-metadata", arguments->keep_metadata,
      "Keep owners, modes, times, extended attributes, hard links, devices, fifos and sockets, beside the tree: "
      "castore:NAME has them. The tree's digest is the same without");
  command->add_option("--jobs", arguments->jobs, "Threads that read, hash and store; 0 is one for each processor")
      ->type_name("N")
      ->check(CLI::Range(0U, 1024U))
      ->capture_default_str();
  command
      ->add_option(
          "--memory", arguments->memory,
          "What is held in memory at most; more goes to temporary files in $TMPDIR, or /var/tmp. The program itself, "
          "4 MiB a thread, and 300 bytes for each entry of the largest directory come on top")
      ->type_name("SIZE")
      ->capture_default_str();
  command->add_flag("--no-cache", arguments->no_cache,
                    "Read every file of a folder, also those that have not changed since they were read the last time");
  command->add_flag("--json", arguments->json, "JSON, for programs");
  command->add_flag("-q,--quiet", arguments->quiet, "Print the digest alone");
  command->footer(
      "Prints the digest of the root; of a file or symlink the whole node. An import that was interrupted is begun "
      "again\n"
      "by the same command, and does not write again what is there. Of an archive the root is the one directory at "
      "its\n"
      "top; if there is another number of entries, or if it was made of \".\", the directory that holds them.\n"
      "\n"
      "Examples:\n"
      "  strata import ~/project --name project\n"
      "  strata import base.tar.zst --name base --store pack:/srv/store\n"
      "  tar c . | strata import - --name backup --keep-metadata\n"
      "  strata import debian.tar --skip-unsupported --json");
  command->callback([arguments, &action] {
    if (arguments->keep_metadata && arguments->name.empty()) {
      throw CLI::ValidationError("--keep-metadata", "needs --name: what castore cannot say is found by the name alone");
    }
    action = [arguments] { return Import(*arguments); };
  });
}

}  // namespace strata::cli
