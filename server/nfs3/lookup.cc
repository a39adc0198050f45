// LOOKUP, READLINK (RFC 1813 3.3.3, 3.3.5).
#include "server/nfs3/operation.h"
#include "server/nfs3/procedures.h"

namespace strata::nfs3 {

rpc::Outcome Lookup(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  const DirOpArgs what = ReadDirOpArgs(arguments);
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  ByteSpan handle = what.directory;
  // RFC 2055: the empty handle is the public one, the root of the first export; names of one component only.
  std::byte root[kHandleBytes];
  const Exports& exports = static_cast<Nfs3Program&>(program).exports();
  if (handle.empty() && !exports.all().empty()) {
    const vfs::FileSystem& volume = *exports.all().front().volume;
    EncodeHandle(volume.Volume(), volume.Root(), root);
    handle = root;
  }
  const Operation op(program, call, Proc::kLookup, handle, what.name);
  if (!op.ok()) return op.FailPostOp(reply, op.error());
  std::optional<Attributes> directory;
  const auto found = op.volume().Lookup(op.context(), op.id(), what.name, &directory);
  if (!found) {
    if (op.MustWait(found.error())) return rpc::Outcome::WouldBlock();
    return op.FailPostOp(reply, found.error().code(), directory);
  }
  if (!directory) directory = op.AttributesNow();
  ResultWriter out(reply, 4 + kHandleOpaqueBytes + 2 * kPostOpAttrBytes);
  out.Status(NFS3_OK);
  out.Handle(op.info(), found->id);
  out.Bool(true);
  out.Fattr(found->attributes, op.fsid());
  out.PostOpAttr(directory, op.fsid());
  out.Finish();
  return {};
}

rpc::Outcome ReadLink(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments,
                      rpc::ReplyBuffer& reply) {
  const ByteSpan handle = ReadHandle(arguments);
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  const Operation op(program, call, Proc::kReadLink, handle);
  if (!op.ok()) return op.FailPostOp(reply, op.error());
  std::optional<Attributes> after;
  const auto target = op.volume().ReadLink(op.context(), op.id(), &after);
  if (!target) {
    if (op.MustWait(target.error())) return rpc::Outcome::WouldBlock();
    return op.FailPostOp(reply, target.error().code(), after);
  }
  if (target->size() > vfs::kMaxSymlinkBytes) return op.FailPostOp(reply, Errc::kServerFault, after);
  if (!after) after = op.AttributesNow();
  ResultWriter out(reply, 4 + kPostOpAttrBytes + 4 + rpc::XdrPadded(target->size()));
  out.Status(NFS3_OK);
  out.PostOpAttr(after, op.fsid());
  out.Text(*target);
  out.Finish();
  return {};
}

}  // namespace strata::nfs3
