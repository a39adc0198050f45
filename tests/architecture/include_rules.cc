#include "tests/architecture/include_rules.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace strata::architecture {
namespace {

struct Room {
  std::string_view name;
  std::array<std::string_view, 9> may_include;
};

// cli -> server -> vfs -> {journal, store} -> base. The server knows a volume as a vfs::FileSystem only, not how it is
// kept.
constexpr std::array kRooms = {
    Room{"base", {"base"}},
    Room{"journal", {"journal", "base"}},
    Room{"store", {"store", "base"}},
    Room{"vfs", {"vfs", "base"}},
    Room{"vfs/layer", {"vfs/layer", "vfs", "store", "base"}},
    Room{"vfs/workspace", {"vfs/workspace", "vfs/layer", "vfs", "journal", "store", "base"}},
    Room{"vfs/check", {"vfs/check", "vfs/workspace", "vfs/layer", "vfs", "journal", "store", "base"}},
    Room{"server", {"server", "vfs", "base"}},
    Room{"cli", {"cli", "server", "vfs/check", "vfs/workspace", "vfs/layer", "vfs", "journal", "store", "base"}},
};

// Libraries that are named in one place only.
struct Confined {
  std::string_view prefix;  // of the included path
  std::string_view place;   // of the including file
  std::string_view library;
};

constexpr std::array kConfined = {
    Confined{"sqlite3", "store/index/", "SQLite"},
    Confined{"boost/asio", "server/", "Boost.Asio"},
    Confined{"rpc/", "server/", "libtirpc"},
    Confined{"tirpc/", "server/", "libtirpc"},
    Confined{"netconfig.h", "server/", "libtirpc"},
    Confined{"CLI/", "cli/", "CLI11"},
    Confined{"zstd", "store/", "libzstd"},
    Confined{"lz4", "journal/wasix/", "liblz4"},
    Confined{"xxhash", "store/pack/part_tags", "xxHash"},
    Confined{"blake3.h", "store/digest.cc", "BLAKE3"},
    Confined{"archive", "store/import/unpack", "libarchive"},
};

const Room* FindRoom(std::string_view name) {
  const auto* found = std::ranges::find(kRooms, name, &Room::name);
  return found == kRooms.end() ? nullptr : found;
}

// The source with comments blanked out; lines stay where they were.
std::string WithoutComments(std::string_view source) {
  std::string text(source);
  enum { kCode, kLineComment, kBlockComment, kString, kCharacter } state = kCode;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    if (c == '\n') {
      if (state != kBlockComment) state = kCode;
      continue;
    }
    if (state == kCode) {
      if (c == '/' && next == '/') state = kLineComment;
      if (c == '/' && next == '*') state = kBlockComment;
      if (c == '"') state = kString;
      if (c == '\'' && (i == 0 || std::isalnum(static_cast<unsigned char>(text[i - 1])) == 0)) state = kCharacter;
      if (state != kLineComment && state != kBlockComment) continue;
    } else if (state == kString || state == kCharacter) {
      if (c == '\\') {
        ++i;
      } else if (c == (state == kString ? '"' : '\'')) {
        state = kCode;
      }
      continue;
    } else if (state == kBlockComment && c == '*' && next == '/') {
      text[i] = text[i + 1] = ' ';
      ++i;
      state = kCode;
      continue;
    }
    text[i] = ' ';
  }
  return text;
}

std::string_view Trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

}  // namespace

std::string_view RoomOf(std::string_view path) {
  // The innermost one: a folder may hold rooms of its own.
  for (auto slash = path.rfind('/'); slash != std::string_view::npos; slash = path.substr(0, slash).rfind('/')) {
    if (FindRoom(path.substr(0, slash)) != nullptr) return path.substr(0, slash);
  }
  return {};
}

std::vector<Include> ReadIncludes(std::string_view source) {
  const std::string text = WithoutComments(source);
  std::vector<Include> includes;
  int line_number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = Trimmed(std::string_view(text).substr(begin, end - begin));
    ++line_number;
    begin = end + 1;
    if (!line.starts_with('#')) continue;
    line = Trimmed(line.substr(1));
    if (!line.starts_with("include")) continue;
    line = Trimmed(line.substr(7));
    if (line.size() < 2 || (line[0] != '"' && line[0] != '<')) continue;
    const bool quoted = line[0] == '"';
    const auto close = line.find(quoted ? '"' : '>', 1);
    if (close == std::string_view::npos) continue;
    includes.push_back({line_number, quoted, std::string(line.substr(1, close - 1))});
  }
  return includes;
}

std::vector<std::string> Violations(std::string_view file, const std::vector<Include>& includes) {
  std::vector<std::string> found;
  const Room* room = FindRoom(RoomOf(file));
  if (room == nullptr) return found;
  for (const Include& include : includes) {
    const std::string where = std::string(file) + ":" + std::to_string(include.line) + ": ";
    const std::string_view target = RoomOf(include.path);
    if (!target.empty() && std::ranges::find(room->may_include, target) == room->may_include.end()) {
      found.push_back(where + std::string(room->name) + "/ must not include " + include.path);
    }
    // Abseil is quoted by its own habit; rpcgen's headers lie in the build folder.
    const bool from_elsewhere = include.path.starts_with("absl/") || include.path.ends_with("_xdr.h");
    if (include.quoted && target.empty() && !from_elsewhere) {
      found.push_back(where + "\"" + include.path + "\" is not included by its path from the root");
    }
    if (include.path.find("..") != std::string::npos) found.push_back(where + include.path + " leads upwards");
    for (const Confined& confined : kConfined) {
      if (!include.quoted && include.path.starts_with(confined.prefix) && !file.starts_with(confined.place)) {
        found.push_back(where + std::string(confined.library) + " belongs in " + std::string(confined.place) + " only");
      }
    }
  }
  return found;
}

}  // namespace strata::architecture
