//! The weights of one decoder layer, found by the names of either file format.

use crate::description::Description;
use crate::error::Result;
use crate::linear::{Linear, Source};
use crate::weights::{RawTensor, WeightMode, Weights};

/// Where each tensor of a layer is called what: `{}` is the layer's index.
struct Names {
    prefix: &'static str,
    attention_norm: &'static str,
    q: &'static str,
    k: &'static str,
    v: &'static str,
    o: &'static str,
    mlp_norm: &'static str,
    gate: &'static str,
    up: &'static str,
    down: &'static str,
    embedding: &'static str,
    final_norm: &'static str,
    head: &'static str,
}

const GGUF: Names = Names {
    prefix: "blk.",
    attention_norm: "attn_norm",
    q: "attn_q",
    k: "attn_k",
    v: "attn_v",
    o: "attn_output",
    mlp_norm: "ffn_norm",
    gate: "ffn_gate",
    up: "ffn_up",
    down: "ffn_down",
    embedding: "token_embd.weight",
    final_norm: "output_norm.weight",
    head: "output.weight",
};

const HF: Names = Names {
    prefix: "model.layers.",
    attention_norm: "input_layernorm",
    q: "self_attn.q_proj",
    k: "self_attn.k_proj",
    v: "self_attn.v_proj",
    o: "self_attn.o_proj",
    mlp_norm: "post_attention_layernorm",
    gate: "mlp.gate_proj",
    up: "mlp.up_proj",
    down: "mlp.down_proj",
    embedding: "model.embed_tokens.weight",
    final_norm: "model.norm.weight",
    head: "lm_head.weight",
};

/// Finds and decodes tensors by their place in the decoder.
pub(crate) struct Loader<'a> {
    weights: &'a Weights,
    description: &'a Description,
    mode: WeightMode,
    names: &'static Names,
}

impl<'a> Loader<'a> {
    pub(crate) fn gguf(
        weights: &'a Weights,
        description: &'a Description,
        mode: WeightMode,
    ) -> Self {
        Self {
            weights,
            description,
            mode,
            names: &GGUF,
        }
    }

    pub(crate) fn hf(weights: &'a Weights, description: &'a Description, mode: WeightMode) -> Self {
        Self {
            weights,
            description,
            mode,
            names: &HF,
        }
    }

    /// The embedding table: `[vocab, hidden]`.
    pub(crate) fn embedding(&self) -> Result<&'a RawTensor> {
        let Description { vocab, hidden, .. } = *self.description;
        self.weights.require(self.names.embedding, &[vocab, hidden])
    }

    /// The output head: the embedding table where the two are tied.
    pub(crate) fn head(&self) -> Result<Linear> {
        let Description {
            vocab,
            hidden,
            tied_head,
            ..
        } = *self.description;
        let name = if tied_head {
            self.names.embedding
        } else {
            self.names.head
        };
        let weight = self.weights.require(name, &[vocab, hidden])?;
        self.build(&[Source { weight, bias: None }])
    }

    /// Everything is built: gives back the memory of the files' own bytes.
    pub(crate) fn release(&self) {
        self.weights.release();
    }

    fn build(&self, sources: &[Source<'_>]) -> Result<Linear> {
        Linear::new(sources, self.mode, smartkv_kernels::best())
    }

    /// The norm before the head: `[hidden]`.
    pub(crate) fn final_norm(&self) -> Result<Vec<f32>> {
        self.weights
            .require(self.names.final_norm, &[self.description.hidden])?
            .to_f32()
    }

    fn norm(&self, layer: usize, part: &str) -> Result<Vec<f32>> {
        let name = format!("{}{layer}.{part}.weight", self.names.prefix);
        self.weights
            .require(&name, &[self.description.hidden])?
            .to_f32()
    }

    /// Matrices of the same inputs, by name and outputs; their outputs follow each other.
    fn linear(
        &self,
        layer: usize,
        parts: &[(&str, usize)],
        inputs: usize,
        bias: bool,
    ) -> Result<Linear> {
        let source = |&(part, outputs): &(&str, usize)| {
            let name = |kind: &str| format!("{}{layer}.{part}.{kind}", self.names.prefix);
            let weight = self.weights.require(&name("weight"), &[outputs, inputs])?;
            let bias = if bias {
                Some(self.weights.require(&name("bias"), &[outputs])?)
            } else {
                None
            };
            Ok(Source { weight, bias })
        };
        let sources = parts.iter().map(source).collect::<Result<Vec<_>>>()?;
        self.build(&sources)
    }
}

/// One decoder layer.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) attention_norm: Vec<f32>,
    /// Queries, keys and values, side by side.
    pub(crate) qkv: Linear,
    pub(crate) o: Linear,
    pub(crate) mlp_norm: Vec<f32>,
    /// The gate and what it scales, side by side.
    pub(crate) gate_up: Linear,
    pub(crate) down: Linear,
}

impl Layer {
    /// Decodes layer `index`.
    pub(crate) fn load(loader: &Loader<'_>, index: usize) -> Result<Self> {
        let d = loader.description;
        let names = loader.names;
        let (q, kv) = (d.q_heads * d.head_dim, d.kv_heads * d.head_dim);
        let linear = |parts: &[_], inputs, bias| loader.linear(index, parts, inputs, bias);
        let qkv = [(names.q, q), (names.k, kv), (names.v, kv)];
        let gate_up = [(names.gate, d.intermediate), (names.up, d.intermediate)];
        Ok(Self {
            attention_norm: loader.norm(index, names.attention_norm)?,
            qkv: linear(&qkv, d.hidden, d.qkv_bias)?,
            o: linear(&[(names.o, d.hidden)], q, d.output_bias)?,
            mlp_norm: loader.norm(index, names.mlp_norm)?,
            gate_up: linear(&gate_up, d.hidden, d.mlp_bias)?,
            down: linear(&[(names.down, d.hidden)], d.intermediate, d.mlp_bias)?,
        })
    }

    fn matrices(&self) -> [&Linear; 4] {
        [&self.qkv, &self.o, &self.gate_up, &self.down]
    }

    /// Bytes held for the layer's weights.
    pub(crate) fn bytes(&self) -> usize {
        self.matrices()
            .into_iter()
            .map(Linear::bytes)
            .sum::<usize>()
            + size_of_val(self.attention_norm.as_slice())
            + size_of_val(self.mlp_norm.as_slice())
    }

    /// Whether many rows are best handled block by block, each by one thread.
    pub(crate) fn takes_blocks(&self) -> bool {
        self.matrices().into_iter().all(Linear::takes_blocks)
    }
}
