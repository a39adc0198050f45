#include "store/castore/tree_sums.h"

namespace strata::store {

void TreeSum::Add(const TreeSum& more) {
  // What names itself over and over reaches any number.
  const auto add = [](std::uint64_t a, std::uint64_t b) { return a + b < a ? ~std::uint64_t{0} : a + b; };
  bytes = add(bytes, more.bytes);
  files = add(files, more.files);
}

Result<TreeSum> TreeSums::Of(const Digest& root) {
  if (const auto known = sums_.find(root); known != sums_.end()) return known->second;
  std::vector<Frame> path;
  STRATA_TRY(Enter(root, path));
  while (!path.empty()) {
    Frame& frame = path.back();
    if (frame.next == frame.directory.count()) {
      sums_[frame.directory.digest()] = frame.sum;
      path.pop_back();
      continue;
    }
    const Directory::Entry entry = frame.directory.At(frame.next);
    if (entry.kind == NodeKind::kDirectory) {
      const auto known = sums_.find(*entry.digest);
      if (known == sums_.end()) {
        STRATA_TRY(Enter(*entry.digest, path));
        continue;
      }
      frame.sum.Add(known->second);
    } else if (entry.kind == NodeKind::kFile) {
      frame.sum.Add({entry.size, 1});
    }
    ++frame.next;
  }
  return sums_[root];
}

Result<void> TreeSums::Enter(const Digest& digest, std::vector<Frame>& path) {
  if (step_ && !step_()) return Fail(Errc::kInvalid, "stopped");
  auto directory = directories_.Get({}, digest);
  if (!directory && directory.error().code() != Errc::kCorrupt) return Fail(directory.error());
  if (!directory || !*directory) {
    sums_[digest] = {};
  } else {
    path.push_back({**std::move(directory)});
  }
  return {};
}

}  // namespace strata::store
