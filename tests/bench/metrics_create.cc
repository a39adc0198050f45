// Measurements that change the name space.
#include "tests/bench/metrics.h"
#include "tests/bench/support.h"

namespace nfsbench {
namespace {

constexpr std::uint32_t kFileBytes = 4096;

Pool::MakeCall InDirectory(Procedure procedure, const Handle& directory, const char* prefix) {
  return [procedure, &directory, prefix](std::uint64_t i, Call& call) {
    call.procedure = procedure;
    call.handle = &directory;
    call.name = NumberedName(prefix, i);
  };
}

// Each slot makes a file, writes 4 KiB to it, and (unless the write was FILE_SYNC) commits it; then the next one.
Sample RunCreate(Target& target, const Options& options, Pool& pool, int repetition, std::uint32_t depth,
                 bool file_sync) {
  const std::string name = "small" + std::to_string(repetition);
  const Handle directory = MakeDirectory(pool, target.work(), name);
  enum class Step { kNone, kCreated, kWritten, kCommitted };
  struct Slot {
    Step step = Step::kNone;
    Handle file;
  };
  const Step last = file_sync ? Step::kWritten : Step::kCommitted;
  std::vector<Slot> slots(depth);
  std::uint64_t files = 0;
  std::uint64_t calls = 0;
  Sample sample;
  const Stopwatch stopwatch(target.spec().pid);
  pool.Run(
      [&](std::uint32_t index, const Reply* previous, Call& call) {
        Slot& slot = slots[index];
        if (previous != nullptr) {
          ++calls;
          if (!previous->ok()) {
            ++sample.errors;
            slot.step = last;
          } else if (slot.step == Step::kCreated) {
            slot.file = previous->handle;
          }
        }
        if (slot.step == Step::kNone || slot.step == last) {
          if (files == options.files) return false;
          call.procedure = Procedure::kCreate;
          call.handle = &directory;
          call.name = NumberedName("f", files++);
          slot.step = Step::kCreated;
        } else if (slot.step == Step::kCreated) {
          call.procedure = Procedure::kWrite;
          call.handle = &slot.file;
          call.count = kFileBytes;
          call.stable = file_sync ? kFileSync : kUnstable;
          call.data = Payload().data();
          slot.step = Step::kWritten;
        } else {
          call.procedure = Procedure::kCommit;
          call.handle = &slot.file;
          call.count = 0;
          slot.step = Step::kCommitted;
        }
        return true;
      },
      depth);
  stopwatch.Finish(options.files, sample);
  sample.note = std::to_string(calls) + " calls";
  pool.Batch(depth, options.files, InDirectory(Procedure::kRemove, directory, "f"));
  Remove(pool, Procedure::kRmdir, target.work(), name);
  return sample;
}

// `first` makes Options::files objects in a folder of its own, `second` removes them; which of the two is the result?
Sample RunPair(Target& target, const Options& options, Pool& pool, const std::string& name, Procedure first,
               Procedure second, bool want_first) {
  const Handle directory = MakeDirectory(pool, target.work(), name);
  const Sample made = RunCount(target, pool, options.depth, options.files, InDirectory(first, directory, "d"));
  const Sample removed = RunCount(target, pool, options.depth, options.files, InDirectory(second, directory, "d"));
  Remove(pool, Procedure::kRmdir, target.work(), name);
  return want_first ? made : removed;
}

}  // namespace

Sample RunCreateFileSync(Target& target, const Options& options, Pool& pool, int repetition) {
  return RunCreate(target, options, pool, repetition, options.depth, true);
}

Sample RunCreateCommit(Target& target, const Options& options, Pool& pool, int repetition) {
  return RunCreate(target, options, pool, repetition, options.depth, false);
}

Sample RunCreateFileSync64(Target& target, const Options& options, Pool& pool, int repetition) {
  return RunCreate(target, options, pool, repetition, 64, true);
}

Sample RunCreateCommit64(Target& target, const Options& options, Pool& pool, int repetition) {
  return RunCreate(target, options, pool, repetition, 64, false);
}

Sample RunRemove(Target& target, const Options& options, Pool& pool, int repetition) {
  return RunPair(target, options, pool, "remove" + std::to_string(repetition), Procedure::kCreate, Procedure::kRemove,
                 false);
}

Sample RunMkdir(Target& target, const Options& options, Pool& pool, int repetition) {
  return RunPair(target, options, pool, "mkdir" + std::to_string(repetition), Procedure::kMkdir, Procedure::kRmdir,
                 true);
}

Sample RunRmdir(Target& target, const Options& options, Pool& pool, int repetition) {
  return RunPair(target, options, pool, "rmdir" + std::to_string(repetition), Procedure::kMkdir, Procedure::kRmdir,
                 false);
}

// The names there and back, twice: every call is a RENAME of a name that exists to one that does not.
Sample RunRename(Target& target, const Options& options, Pool& pool, int) {
  target.NeedNames(pool, options);
  const auto rename = [&](const char* from, const char* to) {
    return pool.Batch(options.depth, kNames, [&](std::uint64_t i, Call& call) {
      call.procedure = Procedure::kRename;
      call.handle = call.to_directory = &target.names_directory();
      call.name = NumberedName(from, i);
      call.to_name = NumberedName(to, i);
    });
  };
  Sample sample;
  const Stopwatch stopwatch(target.spec().pid);
  for (int i = 0; i < 2; ++i) sample.errors += rename("name", "other") + rename("other", "name");
  stopwatch.Finish(4.0 * kNames, sample);
  return sample;
}

}  // namespace nfsbench
