// A watch over the write-ahead log of an index that another process writes. Who reads an old state of the index for
// long is in the writer's way: the log can then only grow.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <thread>

#include "store/index/index.h"

namespace strata::store {

// The log as a file; every transaction changes it.
struct LogState {
  std::uint64_t bytes = 0;
  std::int64_t written_ns = 0;
  friend bool operator==(const LogState&, const LogState&) = default;

  // Of the database at `path`.
  static LogState Of(const std::string& path);
};

// A thread that calls `end`, once, when a reader of the state at `begin` has used up its patience.
std::jthread WatchLog(std::string path, const LogState& begin, const ReaderPatience& patience,
                      std::function<void(const std::stop_token&)> end);

}  // namespace strata::store
