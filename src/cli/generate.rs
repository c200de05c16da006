//! `smartkv generate`: stream text through a strategy and show what its cache holds.

use super::output;
use super::session::{
    CacheSpec, DEFAULT_MODEL, Loaded, ModelArgs, StrategyArgs, check_calibration, parse_prefill,
};
use crate::assets::Policy;
use crate::config::StrategySpec;
use anyhow::Context as _;
use serde_json::json;
use smartkv_core::{Cache, KvHook as _, MeasuredHook as _, Prefill};
use smartkv_host::{LogitsFor, Message, Sampler, Sampling};
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Instant;

/// Continue a prompt, streaming the text to standard output; the cache's bytes follow on standard
/// error.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  smartkv generate 'Why is the sky blue?' --strategy smartkv --budget 0.25
  smartkv generate --raw 'Once upon a time' --max-new-tokens 200 --temperature 0.8 --seed 3
  smartkv generate --file notes.txt --strategy uniform-4 --json")]
pub(super) struct GenerateArgs {
    /// The prompt; `-` reads standard input.
    #[arg(required_unless_present = "file")]
    prompt: Option<String>,
    /// Read the prompt from a file.
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    file: Option<PathBuf>,
    /// Give the prompt as it is, without the model's chat template.
    #[arg(long)]
    raw: bool,
    /// Stop after this many new tokens.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 128)]
    max_new_tokens: usize,
    /// 0 always takes the most likely token; higher is wilder.
    #[arg(
        long,
        value_name = "T",
        default_value_t = 0.0,
        allow_negative_numbers = true
    )]
    temperature: f32,
    /// Draw from the most likely tokens that together reach this probability.
    #[arg(
        long,
        value_name = "P",
        default_value_t = 1.0,
        allow_negative_numbers = true
    )]
    top_p: f32,
    /// Seed of everything random.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Tokens of the prompt per forward pass.
    #[arg(long, value_name = "N", default_value_t = 256)]
    chunk: usize,
    /// Compress the prompt at its end (exact), or chunk by chunk (quantized).
    #[arg(long, value_name = "WHEN", value_parser = parse_prefill, default_value = "exact")]
    prefill: Prefill,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    strategy: StrategyArgs,
}

pub(super) fn run(args: &GenerateArgs, policy: &Policy, as_json: bool) -> anyhow::Result<()> {
    let sampling = Sampling {
        temperature: args.temperature,
        top_p: args.top_p,
        seed: args.seed,
    };
    let mut sampler = Sampler::new(sampling)?;
    let spec = CacheSpec {
        strategy: StrategySpec::resolve(
            args.strategy.strategy.as_deref().unwrap_or("smartkv"),
            &args.strategy.sets,
        )?,
        budget: args
            .strategy
            .budget
            .as_deref()
            .map(str::parse)
            .transpose()?,
        prefill: args.prefill,
        seed: args.seed,
    };
    let text = prompt(args)?;
    // Here, because a template or a first token would make something of nothing.
    anyhow::ensure!(
        !text.trim().is_empty(),
        "the prompt is empty: give at least one word"
    );
    let name = args.model.model.as_deref().unwrap_or(DEFAULT_MODEL);
    let weights = args.model.weights.as_deref().unwrap_or("auto");
    let loaded = Loaded::load(name, weights, policy)?;
    check_calibration(&spec.strategy, name, &loaded.path)?;
    let model = &loaded.model;
    let tokens = match model.template().filter(|_| !args.raw) {
        Some(template) => {
            let rendered = template.render(&[Message::new("user", text)], true)?;
            model.tokenizer().encode(&rendered, false)?
        }
        None => model.tokenizer().encode(&text, true)?,
    };
    let limit = model.description().context_length;
    anyhow::ensure!(
        tokens.len() < limit,
        "the prompt has {} tokens, `{name}` holds {limit}: shorten it",
        tokens.len()
    );

    let mut cache = spec.build(model)?;
    let start = Instant::now();
    let logits = model.prefill(&[&tokens], &mut cache, args.chunk, LogitsFor::Last)?;
    let prefill_s = start.elapsed().as_secs_f64();
    let mut stream = model.tokenizer().stream();
    let mut written = String::new();
    let mut emit = |piece: String| -> anyhow::Result<()> {
        written.push_str(&piece);
        if as_json {
            Ok(())
        } else {
            output::text(&piece)
        }
    };
    let mut next = sampler.sample(logits.row(0, 0))?;
    let mut new_tokens = 0;
    let start = Instant::now();
    let stop = loop {
        if model.tokenizer().is_eos(next) {
            break "eos";
        }
        if new_tokens == args.max_new_tokens {
            break "max_new_tokens";
        }
        emit(stream.push(next)?)?;
        new_tokens += 1;
        if cache.seen(0) + 1 >= limit {
            break "context_length";
        }
        let logits = model.forward(&[&[next]], &mut cache, LogitsFor::Last, false)?;
        next = sampler.sample(logits.row(0, 0))?;
    };
    let decode_s = start.elapsed().as_secs_f64();
    emit(stream.finish()?)?;
    report(
        &loaded,
        &spec,
        &cache,
        as_json,
        &Run {
            text: written,
            prompt_tokens: tokens.len(),
            new_tokens,
            stop,
            prefill_s,
            decode_s,
        },
    )
}

struct Run {
    text: String,
    prompt_tokens: usize,
    new_tokens: usize,
    stop: &'static str,
    prefill_s: f64,
    decode_s: f64,
}

#[expect(clippy::cast_precision_loss, reason = "token counts")]
fn report(
    loaded: &Loaded,
    spec: &CacheSpec,
    cache: &Cache,
    as_json: bool,
    run: &Run,
) -> anyhow::Result<()> {
    let memory = cache.memory();
    let per_second = |tokens: usize, seconds: f64| tokens as f64 / seconds.max(f64::MIN_POSITIVE);
    let prefill = per_second(run.prompt_tokens, run.prefill_s);
    let decode = per_second(run.new_tokens, run.decode_s);
    if as_json {
        return output::json(&json!({
            "schema": "smartkv.generate/1",
            "model": loaded.name,
            "strategy": spec.strategy.config,
            "budget": cache.budget(),
            "text": run.text,
            "prompt_tokens": run.prompt_tokens,
            "new_tokens": run.new_tokens,
            "stop": run.stop,
            "cache": super::eval::cache_json(&memory),
            "speed": {"prefill_tokens_per_s": prefill, "decode_tokens_per_s": decode},
        }));
    }
    output::text("\n")?;
    let size = match memory.logical_bytes {
        None => format!("{:.3} of f16", memory.ratio()),
        Some(_) => "simulated in f16".to_string(),
    };
    eprintln!(
        "\n{}: {} for {} tokens, {size} (peak {}); prefill {prefill:.0} tokens/s, \
         decode {decode:.1} tokens/s; stopped at {}",
        spec.strategy.name,
        output::bytes(memory.live_bytes),
        memory.tokens,
        output::bytes(memory.peak_bytes),
        run.stop,
    );
    Ok(())
}

fn prompt(args: &GenerateArgs) -> anyhow::Result<String> {
    match (&args.file, args.prompt.as_deref()) {
        (Some(path), _) => std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the prompt from {}", path.display())),
        (None, Some("-")) => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .context("cannot read the prompt from standard input")?;
            Ok(text)
        }
        (None, text) => Ok(text.unwrap_or_default().to_string()),
    }
}
