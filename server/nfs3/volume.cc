// NULL, FSSTAT, FSINFO, PATHCONF (RFC 1813 3.3.0, 3.3.18 to 3.3.20; spec nfsv3 6.4).
#include "server/nfs3/operation.h"
#include "server/nfs3/procedures.h"

namespace strata::nfs3 {
namespace {

constexpr std::uint32_t kPreferredListing = 128 << 10;
constexpr std::uint32_t kMultiple = 4096;
// FSF3_LINK, FSF3_SYMLINK, FSF3_HOMOGENEOUS, FSF3_CANSETTIME.
constexpr std::uint32_t kProperties = 0x01 | 0x02 | 0x08 | 0x10;

}  // namespace

rpc::Outcome Null(rpc::Program&, const rpc::Call&, rpc::XdrReader& arguments, rpc::ReplyBuffer&) {
  return arguments.Finished() ? rpc::Outcome{} : rpc::Outcome::Garbage();
}

rpc::Outcome FsStat(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  const ByteSpan handle = ReadHandle(arguments);
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  const Operation op(program, call, Proc::kFsStat, handle);
  if (!op.ok()) return op.FailPostOp(reply, op.error());
  const auto usage = op.volume().Usage(op.context(), op.id());
  if (!usage) {
    if (op.MustWait(usage.error())) return rpc::Outcome::WouldBlock();
    return op.FailPostOp(reply, usage.error().code());
  }
  const auto attributes = op.AttributesNow();
  ResultWriter out(reply, 4 + kPostOpAttrBytes + 6 * sizeof(std::uint64_t) + 4);
  out.Status(NFS3_OK);
  out.PostOpAttr(attributes, op.fsid());
  out.U64(usage->total_bytes);
  out.U64(usage->free_bytes);
  out.U64(usage->available_bytes);
  out.U64(usage->total_files);
  out.U64(usage->free_files);
  out.U64(usage->available_files);
  out.U32(0);  // invarsec
  out.Finish();
  return {};
}

rpc::Outcome FsInfo(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  const ByteSpan handle = ReadHandle(arguments);
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  const Operation op(program, call, Proc::kFsInfo, handle);
  static_cast<const Nfs3Program&>(program).ClientMounts();
  if (!op.ok()) return op.FailPostOp(reply, op.error());
  const auto attributes = op.volume().GetAttributes(op.context(), op.id());
  if (!attributes) {
    if (op.MustWait(attributes.error())) return rpc::Outcome::WouldBlock();
    return op.FailPostOp(reply, attributes.error().code());
  }
  ResultWriter out(reply, 4 + kPostOpAttrBytes + 48);
  out.Status(NFS3_OK);
  out.Bool(true);
  out.Fattr(*attributes, op.fsid());
  out.U32(kMaxTransfer);  // rtmax
  out.U32(kMaxTransfer);  // rtpref
  out.U32(kMultiple);     // rtmult
  out.U32(kMaxTransfer);  // wtmax
  out.U32(kMaxTransfer);  // wtpref
  out.U32(kMultiple);     // wtmult
  out.U32(kPreferredListing);
  out.U64(vfs::kMaxFileSize);
  out.Time(Time{1});  // time_delta
  out.U32(kProperties);
  out.Finish();
  return {};
}

rpc::Outcome PathConf(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments,
                      rpc::ReplyBuffer& reply) {
  const ByteSpan handle = ReadHandle(arguments);
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  const Operation op(program, call, Proc::kPathConf, handle);
  if (!op.ok()) return op.FailPostOp(reply, op.error());
  const auto attributes = op.volume().GetAttributes(op.context(), op.id());
  if (!attributes) {
    if (op.MustWait(attributes.error())) return rpc::Outcome::WouldBlock();
    return op.FailPostOp(reply, attributes.error().code());
  }
  ResultWriter out(reply, 4 + kPostOpAttrBytes + 24);
  out.Status(NFS3_OK);
  out.Bool(true);
  out.Fattr(*attributes, op.fsid());
  out.U32(vfs::kMaxLinks);
  out.U32(vfs::kMaxNameBytes);
  out.Bool(true);   // no_trunc
  out.Bool(true);   // chown_restricted
  out.Bool(false);  // case_insensitive
  out.Bool(true);   // case_preserving
  out.Finish();
  return {};
}

}  // namespace strata::nfs3
