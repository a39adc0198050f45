// READDIR, READDIRPLUS (RFC 1813 3.3.16, 3.3.17; spec nfsv3 5.2).
#include <algorithm>

#include "server/nfs3/operation.h"
#include "server/nfs3/procedures.h"

namespace strata::nfs3 {
namespace {

// No listing is larger, whatever a client allows.
constexpr std::size_t kMaxListingBytes = 1 << 20;
// What READDIR3resok and READDIRPLUS3resok hold beside the attributes and the entries: cookieverf, the end of the list,
// eof.
constexpr std::size_t kFrameBytes = 8 + 4 + 4;

// Entries straight into the reply, to the byte of two budgets:
//     maxcount  the whole resok structure, all of XDR included (the status is not part of it)
//     dircount  of each entry the file id, the name with its length and padding, and the cookie
class EntrySink final : public vfs::DirectorySink {
 public:
  EntrySink(rpc::ReplyBuffer& reply, const vfs::VolumeInfo& volume, bool plus, std::size_t max_bytes,
            std::size_t max_directory_bytes)
      : reply_(reply),
        volume_(volume),
        plus_(plus),
        begin_(reply.size()),
        max_bytes_(max_bytes),
        max_directory_bytes_(max_directory_bytes) {}

  bool Add(const vfs::DirectoryEntry& entry) override {
    const std::size_t directory_size = 8 + 4 + rpc::XdrPadded(entry.name.size()) + 8;
    const bool has_handle = entry.id.ino != kNoInode;
    std::size_t size = 4 + directory_size;
    if (plus_) size += (entry.attributes != nullptr ? kPostOpAttrBytes : 4) + (has_handle ? kPostOpHandleBytes : 4);
    if (size > max_bytes_ - bytes() || directory_size > max_directory_bytes_ - directory_bytes_) return false;
    ResultWriter out(reply_, size);
    out.Bool(true);
    // One that several objects share is not that of the handle. Linux takes an entry for a mount point where this and
    // the attributes differ.
    out.U64((entry.attributes != nullptr ? entry.attributes->ino : entry.id.ino).value);
    out.Text(entry.name);
    out.U64(entry.cookie.value);
    if (plus_) {
      out.Bool(entry.attributes != nullptr);
      if (entry.attributes != nullptr) out.Fattr(*entry.attributes, volume_.id);
      out.Bool(has_handle);
      if (has_handle) out.Handle(volume_, entry.id);
    }
    out.Finish();
    directory_bytes_ += directory_size;
    return true;
  }
  // Both counts in one word: neither passes kMaxListingBytes.
  std::size_t Mark() override { return directory_bytes_ << 32 | bytes(); }
  void Rewind(std::size_t mark) override {
    directory_bytes_ = mark >> 32;
    reply_.Rewind(begin_ + (mark & 0xffff'ffff));
  }

  std::size_t bytes() const { return reply_.size() - begin_; }

 private:
  rpc::ReplyBuffer& reply_;
  const vfs::VolumeInfo& volume_;
  const bool plus_;
  const std::size_t begin_;
  const std::size_t max_bytes_;
  const std::size_t max_directory_bytes_;
  std::size_t directory_bytes_ = 0;
};
static_assert(sizeof(std::size_t) == 8 && kMaxListingBytes < 1ULL << 32);

rpc::Outcome List(const Operation& op, rpc::ReplyBuffer& reply, Cookie cookie, bool plus, std::size_t max_bytes,
                  std::size_t max_directory_bytes) {
  // Before the listing, never after it: what changes in between must look newer to the client than what it was given.
  const auto attributes = op.volume().GetAttributes(op.context(), op.id());
  if (!attributes) {
    if (op.MustWait(attributes.error())) return rpc::Outcome::WouldBlock();
    return op.FailPostOp(reply, attributes.error().code());
  }
  if (attributes->type != FileType::kDirectory) return op.FailPostOp(reply, Errc::kNotDirectory, *attributes);
  constexpr std::size_t kFixedBytes = kPostOpAttrBytes + kFrameBytes;
  max_bytes = std::min(max_bytes, kMaxListingBytes);
  if (max_bytes < kFixedBytes) return op.FailPostOp(reply, Errc::kTooSmall, *attributes);

  const std::size_t begin = reply.size();
  {
    ResultWriter out(reply, 4 + kPostOpAttrBytes + 8);
    out.Status(NFS3_OK);
    out.Bool(true);
    out.Fattr(*attributes, op.fsid());
    out.U64(0);  // cookieverf: a cookie is good for ever (spec nfsv3 5.2), so there is nothing to verify
    out.Finish();
  }
  EntrySink sink(reply, op.info(), plus, max_bytes - kFixedBytes, std::min(max_directory_bytes, kMaxListingBytes));
  const auto listing = op.volume().ReadDirectory(op.context(), op.id(), cookie, plus, sink);
  if (!listing) {
    reply.Rewind(begin);
    if (op.MustWait(listing.error())) return rpc::Outcome::WouldBlock();
    return op.FailPostOp(reply, listing.error().code(), *attributes);
  }
  if (sink.bytes() == 0 && !listing->eof) {
    reply.Rewind(begin);
    return op.FailPostOp(reply, Errc::kTooSmall, *attributes);
  }
  ResultWriter end(reply, 8);
  end.Bool(false);
  end.Bool(listing->eof);
  end.Finish();
  return {};
}

}  // namespace

rpc::Outcome ReadDir(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  const ByteSpan handle = ReadHandle(arguments);
  const Cookie cookie(arguments.U64());
  arguments.U64();  // cookieverf: any is good
  const std::uint32_t count = arguments.U32();
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  const Operation op(program, call, Proc::kReadDir, handle);
  if (!op.ok()) return op.FailPostOp(reply, op.error());
  return List(op, reply, cookie, false, count, count);
}

rpc::Outcome ReadDirPlus(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments,
                         rpc::ReplyBuffer& reply) {
  const ByteSpan handle = ReadHandle(arguments);
  const Cookie cookie(arguments.U64());
  arguments.U64();  // cookieverf
  const std::uint32_t dircount = arguments.U32();
  const std::uint32_t maxcount = arguments.U32();
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  const Operation op(program, call, Proc::kReadDirPlus, handle);
  if (!op.ok()) return op.FailPostOp(reply, op.error());
  return List(op, reply, cookie, true, maxcount, dircount);
}

}  // namespace strata::nfs3
