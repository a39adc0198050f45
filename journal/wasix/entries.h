// The records of a WASIX journal, as a program sees them. The format is Wasmer's: docs/formats/wasix.md.
//
// A record's members stand in the order of Wasmer's JSON; where they lie in a file, layouts.h says. A ByteSpan or a
// string_view refers to bytes that another owns: the payload of the record, or the arena of ReadJson. Paths are bytes
// without a NUL at the end, and need not be UTF-8. A member that ends in fd is a WASI file descriptor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

#include "base/bytes.h"
#include "journal/wasix/values.h"

namespace strata::journal::wasix {

// The number of a record in its header. 8 is not used.
enum class EntryType : std::uint16_t {
  kInitModuleV1 = 1,
  kProcessExitV1 = 2,
  kSetThreadV1 = 3,
  kCloseThreadV1 = 4,
  kFileDescriptorSeekV1 = 5,
  kFileDescriptorWriteV1 = 6,
  kUpdateMemoryRegionV1 = 7,
  kSetClockTimeV1 = 9,
  kOpenFileDescriptorV1 = 10,
  kCloseFileDescriptorV1 = 11,
  kRenumberFileDescriptorV1 = 12,
  kDuplicateFileDescriptorV1 = 13,
  kCreateDirectoryV1 = 14,
  kRemoveDirectoryV1 = 15,
  kPathSetTimesV1 = 16,
  kFileDescriptorSetTimesV1 = 17,
  kFileDescriptorSetSizeV1 = 18,
  kFileDescriptorSetFlagsV1 = 19,
  kFileDescriptorSetRightsV1 = 20,
  kFileDescriptorAdviseV1 = 21,
  kFileDescriptorAllocateV1 = 22,
  kCreateHardLinkV1 = 23,
  kCreateSymbolicLinkV1 = 24,
  kUnlinkFileV1 = 25,
  kPathRenameV1 = 26,
  kChangeDirectoryV1 = 27,
  kEpollCreateV1 = 28,
  kEpollCtlV1 = 29,
  kTtySetV1 = 30,
  kCreatePipeV1 = 31,
  kCreateEventV1 = 32,
  kPortAddAddrV1 = 33,
  kPortDelAddrV1 = 34,
  kPortAddrClearV1 = 35,
  kPortBridgeV1 = 36,
  kPortUnbridgeV1 = 37,
  kPortDhcpAcquireV1 = 38,
  kPortGatewaySetV1 = 39,
  kPortRouteAddV1 = 40,
  kPortRouteClearV1 = 41,
  kPortRouteDelV1 = 42,
  kSocketOpenV1 = 43,
  kSocketListenV1 = 44,
  kSocketBindV1 = 45,
  kSocketConnectedV1 = 46,
  kSocketAcceptedV1 = 47,
  kSocketJoinIpv4MulticastV1 = 48,
  kSocketJoinIpv6MulticastV1 = 49,
  kSocketLeaveIpv4MulticastV1 = 50,
  kSocketLeaveIpv6MulticastV1 = 51,
  kSocketSendFileV1 = 52,
  kSocketSendToV1 = 53,
  kSocketSendV1 = 54,
  kSocketSetOptFlagV1 = 55,
  kSocketSetOptSizeV1 = 56,
  kSocketSetOptTimeV1 = 57,
  kSocketShutdownV1 = 58,
  kSnapshotV1 = 59,
  kClearEtherealV1 = 60,
  kOpenFileDescriptorV2 = 61,
  kDuplicateFileDescriptorV2 = 62,
  kFileDescriptorSetFdFlagsV1 = 63,
  kSocketPairV1 = 64,
};

// File system.

struct FileDescriptorSeekV1 {
  std::uint32_t fd = 0;
  std::int64_t offset = 0;
  Whence whence = Whence::kSet;
};

// `data` lies where the record has it, so that a reader can refer to the file instead of copying.
struct FileDescriptorWriteV1 {
  std::uint32_t fd = 0;
  std::uint64_t offset = 0;
  ByteSpan data = {};
  bool is_64bit = false;
};

struct OpenFileDescriptorV1 {
  std::uint32_t fd = 0;
  std::uint32_t dirfd = 0;
  std::uint32_t dirflags = 0;
  std::string_view path = {};
  OFlags o_flags = {};
  Rights fs_rights_base = {};
  Rights fs_rights_inheriting = {};
  FdFlags fs_flags = {};
};

struct CloseFileDescriptorV1 {
  std::uint32_t fd = 0;
};

struct RenumberFileDescriptorV1 {
  std::uint32_t old_fd = 0;
  std::uint32_t new_fd = 0;
};

struct DuplicateFileDescriptorV1 {
  std::uint32_t original_fd = 0;
  std::uint32_t copied_fd = 0;
};

struct CreateDirectoryV1 {
  std::uint32_t fd = 0;
  std::string_view path = {};
};

struct RemoveDirectoryV1 {
  std::uint32_t fd = 0;
  std::string_view path = {};
};

// The times of this record and the next are nanoseconds since 1970.
struct PathSetTimesV1 {
  std::uint32_t fd = 0;
  std::uint32_t flags = 0;
  std::string_view path = {};
  std::uint64_t st_atim = 0;
  std::uint64_t st_mtim = 0;
  FstFlags fst_flags = {};
};

struct FileDescriptorSetTimesV1 {
  std::uint32_t fd = 0;
  std::uint64_t st_atim = 0;
  std::uint64_t st_mtim = 0;
  FstFlags fst_flags = {};
};

struct FileDescriptorSetSizeV1 {
  std::uint32_t fd = 0;
  std::uint64_t st_size = 0;
};

struct FileDescriptorSetFlagsV1 {
  std::uint32_t fd = 0;
  FdFlags flags = {};
};

struct FileDescriptorSetRightsV1 {
  std::uint32_t fd = 0;
  Rights fs_rights_base = {};
  Rights fs_rights_inheriting = {};
};

struct FileDescriptorAdviseV1 {
  std::uint32_t fd = 0;
  std::uint64_t offset = 0;
  std::uint64_t len = 0;
  Advice advice = Advice::kNormal;
};

struct FileDescriptorAllocateV1 {
  std::uint32_t fd = 0;
  std::uint64_t offset = 0;
  std::uint64_t len = 0;
};

struct CreateHardLinkV1 {
  std::uint32_t old_fd = 0;
  std::string_view old_path = {};
  std::uint32_t old_flags = 0;
  std::uint32_t new_fd = 0;
  std::string_view new_path = {};
};

// `old_path` is the text of the link, `new_path` is where the link lies.
struct CreateSymbolicLinkV1 {
  std::string_view old_path = {};
  std::uint32_t fd = 0;
  std::string_view new_path = {};
};

struct UnlinkFileV1 {
  std::uint32_t fd = 0;
  std::string_view path = {};
};

struct PathRenameV1 {
  std::uint32_t old_fd = 0;
  std::string_view old_path = {};
  std::uint32_t new_fd = 0;
  std::string_view new_path = {};
};

struct ChangeDirectoryV1 {
  std::string_view path = {};
};

// The records from here to CreateEventV1 open file descriptors that are no files.
struct EpollCreateV1 {
  std::uint32_t fd = 0;
};

struct EpollCtlV1 {
  std::uint32_t epfd = 0;
  EpollOp op = EpollOp::kAdd;
  std::uint32_t fd = 0;
  std::optional<EpollEvent> event = {};
};

struct CreatePipeV1 {
  std::uint32_t read_fd = 0;
  std::uint32_t write_fd = 0;
};

struct CreateEventV1 {
  std::uint64_t initial_val = 0;
  std::uint16_t flags = 0;
  std::uint32_t fd = 0;
};

// Current releases write this record instead of OpenFileDescriptorV1.
struct OpenFileDescriptorV2 {
  std::uint32_t fd = 0;
  std::uint32_t dirfd = 0;
  std::uint32_t dirflags = 0;
  std::string_view path = {};
  OFlags o_flags = {};
  Rights fs_rights_base = {};
  Rights fs_rights_inheriting = {};
  FdFlags fs_flags = {};
  FdFlagsExt fd_flags = {};
};

struct DuplicateFileDescriptorV2 {
  std::uint32_t original_fd = 0;
  std::uint32_t copied_fd = 0;
  bool cloexec = false;
};

struct FileDescriptorSetFdFlagsV1 {
  std::uint32_t fd = 0;
  FdFlagsExt flags = {};
};

// Process.

struct InitModuleV1 {
  ModuleHash wasm_hash = {};
};

struct ProcessExitV1 {
  std::optional<ExitCode> exit_code = {};
};

// The oldest releases wrote another layout, which is not known and does not decode.
struct SetThreadV1 {
  std::uint32_t id = 0;
  ByteSpan call_stack = {};
  ByteSpan memory_stack = {};
  ByteSpan store_data = {};
  ThreadStart start = {};
  MemoryLayout layout = {};
  bool is_64bit = false;
};

struct CloseThreadV1 {
  std::uint32_t id = 0;
  std::optional<ExitCode> exit_code = {};
};

// `compressed_data` is the size of the region (4 bytes, little-endian) and one LZ4 block.
struct UpdateMemoryRegionV1 {
  MemoryRegion region = {};
  ByteSpan compressed_data = {};
};

struct SetClockTimeV1 {
  ClockId clock_id = ClockId::kRealtime;
  std::uint64_t time = 0;
};

struct TtySetV1 {
  Tty tty = {};
  bool line_feeds = false;
};

struct SnapshotV1 {
  SystemTime when = {};
  SnapshotTrigger trigger = SnapshotTrigger::kIdle;
};

struct ClearEtherealV1 {};

// Network.

struct PortAddAddrV1 {
  IpCidr cidr = {};
};

struct PortDelAddrV1 {
  IpAddress addr = {};
};

struct PortAddrClearV1 {};
struct PortBridgeV1 {
  std::string_view network = {};
  std::string_view token = {};
  StreamSecurity security = StreamSecurity::kUnencrypted;
};

struct PortUnbridgeV1 {};
struct PortDhcpAcquireV1 {};
struct PortGatewaySetV1 {
  IpAddress ip = {};
};

struct PortRouteAddV1 {
  IpCidr cidr = {};
  IpAddress via_router = {};
  std::optional<Duration> preferred_until = {};
  std::optional<Duration> expires_at = {};
};

struct PortRouteClearV1 {};
struct PortRouteDelV1 {
  IpAddress ip = {};
};

struct SocketOpenV1 {
  AddressFamily af = AddressFamily::kUnspec;
  SocketType ty = SocketType::kUnknown;
  SocketProtocol pt = SocketProtocol::kIp;
  std::uint32_t fd = 0;
};

struct SocketListenV1 {
  std::uint32_t fd = 0;
  std::uint32_t backlog = 0;
};

struct SocketBindV1 {
  std::uint32_t fd = 0;
  SocketAddress addr = {};
};

struct SocketConnectedV1 {
  std::uint32_t fd = 0;
  SocketAddress local_addr = {};
  SocketAddress peer_addr = {};
};

struct SocketAcceptedV1 {
  std::uint32_t listen_fd = 0;
  std::uint32_t fd = 0;
  SocketAddress local_addr = {};
  SocketAddress peer_addr = {};
  FdFlags fd_flags = {};
  bool non_blocking = false;
};

struct SocketJoinIpv4MulticastV1 {
  std::uint32_t fd = 0;
  Ipv4Address multiaddr = {};
  Ipv4Address iface = {};
};

struct SocketJoinIpv6MulticastV1 {
  std::uint32_t fd = 0;
  Ipv6Address multi_addr = {};
  std::uint32_t iface = 0;
};

struct SocketLeaveIpv4MulticastV1 {
  std::uint32_t fd = 0;
  Ipv4Address multi_addr = {};
  Ipv4Address iface = {};
};

struct SocketLeaveIpv6MulticastV1 {
  std::uint32_t fd = 0;
  Ipv6Address multi_addr = {};
  std::uint32_t iface = 0;
};

struct SocketSendFileV1 {
  std::uint32_t socket_fd = 0;
  std::uint32_t file_fd = 0;
  std::uint64_t offset = 0;
  std::uint64_t count = 0;
};

struct SocketSendToV1 {
  std::uint32_t fd = 0;
  ByteSpan data = {};
  std::uint16_t flags = 0;
  SocketAddress addr = {};
  bool is_64bit = false;
};

struct SocketSendV1 {
  std::uint32_t fd = 0;
  ByteSpan data = {};
  std::uint16_t flags = 0;
  bool is_64bit = false;
};

struct SocketSetOptFlagV1 {
  std::uint32_t fd = 0;
  SocketOption opt = SocketOption::kNoop;
  bool flag = false;
};

struct SocketSetOptSizeV1 {
  std::uint32_t fd = 0;
  SocketOption opt = SocketOption::kNoop;
  std::uint64_t size = 0;
};

struct SocketSetOptTimeV1 {
  std::uint32_t fd = 0;
  SocketTimeout ty = SocketTimeout::kRead;
  std::optional<Duration> time = {};
};

struct SocketShutdownV1 {
  std::uint32_t fd = 0;
  SocketShutdown how = SocketShutdown::kRead;
};

struct SocketPairV1 {
  std::uint32_t fd1 = 0;
  std::uint32_t fd2 = 0;
};

// The alternatives stand in the order of their numbers.
using Entry = std::variant<
    InitModuleV1, ProcessExitV1, SetThreadV1, CloseThreadV1, FileDescriptorSeekV1, FileDescriptorWriteV1,
    UpdateMemoryRegionV1, SetClockTimeV1, OpenFileDescriptorV1, CloseFileDescriptorV1, RenumberFileDescriptorV1,
    DuplicateFileDescriptorV1, CreateDirectoryV1, RemoveDirectoryV1, PathSetTimesV1, FileDescriptorSetTimesV1,
    FileDescriptorSetSizeV1, FileDescriptorSetFlagsV1, FileDescriptorSetRightsV1, FileDescriptorAdviseV1,
    FileDescriptorAllocateV1, CreateHardLinkV1, CreateSymbolicLinkV1, UnlinkFileV1, PathRenameV1, ChangeDirectoryV1,
    EpollCreateV1, EpollCtlV1, TtySetV1, CreatePipeV1, CreateEventV1, PortAddAddrV1, PortDelAddrV1, PortAddrClearV1,
    PortBridgeV1, PortUnbridgeV1, PortDhcpAcquireV1, PortGatewaySetV1, PortRouteAddV1, PortRouteClearV1, PortRouteDelV1,
    SocketOpenV1, SocketListenV1, SocketBindV1, SocketConnectedV1, SocketAcceptedV1, SocketJoinIpv4MulticastV1,
    SocketJoinIpv6MulticastV1, SocketLeaveIpv4MulticastV1, SocketLeaveIpv6MulticastV1, SocketSendFileV1, SocketSendToV1,
    SocketSendV1, SocketSetOptFlagV1, SocketSetOptSizeV1, SocketSetOptTimeV1, SocketShutdownV1, SnapshotV1,
    ClearEtherealV1, OpenFileDescriptorV2, DuplicateFileDescriptorV2, FileDescriptorSetFdFlagsV1, SocketPairV1>;

// The type of the alternative at `index`, and the other way about; the latter gives the number of alternatives for a
// number that is no type.
constexpr EntryType TypeAt(std::size_t index) { return static_cast<EntryType>(index + (index < 7 ? 1 : 2)); }
constexpr std::size_t IndexOf(EntryType type) {
  const auto number = static_cast<std::size_t>(type);
  constexpr std::size_t kCount = std::variant_size_v<Entry>;
  if (number == 0 || number == 8 || number > kCount + 1) return kCount;
  return number - (number < 8 ? 1 : 2);
}
static_assert(TypeAt(std::variant_size_v<Entry> - 1) == EntryType::kSocketPairV1);

constexpr bool IsKnown(EntryType type) { return IndexOf(type) < std::variant_size_v<Entry>; }
inline EntryType TypeOf(const Entry& entry) { return TypeAt(entry.index()); }

// Wasmer's name, such as "file_descriptor_write_v1"; "unknown" for a number that is no type.
std::string_view EntryName(EntryType type);
// Whether there is a type of that name; writes it to `type`.
bool FindEntryType(std::string_view name, EntryType& type);

}  // namespace strata::journal::wasix
