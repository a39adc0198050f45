// The values that the fields of WASIX journal records hold, apart from integers and byte strings.
#pragma once

#include <array>
#include <cstdint>
#include <variant>

#include "base/bytes.h"

namespace strata::journal::wasix {

// Flags. Bits without a name are kept.
struct OFlags {
  static constexpr std::uint16_t kCreate = 1, kDirectory = 2, kExclusive = 4, kTruncate = 8;
  std::uint16_t bits = 0;
  friend bool operator==(const OFlags&, const OFlags&) = default;
};
struct FdFlags {
  static constexpr std::uint16_t kAppend = 1, kDsync = 2, kNonblock = 4, kRsync = 8, kSync = 16;
  std::uint16_t bits = 0;
  friend bool operator==(const FdFlags&, const FdFlags&) = default;
};
struct FdFlagsExt {
  static constexpr std::uint16_t kCloexec = 1;
  std::uint16_t bits = 0;
  friend bool operator==(const FdFlagsExt&, const FdFlagsExt&) = default;
};
struct FstFlags {
  static constexpr std::uint16_t kSetAtim = 1, kSetAtimNow = 2, kSetMtim = 4, kSetMtimNow = 8;
  std::uint16_t bits = 0;
  friend bool operator==(const FstFlags&, const FstFlags&) = default;
};
struct Rights {
  static constexpr std::uint64_t kAll = 0x7f'ffff'ffff;
  std::uint64_t bits = 0;
  friend bool operator==(const Rights&, const Rights&) = default;
};
struct EpollEvents {
  std::uint32_t bits = 0;
  friend bool operator==(const EpollEvents&, const EpollEvents&) = default;
};
// LookupFlags are a plain number in JSON, and so they are here.
inline constexpr std::uint32_t kSymlinkFollow = 1;

// The enumerators have the numbers of the era of rkyv 0.8. Their names in JSON: enum_names.h.
enum class Whence : std::uint8_t { kSet, kCur, kEnd, kUnknown = 255 };
enum class Advice : std::uint8_t {
  kNormal,
  kSequential,
  kRandom,
  kWillneed,
  kDontneed,
  kNoreuse,
  kUnknown = 255,
};
enum class ClockId : std::uint8_t { kRealtime, kMonotonic, kProcessCputime, kThreadCputime, kUnknown = 255 };
enum class EpollOp : std::uint8_t { kAdd, kMod, kDel, kUnknown };
enum class StreamSecurity : std::uint8_t { kUnencrypted, kAny, kClassic, kDouble, kUnknown };
enum class AddressFamily : std::uint8_t { kUnspec, kInet4, kInet6, kUnix };
enum class SocketType : std::uint8_t { kUnknown, kStream, kDgram, kRaw, kSeqpacket };
enum class SocketTimeout : std::uint8_t { kRead, kWrite, kAccept, kConnect, kBind, kLinger };
enum class SocketShutdown : std::uint8_t { kRead, kWrite, kBoth };
enum class SocketOption : std::uint8_t {
  kNoop,
  kReusePort,
  kReuseAddr,
  kNoDelay,
  kDontRoute,
  kOnlyV6,
  kBroadcast,
  kMulticastLoopV4,
  kMulticastLoopV6,
  kPromiscuous,
  kListening,
  kLastError,
  kKeepAlive,
  kLinger,
  kOobInline,
  kRecvBufSize,
  kSendBufSize,
  kRecvLowat,
  kSendLowat,
  kRecvTimeout,
  kSendTimeout,
  kConnectTimeout,
  kAcceptTimeout,
  kTtl,
  kMulticastTtlV4,
  kType,
  kProto,
};
enum class SnapshotTrigger : std::uint8_t {
  kIdle,
  kFirstListen,
  kFirstEnviron,
  kFirstStdin,
  kPeriodicInterval,
  kSigint,
  kSigalrm,
  kSigtstp,
  kSigstop,
  kNonDeterministicCall,
  kBootstrap,
  kTransaction,
  kExplicit,
};
// A number of IANA's registry, and a few above 255. Numbers without an enumerator are kept.
enum class SocketProtocol : std::uint16_t { kIp = 0, kTcp = 6, kUdp = 17 };

struct Duration {
  std::uint64_t secs = 0;
  std::uint32_t nanos = 0;
  friend bool operator==(const Duration&, const Duration&) = default;
};
// Since 1970.
struct SystemTime {
  std::uint64_t secs_since_epoch = 0;
  std::uint32_t nanos_since_epoch = 0;
  friend bool operator==(const SystemTime&, const SystemTime&) = default;
};

// Bytes [start, end) of the memory of a process.
struct MemoryRegion {
  std::uint64_t start = 0, end = 0;
  friend bool operator==(const MemoryRegion&, const MemoryRegion&) = default;
};
struct MemoryLayout {
  std::uint64_t stack_upper = 0, stack_lower = 0, guard_size = 0, stack_size = 0;
  friend bool operator==(const MemoryLayout&, const MemoryLayout&) = default;
};

struct ErrnoExit {
  std::uint16_t code = 0;
  friend bool operator==(const ErrnoExit&, const ErrnoExit&) = default;
};
struct OtherExit {
  std::int32_t code = 0;
  friend bool operator==(const OtherExit&, const OtherExit&) = default;
};
using ExitCode = std::variant<ErrnoExit, OtherExit>;

struct MainThread {
  friend bool operator==(const MainThread&, const MainThread&) = default;
};
struct ThreadSpawn {
  std::uint64_t start_ptr = 0;
  friend bool operator==(const ThreadSpawn&, const ThreadSpawn&) = default;
};
using ThreadStart = std::variant<MainThread, ThreadSpawn>;

struct EpollEvent {
  EpollEvents events = {};
  std::uint64_t ptr = 0;
  std::uint32_t fd = 0;
  std::uint32_t data1 = 0;
  std::uint64_t data2 = 0;
  friend bool operator==(const EpollEvent&, const EpollEvent&) = default;
};

struct Tty {
  std::uint32_t cols = 0, rows = 0, width = 0, height = 0;
  bool stdin_tty = false, stdout_tty = false, stderr_tty = false, echo = false, line_buffered = false;
  friend bool operator==(const Tty&, const Tty&) = default;
};

// In the order of the network.
using Ipv4Address = std::array<std::uint8_t, 4>;
using Ipv6Address = std::array<std::uint8_t, 16>;
using IpAddress = std::variant<Ipv4Address, Ipv6Address>;
struct IpCidr {
  IpAddress ip = {};
  std::uint8_t prefix = 0;
  friend bool operator==(const IpCidr&, const IpCidr&) = default;
};
struct SocketAddressV4 {
  Ipv4Address ip = {};
  std::uint16_t port = 0;
  friend bool operator==(const SocketAddressV4&, const SocketAddressV4&) = default;
};
struct SocketAddressV6 {
  Ipv6Address ip = {};
  std::uint16_t port = 0;
  std::uint32_t flowinfo = 0;
  std::uint32_t scope_id = 0;
  friend bool operator==(const SocketAddressV6&, const SocketAddressV6&) = default;
};
using SocketAddress = std::variant<SocketAddressV4, SocketAddressV6>;

// The hash of a module. It is the only byte string that is not aligned to 16, and in JSON it is an array of numbers.
struct ModuleHash {
  ByteSpan bytes = {};
};

}  // namespace strata::journal::wasix
