// The form that byte strings have in Wasmer's JSON: base64 of their size and one LZ4 block.
#pragma once

#include <memory_resource>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/status.h"

namespace strata::journal::wasix {

// kFileTooBig for more than LZ4 compresses at a time, about 2 GiB.
Result<std::string> PackBytes(ByteSpan bytes);
// The bytes lie in `arena`. kInvalid for text that is not such a form. What is allocated is bounded by the length of
// `text`: LZ4 makes at most 255 bytes of one.
Result<ByteSpan> UnpackBytes(std::string_view text, std::pmr::memory_resource& arena);

}  // namespace strata::journal::wasix
