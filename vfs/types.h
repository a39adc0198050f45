// The words of the file-system interface: who calls, on what, and what came of it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/attributes.h"
#include "base/bytes.h"
#include "base/fetch.h"
#include "base/hash.h"
#include "base/ids.h"

namespace strata::vfs {

// Names an object of a volume to FileSystem. The server carries it in the handle, unchanged; it is the same for the
// object's whole life, across renames and restarts.
struct ObjectId {
  InodeNumber ino;
  Generation generation;
  // Tells the file system where to look for an object that it no longer has in memory; 0 where it needs no help.
  std::uint64_t locator = 0;
  friend bool operator==(const ObjectId&, const ObjectId&) = default;
};

inline constexpr std::size_t kMaxNameBytes = 255;
inline constexpr std::size_t kMaxSymlinkBytes = 4096;
inline constexpr std::uint32_t kMaxLinks =
    65000;  // names of one file; a directory may have any number of sub-directories
inline constexpr std::uint64_t kMaxFileSize = 0x7fff'ffff'ffff'ffffULL;  // RFC 1813 maxfilesize: 2^63 - 1
inline constexpr std::size_t kMaxGroups = 16;                            // RFC 5531 AUTH_SYS

// The caller, after squashing.
struct Credentials {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t group_count = 0;
  std::array<std::uint32_t, kMaxGroups> groups{};  // supplementary

  bool InGroup(std::uint32_t group) const {
    if (group == gid) return true;
    for (std::uint32_t i = 0; i < group_count; ++i) {
      if (groups[i] == group) return true;
    }
    return false;
  }
  bool superuser() const { return uid == 0; }
};

struct OpContext {
  Credentials credentials;
  // False: the call answers from memory or fails with kWouldBlock, having changed nothing. The caller then repeats it
  // on a thread that may wait, with true.
  bool may_block = true;
  // As Waiting::fetch: where not null, a call that waits for something from elsewhere fails with kWouldBlock and puts
  // it here. Where null, it waits itself, if may_block.
  std::shared_ptr<Fetch>* fetch = nullptr;
  // Names the request to the file system, which keeps the name with the change that it makes
  // (FileSystem::PastRequests). At most 64 bytes; empty for a request that does the same when it is made twice.
  ByteSpan request = {};

  Waiting waiting() const { return {may_block, fetch}; }
};

// Of work that no client asked for: as the superuser, and it waits for whatever it needs.
inline constexpr OpContext kBackground{};

// When the answer to a change may leave.
enum class Commitment : std::uint8_t {
  kNone,     // at once: nothing changed
  kWritten,  // after FileSystem::Flush: survives the death of the process
  kDurable,  // after FileSystem::Sync(lsn): survives a power cut
};

// An object's attributes on both sides of a change, taken atomically with it (RFC 1813 wcc_data). Either is absent
// where it could not be had.
struct Change {
  std::optional<WccAttributes> before;
  std::optional<Attributes> after;
};

// What a changing call reports beside its result, also when it fails.
struct Mutation {
  Change target;  // the object changed; of a name-space call the directory; of RENAME the source directory
  Change second;  // of RENAME the target directory
  Commitment commitment = Commitment::kNone;
  Lsn lsn;  // what Sync must reach
};

struct Entry {
  ObjectId id;
  Attributes attributes;
};

enum class SetTime : std::uint8_t { kKeep, kServer, kClient };

// What SETATTR, CREATE and their like are to set; absent members stay (or get their default in a new object).
struct SetAttributes {
  std::optional<std::uint32_t> mode;
  std::optional<std::uint32_t> uid;
  std::optional<std::uint32_t> gid;
  std::optional<std::uint64_t> size;
  SetTime set_atime = SetTime::kKeep;
  SetTime set_mtime = SetTime::kKeep;
  Time atime;  // for kClient
  Time mtime;  // for kClient
};

enum class CreateMode : std::uint8_t {
  kUnchecked,  // an existing regular file is opened; its size is set if the attributes say so
  kGuarded,    // kExists if the name exists
  kExclusive,  // as guarded, but a file made with the same verifier is success
};
using CreateVerifier = std::array<std::uint8_t, 8>;
using WriteVerifier = std::array<std::uint8_t, 8>;

// RFC 1813 stable_how, by value.
enum class Stability : std::uint32_t { kUnstable = 0, kDataSync = 1, kFileSync = 2 };

// RFC 1813 3.3.4 ACCESS bits, by value.
inline constexpr std::uint32_t kAccessRead = 0x01;
inline constexpr std::uint32_t kAccessLookup = 0x02;
inline constexpr std::uint32_t kAccessModify = 0x04;
inline constexpr std::uint32_t kAccessExtend = 0x08;
inline constexpr std::uint32_t kAccessDelete = 0x10;
inline constexpr std::uint32_t kAccessExecute = 0x20;

// Takes the bytes of a READ, in order, without copying where it can. Implemented by the server's reply.
class ReadSink {
 public:
  virtual ~ReadSink() = default;
  // Room for the next `size` bytes, to be filled before the next call of the sink.
  virtual MutableByteSpan Allocate(std::size_t size) = 0;
  // Gives back the last `size` bytes of what Allocate gave (a short read).
  virtual void Trim(std::size_t size) = 0;
  // False: Reference looks at the bytes, which must then not lie in a mapped file that somebody may cut. They come by
  // Allocate.
  virtual bool OnlyPassesOn() const { return true; }
  // The next bytes lie at `bytes`, which stay valid while `pin` lives.
  virtual void Reference(ByteSpan bytes, std::shared_ptr<const void> pin) = 0;
  virtual void Zeros(std::size_t size) = 0;
};

struct ReadResult {
  std::size_t count = 0;  // bytes given to the sink
  bool eof = false;
  std::optional<Attributes> after;
};

struct DirectoryEntry {
  std::string_view name;
  ObjectId id;                             // whole where attributes are wanted; else attributes' number alone
  Cookie cookie;                           // resumes after this entry
  const Attributes* attributes = nullptr;  // absent where the caller did not ask
};

// Takes the entries of a listing until it is full. Implemented by the server's reply.
class DirectorySink {
 public:
  virtual ~DirectorySink() = default;
  // False: there is no room for this entry; the listing ends before it.
  virtual bool Add(const DirectoryEntry& entry) = 0;
  // Where the listing stands, and back to there: entries whose cookies would be equal leave together or not at all.
  virtual std::size_t Mark() = 0;
  virtual void Rewind(std::size_t mark) = 0;
};

struct Listing {
  bool eof = false;
  std::size_t count = 0;  // entries given to the sink
};

// RFC 1813 3.3.18 FSSTAT.
struct SpaceUsage {
  std::uint64_t total_bytes = 0, free_bytes = 0, available_bytes = 0;
  std::uint64_t total_files = 0, free_files = 0, available_files = 0;
};

struct VolumeInfo {
  std::uint64_t id = 0;  // the same across restarts; distinguishes volumes in handles
  SipHashKey handle_key{};
  bool read_only = false;
};

}  // namespace strata::vfs
