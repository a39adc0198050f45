#include "vfs/layer/lower_tree.h"

#include <algorithm>
#include <array>
#include <limits>
#include <span>
#include <utility>

namespace strata::vfs {
namespace {

constexpr std::uint64_t kIdMask = (std::uint64_t{1} << kLayerIdBits) - 1;
constexpr std::uint64_t kAgain = std::uint64_t{1} << (kLayerIdBits - 1);
constexpr int kAgainIdBits = 40;
constexpr std::uint64_t kAgainIdMask = (std::uint64_t{1} << kAgainIdBits) - 1;
constexpr std::uint64_t kHashMask = std::numeric_limits<std::uint64_t>::max() >> 1;

// What a call says when all layers were silent: the first thing that is more than "not found".
class Silence {
 public:
  void Add(Status status) {
    if (!worst_ || worst_->code() == Errc::kNotFound) worst_ = std::move(status);
  }
  // A layer answered, though with nothing.
  void AddAnswer() { answered_ = true; }
  std::unexpected<Status> Take() {
    if (answered_ || !worst_) return Fail(Errc::kNotFound);
    return std::unexpected(std::move(*worst_));
  }

 private:
  std::optional<Status> worst_;
  bool answered_ = false;
};

// Puts together what the layers, from the highest down, say of one name (overlay X1 to X3).
class Merge {
 public:
  // False: the layers below have no more say.
  bool Add(std::uint32_t position, const LayerStat& stat) {
    if (stat.whiteout) return false;
    const Attributes& attributes = stat.attributes;
    const bool directory = attributes.type == FileType::kDirectory;
    const bool first = found_.node.sources.empty();
    if (!first && !directory) return false;
    if (first || made_up_) {
      const Time mtime = found_.attributes.mtime, ctime = found_.attributes.ctime;
      found_.attributes = attributes;
      made_up_ = stat.made_up;
      if (!first) KeepLatest(mtime, ctime);
    }
    if (first) found_.shared = stat.shared;
    if (!first) {
      found_.attributes.nlink = 1;
      KeepLatest(attributes.mtime, attributes.ctime);
    }
    const std::array<std::uint64_t, 4> seen{position, stat.node.id, static_cast<std::uint64_t>(attributes.mtime.ns),
                                            static_cast<std::uint64_t>(attributes.ctime.ns)};
    found_.version = SipHash13({found_.version, 0}, std::as_bytes(std::span(seen)));
    found_.node.generation = Generation(stat.generation);
    found_.node.sources.push_back({position, stat.node.id, stat.node.parent});
    several_links_ = !directory && stat.node.parent == 0;
    return directory && !stat.opaque;
  }
  bool empty() const { return found_.node.sources.empty(); }
  bool several_links() const { return several_links_; }
  const Origin::Source& lowest() const { return found_.node.sources.back(); }
  LowerFound Take(InodeNumber number, std::uint64_t locator) {
    found_.node.number = number;
    found_.node.locator = locator;
    found_.attributes.ino = number;
    if (number == kRootInode) found_.shared = 0;
    return std::move(found_);
  }

 private:
  void KeepLatest(Time mtime, Time ctime) {
    found_.attributes.mtime = std::max(found_.attributes.mtime, mtime);
    found_.attributes.ctime = std::max(found_.attributes.ctime, ctime);
  }

