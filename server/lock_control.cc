#include "server/lock_control.h"

#include <chrono>
#include <string_view>
#include <utility>

#include "base/log.h"

namespace strata {
namespace {

using control::Connection;
using control::Message;
using control::Type;

// For the server to answer, which may be busy with a takeover or with another that asks.
constexpr std::chrono::seconds kAskLimit{60};

// What a server says to this that knows of takeovers alone.
constexpr std::string_view kOlder = "it does not speak the takeover protocol";

Result<void> SendListing(Connection& connection, const nlm4::LockListing& listing) {
  ListingPlace place;
  while (place.locks < listing.locks.size()) {
    STRATA_TRY(connection.Send(Type::kLockPage, EncodeLockPage(listing, place, control::kMaxMessage)));
  }
  return connection.Send(Type::kLockEnd, EncodeLockEnd(listing.locks.size()));
}

Result<void> Answer(Server& server, control::Request& request) {
  const auto refuse = [&](const Status& why) { return request.connection.SendText(Type::kRefused, why.message()); };
  const Result<LockRequest> asked = DecodeLockRequest(request.first.body);
  if (!asked) return refuse(asked.error());
  if (asked->release) {
    const Result<std::size_t> released = server.ReleaseLocks(asked->which);
    if (!released) return refuse(released.error());
    if (*released > 0) log::Info("locks_released", {{"pid", request.pid}, {"locks", *released}});
    return request.connection.Send(Type::kLockEnd, EncodeLockEnd(*released));
  }
  const Result<nlm4::LockListing> listing = server.Locks(asked->which);
  if (!listing) return refuse(listing.error());
  return SendListing(request.connection, *listing);
}

// Sends the request and takes the answer: pages into `listing`, and the number at its end.
Result<std::uint64_t> Exchange(Connection& connection, const LockRequest& request, nlm4::LockListing& listing) {
  connection.Limit(kAskLimit);
  // Where it was refused before it spoke, the reason is there to be read all the same.
  (void)connection.Send(Type::kLockRequest, EncodeLockRequest(request));
  for (;;) {
    STRATA_ASSIGN(const Message message, connection.Receive());
    switch (message.type) {
      case Type::kLockPage:
        STRATA_TRY(DecodeLockPage(message.body, listing));
        break;
      case Type::kLockEnd:
        return DecodeLockEnd(message.body);
      case Type::kRefused:
        if (message.text() != kOlder) return Fail(Errc::kNotSupported, message.text());
        return Fail(Errc::kNotSupported,
                    "it is of an older version, which cannot be asked; let this one serve: strata serve --takeover");
      default:
        return Fail(Errc::kCorrupt, "it says something that this version does not know");
    }
  }
}

Result<std::uint64_t> Ask(const std::string& folder, const LockRequest& request, nlm4::LockListing& listing) {
  const std::string asking = "asking the server of " + folder + (request.release ? " to free locks" : " for its locks");
  Result<std::optional<Connection>> connection = control::Connect(folder);
  if (!connection) return Fail(connection.error().WithContext(asking));
  if (!*connection) {
    return Fail(Errc::kNotFound, asking + ": no server that can be asked runs there; one runs with strata serve " +
                                     folder + ", and one with --read-only cannot be asked");
  }
  Result<std::uint64_t> answer = Exchange(**connection, request, listing);
  if (answer) return answer;
  if (answer.error().code() == Errc::kIo) {
    return Fail(Errc::kBusy, asking + ": " + std::string(answer.error().message()) +
                                 "; it may be ending or handing over just now: try again");
  }
  return Fail(answer.error().WithContext(asking));
}

}  // namespace

void AnswerLockRequest(Server& server, control::Request request, std::chrono::milliseconds limit) {
  request.connection.Limit(limit);
  if (const auto answered = Answer(server, request); !answered) {
    log::Debug("locks_not_told", {{"pid", request.pid}, {"error", answered.error()}});
  }
}

Result<nlm4::LockListing> AskForLocks(const std::string& folder, const nlm4::LockSelection& which) {
  nlm4::LockListing listing;
  STRATA_ASSIGN(const std::uint64_t count, Ask(folder, {.release = false, .which = which}, listing));
  if (count != listing.locks.size()) {
    return Fail(Errc::kCorrupt, "asking the server of " + folder + " for its locks: a part of its answer is missing");
  }
  return listing;
}

Result<std::uint64_t> AskToReleaseLocks(const std::string& folder, const nlm4::LockSelection& which) {
  nlm4::LockListing none;
  return Ask(folder, {.release = true, .which = which}, none);
}

}  // namespace strata
