"""Independent clients of a running cluster: the openai package, plain gRPC by reflection, a client that hangs up.

    clients.py ROUTER_HTTP ROUTER_GRPC          ends with status 0 when everything held
"""

import json
import socket
import sys

import grpc
import openai
from google.protobuf import descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

http, target = sys.argv[1:]
base = f"http://{http}/v1"


def check(condition, words):
    if not condition:
        sys.exit(f"failed: {words}")


# The openai package, streaming and not, completions and chat.
client = openai.OpenAI(base_url=base, api_key="none", timeout=120, max_retries=0)
models = [model.id for model in client.models.list()]
check(models == ["smollm2"], f"models are {models}")
prompt = "The three largest rivers of Europe are the Volga, the"
whole = client.completions.create(model="smollm2", prompt=prompt, max_tokens=12, temperature=0, logprobs=3)
choice = whole.choices[0]
check(choice.text and choice.finish_reason in ("length", "stop"), f"completion is {choice}")
check(whole.usage.completion_tokens == len(choice.logprobs.tokens), "usage and log-probabilities differ")
pieces, usage = [], None
for chunk in client.completions.create(
    model="smollm2", prompt=prompt, max_tokens=12, temperature=0, stream=True, stream_options={"include_usage": True}
):
    usage = chunk.usage or usage
    pieces += [each.text for each in chunk.choices]
check("".join(pieces) == choice.text, f"streamed {pieces}, not {choice.text!r}")
check(usage is not None and usage.prompt_tokens == whole.usage.prompt_tokens, "no usage at the stream's end")
messages = [{"role": "user", "content": "Say hello."}]
chat = client.chat.completions.create(model="smollm2", messages=messages, max_tokens=12, temperature=0)
streamed = "".join(
    chunk.choices[0].delta.content or ""
    for chunk in client.chat.completions.create(
        model="smollm2", messages=messages, max_tokens=12, temperature=0, stream=True)
    if chunk.choices)
check(streamed == chat.choices[0].message.content, f"chat streamed {streamed!r}")
for bad, kind in [
    (dict(model="gpt-7", prompt="a"), openai.NotFoundError),
    (dict(model="smollm2", prompt="a", temperature=-1), openai.BadRequestError),
    (dict(model="smollm2", prompt="a " * 20000), openai.BadRequestError),
]:
    try:
        client.completions.create(max_tokens=2, **bad)
        sys.exit(f"failed: {list(bad)} was accepted")
    except kind:
        pass

# A client without our files: names, types and a call, all from reflection.
channel = grpc.insecure_channel(target)
health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
check(health.status == health_pb2.HealthCheckResponse.SERVING, f"health is {health}")
database = ProtoReflectionDescriptorDatabase(channel)
services = set(database.get_services())
check("baton.v1.Inference" in services and "grpc.health.v1.Health" in services, f"services are {services}")
pool = descriptor_pool.DescriptorPool(database)
method = pool.FindServiceByName("baton.v1.Inference").FindMethodByName("Generate")
request = message_factory.GetMessageClass(method.input_type)()
request.text = prompt
request.sampling.temperature = 0
request.sampling.max_tokens = 12
call = channel.unary_stream(
    "/baton.v1.Inference/Generate",
    request_serializer=lambda message: message.SerializeToString(),
    response_deserializer=message_factory.GetMessageClass(method.output_type).FromString)
text = "".join(output.text for message in call(request, timeout=120) for output in message.outputs)
check(text == choice.text, f"gRPC answered {text!r}, HTTP {choice.text!r}")

# A client that hangs up in the middle of a stream.
host, port = http.rsplit(":", 1)
body = json.dumps({"model": "smollm2", "prompt": prompt, "max_tokens": 2000, "ignore_eos": True, "stream": True})
with socket.create_connection((host, int(port)), timeout=60) as connection:
    connection.sendall(
        f"POST /v1/completions HTTP/1.1\r\nHost: {http}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
    received = b""
    while received.count(b"data: ") < 3:
        part = connection.recv(4096)
        check(part, f"the stream ended early: {received[-200:]!r}")
        received += part
print("ok")
