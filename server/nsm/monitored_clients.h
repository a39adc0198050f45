// MonitoredClients: which machines have locks here, kept in a file. When the server starts anew it tells them, and they
// claim their locks again. The locks themselves are not kept: the clients know them.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <boost/asio/ip/address.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/mutex.h"
#include "base/status.h"
#include "server/rpc/addresses.h"

namespace strata::nsm {

struct MonitoredClient {
  boost::asio::ip::address client;
  boost::asio::ip::address server;  // the address of this machine that it calls; unspecified where that is not known
  friend bool operator==(const MonitoredClient&, const MonitoredClient&) = default;
};

// What the file holds (docs/formats/lock-clients.md).
struct KeptClients {
  std::uint32_t state = 0;  // of this server: odd, another one at each start
  std::vector<MonitoredClient> clients;
};
std::string FormatClients(const KeptClients& kept);
// kCorrupt for what is no such file.
Result<KeptClients> ParseClients(std::string_view text);

// Thread-safe.
class MonitoredClients {
 public:
  static constexpr std::size_t kMost = 16384;

  // `path` empty: in memory alone. `goes_on`: where another process handed everything over the state stays as it is.
  // What cannot be read is kept beside, as PATH.damaged, and said in the log.
  MonitoredClients(Env& env, std::string path, bool goes_on);

  std::uint32_t state() const { return state_; }
  // Whether it is monitored, and on disk as such.
  bool Has(const boost::asio::ip::address& client) const;
  // Returns once it is on disk. kNoSpace beyond kMost.
  Result<void> Add(const MonitoredClient& client);
  // Forgets all but those in use; on disk too, but nobody waits for that. `in_use` is asked once more after clients are
  // no longer had: what whoever saw them missing may have done meanwhile shows in it.
  using InUse = absl::flat_hash_set<boost::asio::ip::address, rpc::AddressHash>;
  void DropUnless(const std::function<InUse()>& in_use);
  std::vector<MonitoredClient> All() const;

 private:
  struct Kept {
    boost::asio::ip::address server;
    bool on_disk = false;
  };

  void Load(bool goes_on);
  // Writes what there is now, and marks it as on disk.
  Result<void> Write() STRATA_REQUIRES(file_mutex_) STRATA_EXCLUDES(mutex_);

  Env& env_;
  const std::string path_;
  std::uint32_t state_ = 0;
  Mutex file_mutex_;  // before mutex_
  mutable Mutex mutex_;
  absl::flat_hash_map<boost::asio::ip::address, Kept, rpc::AddressHash> clients_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace strata::nsm
