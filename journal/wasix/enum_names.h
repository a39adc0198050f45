// The names that the enumerators of values.h have in Wasmer's JSON, in the order of their numbers.
//
// The number of names also tells the decoder which numbers there are. An enumeration whose last name is "Unknown", and
// whose kUnknown is 255, was archived with another number before rkyv 0.8: the position of that name.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "journal/wasix/values.h"

namespace strata::journal::wasix {

template <typename T>
inline constexpr std::array<std::string_view, 0> kEnumNames{};

template <>
inline constexpr std::array<std::string_view, 4> kEnumNames<Whence>{"Set", "Cur", "End", "Unknown"};
template <>
inline constexpr std::array<std::string_view, 7> kEnumNames<Advice>{"Normal",   "Sequential", "Random", "Willneed",
                                                                    "Dontneed", "Noreuse",    "Unknown"};
template <>
inline constexpr std::array<std::string_view, 5> kEnumNames<ClockId>{"Realtime", "Monotonic", "ProcessCputimeId",
                                                                     "ThreadCputimeId", "Unknown"};
template <>
inline constexpr std::array<std::string_view, 4> kEnumNames<EpollOp>{"Add", "Mod", "Del", "Unknown"};
// "AnyEncyption" is Wasmer's spelling.
template <>
inline constexpr std::array<std::string_view, 5> kEnumNames<StreamSecurity>{
    "Unencrypted", "AnyEncyption", "ClassicEncryption", "DoubleEncryption", "Unknown"};
template <>
inline constexpr std::array<std::string_view, 4> kEnumNames<AddressFamily>{"Unspec", "Inet4", "Inet6", "Unix"};
template <>
inline constexpr std::array<std::string_view, 5> kEnumNames<SocketType>{"Unknown", "Stream", "Dgram", "Raw",
                                                                        "Seqpacket"};
template <>
inline constexpr std::array<std::string_view, 6> kEnumNames<SocketTimeout>{
    "read_timeout", "write_timeout", "accept_timeout", "connect_timeout", "bind_timeout", "linger"};
template <>
inline constexpr std::array<std::string_view, 3> kEnumNames<SocketShutdown>{"read", "write", "both"};
template <>
inline constexpr std::array<std::string_view, 27> kEnumNames<SocketOption>{"Noop",
                                                                           "ReusePort",
                                                                           "ReuseAddr",
                                                                           "NoDelay",
                                                                           "DontRoute",
                                                                           "OnlyV6",
                                                                           "Broadcast",
                                                                           "MulticastLoopV4",
                                                                           "MulticastLoopV6",
                                                                           "Promiscuous",
                                                                           "Listening",
                                                                           "LastError",
                                                                           "KeepAlive",
                                                                           "Linger",
                                                                           "OobInline",
                                                                           "RecvBufSize",
                                                                           "SendBufSize",
                                                                           "RecvLowat",
                                                                           "SendLowat",
                                                                           "RecvTimeout",
                                                                           "SendTimeout",
                                                                           "ConnectTimeout",
                                                                           "AcceptTimeout",
                                                                           "Ttl",
                                                                           "MulticastTtlV4",
                                                                           "Type",
                                                                           "Proto"};
template <>
inline constexpr std::array<std::string_view, 13> kEnumNames<SnapshotTrigger>{
    "idle",    "first-listen", "first-environ",          "first-stdin", "periodic-interval", "sigint",  "sigalrm",
    "sigtstp", "sigstop",      "non-deterministic-call", "bootstrap",   "transaction",       "explicit"};

// Empty for a number that Wasmer has no name for.
std::string_view SocketProtocolName(SocketProtocol protocol);
// Whether there is a protocol of that name; writes its number to `protocol`.
bool FindSocketProtocol(std::string_view name, SocketProtocol& protocol);

}  // namespace strata::journal::wasix
