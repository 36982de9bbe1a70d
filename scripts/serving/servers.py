"""The servers under the shared-prefix load: each is started fresh, and ends when the block does."""

import json
import os
import pathlib

from . import processes

NAME = "m"
CONFIGURATION = pathlib.Path(__file__).with_name("tiers.yaml")


class Baton:
    """A Redis, one prefill and one decode process and a router, as the README starts them by hand."""

    name = "baton"
    memory_interval = 0.25

    def __init__(self, binary, model, configuration=CONFIGURATION):
        self.binary, self.model, self.configuration = binary, model, configuration

    def start(self, group):
        variables = processes.environment("BATON_")
        socket = group.folder / "redis.sock"
        group.start("redis", [
            "redis-server", "--port", 0, "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", group.folder], variables)
        group.wait(socket.exists, "redis-server", 20)
        common = [
            "--config", self.configuration, "--model", self.model, "--redis", f"unix://{socket}", "--listen", "127.0.0.1:0",
            "--log-level", "info"]
        addresses = {}
        for role in ["prefill", "decode", "router"]:
            own = [] if role == "router" else ["--worker-id", f"{role}-1"]
            group.start(role, [self.binary, role, *common, *own, "--http-listen", "127.0.0.1:0"], variables)
        for role in ["prefill", "decode", "router"]:
            addresses[role] = group.wait(lambda: self._address(group, role), role, 60)
        group.wait_http(f"http://{addresses['router']}/readyz", 60)
        return f"http://{addresses['router']}"

    @staticmethod
    def _address(group, role):
        for line in group.log(role).splitlines():
            if '"message":"ready"' in line:
                return json.loads(line)["metadata"]["http"]
        return None


class SingleProcess:
    """`baton serve` without prefix cache and speculation: what the tiers' answers are compared with."""

    name = "one process"
    memory_interval = 10

    def __init__(self, binary, model):
        self.binary, self.model = binary, model

    def start(self, group):
        group.start("serve", [
            self.binary, "serve", "--model", self.model, "--served-model-name", NAME, "--listen", "127.0.0.1:0",
            "--http-listen", "127.0.0.1:0", "--no-enable-prefix-caching", "--no-enable-spec-decode"],
            processes.environment("BATON_"))
        return f"http://{group.wait(lambda: Baton._address(group, 'serve'), 'serve', 60)}"


class LlamaServer:
    name = "llama.cpp"
    memory_interval = 1

    def __init__(self, tool, model, threads, clients):
        self.tool, self.model, self.threads, self.clients = tool, model, threads, clients

    def start(self, group):
        port = processes.free_port()
        group.start("llama-server", [
            self.tool, "-m", self.model, "-t", self.threads, "-np", self.clients, "-c", 2048 * self.clients, "--host", "127.0.0.1",
            "--port", port], processes.environment("LLAMA_"))
        group.wait_http(f"http://127.0.0.1:{port}/health", 120)
        return f"http://127.0.0.1:{port}"


class VLLM:
    """With `threads` bound to as many processors; without, as it starts by itself: it leaves one to its scheduler."""

    memory_interval = 2

    def __init__(self, python, checkpoint, clients, threads=None):
        self.name = "vllm" if threads is None else "vllm-bound"
        self.python, self.checkpoint, self.clients, self.threads = python, checkpoint, clients, threads

    def start(self, group):
        port = processes.free_port()
        variables = processes.environment(
            "VLLM_", VLLM_CPU_KVCACHE_SPACE="2", HF_HUB_OFFLINE="1", VLLM_NO_USAGE_STATS="1",
            PATH=f"{self.python.parent}:{os.environ['PATH']}")
        if self.threads is not None:
            variables["VLLM_CPU_OMP_THREADS_BIND"] = ",".join(map(str, sorted(os.sched_getaffinity(0))[:self.threads]))
        group.start("vllm", [
            self.python, "-m", "vllm.entrypoints.openai.api_server", "--model", self.checkpoint, "--served-model-name", NAME,
            "--dtype", "bfloat16", "--max-model-len", 2048, "--max-num-seqs", self.clients, "--enable-prefix-caching",
            "--host", "127.0.0.1", "--port", port], variables)
        group.wait_http(f"http://127.0.0.1:{port}/health", 600)
        return f"http://127.0.0.1:{port}"
