//! Strategies that rank tokens by the attention they received: one lane, one token after another.

use crate::plain::{attention, query, wide};
use crate::rounding::{Rows, narrow};
use smartkv_baselines::mikv::MiKv;
use smartkv_core::contract::Inputs;
use smartkv_core::{
    Cache, CacheShape, KvHook as _, Layout, Plan, PlanCx, Result, Strategy, Tracker, config,
    strategy,
};
use std::sync::Arc;

/// Lets a test see which tokens are where.
#[config]
struct Seen {
    /// The strategy to look at.
    #[default(Box::new(MiKv::default()))]
    inner: Box<dyn Strategy>,
}

#[strategy("test-seen", family = "test")]
impl Strategy for Seen {
    fn layout(&self, shape: &CacheShape) -> Result<Layout> {
        Ok(Layout {
            positions: true,
            ..self.inner.layout(shape)?
        })
    }

    fn tracker(&self) -> Option<&dyn Tracker> {
        self.inner.tracker()
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        self.inner.plan(cx)
    }
}

/// A token as it is held: key and value less the factors of their channels.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) token: usize,
    pub(crate) key: Vec<f64>,
    pub(crate) value: Vec<f64>,
    /// Attention received from observed queries, the mean over the heads of the group.
    pub(crate) mass: f64,
}

/// What a kv head of the last layer holds.
pub(crate) struct Lane {
    pub(crate) window: Vec<Row>,
    pub(crate) high: Vec<Row>,
    pub(crate) low: Vec<Row>,
    /// Largest magnitude of each channel of the queries so far.
    pub(crate) largest_query: Vec<f64>,
    /// What each channel of the keys is multiplied by.
    pub(crate) key_factors: Vec<f64>,
    /// What each channel of the values is multiplied by.
    pub(crate) value_factors: Vec<f64>,
    fitted: bool,
}

/// Largest magnitude of each channel.
pub(crate) fn largest<'a>(rows: impl Iterator<Item = &'a Vec<f64>>) -> Vec<f64> {
    let most = |most: Vec<f64>, row: &Vec<f64>| -> Vec<f64> {
        most.iter().zip(row).map(|(m, x)| m.max(x.abs())).collect()
    };
    let mut rows = rows.peekable();
    let none = vec![0.0; rows.peek().map_or(0, |row| row.len())];
    rows.fold(none, most)
}

/// Factors as a cache holds them: around 1, in f16. Their proportions are the method's.
fn held(factors: &[f64]) -> Vec<f64> {
    let mean = factors.iter().map(|f| f.ln()).sum::<f64>() / factors.len() as f64;
    factors.iter().map(|f| narrow(f / mean.exp())).collect()
}

fn scaled(row: &[f64], by: &[f64]) -> Vec<f64> {
    row.iter().zip(by).map(|(x, by)| narrow(x * by)).collect()
}

fn unscaled(row: &[f64], by: &[f64]) -> Vec<f64> {
    row.iter().zip(by).map(|(x, by)| x / by).collect()
}

impl Lane {
    /// Fixes the factors, once, and applies them to what is held: the window.
    pub(crate) fn fit(&mut self, keys: Option<Vec<f64>>, values: Option<Vec<f64>>) {
        if std::mem::replace(&mut self.fitted, true) {
            return;
        }
        if let Some(keys) = keys {
            self.key_factors = held(&keys);
        }
        if let Some(values) = values {
            self.value_factors = held(&values);
        }
        for row in &mut self.window {
            row.key = scaled(&row.key, &self.key_factors);
            row.value = scaled(&row.value, &self.value_factors);
        }
    }

    fn rows_mut(&mut self) -> impl Iterator<Item = &mut Row> {
        let packed = self.high.iter_mut().chain(&mut self.low);
        packed.chain(&mut self.window)
    }

    /// Outputs of the heads of a group at token `last`, whose attention is observed.
    fn attend(&mut self, queries: &Rows, last: usize) -> Vec<f64> {
        let (key_factors, value_factors) = (self.key_factors.clone(), self.value_factors.clone());
        let mut seen: Vec<&mut Row> = self.rows_mut().filter(|row| row.token <= last).collect();
        let keys: Rows = seen
            .iter()
            .map(|row| unscaled(&row.key, &key_factors))
            .collect();
        let values: Rows = seen
            .iter()
            .map(|row| unscaled(&row.value, &value_factors))
            .collect();
        let mut out = Vec::new();
        for query in queries {
            let (head, shares) = attention(query, &keys, &values);
            out.extend(head);
            for (row, share) in seen.iter_mut().zip(shares) {
                row.mass += share / queries.len() as f64;
            }
        }
        out
    }
}

