#include "store/castore/directory_service.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "store/castore/closure.h"
#include "store/castore/digest_table.h"

namespace strata::store {
namespace {

struct Seen {
  Digest digest;
};

std::unexpected<Status> MissingChild(const DirectoryService& service, const Digest& root, const Digest& child) {
  return Fail(Errc::kCorrupt, service.Describe() + " lacks the directory " + child.Text() + " of the tree " +
                                  root.Text() + "; put that tree anew, or fetch it from where it is whole");
}

// Puts each directory as it comes.
class PutterByPut final : public DirectoryPutter {
 public:
  explicit PutterByPut(DirectoryService& service) : service_(service) {}

  Result<void> Put(const Directory& directory) override {
    if (closed_) return AlreadyClosed();
    STRATA_ASSIGN(const bool is_new, closure_.Add(directory));
    if (is_new) STRATA_TRY(service_.Put(directory));
    return {};
  }

  Result<Digest> Close() override {
    if (closed_) return AlreadyClosed();
    closed_ = true;
    return closure_.Finish();
  }

 private:
  static std::unexpected<Status> AlreadyClosed() {
    return Fail(Errc::kInvalid, "directories are put after a tree's end: already closed");
  }

  DirectoryService& service_;
  LeavesToRoot closure_;
  bool closed_ = false;
};

}  // namespace

Result<Digest> DirectoryService::Put(const Directory&) {
  return Fail(Errc::kReadOnly, Describe() + " takes no directories: it is read-only");
}

Result<void> DirectoryService::GetRecursive(const Waiting& waiting, const Digest& root,
                                            const std::function<bool(const Directory&)>& visit) {
  // All that were named so far, in the order in which they are visited.
  DigestTable<Seen> seen;
  seen.Add({root});
  for (std::size_t next = 0; next < seen.size(); ++next) {
    STRATA_ASSIGN(const std::optional<Directory> directory, Get(waiting, seen[next].digest));
    if (!directory && next == 0) return {};
    if (!directory) return MissingChild(*this, root, seen[next].digest);
    if (!visit(*directory)) return {};
    for (std::size_t i = 0; i < directory->count(); ++i) {
      const Directory::Entry entry = directory->At(i);
      if (entry.kind != NodeKind::kDirectory || seen.Find(*entry.digest) != nullptr) continue;
      if (seen.size() >= kMaxClosure) {
        return Fail(Errc::kInvalid, "the tree " + root.Text() + " in " + Describe() + " has more than " +
                                        std::to_string(kMaxClosure) + " directories");
      }
      seen.Add({*entry.digest});
    }
  }
  return {};
}

Result<std::unique_ptr<DirectoryPutter>> DirectoryService::PutMany() { return std::make_unique<PutterByPut>(*this); }

Result<void> DirectoryService::Sync() { return {}; }

Result<std::optional<Node>> FindNode(DirectoryService& service, const Waiting& waiting, const Node& root,
                                     std::string_view path) {
  // All of it, before anything is said of what is there.
  for (std::string_view rest = path; !path.empty();) {
    const std::size_t slash = rest.find('/');
    if (auto name = CheckNodeName(rest.substr(0, slash)); !name) return Fail(name.error().WithContext("a path"));
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  Node node = root;
  while (!path.empty()) {
    const std::string_view name = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), name.size() + 1));
    if (node.kind != NodeKind::kDirectory) return std::nullopt;
    STRATA_ASSIGN(const std::optional<Directory> directory, service.Get(waiting, node.digest));
    if (!directory) return MissingChild(service, root.digest, node.digest);
    const std::size_t index = directory->Find(name);
    if (index == directory->count()) return std::nullopt;
    node = directory->At(index).node();
  }
  return node;
}

Result<void> VisitLeavesToRoot(DirectoryService& service, const Waiting& waiting, const Digest& root,
                               const std::function<bool(const Directory&)>& visit) {
  DigestTable<Seen> seen;
  seen.Add({root});
  // From the root to the directory whose children are being visited, and how far each has come.
  std::vector<std::pair<Directory, std::size_t>> path;
  STRATA_ASSIGN(const std::optional<Directory> top, service.Get(waiting, root));
  if (!top) return {};
  path.emplace_back(*top, 0);
  while (!path.empty()) {
    auto& [directory, next] = path.back();
    if (next == directory.count()) {
      if (!visit(directory)) return {};
      path.pop_back();
      continue;
    }
    const Directory::Entry entry = directory.At(next++);
    if (entry.kind != NodeKind::kDirectory || seen.Find(*entry.digest) != nullptr) continue;
    const Digest digest = *entry.digest;
    if (seen.size() >= kMaxClosure) {
      return Fail(Errc::kInvalid, "the tree " + root.Text() + " in " + service.Describe() + " has more than " +
                                      std::to_string(kMaxClosure) + " directories");
    }
    seen.Add({digest});
    STRATA_ASSIGN(const std::optional<Directory> child, service.Get(waiting, digest));
    if (!child) return MissingChild(service, root, digest);
    path.emplace_back(*child, 0);
  }
  return {};
}

}  // namespace strata::store
