#include "journal/wasix/entries.h"

#include <algorithm>
#include <array>

namespace strata::journal::wasix {
namespace {

// In the order of Entry.
constexpr std::array<std::string_view, std::variant_size_v<Entry>> kEntryNames{"init_module_v1",
                                                                               "process_exit_v1",
                                                                               "set_thread_v1",
                                                                               "close_thread_v1",
                                                                               "file_descriptor_seek_v1",
                                                                               "file_descriptor_write_v1",
                                                                               "update_memory_region_v1",
                                                                               "set_clock_time_v1",
                                                                               "open_file_descriptor_v1",
                                                                               "close_file_descriptor_v1",
                                                                               "renumber_file_descriptor_v1",
                                                                               "duplicate_file_descriptor_v1",
                                                                               "create_directory_v1",
                                                                               "remove_directory_v1",
                                                                               "path_set_times_v1",
                                                                               "file_descriptor_set_times_v1",
                                                                               "file_descriptor_set_size_v1",
                                                                               "file_descriptor_set_flags_v1",
                                                                               "file_descriptor_set_rights_v1",
                                                                               "file_descriptor_advise_v1",
                                                                               "file_descriptor_allocate_v1",
                                                                               "create_hard_link_v1",
                                                                               "create_symbolic_link_v1",
                                                                               "unlink_file_v1",
                                                                               "path_rename_v1",
                                                                               "change_directory_v1",
                                                                               "epoll_create_v1",
                                                                               "epoll_ctl_v1",
                                                                               "tty_set_v1",
                                                                               "create_pipe_v1",
                                                                               "create_event_v1",
                                                                               "port_add_addr_v1",
                                                                               "port_del_addr_v1",
                                                                               "port_addr_clear_v1",
                                                                               "port_bridge_v1",
                                                                               "port_unbridge_v1",
                                                                               "port_dhcp_acquire_v1",
                                                                               "port_gateway_set_v1",
                                                                               "port_route_add_v1",
                                                                               "port_route_clear_v1",
                                                                               "port_route_del_v1",
                                                                               "socket_open_v1",
                                                                               "socket_listen_v1",
                                                                               "socket_bind_v1",
                                                                               "socket_connected_v1",
                                                                               "socket_accepted_v1",
                                                                               "socket_join_ipv4_multicast_v1",
                                                                               "socket_join_ipv6_multicast_v1",
                                                                               "socket_leave_ipv4_multicast_v1",
                                                                               "socket_leave_ipv6_multicast_v1",
                                                                               "socket_send_file_v1",
                                                                               "socket_send_to_v1",
                                                                               "socket_send_v1",
                                                                               "socket_set_opt_flag_v1",
                                                                               "socket_set_opt_size_v1",
                                                                               "socket_set_opt_time_v1",
                                                                               "socket_shutdown_v1",
                                                                               "snapshot_v1",
                                                                               "clear_ethereal_v1",
                                                                               "open_file_descriptor_v2",
                                                                               "duplicate_file_descriptor_v2",
                                                                               "file_descriptor_set_fd_flags_v1",
                                                                               "socket_pair_v1"};

}  // namespace

std::string_view EntryName(EntryType type) {
  return IsKnown(type) ? kEntryNames[IndexOf(type)] : std::string_view("unknown");
}

bool FindEntryType(std::string_view name, EntryType& type) {
  const auto* const found = std::ranges::find(kEntryNames, name);
  if (found == kEntryNames.end()) return false;
  type = TypeAt(static_cast<std::size_t>(found - kEntryNames.begin()));
  return true;
}

}  // namespace strata::journal::wasix
