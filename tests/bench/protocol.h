// The parts of NFSv3 (RFC 1813) and of NLM version 4 that the measurements use, as plain values.
#pragma once

#include <cstdint>
#include <string>

namespace nfsbench {

// Added to a procedure's number where the program is NLM.
inline constexpr std::uint32_t kNlm = 1u << 16;

enum class Procedure : std::uint32_t {
  kNull = 0,
  kGetattr = 1,
  kLookup = 3,
  kRead = 6,
  kWrite = 7,
  kCreate = 8,
  kMkdir = 9,
  kRemove = 12,
  kRmdir = 13,
  kRename = 14,
  kReaddir = 16,
  kReaddirplus = 17,
  kFsinfo = 19,
  kCommit = 21,
  kNlmNull = kNlm + 0,
  kNlmLock = kNlm + 2,
  kNlmUnlock = kNlm + 4,
};

inline bool IsNlm(Procedure procedure) { return static_cast<std::uint32_t>(procedure) >= kNlm; }
// As it is on the wire.
inline std::uint32_t NumberOf(Procedure procedure) { return static_cast<std::uint32_t>(procedure) % kNlm; }

inline constexpr std::uint32_t kUnstable = 0;
inline constexpr std::uint32_t kFileSync = 2;
inline constexpr std::uint32_t kNlmDeniedNoLocks = 2;  // NLM4_DENIED_NOLOCKS
inline constexpr std::uint32_t kMostHandleBytes = 64;

struct Handle {
  std::uint32_t length = 0;
  char data[kMostHandleBytes];
};

struct Call {
  Procedure procedure = Procedure::kNull;
  const Handle* handle = nullptr;  // the object, or the directory that `name` is in
  std::string name;
  const Handle* to_directory = nullptr;  // RENAME
  std::string to_name;
  std::uint64_t offset = 0;    // of READ, WRITE, COMMIT, LOCK, UNLOCK; the cookie of READDIR and READDIRPLUS
  std::uint32_t count = 0;     // of READ, WRITE, COMMIT, LOCK, UNLOCK; READDIR's count, READDIRPLUS's maxcount
  std::uint32_t owner = 0;     // LOCK, UNLOCK: the process that locks, exclusively; LOCK may wait
  std::uint32_t dircount = 0;  // READDIRPLUS
  std::uint32_t stable = kUnstable;
  const char* data = nullptr;  // WRITE; must live until the reply
  char verifier[8] = {};       // READDIR, READDIRPLUS
};

// What the measurements need of a reply.
struct Reply {
  bool accepted = false;  // an RPC reply that decodes, of accept status SUCCESS
  std::uint32_t status = 0;
  Handle handle;                // LOOKUP, CREATE, MKDIR
  std::uint32_t count = 0;      // READ, WRITE
  std::uint32_t committed = 0;  // WRITE
  bool eof = false;             // READ, READDIR, READDIRPLUS
  char verifier[8] = {};
  std::uint32_t entries = 0;                       // READDIR, READDIRPLUS
  std::uint64_t cookie = 0;                        // of the last entry
  std::uint32_t rtmax = 0, wtmax = 0, dtpref = 0;  // FSINFO

  bool ok() const { return accepted && status == 0; }
};

// What a client of NLM says of itself and of a process of its own.
inline constexpr char kCallerName[] = "nfsbench";
inline std::string OwnerText(std::uint32_t owner) { return std::to_string(owner) + "@" + kCallerName; }

}  // namespace nfsbench
