// Takeover: a new server process takes the sockets of the running one over, for upgrades. No connection is refused or
// reset.
//
// The new process asks the running one through the control socket (server/control.h).
//
//     new                                old
//     kHello {versions}            ->    serves on
//                                        answers what is under way, closes the workspace
//                                  <-    kDescriptors (SCM_RIGHTS, a batch a message), kState ..., kEnd
//     opens the workspace                waits
//     kServing                     ->    closes its copies of the sockets, and ends
//     serves
//
// Until kServing both hold the sockets and neither reads nor writes one. So until then the old process can serve on as
// if nothing had been. It does when the new one says kFailed, or is gone. From kServing on only the new one may touch
// them. It is said before the first byte is read.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "base/status.h"
#include "server/control.h"
#include "server/handover.h"

namespace strata {

// Of the exchange. A newer one must go on to speak at least one version that the one before it speaks.
inline constexpr std::uint32_t kTakeoverVersion = kHandoverSections, kOldestTakeoverVersion = 1;

// The running process's end of one exchange. Not thread-safe. Destroyed before it was taken: the other hears that it
// failed.
class TakeoverRequest {
 public:
  // What the request asks, if it is to take this process over; else the other is told that it is not understood.
  static std::optional<TakeoverRequest> From(control::Request request);
  TakeoverRequest(TakeoverRequest&&) = default;
  TakeoverRequest& operator=(TakeoverRequest&&) = default;

  // Who asks.
  pid_t pid() const { return pid_; }
  // Whether it has gone away meanwhile: nothing need be given up for it.
  bool Gone() const;
  // Says that it will not be, and why; serving goes on.
  void Refuse(const Status& why);
  // Sends everything, and waits until the other serves: then this process must end without touching a socket again.
  // Fails, with what the other said, where it does not come to that: the sockets are this process's again. The wait for
  // the other ends also, with kBusy, when `give_up` can be read; then nobody knows whether it serves.
  Result<void> HandOver(const Handover& handover, int give_up);

 private:
  TakeoverRequest(control::Connection connection, pid_t pid) : connection_(std::move(connection)), pid_(pid) {}

  control::Connection connection_;
  pid_t pid_;
  std::uint32_t version_ = kTakeoverVersion;  // that both speak
};

// The new process's end. Not thread-safe. Destroyed before Serving: the old process serves on.
class Takeover {
 public:
  // Asks the server of the workspace in `folder`, and waits until it has given everything up. From then on the
  // workspace can be opened. kNotFound where none runs.
  static Result<Takeover> Ask(const std::string& folder);
  Takeover(Takeover&&) = default;
  Takeover& operator=(Takeover&&) = default;

  // What was handed over; may be moved from.
  Handover& handover() { return handover_; }
  // The old process may end: to be said when nothing can fail any more, before the first byte is read or written.
  void Serving();
  // It will not be, and why. The workspace must be closed again.
  void Failed(const Status& why);

 private:
  explicit Takeover(control::Connection connection) : connection_(std::move(connection)) {}

  control::Connection connection_;
  Handover handover_;
};

}  // namespace strata
