//! The weights of one decoder layer, found by the names of either file format.

use crate::description::{self, Description};
use crate::error::Result;
use crate::linear::{Linear, Source};
use crate::weights::{Names, RawTensor, WeightMode, Weights};

/// Finds and decodes tensors by their place in the decoder.
pub(crate) struct Loader<'a> {
    weights: &'a Weights,
    description: &'a Description,
    mode: WeightMode,
    names: &'static Names,
    root: &'static str,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(
        weights: &'a Weights,
        description: &'a Description,
        mode: WeightMode,
        names: &'static Names,
    ) -> Self {
        let has = |root: &&&str| {
            let embedding = format!("{root}{}.weight", names.embedding);
            weights.get(&embedding).is_some()
        };
        // Where there is none, the error names the first.
        let root = names.roots.iter().find(has).unwrap_or(&names.roots[0]);
        Self {
            weights,
            description,
            mode,
            names,
            root,
        }
    }

    /// The embedding table: `[vocab, hidden]`.
    pub(crate) fn embedding(&self) -> Result<&'a RawTensor> {
        let Description { vocab, hidden, .. } = *self.description;
        let name = format!("{}{}.weight", self.root, self.names.embedding);
        self.weights.require(&name, &[vocab, hidden])
    }

    /// The embeddings of positions, where they are learned: `[context_length, hidden]`.
    pub(crate) fn positions(&self) -> Result<Option<&'a RawTensor>> {
        let Description {
            context_length,
            hidden,
            learned_positions,
            ..
        } = *self.description;
        if !learned_positions {
            return Ok(None);
        }
        let name = format!("{}{}.weight", self.root, self.names.positions);
        let positions = self.weights.require(&name, &[context_length, hidden])?;
        Ok(Some(positions))
    }

    /// The output head: the embedding table where the two are tied.
    pub(crate) fn head(&self) -> Result<Linear> {
        let Description {
            vocab,
            hidden,
            tied_head,
            ..
        } = *self.description;
        let weight = if tied_head {
            self.embedding()?
        } else {
            let name = format!("{}.weight", self.names.head);
            self.weights.require(&name, &[vocab, hidden])?
        };
        self.build(&[Source {
            weight,
            bias: None,
            transposed: false,
        }])
    }

    /// Everything is built: gives back the memory of the files' own bytes.
    pub(crate) fn release(&self) {
        self.weights.release();
    }

    fn build(&self, sources: &[Source<'_>]) -> Result<Linear> {
        Linear::new(sources, self.mode, smartkv_kernels::best())
    }

    /// The norm before the head.
    pub(crate) fn final_norm(&self) -> Result<Norm> {
        self.norm(&format!("{}{}", self.root, self.names.final_norm))
    }

    fn of_layer(&self, layer: usize, part: &str) -> String {
        format!("{}{}{layer}.{part}", self.root, self.names.layers)
    }

    /// A norm of the stream, by its name without `weight` or `bias`.
    fn norm(&self, name: &str) -> Result<Norm> {
        let hidden = self.description.hidden;
        let bias = match self.description.norm {
            description::Norm::Rms => Vec::new(),
            description::Norm::Layer => {
                let bias = self.weights.require(&format!("{name}.bias"), &[hidden])?;
                bias.to_f32()?
            }
        };
        Ok(Norm {
            weight: self.norm_weight(name, hidden)?,
            bias,
        })
    }

    fn norm_weight(&self, name: &str, width: usize) -> Result<Vec<f32>> {
        let weight = self.weights.require(&format!("{name}.weight"), &[width])?;
        let mut weight = weight.to_f32()?;
        let offset = self.names.norm_offset;
        weight.iter_mut().for_each(|weight| *weight += offset);
        Ok(weight)
    }

    /// Matrices of the same inputs, by name and outputs; their outputs follow each other.
    fn linear(
        &self,
        layer: usize,
        parts: &[(&str, usize)],
        inputs: usize,
        bias: bool,
    ) -> Result<Linear> {
        let transposed = self.names.transposed;
        let source = |&(part, outputs): &(&str, usize)| {
            let name = |kind: &str| format!("{}.{kind}", self.of_layer(layer, part));
            let shape = if transposed {
                [inputs, outputs]
            } else {
                [outputs, inputs]
            };
            let weight = self.weights.require(&name("weight"), &shape)?;
            let bias = if bias {
                Some(self.weights.require(&name("bias"), &[outputs])?)
            } else {
                None
            };
            Ok(Source {
                weight,
                bias,
                transposed,
            })
        };
        let sources = parts.iter().map(source).collect::<Result<Vec<_>>>()?;
        self.build(&sources)
    }
}

