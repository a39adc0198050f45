#include "server/nfs3/operation.h"

namespace strata::nfs3 {

Operation::Operation(rpc::Program& program, const rpc::Call& call, Proc procedure, ByteSpan handle,
                     std::string_view name)
    : procedure_(procedure), trace_(call.trace) {
  if (trace_ != nullptr) [[unlikely]] {
    if (!name.empty() && !trace_->name) trace_->name = name;
    trace_->status = NFS3_OK;
  }
  const Exports& exports = static_cast<Nfs3Program&>(program).exports();
  auto found = ResolveHandle(exports, handle);
  if (!found) {
    error_ = found.error().code();
    return;
  }
  if (call.peer == nullptr || !found->entry->Admits(*call.peer)) {
    error_ = Errc::kAccess;
    return;
  }
  // Of two objects, the first.
  if (trace_ != nullptr && !trace_->inode) [[unlikely]]
    trace_->inode = found->id.ino.value;
  entry_ = found->entry;
  id_ = found->id;
  context_.credentials = entry_->Squashed(call);
  context_.may_block = call.may_block;
  context_.fetch = call.fetch;
  late_ = call.late;
  context_.request = call.request();
}

std::optional<Attributes> Operation::AttributesNow() const {
  if (!ok()) return std::nullopt;
  auto attributes = volume().GetAttributes(context_, id_);
  if (!attributes) return std::nullopt;
  return *attributes;
}

vfs::Change Operation::Complete(const vfs::Change& change) const {
  if (change.after) return change;
  // Attributes of now beside those from before the change would hide from the client what others did in between.
  return {.before = std::nullopt, .after = AttributesNow()};
}

nfsstat3 Operation::Failed(Errc code) const {
  const nfsstat3 status = StatusFor(procedure_, code);
  if (trace_ != nullptr) [[unlikely]]
    trace_->status = status;
  return status;
}

rpc::Outcome Operation::Fail(rpc::ReplyBuffer& reply, Errc code) const {
  reply.U32(Failed(code));
  return {};
}

rpc::Outcome Operation::FailPostOp(rpc::ReplyBuffer& reply, Errc code, std::optional<Attributes> known) const {
  if (!known) known = AttributesNow();
  ResultWriter out(reply, 4 + kPostOpAttrBytes);
  out.Status(Failed(code));
  out.PostOpAttr(known, fsid());
  out.Finish();
  return {};
}

rpc::Outcome Operation::FailWcc(rpc::ReplyBuffer& reply, Errc code, const vfs::Change& change) const {
  const vfs::Change complete = Complete(change);
  ResultWriter out(reply, 4 + kWccDataBytes);
  out.Status(Failed(code));
  out.WccData(complete, fsid());
  out.Finish();
  return {};
}

rpc::Outcome Operation::Changed(const vfs::Mutation& mutation) const {
  rpc::Outcome outcome;
  outcome.volume = entry_->volume.get();
  outcome.commitment = mutation.commitment;
  outcome.lsn = mutation.lsn;
  return outcome;
}

}  // namespace strata::nfs3
