#include "server/nlm4/program.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "server/nfs3/handle.h"
#include "server/nlm4/protocol.h"
#include "server/rpc/addresses.h"

namespace strata {
namespace nlm4 {
namespace {

constexpr std::size_t kLargestReply = 2 * kMaxObject + 256;
log::RateLimit unmonitored;

class Nlm4Program final : public rpc::Program {
 public:
  Nlm4Program(const Exports& exports, Nlm4Locks locks) : exports_(exports), service_(std::move(locks)) {}
  std::uint32_t number() const override { return kNlmProgram; }
  std::string_view name() const override { return "nlm"; }
  std::uint32_t low_version() const override { return kNlmVersion; }
  std::uint32_t high_version() const override { return kNlmVersion; }
  std::span<const rpc::Procedure> Procedures(std::uint32_t version) const override;
  bool Admits(const rpc::Peer& peer) const override { return exports_.AdmitsAddress(peer); }
  const Exports& exports() const { return exports_; }
  LockTable* locks() const { return service_.table; }
  ClientMonitor* monitor() const { return service_.monitor; }
  void Send(const rpc::Call& call, std::uint32_t procedure, const rpc::ReplyBuffer& results) const {
    if (call.peer != nullptr) service_.send(*call.peer, procedure, results.Bytes());
  }

 private:
  const Exports& exports_;
  const Nlm4Locks service_;
};

Nlm4Program& Self(rpc::Program& program) { return static_cast<Nlm4Program&>(program); }

// The file that a call is about, as far as the caller may have it, and the bytes of it.
struct Target {
  const Export* entry = nullptr;
  vfs::ObjectId id;
  Range range;
  Stat status = Stat::kGranted;  // what the call gets where there is no entry

