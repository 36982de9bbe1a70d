"""Server processes: started with a log of their own, waited for, measured in memory, and ended."""

import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def environment(*prefixes, **more):
    """The caller's without the variables that would configure a server behind our back."""
    return {key: value for key, value in os.environ.items() if not key.startswith(prefixes)} | more


def _family(pid):
    pids = [pid]
    for each in pids:
        try:
            for thread in os.listdir(f"/proc/{each}/task"):
                with open(f"/proc/{each}/task/{thread}/children") as children:
                    pids += map(int, children.read().split())
        except OSError:
            pass
    return pids


def pss_bytes(pids):
    """The processes' memory and that of their children, each shared page divided by how many share it."""
    total = 0
    for pid in {member for pid in pids for member in _family(pid)}:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as lines:
                total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
        except OSError:
            pass
    return total


class PeakMemory:
    """The largest sum of the processes' memory while the block runs, looked at every `interval` seconds and at the end."""

    def __init__(self, pids, interval):
        self.pids, self.interval, self.bytes = pids, interval, 0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def _watch(self):
        while not self.done.wait(self.interval):
            self.bytes = max(self.bytes, pss_bytes(self.pids))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()
        self.bytes = max(self.bytes, pss_bytes(self.pids))


class Processes:
    """What was started in order, ended in reverse."""

    def __init__(self, folder):
        self.folder = folder
        self.started = []

    def start(self, name, command, variables):
        log = open(self.folder / f"{name}.log", "w")
        process = subprocess.Popen(
            [str(word) for word in command], stdout=log, stderr=log, env=variables, cwd=self.folder, start_new_session=True)
        log.close()
        self.started.append((name, process))
        return process

    @property
    def pids(self):
        return [process.pid for _, process in self.started]

    def log(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def wait(self, condition, what, seconds):
        """Until the condition holds, unless a process ends before."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for name, process in self.started:
                if process.poll() is not None:
                    raise RuntimeError(f"{name} ended with {process.returncode}: {self.log(name)[-600:]}")
            value = condition()
            if value:
                return value
            time.sleep(0.1)
        raise RuntimeError(f"{what} was not ready after {seconds} s")

    def wait_http(self, url, seconds):
        # What is on this machine is not asked through the environment's proxy.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

        def answers():
            try:
                with opener.open(url, timeout=5) as reply:
                    return reply.status == 200
            except (urllib.error.URLError, OSError):
                return False

        self.wait(answers, url, seconds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for _, process in reversed(self.started):
            self._end(process)

    @staticmethod
    def _end(process):
        for number, seconds in [(signal.SIGTERM, 20), (signal.SIGKILL, 20)]:
            try:
                os.killpg(process.pid, number)
            except ProcessLookupError:
                pass
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
            if number == signal.SIGTERM:
                # A child that outlived its parent.
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            return
