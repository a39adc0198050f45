// Preloaded into the server. It notes when the journal is written and when it is synced (watch.h), and breaks the
// server on demand, in one way for each invariant of the soak: a soak that does not find that shows nothing.
#define _GNU_SOURCE
#include "tests/soak/watch.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { kFiles = 256, kBrokenMemory = 160 << 20, kBrokenDescriptors = 300, kBrokenMappings = 2000 };

// A file of the journal. `first`: when the first write that is not on the disk returned; `later`: the first since the
// sync that is under way began. 0: none.
struct File {
  dev_t device;
  ino_t inode;
  int journal;
  int64_t first, later;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct File files[kFiles];
static int file_count;
static struct Watch nowhere;
static struct Watch* watch = &nowhere;
static const char* broken = "";

static int Breaks(const char* what) { return strcmp(broken, what) == 0; }

static int64_t Now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void Sleep(double seconds) {
  const struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
  nanosleep(&time, NULL);
}

// The file behind a descriptor; null unless it lies in a folder named "journal". Under the mutex.
static struct File* Find(int fd) {
  struct stat st;
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return NULL;
  for (int i = 0; i < file_count; ++i) {
    if (files[i].inode == st.st_ino && files[i].device == st.st_dev) return files[i].journal ? &files[i] : NULL;
  }
  if (file_count == kFiles) {  // those of segments that are gone; the others come back by themselves
    int kept = 0;
    for (int i = 0; i < file_count; ++i) {
      if (files[i].first != 0) files[kept++] = files[i];
    }
    file_count = kept;
    if (kept == kFiles) abort();
  }
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(link, path, sizeof path - 1);
  path[size < 0 ? 0 : size] = '\0';
  struct File* file = &files[file_count++];
  *file = (struct File){st.st_dev, st.st_ino, strstr(path, "/journal/") != NULL, 0, 0};
  return file->journal ? file : NULL;
}

// Under the mutex.
static void TellOldest(void) {
  int64_t oldest = 0;
  for (int i = 0; i < file_count; ++i) {
    if (files[i].first != 0 && (oldest == 0 || files[i].first < oldest)) oldest = files[i].first;
  }
  __atomic_store_n(&watch->oldest, oldest, __ATOMIC_RELAXED);
}

// Zeros make room for what comes, and say nothing.
static int Says(const struct iovec* pieces, int count) {
  for (int i = 0; i < count; ++i) {
    const unsigned char* bytes = pieces[i].iov_base;
    for (size_t at = 0; at < pieces[i].iov_len; ++at) {
      if (bytes[at] != 0) return 1;
    }
  }
  return 0;
}

ssize_t pwritev(int fd, const struct iovec* pieces, int count, off_t offset) {
  const int says = Says(pieces, count);
  pthread_mutex_lock(&mutex);
  const int journal = Find(fd) != NULL;
  pthread_mutex_unlock(&mutex);
  ssize_t wrote = 0;
  if (journal && says && Breaks("loses") && watch->writes > 500) {
    for (int i = 0; i < count; ++i) wrote += (ssize_t)pieces[i].iov_len;
  } else {
    wrote = syscall(SYS_pwritev, fd, pieces, count, offset, 0L);
  }
  if (journal && says && wrote > 0) {
    pthread_mutex_lock(&mutex);
    struct File* file = Find(fd);
    const int64_t now = Now();
    if (file != NULL && file->first == 0) file->first = now;
    if (file != NULL && file->later == 0) file->later = now;
    __atomic_store_n(&watch->writes, watch->writes + 1, __ATOMIC_RELAXED);
    TellOldest();
    pthread_mutex_unlock(&mutex);
  }
  return wrote;
}

int fdatasync(int fd) {
  pthread_mutex_lock(&mutex);
  struct File* file = Find(fd);
  const int journal = file != NULL;
  const int64_t first = journal ? file->first : 0, began = Now();
  if (journal) file->later = 0;
  pthread_mutex_unlock(&mutex);
  if (journal && Breaks("syncs_late")) {
    static int64_t last;
    if (began - __atomic_load_n(&last, __ATOMIC_RELAXED) < INT64_C(3000000000)) return 0;
    __atomic_store_n(&last, began, __ATOMIC_RELAXED);
  }
  if (journal && Breaks("stalls")) {
    static int syncs;
    if (__atomic_add_fetch(&syncs, 1, __ATOMIC_RELAXED) % 50 == 0) Sleep(3);
  }
  const int status = (int)syscall(SYS_fdatasync, fd);
  if (!journal || status != 0) return status;
  pthread_mutex_lock(&mutex);
  const int64_t now = Now();
  file = Find(fd);
  if (file != NULL && first != 0 && file->first == first) file->first = file->later;
  if (first != 0 && now - first > watch->longest) __atomic_store_n(&watch->longest, now - first, __ATOMIC_RELAXED);
  if (now - began > watch->longest_sync) __atomic_store_n(&watch->longest_sync, now - began, __ATOMIC_RELAXED);
  __atomic_store_n(&watch->syncs, watch->syncs + 1, __ATOMIC_RELAXED);
  TellOldest();
  pthread_mutex_unlock(&mutex);
  return status;
}

// A file that goes takes along what was not on the disk.
static void Forget(const char* path) {
  struct stat st;
  if (strstr(path, "/journal/") == NULL || stat(path, &st) != 0) return;
  // A segment, also under the name that it has while a stub takes its place.
  if (Breaks("hoards") && strstr(path, "/reserve") == NULL && (long long)st.st_blocks * 512 >= 1 << 20) {
    char kept[4096];
    snprintf(kept, sizeof kept, "%s.hoarded-%lld", path, (long long)Now());
    if (link(path, kept) != 0) perror("link");
  }
  pthread_mutex_lock(&mutex);
  for (int i = 0; i < file_count; ++i) {
    if (files[i].inode == st.st_ino && files[i].device == st.st_dev) files[i] = files[--file_count];
  }
  TellOldest();
  pthread_mutex_unlock(&mutex);
}

int unlink(const char* path) {
  Forget(path);
  return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int rename(const char* from, const char* to) {
  if (Breaks("forgets") && strstr(to, "/lock-clients.json") != NULL) return unlink(from);
  Forget(to);
  return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

static void* Spin(void* unused) {
  for (;;) {
    for (const int64_t end = Now() + INT64_C(5000000); Now() < end;) {
    }
    Sleep(0.045);
  }
  return unused;
}

static void* Read(void* unused) {
  for (char bytes[4096];; Sleep(0.002)) {
    const int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    for (off_t at = 0; pread(fd, bytes, sizeof bytes, at) > 0 && at < 8192; at += (off_t)sizeof bytes) {
    }
    close(fd);
  }
  return unused;
}

__attribute__((constructor)) static void Begin(void) {
  const char* path = getenv(STRATA_WATCH_FILE);
  const int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
  void* mapped = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *watch, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) {
    fprintf(stderr, "watch.c: %s cannot be mapped\n", path == NULL ? STRATA_WATCH_FILE : path);
    abort();
  }
  close(fd);
  watch = mapped;
  const char* given = getenv(STRATA_WATCH_BREAK);
  if (given != NULL) broken = given;
  pthread_t thread;
  if (Breaks("spins")) pthread_create(&thread, NULL, Spin, NULL);
  if (Breaks("reads")) pthread_create(&thread, NULL, Read, NULL);
  for (int i = 0; Breaks("opens") && i < kBrokenDescriptors; ++i) {
    if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0) abort();
  }
  for (int i = 0; Breaks("maps") && i < kBrokenMappings; ++i) {  // neighbours of different protection stay apart
    if (mmap(NULL, 4096, i % 2 == 0 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
        MAP_FAILED) {
      abort();
    }
  }
  if (Breaks("swells")) memset(malloc(kBrokenMemory), 1, kBrokenMemory);
}

__attribute__((destructor)) static void End(void) {
  if (Breaks("lingers")) Sleep(3.5);
}
