// The header of an RPC call (RFC 5531 section 9), read in place, and its credentials.
#pragma once

#include <rpc/rpc.h>

#include <array>
#include <cstdint>

#include "base/bytes.h"
#include "vfs/types.h"

namespace strata::rpc {

// RFC 5531 section 8.2 and appendix A.
inline constexpr std::size_t kMaxAuthBytes = 400;
inline constexpr std::size_t kMaxMachineName = 255;
inline constexpr std::uint32_t kAnonymousId = 65534;

struct CallHeader {
  enum class Kind : std::uint8_t {
    kCall,    // all members count
    kNotRpc,  // not even xid and direction: nobody can be answered
    kReply,   // a reply, to a server that asked nothing: never answered, lest two servers talk for ever
    kWrongRpcVersion,
    kTruncated,       // ends before the credentials: GARBAGE_ARGS
    kBadCredentials,  // their opaque is cut or too long
    kBadVerifier,
  };
  Kind kind = Kind::kNotRpc;
  std::uint32_t xid = 0;
  std::uint32_t program = 0, version = 0, procedure = 0;
  std::uint32_t flavor = 0;
  ByteSpan credentials;  // the body of the flavour
  ByteSpan arguments;
};

CallHeader ParseCallHeader(ByteSpan record);

// AUTH_OK with the caller's ids, or why not: AUTH_BADCRED or AUTH_TOOWEAK (spec nfsv3 1.3).
auth_stat DecodeCredentials(std::uint32_t flavor, ByteSpan body, vfs::Credentials* credentials, bool* anonymous);

// Remembers the last AUTH_SYS credentials of a connection: a client sends the same bytes again and again.
class CredentialCache {
 public:
  auth_stat Decode(std::uint32_t flavor, ByteSpan body, vfs::Credentials* credentials, bool* anonymous);

 private:
  // Longer ones, rare, are decoded each time.
  std::array<std::byte, 160> body_;
  std::size_t size_ = 0;  // 0: none
  vfs::Credentials credentials_;
};

}  // namespace strata::rpc
