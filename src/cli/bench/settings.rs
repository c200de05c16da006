//! What is measured, and how: defaults filled in, nonsense refused before a model is loaded.

use super::{BenchArgs, BenchError};
use crate::cli::session::CacheSpec;
use crate::config::{Assignment, ConfigError, StrategySpec};
use smartkv_core::{Budget, Prefill};
use std::path::Path;

/// Tokens decoded before the timed ones at every context: the first after a fork grows the
/// buffers that the fork copied without spare room.
pub(super) const UNTIMED_TOKENS: usize = 2;

const STRATEGIES: [&str; 5] = [
    "f16",
    "uniform-8",
    "uniform-4",
    "smartkv@0.5",
    "smartkv@0.25",
];
const QUICK_STRATEGIES: [&str; 3] = ["f16", "uniform-4", "smartkv@0.25"];

/// One strategy under measurement.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) spec: CacheSpec,
}

impl Entry {
    /// The budget in force: the user's, or the strategy's own.
    pub(super) fn budget(&self) -> Option<Budget> {
        let own = || self.spec.strategy.strategy.default_budget();
        self.spec.budget.or_else(own)
    }

    /// Name and budget, as tables show them.
    pub(super) fn label(&self) -> String {
        let name = &self.spec.strategy.name;
        match self.budget() {
            Some(budget) => format!("{name} @ {budget}"),
            None => name.clone(),
        }
    }
}

/// A length of prompt to stop at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Depth {
    /// Tokens of the prompt.
    pub(super) tokens: usize,
    /// Whether decoding is measured there, besides prefill.
    pub(super) decode: bool,
}

/// Everything a measurement needs besides model and text.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) entries: Vec<Entry>,
    pub(super) contexts: Vec<usize>,
    pub(super) prefill_tokens: usize,
    pub(super) tokens: usize,
    pub(super) rounds: usize,
    pub(super) chunk: usize,
    pub(super) prefill: Prefill,
    pub(super) seed: u64,
}

impl Settings {
    pub(super) fn new(args: &BenchArgs) -> anyhow::Result<Self> {
        let quick = |short: usize, full: usize| if args.quick { short } else { full };
        let contexts = args.contexts.clone().unwrap_or_else(|| {
            let (short, full) = (&[64, 256][..], &[128, 1024, 4096][..]);
            if args.quick { short } else { full }.to_vec()
        });
        check_order(&contexts)?;
        let settings = Self {
            entries: entries(args, args.prefill)?,
            contexts,
            prefill_tokens: args.prefill_tokens.unwrap_or_else(|| quick(256, 512)),
            tokens: args.tokens.unwrap_or_else(|| quick(8, 32)),
            rounds: args.rounds.unwrap_or_else(|| quick(1, 3)),
            chunk: args.chunk,
            prefill: args.prefill,
            seed: args.seed,
        };
        for (option, value) in [
            ("prefill-tokens", settings.prefill_tokens),
            ("tokens", settings.tokens),
            ("rounds", settings.rounds),
            ("chunk", settings.chunk),
        ] {
            if value == 0 {
                return Err(BenchError::Zero { option }.into());
            }
        }
        Ok(settings)
    }

    /// Every length of prompt to stop at, ascending.
    pub(super) fn depths(&self) -> Vec<Depth> {
        let decoded = |&tokens: &usize| Depth {
            tokens,
            decode: true,
        };
        let mut depths: Vec<Depth> = self.contexts.iter().map(decoded).collect();
        if !self.contexts.contains(&self.prefill_tokens) {
            depths.push(Depth {
                tokens: self.prefill_tokens,
                decode: false,
            });
        }
        depths.sort_by_key(|depth| depth.tokens);
        depths
    }

    /// The longest sequence, and the option that asks for it.
    pub(super) fn reach(&self) -> (usize, String) {
        let decoded = self.tokens + UNTIMED_TOKENS;
        let deepest = self
            .contexts
            .last()
            .copied()
            .unwrap_or(0)
            .saturating_add(decoded);
        if deepest < self.prefill_tokens {
            let what = format!("--prefill-tokens {}", self.prefill_tokens);
            return (self.prefill_tokens, what);
        }
        let what = format!(
            "--contexts {} with {decoded} decoded tokens",
            join(&self.contexts)
        );
        (deepest, what)
    }
}

