// What watch.c, preloaded into the server, tells the soak through a file that both have mapped. Times are of
// CLOCK_MONOTONIC, in nanoseconds.
#ifndef STRATA_TESTS_SOAK_WATCH_H_
#define STRATA_TESTS_SOAK_WATCH_H_

#include <stdint.h>

// The variables of the environment: the file, and what to break ("" for nothing).
#define STRATA_WATCH_FILE "STRATA_WATCH_FILE"
#define STRATA_WATCH_BREAK "STRATA_WATCH_BREAK"

// Loaded and stored by __atomic_load_n and __atomic_store_n.
struct Watch {
  int64_t oldest;        // when the oldest write to the journal that is not on the disk yet returned; 0: there is none
  int64_t longest;       // that any write waited for the end of the sync after it
  int64_t longest_sync;  // that a sync took
  uint64_t writes, syncs;
};

#endif  // STRATA_TESTS_SOAK_WATCH_H_
