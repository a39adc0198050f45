#include "tests/e2e/sync_client.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

namespace strata::e2e {

SyncClient::SyncClient(std::uint16_t port, const User& user) : nfs_(nfs_init_context()) {
  const std::string number = std::to_string(port);
  const std::string url =
      "nfs://127.0.0.1/?version=3&nfsport=" + number + "&mountport=" + number + "&auto-traverse-mounts=0";
  nfs_url* parsed = nfs_parse_url_dir(nfs_, url.c_str());
  if (parsed == nullptr) return;
  std::vector<std::uint32_t> groups = user.groups;
  nfs_set_auth(nfs_, libnfs_authunix_create("e2e", user.uid, user.gid, static_cast<std::uint32_t>(groups.size()),
                                            groups.data()));
  nfs_set_timeout(nfs_, 30'000);
  nfs_umask(nfs_, 0);
  mounted_ = nfs_mount(nfs_, "127.0.0.1", "/") == 0;
  nfs_destroy_url(parsed);
}

SyncClient::~SyncClient() { nfs_destroy_context(nfs_); }

int SyncClient::WriteFile(const std::string& path, std::string_view content) {
  nfsfh* file = nullptr;
  int status = nfs_open2(nfs_, path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644, &file);
  if (status != 0) return status;
  while (status == 0 && !content.empty()) {
    const std::size_t piece = std::min<std::size_t>(content.size(), nfs_get_writemax(nfs_));
    const int written = nfs_write(nfs_, file, piece, content.data());
    if (written <= 0) {
      status = written < 0 ? written : -EIO;
    } else {
      content.remove_prefix(static_cast<std::size_t>(written));
    }
  }
  const int closed = nfs_close(nfs_, file);
  return status != 0 ? status : closed;
}

int SyncClient::ReadFile(const std::string& path, std::string* content) {
  content->clear();
  nfsfh* file = nullptr;
  int status = nfs_open(nfs_, path.c_str(), O_RDONLY, &file);
  if (status != 0) return status;
  std::string piece(std::min<std::uint64_t>(nfs_get_readmax(nfs_), 1 << 20), '\0');
  int got;
  while ((got = nfs_read(nfs_, file, piece.size(), piece.data())) > 0)
    content->append(piece, 0, static_cast<std::size_t>(got));
  nfs_close(nfs_, file);
  return got;
}

std::vector<std::string> SyncClient::Names(const std::string& path) {
  nfsdir* directory = nullptr;
  if (nfs_opendir(nfs_, path.c_str(), &directory) != 0) return {"error"};
  std::vector<std::string> names;
  while (const nfsdirent* entry = nfs_readdir(nfs_, directory)) {
    const std::string_view name = entry->name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  nfs_closedir(nfs_, directory);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace strata::e2e
