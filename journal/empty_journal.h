// A journal that holds nothing and takes nothing: of a volume that is served as it is and never changed.
#pragma once

#include <memory>

#include "journal/journal.h"

namespace strata::journal {

// Appends fail with kReadOnly; Sync is done at once.
std::unique_ptr<Journal> EmptyJournal();

}  // namespace strata::journal
