// Locks by hand: another process of the machine asks a server for its locks, or to free some, over its control socket.
//
//     asks                              the server
//     kLockRequest {which}        ->
//                                 <-    kLockPage ..., kLockEnd {how many}     or kRefused {why}
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/status.h"
#include "server/control.h"
#include "server/lock_messages.h"
#include "server/nlm4/lock_listing.h"
#include "server/server.h"

namespace strata {

// Answers one that asked for locks: first.type is kLockRequest. Waits for the other to take the answer for no longer
// than `limit` in all.
void AnswerLockRequest(Server& server, control::Request request,
                       std::chrono::milliseconds limit = std::chrono::seconds(5));

// What the server of the workspace in `folder` says. kNotFound where none can be asked, kNotSupported with its reason
// where it refuses.
Result<nlm4::LockListing> AskForLocks(const std::string& folder, const nlm4::LockSelection& which);
// How many locks were freed.
Result<std::uint64_t> AskToReleaseLocks(const std::string& folder, const nlm4::LockSelection& which);

}  // namespace strata
