//! Prefill and decode tokens per second by context length, strategy by strategy.
//!
//! `cargo bench --bench throughput [-- --contexts 128,1024 --rounds 3 --tokens 16]`
//!
//! Strategies take turns within a round, so that a disturbed machine disturbs them alike; what
//! counts is the ratio to f16 in the same round. The model is the default one; fetch it with
//! `smartkv models pull` first.
#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]
#![allow(missing_docs)]

use anyhow::{Context as _, Result};
use smartkv::assets::{Policy, Progress, resolve_model, resolve_text};
use smartkv::config::StrategySpec;
use smartkv_core::{Budget, Cache};
use smartkv_host::{LoadOptions, LogitsFor, Model};
use std::time::Instant;

/// Strategy and budget of each row; the first is what the others are compared with.
const ROWS: [(&str, Option<f64>); 5] = [
    ("f16", None),
    ("uniform-8", None),
    ("uniform-4", None),
    ("smartkv", Some(0.5)),
    ("smartkv", Some(0.25)),
];

struct Options {
    contexts: Vec<usize>,
    rounds: usize,
    tokens: usize,
}

fn main() -> Result<()> {
    let options = options()?;
    let policy = Policy::from_env();
    let path = resolve_model("smollm2-135m-instruct", &policy, &Progress::Stderr)?;
    let model = Model::load(path, LoadOptions::default())?;
    let text = resolve_text("essays", &policy, &Progress::Stderr)?;
    let tokens = model.tokenizer().encode(&text.text, false)?;

    println!(
        "kernels {}, {} threads, median [min, max] of {} rounds, {} decoded tokens each\n",
        smartkv_kernels::best().name(),
        rayon::current_num_threads(),
        options.rounds,
        options.tokens
    );
    println!(
        "{:>7}  {:<14} {:>26} {:>9} {:>26} {:>9}",
        "context", "strategy", "prefill tokens/s", "to f16", "decode tokens/s", "to f16"
    );
    for &context in &options.contexts {
        let prompt = tokens
            .get(..context)
            .context("the essays are shorter than the context")?;
        let mut prefill = vec![Vec::new(); ROWS.len()];
        let mut decode = vec![Vec::new(); ROWS.len()];
        for _ in 0..options.rounds {
            for (index, &(name, ratio)) in ROWS.iter().enumerate() {
                let strategy = StrategySpec::resolve(name, &[])?.strategy;
                let mut cache = Cache::builder(model.cache_shape(1)?, strategy)
                    .budget(ratio.map(Budget::Ratio))
                    .kernels(smartkv_kernels::best())
                    .build()?;
                let (p, d) = measure(&model, &mut cache, prompt, options.tokens)?;
                prefill[index].push(p);
                decode[index].push(d);
            }
        }
        for (index, (name, ratio)) in ROWS.iter().enumerate() {
            let title = ratio.map_or((*name).to_string(), |r| format!("{name} @ {r}"));
            println!(
                "{context:>7}  {title:<14} {:>26} {:>9.2} {:>26} {:>9.2}",
                spread(&prefill[index]),
                ratio_of(&prefill[index], &prefill[0]),
                spread(&decode[index]),
                ratio_of(&decode[index], &decode[0]),
            );
        }
    }
    Ok(())
}

/// Tokens per second of the prompt and of `steps` decoded tokens after it.
#[allow(clippy::cast_precision_loss)]
fn measure(model: &Model, cache: &mut Cache, prompt: &[u32], steps: usize) -> Result<(f64, f64)> {
    let start = Instant::now();
    model.prefill(&[prompt], cache, 256, LogitsFor::Last)?;
    let prefill = prompt.len() as f64 / start.elapsed().as_secs_f64();
    let start = Instant::now();
    for &token in &prompt[..steps.min(prompt.len())] {
        model.forward(&[&[token]], cache, LogitsFor::Last, false)?;
    }
    Ok((prefill, steps as f64 / start.elapsed().as_secs_f64()))
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn spread(values: &[f64]) -> String {
    let min = values.iter().copied().fold(f64::INFINITY, f64::min);
    let max = values.iter().copied().fold(0.0, f64::max);
    format!("{:.1} [{min:.1}, {max:.1}]", median(values))
}

/// Median over rounds of the ratio within a round.
fn ratio_of(values: &[f64], reference: &[f64]) -> f64 {
    let ratios: Vec<f64> = values.iter().zip(reference).map(|(a, b)| a / b).collect();
    median(&ratios)
}

fn options() -> Result<Options> {
    let mut options = Options {
        contexts: vec![128, 512, 1024, 2048],
        rounds: 3,
        tokens: 32,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || -> Result<String> {
            args.next()
                .with_context(|| format!("{arg}: expected a value"))
        };
        match arg.as_str() {
            "--contexts" => {
                options.contexts = number()?
                    .split(',')
                    .map(str::parse)
                    .collect::<Result<_, _>>()?;
            }
            "--rounds" => options.rounds = number()?.parse()?,
            "--tokens" => options.tokens = number()?.parse()?,
            // `cargo bench` adds this one.
            "--bench" => {}
            other => anyhow::bail!("unknown option {other}: --contexts, --rounds, --tokens"),
        }
    }
    Ok(options)
}
