// The client by libnfs's raw API, and MOUNT: see client.h.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "tests/bench/client.h"
#include "tests/bench/libnfs_decode.h"
#include "tests/bench/support.h"

extern "C" {
#include <nfsc/libnfs.h>
// The order matters: libnfs's raw headers build on libnfs.h.
#include <nfsc/libnfs-raw-mount.h>
#include <nfsc/libnfs-raw-nfs.h>
#include <nfsc/libnfs-raw-nlm.h>
#include <nfsc/libnfs-raw.h>
}

namespace nfsbench {
namespace {

constexpr std::uint64_t kSetupLimitNs = 30'000'000'000;

void WaitFor(rpc_context* rpc, const bool& done, const char* what) {
  const std::uint64_t end = NowNs() + kSetupLimitNs;
  while (!done) {
    pollfd poll_fd{rpc_get_fd(rpc), static_cast<short>(rpc_which_events(rpc)), 0};
    poll(&poll_fd, 1, 1000);
    if (rpc_service(rpc, poll_fd.revents) < 0) Die("%s: %s", what, rpc_get_error(rpc));
    if (NowNs() > end) Die("%s: no answer within 30 s", what);
  }
}

void OnConnected(rpc_context* rpc, int status, void*, void* done) {
  if (status != RPC_STATUS_SUCCESS) Die("connecting by libnfs: %s", rpc_get_error(rpc));
  *static_cast<bool*>(done) = true;
}

rpc_context* NewContext() {
  rpc_context* rpc = rpc_init_context();
  rpc_set_uid(rpc, 0);
  rpc_set_gid(rpc, 0);
  return rpc;
}

nfs_fh3 Borrow(const Handle* handle) {
  nfs_fh3 borrowed;
  borrowed.data.data_len = handle->length;
  borrowed.data.data_val = const_cast<char*>(handle->data);
  return borrowed;
}

class LibnfsClient : public Client {
 public:
  LibnfsClient(const std::string& host, int port) : rpc_(NewContext()), pending_(65536) {
    bool done = false;
    if (rpc_connect_port_async(rpc_, host.c_str(), port, NFS_PROGRAM, NFS_V3, OnConnected, &done) != 0) {
      Die("connecting by libnfs: %s", rpc_get_error(rpc_));
    }
    WaitFor(rpc_, done, "connecting");
    const int one = 1;
    setsockopt(rpc_get_fd(rpc_), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  }
  ~LibnfsClient() override { rpc_destroy_context(rpc_); }
  int fd() const override { return rpc_get_fd(rpc_); }
  short events() override { return static_cast<short>(rpc_which_events(rpc_)); }
  void Flush() override {}
  bool Service(short ready) override { return rpc_service(rpc_, ready) == 0; }
  void Send(const Call& call, std::uint32_t slot) override;

 private:
  struct Pending {
    LibnfsClient* client;
    std::uint32_t slot;
    Procedure procedure;
  };

  static void OnReply(rpc_context*, int status, void* data, void* context) {
    if (status == RPC_STATUS_CANCEL) return;
    const auto& pending = *static_cast<Pending*>(context);
    Reply reply;
    reply.accepted = status == RPC_STATUS_SUCCESS;
    if (reply.accepted) DecodeLibnfsResult(pending.procedure, data, reply);
    pending.client->on_reply(pending.slot, reply);
  }
  int Dispatch(const Call& call, Pending* pending);
  int DispatchListing(const Call& call, Pending* pending);
  int DispatchLock(const Call& call, Pending* pending);

  rpc_context* rpc_;
  std::vector<Pending> pending_;
};

void LibnfsClient::Send(const Call& call, std::uint32_t slot) {
  Pending* pending = &pending_[slot];
  *pending = {this, slot, call.procedure};
  if (Dispatch(call, pending) != 0) {
    Die("sending procedure %u by libnfs: %s", static_cast<unsigned>(call.procedure), rpc_get_error(rpc_));
  }
}

int LibnfsClient::Dispatch(const Call& call, Pending* pending) {
  char* name = const_cast<char*>(call.name.c_str());
  switch (call.procedure) {
    case Procedure::kNull:
      return rpc_nfs3_null_async(rpc_, OnReply, pending);
    case Procedure::kGetattr: {
      GETATTR3args arguments{Borrow(call.handle)};
      return rpc_nfs3_getattr_async(rpc_, OnReply, &arguments, pending);
    }
    case Procedure::kFsinfo: {
      FSINFO3args arguments{Borrow(call.handle)};
      return rpc_nfs3_fsinfo_async(rpc_, OnReply, &arguments, pending);
    }
    case Procedure::kLookup: {
      LOOKUP3args arguments{{Borrow(call.handle), name}};
      return rpc_nfs3_lookup_async(rpc_, OnReply, &arguments, pending);
    }
    case Procedure::kRemove: {
      REMOVE3args arguments{{Borrow(call.handle), name}};
      return rpc_nfs3_remove_async(rpc_, OnReply, &arguments, pending);
    }
    case Procedure::kRmdir: {
      RMDIR3args arguments{{Borrow(call.handle), name}};
      return rpc_nfs3_rmdir_async(rpc_, OnReply, &arguments, pending);
    }
    case Procedure::kRename: {
      RENAME3args arguments{{Borrow(call.handle), name},
                            {Borrow(call.to_directory), const_cast<char*>(call.to_name.c_str())}};
      return rpc_nfs3_rename_async(rpc_, OnReply, &arguments, pending);
    }
    case Procedure::kRead: {
      READ3args arguments{Borrow(call.handle), call.offset, call.count};
      return rpc_nfs3_read_async(rpc_, OnReply, &arguments, pending);
    }
    case Procedure::kCommit: {
      COMMIT3args arguments{Borrow(call.handle), call.offset, call.count};
      return rpc_nfs3_commit_async(rpc_, OnReply, &arguments, pending);
    }
    case Procedure::kWrite: {
      WRITE3args arguments{};
      arguments.file = Borrow(call.handle);
      arguments.offset = call.offset;
      arguments.count = call.count;
      arguments.stable = static_cast<stable_how>(call.stable);
      arguments.data.data_len = call.count;
      arguments.data.data_val = const_cast<char*>(call.data);
      return rpc_nfs3_write_async(rpc_, OnReply, &arguments, pending);
    }
    case Procedure::kCreate: {
      CREATE3args arguments{};
      arguments.where = {Borrow(call.handle), name};
      arguments.how.mode = UNCHECKED;
      arguments.how.createhow3_u.obj_attributes.mode.set_it = 1;
      arguments.how.createhow3_u.obj_attributes.mode.set_mode3_u.mode = 0644;
      return rpc_nfs3_create_async(rpc_, OnReply, &arguments, pending);
    }
    case Procedure::kMkdir: {
      MKDIR3args arguments{};
      arguments.where = {Borrow(call.handle), name};
      arguments.attributes.mode.set_it = 1;
      arguments.attributes.mode.set_mode3_u.mode = 0755;
      return rpc_nfs3_mkdir_async(rpc_, OnReply, &arguments, pending);
    }
    case Procedure::kReaddir:
    case Procedure::kReaddirplus:
      return DispatchListing(call, pending);
    case Procedure::kNlmNull:
      return rpc_nlm4_null_async(rpc_, OnReply, pending);
    case Procedure::kNlmLock:
    case Procedure::kNlmUnlock:
      return DispatchLock(call, pending);
  }
  return -1;
}

int LibnfsClient::DispatchLock(const Call& call, Pending* pending) {
  char name[] = "nfsbench";
  char cookie[] = "cook";
  std::string owner = OwnerText(call.owner);
  nlm4_lock lock{};
  lock.caller_name = name;
  lock.fh.data.data_len = call.handle->length;
  lock.fh.data.data_val = const_cast<char*>(call.handle->data);
  lock.oh = owner.data();
  lock.svid = call.owner;
  lock.l_offset = call.offset;
  lock.l_len = call.count;
  if (call.procedure == Procedure::kNlmUnlock) {
    NLM4_UNLOCKargs arguments{};
    arguments.cookie.data = {4, cookie};
    arguments.lock = lock;
    return rpc_nlm4_unlock_async(rpc_, OnReply, &arguments, pending);
  }
  NLM4_LOCKargs arguments{};
  arguments.cookie.data = {4, cookie};
  arguments.block = arguments.exclusive = 1;
  arguments.lock = lock;
  arguments.state = 1;
  return rpc_nlm4_lock_async(rpc_, OnReply, &arguments, pending);
}

int LibnfsClient::DispatchListing(const Call& call, Pending* pending) {
  if (call.procedure == Procedure::kReaddir) {
    READDIR3args arguments{};
    arguments.dir = Borrow(call.handle);
    arguments.cookie = call.offset;
    std::memcpy(arguments.cookieverf, call.verifier, 8);
    arguments.count = call.count;
    return rpc_nfs3_readdir_async(rpc_, OnReply, &arguments, pending);
  }
  READDIRPLUS3args arguments{};
  arguments.dir = Borrow(call.handle);
  arguments.cookie = call.offset;
  std::memcpy(arguments.cookieverf, call.verifier, 8);
  arguments.dircount = call.dircount;
  arguments.maxcount = call.count;
  return rpc_nfs3_readdirplus_async(rpc_, OnReply, &arguments, pending);
}

struct MountAnswer {
  bool done = false;
  Handle root;
};

void OnMounted(rpc_context* rpc, int status, void* data, void* context) {
  if (status != RPC_STATUS_SUCCESS)
    Die("MNT: %s", status == RPC_STATUS_ERROR ? static_cast<char*>(data) : rpc_get_error(rpc));
  const auto& result = *static_cast<const mountres3*>(data);
  if (result.fhs_status != MNT3_OK) Die("MNT: status %d", static_cast<int>(result.fhs_status));
  const auto& handle = result.mountres3_u.mountinfo.fhandle;
  auto& answer = *static_cast<MountAnswer*>(context);
  answer.root.length = std::min<std::uint32_t>(handle.fhandle3_len, kMostHandleBytes);
  std::memcpy(answer.root.data, handle.fhandle3_val, answer.root.length);
  answer.done = true;
}

}  // namespace

std::unique_ptr<Client> MakeLibnfsClient(const std::string& host, int port) {
  return std::make_unique<LibnfsClient>(host, port);
}

Handle MountRoot(const std::string& host, int mount_port, const std::string& path) {
  rpc_context* rpc = NewContext();
  bool connected = false;
  const int failed =
      mount_port != 0
          ? rpc_connect_port_async(rpc, host.c_str(), mount_port, MOUNT_PROGRAM, MOUNT_V3, OnConnected, &connected)
          : rpc_connect_program_async(rpc, host.c_str(), MOUNT_PROGRAM, MOUNT_V3, OnConnected, &connected);
  if (failed != 0) Die("connecting to MOUNT: %s", rpc_get_error(rpc));
  WaitFor(rpc, connected, "connecting to MOUNT");
  MountAnswer answer;
  if (rpc_mount3_mnt_async(rpc, OnMounted, const_cast<char*>(path.c_str()), &answer) != 0)
    Die("MNT: %s", rpc_get_error(rpc));
  WaitFor(rpc, answer.done, "MNT");
  rpc_destroy_context(rpc);
  return answer.root;
}

}  // namespace nfsbench
