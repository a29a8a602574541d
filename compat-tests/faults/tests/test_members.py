"""What an operator does for a Java server that cannot start by itself any more."""

import os
import tempfile
import types
import unittest

from members import Member


def member(directory, log):
    """A Java server without disk and network; `log` is what its last process has said."""
    found = object.__new__(Member)
    found.kind, found.data, found.directory, found.runs = "java-3.9", directory, directory, 1
    found.cluster = types.SimpleNamespace(epochs_mended=0)
    os.mkdir(os.path.join(directory, "version-2"))
    with open(found.log_path, "w") as file:
        file.write(log)
    with open(os.path.join(directory, "version-2", "currentEpoch"), "w") as file:
        file.write("4")
    return found


def current_epoch(directory):
    with open(os.path.join(directory, "version-2", "currentEpoch")) as file:
        return file.read()


class TestEpochs(unittest.TestCase):
    def test_the_epoch_of_the_log_is_entered(self):
        log = "java.io.IOException: The current epoch, 4, is older than the last zxid, 21474836740\n"
        with tempfile.TemporaryDirectory() as directory:
            mended = member(directory, log)
            mended.enter_epoch_of_log()
            self.assertEqual((current_epoch(directory), mended.cluster.epochs_mended), ("5", 1))

    def test_whoever_starts_is_left_as_it_is(self):
        with tempfile.TemporaryDirectory() as directory:
            sound = member(directory, "INFO LOOKING\n")
            sound.enter_epoch_of_log()
            self.assertEqual((current_epoch(directory), sound.cluster.epochs_mended), ("4", 0))


if __name__ == "__main__":
    unittest.main()
