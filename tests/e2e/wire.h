// Calls of hand-made bytes over a plain socket, for what libnfs cannot send: names with NUL, wrong programs and
// versions, handles of any length.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace strata::e2e {

// XDR by hand.
class Xdr {
 public:
  Xdr& Word(std::uint32_t word);
  Xdr& Long(std::uint64_t value) {
    return Word(static_cast<std::uint32_t>(value >> 32)).Word(static_cast<std::uint32_t>(value));
  }
  // A length, the bytes, and zeros up to a multiple of four.
  Xdr& Opaque(std::string_view bytes);
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

struct WireReply {
  bool came = false;           // false: the connection ended, or nothing came in 20 s
  std::uint32_t denied = 0;    // reply_stat
  std::uint32_t accepted = 0;  // accept_stat; of a denied call its reject_stat
  std::string body;            // what follows
  // The body's word number `index`; ~0 where it is too short.
  std::uint32_t Word(std::size_t index) const;
};

class Wire {
 public:
  // Connects to 127.0.0.1:`port`, from a port of 1024 or above, or (for root only) below.
  explicit Wire(std::uint16_t port, bool reserved_port = false);
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;
  ~Wire();
  bool connected() const { return fd_ >= 0; }
  // The next call gets this xid.
  void SetXid(std::uint32_t xid) { xid_ = xid - 1; }
  // One call as root (AUTH_SYS), and its reply.
  WireReply Call(std::uint32_t program, std::uint32_t version, std::uint32_t procedure, std::string_view arguments = {},
                 std::uint32_t rpc_version = 2);

 private:
  bool ReceiveAll(void* into, std::size_t size);

  int fd_ = -1;
  std::uint32_t xid_ = 1;
};

}  // namespace strata::e2e
