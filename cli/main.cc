// strata: serves layered, versioned file trees over NFSv3.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/descriptors.h"
#include "base/log.h"
#include "cli/command.h"

// jemalloc reads this. A process with a stated budget has few arenas: what is free in one, the threads of another
// cannot use, so that a cache whose parts come and go on all threads would take several times its size. What is free
// for a second goes back to the kernel.
extern "C" const char* malloc_conf;
const char* malloc_conf = "narenas:2,dirty_decay_ms:1000,muzzy_decay_ms:0";

int main(int argc, char** argv) {
  (void)strata::RaiseDescriptorLimit();
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
  strata::cli::AddXattr(app, action);
  strata::cli::AddDiff(app, action);
  strata::cli::AddCheck(app, action);
  strata::cli::AddLocks(app, action);
  strata::cli::AddImport(app, action);
  strata::cli::AddExport(app, action);
  strata::cli::AddStore(app, action);
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
