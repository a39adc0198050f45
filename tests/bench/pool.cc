#include "tests/bench/pool.h"

#include <poll.h>

#include <algorithm>

#include "tests/bench/support.h"

namespace nfsbench {
namespace {
constexpr std::uint64_t kReplyLimitNs = 60'000'000'000;
}  // namespace

Pool::Pool(const TargetSpec& target, const Options& options, int connections) {
  for (int i = 0; i < connections; ++i) {
    clients_.push_back(options.client == "libnfs" ? MakeLibnfsClient(target.host, target.nfs_port)
                                                  : MakeLeanClient(target.host, target.nfs_port));
  }
  Run(
      [](std::uint32_t, const Reply* previous, Call& call) {
        call.procedure = Procedure::kNull;
        return previous == nullptr;
      },
      static_cast<std::uint32_t>(connections));
}

void Pool::Run(const NextCall& next, std::uint32_t depth, std::vector<std::uint32_t>* latencies) {
  std::uint32_t active = 0;
  std::vector<std::uint64_t> began(latencies != nullptr ? depth : 0);
  Call call;
  const auto issue = [&](std::uint32_t slot, const Reply* previous) {
    call.stable = kUnstable;
    call.offset = 0;
    if (!next(slot, previous, call)) return false;
    if (latencies != nullptr) began[slot] = NowNs();
    clients_[slot % clients_.size()]->Send(call, slot);
    return true;
  };
  for (auto& client : clients_) {
    client->on_reply = [&](std::uint32_t slot, const Reply& reply) {
      if (latencies != nullptr)
        latencies->push_back(static_cast<std::uint32_t>(std::min<std::uint64_t>(NowNs() - began[slot], ~0u)));
      if (!issue(slot, &reply)) --active;
    };
  }
  for (std::uint32_t slot = 0; slot < depth; ++slot) {
    if (issue(slot, nullptr)) ++active;
  }
  std::vector<pollfd> poll_fds(clients_.size());
  std::uint64_t last_event = NowNs();
  while (active > 0) {
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      clients_[i]->Flush();
      poll_fds[i] = {clients_[i]->fd(), clients_[i]->events(), 0};
    }
    const int ready = poll(poll_fds.data(), poll_fds.size(), 5000);
    if (ready > 0) last_event = NowNs();
    if (ready == 0 && NowNs() - last_event > kReplyLimitNs) Die("no reply for 60 s");
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      if (poll_fds[i].revents != 0 && !clients_[i]->Service(poll_fds[i].revents)) Die("the connection was lost");
    }
  }
  for (auto& client : clients_) client->on_reply = nullptr;
}

Reply Pool::One(const Call& wanted) {
  Reply result;
  Run(
      [&](std::uint32_t, const Reply* previous, Call& call) {
        if (previous != nullptr) {
          result = *previous;
          return false;
        }
        call = wanted;
        return true;
      },
      1);
  return result;
}

std::uint64_t Pool::Batch(std::uint32_t depth, std::uint64_t count, const MakeCall& make,
                          std::vector<Handle>* handles) {
  std::uint64_t issued = 0;
  std::uint64_t errors = 0;
  std::vector<std::uint64_t> number_of_slot(depth);
  if (handles != nullptr) handles->resize(count);
  Run(
      [&](std::uint32_t slot, const Reply* previous, Call& call) {
        if (previous != nullptr && !previous->ok()) ++errors;
        if (previous != nullptr && previous->ok() && handles != nullptr)
          (*handles)[number_of_slot[slot]] = previous->handle;
        if (issued == count) return false;
        number_of_slot[slot] = issued;
        make(issued++, call);
        return true;
      },
      depth);
  return errors;
}

}  // namespace nfsbench
