#include "tests/bench/libnfs_decode.h"

#include <algorithm>
#include <cstring>

extern "C" {
#include <nfsc/libnfs.h>
// The order matters: libnfs's raw headers build on libnfs.h.
#include <nfsc/libnfs-raw-nfs.h>
#include <nfsc/libnfs-raw-nlm.h>
#include <nfsc/libnfs-raw.h>
}

namespace nfsbench {
namespace {

void CopyHandle(Handle& to, const nfs_fh3& from) {
  to.length = std::min<std::uint32_t>(from.data.data_len, kMostHandleBytes);
  std::memcpy(to.data, from.data.data_val, to.length);
}

template <typename Results>
const Results& As(const void* result, Reply& reply) {
  const auto& results = *static_cast<const Results*>(result);
  reply.status = static_cast<std::uint32_t>(results.status);
  return results;
}

template <typename Result>
void DecodeListing(const Result& result, Reply& reply) {
  std::memcpy(reply.verifier, result.cookieverf, 8);
  for (const auto* entry = result.reply.entries; entry != nullptr; entry = entry->nextentry) {
    ++reply.entries;
    reply.cookie = entry->cookie;
  }
  reply.eof = result.reply.eof != 0;
}

template <typename Result>
void DecodeMade(const Result& result, Reply& reply) {
  if (result.obj.handle_follows) CopyHandle(reply.handle, result.obj.post_op_fh3_u.handle);
}

}  // namespace

void DecodeLibnfsResult(Procedure procedure, const void* result, Reply& reply) {
  switch (procedure) {
    case Procedure::kNull:
    case Procedure::kNlmNull:
      break;
    case Procedure::kGetattr:
      As<GETATTR3res>(result, reply);
      break;
    case Procedure::kRemove:
      As<REMOVE3res>(result, reply);
      break;
    case Procedure::kRmdir:
      As<RMDIR3res>(result, reply);
      break;
    case Procedure::kRename:
      As<RENAME3res>(result, reply);
      break;
    case Procedure::kLookup:
      if (const auto& r = As<LOOKUP3res>(result, reply); reply.ok())
        CopyHandle(reply.handle, r.LOOKUP3res_u.resok.object);
      break;
    case Procedure::kCreate:
      if (const auto& r = As<CREATE3res>(result, reply); reply.ok()) DecodeMade(r.CREATE3res_u.resok, reply);
      break;
    case Procedure::kMkdir:
      if (const auto& r = As<MKDIR3res>(result, reply); reply.ok()) DecodeMade(r.MKDIR3res_u.resok, reply);
      break;
    case Procedure::kRead:
      if (const auto& r = As<READ3res>(result, reply); reply.ok()) {
        reply.count = r.READ3res_u.resok.count;
        reply.eof = r.READ3res_u.resok.eof != 0;
      }
      break;
    case Procedure::kWrite:
      if (const auto& r = As<WRITE3res>(result, reply); reply.ok()) {
        reply.count = r.WRITE3res_u.resok.count;
        reply.committed = static_cast<std::uint32_t>(r.WRITE3res_u.resok.committed);
        std::memcpy(reply.verifier, r.WRITE3res_u.resok.verf, 8);
      }
      break;
    case Procedure::kCommit:
      if (const auto& r = As<COMMIT3res>(result, reply); reply.ok())
        std::memcpy(reply.verifier, r.COMMIT3res_u.resok.verf, 8);
      break;
    case Procedure::kReaddir:
      if (const auto& r = As<READDIR3res>(result, reply); reply.ok()) DecodeListing(r.READDIR3res_u.resok, reply);
      break;
    case Procedure::kReaddirplus:
      if (const auto& r = As<READDIRPLUS3res>(result, reply); reply.ok())
        DecodeListing(r.READDIRPLUS3res_u.resok, reply);
      break;
    case Procedure::kFsinfo:
      if (const auto& r = As<FSINFO3res>(result, reply); reply.ok()) {
        reply.rtmax = r.FSINFO3res_u.resok.rtmax;
        reply.wtmax = r.FSINFO3res_u.resok.wtmax;
        reply.dtpref = r.FSINFO3res_u.resok.dtpref;
      }
      break;
    case Procedure::kNlmLock:
      As<NLM4_LOCKres>(result, reply);
      break;
    case Procedure::kNlmUnlock:
      As<NLM4_UNLOCKres>(result, reply);
      break;
  }
}

}  // namespace nfsbench