fn check_order(contexts: &[usize]) -> Result<(), BenchError> {
    if contexts.contains(&0) {
        return Err(BenchError::Zero { option: "contexts" });
    }
    let Some(pair) = contexts.windows(2).find(|pair| pair[1] <= pair[0]) else {
        return Ok(());
    };
    let mut sorted = contexts.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    Err(BenchError::Order {
        given: join(contexts),
        value: pair[1],
        before: pair[0],
        sorted: join(&sorted),
    })
}

fn join(contexts: &[usize]) -> String {
    let numbers: Vec<String> = contexts.iter().map(ToString::to_string).collect();
    numbers.join(",")
}

fn entries(args: &BenchArgs, prefill: Prefill) -> anyhow::Result<Vec<Entry>> {
    let defaults = || -> Vec<String> {
        let names = if args.quick {
            &QUICK_STRATEGIES[..]
        } else {
            &STRATEGIES
        };
        names.iter().map(ToString::to_string).collect()
    };
    let names = if args.strategies.is_empty() {
        defaults()
    } else {
        args.strategies.clone()
    };
    let mut used = vec![false; args.sets.len()];
    let mut refused = None;
    let mut entries = Vec::new();
    for given in &names {
        let (name, budget) = split(given)?;
        let strategy = assign(name, &args.sets, &mut used, &mut refused)?;
        entries.push(Entry {
            spec: CacheSpec {
                strategy,
                budget: budget.map(str::parse).transpose()?,
                prefill,
                seed: args.seed,
            },
        });
    }
    // An assignment that fits no strategy at all is a mistake.
    match refused.filter(|_| used.contains(&false)) {
        Some(error) => Err(error.into()),
        None => Ok(entries),
    }
}

/// `NAME@BUDGET`; a file may have an `@` in its name.
pub(in crate::cli) fn split(given: &str) -> Result<(&str, Option<&str>), BenchError> {
    if Path::new(given).is_file() {
        return Ok((given, None));
    }
    match given.rsplit_once('@') {
        None if !given.is_empty() => Ok((given, None)),
        Some((name, budget)) if !name.is_empty() && !budget.is_empty() => Ok((name, Some(budget))),
        _ => Err(BenchError::Strategy {
            given: given.to_string(),
        }),
    }
}

/// The strategy with those assignments whose field it has.
fn assign(
    name: &str,
    sets: &[Assignment],
    used: &mut [bool],
    refused: &mut Option<ConfigError>,
) -> Result<StrategySpec, ConfigError> {
    let mut fitting: Vec<Assignment> = Vec::new();
    let mut spec = StrategySpec::resolve(name, &fitting)?;
    for (set, used) in sets.iter().zip(used) {
        match set.apply(&mut spec.config.clone()) {
            Ok(()) => {
                *used = true;
                fitting.push(set.clone());
                spec = StrategySpec::resolve(name, &fitting)?;
            }
            Err(error) if !*used => *refused = Some(error),
            Err(_) => {}
        }
    }
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(contexts: &[usize], prefill_tokens: usize) -> Settings {
        Settings {
            entries: Vec::new(),
            contexts: contexts.to_vec(),
            prefill_tokens,
            tokens: 8,
            rounds: 1,
            chunk: 4,
            prefill: Prefill::Exact,
            seed: 0,
        }
    }

    #[test]
    fn the_prompt_is_a_depth_of_its_own_unless_it_is_a_context() {
        let depth = |tokens, decode| Depth { tokens, decode };
        assert_eq!(
            settings(&[8, 32], 16).depths(),
            [depth(8, true), depth(16, false), depth(32, true)]
        );
        assert_eq!(settings(&[16], 16).depths(), [depth(16, true)]);
    }

    #[test]
    fn the_reach_names_the_option_that_asks_for_it() {
        let (tokens, what) = settings(&[8, 32], 16).reach();
        assert_eq!(tokens, 32 + 8 + UNTIMED_TOKENS);
        assert!(what.starts_with("--contexts 8,32"), "{what}");
        let (tokens, what) = settings(&[8], 100).reach();
        assert_eq!((tokens, what.as_str()), (100, "--prefill-tokens 100"));
    }

    #[test]
    fn a_budget_stands_after_the_last_at() {
        assert_eq!(split("smartkv@0.5").unwrap(), ("smartkv", Some("0.5")));
        assert_eq!(split("a@b@64MiB").unwrap(), ("a@b", Some("64MiB")));
        assert_eq!(split("f16").unwrap(), ("f16", None));
        for bad in ["", "@", "@0.5", "smartkv@"] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }
}
