// The table of procedures: numbers, names, what the duplicate request cache keeps, and the answers for commitments that
// could not be met.
#include "server/nfs3/program.h"

#include <algorithm>
#include <array>

#include "server/nfs3/operation.h"
#include "server/nfs3/procedures.h"

namespace strata {
namespace nfs3 {
namespace {

// NFS3ERR_IO and a failure body without attributes: `absent` values that are not there.
template <int absent>
void IoFailure(rpc::ReplyBuffer& reply) {
  ResultWriter out(reply, 4 + 4 * absent);
  out.Status(NFS3ERR_IO);
  for (int i = 0; i < absent; ++i) out.Bool(false);
  out.Finish();
}
constexpr auto kWccFailure = &IoFailure<2>;           // wcc_data
constexpr auto kTwoWccFailure = &IoFailure<4>;        // RENAME: two wcc_data
constexpr auto kPostOpAndWccFailure = &IoFailure<3>;  // LINK: post_op_attr and wcc_data

constexpr std::size_t kListing = (1 << 20) + 512;
constexpr std::size_t kSmall = 512;

constexpr rpc::Procedure Row(Proc number, std::string_view name, Handler* handler, std::size_t largest_reply = kSmall) {
  rpc::Procedure row;
  row.number = static_cast<std::uint32_t>(number);
  row.name = name;
  row.handler = handler;
  row.largest_reply = largest_reply;
  return row;
}

// One that changes something. `cached`: a second run of the same call would answer otherwise than the first (spec
// nfsv3 1.6).
constexpr rpc::Procedure Change(Proc number, std::string_view name, Handler* handler, bool cached,
                                void (*failure)(rpc::ReplyBuffer&) = kWccFailure) {
  rpc::Procedure row = Row(number, name, handler);
  row.cached = cached;
  row.failure = failure;
  return row;
}

constexpr std::array<rpc::Procedure, kProcCount> kTable = {{
    Row(Proc::kNull, "NULL", Null),
    Row(Proc::kGetAttr, "GETATTR", GetAttr),
    Change(Proc::kSetAttr, "SETATTR", SetAttr, true),
    Row(Proc::kLookup, "LOOKUP", Lookup),
    Row(Proc::kAccess, "ACCESS", Access),
    Row(Proc::kReadLink, "READLINK", ReadLink, vfs::kMaxSymlinkBytes + kSmall),
    Row(Proc::kRead, "READ", Read, kMaxTransfer + kSmall),
    Change(Proc::kWrite, "WRITE", Write, false),
    Change(Proc::kCreate, "CREATE", Create, true),
    Change(Proc::kMkdir, "MKDIR", Mkdir, true),
    Change(Proc::kSymlink, "SYMLINK", Symlink, true),
    Change(Proc::kMknod, "MKNOD", Mknod, true),
    Change(Proc::kRemove, "REMOVE", Remove, true),
    Change(Proc::kRmdir, "RMDIR", Rmdir, true),
    Change(Proc::kRename, "RENAME", Rename, true, kTwoWccFailure),
    Change(Proc::kLink, "LINK", Link, true, kPostOpAndWccFailure),
    Row(Proc::kReadDir, "READDIR", ReadDir, kListing),
    Row(Proc::kReadDirPlus, "READDIRPLUS", ReadDirPlus, kListing),
    Row(Proc::kFsStat, "FSSTAT", FsStat),
    Row(Proc::kFsInfo, "FSINFO", FsInfo),
    Row(Proc::kPathConf, "PATHCONF", PathConf),
    Change(Proc::kCommit, "COMMIT", Commit, false),
}};

constexpr bool ProceduresInOrder() {
  for (std::uint32_t i = 0; i < kTable.size(); ++i) {
    if (kTable[i].number != i) return false;
  }
  return true;
}
static_assert(ProceduresInOrder());
static_assert(kSmall >= 4 + kPostOpHandleBytes + kPostOpAttrBytes + 2 * kWccDataBytes);

}  // namespace

std::span<const rpc::Procedure> Nfs3Program::Procedures(std::uint32_t) const { return kTable; }

bool Nfs3Program::Admits(const rpc::Peer& peer) const { return exports_.AdmitsAddress(peer); }

}  // namespace nfs3

std::unique_ptr<rpc::Program> MakeNfs3Program(const Exports& exports, std::function<void()> mounts) {
  return std::make_unique<nfs3::Nfs3Program>(exports, std::move(mounts));
}

}  // namespace strata
