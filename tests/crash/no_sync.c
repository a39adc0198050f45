// Preloaded into a server to break it: what it believes to be on the disk is not. The power cut must find that out.
#include <stddef.h>
#include <sys/types.h>

int fsync(int fd) { return (void)fd, 0; }
int fdatasync(int fd) { return (void)fd, 0; }
int syncfs(int fd) { return (void)fd, 0; }
int msync(void* at, size_t size, int flags) { return (void)at, (void)size, (void)flags, 0; }
int sync_file_range(int fd, off_t from, off_t size, unsigned flags) {
  return (void)fd, (void)from, (void)size, (void)flags, 0;
}
