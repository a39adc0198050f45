// Tells an export's progress ten times a second.
#pragma once

#include <chrono>

#include "store/export/export.h"

namespace strata::store {

// Not thread-safe.
class ProgressOfExport {
 public:
  // The root's size counts the nodes beneath it, or more where it is of the doubled form (CA-14).
  ProgressOfExport(const ExportOptions& options, const strata::store::Node& root) : options_(options) {
    now_.total = root.kind == NodeKind::kDirectory && root.size < UINT64_MAX ? root.size + 1 : 1;
  }
  void Node() {
    ++now_.nodes;
    Tell();
  }
  void Bytes(std::size_t bytes) {
    now_.bytes += bytes;
    Tell();
  }

 private:
  void Tell() {
    if (!options_.progress) return;
    const auto now = std::chrono::steady_clock::now();
    if (now < next_) return;
    next_ = now + std::chrono::milliseconds(100);
    options_.progress(now_);
  }

  const ExportOptions& options_;
  ExportProgress now_;
  std::chrono::steady_clock::time_point next_{};
};

}  // namespace strata::store
