#!/usr/bin/env python3
"""Writes architectures/: one small random model for each architecture beside Llama, some again as
GGUF files, and what transformers computes with them.

    pip install torch transformers gguf tokenizers safetensors
    python make_architectures.py --out architectures

A folder holds `model.safetensors` and one folder a variant: its `config.json`, and the reference
logits in `expected.safetensors`. Variants share the weights, which is how RoPE scaling is tested.
Weights are random but not small, as in make_tiny_llama.py: attention has to pick single tokens.
Prompts are longer than every sliding window, and than the original contexts of RoPE scaling.
"""

import argparse
import json
import math
import shutil
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from safetensors.numpy import load_file, save_file
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers.convert_slow_tokenizer import generate_merges

VOCAB, HIDDEN, INNER, HEAD_DIM, TOKENS, CONTEXT = 256, 48, 32, 16, 41, 128
WINDOW, ORIGINAL = 9, 24
TEXT = "the river ran past the mill and under the bridge, and the children ran along the bank "
TEXTS = ["", "the river", " the  mill", "naïve 日本 🙂\n\nend ", "a<s>b </s>"]
SPECIAL = ["<unk>", "<s>", "</s>"]
PIECES = len(SPECIAL) + 256

COMMON = {
    "vocab_size": VOCAB,
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": HEAD_DIM,
    "max_position_embeddings": CONTEXT,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
PLAIN = {"attention_bias": False}


def long_rope(kind: str, original: int) -> dict:
    pairs = HEAD_DIM // 2
    return {
        "type": kind,
        "short_factor": [1.0 + 0.05 * pair for pair in range(pairs)],
        "long_factor": [1.0 + 0.5 * pair for pair in range(pairs)],
        "original_max_position_embeddings": original,
    }


def llama3() -> dict:
    return {
        "rope_type": "llama3",
        "factor": 4.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": ORIGINAL,
    }


def yarn(**more) -> dict:
    # Betas that put the ramp inside the few pairs there are.
    ramp = {"beta_fast": 4.0, "beta_slow": 0.25}
    return {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": ORIGINAL, **ramp, **more}


# Architecture: its config, then what its variants change.
GEMMA = {
    **COMMON,
    "num_hidden_layers": 2,
    "hidden_activation": "gelu_pytorch_tanh",
    "query_pre_attn_scalar": 20,
    "sliding_window": WINDOW,
    "tie_word_embeddings": True,
}
MODELS = {
    "llama": (
        {**COMMON, **PLAIN, "tie_word_embeddings": True},
        {
            "linear": {"rope_scaling": {"rope_type": "linear", "factor": 2.5}},
            "dynamic": {
                "rope_scaling": {"rope_type": "dynamic", "factor": 2.0},
                "max_position_embeddings": ORIGINAL,
            },
            "yarn": {"rope_scaling": yarn()},
            "yarn-mscale": {"rope_scaling": yarn(mscale=0.7, mscale_all_dim=0.4, truncate=False)},
            "llama3": {"rope_scaling": llama3()},
        },
    ),
    "mistral": ({**COMMON, "sliding_window": WINDOW}, {"default": {}}),
    "qwen2": (
        {**COMMON, "use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1},
        {"default": {"use_sliding_window": False}, "window": {}},
    ),
    "qwen3": ({**COMMON, **PLAIN, "head_dim": 32, "tie_word_embeddings": True}, {"default": {}}),
    "phi3": (
        {**COMMON, "num_attention_heads": 3, "num_key_value_heads": 3},
        {
            "default": {"sliding_window": WINDOW},
            "short": {
                "rope_scaling": long_rope("longrope", 64),
                "original_max_position_embeddings": 64,
            },
            "long": {
                "rope_scaling": long_rope("su", ORIGINAL),
                "original_max_position_embeddings": ORIGINAL,
            },
        },
    ),
    "gemma2": (
        {**GEMMA, "attn_logit_softcapping": 3.0, "final_logit_softcapping": 5.0},
        # GGUF files take it that scores are scaled by the width of a head.
        {"default": {}, "by-head": {"query_pre_attn_scalar": HEAD_DIM}},
    ),
    "gemma3_text": (
        {
            **GEMMA,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "rope_theta": 50000.0,
            "rope_local_base_freq": 1000.0,
            "rope_scaling": {"rope_type": "linear", "factor": 4.0},
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        },
        {"default": {}},
    ),
    "gpt2": (
        {
            "vocab_size": VOCAB,
            "n_positions": TOKENS + 3,
            "n_embd": HIDDEN,
            "n_layer": 2,
            "n_head": 3,
            "n_inner": 32,
            "bos_token_id": 1,
            "eos_token_id": 2,
        },
        {"default": {}},
    ),
}
# Gain of a matrix, by what its name contains: queries and keys are large.
GAINS = [("embed_tokens", 4.0), ("wte", 4.0), ("wpe", 2.0), ("q_proj", 1.6), ("k_proj", 1.6)]
GAINS += [("qkv_proj", 1.5), ("c_attn", 1.5), ("lm_head", 2.0)]


def weights_of(model: torch.nn.Module, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    tied = model.config.tie_word_embeddings
    offset = model.config.model_type.startswith("gemma")
    weights = {}
    for name, value in model.state_dict().items():
        shape = tuple(value.shape)
        if (tied and name == "lm_head.weight") or name.endswith("attn.bias") and len(shape) == 4:
            continue
        if len(shape) == 1:
            mean = 0.0 if name.endswith("bias") or offset else 1.0
            weights[name] = random.normal(mean, 0.2, shape).astype(np.float32)
            continue
        gain = next((gain for part, gain in GAINS if part in name), 1.2)
        # GPT-2 stores its matrices transposed.
        conv = model.config.model_type == "gpt2" and ".h." in name
        inputs = shape[0] if conv else shape[1]
        if offset and "embed_tokens" in name:
            gain /= math.sqrt(HIDDEN)
        weights[name] = random.normal(0, gain / math.sqrt(inputs), shape).astype(np.float32)
    return weights


def scores_of(vocab: dict[str, int]) -> dict[str, float]:
    """As SentencePiece gives them: pieces that were learned later are worth less."""
    return {token: -float(index) for token, index in vocab.items()}


def make_tokenizer() -> Tokenizer:
    """A BPE with bytes to fall back to, of the kind that SentencePiece models become."""
    space = "▁"
    trained = Tokenizer(models.BPE(unk_token=SPECIAL[0]))
    trained.normalizer = normalizers.Sequence(
        [normalizers.Prepend(space), normalizers.Replace(" ", space)]
    )
    trainer = trainers.BpeTrainer(vocab_size=90, special_tokens=SPECIAL, show_progress=False)
    trained.train_from_iterator([TEXT] * 3, trainer)
    learned = json.loads(trained.to_str())["model"]
    vocab = {token: index for index, token in enumerate(SPECIAL)}
    for byte in range(256):
        vocab[f"<0x{byte:02X}>"] = len(vocab)
    for token in learned["vocab"]:
        vocab.setdefault(token, len(vocab))
    merges = generate_merges(vocab, scores_of(vocab), skip_tokens=list(vocab)[:PIECES])
    tokenizer = Tokenizer(
        models.BPE(vocab, merges, unk_token=SPECIAL[0], fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = trained.normalizer
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace(space, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{SPECIAL[1]} $A", special_tokens=[(SPECIAL[1], 1)]
    )
    return tokenizer


def config_of(kind: str, base: dict, change: dict) -> dict:
    config = {"model_type": kind, **base, **change}
    # `null` is what releases without a window write.
    if kind in ("mistral", "phi3"):
        config.setdefault("sliding_window", None)
    return config


def run(folder: Path, tokens: list[int]) -> np.ndarray:
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    with torch.no_grad():
        # Without a cache: one pass over the prompt, masked as it says.
        return model(torch.tensor([tokens]), use_cache=False).logits[0].numpy()


def write_model(out: Path, kind: str, base: dict, variants: dict, seed: int, tokens: list[int]) -> None:
    folder = out / kind
    folder.mkdir(parents=True, exist_ok=True)
    first = config_of(kind, base, next(iter(variants.values())))
    made = transformers.AutoConfig.for_model(**json.loads(json.dumps(first)))
    weights = weights_of(transformers.AutoModelForCausalLM.from_config(made), seed)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    seen = []
    for name, change in variants.items():
        variant = folder / name
        variant.mkdir(exist_ok=True)
        text = json.dumps(config_of(kind, base, change), indent=1)
        (variant / "config.json").write_text(text + "\n")
        shutil.copy(folder / "model.safetensors", variant / "model.safetensors")
        logits = run(variant, tokens)
        (variant / "model.safetensors").unlink()
        # Three rows: within the window, at its end, and the last.
        save_file({"logits": np.ascontiguousarray(logits[ROWS])}, variant / "expected.safetensors")
        assert np.isfinite(logits).all()
        assert all(np.abs(logits - other).max() > 1e-2 for other in seen), f"{kind} {name}: no effect"
        seen.append(logits)


ROWS = [3, WINDOW, ORIGINAL + 2, TOKENS - 1]

# Names of GGUF tensors, by those of Hugging Face.
PARTS = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.qkv_proj": "attn_qkv",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}
GEMMA_PARTS = {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
OTHERS = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "transformer.wte": "token_embd",
    "transformer.wpe": "position_embd",
    "transformer.ln_f": "output_norm",
}


def write_gguf(out: Path, kind: str, variant: str, tokenizer: Tokenizer) -> None:
    """The same weights and config under the names that llama.cpp's converter writes."""
    config = json.loads((out / kind / variant / "config.json").read_text())
    weights = load_file(out / kind / "model.safetensors")
    architecture = "gemma3" if kind == "gemma3_text" else kind
    gemma = architecture.startswith("gemma")
    path = out / kind / variant / "model.gguf"
    writer = gguf.GGUFWriter(path, architecture)
    get = config.get
    heads = get("num_attention_heads") or get("n_head")
    writer.add_block_count(get("num_hidden_layers") or get("n_layer"))
    writer.add_context_length(get("max_position_embeddings") or get("n_positions"))
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(get("intermediate_size") or get("n_inner"))
    writer.add_head_count(heads)
    if kind == "gpt2":
        writer.add_layer_norm_eps(1e-5)
    else:
        writer.add_head_count_kv(config["num_key_value_heads"])
        writer.add_key_length(config["head_dim"])
        writer.add_value_length(config["head_dim"])
        writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
        writer.add_rope_freq_base(config["rope_theta"])
    if gemma or kind == "phi3":
        writer.add_sliding_window(config["sliding_window"] or 0)
    if kind == "gemma2":
        writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
        writer.add_final_logit_softcapping(config["final_logit_softcapping"])
    if kind == "gemma3_text":
        key = f"{architecture}.attention.sliding_window_pattern"
        writer.add_array(key, [t == "sliding_attention" for t in config["layer_types"]])
        writer.add_float32(f"{architecture}.rope.freq_base_swa", config["rope_local_base_freq"])
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(config["rope_scaling"]["factor"])
    writer.add_vocab_size(VOCAB)
    if gemma or kind == "phi3":
        vocab = tokenizer.get_vocab()
        tokens = sorted(vocab, key=vocab.get)
        scores, types = scores_of(vocab), gguf.TokenType
        types = [types.UNKNOWN, *[types.CONTROL] * 2, *[types.BYTE] * 256]
        types += [gguf.TokenType.NORMAL] * (len(tokens) - PIECES)
        writer.add_tokenizer_model("llama")
        writer.add_token_list(tokens)
        writer.add_token_scores([scores[token] for token in tokens])
        writer.add_token_types(types)
        writer.add_unk_token_id(0)
    else:
        # As many bytes as fit and a merge: these files are about the decoder.
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("qwen2" if kind.startswith("qwen") else "gpt-2")
        writer.add_token_list([*SPECIAL, *alphabet[: VOCAB - 4], "!!"])
        writer.add_token_merges(["! !"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    parts = {**PARTS, **(GEMMA_PARTS if gemma else {})}
    for name, value in weights.items():
        stem, ending = name.rsplit(".", 1)
        if ".layers." in stem or ".h." in stem:
            _, _, layer, part = stem.split(".", 3)
            target = f"blk.{layer}.{parts[part]}.{ending}"
            if kind == "gpt2" and value.ndim == 2:
                value = np.ascontiguousarray(value.T)
        else:
            target = f"{OTHERS[stem]}.{ending}"
        if gemma and stem.endswith("norm"):
            value = value + np.float32(1)
        writer.add_tensor(target, value)
    if "short_factor" in (get("rope_scaling") or {}):
        scaling = config["rope_scaling"]
        writer.add_rope_scaling_orig_ctx_len(config["original_max_position_embeddings"])
        for length in ["short", "long"]:
            factors = np.array(scaling[f"{length}_factor"], np.float32)
            writer.add_tensor(f"rope_factors_{length}.weight", factors)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(7)
    tokens = [1, *random.integers(3, VOCAB, TOKENS - 1).tolist()]
    for seed, (kind, (base, variants)) in enumerate(MODELS.items()):
        write_model(out, kind, base, variants, seed, tokens)
    tokenizer = make_tokenizer()
    tokenizer.save(str(out / "tokenizer.json"), pretty=False)
    for kind, variant in [("qwen2", "default"), ("gemma2", "by-head")]:
        write_gguf(out, kind, variant, tokenizer)
    golden = {
        "made_with": {"transformers": transformers.__version__, "torch": torch.__version__},
        "tokens": tokens,
        "rows": ROWS,
        "encodings": [
            {
                "text": text,
                "tokens": tokenizer.encode(text, add_special_tokens=False).ids,
                "with_special": tokenizer.encode(text).ids,
            }
            for text in TEXTS
        ],
    }
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in golden.items()]
    (out / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    for path in out.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


if __name__ == "__main__":
    main()
