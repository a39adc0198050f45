// The process that the crash test kills: opens a workspace and changes it, and says on its standard output what it was
// answered.
//   vfs_crash_child FOLDER SEED FIRST-STEP strict|relaxed CHECKPOINT-RECORDS
// A line for each step, only after its answer might have left a server: "STEP INO GENERATION LOCATOR" (zeros where
// nothing was made).
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "crash_ops.h"
#include "vfs/workspace/workspace.h"

namespace strata::vfs::testing {
namespace {

class Holder : public FileSystemHolder {
 public:
  explicit Holder(Workspace& workspace) : workspace_(workspace) {}
  FileSystem& fs() override { return workspace_; }

 private:
  Workspace& workspace_;
};

int Run(char** argv) {
  WorkspaceOptions options;
  options.durability = std::string(argv[4]) == "strict" ? Durability::kStrict : Durability::kRelaxed;
  options.checkpoint_records = std::strtoull(argv[5], nullptr, 10);
  options.memory_bytes = 1 << 20;
  auto workspace = Workspace::Open(Env::System(), argv[1], options);
  if (!workspace) {
    std::fprintf(stderr, "%s\n", workspace.error().ToString().c_str());
    return 1;
  }
  Holder holder(**workspace);
  Client client(holder);
  const std::uint64_t seed = std::strtoull(argv[2], nullptr, 10);
  const std::uint64_t first = std::strtoull(argv[3], nullptr, 10);
  for (std::uint64_t step = first; step < first + 5000; ++step) {
    const CrashOutcome outcome = CrashOp(client, seed, step);
    const ObjectId id = outcome.made.value_or(ObjectId{});
    char line[100];
    const int size = std::snprintf(line, sizeof line, "%llu %llu %u %llu\n", static_cast<unsigned long long>(step),
                                   static_cast<unsigned long long>(id.ino.value), id.generation.value,
                                   static_cast<unsigned long long>(id.locator));
    // One write, so that a line comes whole or not at all.
    if (::write(STDOUT_FILENO, line, static_cast<std::size_t>(size)) != size) return 1;
  }
  return 0;
}

}  // namespace
}  // namespace strata::vfs::testing

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  return strata::vfs::testing::Run(argv);
}
