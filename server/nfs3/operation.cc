#include "server/nfs3/operation.h"

namespace strata::nfs3 {

Operation::Operation(rpc::Program& program, const rpc::Call& call, Proc procedure, ByteSpan handle)
    : procedure_(procedure) {
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
  entry_ = found->entry;
  id_ = found->id;
  context_.credentials = entry_->Squashed(call);
  context_.may_block = call.may_block;
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

rpc::Outcome Operation::Fail(rpc::ReplyBuffer& reply, Errc code) const {
  reply.U32(StatusFor(procedure_, code));
  return {};
}

rpc::Outcome Operation::FailPostOp(rpc::ReplyBuffer& reply, Errc code, std::optional<Attributes> known) const {
  if (!known) known = AttributesNow();
  ResultWriter out(reply, 4 + kPostOpAttrBytes);
  out.Status(StatusFor(procedure_, code));
  out.PostOpAttr(known, fsid());
  out.Finish();
  return {};
}

rpc::Outcome Operation::FailWcc(rpc::ReplyBuffer& reply, Errc code, const vfs::Change& change) const {
  const vfs::Change complete = Complete(change);
  ResultWriter out(reply, 4 + kWccDataBytes);
  out.Status(StatusFor(procedure_, code));
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
