// What the tests share: checks, servers, a relay that can be cut, sessions, and watches that keep what they saw.
#ifndef SUITE_H
#define SUITE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <zookeeper/zookeeper.h>

// A failed check ends its test. Checks belong on the main thread; threads hand back what they found.
_Noreturn void fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
#define CHECK(condition) \
  do { if (!(condition)) fail(__FILE__, __LINE__, "not true: %s", #condition); } while (0)
#define EQ(got, wanted) \
  do { \
    long long got_ = (got), wanted_ = (wanted); \
    if (got_ != wanted_) fail(__FILE__, __LINE__, "%s is %lld, not %lld", #got, got_, wanted_); \
  } while (0)
#define SAME(got, wanted) \
  do { \
    const char *got_ = (got), *wanted_ = (wanted); \
    if (strcmp(got_, wanted_) != 0) fail(__FILE__, __LINE__, "%s is \"%s\", not \"%s\"", #got, got_, wanted_); \
  } while (0)

// server.c
struct server { char dir[256]; int port; pid_t pid; };
void server_new(struct server *s, const char *name);
void server_start(struct server *s);
void server_end(struct server *s, int signal);
struct server *shared_server(void);

// relay.c: forwards a port to another until it is cut, and again once it is joined.
struct relay { int port, target, listener; bool is_cut; int fds[1024]; int used; pthread_mutex_t lock; };
struct relay *relay_new(int target);
void relay_cut(struct relay *r);
void relay_join(struct relay *r);

// session.c
struct event { int type, state; char path[256]; };
struct watch { struct event seen[256]; int count, taken; pthread_mutex_t lock; pthread_cond_t more; };
struct session { zhandle_t *zh; struct watch states; };

struct watch *watch_new(void);
void watcher(zhandle_t *zh, int type, int state, const char *path, void *watch);
struct event next_event(struct watch *w, const char *file, int line);
bool is_silent(struct session *s, struct watch *w);
#define EVENT(watch, wanted_type, wanted_path) \
  do { \
    struct event event_ = next_event(watch, __FILE__, __LINE__); \
    EQ(event_.type, wanted_type); \
    SAME(event_.path, wanted_path); \
  } while (0)

struct session *session_open(int port, int timeout_ms, const clientid_t *id); // does not wait
struct session *session_connect(int port, int timeout_ms);                   // waits until it is connected
void await_state(struct session *s, int state, const char *file, int line);
#define AWAIT(session, state) await_state(session, state, __FILE__, __LINE__)
void session_close(struct session *s);

const char *home(struct session *s);                         // a fresh znode's path
const char *under(const char *parent, const char *name);     // parent/name
void create(struct session *s, const char *path, const char *data, int mode);

// main.c
void run(const char *name, void (*test)(void));
void run_znode_tests(void);
void run_session_tests(void);

#endif
