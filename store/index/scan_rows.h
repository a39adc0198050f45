// How an Index makes its IndexScan.
#pragma once

#include <memory>

#include "store/index/scan.h"
#include "store/index/sqlite.h"

namespace strata::store {

Result<std::unique_ptr<IndexScan>> ScanRows(std::unique_ptr<Database> database);

}  // namespace strata::store
