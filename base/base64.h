// Base64 (RFC 4648 section 4), with padding.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace strata {

void AppendBase64(ByteSpan bytes, std::string& text);
// Whether `text` is base64 in its one right form; appends what it stands for. Of other text a part may be appended.
bool DecodeBase64(std::string_view text, std::vector<std::byte>& bytes);

}  // namespace strata
