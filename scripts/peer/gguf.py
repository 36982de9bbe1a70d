"""What a model's file says that the shares of the machine's limits need: sizes of tensors, heads, windows."""

import dataclasses
import struct

# GGUF's tensor types: elements and bytes of a block.
TYPE_BLOCKS = {
    0: (1, 4), 1: (1, 2), 30: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    12: (256, 144), 13: (256, 176), 14: (256, 210),
}
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


@dataclasses.dataclass
class Model:
    file_bytes: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    windows: list  # of each layer; None sees everything
    linear_weights: int  # multiplied for every token
    output_weights: int  # multiplied for sampled tokens
    matrix_bytes: int  # of both, as the file holds them

    def kv_bytes(self, positions):
        """What one decoded token reads of an f16 cache."""
        seen = sum(min(positions, window or positions) for window in self.windows)
        return seen * 2 * self.kv_heads * self.head_size * 2

    def block_bytes(self, block_size=16):
        return block_size * 2 * self.head_size * self.kv_heads * self.layers * 2

    def attention_operations(self, length):
        """Operations of a prompt's attention: two for each element of the keys that a query sees, two of the values."""
        seen = 0
        for window in self.windows:
            full = min(length, window or length)
            seen += full * (full + 1) // 2 + (length - full) * full
        return 4 * seen * self.heads * self.head_size


def _header(file):
    def read(form):
        return struct.unpack("<" + form, file.read(struct.calcsize("<" + form)))

    def text():
        return file.read(read("Q")[0]).decode()

    def value(kind):
        if kind == 8:
            return text()
        if kind == 9:
            inner, count = read("IQ")
            if inner in SCALARS:
                return list(read(f"{count}{SCALARS[inner]}"))
            return [value(inner) for _ in range(count)]
        return read(SCALARS[kind])[0]

    if file.read(4) != b"GGUF":
        raise ValueError("not a GGUF file")
    _, tensor_count, key_count = read("IQQ")
    metadata = {}
    for _ in range(key_count):
        key = text()
        metadata[key] = value(read("I")[0])
    tensors = {}
    for _ in range(tensor_count):
        name = text()
        shape = read(f"{read('I')[0]}Q")
        kind, _ = read("IQ")
        tensors[name] = (shape, kind)
    return metadata, tensors


def read_model(path):
    with open(path, "rb") as file:
        metadata, tensors = _header(file)
        file_bytes = file.seek(0, 2)
    architecture = metadata["general.architecture"]

    def field(name, default=None):
        return metadata.get(f"{architecture}.{name}", default)

    layers, heads = field("block_count"), field("attention.head_count")
    window = field("attention.sliding_window")
    # Gemma 3: five layers with a window, then one without.
    windows = [window if window and (layer + 1) % 6 else None for layer in range(layers)]
    linear = output = size = 0
    head = "output.weight" if "output.weight" in tensors else "token_embd.weight"
    for name, (shape, kind) in tensors.items():
        is_linear = name.startswith("blk.") and len(shape) == 2
        if not is_linear and name != head:
            continue
        count = shape[0] * shape[1]
        elements, block = TYPE_BLOCKS[kind]
        size += count // elements * block
        linear += count if is_linear else 0
        output += 0 if is_linear else count
    return Model(
        file_bytes=file_bytes, layers=layers, heads=heads, kv_heads=field("attention.head_count_kv", heads),
        head_size=field("attention.key_length") or field("embedding_length") // heads, windows=windows,
        linear_weights=linear, output_weights=output, matrix_bytes=size,
    )


def read_tokens(path):
    """The vocabulary's pieces, as the file spells them."""
    with open(path, "rb") as file:
        metadata, _ = _header(file)
    return metadata["tokenizer.ggml.tokens"]
