'use strict';
// Servers that tests start and kill, a relay that can be cut, and the client's calls as promises.

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const zookeeper = require('node-zookeeper-client');

function listen(server) {
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)));
}

class Server {
  static async start(name) {
    const server = new Server();
    server.directory = path.join(process.env.WORK, name);
    const probe = net.createServer();
    server.port = await listen(probe);
    await new Promise((resolve) => probe.close(resolve));
    await server.start();
    return server;
  }

  // Runs the server on its directory and returns once it serves.
  async start() {
    this.process = spawn(process.env.SERVER_COMMAND, [this.directory, String(this.port), 'minSessionTimeout=1000'], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    this.ended = once(this.process, 'exit');
    while (!(await this.word('srvr')).includes('Mode:')) {
      if (this.process.exitCode !== null || this.process.signalCode !== null) {
        throw new Error(`the server ended before it served:\n${fs.readFileSync(path.join(this.directory, 'server.log'))}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async stop(signal) {
    this.process.kill(signal);
    await this.ended;
  }

  // The answer to a four-letter word; '' if nobody answers.
  word(word) {
    return new Promise((resolve) => {
      let text = '';
      const socket = net.connect(this.port, '127.0.0.1', () => socket.write(word));
      socket.on('data', (data) => { text += data; });
      socket.on('error', () => {});
      socket.on('close', () => resolve(text));
    });
  }
}

// Forwards a port to another, except while it is cut.
class Relay {
  static async to(port) {
    const relay = new Relay();
    relay.sockets = new Set();
    relay.isCut = false;
    relay.server = net.createServer((socket) => {
      if (relay.isCut) {
        socket.destroy();
        return;
      }
      const other = net.connect(port, '127.0.0.1');
      for (const [from, to] of [[socket, other], [other, socket]]) {
        relay.sockets.add(from);
        from.pipe(to);
        from.on('error', () => {});
        from.on('close', () => { relay.sockets.delete(from); to.destroy(); });
      }
    });
    relay.port = await listen(relay.server);
    return relay;
  }

  cut() {
    this.isCut = true;
    for (const socket of this.sockets) socket.destroy();
  }

  join() {
    this.isCut = false;
  }

  close() {
    this.cut();
    this.server.close();
  }
}

// A session whose calls are promises, and whose states can be waited for.
class Session {
  static async connect(port, options) {
    const session = new Session(port, options);
    await session.state('SYNC_CONNECTED');
    return session;
  }

  constructor(port, options) {
    this.client = zookeeper.createClient(`127.0.0.1:${port}`, { sessionTimeout: 20000, spinDelay: 50, ...options });
    this.states = [];
    this.waiting = [];
    this.client.on('state', (state) => {
      this.states.push(state.name);
      this.settle();
    });
    this.client.connect();
  }

  settle() {
    this.waiting = this.waiting.filter(({ name, resolve }) => {
      const at = this.states.indexOf(name);
      if (at < 0) return true;
      this.states.splice(0, at + 1);
      resolve();
      return false;
    });
  }

  // Consumes the session's states up to that one.
  state(name) {
    return new Promise((resolve) => {
      this.waiting.push({ name, resolve });
      this.settle();
    });
  }

  get id() {
    return this.client.getSessionId().toString('hex');
  }

  call(method, ...args) {
    return new Promise((resolve, reject) => {
      this.client[method](...args, (error, ...results) => (error ? reject(error) : resolve(results.length > 1 ? results : results[0])));
    });
  }

  create(where, data = '', mode = zookeeper.CreateMode.PERSISTENT, acls = zookeeper.ACL.OPEN_ACL_UNSAFE) {
    return this.call('create', where, Buffer.from(data), acls, mode);
  }

  async get(where, watcher) {
    const [data, stat] = await this.call('getData', where, watcher);
    return { data: String(data ?? ''), stat };
  }

  set(where, data, version = -1) {
    return this.call('setData', where, Buffer.from(data), version);
  }

  remove(where, version = -1) {
    return this.call('remove', where, version);
  }

  // The stat, or null without a znode.
  exists(where, watcher) {
    return this.call('exists', where, watcher);
  }

  async children(where, watcher) {
    const [names, stat] = await this.call('getChildren', where, watcher);
    return { names: names.sort(), stat };
  }

  // Resolves with the results, the error first.
  commit(transaction) {
    return new Promise((resolve) => transaction.commit((error, results) => resolve([error, results])));
  }

  close() {
    this.client.close();
  }
}

// A watcher whose events can be waited for.
function watch() {
  const events = [];
  const waiting = [];
  const watcher = (event) => {
    const text = `${event.getName()} ${event.getPath()}`;
    if (waiting.length > 0) waiting.shift()(text); else events.push(text);
  };
  watcher.next = () => new Promise((resolve) => {
    if (events.length > 0) resolve(events.shift()); else waiting.push(resolve);
  });
  watcher.seen = events;
  return watcher;
}

let serial = 0;
async function home(session) {
  serial += 1;
  return session.create(`/node-${process.pid}-${serial}`);
}

function long(buffer) {
  return buffer.readBigInt64BE(0);
}

module.exports = { Server, Relay, Session, watch, home, long, zookeeper };
