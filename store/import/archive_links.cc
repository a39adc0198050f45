#include "store/import/archive_links.h"

#include <array>
#include <utility>

#include "store/castore/names.h"

namespace strata::store {
namespace {

constexpr int kMostPasses = 16;

// What waits for its target: the link itself, and its order among all entries.
std::string PackWaiting(std::string_view path, std::uint64_t order) {
  std::array<std::byte, 8> number;
  StoreLe(number.data(), order);
  return std::string(AsText(number)) + std::string(path);
}

struct WaitingLink {
  std::uint64_t order = 0;
  std::string path;
};
WaitingLink UnpackWaiting(std::string_view payload) {
  ByteReader in(AsBytes(payload));
  WaitingLink link;
  link.order = in.Read<std::uint64_t>();
  link.path = AsText(in.ReadBytes(in.remaining()));
  return link;
}

std::string PackResolved(std::uint64_t origin, std::string_view record) {
  std::array<std::byte, 8> number;
  StoreLe(number.data(), origin);
  return std::string(AsText(number)) + std::string(record);
}

// The last entry of a path before a given order, as the sorted entries and the links that wait go along side by side.
class EntryFinder {
 public:
  explicit EntryFinder(std::unique_ptr<RecordStream> entries) : entries_(std::move(entries)) {}

  // To be asked in sorted order. False: there is none; else what it is lies in order() and payload().
  Result<bool> Find(std::string_view path, std::uint64_t before) {
    if (path != path_) found_ = false;
    path_ = path;
    if (!begun_) STRATA_TRY(Advance());
    begun_ = true;
    while (more_ && (next_.key < path || (next_.key == path && next_.order < before))) {
      if (next_.key == path) {
        found_ = true;
        order_ = next_.order;
        payload_ = next_.payload;
      }
      STRATA_TRY(Advance());
    }
    return found_;
  }
  std::uint64_t order() const { return order_; }
  const std::string& payload() const { return payload_; }

 private:
  Result<void> Advance() {
    STRATA_ASSIGN(more_, entries_->Next(next_));
    return {};
  }

  const std::unique_ptr<RecordStream> entries_;
  SortedRecord next_;
  bool begun_ = false, more_ = false;
  std::string path_, payload_;
  std::uint64_t order_ = 0;
  bool found_ = false;
};

}  // namespace

ArchiveLinks::ArchiveLinks(Env& env, std::string folder, std::size_t memory)
    : env_(env),
      folder_(std::move(folder)),
      memory_(memory / 3),
      wanted_(std::make_unique<RecordSorter>(env_, folder_, memory_)),
      resolved_(env_, folder_, memory_) {}

Result<void> ArchiveLinks::Add(std::string_view path, std::uint64_t order, std::string_view target) {
  ++count_;
  return wanted_->Add(target, order, PackWaiting(path, order));
}

Result<void> ArchiveLinks::Resolve(RecordSorter& entries) {
  for (int pass = 0; wanted_->count() > 0; ++pass) {
    auto next_pass = std::make_unique<RecordSorter>(env_, folder_, memory_);
    STRATA_ASSIGN(auto waiting, wanted_->Read());
    STRATA_ASSIGN(auto stream, entries.Read());
    EntryFinder finder(std::move(stream));
    for (SortedRecord wanted;;) {
      STRATA_ASSIGN(const bool more, waiting->Next(wanted));
      if (!more) break;
      const WaitingLink link = UnpackWaiting(wanted.payload);
      const auto refused = [&](std::string_view why) {
        return Fail(Errc::kInvalid, "the hard link " + QuoteName(ShownPath(link.path)) + " in the archive is to " +
                                        QuoteName(ShownPath(wanted.key)) + ", " + std::string(why));
      };
      STRATA_ASSIGN(const bool found, finder.Find(wanted.key, wanted.order));
      if (!found) return refused("which does not come before it");
      STRATA_ASSIGN(const TreeRecord target, DecodeTreeRecord(finder.payload()));
      if (target.IsDirectory()) return refused("which is a directory");
      if (target.kind == RecordKind::kLink) {
        if (pass == kMostPasses) return refused("which is a link to a link to more than 16 others");
        STRATA_TRY(next_pass->Add(target.link, finder.order(), wanted.payload));
        continue;
      }
      STRATA_TRY(resolved_.Add(link.path, link.order, PackResolved(finder.order(), finder.payload())));
      STRATA_TRY(resolved_.Add(wanted.key, finder.order(), PackResolved(finder.order(), {})));
    }
    waiting.reset();
    wanted_ = std::move(next_pass);
  }
  return {};
}

Result<ArchiveLinks::Walk> ArchiveLinks::Read() {
  STRATA_ASSIGN(auto resolved, resolved_.Read());
  return Walk(std::move(resolved));
}

Result<std::optional<ResolvedLink>> ArchiveLinks::Walk::Find(std::string_view path, std::uint64_t order) {
  if (!begun_) {
    STRATA_ASSIGN(more_, resolved_->Next(next_));
    begun_ = true;
  }
  std::optional<ResolvedLink> found;
  while (more_ && (next_.key < path || (next_.key == path && next_.order <= order))) {
    if (next_.key == path && next_.order == order && !found) {
      ByteReader in(AsBytes(next_.payload));
      found.emplace();
      found->origin = in.Read<std::uint64_t>();
      if (in.remaining() > 0) {
        STRATA_ASSIGN(found->record, DecodeTreeRecord(AsText(in.ReadBytes(in.remaining()))));
      }
    }
    STRATA_ASSIGN(more_, resolved_->Next(next_));
  }
  return found;
}

}  // namespace strata::store
