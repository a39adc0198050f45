// Where the fields of a record lie: the only place that says so. The decoder, the encoder and JSON walk these lists.
//
// Layout<T>::Fields(value, field) calls field(OFFSET, NAME, MEMBER) for each member in the order of JSON. OFFSET counts
// from the value's first byte. NAME is that of JSON. Here: the values within records.
#pragma once

#include "journal/wasix/values.h"

namespace strata::journal::wasix {

template <typename T>
struct Layout;

template <>
struct Layout<OFlags> {
  static constexpr void Fields(auto& e, auto& field) { field(0, "bits", e.bits); }
};

template <>
struct Layout<FdFlags> {
  static constexpr void Fields(auto& e, auto& field) { field(0, "bits", e.bits); }
};

template <>
struct Layout<FdFlagsExt> {
  static constexpr void Fields(auto& e, auto& field) { field(0, "bits", e.bits); }
};

template <>
struct Layout<FstFlags> {
  static constexpr void Fields(auto& e, auto& field) { field(0, "bits", e.bits); }
};

template <>
struct Layout<Rights> {
  static constexpr void Fields(auto& e, auto& field) { field(0, "bits", e.bits); }
};

template <>
struct Layout<EpollEvents> {
  static constexpr void Fields(auto& e, auto& field) { field(0, "bits", e.bits); }
};

template <>
struct Layout<Duration> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "secs", e.secs);
    field(8, "nanos", e.nanos);
  }
};

template <>
struct Layout<SystemTime> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "secs_since_epoch", e.secs_since_epoch);
    field(8, "nanos_since_epoch", e.nanos_since_epoch);
  }
};

template <>
struct Layout<MemoryRegion> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "start", e.start);
    field(8, "end", e.end);
  }
};

template <>
struct Layout<MemoryLayout> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "stack_upper", e.stack_upper);
    field(8, "stack_lower", e.stack_lower);
    field(16, "guard_size", e.guard_size);
    field(24, "stack_size", e.stack_size);
  }
};

template <>
struct Layout<ErrnoExit> {
  static constexpr void Fields(auto& e, auto& field) { field(0, "code", e.code); }
};

template <>
struct Layout<OtherExit> {
  static constexpr void Fields(auto& e, auto& field) { field(0, "code", e.code); }
};

template <>
struct Layout<MainThread> {
  static constexpr void Fields(auto&, auto&) {}
};

template <>
struct Layout<ThreadSpawn> {
  static constexpr void Fields(auto& e, auto& field) { field(0, "start_ptr", e.start_ptr); }
};

template <>
struct Layout<EpollEvent> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "events", e.events);
    field(8, "ptr", e.ptr);
    field(16, "fd", e.fd);
    field(20, "data1", e.data1);
    field(24, "data2", e.data2);
  }
};

template <>
struct Layout<Tty> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "cols", e.cols);
    field(4, "rows", e.rows);
    field(8, "width", e.width);
    field(12, "height", e.height);
    field(16, "stdin_tty", e.stdin_tty);
    field(17, "stdout_tty", e.stdout_tty);
    field(18, "stderr_tty", e.stderr_tty);
    field(19, "echo", e.echo);
    field(20, "line_buffered", e.line_buffered);
  }
};

template <>
struct Layout<IpCidr> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "ip", e.ip);
    field(17, "prefix", e.prefix);
  }
};

template <>
struct Layout<SocketAddressV4> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "ip", e.ip);
    field(4, "port", e.port);
  }
};

template <>
struct Layout<SocketAddressV6> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "ip", e.ip);
    field(16, "port", e.port);
    field(20, "flowinfo", e.flowinfo);
    field(24, "scope_id", e.scope_id);
  }
};

}  // namespace strata::journal::wasix
