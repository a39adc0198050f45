#include "store/objects/verify.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "store/castore/names.h"
#include "store/objects/closure_object.h"
#include "store/objects/layout.h"
#include "store/objects/object_blobs.h"
#include "store/objects/object_roots.h"
#include "store/pack/pace.h"

namespace strata::store {
namespace {

using pack::Problem;

constexpr std::size_t kMostFindings = 10'000;  // that wait for their paths
constexpr std::uint64_t kStepsOfAFolder = 1 << 16;
constexpr std::size_t kCacheOfAVerification = 16 << 20;

// The digest that a key's last part spells, in lower case.
std::optional<Digest> DigestOfKey(std::string_view key) {
  const std::string_view hex = key.substr(key.rfind('/') + 1);
  if (hex.size() != 2 * Digest::kSize) return std::nullopt;
  const auto digest = Digest::Parse(hex);
  if (!digest || digest->Hex() != hex) return std::nullopt;
  return *digest;
}

// How far a walk over keys has come: their digests are evenly spread.
std::uint64_t PlaceOf(const Digest& digest) {
  return std::to_integer<std::uint64_t>(digest.bytes[0]) << 8 | std::to_integer<std::uint64_t>(digest.bytes[1]);
}

bool IsSorted(const std::vector<Digest>& digests, const Digest& digest) {
  return std::ranges::binary_search(digests, digest);
}

class ObjectVerifier {
 public:
  ObjectVerifier(const std::shared_ptr<ObjectBucket>& bucket, DirectoryService& directories,
                 std::shared_ptr<ObjectBlobs> blobs, const pack::VerifyOptions& options)
      : bucket_(bucket),
        directories_(directories),
        blobs_(std::move(blobs)),
        options_(options),
        pace_(options.bytes_a_second) {}

  Result<pack::VerifyReport> Run() {
    STRATA_TRY(
        VisitObjects("chunks", "read chunks", ChunkKey, [this](const Digest& digest) { return ReadChunk(digest); }));
    STRATA_TRY(VisitObjects("blobs", "read lists of chunks", BlobKey, [this](const Digest& digest) {
      lists_.push_back(digest);
      return ReadList(digest);
    }));
    STRATA_TRY(VisitObjects("dirs", "read directories", DirectoryKey, [this](const Digest& digest) {
      closures_.push_back(digest);
      return ReadTree(digest);
    }));
    if (options_.reached && !report_.stopped) STRATA_TRY(WalkNames());
    for (Finding& finding : findings_) {
      AddPath(finding);
      if (options_.told) options_.told(finding.problem);
    }
    return report_;
  }

 private:
  struct Finding {
    Problem problem;
    std::optional<Digest> blob{};  // a path to this is a path to it
    std::optional<Digest> tree{};  // or a name of this
  };

  bool Step(std::string_view doing, std::uint64_t done, std::uint64_t total) {
    if (!report_.stopped && options_.progress && !options_.progress(doing, done, total)) report_.stopped = true;
    return !report_.stopped;
  }

  void Tell(Finding finding) {
    ++report_.problems;
    if (findings_.size() < kMostFindings) {
      findings_.push_back(std::move(finding));
    } else if (options_.told) {
      options_.told(finding.problem);
    }
  }

  void TellOf(Problem::What what, pack::RecordKind kind, const Digest& digest, std::string message,
              std::optional<Digest> blob = std::nullopt) {
    Problem problem;
    problem.what = what;
    problem.digest = digest;
    problem.kind = kind;
    problem.message = std::move(message);
    Finding finding{.problem = std::move(problem), .blob = std::move(blob)};
    if (kind == pack::RecordKind::kDirectory) finding.tree = digest;
    Tell(std::move(finding));
  }

  // Whether it is of this object that reading it failed, and not of the store as a whole.
  static bool IsOfTheObject(const Status& status) {
    return status.code() == Errc::kCorrupt || status.code() == Errc::kInvalid || status.code() == Errc::kIo ||
           status.code() == Errc::kNotFound || status.code() == Errc::kIsDirectory || status.code() == Errc::kAccess;
  }

