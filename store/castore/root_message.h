// The bytes of a Root where a store keeps one for each name (spec castore CA-66; docs/formats/objectstore.md): a
// message of protobuf's wire form, and a checksum at its end.
#pragma once

#include <cstddef>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "store/castore/root_nodes.h"

namespace strata::store {

// Longer than any message of a root: the longest target of a symlink, and some.
inline constexpr std::size_t kMaxRootBytes = 8 << 10;

std::vector<std::byte> EncodeRoot(const Root& root);
// kCorrupt for what does not check, kInvalid for what checks and is no root.
Result<Root> ParseRoot(ByteSpan message);

}  // namespace strata::store
