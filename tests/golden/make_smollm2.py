#!/usr/bin/env python3
"""Writes smollm2-135m.json: what SmolLM2-135M-Instruct (Q4_1 GGUF) computes, by transformers.

    pip install torch transformers accelerate gguf tokenizers jinja2
    python make_smollm2.py --gguf SmolLM2-135M-Instruct.Q4_1.gguf --out smollm2-135m.json

The GGUF is dequantised to f32 by transformers, so only the order of f32 sums differs from a
decoder that dequantises the same file. The tokenizer is built with the `tokenizers` package from
the GGUF's vocabulary and merges, and the pre-tokenizer the model was trained with (digits alone,
then GPT-2's byte-level words).
"""

import argparse
import hashlib
import json
from pathlib import Path

import gguf
import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

TEXT = (
    "The lighthouse keeper counted 17 ships before the fog came in, and wrote each name in the "
    "ledger. By nine o'clock the horn had sounded for the third time; nobody answered. He lit the "
    "lamp, trimmed the wick, and opened the letter from his sister, who lived in Lisbon and "
    "never wrote in winter, so it had to be"
)
PROMPT_TOKENS = 64
NEW_TOKENS = 32
# Spread over the vocabulary: special tokens, bytes, frequent words, rare words.
IDS = [0, 1, 2, 17, 28, 100, 253, 260, 281, 338, 1000, 5000, 12345, 20000, 31337, 49151]

TEXTS = [
    "",
    " ",
    "Hello, world!",
    "hello  world   again",
    "1234567890 3.14159 2024-07-26 a1b2c3",
    "I'll say we're sure it's theirs; they'd've gone. DON'T SHOUT, I'M HERE",
    "tabs\tand\nnewlines\n\n\nand \r\n windows\n  indented\n\ttab",
    "trailing spaces   ",
    "   leading spaces",
    "naïve café — “quoted” … ½ ² Ⅷ ٣",
    "日本語のテキスト、中文字符。한국어 텍스트",
    "Привет мир; γειά σου Κόσμε; שלום עולם; مرحبا بالعالم",
    "emoji 🙂👩‍👩‍👧‍👦🏳️‍🌈 and flags 🇵🇹",
    "combining e\u0301 a\u0308 \u200b zero width \ufeff bom \u00a0 nbsp\u3000ideographic",
    "fn main() { let x: Vec<f32> = vec![0.0; 64]; println!(\"{x:?}\"); } // 0xDEADBEEF",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
    "a<|endoftext|>b <|im_end|> c<repo_name>d",
    "<|im_end",
    "\x00\x01\x7f control",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
]

CHATS = [
    [{"role": "user", "content": "What is a KV cache?"}],
    [
        {"role": "system", "content": "Answer in one word."},
        {"role": "user", "content": " Capital of France? "},
        {"role": "assistant", "content": "Paris"},
        {"role": "user", "content": "And of <Portugal> & \"Spain\"?"},
    ],
]


def reference_tokenizer(fields) -> Tokenizer:
    read = lambda key: fields[f"tokenizer.ggml.{key}"].contents()
    assert read("model") == "gpt2" and read("pre") == "smollm", "made for this one model"
    tokens = read("tokens")
    merges = [tuple(merge.split(" ")) for merge in read("merges")]
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [t for t, kind in zip(tokens, read("token_type")) if kind == 3]
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in control])
    return tokenizer


def render(template: str, chat, add_generation_prompt: bool) -> str:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        messages=chat, add_generation_prompt=add_generation_prompt
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    fields = gguf.GGUFReader(args.gguf).fields
    tokenizer = reference_tokenizer(fields)
    ids = tokenizer.encode(TEXT, add_special_tokens=False).ids[:PROMPT_TOKENS]
    assert len(ids) == PROMPT_TOKENS, f"the text has {len(ids)} tokens"

    model = transformers.AutoModelForCausalLM.from_pretrained(
        args.gguf.parent, gguf_file=args.gguf.name, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    assert next(model.parameters()).dtype == torch.float32
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].double()
        continuation = list(ids)
        gaps = []
        for _ in range(NEW_TOKENS):
            row = model(torch.tensor([continuation])).logits[0, -1]
            top = row.topk(2)
            gaps.append(round((top.values[0] - top.values[1]).item(), 4))
            continuation.append(top.indices[0].item())

    template = fields["tokenizer.chat_template"].contents()
    top = logits.topk(2).values
    golden = {
        "gguf_bytes": args.gguf.stat().st_size,
        "gguf_sha256": hashlib.sha256(args.gguf.read_bytes()).hexdigest(),
        "made_with": {"transformers": transformers.__version__, "torch": torch.__version__},
        "text": tokenizer.decode(ids),
        "tokens": ids,
        "ids": IDS,
        "argmax": logits.argmax(-1).tolist(),
        "gap_to_second": [round(gap, 4) for gap in (top[:, 0] - top[:, 1]).tolist()],
        "logsumexp": [round(value, 5) for value in logits.logsumexp(-1).tolist()],
        "logits": [[round(value, 5) for value in row] for row in logits[:, IDS].tolist()],
        "continuation": continuation[PROMPT_TOKENS:],
        "continuation_gaps": gaps,
        "continuation_text": tokenizer.decode(continuation[PROMPT_TOKENS:]),
        "encodings": [
            {"text": text, "tokens": tokenizer.encode(text, add_special_tokens=False).ids}
            for text in TEXTS
        ],
        "chats": [
            {"messages": chat, "prompt": prompt, "text": render(template, chat, prompt)}
            for chat in CHATS
            for prompt in (True, False)
        ],
    }
    # One line per key: small, and differences stay readable.
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in golden.items()]
    args.out.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
