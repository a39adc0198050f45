// Dispatcher: from a record to the procedure that it calls, or to the denial that it gets (spec nfsv3 1.2, 1.3).
#pragma once

#include <cstdint>
#include <vector>

#include "server/rpc/call_header.h"
#include "server/rpc/program.h"

namespace strata::rpc {

// Record mark, xid, REPLY, MSG_ACCEPTED, verifier (AUTH_NONE, empty), accept_stat.
inline constexpr std::size_t kReplyHeaderBytes = 28;

// Room for an accepted reply's header at the end of `replies`, which FinishReply fills once the results stand behind
// it.
inline std::byte* BeginReply(ReplyBuffer& replies) {
  std::byte* header = replies.Reserve(kReplyHeaderBytes);
  replies.Commit(kReplyHeaderBytes);
  return header;
}
// `size` of the whole record, header and mark included.
void FinishReply(std::byte* header, std::size_t size, std::uint32_t xid, accept_stat status);
// A whole reply without results.
void WriteAccepted(ReplyBuffer& replies, std::uint32_t xid, accept_stat status);

struct Route {
  enum class Kind : std::uint8_t {
    kServe,     // call procedure->handler with `call` and `arguments`
    kAnswered,  // the reply is written already
    kIgnore,    // nothing is to be answered
    kClose,     // nothing can be answered
  };
  Kind kind = Kind::kClose;
  Call call;
  Program* program = nullptr;
  const Procedure* procedure = nullptr;
  ByteSpan arguments;
};

// Constant once built; used from all threads.
class Dispatcher {
 public:
  // The programs must outlive it.
  explicit Dispatcher(std::vector<Program*> programs);

  // `route` points into `record`. Denials and the like are written to `replies`, with their record mark.
  // The number of the first of them, which says what this is for.
  std::uint32_t first_program() const { return numbers_.empty() ? 0 : numbers_.front(); }
  void Find(ByteSpan record, const Peer& peer, CredentialCache& credentials, Route* route, ReplyBuffer& replies) const;

 private:
  std::vector<Program*> programs_;
  std::vector<std::uint32_t> numbers_;
};

}  // namespace strata::rpc
