// One session's view: data, versions, kinds of znodes, ACLs, multi, the asynchronous calls.
#include "suite.h"

static struct session *s;
static const char *root;

static void data_and_versions(void) {
  char data[64];
  int length = sizeof data;
  struct Stat first, stat;
  const char *path = under(root, "a");
  create(s, path, "one", 0);
  EQ(zoo_get(s->zh, path, 0, data, &length, &first), ZOK);
  EQ(length, 3);
  CHECK(memcmp(data, "one", 3) == 0);
  EQ(first.version, 0);
  EQ(first.dataLength, 3);
  EQ(first.ephemeralOwner, 0);
  EQ(first.mzxid, first.czxid);
  EQ(zoo_set2(s->zh, path, "three", 5, 0, &stat), ZOK);
  EQ(stat.version, 1);
  EQ(stat.czxid, first.czxid);
  CHECK(stat.mzxid > first.mzxid);
  EQ(zoo_set(s->zh, path, "lost", 4, 0), ZBADVERSION);
  EQ(zoo_set(s->zh, path, "any", 3, -1), ZOK);
  create(s, under(path, "child"), "", 0);
  EQ(zoo_delete(s->zh, path, 7), ZBADVERSION);
  EQ(zoo_delete(s->zh, path, -1), ZNOTEMPTY);
  EQ(zoo_delete(s->zh, under(path, "child"), 0), ZOK);
  EQ(zoo_delete(s->zh, path, 2), ZOK);
  EQ(zoo_exists(s->zh, path, 0, &stat), ZNONODE);
  EQ(zoo_delete(s->zh, path, -1), ZNONODE);
  EQ(zoo_create(s->zh, root, "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0), ZNODEEXISTS);
  EQ(zoo_create(s->zh, under(root, "no/parent"), "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0), ZNONODE);
}

// No data and empty data are different things on the wire.
static void null_and_empty_data(void) {
  char data[8];
  int length = sizeof data;
  EQ(zoo_create(s->zh, under(root, "null"), NULL, -1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0), ZOK);
  create(s, under(root, "empty"), "", 0);
  EQ(zoo_get(s->zh, under(root, "null"), 0, data, &length, NULL), ZOK);
  EQ(length, -1);
  length = sizeof data;
  EQ(zoo_get(s->zh, under(root, "empty"), 0, data, &length, NULL), ZOK);
  EQ(length, 0);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void children_and_parent_stat(void) {
  struct String_vector names;
  struct Stat stat;
  char name[16];
  for (int i = 0; i < 50; i++) {
    snprintf(name, sizeof name, "n%02d", i);
    create(s, under(root, name), "", 0);
  }
  EQ(zoo_delete(s->zh, under(root, "n00"), -1), ZOK);
  EQ(zoo_get_children2(s->zh, root, 0, &names, &stat), ZOK);
  EQ(names.count, 49);
  EQ(stat.numChildren, 49);
  EQ(stat.cversion, 51);
  EQ(stat.version, 0);
  CHECK(stat.pzxid > stat.mzxid);
  qsort(names.data, names.count, sizeof *names.data, by_name);
  for (int i = 0; i < 49; i++) {
    snprintf(name, sizeof name, "n%02d", i + 1);
    SAME(names.data[i], name);
  }
  deallocate_String_vector(&names);
}

static void sequential_names(void) {
  char path[256];
  struct Stat stat;
  EQ(zoo_create(s->zh, under(root, "n-"), "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_SEQUENTIAL, path, sizeof path), ZOK);
  SAME(path, under(root, "n-0000000000"));
  create(s, under(root, "other"), "", 0);
  EQ(zoo_create2(s->zh, under(root, "e-"), "xy", 2, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL_SEQUENTIAL, path, sizeof path, &stat), ZOK);
  SAME(path, under(root, "e-0000000002"));
  EQ(stat.ephemeralOwner, zoo_client_id(s->zh)->client_id);
  EQ(stat.dataLength, 2);
}

static void ephemerals(void) {
  struct session *other = session_connect(shared_server()->port, 10000);
  struct watch *gone = watch_new();
  struct Stat stat;
  const char *path = under(root, "e");
  create(other, path, "", ZOO_EPHEMERAL);
  EQ(zoo_wexists(s->zh, path, watcher, gone, &stat), ZOK);
  EQ(stat.ephemeralOwner, zoo_client_id(other->zh)->client_id);
  EQ(zoo_create(other->zh, under(path, "child"), "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0), ZNOCHILDRENFOREPHEMERALS);
  session_close(other);
  EVENT(gone, ZOO_DELETED_EVENT, path);
}

static void containers_and_ttl(void) {
  struct watch *box_gone = watch_new(), *old_gone = watch_new();
  struct Stat stat;
  char path[256];
  const char *box = under(root, "box");
  EQ(zoo_create2(s->zh, box, "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_CONTAINER, path, sizeof path, &stat), ZOK);
  EQ(stat.ephemeralOwner, 0);
  create(s, under(box, "child"), "", 0);
  EQ(zoo_wexists(s->zh, box, watcher, box_gone, &stat), ZOK);
  EQ(zoo_delete(s->zh, under(box, "child"), -1), ZOK);
  EVENT(box_gone, ZOO_DELETED_EVENT, box);

  EQ(zoo_create_ttl(s->zh, under(root, "ttl-"), "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL, 3600000, path, sizeof path), ZOK);
  SAME(path, under(root, "ttl-0000000001"));
  EQ(zoo_create_ttl(s->zh, under(root, "old"), "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_WITH_TTL, 100, NULL, 0), ZOK);
  int rc = zoo_wexists(s->zh, under(root, "old"), watcher, old_gone, &stat);
  CHECK(rc == ZOK || rc == ZNONODE);
  if (rc == ZOK) EVENT(old_gone, ZOO_DELETED_EVENT, under(root, "old"));
  EQ(zoo_exists(s->zh, path, 0, &stat), ZOK);
}

static void big_data(void) {
  static char big[1040000], back[1040000];
  int length = sizeof back;
  struct Stat stat;
  for (size_t i = 0; i < sizeof big; i++) big[i] = (char)(i * 7 + i / 251);
  EQ(zoo_create(s->zh, under(root, "big"), big, sizeof big, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0), ZOK);
  EQ(zoo_get(s->zh, under(root, "big"), 0, back, &length, &stat), ZOK);
  EQ(length, sizeof big);
  CHECK(memcmp(big, back, sizeof big) == 0);
}

static void multi(void) {
  zoo_op_t ops[5];
  zoo_op_result_t results[5];
  char sequential[256];
  struct Stat stat, child;
  const char *a = under(root, "a");
  zoo_create_op_init(&ops[0], a, "1", 1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
  zoo_create_op_init(&ops[1], under(a, "s-"), "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_SEQUENTIAL, sequential, sizeof sequential);
  zoo_set_op_init(&ops[2], a, "2", 1, 0, &stat);
  zoo_check_op_init(&ops[3], a, 1);
  zoo_delete_op_init(&ops[4], under(a, "s-0000000000"), -1);
  EQ(zoo_multi(s->zh, 5, ops, results), ZOK);
  for (int i = 0; i < 5; i++) EQ(results[i].err, ZOK);
  SAME(sequential, under(a, "s-0000000000"));
  EQ(stat.version, 1);

  zoo_set_op_init(&ops[0], a, "3", 1, -1, NULL);
  zoo_create_op_init(&ops[1], under(a, "new"), "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
  zoo_delete_op_init(&ops[2], under(a, "missing"), -1);
  zoo_create_op_init(&ops[3], under(a, "never"), "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
  EQ(zoo_multi(s->zh, 4, ops, results), ZNONODE);
  EQ(results[0].err, ZOK);
  EQ(results[1].err, ZOK);
  EQ(results[2].err, ZNONODE);
  EQ(results[3].err, ZRUNTIMEINCONSISTENCY);
  EQ(zoo_exists(s->zh, a, 0, &stat), ZOK);
  EQ(stat.version, 1);
  EQ(stat.numChildren, 0);
  EQ(zoo_exists(s->zh, under(a, "new"), 0, &child), ZNONODE);
}

static void note(int rc, const void *watch) {
  watcher(NULL, 1, rc, "", (void *)watch);
}

static void acls(void) {
  struct session *owner = session_connect(shared_server()->port, 10000);
  struct watch *done = watch_new();
  struct ACL_vector acl;
  struct Stat stat;
  char data[8];
  int length = sizeof data;
  const char *mine = under(root, "mine");
  EQ(zoo_add_auth(owner->zh, "digest", "user:pass", 9, note, done), ZOK);
  EQ(next_event(done, __FILE__, __LINE__).state, ZOK);
  EQ(zoo_create(owner->zh, mine, "x", 1, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0), ZOK);
  EQ(zoo_get(s->zh, mine, 0, data, &length, &stat), ZNOAUTH);
  EQ(zoo_set(s->zh, mine, "y", 1, -1), ZNOAUTH);
  EQ(zoo_create(s->zh, under(mine, "c"), "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0), ZNOAUTH);
  EQ(zoo_create(s->zh, under(root, "auth"), "", 0, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0), ZINVALIDACL);
  EQ(zoo_get_acl(owner->zh, mine, &acl, &stat), ZOK);
  EQ(acl.count, 1);
  EQ(acl.data[0].perms, ZOO_PERM_ALL);
  SAME(acl.data[0].id.scheme, "digest");
  SAME(acl.data[0].id.id, "user:smGaoVKd/cQkjm7b88GyorAUz20=");
  deallocate_ACL_vector(&acl);
  EQ(zoo_set_acl(s->zh, mine, -1, &ZOO_OPEN_ACL_UNSAFE), ZNOAUTH);
  EQ(zoo_set_acl(owner->zh, mine, 5, &ZOO_OPEN_ACL_UNSAFE), ZBADVERSION);
  EQ(zoo_set_acl(owner->zh, mine, 0, &ZOO_READ_ACL_UNSAFE), ZOK);
  EQ(zoo_get(s->zh, mine, 0, data, &length, &stat), ZOK);
  EQ(stat.aversion, 1);
  EQ(zoo_set(owner->zh, mine, "y", 1, -1), ZNOAUTH);
  session_close(owner);
}

// What the completions of the asynchronous calls found: each must come once, in the order of the calls.
struct tally { pthread_mutex_t lock; pthread_cond_t more; int count, wrong; };

static void count(struct tally *t, bool good) {
  pthread_mutex_lock(&t->lock);
  t->count++;
  t->wrong += !good;
  pthread_cond_broadcast(&t->more);
  pthread_mutex_unlock(&t->lock);
}
static struct tally tally = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
static void was_set(int rc, const struct Stat *stat, const void *number) {
  count(&tally, rc == ZOK && tally.count == 2 * (intptr_t)number && stat->version == (intptr_t)number + 1);
}
static void was_read(int rc, const char *value, int length, const struct Stat *stat, const void *number) {
  char wanted[16];
  snprintf(wanted, sizeof wanted, "%d", (int)(intptr_t)number);
  count(&tally, rc == ZOK && tally.count == 2 * (intptr_t)number + 1 && stat->version == (intptr_t)number + 1 &&
        length == (int)strlen(wanted) && memcmp(value, wanted, length) == 0);
}

static void many_requests_in_flight(void) {
  enum { CALLS = 2000 };
  char value[16];
  tally.count = tally.wrong = 0;
  for (intptr_t i = 0; i < CALLS; i++) {
    snprintf(value, sizeof value, "%d", (int)i);
    EQ(zoo_aset(s->zh, root, value, strlen(value), i, was_set, (void *)i), ZOK);
    EQ(zoo_aget(s->zh, root, 0, was_read, (void *)i), ZOK);
  }
  pthread_mutex_lock(&tally.lock);
  while (tally.count < 2 * CALLS) pthread_cond_wait(&tally.more, &tally.lock);
  pthread_mutex_unlock(&tally.lock);
  EQ(tally.wrong, 0);
}

static void configuration_of_a_standalone_server(void) {
  char data[256];
  int length = sizeof data;
  struct Stat stat;
  EQ(zoo_getconfig(s->zh, 0, data, &length, &stat), ZOK);
  CHECK(length <= 0);
  EQ(zoo_delete(s->zh, ZOO_CONFIG_NODE, -1), ZBADARGUMENTS);
}

static void (*body)(void);
static void in_a_home(void) {
  if (!s) s = session_connect(shared_server()->port, 20000);
  root = home(s);
  body();
}
#define RUN(test) (body = test, run(#test, in_a_home))

void run_znode_tests(void) {
  RUN(data_and_versions);
  RUN(null_and_empty_data);
  RUN(children_and_parent_stat);
  RUN(sequential_names);
  RUN(ephemerals);
  RUN(containers_and_ttl);
  RUN(big_data);
  RUN(multi);
  RUN(acls);
  RUN(many_requests_in_flight);
  RUN(configuration_of_a_standalone_server);
}
