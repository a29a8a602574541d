/* A slow or broken disk: what is preloaded into a server. The file that FAULT_DISK names holds two numbers of four bytes:
   the milliseconds that every fsync takes longer, and the error that it ends with, or 0. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile uint32_t *orders;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("FAULT_DISK");
  int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *mapped = mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (mapped != MAP_FAILED) orders = mapped;
}

static int synced(const char *name, int fd) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  if (orders && orders[0]) usleep(orders[0] * 1000);
  if (orders && orders[1]) {
    errno = (int)orders[1];
    return -1;
  }
  return real(fd);
}

int fsync(int fd) { return synced("fsync", fd); }
int fdatasync(int fd) { return synced("fdatasync", fd); }