  FileKey key() const { return {entry->volume->Volume().id, id.ino, id.generation}; }
};

Target Find(rpc::Program& program, const rpc::Call& call, ByteSpan handle) {
  Target target;
  if (Self(program).locks() == nullptr) {
    target.status = Stat::kDeniedNoLocks;
    return target;
  }
  const auto found = nfs3::ResolveHandle(Self(program).exports(), handle);
  if (!found) {
    target.status = Stat::kStaleFh;
    return target;
  }
  if (call.trace != nullptr) [[unlikely]]
    call.trace->inode = found->id.ino.value;
  if (call.peer == nullptr || !found->entry->Admits(*call.peer)) {
    target.status = Stat::kFailed;
    return target;
  }
  target.entry = found->entry;
  target.id = found->id;
  return target;
}

Target FindRange(rpc::Program& program, const rpc::Call& call, const LockArguments& lock) {
  Target target = Find(program, call, lock.handle);
  if (const auto range = lock.range()) {
    target.range = *range;
  } else if (target.entry != nullptr) {
    target.entry = nullptr;
    target.status = Stat::kFbig;
  }
  return target;
}

// Whether the caller may lock the file: who may open it, to read or to write, and its owner. kWouldBlock to run again.
Result<Stat> MayLock(const rpc::Call& call, const Target& target) {
  const vfs::OpContext context{
      .credentials = target.entry->Squashed(call), .may_block = call.may_block, .fetch = call.fetch};
  const auto attributes = target.entry->volume->GetAttributes(context, target.id);
  if (!attributes) {
    const Errc code = attributes.error().code();
    if (code == Errc::kWouldBlock && !call.late) return Fail(attributes.error());
    if (code == Errc::kStale || code == Errc::kBadHandle) return Stat::kStaleFh;
    return Stat::kFailed;
  }
  const vfs::Credentials& caller = context.credentials;
  if (caller.uid == attributes->uid) return Stat::kGranted;
  constexpr std::uint32_t kOpen = vfs::kAccessRead | vfs::kAccessModify | vfs::kAccessExtend;
  return vfs::AccessByMode(*attributes, caller, kOpen) != 0 ? Stat::kGranted : Stat::kFailed;
}

Caller CallerOf(const rpc::Call& call, const LockArguments& lock) {
  return {.name = lock.caller_name, .address = call.peer->address, .svid = lock.svid, .owner = lock.owner};
}

Stat StatOf(Answer answer) {
  switch (answer) {
    case Answer::kGranted:
      return Stat::kGranted;
    case Answer::kDenied:
      return Stat::kDenied;
    case Answer::kBlocked:
      return Stat::kBlocked;
    case Answer::kNoRoom:
      return Stat::kDeniedNoLocks;
    case Answer::kGrace:
      return Stat::kDeniedGracePeriod;
  }
  return Stat::kFailed;
}

rpc::Outcome Reply(const rpc::Call& call, rpc::ReplyBuffer& reply, ByteSpan cookie, Stat status) {
  if (call.trace != nullptr) [[unlikely]]
    call.trace->status = static_cast<std::uint32_t>(status);
  reply.Opaque(cookie);
  reply.U32(static_cast<std::uint32_t>(status));
  return {};
}

rpc::Outcome Null(rpc::Program&, const rpc::Call&, rpc::XdrReader& arguments, rpc::ReplyBuffer&) {
  return arguments.Finished() ? rpc::Outcome{} : rpc::Outcome::Garbage();
}

rpc::Outcome Test(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  const ByteSpan cookie = ReadCookie(arguments);
  const bool exclusive = arguments.Bool();
  const LockArguments lock = LockArguments::Read(arguments);
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  const Target target = FindRange(program, call, lock);
  if (target.entry == nullptr) return Reply(call, reply, cookie, target.status);
  const auto may = MayLock(call, target);
  if (!may) return rpc::Outcome::WouldBlock();
  if (*may != Stat::kGranted) return Reply(call, reply, cookie, *may);
  LockTable& locks = *Self(program).locks();
  if (locks.grace()) return Reply(call, reply, cookie, Stat::kDeniedGracePeriod);
  const auto holder = locks.Test(target.key(), CallerOf(call, lock), target.range, exclusive);
  if (!holder) return Reply(call, reply, cookie, Stat::kGranted);
  (void)Reply(call, reply, cookie, Stat::kDenied);
  reply.Bool(holder->exclusive);
  reply.U32(holder->svid);
  reply.Opaque(holder->owner);
  reply.U64(holder->range.first);
  reply.U64(WireLength(holder->range));
  return {};
}

// LOCK, LOCK_MSG, and NM_LOCK, which never waits.
enum class LockForm : std::uint8_t { kCall, kMessage, kUnmonitored };

// What is left to do before the client may have a lock.
enum class Monitored : std::uint8_t { kYes, kNotYet, kFailed };

// Sees to it that the client hears of it when this server starts anew; waits only where the call may.
Monitored Monitor(rpc::Program& program, const rpc::Call& call) {
  ClientMonitor& monitor = *Self(program).monitor();
  if (monitor.Has(*call.peer)) return Monitored::kYes;
  if (!call.may_block) return Monitored::kNotYet;
  const auto added = monitor.Add(*call.peer);
  if (added) return Monitored::kYes;
  if (unmonitored.Allow()) {
    log::Error("lock_refused", {{"client", call.peer->address.to_string()},
                                {"reason", "its name cannot be kept, and it could not be told of a restart"},
                                {"error", added.error()}});
  }
  return Monitored::kFailed;
}

template <LockForm form>
rpc::Outcome Lock(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  const ByteSpan cookie = ReadCookie(arguments);
  const bool waits = arguments.Bool() && form != LockForm::kUnmonitored;
  const bool exclusive = arguments.Bool();
  const LockArguments lock = LockArguments::Read(arguments);
  const bool reclaim = arguments.Bool();
  arguments.U32();  // the client's state, of which its NSM tells
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  const Target target = FindRange(program, call, lock);
  if (target.entry == nullptr) return Reply(call, reply, cookie, target.status);
  LockTable& locks = *Self(program).locks();
  const auto may = MayLock(call, target);
  if (!may) return rpc::Outcome::WouldBlock();
  if (*may == Stat::kStaleFh) locks.Forget(target.key());
  if (*may != Stat::kGranted) return Reply(call, reply, cookie, *may);
  const auto monitored = [&] { return form == LockForm::kUnmonitored ? Monitored::kYes : Monitor(program, call); };
  if (const Monitored is = monitored(); is != Monitored::kYes) {
    if (is == Monitored::kNotYet) return rpc::Outcome::WouldBlock();
    return Reply(call, reply, cookie, Stat::kDeniedNoLocks);
  }
  const Caller caller = CallerOf(call, lock);
  const auto ask = [&](const CallBack* back) {
    return locks.Lock(target.key(), caller, target.range, exclusive, reclaim, back);
  };
  // Most need not wait, and so nothing of how they are to be told.
  Answer answer = ask(nullptr);
  if (waits && answer == Answer::kDenied) {
    const CallBack back{.handle = {lock.handle.begin(), lock.handle.end()},
                        .local = call.peer->local,
                        .datagram = call.peer->datagram,
                        .message = form == LockForm::kMessage};
    answer = ask(&back);
  }
  if (answer == Answer::kGranted || answer == Answer::kBlocked) {
    // It may have been forgotten just before it had anything.
    const Monitored is = monitored();
    if (is == Monitored::kNotYet) return rpc::Outcome::WouldBlock();  // the same lock is granted again
    if (is == Monitored::kFailed) {
      if (!locks.Cancel(target.key(), caller, target.range, exclusive))
        locks.Unlock(target.key(), caller, target.range);
      return Reply(call, reply, cookie, Stat::kDeniedNoLocks);
    }
    if (reclaim) Self(program).monitor()->Reclaimed(call.peer->address);
  }
  return Reply(call, reply, cookie, StatOf(answer));
}

rpc::Outcome Cancel(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  const ByteSpan cookie = ReadCookie(arguments);
  arguments.Bool();  // whether it waits: it does, or there is nothing to cancel
  const bool exclusive = arguments.Bool();
  const LockArguments lock = LockArguments::Read(arguments);
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  const Target target = FindRange(program, call, lock);
  if (target.entry == nullptr) return Reply(call, reply, cookie, target.status);
  LockTable& locks = *Self(program).locks();
  const bool found = locks.Cancel(target.key(), CallerOf(call, lock), target.range, exclusive);
  return Reply(call, reply, cookie, found ? Stat::kGranted : Stat::kDenied);
}

// Of a file that is gone, too: the client closes it.
rpc::Outcome Unlock(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  const ByteSpan cookie = ReadCookie(arguments);
  const LockArguments lock = LockArguments::Read(arguments);
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  const Target target = FindRange(program, call, lock);
  if (target.entry == nullptr) return Reply(call, reply, cookie, target.status);
  Self(program).locks()->Unlock(target.key(), CallerOf(call, lock), target.range);
  return Reply(call, reply, cookie, Stat::kGranted);
}

rpc::Outcome ReplyToShare(const rpc::Call& call, rpc::ReplyBuffer& reply, ByteSpan cookie, Stat status) {
  (void)Reply(call, reply, cookie, status);
  reply.U32(0);  // the sequence, of which nobody makes use
  return {};
}

// SHARE, or UNSHARE.
template <bool share>
rpc::Outcome Share(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  constexpr std::uint32_t kReadWrite = 3;
  const ByteSpan cookie = ReadCookie(arguments);
  LockArguments lock;
  lock.caller_name = arguments.Text(kMaxName);
  lock.handle = arguments.Opaque(kMaxObject);
  lock.owner = arguments.Opaque(kMaxObject);
  const std::uint32_t deny = arguments.U32(), access = arguments.U32();
  const bool reclaim = arguments.Bool();
  if (!arguments.Finished() || deny > kReadWrite || access > kReadWrite) return rpc::Outcome::Garbage();
  const Target target = Find(program, call, lock.handle);
  if (target.entry == nullptr) return ReplyToShare(call, reply, cookie, target.status);
  LockTable& locks = *Self(program).locks();
  if (!share) {
    locks.Unshare(target.key(), CallerOf(call, lock));
    return ReplyToShare(call, reply, cookie, Stat::kGranted);
  }
  const auto may = MayLock(call, target);
  if (!may) return rpc::Outcome::WouldBlock();
  if (*may != Stat::kGranted) return ReplyToShare(call, reply, cookie, *may);
  const Answer answer = locks.Share(target.key(), CallerOf(call, lock), access, deny, reclaim);
  return ReplyToShare(call, reply, cookie, StatOf(answer));
}

// A client that has started anew, or unmounts, gives up what is its own.
rpc::Outcome FreeAll(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer&) {
  const std::string_view name = arguments.Text(kMaxName);
  arguments.U32();  // its state
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  LockTable* const locks = Self(program).locks();
  if (locks != nullptr && call.peer != nullptr) locks->Release(name, call.peer->address);
  return {};
}

using Handler = rpc::Outcome(rpc::Program&, const rpc::Call&, rpc::XdrReader&, rpc::ReplyBuffer&);

// The MSG form of a procedure: its answer is empty, and its results are a call to the caller's host.
template <Handler* handler, std::uint32_t result>
rpc::Outcome Message(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer&) {
  rpc::ReplyBuffer results(kLargestReply);
  const rpc::Outcome outcome = handler(program, call, arguments, results);
  if (!outcome.would_block && outcome.status == SUCCESS) Self(program).Send(call, result, results);
  return outcome;
}

// This is no client: nobody grants it anything.
rpc::Outcome Granted(rpc::Program&, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  const ByteSpan cookie = ReadCookie(arguments);
  arguments.Bool();
  LockArguments::Read(arguments);
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  return Reply(call, reply, cookie, Stat::kDenied);
}

// A client has heard that it has its lock. From another address it is somebody else's word.
rpc::Outcome GrantedResult(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer&) {
  rpc::XdrReader cookie(ReadCookie(arguments));
  const auto status = static_cast<Stat>(arguments.U32());
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  LockTable* const locks = Self(program).locks();
  const std::uint64_t id = cookie.U64();
  if (locks == nullptr || call.peer == nullptr || !cookie.Finished()) return {};
  const auto grant = locks->Unconfirmed(id);
  if (!grant || grant->address != call.peer->address) return {};
  if (status == Stat::kGranted || status == Stat::kDenied) locks->Confirm(id, status == Stat::kGranted);
  return {};
}

// This machine's rpc.statd tells that a client has started anew.
rpc::Outcome StatusNotify(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer&) {
  const std::string_view name = arguments.Text(kMaxName);
  arguments.U32();  // its state
  boost::asio::ip::address_v6::bytes_type client{};
  const ByteSpan cookie = arguments.Fixed(client.size());
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  std::memcpy(client.data(), cookie.data(), client.size());
  if (call.peer == nullptr || !call.peer->address.is_loopback() || !rpc::FromPrivilegedPort(*call.peer)) return {};
  ClientMonitor* const monitor = Self(program).monitor();
  if (monitor != nullptr) monitor->Restarted(rpc::FromMapped(boost::asio::ip::address_v6(client)), name);
  return {};
}

// The result of a call that was never made.
rpc::Outcome StrayResult(rpc::Program&, const rpc::Call&, rpc::XdrReader&, rpc::ReplyBuffer&) { return {}; }

constexpr std::array<rpc::Procedure, 24> Table() {
  std::array<rpc::Procedure, 24> table{};
  const auto add = [&table](std::uint32_t number, std::string_view name, Handler* handler) {
    table[number].number = number;
    table[number].name = name;
    table[number].handler = handler;
    table[number].largest_reply = kLargestReply;
  };
  add(kNull, "NULL", Null);
  add(kTest, "TEST", Test);
  add(kLock, "LOCK", Lock<LockForm::kCall>);
  add(kCancel, "CANCEL", Cancel);
  add(kUnlock, "UNLOCK", Unlock);
  add(kGranted, "GRANTED", Granted);
  add(kTestMsg, "TEST_MSG", Message<Test, kTestRes>);
  add(kLockMsg, "LOCK_MSG", Message<Lock<LockForm::kMessage>, kLockRes>);
  add(kCancelMsg, "CANCEL_MSG", Message<Cancel, kCancelRes>);
  add(kUnlockMsg, "UNLOCK_MSG", Message<Unlock, kUnlockRes>);
  add(kGrantedMsg, "GRANTED_MSG", Message<Granted, kGrantedRes>);
  add(kTestRes, "TEST_RES", StrayResult);
  add(kLockRes, "LOCK_RES", StrayResult);
  add(kCancelRes, "CANCEL_RES", StrayResult);
  add(kUnlockRes, "UNLOCK_RES", StrayResult);
  add(kGrantedRes, "GRANTED_RES", GrantedResult);
  add(kSmNotify, "SM_NOTIFY", StatusNotify);
  add(kShare, "SHARE", Share<true>);
  add(kUnshare, "UNSHARE", Share<false>);
  add(kNmLock, "NM_LOCK", Lock<LockForm::kUnmonitored>);
  add(kFreeAll, "FREE_ALL", FreeAll);
  return table;
}
constexpr std::array<rpc::Procedure, 24> kTable = Table();

std::span<const rpc::Procedure> Nlm4Program::Procedures(std::uint32_t) const { return kTable; }

}  // namespace
}  // namespace nlm4

std::unique_ptr<rpc::Program> MakeNlm4Program(const Exports& exports, Nlm4Locks locks) {
  return std::make_unique<nlm4::Nlm4Program>(exports, std::move(locks));
}

}  // namespace strata