  LowerFound found_;
  bool several_links_ = false;
  bool made_up_ = false;  // where the attributes came from
};

bool Precedes(const LowerListing& listing, const LowerListing::Item& a, const LowerListing::Item& b) {
  if (a.hash != b.hash) return a.hash < b.hash;
  return listing.Name(a) < listing.Name(b);
}
bool SameName(const LowerListing& listing, const LowerListing::Item& a, const LowerListing::Item& b) {
  return a.hash == b.hash && listing.Name(a) == listing.Name(b);
}

// Gives back what growing took too much of, where it is worth the copy.
template <typename Container>
void Tighten(Container& container) {
  if (container.capacity() - container.size() > container.size() / 8 + 64) container.shrink_to_fit();
}

// The entry as an item, its name put into the arena; false where the listing cannot hold it.
bool AppendItem(LowerListing& listing, const SipHashKey& key, const LayerEntry& entry, InodeNumber number,
                LowerListing::Item& item) {
  if (entry.name.size() > std::numeric_limits<std::uint16_t>::max()) return false;
  if (listing.names.size() > std::numeric_limits<std::uint32_t>::max() - entry.name.size()) return false;
  item.hash = NameHash(key, entry.name);
  item.number = number;
  item.name_offset = static_cast<std::uint32_t>(listing.names.size());
  item.name_size = static_cast<std::uint16_t>(entry.name.size());
  item.type = entry.type;
  listing.names.append(entry.name);
  return true;
}

Status TooManyEntries() {
  return Status(Errc::kFileTooBig, "a layer's directory has more names than a listing can hold");
}

}  // namespace

std::uint64_t NameHash(const SipHashKey& key, std::string_view name) {
  const std::uint64_t hash = SipHash13(key, AsBytes(name)) & kHashMask;
  return hash < kFirstNameHash ? hash + kFirstNameHash : hash;
}

// One layer's word on one name, while a directory of several layers is listed.
struct LowerTree::Candidate {
  LowerListing::Item item;
  std::uint32_t rank = 0;  // of the source within the directory's sources, 0 is the highest
  bool whiteout = false;
};

LowerTree::LowerTree(std::vector<std::unique_ptr<Layer>> layers, SipHashKey name_key)
    : layers_(std::move(layers)), name_key_(name_key) {}

void LowerTree::Describe(const LowerNode& node, std::vector<std::string>& descriptions) const {
  for (const Origin::Source& source : node.sources) {
    if (const Layer* layer = LayerAt(source.layer)) descriptions.push_back(layer->Describe());
  }
}

bool LowerTree::IsImmutable(const LowerNode& node) const {
  return std::ranges::all_of(node.sources, [&](const Origin::Source& source) {
    const Layer* layer = LayerAt(source.layer);
    return layer == nullptr || layer->Traits().immutable;
  });
}

bool LowerTree::SharesNumbers() const {
  return std::ranges::any_of(layers_, [](const auto& layer) { return layer->Traits().shares_numbers; });
}

bool LowerTree::MayBeListed(const LowerNode& directory) const {
  return std::ranges::none_of(directory.sources, [&](const Origin::Source& source) {
    const Layer* layer = LayerAt(source.layer);
    return layer != nullptr && layer->Traits().unlisted == source.node;
  });
}

std::optional<std::uint32_t> LowerTree::PositionOf(InodeNumber number) const {
  const std::uint64_t from_below = number.value >> kLayerIdBits;
  if (from_below == 0 || from_below > layers_.size()) return std::nullopt;
  return static_cast<std::uint32_t>(layers_.size() - from_below);
}

InodeNumber LowerTree::AgainNumber(const LowerNode& node, FileType type) {
  const std::uint64_t id = node.number.value & kIdMask;
  if (!IsLower(node.number) || id > kAgainIdMask) return kNoInode;
  const std::uint64_t kind = std::uint64_t{node.generation.value} << 8 | static_cast<std::uint8_t>(type);
  const std::uint64_t hash = kind * 0x9e3779b97f4a7c15 >> (64 - (kLayerIdBits - 1 - kAgainIdBits));
  return InodeNumber(node.number.value | kAgain | hash << kAgainIdBits);
}

InodeNumber LowerTree::OwnNumber(InodeNumber number) {
  if (!IsLower(number) || (number.value & kAgain) == 0) return number;
  return InodeNumber(number.value & (~kIdMask | kAgainIdMask));
}

LowerNode LowerTree::NodeOf(const InodeRecord& record) const {
  const std::vector<Origin::Source>& sources = record.origin.sources;
  const bool has_own = record.ino != kRootInode && !sources.empty();
  const InodeNumber own = has_own ? NumberOf(sources.back().layer, sources.back().node) : record.ino;
  return {own, record.generation, record.locator, sources};
}

Result<LowerFound> LowerTree::Root(const OpContext& context) {
  if (layers_.empty()) return Fail(Errc::kNotFound);
  if (layers_.size() > kMaxLayers) {
    return Fail(Errc::kInvalid, "more than " + std::to_string(kMaxLayers) + " layers; flatten some of them into one");
  }
  Merge merge;
  for (std::uint32_t position = 0; position < layers_.size(); ++position) {
    Layer& layer = *layers_[position];
    auto stat = layer.Stat(context, layer.Root());
    if (!stat) return Fail(stat.error().WithContext(layer.Describe()));
    if (stat->attributes.type != FileType::kDirectory)
      return Fail(Errc::kNotDirectory, layer.Describe() + ": not a directory");
    if (!merge.Add(position, *stat)) break;
  }
  LowerFound found = merge.Take(kRootInode, 0);
  found.node.generation = Generation(0);  // the root is the root, whatever layers come below it
  return found;
}

Result<LowerFound> LowerTree::Lookup(const OpContext& context, const LowerNode& directory, std::string_view name) {
  Merge merge;
  Silence silence;
  for (const Origin::Source& source : directory.sources) {
    Layer* layer = LayerAt(source.layer);
    if (layer == nullptr) return Fail(Errc::kStale);
    auto stat = layer->Lookup(context, {source.node, source.parent}, name);
    if (!stat) {
      if (!IsAbsence(stat.error().code())) return std::unexpected(std::move(stat.error()));
      if (stat.error().code() == Errc::kNotFound) silence.AddAnswer();
      silence.Add(std::move(stat.error()));
      continue;
    }
    silence.AddAnswer();
    if (!merge.Add(source.layer, *stat)) break;
  }
  if (merge.empty()) return silence.Take();
  const InodeNumber number = NumberOf(merge.lowest().layer, merge.lowest().node);
  const std::uint64_t locator = merge.several_links() ? 0 : directory.number.value;
  return merge.Take(number, locator);
}

Result<LowerFound> LowerTree::Stat(const OpContext& context, const LowerNode& node) {
  if (node.number == kRootInode && node.sources.empty()) return Root(context);
  Merge merge;
  const bool only_directories = node.sources.size() > 1;
  for (const Origin::Source& source : node.sources) {
    Layer* layer = LayerAt(source.layer);
    if (layer == nullptr) return Fail(Errc::kStale);
    auto stat = layer->Stat(context, {source.node, source.parent});
    // What is left of the others still shows.
    if (!stat && IsAbsence(stat.error().code())) continue;
    if (!stat) return std::unexpected(std::move(stat.error()));
    if (only_directories && stat->attributes.type != FileType::kDirectory) continue;
    // The sources were found by a Lookup: what hides what has been decided there.
    stat->whiteout = stat->opaque = false;
    merge.Add(source.layer, *stat);
  }
  if (merge.empty()) return Fail(Errc::kStale);
  LowerFound found = merge.Take(node.number, node.locator);
  found.node.sources = node.sources;
  if (node.number == kRootInode) found.node.generation = Generation(0);
  return found;
}

Result<LowerListing> LowerTree::List(const OpContext& context, const LowerNode& directory) {
  if (directory.sources.empty()) return Fail(Errc::kNotFound);
  if (directory.sources.size() > 1) return ListMerged(context, directory);
  const Origin::Source& source = directory.sources.front();
  Layer* layer = LayerAt(source.layer);
  if (layer == nullptr) return Fail(Errc::kStale);

  LowerListing listing;
  bool full = false;
  STRATA_TRY(layer->ReadDirectory(context, {source.node, source.parent}, [&](const LayerEntry& entry) {
    if (entry.whiteout) return true;
    LowerListing::Item item;
    full = !AppendItem(listing, name_key_, entry, NumberOf(source.layer, entry.node.id), item);
    if (!full) listing.items.push_back(item);
    return !full;
  }));
  if (full) return Fail(TooManyEntries());
  auto& items = listing.items;
  std::sort(items.begin(), items.end(), [&](const auto& a, const auto& b) { return Precedes(listing, a, b); });
  // A host folder that changes while it is read may tell a name twice.
  const auto end =
      std::unique(items.begin(), items.end(), [&](const auto& a, const auto& b) { return SameName(listing, a, b); });
  items.erase(end, items.end());
  Tighten(listing.items);
  Tighten(listing.names);
  return listing;
}

Result<void> LowerTree::Collect(const OpContext& context, const LowerNode& directory, const Origin::Source& source,
                                std::uint32_t rank, LowerListing& listing, std::vector<Candidate>& candidates) {
  Layer* layer = LayerAt(source.layer);
  if (layer == nullptr) return Fail(Errc::kStale);
  bool full = false;
  const bool lowest = rank + 1 == directory.sources.size();
  STRATA_TRY(layer->ReadDirectory(context, {source.node, source.parent}, [&](const LayerEntry& entry) {
    if (entry.whiteout && lowest) return true;
    Candidate candidate;
    candidate.rank = rank;
    candidate.whiteout = entry.whiteout;
    full = !AppendItem(listing, name_key_, entry, NumberOf(source.layer, entry.node.id), candidate.item);
    if (!full) candidates.push_back(candidate);
    return !full;
  }));
  if (full) return Fail(TooManyEntries());
  return {};
}

// The number of the directory that `group` makes, whose first member is visible: that of the lowest layer that
// contributes.
Result<InodeNumber> LowerTree::LowestNumber(const OpContext& context, const LowerNode& directory,
                                            const LowerListing& listing, const Candidate* group, std::size_t size) {
  const Candidate* lowest = &group[0];
  for (std::size_t i = 1; i < size; ++i) {
    const Candidate& next = group[i];
    if (next.whiteout || next.item.type != FileType::kDirectory) break;
    if (next.rank == lowest->rank) continue;
    const Origin::Source& source = directory.sources[lowest->rank];
    const auto stat = LayerAt(source.layer)->Lookup(context, {source.node, source.parent}, listing.Name(lowest->item));
    if (!stat && !IsAbsence(stat.error().code())) return Fail(stat.error());
    if (stat && stat->opaque) break;
    lowest = &next;
  }
  return lowest->item.number;
}

Result<LowerListing> LowerTree::ListMerged(const OpContext& context, const LowerNode& directory) {
  LowerListing listing;
  std::vector<Candidate> candidates;
  Silence silence;
  bool listed = false;
  for (std::uint32_t rank = 0; rank < directory.sources.size(); ++rank) {
    auto collected = Collect(context, directory, directory.sources[rank], rank, listing, candidates);
    listed |= collected.has_value();
    if (collected) continue;
    if (!IsAbsence(collected.error().code())) return std::unexpected(std::move(collected.error()));
    silence.Add(std::move(collected.error()));
  }
  if (!listed) return silence.Take();

  // A whiteout comes after the same layer's own entry of the name, which it does not hide (X1).
  std::sort(candidates.begin(), candidates.end(), [&](const Candidate& a, const Candidate& b) {
    if (!SameName(listing, a.item, b.item)) return Precedes(listing, a.item, b.item);
    return std::pair(a.rank, a.whiteout) < std::pair(b.rank, b.whiteout);
  });
  for (std::size_t i = 0, end = 0; i < candidates.size(); i = end) {
    for (end = i + 1; end < candidates.size() && SameName(listing, candidates[i].item, candidates[end].item);) ++end;
    const Candidate& top = candidates[i];
    if (top.whiteout) continue;
    LowerListing::Item item = top.item;
    if (item.type == FileType::kDirectory) {
      STRATA_ASSIGN(item.number, LowestNumber(context, directory, listing, &candidates[i], end - i));
    }
    listing.items.push_back(item);
  }
  candidates = {};
  Tighten(listing.items);
  Tighten(listing.names);
  return listing;
}

LowerTree::Top LowerTree::TopOf(const LowerNode& node) const {
  if (node.sources.empty()) return {};
  // What is made up has nothing to say where another source does.
  const auto real = std::ranges::find_if(node.sources, [](const auto& each) { return each.node < kFirstFreeId; });
  const Origin::Source& source = real == node.sources.end() ? node.sources.front() : *real;
  return {LayerAt(source.layer), {source.node, source.parent}};
}

Result<std::size_t> LowerTree::Read(const OpContext& context, const LowerNode& file, std::uint64_t offset,
                                    std::size_t length, const LayerVersion* expected, ReadSink& sink) {
  const Top top = TopOf(file);
  if (top.layer == nullptr) return Fail(Errc::kStale);
  return top.layer->Read(context, top.node, offset, length, expected, sink);
}

Result<std::string> LowerTree::ReadLink(const OpContext& context, const LowerNode& symlink) {
  const Top top = TopOf(symlink);
  if (top.layer == nullptr) return Fail(Errc::kStale);
  return top.layer->ReadLink(context, top.node);
}

Result<std::vector<std::string>> LowerTree::ListXattr(const OpContext& context, const LowerNode& node) {
  const Top top = TopOf(node);
  if (top.layer == nullptr) return Fail(Errc::kStale);
  return top.layer->ListXattr(context, top.node);
}

Result<std::string> LowerTree::GetXattr(const OpContext& context, const LowerNode& node, std::string_view name) {
  const Top top = TopOf(node);
  if (top.layer == nullptr) return Fail(Errc::kStale);
  return top.layer->GetXattr(context, top.node, name);
}

// The layer that the number names says where its node lies; the merged tree is then walked down to that place, so that
// a whiteout or a file above it counts. A directory's locator is the number of its merged parent, which may be of a
// lower layer than the directory: then the layer has to search.
Result<LowerFound> LowerTree::ResolveOwn(const OpContext& context, InodeNumber number, std::uint64_t locator,
                                         LowerNode* parent, std::string* name) {
  if (number == kRootInode) return Descend(context, "", parent, name);
  const auto position = PositionOf(number);
  if (!position) return Fail(Errc::kStale);
  Layer& layer = *layers_[*position];
  LayerNode node{number.value & kIdMask, 0};
  if (InodeNumber(locator) == kRootInode) {
    node.parent = layer.Root().id;
  } else if (PositionOf(InodeNumber(locator)) == position) {
    node.parent = locator & kIdMask;
  }
  auto path = layer.PathOf(context, node);
  if (!path) return std::unexpected(std::move(path.error()));
  if (path->empty()) return Fail(Errc::kStale);
  auto found = Descend(context, *path, parent, name);
  if (found && found->node.number == number) return found;
  if (!found && !IsAbsence(found.error().code())) return found;
  // Another link of the file may still show.
  auto stat = layer.Stat(context, node);
  if (!stat && !IsAbsence(stat.error().code())) return std::unexpected(std::move(stat.error()));
  if (stat && stat->attributes.type != FileType::kDirectory && stat->attributes.nlink > 1)
    return Walk(context, number, parent, name);
  return Fail(Errc::kStale);
}

Result<LowerFound> LowerTree::Resolve(const OpContext& context, InodeNumber number, std::uint64_t locator,
                                      LowerNode* parent, std::string* name) {
  auto found = ResolveOwn(context, number, locator, parent, name);
  const InodeNumber own = OwnNumber(number);
  if (own == number || found || !IsAbsence(found.error().code())) return found;
  found = ResolveOwn(context, own, locator, parent, name);
  if (found && AgainNumber(found->node, found->attributes.type) != number) return Fail(Errc::kStale);
  return found;
}

Result<LowerFound> LowerTree::Descend(const OpContext& context, std::string_view path, LowerNode* parent,
                                      std::string* name) {
  STRATA_ASSIGN(LowerFound found, Root(context));
  LowerNode above = found.node;
  std::string_view step;
  while (!path.empty()) {
    step = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), step.size() + 1));
    above = std::move(found.node);
    STRATA_ASSIGN(found, Lookup(context, above, step));
  }
  if (parent != nullptr) *parent = std::move(above);
  if (name != nullptr) *name = step;
  return found;
}

