// Serves a workspace in this process, by what the package gives alone: prints a port, and ends.
#include <cstdio>
#include <memory>

#include "server/server.h"
#include "vfs/workspace/workspace.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  strata::Env& env = strata::Env::System();
  if (auto made = strata::vfs::InitWorkspace(env, argv[1], {}); !made) {
    return std::fprintf(stderr, "%s\n", made.error().ToString().c_str()), 1;
  }
  auto workspace = strata::vfs::Workspace::Open(env, argv[1], {});
  if (!workspace) return std::fprintf(stderr, "%s\n", workspace.error().ToString().c_str()), 1;
  strata::ServerOptions options;
  options.listen = {{"127.0.0.1", 0}};
  auto server = strata::Server::Start(options, {{strata::ExportOptions{}, std::move(*workspace)}});
  if (!server) return std::fprintf(stderr, "%s\n", server.error().ToString().c_str()), 1;
  std::printf("port=%u\n", (*server)->endpoints()[0].port);
  return 0;
}
