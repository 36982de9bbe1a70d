"""Runs `baton … --print-config` as each container of the manifests would run it: a flag, variable or key that the binary
does not know fails here, not in the cluster. Also compares the probes' and services' ports with what is listened on.

    check-manifest-arguments.py BATON MANIFESTS
"""

import os
import subprocess
import sys
import tempfile

import yaml

baton, manifests = sys.argv[1:]
documents = [each for each in yaml.safe_load_all(open(manifests)) if each]
config_maps = {each["metadata"]["name"]: each["data"] for each in documents if each["kind"] == "ConfigMap"}
services = [each for each in documents if each["kind"] == "Service" and each["spec"].get("clusterIP") != "None"]
checked = 0


def fail(message):
    print(f"check-deploy: {message}", file=sys.stderr)
    sys.exit(1)


def service_links():
    """What the cluster sets in each pod that does not decline it."""
    links = {}
    for service in services:
        name = service["metadata"]["name"].upper().replace("-", "_")
        port = service["spec"]["ports"][0]["port"]
        links |= {
            f"{name}_SERVICE_HOST": "10.0.0.2", f"{name}_SERVICE_PORT": str(port),
            f"{name}_PORT": f"tcp://10.0.0.2:{port}", f"{name}_PORT_{port}_TCP": f"tcp://10.0.0.2:{port}",
        }
    return links


def seconds(text):
    """A time as the configuration writes it."""
    for unit, factor in (("ms", 0.001), ("us", 1e-6), ("s", 1), ("m", 60), ("h", 3600)):
        if text.endswith(unit):
            return float(text[: -len(unit)]) * factor
    return float(text)


def before_stop(container):
    """Seconds that the preStop hook takes."""
    command = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [])
    if not command:
        return 0
    if len(command) != 2 or not command[0].endswith("sleep"):
        fail(f"the preStop hook {command} takes an unknown time")
    return float(command[1])


for document in documents:
    if document["kind"] not in ("Deployment", "StatefulSet"):
        continue
    name = document["metadata"]["name"]
    pod = document["spec"]["template"]["spec"]
    volumes = {each["name"]: each for each in pod.get("volumes", [])}
    for container in pod["containers"]:
        if container["image"].split(":")[0].rsplit("/", 1)[-1] != "baton":
            continue
        with tempfile.TemporaryDirectory() as root:
            mounts = {}
            for mount in container.get("volumeMounts", []):
                source = volumes[mount["name"]].get("configMap")
                if source is None:
                    continue
                folder = os.path.join(root, mount["name"])
                os.mkdir(folder)
                for key, text in config_maps[source["name"]].items():
                    with open(os.path.join(folder, key), "w") as file:
                        file.write(text)
                mounts[mount["mountPath"]] = folder
            environment = service_links() if pod.get("enableServiceLinks", True) else {}
            for variable in container.get("env", []):
                value = variable.get("value", "10.0.0.1")
                for known, replacement in environment.items():
                    value = value.replace(f"$({known})", replacement)
                environment[variable["name"]] = value
            arguments = []
            for argument in container["args"]:
                for path, folder in mounts.items():
                    argument = argument.replace(path, folder)
                arguments.append(argument)
            result = subprocess.run(
                [baton, *arguments, "--print-config"],
                env={"PATH": os.environ["PATH"], "HOME": root, **environment},
                capture_output=True, text=True, timeout=60)
            if result.returncode != 0:
                fail(f"{name}: baton {' '.join(container['args'])} says: {result.stderr.strip()}")
            effective = yaml.safe_load(result.stdout)
            needed = before_stop(container) + seconds(effective["drain_timeout"]) + 10
            if pod["terminationGracePeriodSeconds"] < needed:
                fail(f"{name}: terminationGracePeriodSeconds is less than preStop, drain_timeout and 10 s, {needed:g} s")
            ports = {each["containerPort"] for each in container["ports"]}
            listened = {int(str(effective[key]).rsplit(":", 1)[1]) for key in ("listen", "http_listen")}
            if ports != listened:
                fail(f"{name}: the container names ports {sorted(ports)}, baton listens on {sorted(listened)}")
            checked += 1

if checked == 0:
    fail("no container runs baton")
