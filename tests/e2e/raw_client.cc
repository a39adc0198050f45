#include "tests/e2e/raw_client.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <chrono>

namespace strata::e2e {
namespace {

bool TurnOf(rpc_context* rpc, int timeout_ms) {
  pollfd poll_fd{rpc_get_fd(rpc), static_cast<short>(rpc_which_events(rpc)), 0};
  if (poll_fd.fd < 0) return false;
  const int ready = ::poll(&poll_fd, 1, timeout_ms);
  if (ready < 0) return false;
  return ready == 0 || rpc_service(rpc, poll_fd.revents) == 0;
}

bool WaitOn(rpc_context* rpc, const bool& done) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(RawClient::kLimitMs);
  while (!done) {
    if (std::chrono::steady_clock::now() > end || !TurnOf(rpc, 100)) return done;
  }
  return true;
}

struct Mounting {
  bool done = false;
  mountstat3 status = MNT3ERR_SERVERFAULT;
  Handle* handle = nullptr;
  std::string path;
};

void OnMounted(rpc_context*, int status, void* data, void* context) {
  auto& state = *static_cast<Mounting*>(context);
  state.done = true;
  if (status != RPC_STATUS_SUCCESS) return;
  const auto& result = *static_cast<const mountres3*>(data);
  state.status = result.fhs_status;
  if (result.fhs_status != MNT3_OK || state.handle == nullptr) return;
  const fhandle3& given = result.mountres3_u.mountinfo.fhandle;
  state.handle->assign(given.fhandle3_val, given.fhandle3_len);
}

void OnMountConnected(rpc_context* rpc, int status, void*, void* context) {
  auto& state = *static_cast<Mounting*>(context);
  if (status != RPC_STATUS_SUCCESS || rpc_mount3_mnt_async(rpc, OnMounted, state.path.data(), context) != 0)
    state.done = true;
}

}  // namespace

const Answer& RawClient::Call::Get() {
  if (!state_->done && !client_->Wait(state_->done)) state_->answer.error = "the call was not answered";
  return state_->answer;
}

RawClient::RawClient(std::uint16_t port, const User& user, bool mount, const std::string& host)
    : rpc_(rpc_init_context()) {
  Become(user);
  auto on_connected = [](rpc_context*, int status, void*, void* context) {
    auto& state = *static_cast<Connecting*>(context);
    state.done = true;
    state.connected = status == RPC_STATUS_SUCCESS;
  };
  if (rpc_connect_port_async(rpc_, host.c_str(), port, NFS_PROGRAM, NFS_V3, on_connected, &connecting_) == 0) {
    Wait(connecting_.done);
  }
  if (connected() && mount) Mount(port, "/", &root_, host);
}

RawClient::~RawClient() { rpc_destroy_context(rpc_); }

void RawClient::Become(const User& user) {
  std::vector<std::uint32_t> groups = user.groups;
  rpc_set_auth(rpc_, libnfs_authunix_create("e2e", user.uid, user.gid, static_cast<std::uint32_t>(groups.size()),
                                            groups.data()));
}

mountstat3 RawClient::Mount(std::uint16_t port, const std::string& path, Handle* handle, const std::string& host) {
  Mounting mounting{.handle = handle, .path = path};
  rpc_context* rpc = rpc_init_context();
  if (rpc_connect_port_async(rpc, host.c_str(), port, MOUNT_PROGRAM, MOUNT_V3, OnMountConnected, &mounting) == 0) {
    WaitOn(rpc, mounting.done);
  }
  rpc_destroy_context(rpc);
  return mounting.status;
}

bool RawClient::Turn(int timeout_ms) { return TurnOf(rpc_, timeout_ms); }

void RawClient::SetNextXid(std::uint32_t xid) { rpc_set_next_xid(rpc_, xid); }

pollfd RawClient::Poll() { return {rpc_get_fd(rpc_), static_cast<short>(rpc_which_events(rpc_)), 0}; }

bool RawClient::Wait(const bool& done) { return WaitOn(rpc_, done); }

std::vector<Listed> RawClient::List(const Handle& directory, bool plus, std::uint32_t count, int* calls) {
  std::vector<Listed> all;
  std::string verifier(8, '\0');
  std::uint64_t cookie = 0;
  for (;;) {
    Call call =
        plus ? ReadDirPlus(directory, cookie, verifier, count, count) : ReadDir(directory, cookie, verifier, count);
    if (calls != nullptr) ++*calls;
    if (call->status != NFS3_OK) {
      ADD_FAILURE() << "a listing failed after " << all.size() << " entries: " << call->status << " " << call->error;
      return {};
    }
    all.insert(all.end(), call->entries.begin(), call->entries.end());
    if (call->eof) return all;
    if (call->entries.empty()) {
      ADD_FAILURE() << "neither an entry nor the end after " << all.size() << " entries";
      return {};
    }
    cookie = all.back().cookie;
    verifier = call->verifier;
  }
}

Handle RawClient::Walk(const std::string& path) {
  Handle at = root_;
  std::size_t from = 0;
  while (from < path.size()) {
    const std::size_t slash = std::min(path.find('/', from), path.size());
    Call call = Lookup(at, path.substr(from, slash - from));
    if (call->status != NFS3_OK || !call->handle) {
      ADD_FAILURE() << "LOOKUP of " << path << ": " << call->status << " " << call->error;
      return {};
    }
    at = *call->handle;
    from = slash + 1;
  }
  return at;
}

sattr3 Mode(std::uint32_t mode) {
  sattr3 set{};
  set.mode.set_it = 1;
  set.mode.set_mode3_u.mode = mode;
  return set;
}

sattr3 Size(std::uint64_t size) {
  sattr3 set{};
  set.size.set_it = 1;
  set.size.set_size3_u.size = size;
  return set;
}

}  // namespace strata::e2e
