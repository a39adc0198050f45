// The answers of calls that were done before this process began (spec nfsv3 1.6): what a client that heard none gets
// when it asks again.
#include "server/nfs3/operation.h"
#include "server/nfs3/program.h"

namespace strata {

bool WritePastResults(std::uint32_t procedure, const vfs::VolumeInfo& volume, const vfs::PastRequest& past,
                      rpc::ReplyBuffer& reply) {
  using nfs3::Proc;
  nfs3::ResultWriter out(reply, 4 + nfs3::kPostOpHandleBytes + nfs3::kPostOpAttrBytes + 2 * nfs3::kWccDataBytes);
  out.Status(nfs3::NFS3_OK);
  int absent = 2;  // optional values that are not there: a wcc_data has two
  switch (static_cast<Proc>(procedure)) {
    case Proc::kCreate:
    case Proc::kMkdir:
    case Proc::kSymlink:
    case Proc::kMknod:
      // A CREATE that found its file there changed something else than it says; done again, it does the same again.
      if (past.made.ino == kNoInode) return false;
      out.PostOpHandle(volume, past.made);
      out.PostOpAttr(past.attributes, volume.id);
      break;
    case Proc::kSetAttr:
    case Proc::kRemove:
    case Proc::kRmdir:
      break;
    case Proc::kRename:
      absent = 4;
      break;
    case Proc::kLink:
      absent = 3;
      break;
    default:
      return false;
  }
  for (int i = 0; i < absent; ++i) out.Bool(false);
  out.Finish();
  return true;
}

}  // namespace strata
