// ClientMonitor: what NLM asks of whoever keeps the machines of its clients in mind (server/nsm).
#pragma once

#include <boost/asio/ip/address.hpp>
#include <string_view>

#include "base/status.h"
#include "server/rpc/program.h"

namespace strata::nlm4 {

// Thread-safe.
class ClientMonitor {
 public:
  virtual ~ClientMonitor() = default;
  // Whether the machine is known, so that it hears of it when this server starts anew; without waiting.
  virtual bool Has(const rpc::Peer& client) const = 0;
  // Returns once it is known, on disk.
  virtual Result<void> Add(const rpc::Peer& client) = 0;
  // It has claimed a lock again that it held before the server ended.
  virtual void Reclaimed(const boost::asio::ip::address& client) = 0;
  // The machine has started anew: its locks are nobody's. `name`: what it calls itself.
  virtual void Restarted(const boost::asio::ip::address& client, std::string_view name) = 0;
};

}  // namespace strata::nlm4
