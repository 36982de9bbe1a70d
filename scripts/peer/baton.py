"""Baton's side: its own benchmark, the machine's limits, and a server's memory."""

import concurrent.futures
import json
import os
import random
import subprocess
import tempfile
import time
import urllib.request


class Baton:
    def __init__(self, binary, kernel_bench, threads, path=None):
        self.binary = binary
        self.kernel_bench = kernel_bench
        self.threads = threads
        self.path = path
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("BATON_")}
        self.limits = {}
        self.loads = {}

    def _run(self, command):
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, env=self.environment, timeout=3600)
        if done.returncode != 0:
            raise RuntimeError(f"{command[0].name} ended with {done.returncode}: {done.stderr[-500:]}")
        return json.loads(done.stdout)

    def measure_limits(self):
        """The best of all measurements so far: what else runs can only make one worse."""
        for key, value in self._run([self.kernel_bench, "roofline", "--threads", self.threads, "--json"]).items():
            self.limits[key] = max(value, self.limits.get(key, 0))

    def limit(self, kind):
        if kind == "memory":
            return self.limits["memory_read_gbps"] * 1e9
        if kind == "bf16":
            value = self.limits.get("bf16_avx512_gflops") if self.path != "avx2" else None
        else:
            unit = "gops" if kind == "int8" else "gflops"
            widths = ["avx2"] if self.path == "avx2" else ["avx512", "avx2", "portable"]
            value = next((self.limits[f"{kind}_{w}_{unit}"] for w in widths if f"{kind}_{w}_{unit}" in self.limits), None)
        return value * 1e9 if value else None

    def bench(self, model, *options):
        """Figures of one run by name."""
        command = [self.binary, "bench", "--model", model, "--threads", self.threads, "--runs", 1, "--json", *options]
        if self.path:
            command += ["--path", self.path]
        figures = {row["name"]: row["value"] for row in self._run(command)}
        self.loads.setdefault(str(model), []).append(figures["load"])
        return figures

    def serve_peak(self, model, blocks, clients=8):
        """The peak of a server's memory, in bytes, after a load that fills most of its blocks."""
        with tempfile.NamedTemporaryFile("w+") as log:
            server = subprocess.Popen(
                [str(self.binary), "serve", "--model", str(model), "--threads", str(self.threads),
                 "--num-blocks", str(blocks), "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"],
                stdout=log, stderr=log, env=self.environment)
            try:
                address = self._ready(server, log.name)
                tokens = blocks * 16 // clients * 3 // 4
                with concurrent.futures.ThreadPoolExecutor(clients) as pool:
                    list(pool.map(lambda seed: self._complete(address, seed, tokens), range(clients)))
                with open(f"/proc/{server.pid}/status") as status:
                    line = next(line for line in status if line.startswith("VmHWM:"))
                return int(line.split()[1]) * 1024
            finally:
                server.terminate()
                try:
                    server.wait(20)
                except subprocess.TimeoutExpired:
                    server.kill()
                    server.wait()

    @staticmethod
    def _ready(server, log, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end and server.poll() is None:
            with open(log) as lines:
                for line in lines:
                    if '"message":"ready"' in line:
                        return json.loads(line)["metadata"]["http"]
            time.sleep(0.05)
        raise RuntimeError("baton serve did not come up")

    @staticmethod
    def _complete(address, seed, tokens):
        prompt = [random.Random(seed * 10_000 + index).randrange(1000, 20_000) for index in range(tokens - 32)]
        body = json.dumps({"model": "m", "prompt": prompt, "max_tokens": 32, "temperature": 0, "ignore_eos": True})
        with urllib.request.urlopen(f"http://{address}/v1/models", timeout=30) as reply:
            name = json.load(reply)["data"][0]["id"]
        body = json.dumps({**json.loads(body), "model": name})
        request = urllib.request.Request(
            f"http://{address}/v1/completions", body.encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=600) as reply:
            json.load(reply)
