// PageCheck: every page of an index file carries a checksum. It is written and checked as the page goes to and comes
// from the file. SQLite has none of its own in the main file: a row that a bad disk changed would be served as if it
// were true.
//
// SQLite leaves a page's last 8 bytes alone. They hold, little-endian, the sequence number of the newest transaction
// when the page was written into the file (4 bytes). Then comes crc32c of the page number and of the page up to here (4
// bytes).
//
// The sequence number finds what checksums cannot. The write-ahead log may be damaged after part of it was brought into
// the file. SQLite then reads the log up to the damage, and pages of two states mix. The file then holds a page that is
// newer than the newest transaction which can be seen.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

namespace strata::store {

inline constexpr int kPageBytes = 4096;
inline constexpr int kPageCheckBytes = 8;

// The sequence numbers of the transactions of one index in this process, and what its pages were found to be; shared by
// its connections.
struct PageSequence {
  std::atomic<std::uint32_t> newest{0};           // put into pages as they are written
  std::atomic<std::uint32_t> limit{0xffff'ffff};  // a page read with a higher one is damage
  mutable std::atomic<bool> damaged{false};       // a page that was read did not check
  // Called for each page that was written into the file, and before the file is synced. True: no more is to be written,
  // and SQLite's call fails with SQLITE_INTERRUPT. Set by the one thread that writes.
  std::function<bool()> stop = {};
};

// The name of SQLite's file layer with these checks; registered at the first call.
const char* CheckedVfs();
// What sqlite3_file_control takes to tell a connection's main file of its PageSequence (the argument), which must
// outlive it.
inline constexpr int kSetPageSequence = 0x53545249;

}  // namespace strata::store
