#include "suite.h"
#include <time.h>

// How long a test waits for something that has to happen. Only a broken server or client reaches it.
enum { PATIENCE_S = 60 };

struct watch *watch_new(void) {
  struct watch *w = calloc(1, sizeof *w);
  pthread_mutex_init(&w->lock, NULL);
  pthread_cond_init(&w->more, NULL);
  return w;
}

void watcher(zhandle_t *zh, int type, int state, const char *path, void *watch) {
  struct watch *w = watch;
  (void)zh;
  pthread_mutex_lock(&w->lock);
  if (w->count < 256) {
    struct event *event = &w->seen[w->count++];
    *event = (struct event){.type = type, .state = state};
    snprintf(event->path, sizeof event->path, "%s", path ? path : "");
  }
  pthread_cond_broadcast(&w->more);
  pthread_mutex_unlock(&w->lock);
}

static bool take(struct watch *w, struct event *event, bool session_events) {
  struct timespec until;
  bool found = false;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += PATIENCE_S;
  pthread_mutex_lock(&w->lock);
  for (;;) {
    while (!found && w->taken < w->count) {
      *event = w->seen[w->taken++];
      found = (event->type == ZOO_SESSION_EVENT) == session_events;
    }
    if (found || pthread_cond_timedwait(&w->more, &w->lock, &until) != 0) break;
  }
  pthread_mutex_unlock(&w->lock);
  return found;
}

struct event next_event(struct watch *w, const char *file, int line) {
  struct event event;
  if (!take(w, &event, false)) fail(file, line, "no event");
  return event;
}

static void synced(int rc, const char *path, const void *data) {
  struct watch *w = (struct watch *)data;
  watcher(NULL, rc == ZOK ? ZOO_CHANGED_EVENT : ZOO_DELETED_EVENT, 0, path, w);
}

// Whether a watch has not fired although its session has seen everything up to now.
bool is_silent(struct session *s, struct watch *w) {
  struct watch *done = watch_new();
  bool silent = true;
  EQ(zoo_async(s->zh, "/", synced, done), ZOK);
  EVENT(done, ZOO_CHANGED_EVENT, "/");
  pthread_mutex_lock(&w->lock);
  for (int i = w->taken; i < w->count; i++) silent &= w->seen[i].type == ZOO_SESSION_EVENT;
  pthread_mutex_unlock(&w->lock);
  return silent;
}

struct session *session_open(int port, int timeout_ms, const clientid_t *id) {
  char host[32];
  struct session *s = calloc(1, sizeof *s);
  pthread_mutex_init(&s->states.lock, NULL);
  pthread_cond_init(&s->states.more, NULL);
  snprintf(host, sizeof host, "127.0.0.1:%d", port);
  s->zh = zookeeper_init(host, watcher, timeout_ms, id, &s->states, 0);
  CHECK(s->zh != NULL);
  return s;
}

void await_state(struct session *s, int state, const char *file, int line) {
  struct event event;
  do {
    if (!take(&s->states, &event, true)) fail(file, line, "the session never came to state %d", state);
  } while (event.state != state);
}

struct session *session_connect(int port, int timeout_ms) {
  struct session *s = session_open(port, timeout_ms, NULL);
  AWAIT(s, ZOO_CONNECTED_STATE);
  return s;
}

void session_close(struct session *s) {
  zookeeper_close(s->zh);
  free(s);
}

const char *under(const char *parent, const char *name) {
  char *path = malloc(strlen(parent) + strlen(name) + 2); // lives as long as the suite
  sprintf(path, "%s/%s", parent, name);
  return path;
}

const char *home(struct session *s) {
  static int serial;
  char name[32];
  snprintf(name, sizeof name, "c-%d", ++serial);
  const char *path = under("", name);
  create(s, path, "", 0);
  return path;
}

void create(struct session *s, const char *path, const char *data, int mode) {
  EQ(zoo_create(s->zh, path, data, strlen(data), &ZOO_OPEN_ACL_UNSAFE, mode, NULL, 0), ZOK);
}
