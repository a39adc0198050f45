// The rules of which file may include what, apart from the test so that they can be tried on made-up sources.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace strata::architecture {

struct Include {
  int line = 0;
  bool quoted = false;  // "path", as against <path>
  std::string path;
};

// Every #include of a source text, those in comments and string literals left out.
std::vector<Include> ReadIncludes(std::string_view source);

// What is wrong with the includes of `file` (its path from the root), one sentence each: `FILE:LINE: ...`. Empty when
// all is well.
std::vector<std::string> Violations(std::string_view file, const std::vector<Include>& includes);

// The room a path lies in: its first component where that is a room, else empty.
std::string_view RoomOf(std::string_view path);

}  // namespace strata::architecture
