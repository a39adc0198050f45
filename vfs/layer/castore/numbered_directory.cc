#include "vfs/layer/castore/numbered_directory.h"

#include <algorithm>
#include <string>
#include <utility>

namespace strata::vfs::castore {
namespace {

constexpr std::uint64_t kLargestTree = std::uint64_t{1} << 54;

bool Fits(const store::Directory& directory, std::uint64_t edge_size, Span span) {
  switch (span) {
    case Span::kDense:
      return edge_size == directory.Size(store::SizeRule::kDocumented);
    case Span::kHalf:
      return edge_size == directory.Size(store::SizeRule::kDoubled);
    default:
      return directory.MayHaveSize(edge_size);
  }
}

}  // namespace

Result<NumberedDirectory> NumberedDirectory::Make(store::Directory directory, std::uint64_t edge_size, Span span) {
  if (edge_size >= kLargestTree) {
    return Fail(Errc::kCorrupt, "the edge to directory " + directory.digest().Text() + " says " +
                                    std::to_string(edge_size) + " nodes, more than any tree has");
  }
  if (!Fits(directory, edge_size, span)) {
    return Fail(Errc::kCorrupt, "directory " + directory.digest().Text() + " holds " +
                                    std::to_string(directory.Size(store::SizeRule::kDocumented)) +
                                    " nodes, and the edge to it says " + std::to_string(edge_size));
  }
  NumberedDirectory made;
  made.directory_ = std::move(directory);
  std::uint64_t beneath = 0;
  for (std::size_t i = 0; i < made.directory_.count(); ++i) {
    const store::Directory::Entry entry = made.directory_.At(i);
    if (entry.kind != store::NodeKind::kDirectory) continue;
    const std::uint64_t size = span == Span::kHalf ? entry.size / 2 : entry.size;
    made.subtrees_.push_back({static_cast<std::uint32_t>(i), 1 + i + beneath, size});
    beneath += size;
  }
  made.subtrees_.shrink_to_fit();
  return made;
}

std::uint64_t NumberedDirectory::OffsetOf(std::size_t index) const {
  const auto next =
      std::ranges::lower_bound(subtrees_, index, {}, [](const Subtree& subtree) { return std::size_t{subtree.index}; });
  if (next == subtrees_.begin()) return 1 + index;
  const Subtree& before = *std::prev(next);
  return before.begin + before.size + (index - before.index);
}

std::size_t NumberedDirectory::IndexAt(std::uint64_t offset) const {
  if (offset == 0) return directory_.count();
  const auto next = std::ranges::upper_bound(subtrees_, offset, {}, &Subtree::begin);
  std::uint64_t index = offset - 1;
  if (next != subtrees_.begin()) {
    const Subtree& before = *std::prev(next);
    const std::uint64_t within = offset - before.begin;
    index = before.index + (within <= before.size ? 0 : within - before.size);
  }
  return static_cast<std::size_t>(std::min<std::uint64_t>(index, directory_.count()));
}

std::size_t NumberedDirectory::Footprint() const {
  return sizeof *this + directory_.Footprint() + subtrees_.capacity() * sizeof(Subtree);
}

}  // namespace strata::vfs::castore
