'use strict';

const { after, before, test } = require('node:test');
const assert = require('node:assert/strict');
const { Server, Relay, Session, watch, home, zookeeper } = require('../harness.js');

const { ACL, CreateMode, Exception } = zookeeper;

let server;
before(async () => { server = await Server.start('sessions'); });
after(() => server.stop('SIGKILL'));

// An answered read behind the other session's writes: what had to be told has been told by then.
const settled = (session) => session.exists('/');

test('watches', async () => {
  const [session, other] = await Promise.all([Session.connect(server.port), Session.connect(server.port)]);
  const root = await home(session);
  const path = `${root}/a`;
  const [created, children, data, inside] = [watch(), watch(), watch(), watch()];
  assert.equal(await session.exists(path, created), null);
  await session.children(root, children);
  await other.create(path, '1');
  assert.equal(await created.next(), `NODE_CREATED ${path}`);
  assert.equal(await children.next(), `NODE_CHILDREN_CHANGED ${root}`);

  await session.children(root, children);
  await session.get(path, data);
  await other.set(path, '2');
  await other.set(path, '3');
  assert.equal(await data.next(), `NODE_DATA_CHANGED ${path}`);
  await settled(session);
  assert.deepEqual(data.seen, []);
  assert.deepEqual(children.seen, []);

  assert.equal((await session.get(path, data)).data, '3');
  await session.children(path, inside);
  await other.remove(path);
  assert.equal(await data.next(), `NODE_DELETED ${path}`);
  assert.equal(await inside.next(), `NODE_DELETED ${path}`);
  assert.equal(await children.next(), `NODE_CHILDREN_CHANGED ${root}`);
  session.close();
  other.close();
});

// The lock recipe: a sequential ephemeral, and a watch on the one before it.
async function lock(session, directory) {
  const mine = await session.create(`${directory}/lock-`, '', CreateMode.EPHEMERAL_SEQUENTIAL);
  for (;;) {
    const { names } = await session.children(directory);
    const at = names.indexOf(mine.slice(directory.length + 1));
    assert.ok(at >= 0);
    if (at === 0) return mine;
    const gone = watch();
    if (await session.exists(`${directory}/${names[at - 1]}`, gone)) await gone.next();
  }
}

test('locks exclude each other', async () => {
  const session = await Session.connect(server.port);
  const root = await home(session);
  await session.create(`${root}/lock`);
  await session.set(root, '0');
  await Promise.all(Array.from({ length: 8 }, async () => {
    const member = await Session.connect(server.port);
    for (let i = 0; i < 20; i += 1) {
      const mine = await lock(member, `${root}/lock`);
      const { data } = await member.get(root);
      await member.set(root, String(Number(data) + 1));
      await member.remove(mine);
    }
    member.close();
  }));
  assert.equal((await session.get(root)).data, '160');
  session.close();
});

test('a lock passes on when its holder expires', async () => {
  const relay = await Relay.to(server.port);
  const holder = await Session.connect(relay.port, { sessionTimeout: 2000 });
  const waiter = await Session.connect(server.port);
  const root = await home(waiter);
  await lock(holder, root);
  relay.cut();
  await lock(waiter, root);
  relay.join();
  await holder.state('EXPIRED');
  waiter.close();
  relay.close();
});

test('a reconnect tells what was missed', async () => {
  const relay = await Relay.to(server.port);
  const session = await Session.connect(relay.port);
  const other = await Session.connect(server.port);
  const root = await home(other);
  const id = session.id;
  await session.create(`${root}/e`, '', CreateMode.EPHEMERAL);
  for (const name of ['changed', 'deleted', 'same']) await other.create(`${root}/${name}`);
  const [changed, deleted, same, created, children] = [watch(), watch(), watch(), watch(), watch()];
  await session.get(`${root}/changed`, changed);
  await session.get(`${root}/deleted`, deleted);
  await session.get(`${root}/same`, same);
  assert.equal(await session.exists(`${root}/created`, created), null);
  await session.children(root, children);
  relay.cut();
  await session.state('DISCONNECTED');
  await other.set(`${root}/changed`, '2');
  await other.remove(`${root}/deleted`);
  await other.create(`${root}/created`);
  relay.join();
  await session.state('SYNC_CONNECTED');
  assert.equal(await changed.next(), `NODE_DATA_CHANGED ${root}/changed`);
  assert.equal(await deleted.next(), `NODE_DELETED ${root}/deleted`);
  assert.equal(await created.next(), `NODE_CREATED ${root}/created`);
  assert.equal(await children.next(), `NODE_CHILDREN_CHANGED ${root}`);
  await settled(session);
  assert.deepEqual(same.seen, []);
  await other.set(`${root}/same`, '2');
  assert.equal(await same.next(), `NODE_DATA_CHANGED ${root}/same`);
  assert.equal(session.id, id);
  assert.equal((await other.exists(`${root}/e`)).ephemeralOwner.toString('hex'), id);
  session.close();
  other.close();
  relay.close();
});

for (const signal of ['SIGTERM', 'SIGKILL']) {
  test(`a session survives a restart after ${signal}`, async () => {
    const own = await Server.start(`restart-${signal}`);
    // Java may swallow a handshake that comes while it starts, and this client then waits without end: it is kept
    // away until the server serves.
    const relay = await Relay.to(own.port);
    const session = await Session.connect(relay.port, { sessionTimeout: 30000 });
    const other = await Session.connect(relay.port, { sessionTimeout: 30000 });
    const root = await home(session);
    const id = session.id;
    session.client.addAuthInfo('digest', Buffer.from('user:pass'));
    await session.create(`${root}/private`, 'mine', CreateMode.PERSISTENT, ACL.CREATOR_ALL_ACL);
    await session.create(`${root}/lock`);
    const mine = await lock(session, `${root}/lock`);
    const before = await session.set(root, 'before', 0);
    const changed = watch();
    await session.get(root, changed);
    for (let round = 0; round < 3; round += 1) {
      await own.stop(signal);
      await Promise.all([session.state('DISCONNECTED'), other.state('DISCONNECTED')]);
      relay.cut();
      await own.start();
      relay.join();
      await Promise.all([session.state('SYNC_CONNECTED'), other.state('SYNC_CONNECTED')]);
      assert.equal(session.id, id);
    }
    const { data, stat } = await session.get(root);
    assert.equal(data, 'before');
    assert.deepEqual(stat, before);
    assert.equal((await other.exists(mine)).ephemeralOwner.toString('hex'), id);
    assert.equal((await session.get(`${root}/private`)).data, 'mine');
    await assert.rejects(other.get(`${root}/private`), (error) => error.code === Exception.NO_AUTH);
    await settled(session);
    assert.deepEqual(changed.seen, []);
    await other.set(root, 'after', 1);
    assert.equal(await changed.next(), `NODE_DATA_CHANGED ${root}`);
    const waiting = lock(other, `${root}/lock`);
    await session.remove(mine);
    assert.equal(await waiting, `${root}/lock/lock-0000000001`);
    session.close();
    other.close();
    relay.close();
    await own.stop('SIGKILL');
  });
}
