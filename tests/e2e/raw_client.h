// A client by libnfs's raw API: one connection, every NFSv3 procedure, any number of calls in flight. What a call
// answered is taken out of libnfs's memory at once, into an Answer.
#pragma once

#include <poll.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

extern "C" {
#include <nfsc/libnfs.h>
// The order matters: libnfs's raw headers build on libnfs.h.
#include <nfsc/libnfs-raw-mount.h>
#include <nfsc/libnfs-raw-nfs.h>
#include <nfsc/libnfs-raw.h>
}

namespace strata::e2e {

using Handle = std::string;  // as it came

struct User {
  std::uint32_t uid = 0, gid = 0;
  std::vector<std::uint32_t> groups;  // supplementary
};

// One entry of READDIR or READDIRPLUS.
struct Listed {
  std::uint64_t fileid = 0;
  std::string name;
  std::uint64_t cookie = 0;
  std::optional<fattr3> attributes;
  std::optional<Handle> handle;
};

// What a call answered, whichever procedure it was.
struct Answer {
  bool answered = false;  // false: no NFS reply came, `error` says why
  std::string error;
  nfsstat3 status = NFS3ERR_SERVERFAULT;
  std::optional<Handle> handle;
  std::optional<fattr3> object;     // of the object the call was about, or made
  std::optional<wcc_attr> before;   // of the object or directory that changed
  std::optional<fattr3> directory;  // of the directory, after
  std::string data;                 // READ, READLINK
  std::uint32_t count = 0;          // READ, WRITE; the bits of ACCESS
  bool eof = false;
  stable_how committed = UNSTABLE;
  std::string verifier;  // of WRITE, COMMIT and listings
  std::vector<Listed> entries;
  FSINFO3resok fsinfo{};
  FSSTAT3resok fsstat{};
  PATHCONF3resok pathconf{};
};

class RawClient {
 public:
  // A call under way. Get drives the connection until it is answered, at most `kLimitMs`.
  class Call {
   public:
    const Answer& Get();
    const Answer* operator->() { return &Get(); }
    bool done() const { return state_->done; }

   private:
    friend class RawClient;
    struct State {
      Answer answer;
      bool done = false;
    };
    Call(RawClient* client, std::shared_ptr<State> state) : client_(client), state_(std::move(state)) {}
    RawClient* client_;
    std::shared_ptr<State> state_;
  };

  static constexpr int kLimitMs = 30'000;

  // Connects to the NFS program at `host`:`port`; connected() tells whether it worked. With `mount`, root() is set
  // from MNT "/".
  explicit RawClient(std::uint16_t port, const User& user = {}, bool mount = true,
                     const std::string& host = "127.0.0.1");
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  ~RawClient();
  bool connected() const { return connecting_.connected; }
  const Handle& root() const { return root_; }
  // Acts as `user` from now on.
  void Become(const User& user);
  // The handle of `path` as MOUNT gives it, and its status (MNT3_OK).
  static mountstat3 Mount(std::uint16_t port, const std::string& path, Handle* handle,
                          const std::string& host = "127.0.0.1");
  // The next call has this xid, the one after it the next.
  void SetNextXid(std::uint32_t xid);
  // To poll(2) for several clients at once, before each one's Turn(0).
  pollfd Poll();
  // Writes out and takes in what it can within `timeout_ms`; false once the connection is gone.
  bool Turn(int timeout_ms);

  Call Null();
  Call GetAttr(const Handle& object);
  Call SetAttr(const Handle& object, const sattr3& set, std::optional<nfstime3> guard = std::nullopt);
  Call Lookup(const Handle& directory, const std::string& name);
  Call Access(const Handle& object, std::uint32_t bits);
  Call ReadLink(const Handle& object);
  Call Read(const Handle& file, std::uint64_t offset, std::uint32_t count);
  Call Write(const Handle& file, std::uint64_t offset, std::string_view data, stable_how stable = FILE_SYNC);
  Call Create(const Handle& directory, const std::string& name, createmode3 mode = GUARDED, const sattr3& set = {});
  Call CreateExclusive(const Handle& directory, const std::string& name, std::string_view verifier);
  Call MakeDirectory(const Handle& directory, const std::string& name, const sattr3& set = {});
  Call MakeSymlink(const Handle& directory, const std::string& name, const std::string& target);
  Call MakeNode(const Handle& directory, const std::string& name, ftype3 type, specdata3 device = {},
                const sattr3& set = {});
  Call Remove(const Handle& directory, const std::string& name);
  Call RemoveDirectory(const Handle& directory, const std::string& name);
  Call Rename(const Handle& from, const std::string& name, const Handle& to, const std::string& new_name);
  Call Link(const Handle& object, const Handle& directory, const std::string& name);
  Call ReadDir(const Handle& directory, std::uint64_t cookie, std::string_view verifier, std::uint32_t count);
  Call ReadDirPlus(const Handle& directory, std::uint64_t cookie, std::string_view verifier, std::uint32_t dircount,
                   std::uint32_t maxcount);
  Call FsStat(const Handle& object);
  Call FsInfo(const Handle& object);
  Call PathConf(const Handle& object);
  Call Commit(const Handle& file, std::uint64_t offset = 0, std::uint32_t count = 0);

  // All entries, by READDIR calls of `count` bytes, or READDIRPLUS ones of count and maxcount; nothing, with a failed
  // expectation, when a call fails. `calls`, where not null, gets the number of calls.
  std::vector<Listed> List(const Handle& directory, bool plus, std::uint32_t count, int* calls = nullptr);
  // The handle of a/b/c from the root; empty, with a failed expectation, when there is none.
  Handle Walk(const std::string& path);

 private:
  template <typename Result, typename Arguments>
  Call Send(int (*function)(rpc_context*, rpc_cb, Arguments*, void*), Arguments& arguments);
  bool Wait(const bool& done);

  rpc_context* rpc_;
  // libnfs may tell how connecting ended as late as in rpc_destroy_context.
  struct Connecting {
    bool done = false, connected = false;
  } connecting_;
  Handle root_;
};

// Attributes to set, one at a time: Mode(0644), or Size(10).
sattr3 Mode(std::uint32_t mode);
sattr3 Size(std::uint64_t size);

}  // namespace strata::e2e
