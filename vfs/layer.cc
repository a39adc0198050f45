#include "vfs/layer.h"

namespace strata::vfs {

Result<std::vector<std::string>> Layer::ListXattr(const OpContext&, const LayerNode&) {
  return std::vector<std::string>();
}

Result<std::string> Layer::GetXattr(const OpContext&, const LayerNode&, std::string_view) {
  return Fail(Errc::kNotFound);
}

}  // namespace strata::vfs
