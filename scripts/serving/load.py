#!/usr/bin/env python3
"""A closed loop of streaming /v1/completions: each client sends its requests one after another. Writes what came of each.

Time to first token: from before the connection is opened to the first piece of text. Gaps: between later pieces with text. Every
request has a connection of its own.
"""

import argparse
import asyncio
import json
import pathlib
import time
import urllib.parse

LIMIT = 2**20


class Answer:
    """What one stream brought, with times relative to its start."""

    def __init__(self):
        self.began = time.perf_counter()
        self.last = None
        self.record = {"ttft": None, "gaps": [], "tokens": 0, "prompt_tokens": None, "cached_tokens": None, "text": "", "finish": None}

    def event(self, data):
        now = time.perf_counter()
        usage = data.get("usage")
        if usage:
            self.record["tokens"] = usage["completion_tokens"]
            self.record["prompt_tokens"] = usage["prompt_tokens"]
            self.record["cached_tokens"] = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
        if "error" in data:
            raise RuntimeError(str(data["error"])[:200])
        for choice in data.get("choices") or []:
            self.record["finish"] = choice.get("finish_reason") or self.record["finish"]
            if choice.get("text"):
                if self.last is None:
                    self.record["ttft"] = now - self.began
                else:
                    self.record["gaps"].append(now - self.last)
                self.last = now
                self.record["text"] += choice["text"]

    def finished(self):
        if not self.record["tokens"] or self.last is None:
            raise RuntimeError("the stream ended without text or without usage")
        return {**self.record, "seconds": time.perf_counter() - self.began}


async def _head(reader):
    """The status, and whether the body comes in chunks."""
    status, chunked = (await reader.readline()).decode(), False
    while (line := (await reader.readline()).decode().strip().lower()):
        chunked = chunked or (line.startswith("transfer-encoding:") and "chunked" in line)
    return status, chunked


async def _lines(reader, chunked):
    """The body's lines, as soon as each is whole."""
    rest = b""
    while True:
        if chunked:
            size = int((await reader.readline()).split(b";")[0] or b"0", 16)
            part = (await reader.readexactly(size + 2))[:-2]
        else:
            part = await reader.read(LIMIT)
        if not part:
            return
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            yield line


async def complete(address, body):
    payload = json.dumps(body).encode()
    head = (
        f"POST /v1/completions HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(payload)}\r\nConnection: close\r\n\r\n")
    answer = Answer()
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=LIMIT)
    try:
        writer.write(head.encode() + payload)
        status, chunked = await _head(reader)
        if " 200 " not in status:
            raise RuntimeError(f"{status.strip()}: {(await reader.read(300)).decode(errors='replace')}")
        async for line in _lines(reader, chunked):
            if line.startswith(b"data:") and line[5:].strip() != b"[DONE]":
                answer.event(json.loads(line[5:]))
        return answer.finished()
    finally:
        writer.close()


async def attempt(address, body, seconds):
    try:
        return await asyncio.wait_for(complete(address, body), seconds)
    except Exception as error:
        return {"error": str(error) or type(error).__name__}


async def run(address, prompts, chosen):
    """Client c takes the prompts c × requests and after, and the answers come in the order of the prompts."""
    answers = [None] * (chosen.clients * chosen.requests)

    async def client(number):
        for index in range(number * chosen.requests, (number + 1) * chosen.requests):
            answers[index] = await attempt(address, {
                "model": chosen.model, "prompt": prompts[index % len(prompts)], "max_tokens": chosen.max_tokens, "temperature": 0,
                "ignore_eos": True, "stream": True, "stream_options": {"include_usage": True}}, chosen.timeout)

    began = time.perf_counter()
    await asyncio.gather(*[client(number) for number in range(chosen.clients)])
    return {"seconds": time.perf_counter() - began, "answers": answers}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", type=urllib.parse.urlsplit, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--prompts", type=pathlib.Path, required=True, help="a JSON list of texts")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--requests", type=int, default=5, help="of each client (5)")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one request (600)")
    parser.add_argument("--output", type=pathlib.Path, required=True)
    chosen = parser.parse_args()
    prompts = json.loads(chosen.prompts.read_text())
    chosen.output.write_text(json.dumps(asyncio.run(run(chosen.url, prompts, chosen))))


if __name__ == "__main__":
    main()