/// The weights of a norm; without a bias it is by the root mean square.
#[derive(Debug)]
pub(crate) struct Norm {
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}

impl Norm {
    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.weight.as_slice()) + size_of_val(self.bias.as_slice())
    }
}

/// One decoder layer.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) attention_norm: Norm,
    /// Queries, keys and values, side by side.
    pub(crate) qkv: Linear,
    /// Norms of each head of the queries and the keys; empty where there are none.
    pub(crate) q_norm: Vec<f32>,
    pub(crate) k_norm: Vec<f32>,
    pub(crate) o: Linear,
    /// Norm of what attention gives, if any.
    pub(crate) attention_post_norm: Option<Norm>,
    pub(crate) mlp_norm: Norm,
    /// The gate, if there is one, and what it scales, side by side.
    pub(crate) up: Linear,
    pub(crate) down: Linear,
    /// Norm of what the MLP gives, if any.
    pub(crate) mlp_post_norm: Option<Norm>,
}

impl Layer {
    /// Decodes layer `index`.
    pub(crate) fn load(loader: &Loader<'_>, index: usize) -> Result<Self> {
        let d = loader.description;
        let names = loader.names;
        let (q, kv) = (d.q_heads * d.head_dim, d.kv_heads * d.head_dim);
        let linear = |names: &[&'static str], outputs: &[usize], inputs, bias| {
            let parts: Vec<(&str, usize)> = if names.len() == outputs.len() {
                let parts = names.iter().copied().zip(outputs.iter().copied());
                parts.collect()
            } else {
                // One name for all of them, as they lie in the one matrix.
                vec![(names[0], outputs.iter().sum())]
            };
            loader.linear(index, &parts, inputs, bias)
        };
        let inner = d.intermediate;
        let up: &[usize] = if d.gated { &[inner, inner] } else { &[inner] };
        let norm = |name: &str| loader.norm(&loader.of_layer(index, name));
        let post_norm = |name: &str| d.post_norms.then(|| norm(name)).transpose();
        let head_norm = |name: &str| {
            if d.qk_norm {
                loader.norm_weight(&loader.of_layer(index, name), d.head_dim)
            } else {
                Ok(Vec::new())
            }
        };
        Ok(Self {
            attention_norm: norm(names.attention_norm)?,
            qkv: linear(names.qkv, &[q, kv, kv], d.hidden, d.qkv_bias)?,
            q_norm: head_norm(names.q_norm)?,
            k_norm: head_norm(names.k_norm)?,
            o: linear(&[names.o], &[d.hidden], q, d.output_bias)?,
            attention_post_norm: post_norm(names.attention_post_norm)?,
            mlp_norm: norm(names.mlp_norm)?,
            up: linear(names.up, up, d.hidden, d.mlp_bias)?,
            down: linear(&[names.down], &[d.hidden], inner, d.mlp_bias)?,
            mlp_post_norm: post_norm(names.mlp_post_norm)?,
        })
    }

    fn matrices(&self) -> [&Linear; 4] {
        [&self.qkv, &self.o, &self.up, &self.down]
    }

    /// Bytes held for the layer's weights.
    pub(crate) fn bytes(&self) -> usize {
        let post = [&self.attention_post_norm, &self.mlp_post_norm];
        let norms = [&self.attention_norm, &self.mlp_norm].into_iter();
        let norms = norms.chain(post.into_iter().flatten()).map(Norm::bytes);
        let heads = [&self.q_norm, &self.k_norm].map(|norm| size_of_val(norm.as_slice()));
        let matrices = self.matrices().into_iter().map(Linear::bytes);
        matrices.chain(norms).chain(heads).sum()
    }

    /// Whether many rows are best handled block by block, each by one thread.
    pub(crate) fn takes_blocks(&self) -> bool {
        self.matrices().into_iter().all(Linear::takes_blocks)
    }
}
