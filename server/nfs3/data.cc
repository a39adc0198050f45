// READ, WRITE, COMMIT (RFC 1813 3.3.6, 3.3.7, 3.3.21).
#include <algorithm>

#include "server/nfs3/operation.h"
#include "server/nfs3/procedures.h"

namespace strata::nfs3 {
namespace {

// File data straight into the reply; what lies pinned elsewhere is referenced.
class ReplySink final : public vfs::ReadSink {
 public:
  explicit ReplySink(rpc::ReplyBuffer& reply) : reply_(reply), begin_(reply.size()) {}

  MutableByteSpan Allocate(std::size_t size) override {
    // Committed at once: the address stays good until the bytes are sent.
    std::byte* at = reply_.Reserve(size);
    reply_.Commit(size);
    return {at, size};
  }
  void Trim(std::size_t size) override { reply_.Rewind(reply_.size() - std::min(size, count())); }
  void Reference(ByteSpan bytes, std::shared_ptr<const void> pin) override { reply_.Reference(bytes, std::move(pin)); }
  void Zeros(std::size_t size) override {
    const MutableByteSpan room = Allocate(size);
    std::memset(room.data(), 0, room.size());
  }
  std::size_t count() const { return reply_.size() - begin_; }

 private:
  rpc::ReplyBuffer& reply_;
  const std::size_t begin_;
};

}  // namespace

rpc::Outcome Read(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  const ByteSpan handle = ReadHandle(arguments);
  std::uint64_t offset = arguments.U64();
  std::uint32_t count = arguments.U32();
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  const Operation op(program, call, Proc::kRead, handle);
  if (!op.ok()) return op.FailPostOp(reply, op.error());
  // Spec nfsv3 6.1: cut, not refused. No file reaches beyond kMaxFileSize, so there the answer is the same as at it:
  // nothing, and eof.
  offset = std::min(offset, vfs::kMaxFileSize);
  count = static_cast<std::uint32_t>(std::min<std::uint64_t>({count, kMaxTransfer, vfs::kMaxFileSize - offset}));

  // The head has a fixed size as long as attributes follow; it is filled when the data stands behind it.
  constexpr std::size_t kHeadBytes = 4 + kPostOpAttrBytes + 12;
  const std::size_t begin = reply.size();
  std::byte* head = reply.Reserve(kHeadBytes);
  reply.Commit(kHeadBytes);
  ReplySink sink(reply);
  auto result = op.volume().Read(op.context(), op.id(), offset, count, sink);
  if (result && !result->after) {
    auto attributes = op.volume().GetAttributes(op.context(), op.id());
    if (attributes) {
      result->after = *attributes;
    } else {
      result = std::unexpected(attributes.error());
    }
  }
  if (!result) {
    reply.Rewind(begin);
    if (op.MustWait(result.error())) return rpc::Outcome::WouldBlock();
    return op.FailPostOp(reply, result.error().code());
  }
  const std::size_t size = sink.count();
  if (size > count) {
    // More than was asked for: a fault of the volume, which must not become one of the client's memory.
    reply.Rewind(begin);
    return op.FailPostOp(reply, Errc::kServerFault, result->after);
  }
  reply.Pad(size);
  FixedWriter out(head);
  out.Status(NFS3_OK);
  out.PostOpAttr(result->after, op.fsid());
  out.U32(static_cast<std::uint32_t>(size));
  out.Bool(result->eof);
  out.U32(static_cast<std::uint32_t>(size));
  return {};
}

rpc::Outcome Write(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  const ByteSpan handle = ReadHandle(arguments);
  const std::uint64_t offset = arguments.U64();
  const std::uint32_t count = arguments.U32();
  const std::uint32_t stable = arguments.U32();
  ByteSpan data = arguments.Opaque(~std::uint32_t{0});
  if (!arguments.Finished() || stable > static_cast<std::uint32_t>(vfs::Stability::kFileSync))
    return rpc::Outcome::Garbage();
  // RFC 1813 3.3.7: data carries count bytes. Fewer cannot be obeyed; of more, the rest is not meant.
  if (data.size() < count) return rpc::Outcome::Garbage();
  data = data.first(std::min(count, kMaxTransfer));
  const Operation op(program, call, Proc::kWrite, handle);
  if (!op.ok()) return op.FailWcc(reply, op.error());
  if (offset > vfs::kMaxFileSize || data.size() > vfs::kMaxFileSize - offset)
    return op.FailWcc(reply, Errc::kFileTooBig);

  // Taken before the write: if a flush fails in between, the client must see that the verifier changed.
  const vfs::WriteVerifier verifier = op.volume().CurrentWriteVerifier();
  vfs::Mutation mutation;
  const auto written =
      op.volume().Write(op.context(), op.id(), offset, data, static_cast<vfs::Stability>(stable), mutation);
  if (!written) {
    if (op.MustWait(written.error())) return rpc::Outcome::WouldBlock();
    return op.FailWcc(reply, written.error().code(), mutation.target);
  }
  const vfs::Change change = op.Complete(mutation.target);
  ResultWriter out(reply, 4 + kWccDataBytes + 16);
  out.Status(NFS3_OK);
  out.WccData(change, op.fsid());
  out.U32(*written);
  out.U32(stable);
  out.Verifier(verifier);
  out.Finish();
  return op.Changed(mutation);
}

rpc::Outcome Commit(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  const ByteSpan handle = ReadHandle(arguments);
  arguments.U64();  // offset and count: all of the file is committed
  arguments.U32();
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  const Operation op(program, call, Proc::kCommit, handle);
  if (!op.ok()) return op.FailWcc(reply, op.error());
  vfs::Mutation mutation;
  const auto done = op.volume().Commit(op.context(), op.id(), mutation);
  if (!done) {
    if (op.MustWait(done.error())) return rpc::Outcome::WouldBlock();
    return op.FailWcc(reply, done.error().code(), mutation.target);
  }
  const vfs::Change change = op.Complete(mutation.target);
  ResultWriter out(reply, 4 + kWccDataBytes + 8);
  out.Status(NFS3_OK);
  out.WccData(change, op.fsid());
  // Taken after the commit: a failure before it shows. One after it makes the reply anew (Procedure::failure).
  out.Verifier(op.volume().CurrentWriteVerifier());
  out.Finish();
  return op.Changed(mutation);
}

}  // namespace strata::nfs3
