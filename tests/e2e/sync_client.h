// libnfs's synchronous API, mounted on "/" of a server on this host.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/e2e/raw_client.h"

namespace strata::e2e {

class SyncClient {
 public:
  // Mounts; mounted() tells whether it worked.
  explicit SyncClient(std::uint16_t port, const User& user = {});
  SyncClient(const SyncClient&) = delete;
  SyncClient& operator=(const SyncClient&) = delete;
  ~SyncClient();
  bool mounted() const { return mounted_; }
  operator nfs_context*() const { return nfs_; }  // NOLINT: so that it can be passed to libnfs's functions
  std::string error() const { return nfs_get_error(nfs_); }

  // Makes, or empties, and writes a whole file; 0 or a negative errno.
  int WriteFile(const std::string& path, std::string_view content);
  // Reads a whole file; 0 or a negative errno.
  int ReadFile(const std::string& path, std::string* content);
  // The names in a directory, without "." and "..", sorted; "error" alone where it cannot be listed.
  std::vector<std::string> Names(const std::string& path);

 private:
  nfs_context* nfs_;
  bool mounted_ = false;
};

}  // namespace strata::e2e
