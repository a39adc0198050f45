// What the listing commands share: text for people, JSON for programs.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/attributes.h"
#include "base/bytes.h"
#include "base/status.h"

namespace strata::cli {

// "drwxr-xr-x".
std::string ModeText(const Attributes& attributes);
std::string_view TypeName(FileType type);
// Local time, "2026-01-31 12:00:00".
std::string TimeText(Time time);
// RFC 3339, in UTC: "2026-01-31T12:00:00.000000001Z".
std::string Rfc3339Text(Time time);
// Every attribute by name; times in seconds with nanoseconds as a decimal string.
nlohmann::ordered_json ToJson(const Attributes& attributes);
bool IsUtf8(std::string_view text);
// {"size", "encoding", FIELD}: JSON has no bytes, and so what is no UTF-8 is given in base64 (RFC 4648 section 4), with
// that for encoding; else "utf-8".
nlohmann::ordered_json BytesToJson(std::string_view bytes, const char* field);
// Names that are no UTF-8 keep every valid part.
void PrintJson(const nlohmann::ordered_json& json);
// Wraps `text` in an ANSI colour where stdout is a terminal.
std::string Coloured(std::string_view text, const char* colour);
inline constexpr const char* kRed = "31";
inline constexpr const char* kGreen = "32";
inline constexpr const char* kYellow = "33";
inline constexpr const char* kBlue = "34";
inline constexpr const char* kCyan = "36";
// A name as people see it: control characters, which could steer a terminal, are shown as \xNN.
std::string Printable(std::string_view name);
// Bytes as they are, to standard output.
Result<void> WriteOut(ByteSpan bytes);

}  // namespace strata::cli
