"""llama.cpp: built outside the checkout from its source distribution, and run."""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import venv

NAME = "llama_cpp_python-0.3.36"
REQUIREMENT = "llama-cpp-python==0.3.36"
SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
TARGETS = ["llama-bench", "llama-batched-bench"]
COMMON = [
    "-DCMAKE_BUILD_TYPE=Release", "-DLLAMA_OPENSSL=OFF", "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF", "-DBUILD_SHARED_LIBS=ON",
]
NATIVE = ["-DGGML_NATIVE=ON"]
AVX2 = ["-DGGML_NATIVE=OFF", "-DGGML_AVX2=ON", "-DGGML_FMA=ON", "-DGGML_F16C=ON"]


class LlamaCpp:
    def __init__(self, cache, threads, avx2=False):
        self.folder = cache / "peers"
        self.threads = threads
        self.source = self.folder / NAME / "vendor" / "llama.cpp"
        self.build_folder = self.source / ("build-avx2" if avx2 else "build")
        self.options = AVX2 if avx2 else NATIVE

    def tool(self, name):
        return self.build_folder / "bin" / name

    def build(self, targets=TARGETS):
        """Leaves alone what is there."""
        if all(self.tool(name).exists() for name in targets):
            return
        for program in ["cmake", "make", "c++"]:
            if not shutil.which(program):
                sys.exit(f"no {program} on the PATH: run scripts/deps peers, which installs it")
        if not (self.source / "CMakeLists.txt").exists():
            self._fetch()
        print(f"building llama.cpp in {self.build_folder} (minutes)", file=sys.stderr)
        # Generated for make: with other generators this source configures itself anew without end.
        self._log(["cmake", "-B", self.build_folder, "-G", "Unix Makefiles", *COMMON, *self.options])
        self._log(
            ["cmake", "--build", self.build_folder, "-j", str(os.cpu_count() or 1), "--target", *targets])

    def _log(self, command):
        log = self.folder / (self.build_folder.name + ".log")
        with open(log, "a") as file:
            if subprocess.run(command, cwd=self.source, stdout=file, stderr=file).returncode != 0:
                sys.exit(f"{command[0]} failed; see {log}")

    def _fetch(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        archive = self.folder / f"{NAME}.tar.gz"
        if not archive.exists():
            python = [sys.executable]
            if subprocess.run([*python, "-m", "pip", "--version"], capture_output=True).returncode != 0:
                venv.create(self.folder / "venv", with_pip=True)
                python = [self.folder / "venv" / "bin" / "python"]
            # Not `:all:`, which would build the tools for its metadata from source too.
            subprocess.run(
                [*python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                 "--no-binary", "llama-cpp-python", "--dest", self.folder, REQUIREMENT], check=True)
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        if digest != SHA256:
            sys.exit(f"{archive} has SHA-256 {digest}, not {SHA256}; nothing was unpacked")
        with tarfile.open(archive) as tar:
            if hasattr(tarfile, "data_filter"):
                tar.extractall(self.folder, filter="data")
            else:
                tar.extractall(self.folder)

    def _lines(self, command):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("LLAMA_")}
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, env=environment, timeout=3600)
        if done.returncode != 0:
            raise RuntimeError(f"{command[0].name} ended with {done.returncode}: {done.stderr[-500:]}")
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    def bench(self, model, flash, prompt=0, generate=0, depth=0):
        """Tokens a second of one repetition, after the tool's own warm-up."""
        rows = self._lines([
            self.tool("llama-bench"), "-m", model, "-t", self.threads, "-p", prompt, "-n", generate, "-d", depth, "-r", 1,
            "-fa", flash, "-ctk", "f16", "-ctv", "f16", "-o", "jsonl"])
        return rows[0]["avg_ts"]

    def batched(self, model, flash, sizes, prompt, generate):
        """Tokens a second that all sequences generate together, for each number of sequences."""
        rows = self._lines([
            self.tool("llama-batched-bench"), "-m", model, "-t", self.threads, "-tb", self.threads,
            "-c", max(sizes) * (prompt + generate), "-b", 2048, "-ub", 512, "-npp", prompt, "-ntg", generate,
            "-npl", ",".join(map(str, sizes)), "-fa", flash, "-ctk", "f16", "-ctv", "f16", "--output-format", "jsonl"])
        return {row["pl"]: row["speed_tg"] for row in rows}
