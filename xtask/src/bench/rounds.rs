//! Rounds in which pairs of caches, and within them the two programs, take turns.

use super::BenchArgs;
use super::others;
use super::ours::Smartkv;
use super::rival::Rival;
use super::run::Run;
use anyhow::Context as _;
use serde_json::{Value, json};

/// A cache format of the rival, and the part our strategy plays beside it.
pub(super) const PAIRS: [(&str, &str); 3] = [("f16", FULL), ("q8_0", EIGHT), ("q4_0", FOUR)];

/// Our f16 cache.
pub(super) const FULL: &str = "full";
/// Our 8-bit cache.
pub(super) const EIGHT: &str = "eight_bit";
/// Our 4-bit cache.
pub(super) const FOUR: &str = "four_bit";
/// Our mixed cache, in turn with the 4-bit one.
pub(super) const MIXED: &str = "mixed";

/// One round of one pair.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) round: usize,
    /// Index into [`PAIRS`].
    pub(super) index: usize,
    /// Processors busy with other work meanwhile, where the system tells.
    pub(super) others: Option<f64>,
    /// `None` where it did not finish.
    pub(super) rival: Option<Run>,
    /// By part.
    pub(super) ours: Vec<(&'static str, Run)>,
}

/// Everything measured.
#[derive(Debug)]
pub(super) struct Rounds {
    pub(super) pairs: Vec<Pair>,
    /// Our strategies by part.
    pub(super) strategies: Vec<(&'static str, String)>,
    /// What smartkv says it ran on.
    pub(super) environment: Value,
}

impl Rounds {
    /// The strategy that plays a part.
    pub(super) fn strategy(&self, part: &str) -> &str {
        let found = self.strategies.iter().find(|(name, _)| *name == part);
        found.map_or("-", |(_, strategy)| strategy.as_str())
    }

    /// Everything as it was printed.
    pub(super) fn json(&self) -> Value {
        let pair = |pair: &Pair| {
            let ours: serde_json::Map<String, Value> = pair
                .ours
                .iter()
                .map(|(part, run)| ((*part).to_string(), run.raw.clone()))
                .collect();
            json!({
                "round": pair.round,
                "rival_cache": PAIRS[pair.index].0,
                "others_processors": pair.others,
                "rival": pair.rival.as_ref().map(|run| &run.raw),
                "ours": ours,
            })
        };
        self.pairs.iter().map(pair).collect()
    }
}

/// smartkv with the budget that `four_bit` fills at the deepest context.
fn same_bytes(args: &BenchArgs, smartkv: &Smartkv<'_>) -> anyhow::Result<String> {
    eprintln!("counting the bytes of {}", args.four_bit);
    let row = smartkv.row(&args.four_bit, args.deepest(), "exact")?;
    let ratio = row["cache"]["ratio"]
        .as_f64()
        .context("a row without the cache's ratio")?;
    // A budget rounded down could be one byte short of what the other holds.
    Ok(format!("smartkv@{:.4}", (ratio * 1e4).ceil() / 1e4))
}

pub(super) fn measure(
    args: &BenchArgs,
    smartkv: &Smartkv<'_>,
    rival: &Rival<'_>,
) -> anyhow::Result<Rounds> {
    let mixed = match &args.mixed {
        Some(mixed) => mixed.clone(),
        None => same_bytes(args, smartkv)?,
    };
    let mut rounds = Rounds {
        pairs: Vec::new(),
        strategies: vec![
            (FULL, "f16".to_string()),
            (EIGHT, args.eight_bit.clone()),
            (FOUR, args.four_bit.clone()),
            (MIXED, mixed),
        ],
        environment: Value::Null,
    };
    let mut given_up = [false; PAIRS.len()];
    for round in 0..args.rounds {
        let even = round.is_multiple_of(2);
        for step in 0..PAIRS.len() {
            let pair = if even { step } else { PAIRS.len() - 1 - step };
            let (cache, part) = PAIRS[pair];
            let parts = if part == FOUR {
                vec![FOUR, MIXED]
            } else {
                vec![part]
            };
            let strategies: Vec<&str> = parts.iter().map(|part| rounds.strategy(part)).collect();
            eprintln!(
                "round {} of {}: llama.cpp {cache} and {}",
                round + 1,
                args.rounds,
                strategies.join(", ")
            );
            let clock = others::Clock::now();
            let other = |given_up: &mut bool| -> anyhow::Result<Option<Run>> {
                if *given_up {
                    return Ok(None);
                }
                let run = rival.measure(cache)?;
                if run.is_none() {
                    eprintln!("llama.cpp {cache} did not finish and is left out from now on");
                    *given_up = true;
                }
                Ok(run)
            };
            // Who begins alternates: heat and other guests of the machine meet both.
            let (rival, ours) = if even {
                let rival = other(&mut given_up[pair])?;
                (rival, smartkv.measure(&strategies)?)
            } else {
                let ours = smartkv.measure(&strategies)?;
                (other(&mut given_up[pair])?, ours)
            };
            let (ours, environment) = ours;
            rounds.environment = environment;
            rounds.pairs.push(Pair {
                round,
                index: pair,
                others: others::since(clock),
                rival,
                ours: parts.into_iter().zip(ours).collect(),
            });
        }
    }
    Ok(rounds)
}
