// A bucket in a folder: the object KEY is the file KEY beneath it, as object stores of other programs lay it out.
//
// An object is staged as tmp/SECONDS-RANDOM and gets its name by rename(2) once its bytes are on the disk, so that
// neither a crash nor a power cut leaves half of one. Staged objects wait for each other: Sync, or the 4096th, writes
// them out together. Until then this bucket shows them, and others do not see them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/mutex.h"
#include "store/objects/bucket.h"

namespace strata::store {

class FolderBucket final : public ObjectBucket {
 public:
  struct Options {
    bool create = false;     // make the folder where it is missing (not those above it)
    bool read_only = false;  // write nothing at all
  };
  // kNotFound, with what to do, where the folder is missing. `env` must outlive the bucket.
  static Result<std::unique_ptr<FolderBucket>> Open(Env& env, const std::string& folder, Options options);
  // As Sync, of what was not synced; whether that went well is for Sync to say.
  ~FolderBucket() override;

  Result<std::unique_ptr<ObjectReader>> Open(const Waiting& waiting, const std::string& key) override;
  Result<bool> Has(const Waiting& waiting, const std::string& key) override;
  Result<void> PutIfAbsent(const std::string& key, ObjectRank rank, ByteSpan bytes) override;
  Result<std::unique_ptr<ObjectWriter>> Create(const std::string& key, ObjectRank rank) override;
  Result<void> Replace(const std::string& key, ObjectRank rank, ByteSpan bytes) override;
  Result<bool> Remove(const std::string& key) override;
  Result<void> List(const Waiting& waiting, const std::string& folder,
                    const std::function<bool(std::string_view key)>& visit) override;
  // After one that failed, this bucket takes nothing more: what the disk has of the staged objects is not known.
  Result<void> Sync() override;
  std::string Describe() const override;
  std::string DescribeObject(const std::string& key) const override;

 private:
  struct Staged {
    ObjectRank rank = ObjectRank::kChunk;
    std::string path;
    std::uint64_t size = 0;
  };
  using Batch = std::map<std::string, Staged, std::less<>>;  // by key
  class Writer;

  FolderBucket(Env& env, std::string folder, bool read_only)
      : env_(env), folder_(std::move(folder)), read_only_(read_only) {}

  std::string PathOf(const std::string& key) const { return folder_ + '/' + key; }
  Result<void> CheckWritable(const std::string& key) STRATA_EXCLUDES(mutex_);
  void RemoveOldStaged();
  Result<std::unique_ptr<File>> CreateStaged(std::string& path);
  // Takes over a staged file; `replace`: over the object that is there.
  Result<void> Take(const std::string& key, Staged staged, bool replace) STRATA_EXCLUDES(mutex_);
  Result<void> Stage(const std::string& key, ObjectRank rank, ByteSpan bytes, bool replace);
  std::optional<std::string> StagedPath(const std::string& key) STRATA_EXCLUDES(mutex_);
  // The file of an object, staged or not; null where there is none.
  Result<std::unique_ptr<File>> OpenFile(const std::string& key);
  // Whether the object is there; then its name is made durable by the next Sync, since who put it may not have come to
  // that yet.
  Result<bool> RelyOn(const std::string& key) STRATA_EXCLUDES(mutex_);
  Result<void> Publish(const Batch& batch, const std::set<std::string>& relied_on) STRATA_REQUIRES(publish_mutex_);
  Result<void> MakeFolderOf(const std::string& key, std::set<std::string>& changed) STRATA_REQUIRES(publish_mutex_);
  // Visits the keys below `folder` in their order, those of `staged` where they belong, which are then taken out of it.
  // False: `visit` has said so.
  Result<bool> ListFolder(const std::string& folder, std::set<std::string>& staged,
                          const std::function<bool(std::string_view key)>& visit);

  Env& env_;
  const std::string folder_;
  const bool read_only_;

  Mutex publish_mutex_;  // before mutex_
  std::set<std::string> known_folders_ STRATA_GUARDED_BY(publish_mutex_);

  Mutex mutex_;
  Batch staged_ STRATA_GUARDED_BY(mutex_);
  Batch publishing_ STRATA_GUARDED_BY(mutex_);
  std::uint64_t staged_bytes_ STRATA_GUARDED_BY(mutex_) = 0;
  std::set<std::string> relied_on_ STRATA_GUARDED_BY(mutex_);  // folders of objects that were there
  std::optional<Status> failed_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace strata::store
