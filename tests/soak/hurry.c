// Preloaded into a program: the clock of the wall runs STRATA_HURRY_FACTOR times as fast, from STRATA_HURRY_FROM
// (seconds since 1970) on. What is done each ten minutes or each hour is done so much sooner: waits on conditions that
// would take longer than five minutes. Other waits, and the steady clock, are as they were.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long long from_ns, factor;

__attribute__((constructor)) static void Begin(void) {
  const char* from = getenv("STRATA_HURRY_FROM");
  const char* times = getenv("STRATA_HURRY_FACTOR");
  if (from == NULL || times == NULL) return;
  from_ns = atoll(from) * 1000000000LL;
  factor = atoll(times);
}

// The vDSO's way is not taken: this is no benchmark.
int clock_gettime(clockid_t clock, struct timespec* time) {
  const int status = (int)syscall(SYS_clock_gettime, clock, time);
  if (status != 0 || factor == 0 || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return status;
  const long long now = time->tv_sec * 1000000000LL + time->tv_nsec;
  const long long hurried = from_ns + (now - from_ns) * factor;
  time->tv_sec = hurried / 1000000000LL;
  time->tv_nsec = hurried % 1000000000LL;
  return 0;
}

int pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock,
                           const struct timespec* until) {
  static int (*wait)(pthread_cond_t*, pthread_mutex_t*, clockid_t, const struct timespec*);
  if (wait == NULL) *(void**)&wait = dlsym(RTLD_NEXT, "pthread_cond_clockwait");
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const long long begin = now.tv_sec * 1000000000LL + now.tv_nsec;
  const long long left = until->tv_sec * 1000000000LL + until->tv_nsec - begin;
  if (factor == 0 || clock != CLOCK_MONOTONIC || left < 300 * 1000000000LL) return wait(condition, mutex, clock, until);
  const long long end = begin + left / factor;
  const struct timespec sooner = {end / 1000000000LL, end % 1000000000LL};
  return wait(condition, mutex, clock, &sooner);
}
