// CREATE, MKDIR, SYMLINK, MKNOD (RFC 1813 3.3.8 to 3.3.11).
#include <algorithm>

#include "server/nfs3/operation.h"
#include "server/nfs3/procedures.h"

namespace strata::nfs3 {
namespace {

constexpr std::uint32_t kUnchecked = 0, kGuarded = 1, kExclusive = 2;  // createmode3
constexpr std::uint32_t kLastFileType = 7;                             // NF3FIFO

// The results that all four share: the new object's handle and attributes, and the directory's change.
rpc::Outcome Made(const Operation& op, const Result<vfs::Entry>& made, const vfs::Mutation& mutation,
                  rpc::ReplyBuffer& reply) {
  if (!made) {
    if (op.MustWait(made.error())) return rpc::Outcome::WouldBlock();
    return op.FailWcc(reply, made.error().code(), mutation.target);
  }
  const vfs::Change change = op.Complete(mutation.target);
  ResultWriter out(reply, 4 + kPostOpHandleBytes + kPostOpAttrBytes + kWccDataBytes);
  out.Status(NFS3_OK);
  out.PostOpHandle(op.info(), made->id);
  out.Bool(true);
  out.Fattr(made->attributes, op.fsid());
  out.WccData(change, op.fsid());
  out.Finish();
  return op.Changed(mutation);
}

}  // namespace

rpc::Outcome Create(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  const DirOpArgs where = ReadDirOpArgs(arguments);
  const std::uint32_t how = arguments.U32();
  Sattr sattr;
  vfs::CreateVerifier verifier{};
  if (how == kExclusive) {
    std::ranges::copy(arguments.Fixed(verifier.size()), reinterpret_cast<std::byte*>(verifier.data()));
  } else if (how > kExclusive || !ReadSattr(arguments, sattr)) {
    return rpc::Outcome::Garbage();
  }
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  const Operation op(program, call, Proc::kCreate, where.directory, where.name);
  if (!op.ok()) return op.FailWcc(reply, op.error());
  if (!sattr.valid) return op.FailWcc(reply, Errc::kInvalid);
  const vfs::CreateMode mode = how == kUnchecked ? vfs::CreateMode::kUnchecked
                               : how == kGuarded ? vfs::CreateMode::kGuarded
                                                 : vfs::CreateMode::kExclusive;
  vfs::Mutation mutation;
  const auto made = op.volume().Create(op.context(), op.id(), where.name, mode, sattr.set, verifier, mutation);
  return Made(op, made, mutation, reply);
}

rpc::Outcome Mkdir(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  const DirOpArgs where = ReadDirOpArgs(arguments);
  Sattr sattr;
  if (!ReadSattr(arguments, sattr) || !arguments.Finished()) return rpc::Outcome::Garbage();
  const Operation op(program, call, Proc::kMkdir, where.directory, where.name);
  if (!op.ok()) return op.FailWcc(reply, op.error());
  if (!sattr.valid) return op.FailWcc(reply, Errc::kInvalid);
  vfs::Mutation mutation;
  const auto made = op.volume().MakeDirectory(op.context(), op.id(), where.name, sattr.set, mutation);
  return Made(op, made, mutation, reply);
}

rpc::Outcome Symlink(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  const DirOpArgs where = ReadDirOpArgs(arguments);
  Sattr sattr;
  if (!ReadSattr(arguments, sattr)) return rpc::Outcome::Garbage();
  const std::string_view target = ReadName(arguments);
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  const Operation op(program, call, Proc::kSymlink, where.directory, where.name);
  if (!op.ok()) return op.FailWcc(reply, op.error());
  if (!sattr.valid) return op.FailWcc(reply, Errc::kInvalid);
  if (target.size() > vfs::kMaxSymlinkBytes) return op.FailWcc(reply, Errc::kNameTooLong);
  vfs::Mutation mutation;
  const auto made = op.volume().MakeSymlink(op.context(), op.id(), where.name, target, sattr.set, mutation);
  return Made(op, made, mutation, reply);
}

rpc::Outcome Mknod(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  const DirOpArgs where = ReadDirOpArgs(arguments);
  const std::uint32_t number = arguments.U32();
  if (number < 1 || number > kLastFileType) return rpc::Outcome::Garbage();
  const FileType type = static_cast<FileType>(number);
  const bool device_type = type == FileType::kBlockDevice || type == FileType::kCharacterDevice;
  const bool makeable = device_type || type == FileType::kSocket || type == FileType::kFifo;
  Sattr sattr;
  DeviceNumber device;
  if (makeable && !ReadSattr(arguments, sattr)) return rpc::Outcome::Garbage();
  if (device_type) {
    device.major = arguments.U32();
    device.minor = arguments.U32();
  }
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  const Operation op(program, call, Proc::kMknod, where.directory, where.name);
  if (!op.ok()) return op.FailWcc(reply, op.error());
  if (!makeable) return op.FailWcc(reply, Errc::kBadType);
  if (!sattr.valid) return op.FailWcc(reply, Errc::kInvalid);
  vfs::Mutation mutation;
  const auto made = op.volume().MakeNode(op.context(), op.id(), where.name, type, device, sattr.set, mutation);
  return Made(op, made, mutation, reply);
}

}  // namespace strata::nfs3
