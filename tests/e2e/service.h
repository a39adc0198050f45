// A strata::Server over a vfs::Workspace over one folder, all in this process: what `strata serve` puts together,
// started and ended as a test asks.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "tests/base/temp_folder.h"
#include "vfs/workspace/workspace.h"

namespace strata::e2e {

struct ServiceOptions {
  bool squash_root = false;
  vfs::WorkspaceOptions workspace;
};

class Service {
 public:
  // Makes an empty folder to lay beneath. Nothing is served before Start.
  explicit Service(const ServiceOptions& options = {});
  ~Service();
  // Opens the workspace, made the first time, and serves it; again on the same port as before. False, with a failed
  // expectation, if it cannot.
  bool Start();
  // Ends the server, then the workspace: nothing stays in memory.
  void Stop();
  std::uint16_t port() const { return port_; }
  // The folder beneath, which tests fill before Start and which must then never change.
  const std::string& lower() const { return lower_; }
  std::string workspace() const { return folder_ / "workspace"; }
  ServiceOptions& options() { return options_; }

 private:
  ServiceOptions options_;
  TempFolder folder_;
  std::string lower_;
  std::uint16_t port_ = 0;
  // The server and its volume: what they need of RPC's own headers does not go together with libnfs's.
  struct Running;
  std::unique_ptr<Running> running_;
};

// Writes a file of the host; aborts the test's process if it cannot.
void WriteHostFile(const std::string& path, std::string_view content);
std::string ReadHostFile(const std::string& path);
// One line of text for each thing in a folder: path, type, mode, owner, size, mtime, a hash of the content. Equal
// texts: nothing changed.
std::string Fingerprint(const std::string& folder);
// `size` bytes that look random, the same for the same seed.
std::string RandomBytes(std::uint64_t seed, std::size_t size);

}  // namespace strata::e2e
