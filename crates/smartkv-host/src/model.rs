//! A loaded decoder: its weights, its tokenizer, what it is.

use crate::description::{self, Description};
use crate::error::Result;
use crate::files::{read_json, read_text};
use crate::heap;
use crate::layer::{Layer, Loader, Norm};
use crate::linear::Linear;
use crate::rope::{self, Rotation};
use crate::scratch::Scratches;
use crate::template::ChatTemplate;
use crate::tokenizer::{self, Tokenizer};
use crate::weights::{Names, RawTensor, WeightMode, gguf, open_safetensors};
use rayon::prelude::*;
use serde_json::Value;
use smartkv_core::{CacheShape, Ropes};
use std::path::Path;

/// How to load a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoadOptions {
    /// How weight matrices are held.
    pub weights: WeightMode,
}

/// A decoder ready to run. It owns no cache and is shared freely between threads.
#[derive(Debug)]
pub struct Model {
    pub(crate) description: Description,
    tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    /// Looked up row by row in the mapped file, so that no decoded copy is held.
    pub(crate) embedding: RawTensor,
    /// The embeddings of positions, looked up likewise.
    pub(crate) positions: Option<RawTensor>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) norm: Norm,
    pub(crate) head: Linear,
    /// By the index that the description gives layers.
    pub(crate) rotations: Vec<Rotation>,
    ropes: Ropes,
    /// Whether the layers take many rows block by block.
    pub(crate) takes_blocks: bool,
    pub(crate) scratches: Scratches,
    weight_bytes: usize,
}

impl Model {
    /// Loads a `.gguf` file, or a Hugging Face folder with `config.json`, `tokenizer.json` and
    /// safetensors.
    ///
    /// # Errors
    /// Files that cannot be read, are corrupt or incomplete, or ask for what is not supported.
    pub fn load(path: impl AsRef<Path>, options: LoadOptions) -> Result<Self> {
        let path = path.as_ref();
        if path.is_dir() {
            Self::load_folder(path, options)
        } else {
            Self::load_gguf(path, options)
        }
    }

    fn load_gguf(path: &Path, options: LoadOptions) -> Result<Self> {
        let (metadata, weights) = gguf::open_gguf(path)?;
        let description = description::from_gguf(&metadata, &weights)?;
        let tokenizer = tokenizer::from_gguf(&metadata)?;
        let text = |id: Option<u32>| id.and_then(|id| tokenizer.token(id)).unwrap_or_default();
        let eos = metadata.usize("tokenizer.ggml.eos_token_id")?;
        let template = metadata.string("tokenizer.chat_template")?.map(|source| {
            let eos = text(eos.and_then(|id| u32::try_from(id).ok()));
            ChatTemplate::new(source, text(tokenizer.bos()), eos)
        });
        let loader = Loader::new(
            &weights,
            &description,
            options.weights,
            Names::gguf(&description.architecture),
        );
        Self::build(&loader, description.clone(), tokenizer, template)
    }

    fn load_folder(folder: &Path, options: LoadOptions) -> Result<Self> {
        let path = folder.join("config.json");
        let description = description::from_hf(&path, &read_text(&path)?)?;
        let tokenizer = tokenizer::from_hf(folder)?;
        let template = folder_template(folder)?;
        let weights = open_safetensors(folder)?;
        let loader = Loader::new(
            &weights,
            &description,
            options.weights,
            Names::hf(&description.architecture),
        );
        Self::build(&loader, description.clone(), tokenizer, template)
    }

    fn build(
        loader: &Loader<'_>,
        description: Description,
        tokenizer: Tokenizer,
        template: Option<ChatTemplate>,
    ) -> Result<Self> {
        let embedding = loader.embedding()?.clone();
        let positions = loader.positions()?.cloned();
        // In two steps, so that of several bad tensors the first is named, not the fastest.
        let layers: Vec<Result<Layer>> = (0..description.layers)
            .into_par_iter()
            .map(|i| Layer::load(loader, i))
            .collect();
        let layers = layers.into_iter().collect::<Result<Vec<_>>>()?;
        let head = loader.head()?;
        let norm = loader.final_norm()?;
        let table = if description.tied_head {
            0
        } else {
            embedding.stored_bytes()
        };
        let weight_bytes = table
            + layers.iter().map(Layer::bytes).sum::<usize>()
            + positions.as_ref().map_or(0, RawTensor::stored_bytes)
            + norm.bytes()
            + head.bytes();
        let (head_dim, context) = (description.head_dim, description.context_length);
        let rotation = |rope| Rotation::new(rope, head_dim, context);
        let rotations: Vec<Rotation> = description.ropes.iter().map(rotation).collect();
        let of_layers: Vec<_> = description.attention.iter().map(|a| a.rope).collect();
        // Matrices are held as the kernels want them, so the file need not be in memory besides.
        loader.release();
        heap::trim();
        Ok(Self {
            takes_blocks: layers.iter().all(Layer::takes_blocks),
            scratches: Scratches::default(),
            description,
            tokenizer,
            template,
            embedding,
            positions,
            layers,
            norm,
            head,
            ropes: rope::ropes(&rotations, &of_layers),
            rotations,
            weight_bytes,
        })
    }

    /// What the decoder is.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The model's tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The model's chat template, if it has one.
    #[must_use]
    pub fn template(&self) -> Option<&ChatTemplate> {
        self.template.as_ref()
    }

    /// The shape a cache for `batch` sequences must have.
    ///
    /// # Errors
    /// A batch of 0.
    pub fn cache_shape(&self, batch: usize) -> Result<CacheShape> {
        self.description.cache_shape(batch)
    }

    /// The rotation of keys and queries in each layer: strategies that store keys before it ask for
    /// it. None where positions are learned, or where frequencies depend on the length reached.
    #[must_use]
    pub fn ropes(&self) -> &Ropes {
        &self.ropes
    }

    /// Bytes of all weights as they are held: matrices as the [`WeightMode`] says, norms in f32,
    /// the embedding table as mapped from its file. A tied table is counted once, as the head.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        self.weight_bytes
    }
}

/// The chat template of a folder: a file of its own, or a key of the tokenizer's config.
fn folder_template(folder: &Path) -> Result<Option<ChatTemplate>> {
    let config = folder.join("tokenizer_config.json");
    let config: Value = if config.exists() {
        read_json(&config)?
    } else {
        Value::Null
    };
    let file = folder.join("chat_template.jinja");
    let source = if file.exists() {
        Some(read_text(&file)?)
    } else {
        // Several templates are a list of named ones; `default` is the one for conversations.
        let listed = config["chat_template"].as_array().and_then(|list| {
            list.iter()
                .find(|entry| entry["name"] == "default")
                .map(|entry| &entry["template"])
        });
        let source = listed.unwrap_or(&config["chat_template"]);
        source.as_str().map(Into::into)
    };
    let token = |key| tokenizer::special_token(&config, key).unwrap_or_default();
    Ok(source.map(|source| ChatTemplate::new(source, token("bos_token"), token("eos_token"))))
}