// Looks through the whole merged tree, for the one case that no layer can answer alone.
Result<LowerFound> LowerTree::Walk(const OpContext& context, InodeNumber number, LowerNode* parent, std::string* name) {
  if (!context.may_block) return Fail(Errc::kWouldBlock);
  STRATA_ASSIGN(LowerFound root, Root(context));
  std::vector<LowerNode> pending;
  pending.push_back(std::move(root.node));
  while (!pending.empty()) {
    const LowerNode directory = std::move(pending.back());
    pending.pop_back();
    const auto listing = List(context, directory);
    if (!listing && !MayPassOver(listing.error().code())) return Fail(listing.error());
    if (!listing) continue;
    for (const LowerListing::Item& item : listing->items) {
      if (item.number != number && item.type != FileType::kDirectory) continue;
      auto found = Lookup(context, directory, listing->Name(item));
      if (!found && !MayPassOver(found.error().code())) return found;
      if (!found) continue;
      if (found->node.number == number) {
        if (parent != nullptr) *parent = directory;
        if (name != nullptr) *name = listing->Name(item);
        return found;
      }
      if (found->attributes.type == FileType::kDirectory) pending.push_back(std::move(found->node));
    }
  }
  return Fail(Errc::kStale);
}

}  // namespace strata::vfs
