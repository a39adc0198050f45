// Strata's log: one line an event, `event=NAME key=value ...`. spdlog stands behind it, here and nowhere else.
//
//     log::Warning("index_damaged", {{"file", path}, {"error", status}, {"hint", "look after its disk"}});
//
// A value of anything but plain characters is quoted, and what could end a line or steer a terminal is escaped: a name
// that a client chose forges nothing. The field `hint` says what to do next. What a client can cause in a loop goes
// through a RateLimit, or is no louder than debug.
#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace strata::log {

enum class Level : std::uint8_t { kTrace, kDebug, kInfo, kWarning, kError, kOff };

// A key and its value. Refers to both: for the length of the call that it is an argument of.
class Field {
 public:
  Field(std::string_view key, std::string_view text) : key_(key), text_(text) {}
  Field(std::string_view key, const char* text) : key_(key), text_(text) {}
  Field(std::string_view key, const std::string& text) : key_(key), text_(text) {}
  // As Status::ToString says it.
  Field(std::string_view key, const Status& status) : key_(key), status_(&status) {}
  template <std::integral Number>
  Field(std::string_view key, Number number)
      : key_(key), kind_(std::signed_integral<Number> ? Kind::kSigned : Kind::kUnsigned), number_(number) {}
  Field(std::string_view key, bool yes) : Field(key, yes ? std::string_view("yes") : std::string_view("no")) {}

 private:
  friend std::string Line(std::string_view event, std::span<const Field> fields);
  enum class Kind : std::uint8_t { kText, kSigned, kUnsigned };

  std::string_view key_;
  std::string_view text_;
  const Status* status_ = nullptr;
  Kind kind_ = Kind::kText;
  std::uint64_t number_ = 0;
};

// The line itself, without time and level.
std::string Line(std::string_view event, std::span<const Field> fields);
inline std::string Line(std::string_view event, std::initializer_list<Field> fields) {
  return Line(event, std::span<const Field>(fields.begin(), fields.size()));
}
// Writes it; whether it is to be written has been asked.
void Write(Level level, std::string_view event, std::span<const Field> fields);

// The least that is written; kInfo at first. For a library's user; spdlog's own level counts as well.
void SetLevel(Level level);
// For a program: lines with time and level on standard error, coloured where that is a terminal. `level` is one of
// trace, debug, info, warn, error and off.
void ToStandardError(std::string_view level);

namespace detail {
extern std::atomic<Level> level;
}

// A load and a comparison.
inline bool Enabled(Level level) { return level >= detail::level.load(std::memory_order_relaxed); }

inline void Debug(std::string_view event, std::initializer_list<Field> fields = {}) {
  if (Enabled(Level::kDebug)) [[unlikely]]
    Write(Level::kDebug, event, {fields.begin(), fields.size()});
}
inline void Info(std::string_view event, std::initializer_list<Field> fields = {}) {
  if (Enabled(Level::kInfo)) Write(Level::kInfo, event, {fields.begin(), fields.size()});
}
inline void Warning(std::string_view event, std::initializer_list<Field> fields = {}) {
  if (Enabled(Level::kWarning)) Write(Level::kWarning, event, {fields.begin(), fields.size()});
}
inline void Error(std::string_view event, std::initializer_list<Field> fields = {}) {
  if (Enabled(Level::kError)) Write(Level::kError, event, {fields.begin(), fields.size()});
}

// For what a client can cause in a loop: says yes a few times a minute. Thread-safe.
class RateLimit {
 public:
  bool Allow();

 private:
  std::atomic<std::int64_t> minute_{-1};
  std::atomic<std::uint32_t> count_{0};
};

}  // namespace strata::log
