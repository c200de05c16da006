//! The report: targets first, then the speeds they were made of.

use super::BenchArgs;
use super::memory::Peak;
use super::others::IDLE_PROCESSORS;
use super::ours::Smartkv;
use super::rounds::{PAIRS, Pair, Rounds};
use super::spread::Spread;
use super::targets::{Pick, Target, targets};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Version of the JSON. A field that changes its meaning or goes raises the number.
const SCHEMA: &str = "smartkv.rival/2";

/// Everything a report says.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) args: &'a BenchArgs,
    pub(super) smartkv: &'a Smartkv<'a>,
    pub(super) rounds: &'a Rounds,
    pub(super) memory: &'a [Peak],
}

impl Report<'_> {
    fn targets(&self) -> Vec<Target> {
        targets(self.args, self.rounds, self.memory)
    }

    /// What the rival says of itself.
    fn rival(&self, field: &str) -> String {
        let mut runs = self
            .rounds
            .pairs
            .iter()
            .filter_map(|pair| pair.rival.as_ref());
        let value = runs.find_map(|run| run.raw[field].as_str());
        value.unwrap_or("unknown").to_string()
    }

    /// For people.
    pub(super) fn markdown(&self) -> String {
        let environment = &self.rounds.environment;
        let text_of = |field: &str| environment[field].as_str().unwrap_or("unknown");
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "llama.cpp (llama-cpp-python {}) and smartkv {} in turn on {}, {} threads, kernels {}, \
             `{}`, weights {}. Rounds: {}; {} tokens decoded at each context; median [least, most] \
             of the ratios within a round.",
            self.rival("version"),
            text_of("smartkv"),
            text_of("cpu"),
            self.args.threads(),
            text_of("kernels"),
            file_name(self.smartkv),
            self.args.weights,
            self.args.rounds,
            self.args.tokens,
        );
        text += &self.disturbed();
        text += "\n| what | target | reached | |\n| --- | ---: | ---: | --- |\n";
        for target in self.targets() {
            let reached = target.reached.as_ref();
            let reached = reached.map_or_else(|| "-".to_string(), |spread| format!("{spread:.2}"));
            let goal = target.goal();
            let _ = writeln!(
                text,
                "| {} | {goal} | {reached} | {} |",
                target.what,
                target.verdict()
            );
        }
        for peak in self.memory {
            let _ = writeln!(text, "\n{peak}");
        }
        text += "\n| tokens/s | context | llama.cpp | smartkv | ratio |\n";
        text += "| --- | ---: | ---: | ---: | ---: |\n";
        let (args, prompt) = (self.args, self.args.prefill_tokens);
        for (cache, part) in PAIRS {
            let name = format!("{cache}, {}", self.rounds.strategy(part));
            let prefill: Pick<'_> = &|run| run.prefill(prompt);
            text += &self.speed(&format!("prefill, {name}"), prompt, cache, part, prefill);
            for &context in &args.contexts {
                let decode: Pick<'_> = &|run| run.decode(context);
                text += &self.speed(&format!("decode, {name}"), context, cache, part, decode);
            }
        }
        text
    }

    /// The turns that other work disturbed, if any.
    fn disturbed(&self) -> String {
        let turn = |(pair, others): (&Pair, f64)| {
            let cache = PAIRS[pair.index].0;
            format!("{cache} in round {} ({others:.2})", pair.round + 1)
        };
        let turns: Vec<String> = self.rounds.disturbed().map(turn).collect();
        if turns.is_empty() {
            return String::new();
        }
        format!(
            "\nTurns during which other work kept more than {IDLE_PROCESSORS} processors busy: {}. \
             Nothing is proven where the median of the turns that a number is made from is one.\n",
            turns.join(", ")
        )
    }

    fn speed(&self, what: &str, context: usize, cache: &str, part: &str, pick: Pick<'_>) -> String {
        let rounds = self.rounds;
        let show = |spread: Option<Spread>, digits: usize| {
            spread.map_or_else(|| "-".to_string(), |spread| format!("{spread:.digits$}"))
        };
        format!(
            "| {what} | {context} | {} | {} | {} |\n",
            show(rounds.rival(cache, pick), 1),
            show(rounds.own(part, pick), 1),
            show(rounds.ratio(part, cache, pick), 2),
        )
    }

    /// For programs: every time that was taken.
    pub(super) fn json(&self) -> Value {
        let args = self.args;
        let strategies: serde_json::Map<String, Value> = self
            .rounds
            .strategies
            .iter()
            .map(|(part, strategy)| ((*part).to_string(), strategy.as_str().into()))
            .collect();
        json!({
            "schema": SCHEMA,
            "rival": {
                "name": "llama.cpp",
                "package": format!("llama-cpp-python {}", self.rival("version")),
                "system": self.rival("system"),
            },
            "targets": self.targets().iter().map(Target::json).collect::<Vec<_>>(),
            "protocol": {
                "model": file_name(self.smartkv),
                "weights": args.weights,
                "strategies": strategies,
                "contexts": args.contexts,
                "prefill_tokens": args.prefill_tokens,
                "decode_tokens": args.tokens,
                "chunk": args.chunk,
                "rounds": args.rounds,
                "threads": args.threads(),
            },
            "others_processors": self.rounds.others().as_ref().map(Spread::json),
            "environment": self.rounds.environment,
            "memory": self.memory.iter().map(|peak| &peak.row).collect::<Vec<_>>(),
            "rounds": self.rounds.json(),
        })
    }
}

/// The model's file without its folder, which says nothing to others.
fn file_name(smartkv: &Smartkv<'_>) -> String {
    let name = smartkv.model_file().file_name();
    name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
