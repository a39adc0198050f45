// What `strata serve` was asked for, and what that means.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/serving.h"

namespace strata::cli {

// As it stands on the command line.
struct ServeArguments {
  std::string target;
  std::string workspace;
  std::vector<std::string> listen;
  std::vector<std::string> allow;
  bool insecure_ports = false;
  bool no_root_squash = false;
  bool read_only = false;
  bool takeover = false;
  bool rebase = false;
  bool list_roots = false;
  bool no_control_tree = false;
  bool no_show_xattr = false;
  bool share_inodes = false;
  std::string durability = "strict";
  std::string portmap = "auto";
  std::string locks = "on";
  std::string state;
  std::string memory = "256M";
  std::string history = "none";
  std::string relaxed_interval = "1s";
};

// All that the options say by themselves: addresses, ranges, sizes, times. kInvalid with the option, and what to give.
Result<Serving> ParseServing(const ServeArguments& arguments);

// Bytes: "512K", "20M", "1G"; nothing for anything else, and for 0.
std::optional<std::uint64_t> ParseSize(const std::string& text);

// Who is let in, once it is known where is listened: that somebody is named where others reach, who is root, and
// whether port 111 tells of it. Listens at the default places where none is named.
Result<void> DecideAccess(const ServeArguments& arguments, Serving& serving);

// "127.0.0.1:2049", "[::1]:2049".
std::string Shown(const Endpoint& endpoint);
// The same without the port.
std::string ShownHost(const Endpoint& endpoint);

}  // namespace strata::cli
