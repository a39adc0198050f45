// Harness: calls of the four programs, bytes in and bytes out, over fake volumes. Its header keeps libtirpc's names
// out, so that a test can use libnfs's decoders, which define the same names.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/server/nfs3/fake_file_system.h"

namespace strata::testing {

using Bytes = std::vector<char>;

struct Reply {
  int accept = 0;  // RFC 5531 accept_stat
  bool would_block = false;
  bool has_volume = false;
  vfs::Commitment commitment = vfs::Commitment::kNone;
  Lsn lsn;
  Bytes bytes;

  std::uint32_t Word(std::size_t index) const;
  std::uint32_t status() const { return Word(0); }
};

inline constexpr int kAccepted = 0, kGarbageArgs = 4;

struct From {
  std::string address = "127.0.0.1";
  std::uint16_t port = 700;
  bool local_socket = false;
  std::uint32_t local_uid = ~0u;
  bool datagram = false;
  std::string local = "0.0.0.0";  // this side's address
};

class Harness {
 public:
  static constexpr std::uint32_t kNfs = 100003, kMount = 100005, kPortmap = 100000, kNlm = 100021;

  struct ExportRules {
    std::string path = "/";
    std::vector<std::string> allow = {};
    bool insecure_ports = false;
    int squash = 0;  // Squash, by value
    std::shared_ptr<FakeFileSystem> volume = nullptr;
    bool control_tree = false;  // around the volume
  };
  // One export "/" of `volume` where none are given. `locks`: whether NLM grants any.
  explicit Harness(std::vector<ExportRules> exports = {}, bool locks = true);
  ~Harness();

  FakeFileSystem& volume() { return *volume_; }
  // The handle of an object of `of` (the first volume where null), by the production encoder.
  Bytes Handle(const vfs::ObjectId& id, const FakeFileSystem* of = nullptr) const;

  // `input`, of a fuzzer, with good handles in it: each run of the bytes "HANDLE" and a digit becomes the handle, with
  // its length before it, of the object of that number (0 to 7). A byte of 0x80 and above in place of the digit chooses
  // one of `others`, while there are any.
  Bytes WithHandles(std::string_view input) const;
  std::vector<vfs::ObjectId> others;

  bool Admits(std::uint32_t program) const;
  Reply Call(std::uint32_t program, std::uint32_t version, std::uint32_t procedure, const Bytes& arguments);
  Reply Nfs(std::uint32_t procedure, const Bytes& arguments) { return Call(kNfs, 3, procedure, arguments); }
  // What Procedure::failure writes; empty where there is none.
  Bytes FailureReply(std::uint32_t procedure) const;
  struct ProcedureInfo {
    std::string name;
    bool cached = false, always_blocks = false, has_handler = false;
    std::size_t largest_reply = 0;
  };
  std::vector<ProcedureInfo> Procedures(std::uint32_t program, std::uint32_t version) const;
  // As the server registers itself, on port 2049 of `address`.
  void Register(std::uint32_t program, std::uint32_t version, const std::string& address, std::uint16_t port,
                bool datagram);

  // Of the lock table: whether nothing is held, and nobody waits.
  bool NothingIsLocked() const;
  void SetGrace(bool grace);

  // What NLM sent to lock managers of clients as the result of a call, and to whom it granted what he waited for.
  struct LockResult {
    std::string host;
    bool datagram = false;
    std::uint32_t procedure = 0;
    Bytes arguments;
  };
  std::vector<LockResult> lock_results;
  struct LockGrant {
    std::uint64_t id = 0;
    std::string host;
    bool message = false;
  };
  const std::vector<LockGrant>& LockGrants() const;

  // Whether clients are known that NLM is to grant locks, whether they can become so, and what it told of them.
  bool clients_known = true, clients_can_be_known = true;
  // Above 0: they are known, but forgotten once that has been asked so often.
  int clients_known_for = 0;
  std::vector<std::string> monitored;  // such as "add 127.0.0.1"

  // Whether whoever calls portmap from beyond this machine is answered.
  bool portmap_admits = false;

  // How the calls come.
  From from;
  bool may_block = false;
  // What the call waits for is put here; and whether it is one that is answered whatever comes.
  std::shared_ptr<Fetch> fetch;
  bool late = false;
  bool anonymous = false;
  vfs::Credentials credentials;
  // Bytes that stand in the reply buffer before the results do.
  std::size_t already_in_reply = 28;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::shared_ptr<FakeFileSystem> volume_;
};

}  // namespace strata::testing
