// Where the fields of the records of processes lie (value_layouts.h).
#pragma once

#include "journal/wasix/entries.h"
#include "journal/wasix/value_layouts.h"

namespace strata::journal::wasix {

template <>
struct Layout<InitModuleV1> {
  static constexpr void Fields(auto& e, auto& field) { field(0, "wasm_hash", e.wasm_hash); }
};

template <>
struct Layout<ProcessExitV1> {
  static constexpr void Fields(auto& e, auto& field) { field(0, "exit_code", e.exit_code); }
};

template <>
struct Layout<SetThreadV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "id", e.id);
    field(4, "call_stack", e.call_stack);
    field(12, "memory_stack", e.memory_stack);
    field(20, "store_data", e.store_data);
    field(32, "start", e.start);
    field(48, "layout", e.layout);
    field(80, "is_64bit", e.is_64bit);
  }
};

template <>
struct Layout<CloseThreadV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "id", e.id);
    field(4, "exit_code", e.exit_code);
  }
};

template <>
struct Layout<UpdateMemoryRegionV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(8, "region", e.region);
    field(0, "compressed_data", e.compressed_data);
  }
};

template <>
struct Layout<SetClockTimeV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "clock_id", e.clock_id);
    field(8, "time", e.time);
  }
};

template <>
struct Layout<TtySetV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "tty", e.tty);
    field(21, "line_feeds", e.line_feeds);
  }
};

template <>
struct Layout<SnapshotV1> {
  static constexpr void Fields(auto& e, auto& field) {
    field(0, "when", e.when);
    field(16, "trigger", e.trigger);
  }
};

template <>
struct Layout<ClearEtherealV1> {
  static constexpr void Fields(auto&, auto&) {}
};

}  // namespace strata::journal::wasix
