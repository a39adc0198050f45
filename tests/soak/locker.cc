#include "tests/soak/locker.h"

#include <poll.h>

#include <utility>

namespace strata::soak {
namespace {

using e2e::WireReply;
using e2e::Xdr;

constexpr std::uint32_t kNfs = 100003, kMount = 100005, kNlm = 100021;
constexpr std::uint32_t kLock = 2, kUnlock = 4;
// Nobody here listens for the news of a restart, which the server finds out within 5 s; then it waits 3 s for claims.
constexpr double kGraceLimit = 20;
const std::string kNames[2] = {"one", "two"};

// nlm4_lock of ten bytes.
Xdr& PutLock(Xdr& out, int who, const std::string& handle) {
  return out.Opaque(kNames[who]).Opaque(handle).Opaque("7@" + kNames[who]).Word(7).Long(0).Long(10);
}

}  // namespace

Locker::Locker(std::uint64_t seed, std::function<std::uint16_t()> port, Findings& findings, Pulse& pulse)
    : port_(std::move(port)), findings_(findings), pulse_(pulse), random_(seed) {}

void Locker::Run(const std::atomic<bool>& over) {
  waits_since_ = Now();  // nobody asked for anything before
  while (!over && !findings_.hopeless()) {
    if (wires_[0] == nullptr && !Connect()) {
      ::poll(nullptr, 0, 5);
      continue;
    }
    Step();
  }
}

bool Locker::Connect() {
  const std::uint16_t port = port_();
  if (port == 0) return false;
  for (auto& wire : wires_) wire = std::make_unique<e2e::Wire>(port);
  const WireReply mounted = wires_[0]->Call(kMount, 3, 1, Xdr().Opaque("/").bytes());
  if (mounted.came && mounted.Word(0) == 0) {
    const std::string root = mounted.body.substr(8, mounted.Word(1));
    // CREATE, UNCHECKED: the file that is there, or a new one.
    const WireReply made = wires_[0]->Call(
        kNfs, 3, 8,
        Xdr().Opaque(root).Opaque("bulk-locked").Word(0).Word(0).Word(0).Word(0).Word(0).Word(0).Word(0).bytes());
    if (made.came && made.Word(0) == 0 && made.Word(1) == 1) {
      handle_ = made.body.substr(12, made.Word(2));
      claimed_ = false;
      waits_since_ = Now();
      return true;
    }
  }
  for (auto& wire : wires_) wire.reset();
  return false;
}

Locker::Answer Locker::Call(int who, std::uint32_t procedure, const std::string& arguments) {
  const WireReply reply = wires_[who]->Call(kNlm, 4, procedure, arguments);
  if (reply.came && reply.body.size() >= 12) return static_cast<Answer>(reply.Word(2));
  for (auto& wire : wires_) wire.reset();
  return Answer::kNone;
}

Locker::Answer Locker::Lock(int who, bool claims) {
  Xdr out;
  out.Opaque("cook").Word(0).Word(1);
  return Call(who, kLock, PutLock(out, who, handle_).Word(claims ? 1 : 0).Word(3).bytes());
}

Locker::Answer Locker::Unlock(int who) {
  Xdr out;
  out.Opaque("cook");
  return Call(who, kUnlock, PutLock(out, who, handle_).bytes());
}

void Locker::Step() {
  const int other = holder_ ? 1 - *holder_ : static_cast<int>(random_() % 2);
  if (holder_ && !claimed_) {
    const Answer answer = Lock(*holder_, true);
    if (answer == Answer::kNone) return;
    if (answer != Answer::kGranted) {
      Wrong("what was held cannot be claimed again: status " + std::to_string(static_cast<unsigned>(answer)));
      holder_.reset();
    }
    ++claims_;
  }
  claimed_ = true;
  const Answer answer = Lock(other, false);
  if (answer == Answer::kNone) return;
  if (answer == Answer::kGranted) {
    ++grants_;
    waits_since_ = Now();
    if (holder_) Wrong(kNames[other] + " gets what " + kNames[1 - other] + " holds");
    holder_ = other;
  } else if (answer == Answer::kDenied) {
    waits_since_ = Now();
    if (!holder_) return Wrong("what nobody holds is denied");
    // Mostly held, so that most deaths find a holder.
    if (random_() % 8 != 0) return;
    const int gives_up = *std::exchange(holder_, std::nullopt);
    // Unanswered it is held or not, and nobody claims it.
    const Answer given_up = Unlock(gives_up);
    if (given_up != Answer::kGranted && given_up != Answer::kNone) Wrong("a lock cannot be given up");
  } else {
    // In the grace period, or on a full disk, which has no room to remember a new client.
    const double waited = pulse_.Ours(waits_since_, Now());
    if (answer == Answer::kGrace && waited > kGraceLimit) {
      Wrong("nothing has been granted for " + std::to_string(waited) + " s");
      waits_since_ = Now();
    }
    ::poll(nullptr, 0, 20);
  }
}

void Locker::Wrong(const std::string& text) { findings_.Note(Invariant::kLocksHold, 1, text); }

}  // namespace strata::soak
