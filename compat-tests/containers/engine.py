"""Containers of the Docker engine that the suite has, and clients of what runs in them."""

import logging
import os
import pathlib
import subprocess
import time

from kazoo.client import KazooClient

IMAGE = os.environ["IMAGE"]
WORK = pathlib.Path(os.environ["WORK"])
PROJECT = pathlib.Path(__file__).resolve().parents[2]
PATIENCE = 120
made = []
# It tells of every connection that ends, and here many are meant to.
logging.getLogger("kazoo").setLevel(logging.CRITICAL)


def run(*arguments, check=True, **options):
    done = subprocess.run(arguments, capture_output=True, text=True, **options)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(map(str, arguments))}: {done.stdout}{done.stderr}")
    return done


def docker(*arguments, **options):
    return run("docker", *arguments, **options).stdout.strip()


def start(*arguments):
    """A container with the client port published on a free port of the loopback address."""
    name = docker("run", "--detach", "--publish", "127.0.0.1::2181", *arguments)
    made.append(name)
    return name


def address(name):
    return docker("port", name, "2181").splitlines()[0]


def until(what, wanted):
    """Waits for what other processes do in their own time."""
    end = time.monotonic() + PATIENCE
    while not (seen := what()) and time.monotonic() < end:
        time.sleep(0.2)
    assert seen, wanted
    return seen


def mode(name):
    done = run("docker", "exec", name, "zkServer.sh", "status", check=False)
    return next((line.removeprefix("Mode: ") for line in done.stdout.splitlines() if line.startswith("Mode: ")), None)


def client(hosts):
    zk = KazooClient(hosts=hosts, timeout=10)
    zk.start(timeout=PATIENCE)
    return zk


def config(name):
    return docker("exec", name, "cat", "/conf/zoo.cfg").splitlines()
