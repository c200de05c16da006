//! What the tests of several files share: a tiny model, a text, a cache that can be spoiled.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test binary uses a part, in tests only"
)]

use smartkv_core::{AttnStep, CacheShape, KvHook, MeasuredHook, Memory, Result};
use smartkv_eval::{
    Bootstrap, LockstepOptions, LockstepResult, NoProgress, Progress, Protocol, Unwatched,
    WindowCount, Windows, lockstep,
};
use smartkv_host::{LoadOptions, Model, PlainCache};
use std::cell::RefCell;
use std::path::{Path, PathBuf};

const PROSE: &str = "The river ran past the mill and under the bridge, and the children ran along \
    the bank after it. There were three of them: the miller's two, and the one who had come from \
    the town. When the rain fell they went under the bridge and waited there. Dr. Hill asked why! \
    In 1987 the mill was closed, and the river ran on without it; in 1992 the bridge was closed \
    as well. Nobody had asked the children. ";

/// A text of about 400 characters, repeated.
pub(crate) fn prose(times: usize) -> String {
    PROSE.repeat(times)
}

fn tiny_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/tiny-llama")
}

/// The tiny model: context 256, almost a token per letter.
pub(crate) fn tiny() -> Model {
    Model::load(tiny_folder(), LoadOptions::default()).unwrap()
}

/// The tiny model made to accept long prompts, with `name` for a folder of the test's own.
pub(crate) fn tiny_long(name: &str) -> Model {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    for file in [
        "tokenizer.json",
        "tokenizer_config.json",
        "model.safetensors",
    ] {
        std::fs::copy(tiny_folder().join(file), folder.join(file)).unwrap();
    }
    let config = std::fs::read_to_string(tiny_folder().join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
    config["max_position_embeddings"] = 4096.into();
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    Model::load(&folder, LoadOptions::default()).unwrap()
}

pub(crate) fn exact(model: &Model) -> PlainCache {
    PlainCache::new(model.cache_shape(1).unwrap())
}

/// Small windows that fit the tiny model.
pub(crate) fn options(protocol: Protocol, windows: Windows) -> LockstepOptions {
    let bootstrap = Bootstrap {
        resamples: 200,
        ..Bootstrap::default()
    };
    LockstepOptions {
        protocol,
        windows,
        prefill_chunk: 13,
        bootstrap,
        ..Default::default()
    }
}

pub(crate) const WINDOWS: Windows = Windows {
    prefill: 40,
    score: 24,
    count: WindowCount::UpTo(3),
};

/// Tokens of a text of about 800 characters.
pub(crate) fn text(model: &Model) -> Vec<u32> {
    model.tokenizer().encode(&prose(2), true).unwrap()
}

/// Runs an exact reference and `candidate` over that text.
pub(crate) fn run(
    model: &Model,
    options: &LockstepOptions,
    candidate: &mut dyn KvHook,
) -> LockstepResult {
    let mut reference = exact(model);
    let (mut reference, mut candidate) = (Unwatched(&mut reference), Unwatched(candidate));
    let text = text(model);
    lockstep(
        model,
        &text,
        options,
        &mut reference,
        Some(&mut candidate),
        &NoProgress,
    )
    .unwrap()
    .0
}

/// A grid that spoils numbers: everything is rounded to its multiples.
#[derive(Clone, Copy)]
pub(crate) struct Grid(pub(crate) f32);

impl Grid {
    fn round(self, value: f32) -> f32 {
        if self.0 > 0.0 {
            (value / self.0).round() * self.0
        } else {
            value
        }
    }
}

/// A cache that keeps what it is given and spoils it only afterwards, when the prompt or step has
/// ended: what a forward brings along is exact within it.
#[derive(Clone)]
pub(crate) struct SpoilsLater {
    shape: CacheShape,
    grid: Grid,
    /// By layer, `[tokens, kv_heads, head_dim]`; one sequence.
    keys: Vec<Vec<f32>>,
    values: Vec<Vec<f32>>,
    /// Elements per layer that are spoilt already.
    spoilt: usize,
    seen: usize,
    step: usize,
}

impl SpoilsLater {
    pub(crate) fn new(model: &Model, grid: Grid) -> Self {
        let shape = model.cache_shape(1).unwrap();
        let empty = vec![Vec::new(); shape.layers];
        Self {
            shape,
            grid,
            keys: empty.clone(),
            values: empty,
            spoilt: 0,
            seen: 0,
            step: 0,
        }
    }
}

impl KvHook for SpoilsLater {
    fn shape(&self) -> &CacheShape {
        &self.shape
    }

    fn seen(&self, _sequence: usize) -> usize {
        self.seen
    }

    fn attend(&mut self, step: AttnStep<'_>, out: &mut [f32]) -> Result<()> {
        step.check(&self.shape, out)?;
        let CacheShape {
            q_heads,
            kv_heads,
            head_dim,
            scale,
            ..
        } = self.shape;
        self.step = step.tokens;
        self.keys[step.layer].extend_from_slice(step.k);
        self.values[step.layer].extend_from_slice(step.v);
        let (keys, values) = (&self.keys[step.layer], &self.values[step.layer]);
        let rows = step
            .q
            .chunks_exact(head_dim)
            .zip(out.chunks_exact_mut(head_dim));
        for (row, (q, out)) in rows.enumerate() {
            let (token, head) = (row / q_heads, row % q_heads / self.shape.group());
            let at = |position: usize| (position * kv_heads + head) * head_dim;
            let visible = 0..self.seen + token + 1;
            let score = |position: usize| {
                let key = &keys[at(position)..][..head_dim];
                scale * q.iter().zip(key).map(|(q, k)| q * k).sum::<f32>()
            };
            let scores: Vec<f32> = visible.clone().map(score).collect();
            let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let total: f32 = scores.iter().map(|score| (score - max).exp()).sum();
            out.fill(0.0);
            for position in visible {
                let weight = (scores[position] - max).exp() / total;
                let value = &values[at(position)..][..head_dim];
                out.iter_mut()
                    .zip(value)
                    .for_each(|(out, value)| *out += weight * value);
            }
        }
        Ok(())
    }

    fn end_step(&mut self, more_prompt: bool) -> Result<()> {
        self.seen += std::mem::take(&mut self.step);
        if !more_prompt {
            for held in self.keys.iter_mut().chain(&mut self.values) {
                held[self.spoilt..]
                    .iter_mut()
                    .for_each(|value| *value = self.grid.round(*value));
            }
            self.spoilt = self.keys[0].len();
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.keys
            .iter_mut()
            .chain(&mut self.values)
            .for_each(Vec::clear);
        (self.spoilt, self.seen, self.step) = (0, 0, 0);
    }
}

impl MeasuredHook for SpoilsLater {
    fn fork(&self) -> Box<dyn MeasuredHook> {
        Box::new(self.clone())
    }

    fn memory(&self) -> Memory {
        let tokens = self.seen as u64;
        let live_bytes = 3 * tokens;
        Memory {
            tokens,
            live_bytes,
            f16_bytes: 12 * tokens,
            peak_bytes: live_bytes + 1,
            ..Memory::default()
        }
    }
}

/// Remembers what it is told.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) total: RefCell<usize>,
    pub(crate) advanced: RefCell<usize>,
    pub(crate) messages: RefCell<Vec<String>>,
}

impl Progress for Told {
    fn begin(&self, total: usize) {
        *self.total.borrow_mut() += total;
    }

    fn advance(&self, tokens: usize) {
        *self.advanced.borrow_mut() += tokens;
    }

    fn message(&self, text: &str) {
        self.messages.borrow_mut().push(text.into());
    }
}
