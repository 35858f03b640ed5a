"""Waiting for what another process or thread is about to do."""

import time


def wait_until(condition, process=None, seconds=200.0):
    """Wait until something is true, but not for ever, nor for a process that has ended; give what is true."""
    end = time.monotonic() + seconds
    while True:
        ended = process is not None and process.poll() is not None
        if found := condition():
            return found
        assert not ended, process.communicate()
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)
