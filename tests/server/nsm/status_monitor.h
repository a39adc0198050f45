// The status monitor of a client, as a server of the test plays it.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "server/nsm/protocol.h"
#include "server/rpc/program.h"

namespace strata::nsm::testing {

inline constexpr std::chrono::seconds kPatience{20};

// It keeps what it is told.
class StatusMonitor final : public rpc::Program {
 public:
  struct Notice {
    std::string name;
    std::uint32_t state = 0;
    rpc::Peer from;
  };

  StatusMonitor() {
    table_[kNotify].number = kNotify;
    table_[kNotify].name = "NOTIFY";
    table_[kNotify].handler = [](rpc::Program& program, const rpc::Call& call, rpc::XdrReader& in, rpc::ReplyBuffer&) {
      static_cast<StatusMonitor&>(program).Keep({std::string(in.Text(kMaxName)), in.U32(), *call.peer});
      return in.Finished() ? rpc::Outcome{} : rpc::Outcome::Garbage();
    };
  }
  std::uint32_t number() const override { return kNsmProgram; }
  std::string_view name() const override { return "nsm"; }
  std::uint32_t low_version() const override { return 1; }
  std::uint32_t high_version() const override { return 1; }
  std::span<const rpc::Procedure> Procedures(std::uint32_t) const override { return table_; }

  // Waits for the notice of that number, counted from 1. An empty one where it does not come.
  Notice Await(std::size_t count) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kPatience, [&] { return notices_.size() >= count; })) return {};
    return notices_[count - 1];
  }
  std::size_t count() {
    const std::lock_guard lock(mutex_);
    return notices_.size();
  }

 private:
  void Keep(Notice notice) {
    const std::lock_guard lock(mutex_);
    notices_.push_back(std::move(notice));
    changed_.notify_all();
  }

  std::array<rpc::Procedure, kNotify + 1> table_{};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Notice> notices_;
};

}  // namespace strata::nsm::testing
