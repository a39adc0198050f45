// FileSystem: the one interface between the protocol and what is served. The server calls it; Workspace implements it,
// and so may any program that embeds strata::Server.
//
// Calls come from several threads at once. Names are raw bytes as the client sent them; the implementation checks them
// (CheckName). "." and ".." are resolved by Lookup. Nothing here knows of NFS or XDR, and nothing above knows of
// SQLite.
#pragma once

#include <functional>

#include "base/status.h"
#include "vfs/types.h"

namespace strata::vfs {

// A change of before the file system was opened, which a client may ask for again because it heard no answer.
struct PastRequest {
  std::vector<std::byte> request;        // OpContext::request
  ObjectId made;                         // what it made; ino kNoInode for nothing
  std::optional<Attributes> attributes;  // of that, as they are now; none where it is gone again
};

// Hears of objects that are gone.
class RemovalWatch {
 public:
  virtual ~RemovalWatch() = default;
  // From whichever thread removed it, with the file system's own locks held: nothing of that may be called here.
  virtual void Removed(const ObjectId& id) = 0;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // -- What an implementation must have. --

  // Constant for the life of the object.
  virtual const VolumeInfo& Volume() const = 0;
  virtual ObjectId Root() const = 0;
  // kStale: the object is gone; kBadHandle: it never was.
  virtual Result<Attributes> GetAttributes(const OpContext& context, const ObjectId& id) = 0;
  // `directory_after`, where not null, gets the directory's attributes, also when the name is not found.
  virtual Result<Entry> Lookup(const OpContext& context, const ObjectId& directory, std::string_view name,
                               std::optional<Attributes>* directory_after) = 0;
  virtual Result<ReadResult> Read(const OpContext& context, const ObjectId& id, std::uint64_t offset,
                                  std::uint32_t count, ReadSink& sink) = 0;
  // Entries after `cookie`, "." and ".." first, until the sink is full. An entry that stays in the directory is listed
  // exactly once, whatever comes and goes, also when the listing goes on after a restart.
  virtual Result<Listing> ReadDirectory(const OpContext& context, const ObjectId& directory, Cookie cookie,
                                        bool want_attributes, DirectorySink& sink) = 0;

  // -- What has a default. --

  // The bits of `wanted` (kAccess*) that the caller has. Default: by the mode bits; no changing bit on a read-only
  // volume. `after`, where not null, gets the object's attributes.
  virtual Result<std::uint32_t> Access(const OpContext& context, const ObjectId& id, std::uint32_t wanted,
                                       std::optional<Attributes>* after);
  // Default: kInvalid, as for what is no symlink.
  virtual Result<std::string> ReadLink(const OpContext& context, const ObjectId& id, std::optional<Attributes>* after);
  // The names of the object's extended attributes, as far as the caller may read them, in the order of their bytes.
  // Nothing on the wire asks for them: NFSv3 has none. Default: none.
  virtual Result<std::vector<std::string>> ListXattr(const OpContext& context, const ObjectId& id);
  // The value of one; kNotFound where it has none of that name, kAccess where the caller may not read it. Default: that
  // it has none.
  virtual Result<std::string> GetXattr(const OpContext& context, const ObjectId& id, std::string_view name);
  // Default: zeros but for a terabyte of total space.
  virtual Result<SpaceUsage> Usage(const OpContext& context, const ObjectId& id);

  // Changes; default: kReadOnly. Each fills `mutation`, also on failure, with what attributes it could get. After
  // success the answer may leave once `mutation.commitment` is met.

  // `guard`: kNotSync unless it equals the object's ctime.
  virtual Result<void> SetAttributesOf(const OpContext& context, const ObjectId& id, const SetAttributes& set,
                                       std::optional<Time> guard, Mutation& mutation);
  // The number of bytes written; `data` need not outlive the call. The answer's stability is the one asked for.
  virtual Result<std::uint32_t> Write(const OpContext& context, const ObjectId& id, std::uint64_t offset, ByteSpan data,
                                      Stability stability, Mutation& mutation);
  virtual Result<Entry> Create(const OpContext& context, const ObjectId& directory, std::string_view name,
                               CreateMode mode, const SetAttributes& set, const CreateVerifier& verifier,
                               Mutation& mutation);
  virtual Result<Entry> MakeDirectory(const OpContext& context, const ObjectId& directory, std::string_view name,
                                      const SetAttributes& set, Mutation& mutation);
  virtual Result<Entry> MakeSymlink(const OpContext& context, const ObjectId& directory, std::string_view name,
                                    std::string_view target, const SetAttributes& set, Mutation& mutation);
  // A fifo, socket or device.
  virtual Result<Entry> MakeNode(const OpContext& context, const ObjectId& directory, std::string_view name,
                                 FileType type, DeviceNumber device, const SetAttributes& set, Mutation& mutation);
  virtual Result<void> Remove(const OpContext& context, const ObjectId& directory, std::string_view name,
                              Mutation& mutation);
  virtual Result<void> RemoveDirectory(const OpContext& context, const ObjectId& directory, std::string_view name,
                                       Mutation& mutation);
  virtual Result<void> Rename(const OpContext& context, const ObjectId& from_directory, std::string_view from,
                              const ObjectId& to_directory, std::string_view to, Mutation& mutation);
  // `after`, where not null, gets the linked object's attributes; mutation.target is the directory's.
  virtual Result<void> Link(const OpContext& context, const ObjectId& id, const ObjectId& directory,
                            std::string_view name, std::optional<Attributes>* after, Mutation& mutation);
  // Asks that all data of the file written so far be durable; the caller waits for mutation.commitment.
  virtual Result<void> Commit(const OpContext& context, const ObjectId& id, Mutation& mutation);

  // Changes with each start of the process, and when data that was answered may have been lost (RFC 1813 3.3.7).
  virtual WriteVerifier CurrentWriteVerifier() const;
  // The last changes of before it was opened that were made for a named request, the oldest first; a bounded number.
  // Default: none.
  virtual std::vector<PastRequest> PastRequests();
  // Tells `watch`, in place of any before, of each object whose last name a call takes away; null for nobody. What goes
  // in a layer by itself is not told of. Default: nobody hears of anything.
  virtual void WatchRemovals(std::shared_ptr<RemovalWatch> watch);
  // Of the memory that the volume may take, who serves it uses so many bytes for now, in place of any said before. The
  // volume makes room for them. From a thread that holds none of its locks. Default: nothing is done.
  virtual void LendMemory(std::size_t bytes);
  // Hands everything changed so far to the operating system. Called once for a batch of calls, before its answers
  // leave.
  virtual Result<void> Flush();
  // Calls `done`, from any thread and perhaps before it returns, once everything up to `lsn` is durable, or has failed
  // to be.
  virtual void Sync(Lsn lsn, std::move_only_function<void(Result<void>)> done);
};

// Whether POSIX lets the caller read the extended attribute: `user.` with the right to read the object, `trusted.` as
// the superuser, others (`security.`, `system.`) always.
bool MayReadXattr(const Attributes& attributes, const Credentials& credentials, std::string_view name);

// kInvalid for an empty name or one with NUL or '/'; kNameTooLong for one of more than kMaxNameBytes.
Result<void> CheckName(std::string_view name);
// As CheckName, and `dots` for "." and "..": of a name about to be made or removed.
Result<void> CheckNewName(std::string_view name, Errc dots);

// POSIX access by the mode bits alone, for the bits of `wanted` (kAccess*). The superuser may do all but execute a
// regular file without an x bit.
std::uint32_t AccessByMode(const Attributes& attributes, const Credentials& credentials, std::uint32_t wanted);

}  // namespace strata::vfs
