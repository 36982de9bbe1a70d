"""Talks to a server as OpenAI's own client does, and reads its metrics as Prometheus' own parser does.

usage: client.py PORT
"""

import sys
import urllib.request

import openai
from prometheus_client.parser import text_string_to_metric_families

base = f"http://127.0.0.1:{sys.argv[1]}"
client = openai.OpenAI(base_url=base + "/v1", api_key="sesame", max_retries=0)
user = [{"role": "user", "content": "hello"}]


def expect(condition, what):
    if not condition:
        sys.exit(f"failed: {what}")


answer = client.completions.create(model="smol", prompt="hello", logprobs=1, max_tokens=5)
expect(answer.choices[0].text == "Grüße 🎈.", answer)
expect(answer.choices[0].finish_reason == "stop", answer)
expect(answer.usage.prompt_tokens_details.cached_tokens == 2, answer)

text = "".join(
    chunk.choices[0].text for chunk in client.completions.create(model="smol", prompt="hello", stream=True)
)
expect(text == "Grüße 🎈.", text)

answer = client.chat.completions.create(model="smol", messages=user, logprobs=True, top_logprobs=2, n=2)
expect([choice.message.content for choice in answer.choices] == ["Grüße 🎈."] * 2, answer)
expect(answer.choices[1].logprobs.content[0].token == "w1000", answer)

chunks = list(
    client.chat.completions.create(
        model="smol", messages=user, stream=True, stream_options={"include_usage": True}
    )
)
expect(chunks[0].choices[0].delta.role == "assistant", chunks)
expect("".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Grüße 🎈.", chunks)
expect(chunks[-1].usage.total_tokens == 6, chunks)

answer = client.completions.create(model="smol", prompt=["a", "b"], extra_body={"top_k": 4, "ignore_eos": True})
expect([choice.index for choice in answer.choices] == [0, 1], answer)

expect([model.id for model in client.models.list()] == ["smol", "org/big"], "models")
expect(client.models.retrieve("org/big").owned_by == "baton", "model")

for prompt, kind, error_type in [
    ("busy", openai.RateLimitError, "rate_limit_error"),
    ("missing", openai.NotFoundError, "invalid_request_error"),
    ("gone", openai.InternalServerError, "service_unavailable_error"),
]:
    try:
        client.completions.create(model="smol", prompt=prompt)
        sys.exit(f"failed: {prompt} was answered")
    except kind as error:
        expect(error.type == error_type, error.body)

try:
    client.chat.completions.create(model="smol", messages=user, temperature="hot")
    sys.exit("failed: a wrong field was accepted")
except openai.BadRequestError as error:
    expect(error.param == "temperature", error.body)

try:
    client.with_options(api_key="wrong").models.list()
    sys.exit("failed: a wrong key was accepted")
except openai.AuthenticationError as error:
    expect(error.code == "invalid_api_key", error.body)

seen = ""
try:
    for chunk in client.completions.create(model="smol", prompt="break", stream=True):
        seen += chunk.choices[0].text
    sys.exit("failed: a broken stream ended well")
except openai.APIError as error:
    expect(seen == "begun", seen)
    expect(error.message == "every worker is gone", error)

with client.completions.create(model="smol", prompt="endless", stream=True) as stream:
    for chunk in stream:
        break

with urllib.request.urlopen(base + "/metrics") as reply:
    families = {family.name: family for family in text_string_to_metric_families(reply.read().decode())}
expect(families["baton_http_requests"].type == "counter", families.keys())
histogram = families["baton_http_request_duration_seconds"]
expect(histogram.type == "histogram", histogram)
for sample in histogram.samples:
    expect(sample.name.rsplit("_", 1)[1] in ("bucket", "sum", "count"), sample)
expect(families["baton_strange"].samples[0].labels["path"] == 'C:\\ "q"\n', families["baton_strange"])

print("ok")
