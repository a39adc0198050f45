// A machine whose power can be cut: `strata serve` in a user-mode Linux guest (tests/kernel/guest.sh), its layer and
// workspace on an ext4 file system on the guest's own disk. The disk is a file of the host that the guest writes with
// write(2): what the guest's block layer has written is there after SIGKILL, what lay in its page cache is gone.
#pragma once

#include <memory>
#include <string>

#include "tests/e2e/process.h"

namespace strata::crash {

struct GuestOptions {
  std::string durability = "strict";
  bool syncs = true;          // false: the server's fsync and fdatasync do nothing
  bool kills = false;         // the server is killed with SIGKILL and started again, about once a second
  bool writes_early = false;  // the guest writes its dirty pages out all the time, in any order
};

class Guest {
 public:
  static constexpr std::uint16_t kPort = 2049;

  // `folder` is for the disk and small files; `layer` is copied onto the disk.
  Guest(std::string folder, const std::string& layer);
  // Boots and starts the server; false if that does not listen in time.
  bool Boot(const GuestOptions& options);
  // Boots, and SIGKILL after so many seconds, whatever it is doing then: booting, mounting, recovering, serving.
  void BootAndCut(const GuestOptions& options, double seconds);
  // SIGKILL to the guest; returns when it is gone.
  void Cut();
  // The guest's address in this network namespace.
  const std::string& address() const { return address_; }
  // After Cut, or a Boot that failed: what guest and server said.
  const std::string& said() const { return said_; }
  bool has_disk() const { return has_disk_; }

 private:
  void Spawn(const GuestOptions& options);

  const std::string folder_, address_ = "10.77.1.2";
  bool has_disk_ = false;
  std::unique_ptr<e2e::Process> process_;
  std::string said_;
};

}  // namespace strata::crash