  // All objects below a folder whose names are digests, in their order.
  Result<void> VisitObjects(const std::string& folder, std::string_view doing, std::string (*key_of)(const Digest&),
                            const std::function<Result<void>(const Digest&)>& visit) {
    if (report_.stopped) return {};
    Result<void> visited;
    STRATA_TRY(bucket_->List({}, folder, [&](std::string_view key) {
      const auto digest = DigestOfKey(key);
      if (!digest) return true;
      if (!Step(doing, PlaceOf(*digest), kStepsOfAFolder)) return false;
      if (key_of(*digest) != key) {
        TellOf(Problem::What::kDamagedRecord, pack::RecordKind::kChunk, *digest,
               bucket_->DescribeObject(std::string(key)) + " stands where nobody looks for it; it belongs to " +
                   key_of(*digest));
        return true;
      }
      ++report_.records;
      visited = Count(std::string(key));
      if (visited) visited = visit(*digest);
      return visited.has_value();
    }));
    return visited;
  }

  // Its bytes, as they are stored.
  Result<void> Count(const std::string& key) {
    const auto object = bucket_->Open({}, key);
    if (!object && !IsOfTheObject(object.error())) return Fail(object.error());
    if (!object || !*object) return {};
    report_.bytes += (*object)->size();
    pace_.Spend((*object)->size());
    return {};
  }

  Result<void> ReadChunk(const Digest& digest) {
    const auto chunk = blobs_->Open({}, digest);
    if (chunk) return {};  // or it was removed meanwhile
    if (!IsOfTheObject(chunk.error())) return Fail(chunk.error());
    bad_chunks_.insert(digest);
    TellOf(Problem::What::kDamagedRecord, pack::RecordKind::kChunk, digest, Named(chunk.error(), ChunkKey(digest)),
           digest);
    return {};
  }

  // An error with the object that it is of.
  std::string Named(const Status& status, const std::string& key) const {
    std::string message(status.message().empty() ? std::string_view(status.ToString()) : status.message());
    const std::string object = bucket_->DescribeObject(key);
    return message.contains(object) ? message : object + ": " + message;
  }

  void TellMissingChunk(const Digest& chunk, const Digest& blob) {
    bad_blobs_.insert(blob);
    TellOf(Problem::What::kMissing, pack::RecordKind::kChunk, chunk,
           "the chunk " + chunk.Text() + " of the blob " + blob.Text() + " is missing (" +
               bucket_->DescribeObject(ChunkKey(chunk)) + "); remove " + bucket_->DescribeObject(BlobKey(blob)) +
               ", and import the file again",
           blob);
  }

  Result<void> ReadList(const Digest& digest) {
    const std::string key = BlobKey(digest);
    const auto list = blobs_->Chunks({}, digest);
    if (!list) {
      if (!IsOfTheObject(list.error())) return Fail(list.error());
      bad_blobs_.insert(digest);
      TellOf(Problem::What::kDamagedRecord, pack::RecordKind::kList, digest, Named(list.error(), key), digest);
      return {};
    }
    if (!*list) return {};  // removed meanwhile
    if ((*list)->empty() || ((*list)->size() == 1 && (*list)->front().digest == digest)) {
      if (digest == Digest::OfEmpty() || bad_chunks_.contains(digest)) return {};
      STRATA_ASSIGN(const bool there, bucket_->Has({}, ChunkKey(digest)));
      if (!there) TellMissingChunk(digest, digest);
      return {};
    }
    return ReadBlob(digest, **list);
  }

  Result<void> ReadBlob(const Digest& digest, const ChunkList& list) {
    bool whole = true;
    Hasher hasher;
    absl::flat_hash_set<Digest> missing;
    for (const ChunkMeta& chunk : list) {
      if (!Step("read lists of chunks", PlaceOf(digest), kStepsOfAFolder)) return {};
      if (bad_chunks_.contains(chunk.digest)) {
        users_.try_emplace(chunk.digest, digest);
        bad_blobs_.insert(digest);
        whole = false;
        continue;
      }
      STRATA_ASSIGN(const bool there, bucket_->Has({}, ChunkKey(chunk.digest)));
      if (!there) {
        if (missing.insert(chunk.digest).second) TellMissingChunk(chunk.digest, digest);
        whole = false;
      }
      if (!there || !options_.blobs) continue;
      const auto reader = blobs_->Open({}, chunk.digest);
      if (!reader && !IsOfTheObject(reader.error())) return Fail(reader.error());
      if (!reader || !*reader) {
        whole = false;
        continue;  // it went bad between
      }
      if ((*reader)->size() != chunk.size) {
        bad_blobs_.insert(digest);
        TellOf(Problem::What::kDamagedRecord, pack::RecordKind::kList, digest,
               bucket_->DescribeObject(BlobKey(digest)) + " says that the chunk " + chunk.digest.Text() + " has " +
                   std::to_string(chunk.size) + " bytes, and it has " + std::to_string((*reader)->size()) +
                   "; remove the object and import the file again",
               digest);
        return {};
      }
      STRATA_ASSIGN(const BlobBytes bytes, (*reader)->Pin({}, 0, chunk.size));
      hasher.Update(bytes.bytes);
      pace_.Spend(bytes.bytes.size());
    }
    if (!whole || !options_.blobs || hasher.Finish() == digest) return {};
    bad_blobs_.insert(digest);
    TellOf(Problem::What::kWrongBlob, pack::RecordKind::kList, digest,
           "the blob " + digest.Text() + ": the chunks that " + bucket_->DescribeObject(BlobKey(digest)) +
               " names are sound, and make another blob; remove the object and import the file again",
           digest);
    return {};
  }

