#include "tests/bench/target.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "tests/bench/prepared.h"
#include "tests/bench/support.h"

namespace nfsbench {
namespace {
constexpr std::uint32_t kExist = 17;  // NFS3ERR_EXIST
constexpr std::uint64_t kPage = 4096;
}  // namespace

Reply LookUp(Pool& pool, const Handle& parent, const std::string& name) {
  Call call;
  call.procedure = Procedure::kLookup;
  call.handle = &parent;
  call.name = name;
  return pool.One(call);
}

Handle MustLookUp(Pool& pool, const Handle& parent, const std::string& name) {
  const Reply reply = LookUp(pool, parent, name);
  if (!reply.ok()) Die("LOOKUP %s: status %u", name.c_str(), reply.status);
  return reply.handle;
}

Handle MakeDirectory(Pool& pool, const Handle& parent, const std::string& name) {
  Call call;
  call.procedure = Procedure::kMkdir;
  call.handle = &parent;
  call.name = name;
  Reply reply = pool.One(call);
  if (reply.ok() && reply.handle.length > 0) return reply.handle;
  if (!reply.accepted || (reply.status != 0 && reply.status != kExist))
    Die("MKDIR %s: status %u", name.c_str(), reply.status);
  call.procedure = Procedure::kLookup;
  reply = pool.One(call);
  if (!reply.ok()) Die("LOOKUP %s: status %u", name.c_str(), reply.status);
  return reply.handle;
}

Handle MakeFile(Pool& pool, const Handle& parent, const std::string& name) {
  Call call;
  call.procedure = Procedure::kCreate;
  call.handle = &parent;
  call.name = name;
  Reply reply = pool.One(call);
  if (!reply.ok()) Die("CREATE %s: status %u", name.c_str(), reply.status);
  if (reply.handle.length > 0) return reply.handle;
  call.procedure = Procedure::kLookup;
  reply = pool.One(call);
  if (!reply.ok()) Die("LOOKUP %s: status %u", name.c_str(), reply.status);
  return reply.handle;
}

bool Remove(Pool& pool, Procedure procedure, const Handle& parent, const std::string& name) {
  Call call;
  call.procedure = procedure;
  call.handle = &parent;
  call.name = name;
  return pool.One(call).ok();
}

std::uint64_t WriteLargeFile(const Target& target, Pool& pool, const Options& options, const Handle& file,
                             Sample* sample) {
  const std::uint32_t size = target.write_size(options);
  const std::uint64_t total = options.file_mib << 20;
  std::uint64_t offset = 0;
  std::uint64_t errors = 0;
  bool all_stable = true;
  std::vector<std::uint32_t> asked(options.sequential_depth);
  pool.Run(
      [&](std::uint32_t slot, const Reply* previous, Call& call) {
        if (previous != nullptr && (!previous->ok() || previous->count != asked[slot])) ++errors;
        if (previous != nullptr && previous->committed != kFileSync) all_stable = false;
        if (offset >= total) return false;
        call.procedure = Procedure::kWrite;
        call.handle = &file;
        call.offset = offset;
        call.count = asked[slot] = static_cast<std::uint32_t>(std::min<std::uint64_t>(size, total - offset));
        call.data = Payload().data() + (offset >> 20) % 3 * kPage;
        offset += call.count;
        return true;
      },
      options.sequential_depth);
  Call commit;
  commit.procedure = Procedure::kCommit;
  commit.handle = &file;
  const bool committed = pool.One(commit).ok();
  if (!committed && !all_stable) ++errors;  // a client need not COMMIT what was answered FILE_SYNC
  if (sample != nullptr) {
    sample->note = "wsize " + std::to_string(size) + (committed ? "" : ", COMMIT failed") +
                   (all_stable ? ", all WRITEs answered FILE_SYNC" : "");
  }
  return errors;
}

Target::Target(const TargetSpec& spec, const Options& options)
    : spec_(spec),
      root_(MountRoot(spec.host, spec.mount_port, spec.path)),
      work_name_(options.prepared ? kPreparedFolder : "nfsbench." + std::to_string(getpid())) {
  Pool pool(spec_, options, 1);
  Call call;
  call.procedure = Procedure::kFsinfo;
  call.handle = &root_;
  const Reply reply = pool.One(call);
  if (!reply.ok()) Die("%s: FSINFO: status %u", spec_.label.c_str(), reply.status);
  rtmax_ = reply.rtmax;
  wtmax_ = reply.wtmax;
  work_ = options.prepared ? MustLookUp(pool, root_, work_name_) : MakeDirectory(pool, root_, work_name_);
  std::fprintf(stderr, "# %s: rtmax %u wtmax %u dtpref %u\n", spec_.label.c_str(), rtmax_, wtmax_, reply.dtpref);
}

std::uint32_t Target::read_size(const Options& options) const {
  return std::min(options.transfer, rtmax_ != 0 ? rtmax_ : options.transfer) & ~std::uint32_t{kPage - 1};
}

std::uint32_t Target::write_size(const Options& options) const {
  return std::min(options.transfer, wtmax_ != 0 ? wtmax_ : options.transfer) & ~std::uint32_t{kPage - 1};
}

void Target::NeedNames(Pool& pool, const Options& options) {
  if (has_names_) return;
  names_directory_ = options.prepared ? MustLookUp(pool, work_, "names") : MakeDirectory(pool, work_, "names");
  const auto errors = pool.Batch(
      options.depth, kNames,
      [&](std::uint64_t i, Call& call) {
        call.procedure = options.prepared ? Procedure::kLookup : Procedure::kCreate;
        call.handle = &names_directory_;
        call.name = NumberedName("name", i);
      },
      &names_);
  if (errors > 0)
    Die("%s: making %u names: %llu errors", spec_.label.c_str(), kNames, static_cast<unsigned long long>(errors));
  has_names_ = true;
}

const Handle& Target::NeedLargeFile(Pool& pool, const Options& options) {
  if (has_large_file_) return large_file_;
  has_large_file_ = options.prepared;
  large_file_ = options.prepared ? MustLookUp(pool, work_, "large") : MakeFile(pool, work_, "large");
  if (options.prepared) return large_file_;
  const auto errors = WriteLargeFile(*this, pool, options, large_file_, nullptr);
  if (errors > 0)
    Die("%s: writing the large file: %llu errors", spec_.label.c_str(), static_cast<unsigned long long>(errors));
  has_large_file_ = true;
  return large_file_;
}

const Handle& Target::NeedLargeDirectory(Pool& pool, const Options& options) {
  if (has_large_directory_) return large_directory_;
  has_large_directory_ = options.prepared;
  large_directory_ = options.prepared ? MustLookUp(pool, work_, "directory") : MakeDirectory(pool, work_, "directory");
  if (options.prepared) return large_directory_;
  const auto errors = pool.Batch(options.depth, options.directory_entries, [&](std::uint64_t i, Call& call) {
    call.procedure = Procedure::kCreate;
    call.handle = &large_directory_;
    call.name = NumberedName("entry", i);
  });
  if (errors > 0)
    Die("%s: filling the large directory: %llu errors", spec_.label.c_str(), static_cast<unsigned long long>(errors));
  has_large_directory_ = true;
  return large_directory_;
}

const std::vector<Handle>& Target::NeedLockFiles(Pool& pool, const Options& options) {
  if (!lock_files_.empty()) return lock_files_;
  lock_directory_ = MakeDirectory(pool, work_, "locks");
  const auto errors = pool.Batch(
      64, options.locks,
      [&](std::uint64_t i, Call& call) {
        call.procedure = Procedure::kCreate;
        call.handle = &lock_directory_;
        call.name = NumberedName("lock", i);
      },
      &lock_files_);
  if (errors > 0)
    Die("%s: making files to lock: %llu errors", spec_.label.c_str(), static_cast<unsigned long long>(errors));
  return lock_files_;
}

bool Target::NeedLocks(Pool& pool, const Options& options) {
  if (has_locks_) return *has_locks_;
  NeedNames(pool, options);
  Call call;
  call.procedure = Procedure::kNlmNull;
  has_locks_ = pool.One(call).accepted;
  if (!*has_locks_) return false;
  call.handle = &names_[0];
  call.procedure = Procedure::kNlmLock;
  const Reply reply = pool.One(call);
  if (reply.accepted && reply.status == kNlmDeniedNoLocks) has_locks_ = false;
  call.procedure = Procedure::kNlmUnlock;
  if (reply.ok()) pool.One(call);
  return *has_locks_;
}

void Target::CleanUp(const Options& options) {
  Pool pool(spec_, options, 1);
  const auto empty = [&](const Handle& directory, const char* prefix, std::uint32_t count, const char* name) {
    pool.Batch(32, count, [&](std::uint64_t i, Call& call) {
      call.procedure = Procedure::kRemove;
      call.handle = &directory;
      call.name = NumberedName(prefix, i);
    });
    Remove(pool, Procedure::kRmdir, work_, name);
  };
  if (has_names_) empty(names_directory_, "name", kNames, "names");
  if (has_large_directory_) empty(large_directory_, "entry", options.directory_entries, "directory");
  if (!lock_files_.empty()) empty(lock_directory_, "lock", options.locks, "locks");
  if (has_large_file_) Remove(pool, Procedure::kRemove, work_, "large");
  if (!Remove(pool, Procedure::kRmdir, root_, work_name_)) {
    std::fprintf(stderr, "# %s: %s could not be removed\n", spec_.label.c_str(), work_name_.c_str());
  }
}

}  // namespace nfsbench
