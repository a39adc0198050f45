#include "store/castore/closure.h"

#include <string>

namespace strata::store {
namespace {

std::unexpected<Status> RefuseClosure(std::string why) {
  return Fail(Errc::kInvalid, "a tree of directories is refused: " + std::move(why));
}

std::unexpected<Status> RefuseTooMany(std::size_t most) {
  return RefuseClosure("it has more than " + std::to_string(most) + " directories");
}

std::unexpected<Status> RefuseSize(const std::string& what, std::uint64_t specified, std::uint64_t recorded) {
  return RefuseClosure(what + " has wrong size, specified " + std::to_string(specified) + ", recorded " +
                       std::to_string(recorded));
}

// The name as castore itself quotes it in this message, where it can be printed.
std::string NameOf(const Directory::Entry& edge) {
  std::string quoted = QuoteName(edge.name);
  quoted.front() = quoted.back() = '\'';
  return quoted;
}

}  // namespace

Result<bool> LeavesToRoot::Add(const Directory& directory) {
  if (known_.Find(directory.digest()) != nullptr) return false;
  if (known_.size() >= most_) return RefuseTooMany(most_);
  for (std::size_t i = 0; i < directory.count(); ++i) {
    const Directory::Entry edge = directory.At(i);
    if (edge.kind != NodeKind::kDirectory) continue;
    const Known* const child = known_.Find(*edge.digest);
    if (child == nullptr) {
      return RefuseClosure("unknown directory was referenced: " + NameOf(edge) + ", " + edge.digest->Text() +
                           "; children go before their parents");
    }
    // By either rule: at least the one, and more by nothing or by the entries.
    const std::uint64_t more = edge.size - child->size;
    if (edge.size < child->size || (more != 0 && more != child->entries)) {
      return RefuseSize(NameOf(edge), edge.size, child->size);
    }
  }
  for (std::size_t i = 0; i < directory.count(); ++i) {
    const Directory::Entry edge = directory.At(i);
    if (edge.kind != NodeKind::kDirectory) continue;
    Known* const child = known_.Find(*edge.digest);
    if (!child->referenced) --roots_;
    child->referenced = true;
  }
  known_.Add({directory.digest(), directory.Size(SizeRule::kDocumented), static_cast<std::uint32_t>(directory.count()),
              false});
  ++roots_;
  return true;
}

Result<Digest> LeavesToRoot::Finish() const {
  if (known_.size() == 0) return RefuseClosure("got no directories");
  if (roots_ > 1) return RefuseClosure("graph has disconnected roots: " + std::to_string(roots_));
  // Most often it is the last.
  std::size_t number = known_.size() - 1;
  while (known_[number].referenced) --number;
  return known_[number].digest;
}

RootToLeaves::RootToLeaves(const std::optional<Digest>& root, std::size_t most) : most_(most) {
  if (root) expected_.Add({*root, {}, 0, false});
}

bool RootToLeaves::Expects(const Digest& digest) const {
  return !failed_ && (expected_.size() == 0 || expected_.Find(digest) != nullptr);
}

Result<bool> RootToLeaves::Add(const Directory& directory) {
  if (failed_) return RefuseClosure("it was refused before");
  auto added = Check(directory);
  failed_ = !added;
  return added;
}

Result<bool> RootToLeaves::Check(const Directory& directory) {
  if (expected_.size() == 0) expected_.Add({directory.digest(), {}, 0, false});
  Expected* const self = expected_.Find(directory.digest());
  if (self == nullptr) return RefuseClosure("unexpected digest: " + directory.digest().Text());
  if (self->there) return false;
  for (std::size_t i = 0; i < self->size_count; ++i) {
    if (directory.MayHaveSize(self->sizes[i])) continue;
    return RefuseSize("the directory " + directory.digest().Text(), self->sizes[i],
                      directory.Size(SizeRule::kDocumented));
  }
  self->there = true;
  self->sizes = {directory.Size(SizeRule::kDocumented), directory.Size(SizeRule::kDoubled)};
  self->size_count = 2;
  ++count_;
  for (std::size_t i = 0; i < directory.count(); ++i) {
    const Directory::Entry edge = directory.At(i);
    if (edge.kind == NodeKind::kDirectory) STRATA_TRY(AddEdge(edge));
  }
  return true;
}

Result<void> RootToLeaves::AddEdge(const Directory::Entry& edge) {
  Expected* child = expected_.Find(*edge.digest);
  if (child == nullptr) {
    if (expected_.size() >= most_) return RefuseTooMany(most_);
    child = &expected_.Add({*edge.digest, {}, 0, false});
  }
  for (std::size_t i = 0; i < child->size_count; ++i) {
    if (child->sizes[i] == edge.size) return {};
  }
  if (child->size_count == child->sizes.size()) return RefuseSize(NameOf(edge), edge.size, child->sizes[0]);
  child->sizes[child->size_count++] = edge.size;
  return {};
}

Result<void> RootToLeaves::Finish() const {
  if (failed_) return RefuseClosure("it was refused before");
  if (count_ == 0 || count_ == expected_.size()) return {};
  return RefuseClosure("graph is incomplete: of " + std::to_string(expected_.size()) + " directories, " +
                       std::to_string(count_) + " came");
}

}  // namespace strata::store
