// Runs the tests, one after the other, and counts.
#include "suite.h"
#include <setjmp.h>
#include <stdarg.h>
#include <signal.h>

static jmp_buf out;
static int passed, failed;
static char **selected;

void fail(const char *file, int line, const char *format, ...) {
  const char *name = strrchr(file, '/');
  va_list args;
  printf("  %s:%d: ", name ? name + 1 : file, line);
  va_start(args, format);
  vprintf(format, args);
  va_end(args);
  printf("\n");
  longjmp(out, 1);
}

void run(const char *name, void (*test)(void)) {
  if (*selected) {
    char **wanted = selected;
    while (*wanted && strcmp(*wanted, name) != 0) wanted++;
    if (!*wanted) return;
  }
  if (setjmp(out) == 0) {
    test();
    passed++;
    printf("pass %s\n", name);
  } else {
    failed++;
    printf("fail %s\n", name);
  }
  fflush(stdout);
}

int main(int argc, char **argv) {
  (void)argc;
  selected = argv + 1;
  signal(SIGPIPE, SIG_IGN);
  // The library logs every lost connection, and these tests lose many.
  FILE *log = fopen("/dev/null", "w");
  if (!log) return 1;
  zoo_set_log_stream(log);
  run_znode_tests();
  run_session_tests();
  printf("%d passed, %d failed\n", passed, failed);
  return failed > 0 || passed == 0;
}
