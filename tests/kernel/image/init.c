// PID 1 of the kernel client's guest: one static binary, so that booting forks nothing.
//   1. a tmpfs overlay over the read-only image, and pivot_root into it
//   2. network by ioctl, kernel modules, the job's directory of the host at /host, then bash /host/job
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static char cmdline[4096];
static struct utsname un;

static void mnt(const char* src, const char* dst, const char* type, const char* opt) {
  mkdir(dst, 0755);
  if (mount(src, dst, type, 0, opt) && errno != EBUSY) fprintf(stderr, "init: mount %s: %s\n", dst, strerror(errno));
}
static void mod(const char* name) {
  char p[256];
  snprintf(p, sizeof p, "/lib/modules/%s/extra/%s.ko", un.release, name);
  int fd = open(p, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST) fprintf(stderr, "init: %s: %s\n", name, strerror(errno));
  close(fd);
}
static char* arg(const char* key) {
  static char buf[512];
  char* p = strstr(cmdline, key);
  if (!p) return NULL;
  p += strlen(key);
  size_t n = strcspn(p, " \n");
  if (n >= sizeof buf) n = sizeof buf - 1;
  memcpy(buf, p, n);
  buf[n] = 0;
  return buf;
}
static void up(const char* ifn, const char* addr, const char* mask, int mtu) {
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  struct ifreq r = {0};
  struct sockaddr_in* a = (void*)&r.ifr_addr;
  strncpy(r.ifr_name, ifn, IFNAMSIZ - 1);
  if (addr) {
    a->sin_family = AF_INET;
    inet_pton(AF_INET, addr, &a->sin_addr);
    if (ioctl(s, SIOCSIFADDR, &r)) perror("init: addr");
    a->sin_family = AF_INET;
    inet_pton(AF_INET, mask, &a->sin_addr);
    ioctl(s, SIOCSIFNETMASK, &r);
  }
  if (mtu && mtu != 1500) {
    r.ifr_mtu = mtu;
    if (ioctl(s, SIOCSIFMTU, &r)) perror("init: mtu");
  }
  if (ioctl(s, SIOCGIFFLAGS, &r)) perror("init: if");
  r.ifr_flags |= IFF_UP | IFF_RUNNING;
  ioctl(s, SIOCSIFFLAGS, &r);
  close(s);
}
static void raw(const char* dev) {
  struct termios t;
  int fd = open(dev, O_RDWR | O_NOCTTY);
  if (fd < 0) return;
  if (!tcgetattr(fd, &t)) {
    cfmakeraw(&t);
    tcsetattr(fd, TCSANOW, &t);
  }
  close(fd);
}
static void put(const char* path, const char* text) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (fd >= 0) {
    if (write(fd, text, strlen(text))) {
    }
    close(fd);
  }
}
int main(void) {
  uname(&un);
  mnt("proc", "/proc", "proc", NULL);
  int fd = open("/proc/cmdline", O_RDONLY);
  ssize_t n = read(fd, cmdline, sizeof cmdline - 1);
  if (n > 0) cmdline[n] = 0;
  close(fd);
  mod("overlay");
  mnt("ovl", "/run", "tmpfs", "size=75%");
  mkdir("/run/u", 0755);
  mkdir("/run/w", 0755);
  mkdir("/run/n", 0755);
  mnt("overlay", "/run/n", "overlay", "lowerdir=/,upperdir=/run/u,workdir=/run/w");
  mount("/proc", "/run/n/proc", NULL, MS_MOVE, NULL);
  if (mount("/dev", "/run/n/dev", NULL, MS_MOVE, NULL)) mnt("dev", "/run/n/dev", "devtmpfs", NULL);
  if (chdir("/run/n")) perror("chdir");
  mkdir(".old", 0755);
  if (syscall(SYS_pivot_root, ".", ".old") || chroot(".") || chdir("/")) perror("init: pivot_root");

  mnt("sysfs", "/sys", "sysfs", NULL);
  mnt("devpts", "/dev/pts", "devpts", "mode=620,ptmxmode=666");
  mnt("shm", "/dev/shm", "tmpfs", "mode=1777");
  mnt("tmp", "/tmp", "tmpfs", "mode=1777");
  mnt("run", "/run", "tmpfs", "mode=755");
  unlink("/etc/mtab");
  if (symlink("/proc/self/mounts", "/etc/mtab")) {
  }
  if (symlink("/proc/self/fd", "/dev/fd")) {
  }
  umask(022);
  sethostname("guest", 5);
  mkdir("/host", 0755);
  mnt("none", "/host", "hostfs", arg("guest_job="));
  char gw[64] = "", hosts[256], *a = arg("guest_gw=");
  if (a) strncpy(gw, a, 63);
  snprintf(hosts, sizeof hosts, "127.0.0.1 localhost guest\n%s nfsserver\n", gw);
  put("/etc/hosts", hosts);
  up("lo", "127.0.0.1", "255.0.0.0", 0);
  a = arg("guest_mtu=");
  int mtu = a ? atoi(a) : 0;
  a = arg("guest_addr=");
  up("vec0", a, "255.255.255.252", mtu);
  const char* mods[] = {"netfs",      "fscache",     "sunrpc", "grace", "lockd", "nfs_acl",
                        "nfs_common", "nfs_localio", "nfs",    "nfsv3", 0};
  for (int i = 0; mods[i]; i++) mod(mods[i]);
  const char* out = "/dev/tty1";
  raw(out);
  pid_t p = fork();
  if (!p) {
    setsid();
    int o = open(out, O_RDWR | O_NOCTTY), in = open("/dev/null", O_RDONLY);
    dup2(in, 0);
    dup2(o, 1);
    dup2(o, 2);
    for (int i = 3; i < 32; i++) close(i);
    char* env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                   "HOME=/root",
                   "LANG=C.UTF-8",
                   "TERM=dumb",
                   "USER=root",
                   "LOGNAME=root",
                   0};
    char* av[] = {"bash", "/host/job", 0};
    execve("/bin/bash", av, env);
    _exit(127);
  }
  int st;
  for (;;) {  // reap orphans until the job is done
    pid_t q = waitpid(-1, &st, 0);
    if (q == p || (q < 0 && errno == ECHILD)) break;
  }
  sync();
  reboot(RB_POWER_OFF);
  for (;;) pause();
}
