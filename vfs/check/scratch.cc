#include "vfs/check/scratch.h"

#include <cstdint>
#include <cstdio>
#include <utility>

#include "vfs/workspace/index_file.h"

namespace strata::vfs {

Result<std::unique_ptr<Scratch>> Scratch::Make(Env& env, const std::string& workspace, const std::string& elsewhere) {
  RemoveCheckIndex(env, CheckIndexPath(workspace));  // of a check that was killed
  std::string base = CheckIndexPath(workspace);
  auto made = env.Open(base, OpenMode::kCreateExclusive);
  if (!made && (made.error().code() == Errc::kReadOnly || made.error().code() == Errc::kAccess)) {
    std::uint64_t random = 0;
    env.Random(std::as_writable_bytes(std::span(&random, 1)));
    char name[40];
    std::snprintf(name, sizeof name, "/strata-check-%016llx", static_cast<unsigned long long>(random));
    base = elsewhere + name;
    made = env.Open(base, OpenMode::kCreateExclusive);
  }
  if (!made) return Fail(made.error().WithContext("a temporary file for the check"));
  return std::unique_ptr<Scratch>(new Scratch(env, std::move(base)));
}

Scratch::~Scratch() { RemoveCheckIndex(env_, base_); }

}  // namespace strata::vfs
