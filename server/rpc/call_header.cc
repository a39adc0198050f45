#include "server/rpc/call_header.h"

#include <cstring>

#include "server/rpc/xdr.h"

namespace strata::rpc {
namespace {

constexpr std::uint32_t kAuthNone = 0;  // AUTH_NONE and AUTH_SYS are macros of libtirpc with other types
constexpr std::uint32_t kAuthSys = 1;

}  // namespace

CallHeader ParseCallHeader(ByteSpan record) {
  using enum CallHeader::Kind;
  CallHeader header;
  if (record.size() < 8) return header;
  XdrReader reader(record);
  header.xid = reader.U32();
  const std::uint32_t direction = reader.U32();
  if (direction == REPLY) return header.kind = kReply, header;
  if (direction != CALL) return header;
  const std::uint32_t rpc_version = reader.U32();
  if (!reader.ok()) return header.kind = kTruncated, header;
  if (rpc_version != RPC_MSG_VERSION) return header.kind = kWrongRpcVersion, header;
  header.program = reader.U32();
  header.version = reader.U32();
  header.procedure = reader.U32();
  if (!reader.ok()) return header.kind = kTruncated, header;
  header.flavor = reader.U32();
  header.credentials = reader.Opaque(kMaxAuthBytes);
  if (!reader.ok()) return header.kind = kBadCredentials, header;
  reader.U32();  // the verifier means nothing in the flavours we take
  reader.Opaque(kMaxAuthBytes);
  if (!reader.ok()) return header.kind = kBadVerifier, header;
  header.arguments = reader.rest();
  header.kind = kCall;
  return header;
}

auth_stat DecodeCredentials(std::uint32_t flavor, ByteSpan body, vfs::Credentials* credentials, bool* anonymous) {
  if (flavor == kAuthNone) {
    *credentials = {};
    credentials->uid = credentials->gid = kAnonymousId;
    *anonymous = true;
    return AUTH_OK;
  }
  if (flavor != kAuthSys) return AUTH_TOOWEAK;
  XdrReader reader(body);
  vfs::Credentials decoded;
  reader.U32();  // stamp
  reader.Opaque(kMaxMachineName);
  decoded.uid = reader.U32();
  decoded.gid = reader.U32();
  decoded.group_count = reader.U32();
  if (decoded.group_count > vfs::kMaxGroups) return AUTH_BADCRED;
  for (std::uint32_t i = 0; i < decoded.group_count; ++i) decoded.groups[i] = reader.U32();
  if (!reader.Finished()) return AUTH_BADCRED;
  *credentials = decoded;
  *anonymous = false;
  return AUTH_OK;
}

auth_stat CredentialCache::Decode(std::uint32_t flavor, ByteSpan body, vfs::Credentials* credentials, bool* anonymous) {
  if (flavor == kAuthSys && size_ != 0 && body.size() == size_ && std::memcmp(body.data(), body_.data(), size_) == 0) {
    *credentials = credentials_;
    *anonymous = false;
    return AUTH_OK;
  }
  const auth_stat status = DecodeCredentials(flavor, body, credentials, anonymous);
  if (status == AUTH_OK && flavor == kAuthSys && body.size() <= body_.size()) {
    std::memcpy(body_.data(), body.data(), body.size());
    size_ = body.size();
    credentials_ = *credentials;
  }
  return status;
}

}  // namespace strata::rpc
