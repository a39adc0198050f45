#include "server/rpc/dispatcher.h"

#include <algorithm>
#include <utility>

#include "server/rpc/record_reader.h"
#include "server/rpc/trace.h"

namespace strata::rpc {
namespace {

// A reply made of words alone.
template <std::size_t n>
void WriteWords(ReplyBuffer& replies, const std::uint32_t (&words)[n]) {
  std::byte* at = replies.Reserve(kRecordMarkBytes + 4 * n);
  StoreBe32(at, kLastFragment | static_cast<std::uint32_t>(4 * n));
  for (std::size_t i = 0; i < n; ++i) StoreBe32(at + kRecordMarkBytes + 4 * i, words[i]);
  replies.Commit(kRecordMarkBytes + 4 * n);
}

void WriteAuthError(ReplyBuffer& replies, std::uint32_t xid, auth_stat status) {
  WriteWords(replies, {xid, REPLY, MSG_DENIED, AUTH_ERROR, static_cast<std::uint32_t>(status)});
}

}  // namespace

void FinishReply(std::byte* header, std::size_t size, std::uint32_t xid, accept_stat status) {
  StoreBe32(header, kLastFragment | static_cast<std::uint32_t>(size - kRecordMarkBytes));
  StoreBe32(header + 4, xid);
  StoreBe32(header + 8, REPLY);
  StoreBe32(header + 12, MSG_ACCEPTED);
  StoreBe32(header + 16, 0);  // AUTH_NONE
  StoreBe32(header + 20, 0);
  StoreBe32(header + 24, static_cast<std::uint32_t>(status));
}

void WriteAccepted(ReplyBuffer& replies, std::uint32_t xid, accept_stat status) {
  FinishReply(BeginReply(replies), kReplyHeaderBytes, xid, status);
}

Dispatcher::Dispatcher(std::vector<Program*> programs) : programs_(std::move(programs)) {
  for (const Program* program : programs_) numbers_.push_back(program->number());
}

void Dispatcher::Find(ByteSpan record, const Peer& peer, CredentialCache& credentials, Route* route,
                      ReplyBuffer& replies) const {
  using enum CallHeader::Kind;
  const CallHeader header = ParseCallHeader(record);
  route->kind = Route::Kind::kAnswered;
  switch (header.kind) {
    case kCall:
      break;
    case kNotRpc:
      route->kind = Route::Kind::kClose;
      return;
    case kReply:
      route->kind = Route::Kind::kIgnore;
      return;
    case kWrongRpcVersion:
      return WriteWords(replies, {header.xid, REPLY, MSG_DENIED, RPC_MISMATCH, RPC_MSG_VERSION, RPC_MSG_VERSION});
    case kTruncated:
      return WriteAccepted(replies, header.xid, GARBAGE_ARGS);
    case kBadCredentials:
      return WriteAuthError(replies, header.xid, AUTH_BADCRED);
    case kBadVerifier:
      return WriteAuthError(replies, header.xid, AUTH_BADVERF);
  }
  Call& call = route->call;
  call.xid = header.xid;
  call.program = header.program;
  call.version = header.version;
  call.procedure = header.procedure;
  call.peer = &peer;
  call.may_block = false;
  call.fetch = nullptr;
  call.late = false;
  call.trace = nullptr;
  if (Tracing()) [[unlikely]]
    call.received_ns = SteadyNanoseconds();
  call.has_request = false;
  const auth_stat auth = credentials.Decode(header.flavor, header.credentials, &call.credentials, &call.anonymous);
  if (auth != AUTH_OK) {
    // NULL is a ping: it takes any credentials.
    if (header.procedure != NULLPROC) return WriteAuthError(replies, header.xid, auth);
    DecodeCredentials(0, {}, &call.credentials, &call.anonymous);
  }
  const auto at = std::find(numbers_.begin(), numbers_.end(), header.program);
  if (at == numbers_.end()) return WriteAccepted(replies, header.xid, PROG_UNAVAIL);
  Program* program = programs_[static_cast<std::size_t>(at - numbers_.begin())];
  if (!program->Admits(peer)) return WriteAuthError(replies, header.xid, AUTH_TOOWEAK);
  if (header.version < program->low_version() || header.version > program->high_version()) {
    return WriteWords(replies, {header.xid, REPLY, MSG_ACCEPTED, 0, 0, PROG_MISMATCH, program->low_version(),
                                program->high_version()});
  }
  const std::span<const Procedure> procedures = program->Procedures(header.version);
  if (header.procedure >= procedures.size() || procedures[header.procedure].handler == nullptr) {
    return WriteAccepted(replies, header.xid, PROC_UNAVAIL);
  }
  route->program = program;
  route->procedure = &procedures[header.procedure];
  route->arguments = header.arguments;
  route->kind = Route::Kind::kServe;
}

}  // namespace strata::rpc
