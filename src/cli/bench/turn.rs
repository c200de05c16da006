//! One turn of one strategy: a prompt grows through all contexts, tokens are decoded at each.

use super::settings::{Depth, Entry, Settings, UNTIMED_TOKENS};
use crate::experiment::resident;
use serde::Serialize;
use smartkv_core::{Cache, KvHook as _, MeasuredHook as _, Memory};
use smartkv_eval::Progress;
use smartkv_host::{LogitsFor, Model, argmax};
use std::ops::Range;
use std::time::Instant;

/// What was measured at one length of prompt.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Stop {
    /// Tokens of the prompt.
    pub(super) context: usize,
    /// Time of the prompt's forward passes, the compression at its end included.
    pub(super) prefill_s: f64,
    /// The same with building the cache before and choosing the first token after.
    pub(super) first_token_s: f64,
    /// Time of each decoded token, in order; empty where only prefill is measured.
    pub(super) decode_s: Vec<f64>,
    /// Live bytes of the cache before the first timed token.
    pub(super) live_bytes_before: u64,
    /// The cache after the last decoded token.
    pub(super) cache: Memory,
    /// Most bytes resident in the process from here on; where nothing but this is held.
    pub(super) peak_rss_bytes: Option<u64>,
    /// Of the bytes resident after the last token, those that are pages of files; likewise.
    pub(super) file_rss_bytes: Option<u64>,
}

impl Stop {
    /// Live bytes of the cache that a timed token reads on average.
    pub(super) fn live_bytes(&self) -> u64 {
        self.live_bytes_before.midpoint(self.cache.live_bytes)
    }
}

/// The forward passes up to one stop.
#[derive(Debug, PartialEq, Eq)]
struct Leg {
    depth: Depth,
    /// Passes of the cache that goes on growing.
    grow: Vec<Range<usize>>,
    /// The prompt's last pass, on a fork: with exact prefill it compresses the whole prompt.
    end: Range<usize>,
}

/// A prompt is cut into chunks as if it were prefilled alone: its last pass is done on a fork, and
/// done again by the cache that goes on.
fn legs(depths: &[Depth], chunk: usize) -> Vec<Leg> {
    let mut at = 0;
    let leg = |&depth: &Depth| {
        let mut grow = Vec::new();
        while depth.tokens - at > chunk {
            grow.push(at..at + chunk);
            at += chunk;
        }
        Leg {
            depth,
            grow,
            end: at..depth.tokens,
        }
    };
    depths.iter().map(leg).collect()
}

/// Tokens that a turn runs through the model.
pub(super) fn tokens(settings: &Settings) -> usize {
    let decoded = settings.tokens + UNTIMED_TOKENS;
    let leg = |leg: &Leg| {
        let grown: usize = leg.grow.iter().map(Range::len).sum();
        grown + leg.end.len() + if leg.depth.decode { decoded } else { 0 }
    };
    legs(&settings.depths(), settings.chunk)
        .iter()
        .map(leg)
        .sum()
}

/// What every turn runs on.
pub(super) struct Stage<'a> {
    pub(super) model: &'a Model,
    /// Tokens of the text.
    pub(super) text: &'a [u32],
    pub(super) settings: &'a Settings,
    /// Whether the deepest stop starts a high-water mark of its own.
    pub(super) own_mark: bool,
}

/// Runs a strategy through all depths.
pub(super) fn run(
    stage: &Stage<'_>,
    entry: &Entry,
    progress: &dyn Progress,
) -> anyhow::Result<Vec<Stop>> {
    let Stage {
        model,
        text,
        settings,
        own_mark,
    } = *stage;
    let start = Instant::now();
    let mut cache = entry.spec.build(model)?;
    let depths = settings.depths();
    // As a prompt of its own does. Forks copy rows, not room.
    cache.reserve(&[depths.last().map_or(0, |depth| depth.tokens)]);
    let build_s = start.elapsed().as_secs_f64();
    let mut grown_s = 0.0;
    let legs = legs(&depths, settings.chunk);
    let last = legs.len().saturating_sub(1);
    let mut stops = Vec::new();
    for (index, leg) in legs.into_iter().enumerate() {
        // Forks are gone now, and the deepest stop makes none: what is resident is its own.
        let alone = own_mark && index == last && resident::reset();
        for pass in leg.grow {
            let start = Instant::now();
            model.forward(&[&text[pass.clone()]], &mut cache, LogitsFor::None, true)?;
            grown_s += start.elapsed().as_secs_f64();
            progress.advance(pass.len());
        }
        let mut fork = (index != last).then(|| cache.clone());
        let hook = fork.as_mut().unwrap_or(&mut cache);
        let start = Instant::now();
        let logits = model.forward(&[&text[leg.end.clone()]], hook, LogitsFor::Last, false)?;
        let prefill_s = grown_s + start.elapsed().as_secs_f64();
        argmax(logits.row(0, 0))?;
        let first_token_s = build_s + grown_s + start.elapsed().as_secs_f64();
        progress.advance(leg.end.len());
        let mut stop = Stop {
            context: leg.depth.tokens,
            prefill_s,
            first_token_s,
            decode_s: Vec::new(),
            live_bytes_before: hook.memory().live_bytes,
            cache: hook.memory(),
            peak_rss_bytes: None,
            file_rss_bytes: None,
        };
        if leg.depth.decode {
            decode(stage, hook, &mut stop)?;
            progress.advance(settings.tokens + UNTIMED_TOKENS);
        }
        if alone {
            stop.peak_rss_bytes = resident::peak();
            stop.file_rss_bytes = resident::files();
        }
        stops.push(stop);
    }
    Ok(stops)
}

fn decode(stage: &Stage<'_>, cache: &mut Cache, stop: &mut Stop) -> anyhow::Result<()> {
    let count = UNTIMED_TOKENS + stage.settings.tokens;
    let (untimed, timed) = stage.text[stop.context..][..count].split_at(UNTIMED_TOKENS);
    let model = stage.model;
    for token in untimed {
        model.forward(&[&[*token]], cache, LogitsFor::Last, false)?;
    }
    stop.live_bytes_before = cache.memory().live_bytes;
    for token in timed {
        let start = Instant::now();
        model.forward(&[&[*token]], cache, LogitsFor::Last, false)?;
        stop.decode_s.push(start.elapsed().as_secs_f64());
    }
    stop.cache = cache.memory();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prompt_is_cut_as_if_it_were_alone() {
        let depth = |tokens| Depth {
            tokens,
            decode: true,
        };
        let depths = [depth(128), depth(1024), depth(1300)];
        let ends = |range: &Range<usize>| (range.start, range.end);
        let cuts: Vec<_> = legs(&depths, 512)
            .iter()
            .map(|leg| (leg.grow.iter().map(ends).collect(), ends(&leg.end)))
            .collect();
        let passes = [
            (vec![], (0, 128)),
            (vec![(0, 512)], (512, 1024)),
            (vec![(512, 1024)], (1024, 1300)),
        ];
        assert_eq!(cuts, passes);
    }
}
