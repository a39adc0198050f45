#include "store/import/tree_builder.h"

#include <algorithm>

#include "store/castore/names.h"

namespace strata::store {
namespace {

// Of a directory that no entry of the archive speaks of.
constexpr std::uint32_t kImpliedMode = 0755;

std::string_view LastName(std::string_view path) {
  const std::size_t separator = path.rfind(kPathSeparator);
  return separator == std::string_view::npos ? path : path.substr(separator + 1);
}

bool LiesBeneath(std::string_view path, std::string_view directory) {
  if (directory.empty()) return !path.empty();
  return path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == kPathSeparator;
}

NodeAttributes ImpliedAttributes() {
  NodeAttributes attributes;
  attributes.mode = kImpliedMode;
  return attributes;
}

}  // namespace

TreeBuilder::TreeBuilder(DirectoryPutter& putter, SizeRule sizes, AttributesWriter* attributes)
    : putter_(putter), sizes_(sizes), attributes_(attributes) {
  frames_.emplace_back().attributes = ImpliedAttributes();
}

bool TreeBuilder::Contains(const Frame& frame, std::string_view path) const {
  const std::string_view own = std::string_view(path_).substr(0, frame.path_size);
  return path == own || LiesBeneath(path, own);
}

Result<void> TreeBuilder::PopTo(std::string_view path) {
  while (!Contains(frames_.back(), path)) STRATA_TRY(Pop());
  return {};
}

void TreeBuilder::Frame::BecomeDirectory() {
  if (!leaf) return;
  leaf.reset();
  link_key.clear();
  attributes = ImpliedAttributes();
}

// The frames of all of `path` that have none; those above become directories.
void TreeBuilder::PushTo(std::string_view path) {
  while (frames_.back().path_size < path.size()) {
    Frame& above = frames_.back();
    above.BecomeDirectory();
    const std::size_t begin = above.path_size == 0 ? 0 : above.path_size + 1;
    const std::size_t end = std::min(path.find(kPathSeparator, begin), path.size());
    Frame frame;
    frame.path_size = end;
    frame.name = path.substr(begin, end - begin);
    frame.number = next_number_++;
    frame.above_void = std::max(above.above_void, above.void_to);
    frame.attributes = ImpliedAttributes();
    path_.assign(path.substr(0, end));
    frames_.push_back(std::move(frame));
  }
}

Result<void> TreeBuilder::Add(std::string_view path, std::uint64_t order, TreeRecord record,
                              std::string_view link_key) {
  STRATA_TRY(PopTo(path));
  const bool here = frames_.back().path_size == path.size();  // it has come before, and is the last frame
  const Frame& nearest = frames_.back();
  if (order <= (here ? nearest.above_void : std::max(nearest.above_void, nearest.void_to))) return {};
  if (path.empty() && !record.IsDirectory()) {
    return Fail(Errc::kInvalid, "the archive has an entry for its top, \".\", that is no directory");
  }
  if (special_ && (special_->path == path || LiesBeneath(path, special_->path))) special_.reset();
  STRATA_TRY(EmitSpecial());
  if (record.kind == RecordKind::kSpecial) {
    if (here) return {};
    const std::size_t parent = path.size() - LastName(path).size();
    PushTo(path.substr(0, parent == 0 ? 0 : parent - 1));
    frames_.back().BecomeDirectory();
    special_ = Special{std::string(path), std::move(record)};
    return {};
  }
  PushTo(path);
  Frame& frame = frames_.back();
  if (record.IsDirectory()) {
    if (path.empty()) top_is_entry_ = true;
    frame.BecomeDirectory();
    frame.attributes = std::move(record.attributes);
  } else {
    frame.leaf = std::move(record);
    frame.link_key = link_key;
    frame.void_to = order;
  }
  return {};
}

// A special entry lies in the last frame, or in one above it.
Result<void> TreeBuilder::EmitSpecial() {
  if (!special_) return {};
  const std::string_view name = LastName(special_->path);
  const std::size_t parent_size = special_->path.size() - name.size();
  const auto parent = std::ranges::find_if(
      frames_, [&](const Frame& frame) { return frame.path_size == (parent_size == 0 ? 0 : parent_size - 1); });
  ++counts_.specials;
  if (parent_size == 0) ++counts_.top_level;
  if (attributes_ != nullptr && parent != frames_.end()) {
    STRATA_TRY(attributes_->AddSpecial(parent->number, name, special_->record.type, special_->record.device,
                                       special_->record.attributes));
  }
  special_.reset();
  return {};
}

Result<Node> TreeBuilder::NodeOf(Frame& frame) {
  if (frame.leaf) {
    if (attributes_ != nullptr) STRATA_TRY(attributes_->Set(frame.number, frame.leaf->attributes, frame.link_key));
    ++(frame.leaf->node.kind == NodeKind::kFile ? counts_.files : counts_.symlinks);
    return std::move(frame.leaf->node);
  }
  if (attributes_ != nullptr) STRATA_TRY(attributes_->Set(frame.number, frame.attributes));
  ++counts_.directories;
  auto directory = Directory::Make(std::move(frame.entries));
  if (!directory) {
    const std::string_view path = std::string_view(path_).substr(0, frame.path_size);
    return Fail(directory.error().WithContext("the directory " + QuoteName(ShownPath(path))));
  }
  STRATA_TRY(putter_.Put(*directory));
  return Node::OfDirectory(directory->digest(), directory->Size(sizes_));
}

Result<void> TreeBuilder::Pop() {
  // While its parent is still there.
  if (special_ && LiesBeneath(special_->path, std::string_view(path_).substr(0, frames_.back().path_size))) {
    STRATA_TRY(EmitSpecial());
  }
  STRATA_ASSIGN(Node node, NodeOf(frames_.back()));
  std::string name = std::move(frames_.back().name);
  frames_.pop_back();
  frames_.back().entries.emplace_back(std::move(name), std::move(node));
  path_.resize(frames_.back().path_size);
  return {};
}

Result<TreeBuilder::Built> TreeBuilder::Finish(bool strict) {
  while (frames_.size() > 1) STRATA_TRY(Pop());
  STRATA_TRY(EmitSpecial());
  Frame& top = frames_.back();
  counts_.top_level += top.entries.size();
  const bool one_directory =
      counts_.top_level == 1 && top.entries.size() == 1 && top.entries[0].second.kind == NodeKind::kDirectory;
  if (strict && !one_directory) {
    return Fail(Errc::kInvalid,
                "unexpected number of top level directory entries: " + std::to_string(counts_.top_level) +
                    ", or one that is no directory; without --strict the directory that holds them is "
                    "the root");
  }
  Built built;
  if (one_directory && (strict || !top_is_entry_)) {
    built.root = std::move(top.entries[0].second);
    built.first_number = 1;
  } else {
    STRATA_ASSIGN(built.root, NodeOf(top));
  }
  STRATA_ASSIGN(const Digest closed, putter_.Close());
  if (closed != built.root.digest) {
    return Fail(Errc::kServerFault,
                "the store has the tree as " + closed.Text() + ", it was made as " + built.root.digest.Text());
  }
  return built;
}

}  // namespace strata::store
