// The JSON of Wasmer's `journal export` and `journal import`: {"NAME": {FIELDS}}, or "NAME" for a record without
// fields.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <string>
#include <string_view>

#include "base/status.h"
#include "journal/wasix/entries.h"

namespace strata::journal::wasix {

enum class JsonStyle : std::uint8_t {
  kPretty,  // over several lines, 2 spaces of indentation
  kLine,
};
// Without a newline at the end. Some values have no form in Wasmer's JSON: bytes of a path that are no UTF-8 become
// U+FFFD, an ExitCode and a socket address lose the alternative and the flowinfo. kFileTooBig for a byte string of
// 2 GiB.
Result<std::string> WriteJson(const Entry& entry, JsonStyle style);

// One entry of either era. Its byte strings lie in `arena`. {"NAME": null} is taken for a record without fields.
// Fields that the record does not have are passed over. kInvalid, with the name of the field, for text that is no
// entry.
Result<Entry> ReadJson(std::string_view text, std::pmr::memory_resource& arena);

}  // namespace strata::journal::wasix