/// Runs a prompt of `prompt` tokens and single tokens after it through the lane of a kv head.
/// After each step `compress(lane, tokens seen)` does as the method says. Outputs of the single
/// tokens.
fn reference(
    inputs: &Inputs,
    head: usize,
    prompt: usize,
    watched: &dyn Fn(usize) -> bool,
    compress: &dyn Fn(&mut Lane, usize),
) -> (Lane, Vec<Vec<f64>>) {
    let CacheShape {
        layers, head_dim, ..
    } = inputs.shape;
    let group = inputs.shape.group();
    let mut lane = Lane {
        window: Vec::new(),
        high: Vec::new(),
        low: Vec::new(),
        largest_query: vec![0.0; head_dim],
        key_factors: vec![1.0; head_dim],
        value_factors: vec![1.0; head_dim],
        fitted: false,
    };
    let mut out = Vec::new();
    let steps = std::iter::once(0..prompt).chain((prompt..inputs.tokens).map(|t| t..t + 1));
    for step in steps {
        for token in step.clone() {
            let (key, value) = (
                wide(inputs.key(layers - 1, token, head)),
                wide(inputs.value(layers - 1, token, head)),
            );
            lane.window.push(Row {
                token,
                key: scaled(&key, &lane.key_factors),
                value: scaled(&value, &lane.value_factors),
                mass: 0.0,
            });
        }
        for token in step.clone() {
            let heads = head * group..(head + 1) * group;
            let queries: Rows = heads.map(|head| query(inputs, token, head)).collect();
            lane.largest_query = largest(queries.iter().chain([&lane.largest_query]));
            let decoded = token >= prompt;
            if decoded || watched(token) {
                let outputs = lane.attend(&queries, token);
                if decoded {
                    out.push(outputs);
                }
            }
        }
        compress(&mut lane, step.end);
    }
    (lane, out)
}

/// What a cache made of it: outputs of the decoded tokens, and at the end each kv head's tokens in
/// place after place.
pub(crate) struct Actual {
    out: Vec<f32>,
    positions: Vec<Vec<usize>>,
}

pub(crate) fn run(strategy: impl Strategy + 'static, inputs: &Inputs, prompt: usize) -> Actual {
    let inner = Box::new(strategy);
    let strategy = Arc::new(Seen { inner });
    let mut cache = Cache::builder(inputs.shape, strategy)
        .build()
        .expect("a cache");
    inputs.step(&mut cache, 0, prompt, false);
    let tokens = prompt..inputs.tokens;
    let out = tokens.flat_map(|token| inputs.step(&mut cache, token, 1, false));
    let out = out.collect();
    let last = cache.shape().layers - 1;
    let positions = |head| {
        cache
            .positions(last, head)
            .into_iter()
            .map(|at| at as usize)
    };
    let positions = (0..cache.shape().kv_heads).map(|head| positions(head).collect());
    Actual {
        out,
        positions: positions.collect(),
    }
}

/// Farthest that the outputs lie from the method's, and whether every token is where it should be.
pub(crate) fn compare(
    actual: &Actual,
    inputs: &Inputs,
    prompt: usize,
    watched: &dyn Fn(usize) -> bool,
    compress: &dyn Fn(&mut Lane, usize),
) -> (f64, bool) {
    let CacheShape {
        q_heads, head_dim, ..
    } = inputs.shape;
    let width = inputs.shape.group() * head_dim;
    let (mut farthest, mut placed) = (0.0f64, true);
    for (head, positions) in actual.positions.iter().enumerate() {
        let (lane, out) = reference(inputs, head, prompt, watched, compress);
        let mut rest = &positions[..];
        for rows in [&lane.high, &lane.low, &lane.window] {
            let (own, others) = rest.split_at(rows.len().min(rest.len()));
            rest = others;
            let mut own = own.to_vec();
            own.sort_unstable();
            let mut expected: Vec<usize> = rows.iter().map(|row| row.token).collect();
            expected.sort_unstable();
            placed &= own == expected;
        }
        placed &= rest.is_empty();
        for (token, expected) in out.iter().enumerate() {
            let own = &actual.out[token * q_heads * head_dim + head * width..][..width];
            farthest = farthest.max(crate::plain::farthest(own, expected));
        }
    }
    (farthest, placed)
}
