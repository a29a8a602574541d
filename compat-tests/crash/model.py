"""What a writer's directory must look like after each of its writes.

Only its writer changes a directory, and a session's writes take effect in their order. So after a crash the directory
is as it was after some first part of what was sent, a part that ends no earlier than the last acknowledged write. A
multi counts as one write. `Directory.apply` is the slow, obvious twin of the server."""

import copy
import struct

from wire import *


class Node:
    def __init__(self, data, owner, write):
        self.data, self.version, self.owner = data, 0, owner
        self.created, self.changed = write, write  # numbers of the writes, to find the acknowledged stat


class Directory:
    def __init__(self, path):
        self.path = path
        self.nodes = {}
        self.counter = 0  # children ever created

    def apply(self, op, session, write):
        """The result: ("error", code), or ("path", path), ("version", version), ("done",), ("multi", results)."""
        kind = op[0]
        if kind == "multi":
            saved = copy.deepcopy((self.nodes, self.counter))
            results = []
            for part in op[1]:
                results.append(self.apply(part, session, write))
                if results[-1][0] == "error":
                    self.nodes, self.counter = saved
                    at = len(results) - 1
                    rest = [("error", INCONSISTENT)] * (len(op[1]) - len(results))
                    return ("multi", [("error", 0)] * at + results[at:] + rest)
            return ("multi", results)
        name = op[1]
        if kind == "create":
            _, _, data, flags = op
            if flags & 2:
                name += f"{self.counter:010d}"
            if name in self.nodes:
                return ("error", NODE_EXISTS)
            self.nodes[name] = Node(data, session if flags & 1 else 0, write)
            self.counter += 1
            return ("path", f"{self.path}/{name}")
        node = self.nodes.get(name)
        if node is None:
            return ("error", NO_NODE)
        if op[-1] not in (-1, node.version):
            return ("error", BAD_VERSION)
        if kind == "set":
            node.data, node.version, node.changed = op[2], node.version + 1, write
            return ("version", node.version)
        if kind == "delete":
            del self.nodes[name]
        return ("done",)

    def differences(self, connection, stats):
        """What is different on the server, as text; stats are the acknowledged ones by (write, name)."""
        found = []
        names = connection.children(self.path)
        if names != sorted(self.nodes):
            return [f"{self.path} has {names}, not {sorted(self.nodes)}"]
        stat = connection.exists(self.path)
        if (stat.cversion, stat.children) != (2 * self.counter - len(self.nodes), len(self.nodes)):
            found.append(f"{self.path}: {stat}, but {self.counter} were created and {len(self.nodes)} are left")
        for name, node in self.nodes.items():
            data, stat = connection.read(f"{self.path}/{name}")
            seen, wanted = (data, stat.version, stat.owner), (node.data, node.version, node.owner)
            if seen != wanted:
                found.append(f"{self.path}/{name}: {seen}, not {wanted}")
            born, changed = stats.get((node.created, name)), stats.get((node.changed, name))
            if born and (stat.czxid, stat.ctime) != (born.czxid, born.ctime):
                found.append(f"{self.path}/{name}: {stat}, acknowledged at its creation {born}")
            if changed and (stat.mzxid, stat.mtime) != (changed.mzxid, changed.mtime):
                found.append(f"{self.path}/{name}: {stat}, acknowledged at its last change {changed}")
        return found


def encode(op, directory):
    """(opcode, body) of a write."""
    kind = op[0]
    if kind == "multi":
        body = b""
        for part in op[1]:
            opcode, inner = encode(part, directory)
            body += struct.pack(">ibi", opcode, 0, -1) + inner
        return MULTI, body + struct.pack(">ibi", -1, 1, -1)
    path = f"{directory}/{op[1]}"
    if kind == "create":
        return CREATE2, create_body(path, op[2], op[3])
    if kind == "set":
        return SET, text(path) + blob(op[2]) + struct.pack(">i", op[3])
    return (DELETE if kind == "delete" else CHECK), text(path) + struct.pack(">i", op[2])


def decode(op, error, reply, stats, write):
    """The result in the form of Directory.apply; notes the stats that came with it."""
    kind = op[0]
    if error:
        return ("error", error)
    if kind == "multi":
        results = []
        for part in op[1]:
            opcode, _, _ = reply.take(">ibi")
            results.append(decode(part, 0, reply, stats, write) if opcode != -1 else ("error", reply.take(">i")))
        return ("multi", results)
    if kind == "create":
        path = reply.text()
        stats[write, path.rsplit("/", 1)[1]] = reply.stat()
        return ("path", path)
    if kind == "set":
        stat = reply.stat()
        stats[write, op[1]] = stat
        return ("version", stat.version)
    return ("done",)


def random_write(rng, directory, write):
    """A write that makes sense next, or does not: errors are part of the load."""
    def one():
        name = rng.choice(sorted(directory.nodes) if directory.nodes and rng.random() < 0.7 else "abcdefgh")
        node = directory.nodes.get(name)
        version = rng.choice([-1, node.version if node else 0, 1])
        data = f"{write}:{rng.random()}".encode() * rng.choice([1, 1, 1, 50])
        choice = rng.random()
        if len(directory.nodes) > 25 or choice < 0.25:
            return ("delete", name, -1 if len(directory.nodes) > 25 else version)
        if choice < 0.6:
            return ("set", name, data, version)
        if choice < 0.65:
            return ("check", name, version)
        flags = rng.choice([0, 0, 1, 2, 3])
        return ("create", "n-" if flags & 2 else rng.choice("abcdefgh"), data, flags)

    op = one()
    if op[0] == "check" or rng.random() < 0.25:
        return ("multi", [one() for _ in range(rng.randrange(1, 5))])
    return op
