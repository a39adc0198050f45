// Exports: which volume is served under which path, to whom, and as whom its callers act. Shared by NFS and MOUNT.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "server/rpc/program.h"
#include "vfs/file_system.h"

namespace strata {

// A range of addresses, such as 10.0.0.0/8 or ::1/128.
class Cidr {
 public:
  // "ADDR" or "ADDR/LENGTH"; kInvalid with what is wrong.
  static Result<Cidr> Parse(std::string_view text);
  bool Contains(const boost::asio::ip::address& other) const;
  // "ADDR/LENGTH".
  std::string ToString() const;

 private:
  boost::asio::ip::network_v6 network_;  // of IPv4 ranges the mapped form
};

enum class Squash : std::uint8_t { kNone, kRoot, kAll };

struct ExportOptions {
  std::string path = "/";       // what clients mount
  std::vector<Cidr> allow{};    // besides loopback, which is always allowed
  bool insecure_ports = false;  // admit source ports of 1024 and above (spec nfsv3 2.4)
  Squash squash = Squash::kNone;
  std::uint32_t anonymous_uid = 65534;
  std::uint32_t anonymous_gid = 65534;
};

struct Export {
  ExportOptions options;
  std::shared_ptr<vfs::FileSystem> volume;

  // Whether the peer's address is one of those allowed, whatever its port.
  bool AdmitsAddress(const rpc::Peer& peer) const;
  // Whether calls from this peer are answered: address and source port.
  bool Admits(const rpc::Peer& peer) const;
  // The credentials that the call acts with.
  vfs::Credentials Squashed(const rpc::Call& call) const;
};

// Filled before the server starts; constant from then on.
class Exports {
 public:
  Result<void> Add(Export entry);
  const std::vector<Export>& all() const { return exports_; }
  // Whether any of them allows the peer's address, whatever its port.
  bool AdmitsAddress(const rpc::Peer& peer) const;
  // The export whose volume has this id; null if none.
  const Export* FindVolume(std::uint64_t volume_id) const;
  // The export that `path` lies in (the longest that fits) and the rest of the path, without slashes at its ends; null
  // if none.
  const Export* FindPath(std::string_view path, std::string_view* rest) const;

 private:
  std::vector<Export> exports_;
};

}  // namespace strata
