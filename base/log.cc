#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <iterator>

#include "base/text.h"

namespace strata::log {
namespace detail {

std::atomic<Level> level{Level::kInfo};

}  // namespace detail

namespace {

constexpr std::uint32_t kLinesAMinute = 10;

constexpr std::array kSpdlogLevels = {spdlog::level::trace, spdlog::level::debug, spdlog::level::info,
                                      spdlog::level::warn,  spdlog::level::err,   spdlog::level::off};

spdlog::logger& Logger() {
  // The library makes its registry under a guard of its own, which ThreadSanitizer does not see; this one it does.
  [[maybe_unused]] static const bool made = spdlog::default_logger_raw() != nullptr;
  return *spdlog::default_logger_raw();
}

bool IsPlain(std::string_view value) {
  return !value.empty() &&
         std::ranges::all_of(value, [](char c) { return c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '='; });
}

void AppendValue(std::string& line, std::string_view value) {
  if (IsPlain(value)) {
    line += value;
    return;
  }
  line += '"';
  while (!value.empty()) {
    const auto c = static_cast<unsigned char>(value.front());
    std::size_t taken = 1;
    if (c == '"' || c == '\\') {
      line += '\\';
      line += value.front();
    } else if (c >= ' ' && c < 0x7f) {
      line += value.front();
    } else if (const std::size_t shown = c < 0x80 ? 0 : ShownSequence(value); shown > 0) {
      line += value.substr(0, shown);
      taken = shown;
    } else {
      fmt::format_to(std::back_inserter(line), "\\x{:02x}", c);
    }
    value.remove_prefix(taken);
  }
  line += '"';
}

}  // namespace

std::string Line(std::string_view event, std::span<const Field> fields) {
  std::string line = "event=";
  line += event;
  for (const Field& field : fields) {
    line += ' ';
    line += field.key_;
    line += '=';
    switch (field.kind_) {
      case Field::Kind::kText:
        field.status_ != nullptr ? AppendValue(line, field.status_->ToString()) : AppendValue(line, field.text_);
        break;
      case Field::Kind::kSigned:
        fmt::format_to(std::back_inserter(line), "{}", static_cast<std::int64_t>(field.number_));
        break;
      case Field::Kind::kUnsigned:
        fmt::format_to(std::back_inserter(line), "{}", field.number_);
        break;
    }
  }
  return line;
}

void Write(Level level, std::string_view event, std::span<const Field> fields) {
  Logger().log(kSpdlogLevels[static_cast<std::size_t>(level)], spdlog::string_view_t(Line(event, fields)));
}

void SetLevel(Level level) {
  detail::level.store(level, std::memory_order_relaxed);
  Logger().set_level(kSpdlogLevels[static_cast<std::size_t>(level)]);
}

void ToStandardError(std::string_view level) {
  const auto colours = std::getenv("NO_COLOR") == nullptr ? spdlog::color_mode::automatic : spdlog::color_mode::never;
  spdlog::set_default_logger(spdlog::stderr_color_mt("strata", colours));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
  const auto* const named = std::ranges::find(kSpdlogLevels, spdlog::level::from_str(std::string(level)));
  SetLevel(static_cast<Level>(named - kSpdlogLevels.begin()));
}

bool RateLimit::Allow() {
  const auto now =
      std::chrono::duration_cast<std::chrono::minutes>(std::chrono::steady_clock::now().time_since_epoch()).count();
  if (minute_.exchange(now, std::memory_order_relaxed) != now) count_.store(0, std::memory_order_relaxed);
  return count_.fetch_add(1, std::memory_order_relaxed) < kLinesAMinute;
}

}  // namespace strata::log
