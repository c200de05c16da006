//! What a strategy's cache costs a decoded token, without the model: attention, tracking,
//! planning.
//!
//! `cargo bench --bench cache [-- --contexts 4096,32768 --tokens 64 --strategies f16,uniform-4]`
//!
//! The shape is that of SmolLM2-135M; keys and values are random, which does not matter to speed.
//! Strategies take turns, one token each, so that a disturbed machine disturbs them alike. Between
//! tokens the same threads read a buffer far above the caches, and one of each cache's live bytes:
//! *x memory* and *x same* are the time of attention in times of reading the live bytes at these
//! rates, the ceilings of streaming memory and of whatever caches hold as much.
#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]
#![allow(clippy::cast_precision_loss, missing_docs)]

// One way to measure bandwidth, in the program and here.
#[allow(unused_imports, reason = "its tests are run with the program's")]
#[path = "../src/cli/bench/bandwidth.rs"]
mod bandwidth;

use anyhow::{Context as _, Result};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use smartkv::config::{Assignment, StrategySpec};
use smartkv_core::{AttnStep, Budget, Cache, CacheShape, KvHook, MeasuredHook};
use std::time::{Duration, Instant};

/// Name, settings and budget of each row.
const ROWS: [(&str, &[&str], Option<f64>); 7] = [
    ("f16", &[], None),
    ("uniform-8", &[], None),
    ("uniform-4", &[], None),
    ("uniform-2", &[], None),
    ("smartkv", &[], Some(0.5)),
    ("smartkv", &[], Some(0.25)),
    ("smartkv", &["window=64", "realloc_every=64"], Some(0.25)),
];
/// Tokens that fill a cache at once.
const CHUNK: usize = 512;
/// Last tokens of a prompt, which attend to it: trackers see what they would of a real one, and
/// filling costs no more than storing.
const ATTENDING: usize = 64;
/// Bandwidth is measured every so many tokens.
const RATES_EVERY: usize = 16;

struct Row {
    title: String,
    cache: Cache,
    attend: Vec<Duration>,
    /// Reading rates of as many bytes.
    same: Vec<f64>,
    /// Steps that planned, and those that did not.
    end: [Vec<Duration>; 2],
}

fn main() -> Result<()> {
    // As the host does: a caller outside the pool would be put to sleep at every layer.
    rayon::scope(|_| run())
}

fn run() -> Result<()> {
    let mut contexts = vec![1024, 4096];
    let mut tokens = 64usize;
    let mut strategies: Option<Vec<String>> = None;
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    while let Some(arg) = args.next() {
        let value = args
            .next()
            .with_context(|| format!("{arg}: expected a value"))?;
        match arg.as_str() {
            "--contexts" => {
                contexts = value.split(',').map(str::parse).collect::<Result<_, _>>()?;
            }
            "--tokens" => tokens = value.parse()?,
            "--strategies" => strategies = Some(value.split(',').map(String::from).collect()),
            other => anyhow::bail!("unknown option {other}: --contexts, --tokens, --strategies"),
        }
    }
    let shape = CacheShape::new(30, 1, 9, 3, 64)?;
    let far = bandwidth::far_bytes(bandwidth::last_level_cache());
    println!(
        "kernels {}, {} threads, median of {tokens} tokens; ms a token; GB/s of live bytes",
        smartkv_kernels::best().name(),
        rayon::current_num_threads(),
    );
    for context in contexts {
        let wanted = |(name, ..): &&(&str, _, _)| {
            let all = strategies.as_ref();
            all.is_none_or(|all| all.iter().any(|wanted| wanted == name))
        };
        let mut rows = ROWS
            .iter()
            .filter(wanted)
            .map(|(name, set, ratio)| filled(&shape, context, name, set, *ratio))
            .collect::<Result<Vec<Row>>>()?;
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut memory = Vec::new();
        for token in 0..tokens {
            if token % RATES_EVERY == 0 {
                let bytes: Vec<u64> = rows.iter().map(|r| r.cache.memory().live_bytes).collect();
                let rates = bandwidth::measure(far, &bytes);
                memory.push(rates.memory);
                for (row, rate) in rows.iter_mut().zip(rates.sizes) {
                    row.same.push(rate);
                }
            }
            let step = Inputs::new(&shape, 1, &mut random);
            for row in &mut rows {
                let plans = census(&row.cache);
                let start = Instant::now();
                step.attend(&mut row.cache, &shape)?;
                row.attend.push(start.elapsed());
                let start = Instant::now();
                row.cache.end_step(false)?;
                let planned = usize::from(census(&row.cache) != plans);
                row.end[planned].push(start.elapsed());
            }
        }
        let memory = smartkv_eval::stats::median(&memory).unwrap_or(f64::NAN);
        println!("\n{context} tokens; this machine reads {memory:.1} GB/s from memory");
        println!(
            "{:>42} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9}",
            "strategy", "MB", "attend", "GB/s", "x memory", "x same", "no plan", "plan", "a token"
        );
        for row in &mut rows {
            let bytes = row.cache.memory().live_bytes as f64;
            let attend = median(&mut row.attend);
            let same = smartkv_eval::stats::median(&row.same).unwrap_or(f64::NAN);
            let [free, plan] = [0, 1].map(|i| median(&mut row.end[i]));
            let ends: Duration = row.end.iter().flatten().sum();
            println!(
                "{:>42} {:>8.1} {:>8.2} {:>8.1} {:>8.2} {:>8.2} {:>8.3} {:>9.2} {:>9.3}",
                row.title,
                bytes / 1e6,
                attend * 1e3,
                bytes / attend / 1e9,
                memory * 1e9 * attend / bytes,
                same * 1e9 * attend / bytes,
                free * 1e3,
                plan * 1e3,
                ends.as_secs_f64() * 1e3 / tokens as f64,
            );
        }
    }
    Ok(())
}

