// From the spec of a castore tree to its layer.
#pragma once

#include "base/status.h"
#include "vfs/layer/opener.h"
#include "vfs/layer/spec.h"

namespace strata::vfs {

// Opens the store for reading, looks the name up there unless it is a digest, and opens the tree. The resolution is the
// root's digest in hexadecimal and, where the name has attributes, '+' and theirs. kNotFound for a store, a name or a
// tree that is not there, with what to do.
Result<OpenedLayer> OpenCastore(const LayerSpec& spec, const LayerOptions& options);

}  // namespace strata::vfs
