//! What tensors are called, and how they are stored, by file format and architecture.

/// Where each tensor of a decoder is called what.
pub(crate) struct Names {
    /// What precedes all names but the head's: the first of these that a file has.
    pub(crate) roots: &'static [&'static str],
    /// What precedes a layer's index.
    pub(crate) layers: &'static str,
    pub(crate) attention_norm: &'static str,
    /// One name for each of queries, keys and values, or one for all.
    pub(crate) qkv: &'static [&'static str],
    pub(crate) q_norm: &'static str,
    pub(crate) k_norm: &'static str,
    pub(crate) o: &'static str,
    pub(crate) attention_post_norm: &'static str,
    pub(crate) mlp_norm: &'static str,
    /// The gate and what it scales, or one name for both, or for the one there is.
    pub(crate) up: &'static [&'static str],
    pub(crate) down: &'static str,
    pub(crate) mlp_post_norm: &'static str,
    pub(crate) embedding: &'static str,
    pub(crate) positions: &'static str,
    pub(crate) final_norm: &'static str,
    pub(crate) head: &'static str,
    /// Whether matrices are stored `[inputs, outputs]`.
    pub(crate) transposed: bool,
    /// What the weights of norms are stored without.
    pub(crate) norm_offset: f32,
}

const GGUF: Names = Names {
    roots: &[""],
    layers: "blk.",
    attention_norm: "attn_norm",
    qkv: &["attn_q", "attn_k", "attn_v"],
    q_norm: "attn_q_norm",
    k_norm: "attn_k_norm",
    o: "attn_output",
    attention_post_norm: "post_attention_norm",
    mlp_norm: "ffn_norm",
    up: &["ffn_gate", "ffn_up"],
    down: "ffn_down",
    mlp_post_norm: "post_ffw_norm",
    embedding: "token_embd",
    positions: "position_embd",
    final_norm: "output_norm",
    head: "output",
    transposed: false,
    norm_offset: 0.0,
};

const GGUF_FUSED: Names = Names {
    qkv: &["attn_qkv"],
    up: &["ffn_up"],
    ..GGUF
};

const LLAMA: Names = Names {
    roots: &[
        "model.",
        "language_model.model.",
        "model.language_model.",
        "",
    ],
    layers: "layers.",
    attention_norm: "input_layernorm",
    qkv: &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    q_norm: "self_attn.q_norm",
    k_norm: "self_attn.k_norm",
    o: "self_attn.o_proj",
    attention_post_norm: "post_attention_layernorm",
    mlp_norm: "post_attention_layernorm",
    up: &["mlp.gate_proj", "mlp.up_proj"],
    down: "mlp.down_proj",
    mlp_post_norm: "post_feedforward_layernorm",
    embedding: "embed_tokens",
    positions: "embed_positions",
    final_norm: "norm",
    head: "lm_head",
    transposed: false,
    norm_offset: 0.0,
};

const PHI3: Names = Names {
    qkv: &["self_attn.qkv_proj"],
    up: &["mlp.gate_up_proj"],
    ..LLAMA
};

const GEMMA: Names = Names {
    mlp_norm: "pre_feedforward_layernorm",
    norm_offset: 1.0,
    ..LLAMA
};

const GPT2: Names = Names {
    roots: &["transformer.", ""],
    layers: "h.",
    attention_norm: "ln_1",
    qkv: &["attn.c_attn"],
    o: "attn.c_proj",
    mlp_norm: "ln_2",
    up: &["mlp.c_fc"],
    down: "mlp.c_proj",
    embedding: "wte",
    positions: "wpe",
    final_norm: "ln_f",
    transposed: true,
    ..LLAMA
};

impl Names {
    /// Those of GGUF files of an architecture.
    pub(crate) fn gguf(architecture: &str) -> &'static Self {
        match architecture {
            "phi3" | "gpt2" => &GGUF_FUSED,
            _ => &GGUF,
        }
    }

    /// Those of Hugging Face folders of an architecture.
    pub(crate) fn hf(architecture: &str) -> &'static Self {
        match architecture {
            "phi3" => &PHI3,
            "gemma2" | "gemma3" | "gemma3_text" => &GEMMA,
            "gpt2" => &GPT2,
            _ => &LLAMA,
        }
    }
}
