#include "store/pack/directories.h"

namespace strata::store::pack {

Result<std::optional<Directory>> PackDirectories::Get(const Waiting& waiting, const Digest& digest) {
  auto content = engine_.Read(waiting, RecordKind::kDirectory, digest);
  if (!content && content.error().code() == Errc::kNotFound) return std::nullopt;
  if (!content) return Fail(content.error());
  auto directory = Directory::Parse(content->span());
  // It hashes to its digest, so it is what was put; what no directory can be was not put by us.
  if (!directory || directory->digest() != digest) {
    return Fail(Errc::kCorrupt, engine_.Describe() + ": the record " + digest.Text() + " holds no directory: " +
                                    std::string(directory ? "it is not canonical" : directory.error().message()));
  }
  return *std::move(directory);
}

Result<Digest> PackDirectories::Put(const Directory& directory) {
  STRATA_TRY(engine_.Put(RecordKind::kDirectory, directory.digest(), directory.canonical()));
  return directory.digest();
}

}  // namespace strata::store::pack
