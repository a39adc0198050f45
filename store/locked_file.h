// Files that are written under a name of their own, locked, and then renamed: who cleans up removes those that nobody
// has locked.
#pragma once

#include <memory>
#include <string>

#include "base/env.h"
#include "base/status.h"

namespace strata::store {

// Makes a file that is not there and locks it. Who cleans up may come between: then it is made again, so that the file
// bears its name and is locked when this returns. kExists where another has the file.
Result<std::unique_ptr<File>> CreateLocked(Env& env, const std::string& path);

}  // namespace strata::store
