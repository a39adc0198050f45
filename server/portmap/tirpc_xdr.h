// libtirpc's XDR over our records and replies, for the protocols that are not hot (MOUNT, portmap).
#pragma once

#include <rpc/rpc.h>

#include "server/rpc/reply_buffer.h"
#include "server/rpc/xdr.h"

namespace strata {

// A value that `proc` decodes; what it allocated is freed with it.
template <typename T, bool_t (*proc)(XDR*, T*)>
class Decoded {
 public:
  Decoded() = default;
  ~Decoded() { xdr_free(reinterpret_cast<xdrproc_t>(proc), reinterpret_cast<char*>(&value_)); }
  Decoded(const Decoded&) = delete;
  Decoded& operator=(const Decoded&) = delete;

  // Whether the arguments are one such value and nothing more. Lengths are bounded by the grammar.
  bool Decode(const rpc::XdrReader& arguments) {
    if (!arguments.ok()) return false;
    const ByteSpan bytes = arguments.rest();
    XDR xdr;
    xdrmem_create(&xdr, const_cast<char*>(AsText(bytes).data()), static_cast<u_int>(bytes.size()), XDR_DECODE);
    const bool good = proc(&xdr, &value_) != 0 && xdr_getpos(&xdr) == bytes.size();
    xdr_destroy(&xdr);
    return good;
  }
  const T* operator->() const { return &value_; }
  const T& operator*() const { return value_; }

 private:
  T value_{};
};

// Appends `value`; false, with nothing appended, where it cannot be encoded.
template <typename T>
bool Encode(bool_t (*proc)(XDR*, T*), T& value, rpc::ReplyBuffer& reply) {
  const unsigned long size = xdr_sizeof(reinterpret_cast<xdrproc_t>(proc), &value);
  if (size == 0 || size > rpc::ReplyBuffer::kMaxReserve) return false;
  std::byte* at = reply.Reserve(size);
  XDR xdr;
  xdrmem_create(&xdr, reinterpret_cast<char*>(at), static_cast<u_int>(size), XDR_ENCODE);
  const bool good = proc(&xdr, &value) != 0 && xdr_getpos(&xdr) == size;
  xdr_destroy(&xdr);
  if (good) reply.Commit(size);
  return good;
}

}  // namespace strata