  // `from`: what names it, for the message.
  Result<void> CheckBlob(const Digest& digest, const std::string& from) {
    if (digest == Digest::OfEmpty() || IsSorted(lists_, digest)) return {};
    STRATA_ASSIGN(const bool there, blobs_->Has({}, digest));
    if (there || !bad_blobs_.insert(digest).second) return {};
    TellOf(Problem::What::kMissing, pack::RecordKind::kChunk, digest,
           "the blob " + digest.Text() + " is missing (" + bucket_->DescribeObject(BlobKey(digest)) + "): " + from +
               " names it; import the file again",
           digest);
    return {};
  }

  Result<void> ReadTree(const Digest& root) {
    const std::string key = DirectoryKey(root);
    auto object = bucket_->Open({}, key);
    if (object && !*object) return {};  // removed meanwhile
    std::optional<Status> failed;       // of the store
    Result<void> read = object ? Result<void>{} : Fail(object.error());
    if (object) {
      read = ReadWholeClosure(root, std::move(*object), [&](const Directory& directory) -> Result<void> {
        (void)Step("read directories", PlaceOf(root), kStepsOfAFolder);
        for (std::size_t i = 0; i < directory.count(); ++i) {
          const Directory::Entry entry = directory.At(i);
          if (entry.kind != NodeKind::kFile) continue;
          auto checked =
              CheckBlob(*entry.digest, "the directory " + directory.digest().Text() + " of the tree " + root.Text());
          if (!checked) failed = checked.error();
          STRATA_TRY(checked);
        }
        return {};
      });
    }
    if (failed) return Fail(*failed);
    if (read) return {};
    if (!IsOfTheObject(read.error())) return Fail(read.error());
    bad_trees_.insert(root);
    TellOf(Problem::What::kDamagedRecord, pack::RecordKind::kDirectory, root,
           "the tree " + root.Text() + ": " + Named(read.error(), key) + "; remove the object and put the tree again");
    return {};
  }

  Result<void> WalkNames() {
    std::vector<std::string> names;
    STRATA_TRY(bucket_->List({}, std::string(kRootsFolder), [&](std::string_view key) {
      names.emplace_back(key.substr(kRootsFolder.size() + 1));
      return true;
    }));
    ObjectRoots roots(bucket_);
    std::vector<std::pair<std::string, Root>> sound;
    for (const std::string& name : names) {
      if (!CheckNodeName(name)) continue;
      auto root = roots.Get({}, name);
      if (!root && !IsOfTheObject(root.error())) return Fail(root.error());
      if (!root) {
        Problem problem;
        problem.what = Problem::What::kDamagedName;
        problem.message = Named(root.error(), RootKey(name));
        Tell({.problem = std::move(problem)});
        continue;
      }
      if (!*root) continue;  // removed meanwhile
      STRATA_TRY(CheckRoot(name, **root));
      sound.emplace_back(name, **root);
    }
    for (const auto& [name, root] : sound) STRATA_TRY(FindPaths(name, root));
    return {};
  }

  Result<void> CheckRoot(const std::string& name, const Root& root) {
    const std::string from = "the name " + name;
    if (root.attributes) STRATA_TRY(CheckBlob(*root.attributes, from + ", as its attributes,"));
    if (root.node.kind == NodeKind::kFile) return CheckBlob(root.node.digest, from);
    if (root.node.kind != NodeKind::kDirectory) return {};
    const Digest& tree = root.node.digest;
    names_of_.try_emplace(tree, name);
    if (IsSorted(closures_, tree)) return {};
    const std::string key = DirectoryKey(tree);
    STRATA_ASSIGN(const bool there, bucket_->Has({}, key));
    if (there || !bad_trees_.insert(tree).second) return {};
    TellOf(Problem::What::kMissing, pack::RecordKind::kDirectory, tree,
           "the tree " + tree.Text() + " is missing (" + bucket_->DescribeObject(key) + "): " + from +
               " stands for it; import it again, or remove the name");
    return {};
  }

