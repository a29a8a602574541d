// Several sessions: watches, locks, broken connections, expiry, and servers that are stopped and killed.
#include "suite.h"
#include <signal.h>

static void watches(void) {
  int port = shared_server()->port;
  struct session *s = session_connect(port, 20000), *other = session_connect(port, 20000);
  const char *root = home(s), *path = under(root, "a");
  struct watch *created = watch_new(), *children = watch_new(), *data = watch_new(), *inside = watch_new();
  struct String_vector names;
  struct Stat stat;
  char buffer[8];
  int length = sizeof buffer;
  EQ(zoo_wexists(s->zh, path, watcher, created, &stat), ZNONODE);
  EQ(zoo_wget_children(s->zh, root, watcher, children, &names), ZOK);
  create(other, path, "1", 0);
  EVENT(created, ZOO_CREATED_EVENT, path);
  EVENT(children, ZOO_CHILD_EVENT, root);

  EQ(zoo_wget_children(s->zh, root, watcher, children, &names), ZOK);
  EQ(names.count, 1);
  EQ(zoo_wget(s->zh, path, watcher, data, buffer, &length, &stat), ZOK);
  EQ(zoo_set(other->zh, path, "2", 1, -1), ZOK);
  EQ(zoo_set(other->zh, path, "3", 1, -1), ZOK);
  EVENT(data, ZOO_CHANGED_EVENT, path);
  CHECK(is_silent(s, data)); // once only
  CHECK(is_silent(s, children));

  EQ(zoo_wget(s->zh, path, watcher, data, buffer, &length, &stat), ZOK);
  EQ(zoo_wget_children(s->zh, path, watcher, inside, &names), ZOK);
  EQ(zoo_delete(other->zh, path, -1), ZOK);
  EVENT(data, ZOO_DELETED_EVENT, path);
  EVENT(inside, ZOO_DELETED_EVENT, path);
  EVENT(children, ZOO_CHILD_EVENT, root);
  session_close(s);
  session_close(other);
}

static void removed_watches(void) {
  int port = shared_server()->port;
  struct session *s = session_connect(port, 20000);
  const char *root = home(s);
  struct watch *data = watch_new(), *children = watch_new();
  struct String_vector names;
  struct Stat stat;
  EQ(zoo_wexists(s->zh, root, watcher, data, &stat), ZOK);
  EQ(zoo_wget_children(s->zh, root, watcher, children, &names), ZOK);
  EQ(zoo_remove_watches(s->zh, root, ZWATCHTYPE_DATA, watcher, data, 0), ZOK);
  EQ(zoo_remove_watches(s->zh, root, ZWATCHTYPE_DATA, watcher, data, 0), ZNOWATCHER);
  EQ(zoo_set(s->zh, root, "x", 1, -1), ZOK);
  CHECK(is_silent(s, data));
  create(s, under(root, "c"), "", 0);
  EVENT(children, ZOO_CHILD_EVENT, root);
  session_close(s);
}

