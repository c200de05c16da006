//! Caches that are told the attention of tokens to come.

mod common;

use common::{Told, WINDOWS, exact, options, text, tiny};
use smartkv_core::{AttnStep, CacheShape, KvHook, MeasuredHook, Memory, Result, Trace};
use smartkv_eval::{LockstepOptions, Protocol, Unwatched, Windows, compare, lockstep};
use smartkv_host::{Model, PlainCache};
use std::sync::Arc;

/// The exact cache, asking for a trace; keeps what passes, and the trace of each window.
#[derive(Clone)]
struct Seer {
    cache: PlainCache,
    trace: Option<Arc<Trace>>,
    /// Queries and keys of each layer since the last reset.
    passed: Vec<(Vec<f32>, Vec<f32>)>,
    /// Windows whose trace was what passed.
    checked: usize,
    prompt: usize,
}

impl Seer {
    fn new(model: &Model, prompt: usize) -> Self {
        let cache = exact(model);
        let passed = vec![Default::default(); cache.shape().layers];
        Self {
            cache,
            trace: None,
            passed,
            checked: 0,
            prompt,
        }
    }

    /// Compares the trace with attention computed from what has passed since.
    fn check(&mut self) {
        let Some(trace) = self.trace.take() else {
            return;
        };
        let shape = *self.cache.shape();
        let (group, end) = (shape.q_heads / shape.kv_heads, self.cache.seen(0));
        let positions: Vec<u32> = (0..u32::try_from(end).expect("few tokens")).collect();
        for layer in 0..shape.layers {
            let (q, k) = &self.passed[layer];
            let row = |of: &[f32], heads: usize, token: usize, head: usize| -> Vec<f64> {
                let at = (token * heads + head) * shape.head_dim;
                let row = &of[at..at + shape.head_dim];
                row.iter().map(|x| f64::from(*x)).collect()
            };
            for kv_head in 0..shape.kv_heads {
                for seen in [self.prompt, self.prompt + 5, end - 1] {
                    let mut sums = vec![0.0; end];
                    for token in seen..end {
                        for head in kv_head * group..(kv_head + 1) * group {
                            let q = row(q, shape.q_heads, token, head);
                            let score = |key: usize| {
                                let key = row(k, shape.kv_heads, key, kv_head);
                                let dot: f64 = q.iter().zip(key).map(|(q, k)| q * k).sum();
                                (dot * f64::from(shape.scale)).exp()
                            };
                            let scores: Vec<f64> = (0..=token).map(score).collect();
                            let all: f64 = scores.iter().sum();
                            for (sum, score) in sums.iter_mut().zip(scores) {
                                *sum += score / all;
                            }
                        }
                    }
                    let queries = f64::from(u32::try_from((end - seen) * group).expect("few"));
                    let future = trace.future(layer, kv_head, seen, &positions);
                    for (told, sum) in future.iter().zip(sums) {
                        assert!((f64::from(*told) - sum / queries).abs() < 1e-5);
                    }
                }
            }
        }
        self.checked += 1;
    }
}

impl KvHook for Seer {
    fn shape(&self) -> &CacheShape {
        self.cache.shape()
    }

    fn seen(&self, sequence: usize) -> usize {
        self.cache.seen(sequence)
    }

    fn attend(&mut self, step: AttnStep<'_>, out: &mut [f32]) -> Result<()> {
        assert!(self.trace.is_some(), "not told");
        let (q, k) = &mut self.passed[step.layer];
        q.extend_from_slice(step.q);
        k.extend_from_slice(step.k);
        self.cache.attend(step, out)
    }

    fn end_step(&mut self, more_prompt: bool) -> Result<()> {
        self.cache.end_step(more_prompt)
    }

    fn needs_trace(&self) -> bool {
        true
    }

    fn foresee(&mut self, trace: &Arc<Trace>) -> Result<()> {
        self.trace = Some(Arc::clone(trace));
        Ok(())
    }

    fn reset(&mut self) {
        self.check();
        self.passed.fill_with(Default::default);
        self.cache.reset();
    }
}

impl MeasuredHook for Seer {
    fn fork(&self) -> Box<dyn MeasuredHook> {
        Box::new(self.clone())
    }

    fn memory(&self) -> Memory {
        Memory {
            live_bytes: 1,
            f16_bytes: 1,
            ..Memory::default()
        }
    }
}

/// The exact cache as a reference that can be measured.
#[derive(Clone)]
struct Reference(PlainCache);

impl KvHook for Reference {
    fn shape(&self) -> &CacheShape {
        self.0.shape()
    }

    fn seen(&self, sequence: usize) -> usize {
        self.0.seen(sequence)
    }

    fn attend(&mut self, step: AttnStep<'_>, out: &mut [f32]) -> Result<()> {
        self.0.attend(step, out)
    }

    fn end_step(&mut self, more_prompt: bool) -> Result<()> {
        self.0.end_step(more_prompt)
    }

    fn reset(&mut self) {
        self.0.reset();
    }
}

impl MeasuredHook for Reference {
    fn fork(&self) -> Box<dyn MeasuredHook> {
        Box::new(self.clone())
    }

    fn memory(&self) -> Memory {
        Memory {
            live_bytes: 1,
            f16_bytes: 1,
            ..Memory::default()
        }
    }
}

#[test]
fn lockstep_tells_each_window_the_attention_that_then_happens() {
    let model = tiny();
    for protocol in [Protocol::Decode, Protocol::Chunked(5)] {
        let options = options(protocol, WINDOWS);
        // Nothing of the run ahead is measured.
        let plain = common::run(&model, &options, &mut exact(&model));
        let (mut seer, told) = (Seer::new(&model, WINDOWS.prefill), Told::default());
        let (result, timing) = lockstep(
            &model,
            &text(&model),
            &options,
            &mut Unwatched(&mut exact(&model)),
            Some(&mut Unwatched(&mut seer)),
            &told,
        )
        .unwrap();
        seer.check();
        assert_eq!(seer.checked, result.windows_measured);
        assert_eq!(
            serde_json::to_string(&result).unwrap(),
            serde_json::to_string(&plain).unwrap()
        );
        let tokens: usize = timing.reference.prefill.iter().map(|t| t.tokens).sum();
        assert_eq!(tokens, 3 * WINDOWS.prefill);
        assert_eq!(*told.total.borrow(), *told.advanced.borrow());
        assert_eq!(*told.total.borrow(), 3 * 3 * 64);
    }
}

#[test]
fn comparisons_tell_only_those_that_ask() {
    let model = tiny();
    let options = LockstepOptions {
        prefix: vec![1],
        ..options(
            Protocol::Decode,
            Windows {
                count: 2.into(),
                ..WINDOWS
            },
        )
    };
    let mut reference = Reference(exact(&model));
    let mut seer = Seer::new(&model, WINDOWS.prefill + 1);
    let mut other = Reference(exact(&model));
    let caches: Vec<&mut dyn MeasuredHook> = vec![&mut reference, &mut seer, &mut other];
    let told = Told::default();
    let result = compare(&model, &text(&model), &options, caches, &told).unwrap();
    seer.check();
    assert_eq!(seer.checked, 2);
    for candidate in result.candidates {
        assert!(candidate.unwrap().fidelity.kl_nats.max < 1e-9);
    }
    assert_eq!(*told.total.borrow(), *told.advanced.borrow());
}
