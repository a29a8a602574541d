#include "suite.h"
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int free_port(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
  CHECK(getsockname(fd, (struct sockaddr *)&address, &length) == 0);
  close(fd);
  return ntohs(address.sin_port);
}

void server_new(struct server *s, const char *name) {
  snprintf(s->dir, sizeof s->dir, "%s/%s", getenv("WORK"), name);
  s->port = free_port();
}

static bool serves(int port) {
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
  struct timeval limit = {.tv_sec = 5};
  char text[4096];
  ssize_t length = 0, got = 0;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 && write(fd, "srvr", 4) == 4) {
    while ((got = read(fd, text + length, sizeof text - 1 - length)) > 0) length += got;
  }
  close(fd);
  text[length] = 0;
  return strstr(text, "Mode:") != NULL;
}

// Runs the server on its directory and returns once it serves.
void server_start(struct server *s) {
  char port[16];
  snprintf(port, sizeof port, "%d", s->port);
  fflush(stdout);
  s->pid = fork();
  CHECK(s->pid >= 0);
  if (s->pid == 0) {
    const char *command = getenv("SERVER_COMMAND");
    execl(command, command, s->dir, port, "minSessionTimeout=1000", "extendedTypesEnabled=true", NULL);
    _exit(127);
  }
  while (!serves(s->port)) {
    CHECK(waitpid(s->pid, NULL, WNOHANG) == 0); // it ended before it served
    usleep(20000);
  }
}

void server_end(struct server *s, int signal) {
  kill(s->pid, signal);
  while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR) {}
}

struct server *shared_server(void) {
  static struct server server;
  if (server.pid == 0) {
    server_new(&server, "shared");
    server_start(&server);
  }
  return &server;
}