/// Rows in tiers: they change when a plan was executed.
fn census(cache: &Cache) -> usize {
    let census = cache.census();
    census[..census.len() - 1].iter().sum()
}

fn filled(
    shape: &CacheShape,
    context: usize,
    name: &str,
    set: &[&str],
    ratio: Option<f64>,
) -> Result<Row> {
    let settings = set
        .iter()
        .map(|s| s.parse::<Assignment>().map_err(anyhow::Error::msg))
        .collect::<Result<Vec<_>>>()?;
    let strategy = StrategySpec::resolve(name, &settings)?.strategy;
    let mut cache = Cache::builder(*shape, strategy)
        .budget(ratio.map(Budget::Ratio))
        .kernels(smartkv_kernels::best())
        .build()?;
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let start = Instant::now();
    cache.reserve(&[context]);
    let stored = context.saturating_sub(ATTENDING);
    for first in (0..stored).step_by(CHUNK) {
        let inputs = Inputs::new(shape, CHUNK.min(stored - first), &mut random);
        for layer in 0..shape.layers {
            cache.store(inputs.step(layer))?;
        }
        cache.end_step(true)?;
    }
    Inputs::new(shape, context - stored, &mut random).attend(&mut cache, shape)?;
    cache.end_step(false)?;
    let budget = ratio.map_or(String::new(), |ratio| format!(" @ {ratio}"));
    let title = format!("{name}{budget} {}", set.join(" "));
    eprintln!("{title}: filled in {:.2} s", start.elapsed().as_secs_f64());
    let (attend, same, end) = Default::default();
    Ok(Row {
        title,
        cache,
        attend,
        same,
        end,
    })
}

/// One step of random rows, the same for every layer.
struct Inputs {
    lens: [usize; 1],
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
}

impl Inputs {
    fn new(shape: &CacheShape, tokens: usize, random: &mut ChaCha8Rng) -> Self {
        let mut rows = |heads: usize| {
            (0..tokens * heads * shape.head_dim)
                .map(|_| random.random_range(-3.0f32..3.0))
                .collect()
        };
        Self {
            lens: [tokens],
            q: rows(shape.q_heads),
            k: rows(shape.kv_heads),
            v: rows(shape.kv_heads),
        }
    }

    fn step(&self, layer: usize) -> AttnStep<'_> {
        AttnStep {
            layer,
            tokens: self.lens[0],
            lens: &self.lens,
            q: &self.q,
            k: &self.k,
            v: &self.v,
            window: None,
        }
    }

    fn attend(&self, cache: &mut Cache, shape: &CacheShape) -> Result<()> {
        let mut out = vec![0.0; self.q.len()];
        for layer in 0..shape.layers {
            cache.attend(self.step(layer), &mut out)?;
        }
        Ok(())
    }
}

/// Seconds.
fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    times
        .get(times.len() / 2)
        .map_or(0.0, Duration::as_secs_f64)
}
