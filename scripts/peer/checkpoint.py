#!/usr/bin/env python3
"""Makes a bf16 checkpoint in Hugging Face's layout of a GGUF file, for servers that do not read GGUF well.

Runs in an environment with gguf, torch, safetensors and tokenizers. Architecture llama with a byte-level BPE of SmolLM's kind.
"""

import argparse
import json
import pathlib

import gguf
import numpy
import safetensors.torch
import tokenizers
import torch

OUTER = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight", "output.weight": "lm_head.weight"}
INNER = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}
CONTROL, USER_DEFINED = 3, 4


class Source:
    def __init__(self, path):
        self.reader = gguf.GGUFReader(path)
        if self.value("general.architecture") != "llama" or self.value("tokenizer.ggml.pre") != "smollm":
            raise SystemExit(f"{path}: only the llama architecture with SmolLM's tokenizer is known here")

    def value(self, key):
        field = self.reader.fields.get(key)
        return field.contents() if field else None

    def tensors(self):
        heads = {"attn_q": self.value("llama.attention.head_count"), "attn_k": self.value("llama.attention.head_count_kv")}
        result = {}
        for tensor in self.reader.tensors:
            values = numpy.asarray(gguf.dequantize(tensor.data, tensor.tensor_type), dtype=numpy.float32)
            name = OUTER.get(tensor.name)
            if name is None:
                _, layer, part, suffix = tensor.name.split(".")
                if part in heads:
                    values = split_rotary_halves(values, heads[part])
                name = f"model.layers.{layer}.{INNER[part]}.{suffix}"
            result[name] = torch.from_numpy(numpy.array(values)).to(torch.bfloat16)
        return result


def split_rotary_halves(rows, heads):
    """GGUF keeps a rotated pair of rows together; the checkpoint has all first halves of a head, then all second ones."""
    size = rows.shape[0] // heads
    pairs = rows.reshape(heads, size // 2, 2, -1)
    return numpy.concatenate([pairs[:, :, 0], pairs[:, :, 1]], axis=1).reshape(rows.shape)


def configuration(source, tied):
    base = float(source.value("llama.rope.freq_base"))
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "hidden_size": source.value("llama.embedding_length"), "intermediate_size": source.value("llama.feed_forward_length"),
        "num_hidden_layers": source.value("llama.block_count"), "num_attention_heads": source.value("llama.attention.head_count"),
        "num_key_value_heads": source.value("llama.attention.head_count_kv"),
        "max_position_embeddings": source.value("llama.context_length"),
        "rms_norm_eps": float(source.value("llama.attention.layer_norm_rms_epsilon")), "rope_theta": base,
        "rope_parameters": {"rope_type": "default", "rope_theta": base}, "attention_bias": False, "mlp_bias": False,
        "vocab_size": len(source.value("tokenizer.ggml.tokens")), "tie_word_embeddings": tied, "torch_dtype": "bfloat16",
        "bos_token_id": source.value("tokenizer.ggml.bos_token_id"), "eos_token_id": source.value("tokenizer.ggml.eos_token_id"),
    }


def tokenizer(source):
    tokens, kinds = source.value("tokenizer.ggml.tokens"), source.value("tokenizer.ggml.token_type")
    merges = [tuple(pair.split(" ")) for pair in source.value("tokenizer.ggml.merges")]
    model = tokenizers.models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=merges)
    result = tokenizers.Tokenizer(model)
    result.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([
        tokenizers.pre_tokenizers.Digits(individual_digits=True),
        tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    result.decoder = tokenizers.decoders.ByteLevel()
    added = [
        tokenizers.AddedToken(token, special=kind == CONTROL, normalized=False)
        for token, kind in zip(tokens, kinds) if kind in (CONTROL, USER_DEFINED)]
    result.add_special_tokens([token for token in added if token.special])
    result.add_tokens([token for token in added if not token.special])
    return result


def write(path, content):
    path.write_text(json.dumps(content, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    chosen = parser.parse_args()
    source = Source(chosen.model)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    tensors = source.tensors()
    safetensors.torch.save_file(tensors, chosen.folder / "model.safetensors", metadata={"format": "pt"})
    config = configuration(source, tied="lm_head.weight" not in tensors)
    ends = {key: config[key] for key in ["bos_token_id", "eos_token_id"]}
    tokens = source.value("tokenizer.ggml.tokens")
    tokenizer(source).save(str(chosen.folder / "tokenizer.json"))
    write(chosen.folder / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": tokens[ends["bos_token_id"]],
        "eos_token": tokens[ends["eos_token_id"]], "model_max_length": config["max_position_embeddings"],
        "add_prefix_space": False, "clean_up_tokenization_spaces": False, "chat_template": source.value("tokenizer.chat_template")})
    write(chosen.folder / "generation_config.json", {**ends, "do_sample": False})
    # Last: a folder with it is complete.
    write(chosen.folder / "config.json", config)


if __name__ == "__main__":
    main()
