"""The client's side of DIGEST-MD5 (RFC 2831) as members of an ensemble use it, with every liberty that a liar takes."""

import hashlib
import re
import socket
import struct

MAGIC = 0x5F2435013501EDCC
IN_PROGRESS, SUCCESS, ERROR = 0, 1, -1
SERVICE, HOST = "zookeeper-quorum", "zk-quorum-sasl-md5"


def packet(status, token=b""):
    return struct.pack(">qii", MAGIC, status, len(token)) + token


def receive(sock):
    """(status, token), or None at the end."""
    head = exactly(sock, 16)
    if head is None:
        return None
    magic, status, length = struct.unpack(">qii", head)
    assert magic == MAGIC, hex(magic)
    return status, exactly(sock, length) if length > 0 else b""


def exactly(sock, count):
    data = b""
    while len(data) < count:
        try:
            piece = sock.recv(count - len(data))
        except ConnectionResetError:
            return None
        if not piece:
            return None
        data += piece
    return data


def response(challenge, user, password, authorization=None):
    nonce = re.search(rb'nonce="([^"]*)"', challenge)[1].decode()
    md5 = lambda data: hashlib.md5(data).digest()
    uri, cnonce, count = f"{SERVICE}/{HOST}", "0123456789abcdef", "00000001"
    secret = md5(f"{user}:{HOST}:{password}".encode()) + f":{nonce}:{cnonce}".encode()
    if authorization is not None:
        secret += f":{authorization}".encode()
    digest = f"{md5(secret).hex()}:{nonce}:{count}:{cnonce}:auth:{md5(f'AUTHENTICATE:{uri}'.encode()).hex()}"
    text = (f'charset=utf-8,username="{user}",realm="{HOST}",nonce="{nonce}",nc={count},cnonce="{cnonce}",'
            f'digest-uri="{uri}",maxbuf=65536,response={md5(digest.encode()).hex()},qop=auth')
    return (text + (f',authzid="{authorization}"' if authorization is not None else "")).encode()


def authenticate(sock, user, password, authorization=None):
    """Whether the other side believes it."""
    sock.sendall(packet(IN_PROGRESS))
    told = receive(sock)
    if told is None or told[0] != IN_PROGRESS:
        return False
    sock.sendall(packet(IN_PROGRESS, response(told[1], user, password, authorization)))
    told = receive(sock)
    return told is not None and told[0] == SUCCESS


def dial(port):
    return socket.create_connection(("127.0.0.1", port), 60)
