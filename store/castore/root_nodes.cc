#include "store/castore/root_nodes.h"

namespace strata::store {

Result<void> RootNodes::Set(std::string_view name, const Root&) {
  return Fail(Errc::kReadOnly, "the root " + QuoteName(name) + " cannot be set: these names are read-only");
}

Result<void> RootNodes::Remove(std::string_view name) {
  return Fail(Errc::kReadOnly, "the root " + QuoteName(name) + " cannot be removed: these names are read-only");
}

}  // namespace strata::store
