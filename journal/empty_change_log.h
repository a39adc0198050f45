// A change log that holds nothing and takes nothing: of a volume that is served as it is and never changed.
#pragma once

#include <memory>

#include "journal/change_log.h"

namespace strata::journal {

// Appends fail with kReadOnly; Sync is done at once.
std::unique_ptr<ChangeLog> EmptyChangeLog();

}  // namespace strata::journal
