// The structures of RFC 1813 2.5 and 2.6 that several procedures share, read from a record and written into a reply in
// place.
#pragma once

#include <optional>

#include "server/nfs3/handle.h"
#include "server/nfs3/status.h"
#include "server/rpc/reply_buffer.h"
#include "server/rpc/xdr.h"
#include "vfs/types.h"

namespace strata::nfs3 {

// Encoded sizes, in bytes.
inline constexpr std::size_t kFattrBytes = 84;
inline constexpr std::size_t kPostOpAttrBytes = 4 + kFattrBytes;           // post_op_attr, at most
inline constexpr std::size_t kWccDataBytes = 4 + 24 + kPostOpAttrBytes;    // wcc_data, at most
inline constexpr std::size_t kHandleOpaqueBytes = 4 + kHandleBytes;        // nfs_fh3
inline constexpr std::size_t kPostOpHandleBytes = 4 + kHandleOpaqueBytes;  // post_op_fh3, at most

// Writes to memory that has room for all that will be written.
class FixedWriter {
 public:
  explicit FixedWriter(std::byte* at) : begin_(at), at_(at) {}

  void U32(std::uint32_t v) {
    rpc::StoreBe32(at_, v);
    at_ += 4;
  }
  void U64(std::uint64_t v) {
    rpc::StoreBe64(at_, v);
    at_ += 8;
  }
  void Bool(bool v) { U32(v ? 1 : 0); }
  void Status(nfsstat3 status) { U32(status); }
  // nfstime3. What it cannot hold (before 1970, after 2106) is the nearest that it can.
  void Time(strata::Time time);
  // fattr3, kFattrBytes. `fsid`: the volume's id.
  void Fattr(const Attributes& attributes, std::uint64_t fsid);
  void PostOpAttr(const std::optional<Attributes>& attributes, std::uint64_t fsid);
  void WccData(const vfs::Change& change, std::uint64_t fsid);
  // nfs_fh3.
  void Handle(const vfs::VolumeInfo& volume, const vfs::ObjectId& id);
  void PostOpHandle(const vfs::VolumeInfo& volume, const vfs::ObjectId& id) {
    Bool(true);
    Handle(volume, id);
  }
  // A string or opaque<>, padded.
  void Text(std::string_view text);
  void Verifier(const vfs::WriteVerifier& verifier) {
    std::memcpy(at_, verifier.data(), verifier.size());
    at_ += verifier.size();
  }
  std::size_t written() const { return static_cast<std::size_t>(at_ - begin_); }

 private:
  std::byte* begin_;
  std::byte* at_;
};

// Writes results of a bounded size into one reservation of a reply. Nothing is in the reply before Finish.
class ResultWriter : public FixedWriter {
 public:
  // `room`: upper bound of what will be written.
  ResultWriter(rpc::ReplyBuffer& reply, std::size_t room) : FixedWriter(reply.Reserve(room)), reply_(reply) {}
  void Finish() { reply_.Commit(written()); }

 private:
  rpc::ReplyBuffer& reply_;
};

// Reading. Each returns false where the bytes are no such structure, or run out.

inline ByteSpan ReadHandle(rpc::XdrReader& arguments) { return arguments.Opaque(kMaxHandleBytes); }
// A name or path of any length: whether it is too long is the volume's to say, so that the client learns it
// (NFS3ERR_NAMETOOLONG).
inline std::string_view ReadName(rpc::XdrReader& arguments) { return arguments.Text(~std::uint32_t{0}); }

struct DirOpArgs {
  ByteSpan directory;
  std::string_view name;
};
inline DirOpArgs ReadDirOpArgs(rpc::XdrReader& arguments) {
  DirOpArgs read;
  read.directory = ReadHandle(arguments);
  read.name = ReadName(arguments);
  return read;
}

// nfstime3; nothing where the nanoseconds are a second or more (NFS3ERR_INVAL).
std::optional<Time> ReadTime(rpc::XdrReader& arguments);

// sattr3 as it came. `valid` is false where a time is none (NFS3ERR_INVAL).
struct Sattr {
  vfs::SetAttributes set;
  bool valid = true;
};
// False where it does not decode.
bool ReadSattr(rpc::XdrReader& arguments, Sattr& sattr);

}  // namespace strata::nfs3
