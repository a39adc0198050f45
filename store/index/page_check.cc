#include "store/index/page_check.h"

#include <sqlite3.h>

#include <array>
#include <cstring>

#include "base/bytes.h"
#include "base/hash.h"

namespace strata::store {
namespace {

constexpr std::size_t kChecked = kPageBytes - 4;  // what the checksum covers

// The main file of a connection; SQLite's own file of the layer below lies right behind it. Other files (logs) are left
// to the layer below alone.
struct CheckedFile {
  sqlite3_file base;
  const PageSequence* sequence;
};

sqlite3_file* Below(sqlite3_file* file) {
  return reinterpret_cast<sqlite3_file*>(reinterpret_cast<CheckedFile*>(file) + 1);
}

sqlite3_vfs* BelowVfs(sqlite3_vfs* vfs) { return static_cast<sqlite3_vfs*>(vfs->pAppData); }

std::uint32_t Checksum(const std::byte* page, sqlite3_int64 offset) {
  std::array<std::byte, 4> number;
  StoreLe(number.data(), static_cast<std::uint32_t>(offset / kPageBytes + 1));
  return Crc32c(ByteSpan(page, kChecked), Crc32c(number));
}

int Read(sqlite3_file* file, void* bytes, int amount, sqlite3_int64 offset) {
  const int rc = Below(file)->pMethods->xRead(Below(file), bytes, amount, offset);
  // SQLite looks at the file's header by itself before it knows of pages, and then reads the first page whole.
  if (amount <= 100 || (rc != SQLITE_OK && rc != SQLITE_IOERR_SHORT_READ)) return rc;
  const PageSequence* sequence = reinterpret_cast<CheckedFile*>(file)->sequence;
  const auto* page = static_cast<const std::byte*>(bytes);
  // Pages beyond the file's end are not read; one that is cut is damage.
  const bool whole = rc == SQLITE_OK && amount == kPageBytes && offset % kPageBytes == 0;
  if (whole && LoadLe<std::uint32_t>(page + kChecked) == Checksum(page, offset)) {
    const bool newer = sequence != nullptr &&
                       LoadLe<std::uint32_t>(page + kChecked - 4) > sequence->limit.load(std::memory_order_acquire);
    if (!newer) return SQLITE_OK;
  }
  if (sequence != nullptr) sequence->damaged.store(true, std::memory_order_relaxed);
  return SQLITE_IOERR_DATA;
}

bool Stops(sqlite3_file* file) {
  const PageSequence* sequence = reinterpret_cast<CheckedFile*>(file)->sequence;
  return sequence != nullptr && sequence->stop && sequence->stop();
}

int Write(sqlite3_file* file, const void* bytes, int amount, sqlite3_int64 offset) {
  if (amount != kPageBytes || offset % kPageBytes != 0) return SQLITE_IOERR_WRITE;
  std::array<std::byte, kPageBytes> page;
  std::memcpy(page.data(), bytes, page.size());
  const PageSequence* sequence = reinterpret_cast<CheckedFile*>(file)->sequence;
  StoreLe(&page[kChecked - 4], sequence != nullptr ? sequence->newest.load(std::memory_order_relaxed) : 0u);
  StoreLe(&page[kChecked], Checksum(page.data(), offset));
  const int rc = Below(file)->pMethods->xWrite(Below(file), page.data(), amount, offset);
  return rc == SQLITE_OK && Stops(file) ? SQLITE_INTERRUPT : rc;
}

int Close(sqlite3_file* file) { return Below(file)->pMethods->xClose(Below(file)); }
int Truncate(sqlite3_file* file, sqlite3_int64 size) { return Below(file)->pMethods->xTruncate(Below(file), size); }
int Sync(sqlite3_file* file, int flags) {
  return Stops(file) ? SQLITE_INTERRUPT : Below(file)->pMethods->xSync(Below(file), flags);
}
int FileSize(sqlite3_file* file, sqlite3_int64* size) { return Below(file)->pMethods->xFileSize(Below(file), size); }
int Lock(sqlite3_file* file, int level) { return Below(file)->pMethods->xLock(Below(file), level); }
int Unlock(sqlite3_file* file, int level) { return Below(file)->pMethods->xUnlock(Below(file), level); }
int CheckReservedLock(sqlite3_file* file, int* held) {
  return Below(file)->pMethods->xCheckReservedLock(Below(file), held);
}
int FileControl(sqlite3_file* file, int operation, void* argument) {
  if (operation == kSetPageSequence) {
    reinterpret_cast<CheckedFile*>(file)->sequence = static_cast<const PageSequence*>(argument);
    return SQLITE_OK;
  }
  return Below(file)->pMethods->xFileControl(Below(file), operation, argument);
}
int SectorSize(sqlite3_file* file) { return Below(file)->pMethods->xSectorSize(Below(file)); }
int DeviceCharacteristics(sqlite3_file* file) { return Below(file)->pMethods->xDeviceCharacteristics(Below(file)); }
int ShmMap(sqlite3_file* file, int region, int size, int extend, void volatile** at) {
  return Below(file)->pMethods->xShmMap(Below(file), region, size, extend, at);
}
int ShmLock(sqlite3_file* file, int offset, int count, int flags) {
  return Below(file)->pMethods->xShmLock(Below(file), offset, count, flags);
}
void ShmBarrier(sqlite3_file* file) { Below(file)->pMethods->xShmBarrier(Below(file)); }
int ShmUnmap(sqlite3_file* file, int remove) { return Below(file)->pMethods->xShmUnmap(Below(file), remove); }

// Of version 2: without memory mapping, in which no page could be checked.
constexpr sqlite3_io_methods kMethods{2,
                                      Close,
                                      Read,
                                      Write,
                                      Truncate,
                                      Sync,
                                      FileSize,
                                      Lock,
                                      Unlock,
                                      CheckReservedLock,
                                      FileControl,
                                      SectorSize,
                                      DeviceCharacteristics,
                                      ShmMap,
                                      ShmLock,
                                      ShmBarrier,
                                      ShmUnmap,
                                      nullptr,
                                      nullptr};

int Open(sqlite3_vfs* vfs, sqlite3_filename name, sqlite3_file* file, int flags, int* out_flags) {
  sqlite3_vfs* below = BelowVfs(vfs);
  if ((flags & SQLITE_OPEN_MAIN_DB) == 0) return below->xOpen(below, name, file, flags, out_flags);
  auto* checked = reinterpret_cast<CheckedFile*>(file);
  checked->sequence = nullptr;
  checked->base.pMethods = nullptr;  // nothing to close if opening fails
  const int rc = below->xOpen(below, name, Below(file), flags, out_flags);
  if (rc == SQLITE_OK || Below(file)->pMethods != nullptr) checked->base.pMethods = &kMethods;
  return rc;
}

// All but xOpen go to the layer below, which must be told of itself.
sqlite3_vfs MakeVfs() {
  sqlite3_vfs* below = sqlite3_vfs_find(nullptr);
  sqlite3_vfs vfs = *below;
  vfs.pNext = nullptr;
  vfs.zName = "strata-checked";
  vfs.pAppData = below;
  vfs.szOsFile = static_cast<int>(sizeof(CheckedFile)) + below->szOsFile;
  vfs.xOpen = Open;
  vfs.xDelete = [](sqlite3_vfs* v, const char* name, int sync) {
    return BelowVfs(v)->xDelete(BelowVfs(v), name, sync);
  };
  vfs.xAccess = [](sqlite3_vfs* v, const char* name, int flags, int* out) {
    return BelowVfs(v)->xAccess(BelowVfs(v), name, flags, out);
  };
  vfs.xFullPathname = [](sqlite3_vfs* v, const char* name, int size, char* out) {
    return BelowVfs(v)->xFullPathname(BelowVfs(v), name, size, out);
  };
  return vfs;
}

}  // namespace

const char* CheckedVfs() {
  static sqlite3_vfs vfs = [] {
    sqlite3_initialize();
    return MakeVfs();
  }();
  [[maybe_unused]] static const int registered = sqlite3_vfs_register(&vfs, 0);
  return vfs.zName;
}

}  // namespace strata::store
