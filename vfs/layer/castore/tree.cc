#include "vfs/layer/castore/tree.h"

#include <utility>

namespace strata::vfs::castore {
namespace {

// Reading so many entries takes longer than others should wait for.
constexpr std::size_t kFewEntries = 4096;

}  // namespace

Tree::Tree(std::shared_ptr<store::DirectoryService> service, TreeRoot root, Directories& kept, std::uint64_t first_id)
    : service_(std::move(service)),
      root_(std::move(root)),
      kept_(kept),
      first_id_(first_id),
      span_(root_.attributes ? Span::kUnknown : Span::kLoose) {}

// The root's own size tells by which rule the tree was written: the one is twice the other wherever there are nodes.
Result<Span> Tree::SpanOf(const store::Directory& root_directory) const {
  if (!root_.attributes) return Span::kLoose;
  const std::uint64_t nodes = root_.attributes->nodes();
  if (root_.node.size == root_directory.Size(store::SizeRule::kDocumented) && nodes == root_.node.size + 1) {
    return Span::kDense;
  }
  if (root_.node.size == root_directory.Size(store::SizeRule::kDoubled) && nodes == root_.node.size / 2 + 1) {
    return Span::kHalf;
  }
  return Fail(Errc::kIo, "the attributes " + root_.attributes_from + " are of " + std::to_string(nodes) +
                             " nodes, and the tree " + root_.node.digest.Text() + " has a size of " +
                             std::to_string(root_.node.size));
}

Result<OpenDirectoryRef> Tree::Load(const Waiting& waiting, const Place& place) {
  if (auto kept = Kept(place.number)) return kept;
  const store::Digest& digest = place.node.digest;
  auto got = service_->Get(waiting, digest);
  if (!got) {
    if (got.error().code() == Errc::kWouldBlock) return Fail(got.error());
    return Fail(Errc::kIo, "directory " + digest.Text() + " of " + service_->Describe() + ": " +
                               std::string(got.error().message()));
  }
  if (!*got) {
    return Fail(Errc::kIo, "directory " + digest.Text() + " is not in " + service_->Describe() +
                               "; strata store verify tells what else is missing");
  }
  if (!waiting.may_block && (*got)->count() > kFewEntries) return Fail(Errc::kWouldBlock);
  Span span = span_.load(std::memory_order_relaxed);
  if (span == Span::kUnknown) {
    // Only the root tells. It may be kept from when the tree was open before.
    OpenDirectoryRef root;
    if (place.number != 0) {
      STRATA_ASSIGN(root, Load(waiting, Place{0, 0, root_.node}));
    }
    STRATA_ASSIGN(span, SpanOf(root ? root->content.directory() : **got));
    span_.store(span, std::memory_order_relaxed);
  }
  auto content = NumberedDirectory::Make(std::move(**got), place.node.size, span);
  if (!content) return Fail(Errc::kIo, service_->Describe() + ": " + std::string(content.error().message()));
  auto opened = std::make_shared<const OpenDirectory>(place.number, place.parent, std::move(*content));
  const std::size_t bytes = sizeof(OpenDirectory) + opened->content.Footprint();
  return kept_.Put(first_id_ + place.number, std::move(opened), bytes);
}

Place Tree::PlaceAt(const OpenDirectory& directory, std::size_t index) {
  return {directory.number + directory.content.OffsetOf(index), directory.number,
          directory.content.directory().At(index).node()};
}

template <typename Loading>
Result<OpenDirectoryRef> Tree::Descend(std::uint64_t number, std::string* path, Loading load) {
  if (number == 0 || number >= end()) return Fail(Errc::kStale);
  STRATA_ASSIGN(OpenDirectoryRef directory, load(Place{0, 0, root_.node}));
  for (;;) {
    const NumberedDirectory& content = directory->content;
    const std::size_t index = content.IndexAt(number - directory->number);
    if (index >= content.directory().count()) return Fail(Errc::kStale);
    const std::uint64_t at = directory->number + content.OffsetOf(index);
    const store::Directory::Entry entry = content.directory().At(index);
    if (path != nullptr) path->append(path->empty() ? "" : "/").append(entry.name);
    if (at == number) return directory;
    // What is no directory has nothing beneath it.
    if (entry.kind != store::NodeKind::kDirectory) return Fail(Errc::kStale);
    STRATA_ASSIGN(directory, load(Place{at, directory->number, entry.node()}));
  }
}

Result<Place> Tree::Find(const Waiting& waiting, std::uint64_t number, std::uint64_t near) {
  if (number == 0) return Place{0, 0, root_.node};
  if (number >= end()) return Fail(Errc::kStale);
  if (const OpenDirectoryRef directory = near < number ? Kept(near) : nullptr) {
    // A number has one place, so that where it stands it is.
    const NumberedDirectory& content = directory->content;
    const std::size_t index = content.IndexAt(number - near);
    if (index < content.directory().count() && near + content.OffsetOf(index) == number) {
      return PlaceAt(*directory, index);
    }
  }
  STRATA_ASSIGN(const OpenDirectoryRef directory,
                Descend(number, nullptr, [&](const Place& place) { return Load(waiting, place); }));
  return PlaceAt(*directory, directory->content.IndexAt(number - directory->number));
}

Result<OpenDirectoryRef> Tree::Open(const Waiting& waiting, std::uint64_t number) {
  if (number >= end()) return Fail(Errc::kStale);
  if (auto kept = Kept(number)) return kept;
  STRATA_ASSIGN(const Place place, Find(waiting, number));
  if (place.node.kind != store::NodeKind::kDirectory) return Fail(Errc::kNotDirectory);
  return Load(waiting, place);
}

Result<Place> Tree::Lookup(const OpenDirectory& directory, std::string_view name) {
  const store::Directory& entries = directory.content.directory();
  const std::size_t index = entries.Find(name);
  if (index == entries.count()) return Fail(Errc::kNotFound);
  return PlaceAt(directory, index);
}

Result<std::string> Tree::PathOf(const Waiting& waiting, std::uint64_t number) {
  std::string path;
  if (number == 0) return path;
  STRATA_TRY(Descend(number, &path, [&](const Place& place) { return Load(waiting, place); }));
  return path;
}

std::string Tree::KnownPathOf(std::uint64_t number) {
  std::string path;
  if (number == 0) return path;
  const auto found = Descend(number, &path, [&](const Place& place) -> Result<OpenDirectoryRef> {
    if (auto kept = Kept(place.number)) return kept;
    return Fail(Errc::kNotFound);
  });
  if (!found) path += path.empty() ? "..." : "/...";
  return path;
}

}  // namespace strata::vfs::castore