// The lock recipe: a sequential ephemeral, and a watch on the one before it. Returns the code of the first failure.
static int lock(struct session *s, const char *dir, char *mine, size_t size) {
  int rc = zoo_create(s->zh, under(dir, "lock-"), "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL_SEQUENTIAL, mine, size);
  while (rc == ZOK) {
    struct String_vector names;
    struct Stat stat;
    const char *name = strrchr(mine, '/') + 1;
    char before[64] = "";
    rc = zoo_get_children(s->zh, dir, 0, &names);
    if (rc != ZOK) break;
    for (int i = 0; i < names.count; i++) {
      if (strcmp(names.data[i], name) < 0 && strcmp(names.data[i], before) > 0) {
        snprintf(before, sizeof before, "%s", names.data[i]);
      }
    }
    deallocate_String_vector(&names);
    if (!before[0]) return ZOK;
    struct watch *gone = watch_new();
    rc = zoo_wexists(s->zh, under(dir, before), watcher, gone, &stat);
    if (rc == ZNONODE) {
      rc = ZOK;
    } else if (rc == ZOK) {
      pthread_mutex_lock(&gone->lock);
      while (gone->count == 0) pthread_cond_wait(&gone->more, &gone->lock);
      if (gone->seen[0].type == ZOO_SESSION_EVENT) rc = ZCONNECTIONLOSS;
      pthread_mutex_unlock(&gone->lock);
    }
  }
  return rc;
}

struct contender { struct session *session; const char *root; int rounds, rc; };

static void *contend(void *argument) {
  struct contender *c = argument;
  char mine[256], text[16];
  for (int i = 0; i < c->rounds && c->rc == ZOK; i++) {
    int length = sizeof text - 1;
    if ((c->rc = lock(c->session, under(c->root, "lock"), mine, sizeof mine)) != ZOK) break;
    if ((c->rc = zoo_get(c->session->zh, c->root, 0, text, &length, NULL)) != ZOK) break;
    text[length] = 0;
    length = snprintf(text, sizeof text, "%d", atoi(text) + 1);
    if ((c->rc = zoo_set(c->session->zh, c->root, text, length, -1)) != ZOK) break;
    c->rc = zoo_delete(c->session->zh, mine, -1);
  }
  return NULL;
}

static void locks_exclude_each_other(void) {
  enum { CONTENDERS = 8, ROUNDS = 20 };
  struct contender contenders[CONTENDERS];
  pthread_t threads[CONTENDERS];
  struct session *s = session_connect(shared_server()->port, 20000);
  const char *root = home(s);
  char text[16] = "";
  int length = sizeof text;
  create(s, under(root, "lock"), "", 0);
  EQ(zoo_set(s->zh, root, "0", 1, -1), ZOK);
  for (int i = 0; i < CONTENDERS; i++) {
    contenders[i] = (struct contender){session_connect(shared_server()->port, 20000), root, ROUNDS, ZOK};
  }
  for (int i = 0; i < CONTENDERS; i++) pthread_create(&threads[i], NULL, contend, &contenders[i]);
  for (int i = 0; i < CONTENDERS; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < CONTENDERS; i++) {
    EQ(contenders[i].rc, ZOK);
    session_close(contenders[i].session);
  }
  EQ(zoo_get(s->zh, root, 0, text, &length, NULL), ZOK);
  EQ(atoi(text), CONTENDERS * ROUNDS);
  session_close(s);
}

static void lock_passes_on_when_its_holder_expires(void) {
  struct relay *relay = relay_new(shared_server()->port);
  struct session *holder = session_connect(relay->port, 2000), *waiter = session_connect(shared_server()->port, 20000);
  const char *root = home(waiter);
  char mine[256];
  EQ(lock(holder, root, mine, sizeof mine), ZOK);
  relay_cut(relay);
  EQ(lock(waiter, root, mine, sizeof mine), ZOK);
  relay_join(relay);
  AWAIT(holder, ZOO_EXPIRED_SESSION_STATE);
  EQ(is_unrecoverable(holder->zh), ZINVALIDSTATE);
  session_close(holder);
  session_close(waiter);
}

// Same session, watches included, and what was missed is told.
static void reconnect_tells_what_was_missed(void) {
  struct relay *relay = relay_new(shared_server()->port);
  struct session *s = session_connect(relay->port, 20000), *other = session_connect(shared_server()->port, 20000);
  const char *root = home(other);
  struct watch *changed = watch_new(), *deleted = watch_new(), *created = watch_new(), *same = watch_new(), *children = watch_new();
  struct String_vector names;
  struct Stat stat;
  int64_t id = zoo_client_id(s->zh)->client_id;
  create(s, under(root, "e"), "", ZOO_EPHEMERAL);
  create(other, under(root, "changed"), "", 0);
  create(other, under(root, "deleted"), "", 0);
  create(other, under(root, "same"), "", 0);
  EQ(zoo_wexists(s->zh, under(root, "changed"), watcher, changed, &stat), ZOK);
  EQ(zoo_wexists(s->zh, under(root, "deleted"), watcher, deleted, &stat), ZOK);
  EQ(zoo_wexists(s->zh, under(root, "same"), watcher, same, &stat), ZOK);
  EQ(zoo_wexists(s->zh, under(root, "created"), watcher, created, &stat), ZNONODE);
  EQ(zoo_wget_children(s->zh, root, watcher, children, &names), ZOK);
  relay_cut(relay);
  AWAIT(s, ZOO_CONNECTING_STATE);
  EQ(zoo_set(other->zh, under(root, "changed"), "2", 1, -1), ZOK);
  EQ(zoo_delete(other->zh, under(root, "deleted"), -1), ZOK);
  create(other, under(root, "created"), "", 0);
  relay_join(relay);
  AWAIT(s, ZOO_CONNECTED_STATE);
  EVENT(changed, ZOO_CHANGED_EVENT, under(root, "changed"));
  EVENT(deleted, ZOO_DELETED_EVENT, under(root, "deleted"));
  EVENT(created, ZOO_CREATED_EVENT, under(root, "created"));
  EVENT(children, ZOO_CHILD_EVENT, root);
  CHECK(is_silent(s, same));
  EQ(zoo_set(other->zh, under(root, "same"), "2", 1, -1), ZOK);
  EVENT(same, ZOO_CHANGED_EVENT, under(root, "same"));
  EQ(zoo_client_id(s->zh)->client_id, id);
  EQ(zoo_exists(other->zh, under(root, "e"), 0, &stat), ZOK);
  EQ(stat.ephemeralOwner, id);
  session_close(s);
  session_close(other);
}

// A second process may take a session over with its id and password, and only with them.
static void session_moves_to_another_handle(void) {
  struct relay *relay = relay_new(shared_server()->port);
  struct session *first = session_connect(relay->port, 20000);
  const char *root = home(first);
  clientid_t id = *zoo_client_id(first->zh), forged;
  struct Stat stat;
  create(first, under(root, "e"), "", ZOO_EPHEMERAL);
  relay_cut(relay);
  AWAIT(first, ZOO_CONNECTING_STATE);
  forged = id;
  forged.passwd[3] ^= 1;
  struct session *thief = session_open(shared_server()->port, 20000, &forged);
  AWAIT(thief, ZOO_EXPIRED_SESSION_STATE);
  struct session *heir = session_open(shared_server()->port, 20000, &id);
  AWAIT(heir, ZOO_CONNECTED_STATE);
  EQ(zoo_client_id(heir->zh)->client_id, id.client_id);
  EQ(zoo_exists(heir->zh, under(root, "e"), 0, &stat), ZOK);
  EQ(stat.ephemeralOwner, id.client_id);
  session_close(thief);
  session_close(heir);
  struct session *late = session_open(shared_server()->port, 20000, &id); // it was closed
  AWAIT(late, ZOO_EXPIRED_SESSION_STATE);
  session_close(late);
  relay_join(relay);
  AWAIT(first, ZOO_EXPIRED_SESSION_STATE);
  session_close(first);
}

static void timeouts_are_negotiated(void) {
  struct session *low = session_connect(shared_server()->port, 10), *high = session_connect(shared_server()->port, 1000000);
  EQ(zoo_recv_timeout(low->zh), 1000);
  EQ(zoo_recv_timeout(high->zh), 40000);
  session_close(low);
  session_close(high);
}

static void survives(const char *name, int signal) {
  struct server server;
  server_new(&server, name);
  server_start(&server);
  struct session *s = session_connect(server.port, 30000), *other = session_connect(server.port, 30000);
  const char *root = home(s);
  struct watch *changed = watch_new();
  struct Stat before, after;
  char mine[256], text[16];
  int length = sizeof text;
  int64_t id = zoo_client_id(s->zh)->client_id;
  EQ(zoo_add_auth(s->zh, "digest", "user:pass", 9, NULL, NULL), ZOK);
  EQ(zoo_create(s->zh, under(root, "private"), "", 0, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0), ZOK);
  create(s, under(root, "lock"), "", 0);
  EQ(lock(s, under(root, "lock"), mine, sizeof mine), ZOK);
  EQ(zoo_set2(s->zh, root, "before", 6, 0, &before), ZOK);
  EQ(zoo_wexists(s->zh, root, watcher, changed, &before), ZOK);
  for (int round = 0; round < 3; round++) {
    server_end(&server, signal);
    AWAIT(s, ZOO_CONNECTING_STATE);
    AWAIT(other, ZOO_CONNECTING_STATE);
    server_start(&server);
    AWAIT(s, ZOO_CONNECTED_STATE);
    AWAIT(other, ZOO_CONNECTED_STATE);
    EQ(zoo_client_id(s->zh)->client_id, id);
  }
  EQ(zoo_get(s->zh, root, 0, text, &length, &after), ZOK);
  CHECK(length == 6 && memcmp(text, "before", 6) == 0);
  EQ(after.czxid, before.czxid);
  EQ(after.mzxid, before.mzxid);
  EQ(after.ctime, before.ctime);
  EQ(after.mtime, before.mtime);
  EQ(after.version, before.version);
  EQ(after.cversion, before.cversion);
  EQ(after.aversion, before.aversion);
  EQ(after.ephemeralOwner, before.ephemeralOwner);
  EQ(after.dataLength, before.dataLength);
  EQ(after.numChildren, before.numChildren);
  EQ(after.pzxid, before.pzxid);
  EQ(zoo_exists(other->zh, mine, 0, &after), ZOK);
  EQ(after.ephemeralOwner, id);
  EQ(zoo_exists(s->zh, under(root, "private"), 0, &after), ZOK);
  length = sizeof text;
  EQ(zoo_get(other->zh, under(root, "private"), 0, text, &length, &after), ZNOAUTH);
  length = sizeof text;
  EQ(zoo_get(s->zh, under(root, "private"), 0, text, &length, &after), ZOK); // the identity was sent again
  CHECK(is_silent(s, changed));
  EQ(zoo_set(other->zh, root, "after", 5, 1), ZOK);
  EVENT(changed, ZOO_CHANGED_EVENT, root);
  char next[256];
  EQ(zoo_create(other->zh, under(root, "lock/lock-"), "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL_SEQUENTIAL, next, sizeof next), ZOK);
  SAME(next, under(root, "lock/lock-0000000001"));
  session_close(s);
  EQ(zoo_exists(other->zh, mine, 0, &after), ZNONODE);
  session_close(other);
  server_end(&server, SIGKILL);
}

static void session_survives_clean_restart(void) { survives("clean", SIGTERM); }
static void session_survives_sigkill(void) { survives("killed", SIGKILL); }

#define RUN(test) run(#test, test)

void run_session_tests(void) {
  RUN(watches);
  RUN(removed_watches);
  RUN(locks_exclude_each_other);
  RUN(lock_passes_on_when_its_holder_expires);
  RUN(reconnect_tells_what_was_missed);
  RUN(session_moves_to_another_handle);
  RUN(timeouts_are_negotiated);
  RUN(session_survives_clean_restart);
  RUN(session_survives_sigkill);
}
