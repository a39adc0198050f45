// What strata serve does once it knows what to serve: opens, serves, and ends or hands over when told.
#pragma once

#include <functional>
#include <string>

#include "server/server.h"
#include "server/takeover.h"
#include "vfs/workspace/workspace.h"

namespace strata::cli {

struct Serving {
  std::string workspace;  // its folder; "" where a tree is served as it is
  // Such a tree, and its home (vfs/home.h).
  vfs::LayerSpec tree;
  std::string home;
  // Where server.state_folder cannot be had, as while another server has it, it ends; else locks are kept in memory.
  bool state_needed = false;
  // Whether clients find `.strata` (vfs/control_tree.h).
  bool control_tree = true;
  vfs::WorkspaceOptions options;
  ServerOptions server;
  ExportOptions exported;
};

// Serves until SIGINT, SIGTERM (both must be blocked in every thread), or until another process has taken over; where
// that fails it opens the workspace again and serves on. Calls `ready` once, when calls are answered for the first
// time. With `takeover` it begins with what that gave.
Result<void> ServeUntilTold(const Serving& serving, Takeover* takeover,
                            const std::function<void(const Server&)>& ready);

}  // namespace strata::cli
