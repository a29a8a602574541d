'use strict';

const { after, before, test } = require('node:test');
const assert = require('node:assert/strict');
const { Server, Session, watch, home, long, zookeeper } = require('../harness.js');

const { ACL, CreateMode, Exception, Id, Permission } = zookeeper;
const fails = (code) => (error) => {
  assert.equal(error.code, code, String(error));
  return true;
};

let server, session, root;
before(async () => {
  server = await Server.start('znodes');
  session = await Session.connect(server.port);
});
after(async () => {
  session.close();
  await server.stop('SIGKILL');
});

test('data and versions', async () => {
  root = await home(session);
  const path = await session.create(`${root}/a`, 'one');
  const first = await session.get(path);
  assert.equal(first.data, 'one');
  assert.equal(first.stat.version, 0);
  assert.equal(first.stat.dataLength, 3);
  assert.equal(long(first.stat.ephemeralOwner), 0n);
  assert.deepEqual(first.stat.mzxid, first.stat.czxid);
  const second = await session.set(path, 'three', 0);
  assert.equal(second.version, 1);
  assert.ok(long(second.mzxid) > long(first.stat.mzxid));
  await assert.rejects(session.set(path, 'lost', 0), fails(Exception.BAD_VERSION));
  await session.create(`${path}/child`);
  await assert.rejects(session.remove(path), fails(Exception.NOT_EMPTY));
  await assert.rejects(session.remove(path, 7), fails(Exception.BAD_VERSION));
  await session.remove(`${path}/child`, 0);
  await session.remove(path, 1);
  assert.equal(await session.exists(path), null);
  await assert.rejects(session.get(path), fails(Exception.NO_NODE));
  await assert.rejects(session.create(root), fails(Exception.NODE_EXISTS));
  await assert.rejects(session.create(`${root}/no/parent`), fails(Exception.NO_NODE));
});

test('children and the stat of their parent', async () => {
  root = await home(session);
  const names = Array.from({ length: 50 }, (_, i) => `n${String(i).padStart(2, '0')}`);
  await Promise.all(names.map((name) => session.create(`${root}/${name}`)));
  await session.remove(`${root}/n00`);
  const seen = await session.children(root);
  assert.deepEqual(seen.names, names.slice(1));
  assert.equal(seen.stat.numChildren, 49);
  assert.equal(seen.stat.cversion, 51);
});

test('sequential and ephemeral znodes', async () => {
  root = await home(session);
  const other = await Session.connect(server.port);
  assert.equal(await session.create(`${root}/n-`, '', CreateMode.PERSISTENT_SEQUENTIAL), `${root}/n-0000000000`);
  const path = await other.create(`${root}/e-`, 'x', CreateMode.EPHEMERAL_SEQUENTIAL);
  assert.equal(path, `${root}/e-0000000001`);
  const gone = watch();
  assert.equal((await session.exists(path, gone)).ephemeralOwner.toString('hex'), other.id);
  await assert.rejects(other.create(`${path}/child`), fails(Exception.NO_CHILDREN_FOR_EPHEMERALS));
  other.close();
  assert.equal(await gone.next(), `NODE_DELETED ${path}`);
  assert.deepEqual((await session.children(root)).names, ['n-0000000000']);
});

test('mkdirp and removeRecursive', async () => {
  root = await home(session);
  await session.call('mkdirp', `${root}/a/b/c/d`);
  await session.create(`${root}/a/b/x`);
  assert.deepEqual((await session.children(`${root}/a/b`)).names, ['c', 'x']);
  await session.remove(`${root}/a/b/c/d`);
  await session.call('removeRecursive', `${root}/a/b`, -1); // this client's list ends one level down
  assert.equal(await session.exists(`${root}/a/b`), null);
});

test('transactions', async () => {
  root = await home(session);
  let [error, results] = await session.commit(session.client.transaction()
    .create(`${root}/a`, Buffer.from('1'))
    .create(`${root}/a/s-`, CreateMode.EPHEMERAL_SEQUENTIAL)
    .setData(`${root}/a`, Buffer.from('2'))
    .check(`${root}/a`, 1)
    .remove(`${root}/a/s-0000000000`));
  assert.equal(error, null);
  assert.equal(results.length, 5);
  assert.equal(results[0].path, `${root}/a`);
  assert.equal(results[1].path, `${root}/a/s-0000000000`);
  assert.equal(results[2].stat.version, 1);

  [error, results] = await session.commit(session.client.transaction()
    .setData(`${root}/a`, Buffer.from('3'))
    .create(`${root}/b`)
    .remove(`${root}/missing`)
    .create(`${root}/c`));
  assert.equal(error.code, Exception.NO_NODE);
  assert.deepEqual(results.map((result) => result.err), [0, 0, Exception.NO_NODE, Exception.RUNTIME_INCONSISTENCY]);
  const { data, stat } = await session.get(`${root}/a`);
  assert.equal(data, '2');
  assert.equal(stat.version, 1);
  assert.deepEqual((await session.children(root)).names, ['a']);
});

test('ACLs', async () => {
  root = await home(session);
  const owner = await Session.connect(server.port);
  owner.client.addAuthInfo('digest', Buffer.from('user:pass'));
  await owner.create(`${root}/mine`, 'x', CreateMode.PERSISTENT, ACL.CREATOR_ALL_ACL);
  const [acls] = await owner.call('getACL', `${root}/mine`);
  assert.equal(acls.length, 1);
  assert.equal(acls[0].permission, Permission.ALL);
  assert.equal(acls[0].id.scheme, 'digest');
  assert.equal(acls[0].id.id, 'user:smGaoVKd/cQkjm7b88GyorAUz20=');
  await assert.rejects(session.get(`${root}/mine`), fails(Exception.NO_AUTH));
  await assert.rejects(session.set(`${root}/mine`, ''), fails(Exception.NO_AUTH));
  await assert.rejects(session.create(`${root}/mine/c`), fails(Exception.NO_AUTH));
  await assert.rejects(session.create(`${root}/b`, '', 0, ACL.CREATOR_ALL_ACL), fails(Exception.INVALID_ACL));
  await owner.call('setACL', `${root}/mine`, [new ACL(Permission.READ, new Id('ip', '127.0.0.1/32'))], 0);
  assert.equal((await session.get(`${root}/mine`)).stat.aversion, 1);
  await assert.rejects(owner.set(`${root}/mine`, ''), fails(Exception.NO_AUTH));
  owner.close();
});

test('a failed authentication ends the connection', async () => {
  const other = new Session(server.port);
  await other.state('SYNC_CONNECTED');
  other.client.addAuthInfo('nosuch', Buffer.from('x'));
  await other.state('AUTH_FAILED');
});

test('big data', async () => {
  root = await home(session);
  const big = Buffer.alloc(1040000, 'abcdefg');
  await session.call('create', `${root}/big`, big);
  const [data, stat] = await session.call('getData', `${root}/big`);
  assert.ok(data.equals(big));
  assert.equal(stat.dataLength, big.length);
});

test('many requests in flight are answered in order', async () => {
  root = await home(session);
  const replies = [];
  await Promise.all(Array.from({ length: 500 }, async (_, i) => {
    replies.push((await session.set(root, String(i), i)).version);
  }));
  assert.deepEqual(replies, Array.from({ length: 500 }, (_, i) => i + 1));
  assert.equal((await session.get(root)).data, '499');
});
