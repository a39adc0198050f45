// Several connections to one server, and the closed loop that keeps a number of calls in flight over them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "tests/bench/client.h"
#include "tests/bench/options.h"

namespace nfsbench {

class Pool {
 public:
  // Makes the next call of a slot; `previous` is the reply to the slot's last one, null for its first. False: the slot
  // is done.
  using NextCall = std::function<bool(std::uint32_t slot, const Reply* previous, Call& call)>;

  // Connected, with one NULL made on each connection.
  Pool(const TargetSpec& target, const Options& options, int connections);

  // Keeps `depth` slots busy, spread over the connections, until all are done. Each call's latency in ns goes to
  // `latencies` if given.
  void Run(const NextCall& next, std::uint32_t depth, std::vector<std::uint32_t>* latencies = nullptr);

  // One call.
  Reply One(const Call& call);

  // `count` calls, made by `make`; returns how many failed. The handles of the replies go to `handles`, by number, if
  // given.
  using MakeCall = std::function<void(std::uint64_t number, Call& call)>;
  std::uint64_t Batch(std::uint32_t depth, std::uint64_t count, const MakeCall& make,
                      std::vector<Handle>* handles = nullptr);

 private:
  std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace nfsbench
