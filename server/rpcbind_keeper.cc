#include "server/rpcbind_keeper.h"

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

#include "base/log.h"
#include "server/nsm/protocol.h"

namespace strata {
namespace {

using std::chrono::milliseconds;

// After somebody has mounted.
constexpr std::array<milliseconds, 6> kBurst = {milliseconds(1),   milliseconds(10),   milliseconds(100),
                                                milliseconds(500), milliseconds(2000), milliseconds(1000)};
// A client registers within some milliseconds.
constexpr milliseconds kGone{2000};
constexpr milliseconds kPause{5000};

}  // namespace

RpcbindKeeper::RpcbindKeeper(const PortmapAddress& where, std::vector<Registered> services)
    : where_(where),
      services_(std::move(services)),
      failed_(services_.size()),
      given_up_(services_.size()),
      gone_since_(services_.size()),
      timer_(context_),
      client_(context_) {
  boost::asio::post(context_, [this] { Round(); });
  thread_ = std::jthread([this] {
    const auto work = boost::asio::make_work_guard(context_);
    context_.run();
  });
}

void RpcbindKeeper::Stop() {
  context_.stop();
  thread_ = {};
}

bool RpcbindKeeper::GaveUp(const Registered& service) const {
  const auto found = std::ranges::find(services_, service);
  return found != services_.end() && given_up_[static_cast<std::size_t>(found - services_.begin())];
}

void RpcbindKeeper::Look() {
  if (looks_.exchange(true)) return;
  boost::asio::post(context_, [this] {
    looks_.store(false);
    burst_ = 0;
    timer_.cancel();
    Round();
  });
}

bool RpcbindKeeper::Keeps(std::uint32_t program) const {
  return program_given_up_.load() != program &&
         std::ranges::any_of(services_, [program](const Registered& service) { return service.program == program; });
}

void RpcbindKeeper::GiveUp(std::uint32_t program) {
  program_given_up_.store(program);
  boost::asio::post(context_, [this, program] {
    for (std::size_t at = 0; at < services_.size(); ++at) {
      const Registered& service = services_[at];
      if (service.program != program || given_up_[at]) continue;
      given_up_[at] = true;
      log::Info("portmap_given_up", {{"program", service.program}, {"netid", service.netid}});
      RpcbindUnset(client_, where_, service.program, service.version, service.netid, [](const Result<void>&) {});
    }
  });
}

void RpcbindKeeper::Schedule() {
  under_way_ = false;
  timer_.expires_after(burst_ < kBurst.size() ? kBurst[burst_++] : kPause);
  timer_.async_wait([this](boost::system::error_code stopped) {
    if (!stopped) Round();
  });
}

void RpcbindKeeper::Round() {
  if (std::exchange(under_way_, true)) return;
  RpcbindDump(client_, where_, [this](Result<std::vector<portmap::Registration>> all) {
    if (!all) return Schedule();  // no rpcbind, just now
    found_ = std::move(*all);
    Check(0);
  });
}

void RpcbindKeeper::Check(std::size_t at) {
  for (; at < services_.size(); ++at) {
    if (given_up_[at]) continue;
    const Registered& service = services_[at];
    const auto there = std::ranges::find_if(found_, [&](const portmap::Registration& entry) {
      return entry.program == service.program && entry.version == service.version && entry.netid == service.netid;
    });
    if (there == found_.end()) {
      const auto now = std::chrono::steady_clock::now();
      if (!gone_since_[at]) gone_since_[at] = now;
      if (now - *gone_since_[at] < kGone) continue;
      return Put(at);
    }
    gone_since_[at].reset();
    if (there->uaddr == service.uaddr) continue;
    if (at == 0) break;                    // NFS is another server's, and with it all else
    if (service.program == kNsmProgram) {  // rpc.statd has come
      program_given_up_.store(kNsmProgram);
      given_up_[at] = true;
      continue;
    }
    return RpcbindUnset(client_, where_, service.program, service.version, service.netid,
                        [this, at](const Result<void>&) { Put(at); });
  }
  rounds_.fetch_add(1);
  Schedule();
}

void RpcbindKeeper::Put(std::size_t at) {
  const Registered& service = services_[at];
  RpcbindSet(client_, where_, service.program, service.version, service.netid, service.uaddr,
             [this, at](const Result<void>& set) {
               const Registered& here = services_[at];
               // Once, until it works again: it is tried every time.
               const bool failed_before = failed_[at];
               failed_[at] = !set;
               gone_since_[at].reset();
               if (set) {
                 log::Info("portmap_set_again", {{"program", here.program}, {"netid", here.netid}});
               } else if (!failed_before) {
                 log::Warning("portmap_set_failed",
                              {{"program", here.program},
                               {"netid", here.netid},
                               {"error", set.error()},
                               {"hint", "name the ports in the mount command, as printed above"}});
               }
               Check(at + 1);
             });
}

}  // namespace strata
