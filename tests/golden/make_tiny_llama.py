#!/usr/bin/env python3
"""Writes tiny-llama/: one small random Llama as a Hugging Face folder and as a GGUF file, and
what transformers computes with it.

    pip install torch transformers gguf tokenizers safetensors jinja2
    python make_tiny_llama.py --out tiny-llama

The weights are random but not small: with the usual initialisation attention is almost uniform
and hides mistakes. It has what real files have: grouped-query attention, biases, Llama 3 RoPE
scaling (which sets in within the prompt), a head of its own, f32, f16 and Q8_0 tensors.
"""

import argparse
import json
import math
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

LAYERS, HIDDEN, INTERMEDIATE, Q_HEADS, KV_HEADS, HEAD_DIM = 2, 64, 96, 4, 2, 16
VOCAB, CONTEXT, EPS, BASE = 288, 256, 1e-5, 10000.0
ROPE = {"factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
ORIGINAL_CONTEXT = 32
SPECIAL = ["<|bos|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = """{{- bos_token }}
{%- for message in messages %}
    {%- if message['role'] not in ['system', 'user', 'assistant'] %}
        {{- raise_exception('unknown role ' + message['role']) }}
    {%- endif %}
    {{- '<|im_start|>' + message['role'] + '\\n' + message['content'].strip() + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
TEXT = """The river ran past the mill and under the bridge, and the children ran along the bank
after it. There were three of them: the miller's two, and the one who had come from the town. When
the rain fell they went under the bridge and waited there, and when it stopped they went on. In
1987 the mill was closed, and the river ran on without it; in 1992 the bridge was closed as well.
"""
PROMPT = "The miller's children went under the bridge in 1987, and the rain ran after the river."
TEXTS = ["", " ", "the river", "The  mill in 1992!", "naïve 日本 🙂\n\n\tend ", "a<|im_end|>b <|bos|>"]
CHAT = [
    {"role": "system", "content": " Be brief. "},
    {"role": "user", "content": "Where is the <mill> & \"bridge\"?"},
]


def make_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    assert tokenizer.get_vocab_size() == VOCAB
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{SPECIAL[0]} $A", special_tokens=[(SPECIAL[0], 0)]
    )
    return tokenizer


def q8_0(values: np.ndarray) -> np.ndarray:
    """The nearest values that Q8_0 holds exactly."""
    kind = gguf.GGMLQuantizationType.Q8_0
    return gguf.dequantize(gguf.quantize(values, kind), kind).astype(np.float32)


def make_weights() -> dict[str, np.ndarray]:
    random = np.random.default_rng(20240726)

    def matrix(outputs: int, inputs: int, gain: float) -> np.ndarray:
        return random.normal(0, gain / math.sqrt(inputs), (outputs, inputs)).astype(np.float32)

    def vector(size: int, mean: float) -> np.ndarray:
        return random.normal(mean, 0.2, size).astype(np.float32)

    weights = {
        "model.embed_tokens.weight": q8_0(matrix(VOCAB, HIDDEN, 8.0)),
        "model.norm.weight": vector(HIDDEN, 1.0),
        "lm_head.weight": q8_0(matrix(VOCAB, HIDDEN, 2.0)),
    }
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}"
        widths = {
            # Queries and keys are large enough for attention to pick single tokens.
            "self_attn.q_proj": (Q_HEADS * HEAD_DIM, HIDDEN, 1.6),
            "self_attn.k_proj": (KV_HEADS * HEAD_DIM, HIDDEN, 1.6),
            "self_attn.v_proj": (KV_HEADS * HEAD_DIM, HIDDEN, 1.0),
            "self_attn.o_proj": (HIDDEN, Q_HEADS * HEAD_DIM, 1.5),
            "mlp.gate_proj": (INTERMEDIATE, HIDDEN, 1.0),
            "mlp.up_proj": (INTERMEDIATE, HIDDEN, 1.0),
            "mlp.down_proj": (HIDDEN, INTERMEDIATE, 1.5),
        }
        for name, (outputs, inputs, gain) in widths.items():
            weights[f"{prefix}.{name}.weight"] = matrix(outputs, inputs, gain).astype(np.float16)
            weights[f"{prefix}.{name}.bias"] = vector(outputs, 0.0)
        for name in ["input_layernorm", "post_attention_layernorm"]:
            weights[f"{prefix}.{name}.weight"] = vector(HIDDEN, 1.0)
    return weights


def write_hf(out: Path, tokenizer: Tokenizer, weights: dict[str, np.ndarray]) -> None:
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "num_hidden_layers": LAYERS,
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_attention_heads": Q_HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD_DIM,
        "vocab_size": VOCAB,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": EPS,
        "rope_theta": BASE,
        "rope_scaling": {
            "rope_type": "llama3",
            **ROPE,
            "original_max_position_embeddings": ORIGINAL_CONTEXT,
        },
        "attention_bias": True,
        "mlp_bias": True,
        "tie_word_embeddings": False,
        "bos_token_id": 0,
        "eos_token_id": 2,
    }
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (out / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 0]}) + "\n")
    tokenizer.save(str(out / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": {"__type": "AddedToken", "content": SPECIAL[0], "special": True},
        "eos_token": SPECIAL[2],
        "chat_template": TEMPLATE,
    }
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})


