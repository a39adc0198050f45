// GETATTR, SETATTR, ACCESS (RFC 1813 3.3.1, 3.3.2, 3.3.4).
#include "server/nfs3/operation.h"
#include "server/nfs3/procedures.h"

namespace strata::nfs3 {

rpc::Outcome GetAttr(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  const ByteSpan handle = ReadHandle(arguments);
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  const Operation op(program, call, Proc::kGetAttr, handle);
  if (!op.ok()) return op.Fail(reply, op.error());
  const auto attributes = op.volume().GetAttributes(op.context(), op.id());
  if (!attributes) {
    if (op.MustWait(attributes.error())) return rpc::Outcome::WouldBlock();
    return op.Fail(reply, attributes.error().code());
  }
  ResultWriter out(reply, 4 + kFattrBytes);
  out.Status(NFS3_OK);
  out.Fattr(*attributes, op.fsid());
  out.Finish();
  return {};
}

rpc::Outcome SetAttr(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  const ByteSpan handle = ReadHandle(arguments);
  Sattr sattr;
  if (!ReadSattr(arguments, sattr)) return rpc::Outcome::Garbage();
  std::optional<Time> guard;
  if (arguments.Bool()) {
    guard = ReadTime(arguments);
    sattr.valid = sattr.valid && guard.has_value();
  }
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  const Operation op(program, call, Proc::kSetAttr, handle);
  if (!op.ok()) return op.FailWcc(reply, op.error());
  if (!sattr.valid) return op.FailWcc(reply, Errc::kInvalid);
  vfs::Mutation mutation;
  const auto done = op.volume().SetAttributesOf(op.context(), op.id(), sattr.set, guard, mutation);
  if (!done) {
    if (op.MustWait(done.error())) return rpc::Outcome::WouldBlock();
    return op.FailWcc(reply, done.error().code(), mutation.target);
  }
  const vfs::Change change = op.Complete(mutation.target);
  ResultWriter out(reply, 4 + kWccDataBytes);
  out.Status(NFS3_OK);
  out.WccData(change, op.fsid());
  out.Finish();
  return op.Changed(mutation);
}

rpc::Outcome Access(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  const ByteSpan handle = ReadHandle(arguments);
  const std::uint32_t wanted = arguments.U32();
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  const Operation op(program, call, Proc::kAccess, handle);
  if (!op.ok()) return op.FailPostOp(reply, op.error());
  constexpr std::uint32_t kKnown = vfs::kAccessRead | vfs::kAccessLookup | vfs::kAccessModify | vfs::kAccessExtend |
                                   vfs::kAccessDelete | vfs::kAccessExecute;
  std::optional<Attributes> after;
  const auto granted = op.volume().Access(op.context(), op.id(), wanted & kKnown, &after);
  if (!granted) {
    if (op.MustWait(granted.error())) return rpc::Outcome::WouldBlock();
    return op.FailPostOp(reply, granted.error().code(), after);
  }
  if (!after) after = op.AttributesNow();
  ResultWriter out(reply, 4 + kPostOpAttrBytes + 4);
  out.Status(NFS3_OK);
  out.PostOpAttr(after, op.fsid());
  out.U32(*granted & wanted & kKnown);  // spec nfsv3 4.6: in the bits asked for only
  out.Finish();
  return {};
}

}  // namespace strata::nfs3
