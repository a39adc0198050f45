#include "cli/output.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <utility>

#include "base/base64.h"
#include "vfs/permissions.h"

namespace strata::cli {

std::string ModeText(const Attributes& attributes) {
  static constexpr char kTypes[] = "?-dbclsp";
  std::string text(10, '-');
  text[0] = kTypes[static_cast<int>(attributes.type)];
  static constexpr char kBits[] = "rwxrwxrwx";
  for (int i = 0; i < 9; ++i) {
    if (attributes.mode >> (8 - i) & 1) text[1 + i] = kBits[i];
  }
  auto special = [&](std::uint32_t bit, int at, char with_x, char without) {
    if (attributes.mode & bit) text[at] = text[at] == 'x' ? with_x : without;
  };
  special(vfs::kSetUid, 3, 's', 'S');
  special(vfs::kSetGid, 6, 's', 'S');
  special(vfs::kSticky, 9, 't', 'T');
  return text;
}

std::string_view TypeName(FileType type) {
  switch (type) {
    case FileType::kRegular:
      return "file";
    case FileType::kDirectory:
      return "directory";
    case FileType::kBlockDevice:
      return "block device";
    case FileType::kCharacterDevice:
      return "character device";
    case FileType::kSymlink:
      return "symlink";
    case FileType::kSocket:
      return "socket";
    case FileType::kFifo:
      return "fifo";
  }
  return "unknown";
}

std::string TimeText(Time time) {
  std::time_t seconds = time.ns / 1'000'000'000 - (time.ns % 1'000'000'000 < 0);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  char text[64];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
  return text;
}

std::string Rfc3339Text(Time time) {
  const std::int64_t fraction = (time.ns % 1'000'000'000 + 1'000'000'000) % 1'000'000'000;
  const std::time_t seconds = (time.ns - fraction) / 1'000'000'000;
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  char text[64];
  const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(text + size, sizeof text - size, ".%09lldZ", static_cast<long long>(fraction));
  return text;
}

namespace {

std::string Decimal(Time time) {
  std::int64_t seconds = time.ns / 1'000'000'000;
  std::int64_t fraction = time.ns % 1'000'000'000;
  if (fraction < 0) seconds -= 1, fraction += 1'000'000'000;
  char text[48];
  std::snprintf(text, sizeof text, "%lld.%09lld", static_cast<long long>(seconds), static_cast<long long>(fraction));
  return text;
}

}  // namespace

nlohmann::ordered_json ToJson(const Attributes& attributes) {
  char mode[8];
  std::snprintf(mode, sizeof mode, "%04o", attributes.mode);
  return {{"type", TypeName(attributes.type)},
          {"mode", mode},
          {"nlink", attributes.nlink},
          {"uid", attributes.uid},
          {"gid", attributes.gid},
          {"size", attributes.size},
          {"used", attributes.used},
          {"rdev", {attributes.rdev.major, attributes.rdev.minor}},
          {"fileid", attributes.ino.value},
          {"atime", Decimal(attributes.atime)},
          {"mtime", Decimal(attributes.mtime)},
          {"ctime", Decimal(attributes.ctime)}};
}

bool IsUtf8(std::string_view text) {
  try {
    (void)nlohmann::json(text).dump();
    return true;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

nlohmann::ordered_json BytesToJson(std::string_view bytes, const char* field) {
  const bool utf8 = IsUtf8(bytes);
  std::string text;
  utf8 ? void(text = bytes) : AppendBase64(AsBytes(bytes), text);
  return {{"size", bytes.size()}, {"encoding", utf8 ? "utf-8" : "base64"}, {field, std::move(text)}};
}

void PrintJson(const nlohmann::ordered_json& json) {
  const std::string text = json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fputc('\n', stdout);
}

std::string Coloured(std::string_view text, const char* colour) {
  static const bool terminal = ::isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
  if (!terminal) return std::string(text);
  return "\033[" + std::string(colour) + "m" + std::string(text) + "\033[0m";
}

std::string Printable(std::string_view name) {
  std::string shown;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      char escaped[5];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
      shown += escaped;
    } else {
      shown += c;
    }
  }
  return shown;
}

Result<void> WriteOut(ByteSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Fail(Status::FromErrno(errno, "writing to standard output"));
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace strata::cli
