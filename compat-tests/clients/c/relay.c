#include "suite.h"
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

struct pipe { struct relay *relay; int from, to; };

static void *forward(void *argument) {
  struct pipe *pipe = argument;
  char buffer[65536];
  ssize_t length;
  while ((length = read(pipe->from, buffer, sizeof buffer)) > 0) {
    for (ssize_t done = 0, wrote; done < length; done += wrote) {
      wrote = write(pipe->to, buffer + done, length - done);
      if (wrote <= 0) goto end;
    }
  }
end: // Both directions end together. The descriptors stay open: a relay lives as long as the suite.
  shutdown(pipe->from, SHUT_RDWR);
  shutdown(pipe->to, SHUT_RDWR);
  free(pipe);
  return NULL;
}

static void start_pipe(struct relay *relay, int from, int to) {
  pthread_t thread;
  struct pipe *pipe = malloc(sizeof *pipe);
  *pipe = (struct pipe){relay, from, to};
  pthread_create(&thread, NULL, forward, pipe);
  pthread_detach(thread);
}

static void *serve(void *argument) {
  struct relay *r = argument;
  struct sockaddr_in target = {
      .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(r->target)};
  for (;;) {
    int client = accept(r->listener, NULL, NULL);
    int server = socket(AF_INET, SOCK_STREAM, 0);
    pthread_mutex_lock(&r->lock);
    if (r->is_cut || r->used > 1022 || connect(server, (struct sockaddr *)&target, sizeof target) != 0) {
      close(client);
      close(server);
    } else {
      r->fds[r->used++] = client;
      r->fds[r->used++] = server;
      start_pipe(r, client, server);
      start_pipe(r, server, client);
    }
    pthread_mutex_unlock(&r->lock);
  }
  return NULL;
}

struct relay *relay_new(int target) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  pthread_t thread;
  struct relay *r = calloc(1, sizeof *r);
  pthread_mutex_init(&r->lock, NULL);
  r->target = target;
  r->listener = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(bind(r->listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(r->listener, 8) == 0);
  CHECK(getsockname(r->listener, (struct sockaddr *)&address, &length) == 0);
  r->port = ntohs(address.sin_port);
  pthread_create(&thread, NULL, serve, r);
  pthread_detach(thread);
  return r;
}

void relay_cut(struct relay *r) {
  pthread_mutex_lock(&r->lock);
  r->is_cut = true;
  for (int i = 0; i < r->used; i++) shutdown(r->fds[i], SHUT_RDWR);
  pthread_mutex_unlock(&r->lock);
}

void relay_join(struct relay *r) {
  pthread_mutex_lock(&r->lock);
  r->is_cut = false;
  pthread_mutex_unlock(&r->lock);
}