def permuted(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of q and k in GGUF's order: the two halves of a head interleaved."""
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weight.shape))


def rope_factors() -> np.ndarray:
    """Divisors of the frequencies, as llama.cpp's converter computes them."""
    low = ORIGINAL_CONTEXT / ROPE["low_freq_factor"]
    high = ORIGINAL_CONTEXT / ROPE["high_freq_factor"]
    factors = []
    for pair in range(HEAD_DIM // 2):
        wavelength = 2 * math.pi * BASE ** (2 * pair / HEAD_DIM)
        if wavelength < high:
            factors.append(1.0)
        elif wavelength > low:
            factors.append(ROPE["factor"])
        else:
            smooth = (ORIGINAL_CONTEXT / wavelength - ROPE["low_freq_factor"]) / (
                ROPE["high_freq_factor"] - ROPE["low_freq_factor"]
            )
            factors.append(1 / ((1 - smooth) / ROPE["factor"] + smooth))
    return np.array(factors, np.float32)


def write_gguf(path: Path, tokenizer: Tokenizer, weights: dict[str, np.ndarray]) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INTERMEDIATE)
    writer.add_head_count(Q_HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(HEAD_DIM)
    writer.add_value_length(HEAD_DIM)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_rope_freq_base(BASE)
    writer.add_layer_norm_rms_eps(EPS)
    writer.add_vocab_size(VOCAB)
    definition = json.loads(tokenizer.to_str())
    tokens = [tokenizer.id_to_token(index) for index in range(VOCAB)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(
        [gguf.TokenType.CONTROL if t in SPECIAL else gguf.TokenType.NORMAL for t in tokens]
    )
    merges = definition["model"]["merges"]
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(True)
    writer.add_chat_template(TEMPLATE)

    names = {
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "lm_head": "output",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }
    q8 = gguf.GGMLQuantizationType.Q8_0
    for name, value in weights.items():
        stem, kind = name.rsplit(".", 1)
        if stem.startswith("model.layers."):
            _, _, layer, part = stem.split(".", 3)
            target = f"blk.{layer}.{names[part]}.{kind}"
            if part == "self_attn.q_proj":
                value = permuted(value, Q_HEADS)
            elif part == "self_attn.k_proj":
                value = permuted(value, KV_HEADS)
        else:
            target = f"{names[stem]}.{kind}"
        if stem in ("model.embed_tokens", "lm_head"):
            blocks = gguf.quantize(value, q8)
            assert np.array_equal(gguf.dequantize(blocks, q8), value), "Q8_0 must hold it exactly"
            writer.add_tensor(target, blocks, raw_dtype=q8)
        else:
            writer.add_tensor(target, value)
    writer.add_tensor("rope_freqs.weight", rope_factors())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    tokenizer, weights = make_tokenizer(), make_weights()
    write_hf(out, tokenizer, weights)
    write_gguf(out / "tiny-llama.gguf", tokenizer, weights)

    model = transformers.AutoModelForCausalLM.from_pretrained(
        out, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    assert model.config.rope_parameters["rope_type"] == "llama3"
    reference = transformers.AutoTokenizer.from_pretrained(out)
    tokens = reference(PROMPT)["input_ids"]
    with torch.no_grad():
        result = model(torch.tensor([tokens]), output_attentions=True)
        longest = list(tokens)
        while len(longest) < len(tokens) + 32:
            longest.append(model(torch.tensor([longest])).logits[0, -1].argmax().item())
    save_file({"logits": result.logits[0].numpy()}, out / "expected.safetensors")
    peaks = [attention[0, :, -1].max(-1).values.tolist() for attention in result.attentions]
    golden = {
        "made_with": {"transformers": transformers.__version__, "torch": torch.__version__},
        "text": PROMPT,
        "tokens": tokens,
        "continuation": longest[len(tokens):],
        "largest_attention_of_last_token": [[round(p, 3) for p in row] for row in peaks],
        "encodings": [
            {
                "text": text,
                "tokens": reference(text, add_special_tokens=False)["input_ids"],
                "with_special": reference(text)["input_ids"],
            }
            for text in TEXTS
        ],
        "chat": CHAT,
        "chat_text": reference.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True),
    }
    for path in out.iterdir():
        path.chmod(0o644)
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in golden.items()]
    (out / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
