#include "server/rpc/pending_call.h"

#include <algorithm>
#include <utility>

#include "server/rpc/trace.h"

namespace strata::rpc {
namespace {

constexpr std::size_t kMaxSpareParked = 64;

}  // namespace

namespace {

Outcome Run(const Route& route, ReplyBuffer& replies) {
  const std::size_t start = replies.size();
  std::byte* const header = BeginReply(replies);
  XdrReader arguments(route.arguments);
  Outcome outcome = route.procedure->handler(*route.program, route.call, arguments, replies);
  if (outcome.would_block) {
    replies.Rewind(start);
    return outcome;
  }
  if (outcome.status != SUCCESS) replies.Rewind(start + kReplyHeaderBytes);
  FinishReply(header, replies.size() - start, route.call.xid, outcome.status);
  return outcome;
}

Outcome RunTraced(const Route& route, ReplyBuffer& replies) {
  Route traced = route;
  CallTrace trace;
  traced.call.trace = &trace;
  const Outcome outcome = Run(traced, replies);
  if (!outcome.would_block) WriteTrace(traced, trace, outcome);
  return outcome;
}

}  // namespace

Outcome RunProcedure(const Route& route, ReplyBuffer& replies) {
  return Tracing() ? RunTraced(route, replies) : Run(route, replies);
}

PendingCall::PendingCall(Connection& connection, const Route& route, const ReplyKey& key, ReceiveBuffer* buffer,
                         std::size_t bytes)
    : Completion(connection),
      buffers_(connection.thread().buffers()),
      route_(route),
      key_(key),
      buffer_(buffer),
      bytes_(bytes),
      queue_(connection.thread().completions()),
      reply_(std::min(ReplyBuffer::kChunkBytes, kReplyHeaderBytes + route.procedure->largest_reply)) {
  route_.call.may_block = true;
  route_.call.fetch = &fetch;
  if (buffer_ != nullptr) return;
  if (route.arguments.size() <= small_copy_.size()) {
    std::copy(route.arguments.begin(), route.arguments.end(), small_copy_.begin());
    route_.arguments = ByteSpan(small_copy_).first(route.arguments.size());
    return;
  }
  copy_.assign(route.arguments.begin(), route.arguments.end());
  route_.arguments = copy_;
}

void PendingCall::Run() {
  route_.call.late = late();
  outcome_ = RunProcedure(route_, reply_);
  if (outcome_.would_block) {
    if (connection().thread().shared().workers.Park(this)) return;
    // A handler may not ask for it here. The client gets an answer all the same.
    outcome_ = {};
    outcome_.status = SYSTEM_ERR;
    WriteAccepted(reply_, route_.call.xid, SYSTEM_ERR);
  }
  const std::shared_ptr<CompletionQueue> queue = queue_;
  queue->Push(this);
}

void PendingCall::Deliver() {
  IoThread& thread = connection().thread();
  if (buffer_ != nullptr) buffers_.Release(buffer_);
  connection().Done(1, bytes_);
  const std::size_t start = thread.batch().replies().size();
  thread.batch().replies().Append(std::move(reply_));
  connection().Settle(start, key_, outcome_);
  Recycle(this, thread.blocks());
}

void PendingCall::Drop() {
  if (buffer_ != nullptr) buffers_.Release(buffer_);
  delete this;
}

ParkedCompletion::ParkedCompletion(Connection& connection, ParkedReplies& parked)
    : Completion(connection), queue_(connection.thread().completions()) {
  auto& spare = connection.thread().spare_parked();
  if (!spare.empty()) {
    parked_ = std::move(spare.back());
    spare.pop_back();
  }
  std::swap(parked_, parked);
}

void ParkedCompletion::Sync() {
  parked_.volume->Sync(parked_.lsn, [this](Result<void> result) {
    synced_ = result.has_value();
    // Once pushed, it may be gone at any moment, and with it the last hold on the queue.
    const std::shared_ptr<CompletionQueue> queue = queue_;
    queue->Push(this);
  });
}

void ParkedCompletion::Deliver() {
  IoThread& thread = connection().thread();
  connection().Done(parked_.entries.size(), parked_.bytes.size());
  thread.batch().Unpark(parked_, synced_);
  parked_.Clear();
  const bool small = parked_.bytes.capacity() <= ReplyBuffer::kChunkBytes;
  if (small && thread.spare_parked().size() < kMaxSpareParked) thread.spare_parked().push_back(std::move(parked_));
  Recycle(this, thread.blocks());
}

void WaitingDuplicate::Answer(ByteSpan reply) {
  reply_.assign(reply.begin(), reply.end());
  const std::shared_ptr<CompletionQueue> queue = queue_;
  queue->Push(this);
}

void WaitingDuplicate::Deliver() {
  connection().Done(1, 0);
  connection().thread().batch().replies().Raw(reply_);
  delete this;
}

}  // namespace strata::rpc
