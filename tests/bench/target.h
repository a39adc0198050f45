// A server under measurement, with the files that the metrics share; each is made when the first metric asks for it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tests/bench/options.h"
#include "tests/bench/pool.h"
#include "tests/bench/sample.h"

namespace nfsbench {

inline constexpr std::uint32_t kNames = 1000;

class Target {
 public:
  // Mounts the export and makes a folder of this run's own in it.
  Target(const TargetSpec& spec, const Options& options);

  const TargetSpec& spec() const { return spec_; }
  const Handle& work() const { return work_; }
  // The transfer size that both sides take, a multiple of 4 KiB.
  std::uint32_t read_size(const Options& options) const;
  std::uint32_t write_size(const Options& options) const;

  // kNames files "name-..." in one folder.
  void NeedNames(Pool& pool, const Options& options);
  const Handle& names_directory() const { return names_directory_; }
  const std::vector<Handle>& names() const { return names_; }
  // A file of Options::file_mib.
  const Handle& NeedLargeFile(Pool& pool, const Options& options);
  // A folder of Options::directory_entries files.
  const Handle& NeedLargeDirectory(Pool& pool, const Options& options);
  // Options::locks files of one folder.
  const std::vector<Handle>& NeedLockFiles(Pool& pool, const Options& options);
  // Whether the server has NLM, on NFS's own port, and grants locks. Makes the names.
  bool NeedLocks(Pool& pool, const Options& options);

  // Removes what was made.
  void CleanUp(const Options& options);

  bool no_readdirplus = false;  // the server does not have it

 private:
  TargetSpec spec_;
  Handle root_, work_, names_directory_, large_file_, large_directory_, lock_directory_;
  std::string work_name_;
  std::uint32_t rtmax_ = 0, wtmax_ = 0;
  bool has_names_ = false, has_large_file_ = false, has_large_directory_ = false;
  std::vector<Handle> names_, lock_files_;
  std::optional<bool> has_locks_;
};

Reply LookUp(Pool& pool, const Handle& parent, const std::string& name);
// These end the program if they fail. MakeDirectory and MakeFile take an object that is there.
Handle MustLookUp(Pool& pool, const Handle& parent, const std::string& name);
Handle MakeDirectory(Pool& pool, const Handle& parent, const std::string& name);
Handle MakeFile(Pool& pool, const Handle& parent, const std::string& name);
bool Remove(Pool& pool, Procedure procedure, const Handle& parent, const std::string& name);

// Writes the file from its beginning, Options::file_mib, UNSTABLE with one COMMIT behind it; returns the number of
// errors and says in sample->note what was answered.
std::uint64_t WriteLargeFile(const Target& target, Pool& pool, const Options& options, const Handle& file,
                             Sample* sample);

}  // namespace nfsbench
