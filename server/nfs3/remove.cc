// REMOVE, RMDIR, RENAME, LINK (RFC 1813 3.3.12 to 3.3.15).
#include "server/nfs3/operation.h"
#include "server/nfs3/procedures.h"

namespace strata::nfs3 {
namespace {

using RemoveMethod = Result<void> (vfs::FileSystem::*)(const vfs::OpContext&, const vfs::ObjectId&, std::string_view,
                                                       vfs::Mutation&);

rpc::Outcome RemoveName(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments,
                        rpc::ReplyBuffer& reply, Proc procedure, RemoveMethod method) {
  const DirOpArgs what = ReadDirOpArgs(arguments);
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  const Operation op(program, call, procedure, what.directory, what.name);
  if (!op.ok()) return op.FailWcc(reply, op.error());
  vfs::Mutation mutation;
  const auto done = (op.volume().*method)(op.context(), op.id(), what.name, mutation);
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

// RENAME's results, of either kind: the status and the changes of both directories.
void WriteRename(rpc::ReplyBuffer& reply, nfsstat3 status, const Operation& from, const vfs::Change& source,
                 const Operation& to, const vfs::Change& target) {
  const vfs::Change complete_source = from.Complete(source);
  const vfs::Change complete_target = to.Complete(target);
  ResultWriter out(reply, 4 + 2 * kWccDataBytes);
  out.Status(status);
  out.WccData(complete_source, from.fsid());
  out.WccData(complete_target, to.fsid());
  out.Finish();
}

// LINK's results, of either kind: the status, the file's attributes and the directory's change.
void WriteLink(rpc::ReplyBuffer& reply, nfsstat3 status, const Operation& file, std::optional<Attributes> after,
               const Operation& directory, const vfs::Change& change) {
  if (!after) after = file.AttributesNow();
  const vfs::Change complete = directory.Complete(change);
  ResultWriter out(reply, 4 + kPostOpAttrBytes + kWccDataBytes);
  out.Status(status);
  out.PostOpAttr(after, file.fsid());
  out.WccData(complete, directory.fsid());
  out.Finish();
}

// Why two handles cannot be used in one call; nothing where they can.
std::optional<Errc> Hindrance(const Operation& one, const Operation& other) {
  if (!one.ok()) return one.error();
  if (!other.ok()) return other.error();
  if (&one.volume() != &other.volume()) return Errc::kCrossDevice;  // spec nfsv3 5.3
  return std::nullopt;
}

}  // namespace

rpc::Outcome Remove(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  return RemoveName(program, call, arguments, reply, Proc::kRemove, &vfs::FileSystem::Remove);
}

rpc::Outcome Rmdir(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  return RemoveName(program, call, arguments, reply, Proc::kRmdir, &vfs::FileSystem::RemoveDirectory);
}

rpc::Outcome Rename(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  const DirOpArgs source = ReadDirOpArgs(arguments);
  const DirOpArgs target = ReadDirOpArgs(arguments);
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  const Operation from(program, call, Proc::kRename, source.directory, source.name);
  const Operation to(program, call, Proc::kRename, target.directory);
  if (const auto why = Hindrance(from, to)) {
    WriteRename(reply, from.Failed(*why), from, {}, to, {});
    return {};
  }
  vfs::Mutation mutation;
  const auto done = from.volume().Rename(from.context(), from.id(), source.name, to.id(), target.name, mutation);
  if (!done && from.MustWait(done.error())) return rpc::Outcome::WouldBlock();
  WriteRename(reply, done ? NFS3_OK : from.Failed(done.error().code()), from, mutation.target, to, mutation.second);
  return done ? from.Changed(mutation) : rpc::Outcome{};
}

rpc::Outcome Link(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  const ByteSpan handle = ReadHandle(arguments);
  const DirOpArgs where = ReadDirOpArgs(arguments);
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  const Operation file(program, call, Proc::kLink, handle);
  const Operation directory(program, call, Proc::kLink, where.directory, where.name);
  if (const auto why = Hindrance(file, directory)) {
    WriteLink(reply, file.Failed(*why), file, std::nullopt, directory, {});
    return {};
  }
  vfs::Mutation mutation;
  std::optional<Attributes> after;
  const auto done = file.volume().Link(file.context(), file.id(), directory.id(), where.name, &after, mutation);
  if (!done && file.MustWait(done.error())) return rpc::Outcome::WouldBlock();
  WriteLink(reply, done ? NFS3_OK : file.Failed(done.error().code()), file, after, directory, mutation.target);
  return done ? file.Changed(mutation) : rpc::Outcome{};
}

}  // namespace strata::nfs3
