// strata: serves layered, versioned file trees over NFSv3.
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/descriptors.h"
#include "base/log.h"
#include "cli/command.h"

namespace {

// The heap as a process with a stated budget needs it. By default glibc gives each thread an arena of its own: what one
// has freed another cannot use, so that a cache whose parts come and go on all threads would take several times its
// size. And it raises the size from which blocks are mapped each by itself with the largest one freed, up to 32 MiB, so
// that a large buffer once used leaves a hole in the heap for ever.
void TuneHeap() {
  ::mallopt(M_ARENA_MAX, 2);
  ::mallopt(M_MMAP_THRESHOLD, 4 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 8 << 20);
}

}  // namespace

int main(int argc, char** argv) {
  (void)strata::RaiseDescriptorLimit();
  TuneHeap();
  CLI::App app("Serves layered, versioned file trees over NFSv3, without FUSE");
  app.set_version_flag("--version", "strata " STRATA_VERSION);
  app.require_subcommand(1);
  std::string log_level = "info";
  app.add_option("--log-level", log_level, "What is logged to standard error; trace gives a line a call")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}))
      ->capture_default_str();
  strata::cli::Action action;
  strata::cli::AddServe(app, action);
  strata::cli::AddInit(app, action);
  strata::cli::AddList(app, action);
  strata::cli::AddCat(app, action);
  strata::cli::AddStat(app, action);
  strata::cli::AddDiff(app, action);
  strata::cli::AddCheck(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  strata::log::ToStandardError(log_level);
  if (auto done = action(); !done) {
    std::fflush(stdout);
    std::fprintf(stderr, "strata: %s\n", done.error().ToString().c_str());
    return 1;
  }
  return std::fflush(stdout) == 0 ? 0 : 1;
}