  // Goes through a tree for blobs that are damaged or missing, until each has a path.
  Result<void> FindPaths(const std::string& name, const Root& root) {
    absl::flat_hash_set<Digest> wanted = bad_blobs_;
    wanted.insert(bad_chunks_.begin(), bad_chunks_.end());
    absl::erase_if(wanted, [this](const Digest& digest) { return paths_.contains(digest); });
    const auto found = [&](const Digest& digest, std::string path) {
      if (wanted.erase(digest) > 0) paths_.emplace(digest, "the name " + name + " reaches it" + std::move(path));
    };
    if (root.attributes) found(*root.attributes, " as its attributes");
    if (root.node.kind == NodeKind::kFile) found(root.node.digest, "");
    if (root.node.kind != NodeKind::kDirectory || bad_trees_.contains(root.node.digest)) return {};

    struct Level {
      Directory directory;
      std::string path;  // with a slash at its end, or empty
      std::size_t next = 0;
    };
    std::vector<Level> levels;
    absl::flat_hash_set<Digest> seen;
    const auto enter = [&](const Digest& digest, std::string path) -> Result<void> {
      if (!seen.insert(digest).second) return {};
      auto directory = directories_.Get({}, digest);
      // It was whole a moment ago; where it cannot be had, paths are all that lacks.
      if (directory && *directory) levels.push_back({**std::move(directory), std::move(path)});
      return {};
    };
    if (!wanted.empty()) STRATA_TRY(enter(root.node.digest, ""));
    while (!levels.empty() && !wanted.empty()) {
      Level& level = levels.back();
      if (level.next == level.directory.count()) {
        levels.pop_back();
        continue;
      }
      const Directory::Entry entry = level.directory.At(level.next++);
      std::string path = level.path + std::string(entry.name);
      if (entry.kind == NodeKind::kFile) found(*entry.digest, " as " + path);
      if (entry.kind == NodeKind::kDirectory) STRATA_TRY(enter(*entry.digest, path + '/'));
      if (seen.size() % 1024 == 0 && !Step("look for paths", 0, 0)) return {};
    }
    return {};
  }

  void AddPath(Finding& finding) {
    const auto add = [&](const std::string& text) { finding.problem.message += " (" + text + ')'; };
    if (finding.tree) {
      if (const auto name = names_of_.find(*finding.tree); name != names_of_.end()) {
        add("the name " + name->second + " stands for it");
      }
    }
    if (!finding.blob) return;
    auto path = paths_.find(*finding.blob);
    if (path == paths_.end()) {
      // A chunk: of which blob it is.
      const auto user = users_.find(*finding.blob);
      if (user == users_.end()) return;
      path = paths_.find(user->second);
      if (path == paths_.end()) {
        add("the blob " + user->second.Text() + " has it");
        return;
      }
    }
    add(path->second);
  }

  const std::shared_ptr<ObjectBucket> bucket_;
  DirectoryService& directories_;
  const std::shared_ptr<ObjectBlobs> blobs_;
  const pack::VerifyOptions& options_;
  pack::Pace pace_;
  pack::VerifyReport report_;
  std::vector<Finding> findings_;
  std::vector<Digest> lists_, closures_;  // all that are there, sorted
  absl::flat_hash_set<Digest> bad_chunks_, bad_blobs_, bad_trees_;
  absl::flat_hash_map<Digest, Digest> users_;          // of a bad chunk the first blob
  absl::flat_hash_map<Digest, std::string> paths_;     // of a bad blob, as messages say it
  absl::flat_hash_map<Digest, std::string> names_of_;  // of a tree the first name
};

}  // namespace

Result<pack::VerifyReport> VerifyObjects(const std::shared_ptr<ObjectBucket>& bucket, DirectoryService& directories,
                                         const pack::VerifyOptions& options) {
  STRATA_ASSIGN(auto blobs, ObjectBlobs::Make(bucket, {}, kCacheOfAVerification));
  return ObjectVerifier(bucket, directories, std::move(blobs), options).Run();
}

}  // namespace strata::store
