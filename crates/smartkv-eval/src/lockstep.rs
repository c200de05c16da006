//! Reference and candidate over the same windows, token by token, side by side.

mod journal;
mod record;

pub use journal::{KeptWindow, NoWindows, WindowJournal};
pub use record::{LockstepOptions, LockstepResult, LockstepTiming, WindowRecord};

use crate::error::{EvalError, Result};
use crate::fidelity::{Scores, TokenFidelity, TokenRecord};
use crate::foresight::{self, WindowTokens};
use crate::progress::Progress;
use crate::speed::{PhaseTime, Timing};
use crate::stepper::{Stepper, check_context, check_subject};
use crate::subject::{Phase, Subject};
use record::summarise;
use smartkv_host::{LogitsFor, Model};

/// Runs `reference`, and `candidate` where there is one, over the windows of `text`.
///
/// In each window both caches are reset and prefilled with the same tokens. Then the same tokens
/// are teacher-forced through both, and both predictions of each next token are scored: NLL, KL
/// divergence, agreement. Logits live for one step.
///
/// The first scored prediction is made by a forward *after* the prefill, so that all of them read
/// the compressed cache; the logits of the prefill are never computed.
///
/// For a candidate that needs the attention of tokens to come ([`KvHook::needs_trace`]) the
/// reference runs through each window once before, untimed.
///
/// [`KvHook::needs_trace`]: smartkv_core::KvHook::needs_trace
///
/// # Errors
/// A protocol that cannot be run, a text too short for one window, a window beyond the model's
/// context, token ids beyond its vocabulary, caches for more than one sequence, logits that are
/// not finite, and whatever model and caches refuse.
pub fn lockstep(
    model: &Model,
    text: &[u32],
    options: &LockstepOptions,
    reference: &mut dyn Subject,
    candidate: Option<&mut dyn Subject>,
    progress: &dyn Progress,
) -> Result<(LockstepResult, LockstepTiming)> {
    let journal = &mut NoWindows;
    lockstep_from(
        model, text, options, reference, candidate, journal, progress,
    )
}

/// As [`lockstep()`], but windows that `journal` recalls are not run again, and those that are run
/// are handed to it.
///
/// # Errors
/// As [`lockstep()`], and a journal that cannot be written.
pub fn lockstep_from(
    model: &Model,
    text: &[u32],
    options: &LockstepOptions,
    reference: &mut dyn Subject,
    candidate: Option<&mut dyn Subject>,
    journal: &mut dyn WindowJournal,
    progress: &dyn Progress,
) -> Result<(LockstepResult, LockstepTiming)> {
    let tokens_per_forward = options.protocol.tokens_per_forward()?;
    options.bootstrap.check()?;
    if options.prefill_chunk == 0 {
        return Err(EvalError::parameter("prefill_chunk", 0, "at least 1"));
    }
    let cut = options.cut(text.len())?;
    let mut sides = vec![Side::new("reference", reference)?];
    if let Some(candidate) = candidate {
        sides.push(Side::new("candidate", candidate)?);
    }
    // The last target of a window is predicted, never run.
    let cost = options.prefix.len() + cut.tokens_per_window - 1;
    check_context(model, "a window", cost)?;
    check_vocabulary(model, text, options)?;
    let foreseen = sides.iter_mut().any(|s| s.subject.hook().needs_trace());
    let passes = sides.len() + usize::from(foreseen);
    progress.begin(cost * cut.starts.len() * passes);

    let mut run = Run {
        model,
        text,
        options,
        tokens_per_forward,
        progress,
        foreseen,
        sides,
    };
    let mut windows = Vec::with_capacity(cut.starts.len());
    for (index, &start) in cut.starts.iter().enumerate() {
        progress.message(&format!("window {} of {}", index + 1, cut.starts.len()));
        let recalled = journal.recall(index, start);
        let tokens = if let Some(kept) = recalled.filter(|kept| run.recall(kept)) {
            progress.advance(cost * passes);
            kept.tokens
        } else {
            let kept = KeptWindow {
                window: index,
                start,
                tokens: run.window(index, start)?,
                memory: run.sides.iter().map(|s| s.subject.seen(index)).collect(),
            };
            journal.keep(&kept)?;
            kept.tokens
        };
        windows.push(tokens);
    }
    let mut times = run.sides.into_iter().map(|side| side.timing);
    let timing = LockstepTiming {
        reference: times.next().unwrap_or_default(),
        candidate: times.next(),
    };
    let result = summarise(
        text.len(),
        options,
        &cut,
        windows,
        timing.candidate.is_some(),
    )?;
    Ok((result, timing))
}

/// One of the caches and its times.
struct Side<'a> {
    name: &'static str,
    subject: &'a mut dyn Subject,
    timing: Timing,
}

impl<'a> Side<'a> {
    fn new(name: &'static str, subject: &'a mut dyn Subject) -> Result<Self> {
        check_subject(subject)?;
        Ok(Self {
            name,
            subject,
            timing: Timing::default(),
        })
    }
}

struct Run<'a> {
    model: &'a Model,
    text: &'a [u32],
    options: &'a LockstepOptions,
    tokens_per_forward: usize,
    progress: &'a dyn Progress,
    /// Whether a side must be told the attention of tokens to come.
    foreseen: bool,
    sides: Vec<Side<'a>>,
}

impl Run<'_> {
    /// Tells the caches' observers of a window that is not run again; false if it is not whole.
    fn recall(&mut self, kept: &KeptWindow) -> bool {
        let whole = kept.tokens.len() == self.options.windows.score
            && kept.memory.len() == self.sides.len();
        if whole {
            for (side, seen) in self.sides.iter_mut().zip(&kept.memory) {
                if let Some(seen) = seen {
                    side.subject.recall(kept.window, *seen);
                }
            }
        }
        whole
    }

    fn window(&mut self, index: usize, start: usize) -> Result<Vec<TokenRecord>> {
        let Self {
            model,
            text,
            options,
            progress,
            ..
        } = *self;
        let stepper = Stepper {
            model,
            progress,
            unit: index,
        };
        let first = start + options.windows.prefill;
        let prompt = [options.prefix.as_slice(), &text[start..first]].concat();
        let end = first + options.windows.score;
        let trace = match self.sides.first_mut().filter(|_| self.foreseen) {
            Some(reference) => {
                let window = WindowTokens {
                    prompt: &prompt,
                    prefill_chunk: options.prefill_chunk,
                    scored: &text[first..end],
                    tokens_per_forward: self.tokens_per_forward,
                };
                let hook = reference.subject.hook();
                Some(foresight::trace(model, hook, window, progress)?)
            }
            None => None,
        };
        for side in &mut self.sides {
            side.subject.hook().reset();
            if let Some(trace) = &trace {
                let told = side.subject.hook().foresee(trace);
                told.map_err(smartkv_host::Error::from)?;
            }
            let mut time = PhaseTime::default();
            stepper.prefill(side.subject, &prompt, options.prefill_chunk, &mut time)?;
            side.timing.prefill.push(time);
            side.timing.decode.push(PhaseTime::default());
        }
        let mut records = Vec::with_capacity(options.windows.score);
        for at in (first..end).step_by(self.tokens_per_forward) {
            let tokens = at..(at + self.tokens_per_forward).min(end);
            let mut outputs = Vec::with_capacity(self.sides.len());
            for Side {
                subject, timing, ..
            } in &mut self.sides
            {
                let mut none = PhaseTime::default();
                let time = timing.decode.last_mut().unwrap_or(&mut none);
                let (part, want) = (&text[tokens.clone()], LogitsFor::All);
                outputs.push(stepper.step(*subject, part, Phase::Decode, want, time)?);
            }
            for (row, position) in tokens.enumerate() {
                let rows: Vec<&[f32]> = outputs.iter().map(|logits| logits.row(0, row)).collect();
                let record = record(&rows, position + 1, text[position + 1]);
                records.push(record.map_err(|side| EvalError::NotFinite {
                    side: self.sides[side].name,
                    window: index,
                    position,
                })?);
            }
        }
        Ok(records)
    }
}

/// Scores the rows of the reference and, where there is one, the candidate; the error is the
/// index of the row that is not finite.
fn record(rows: &[&[f32]], position: usize, token: u32) -> std::result::Result<TokenRecord, usize> {
    let scores: Vec<Scores> = rows
        .iter()
        .enumerate()
        .map(|(side, row)| Scores::of(row, token).ok_or(side))
        .collect::<std::result::Result<_, _>>()?;
    let mut sides = rows.iter().copied().zip(&scores);
    let reference = sides.next().ok_or(0_usize)?;
    Ok(TokenRecord {
        position,
        token,
        reference_nll_nats: reference.1.nll_nats,
        reference_max_p: reference.1.max_p,
        candidate: sides
            .next()
            .map(|candidate| TokenFidelity::of(reference, candidate)),
    })
}

pub(crate) fn check_vocabulary(
    model: &Model,
    text: &[u32],
    options: &LockstepOptions,
) -> Result<()> {
    let vocab = model.description().vocab;
    let beyond = |&(_, &id): &(usize, &u32)| usize::try_from(id).is_ok_and(|id| id >= vocab);
    let found = text.iter().enumerate().find(beyond);
    match found.or_else(|| options.prefix.iter().enumerate().find(beyond)) {
        Some((position, &id)) => Err(EvalError::Token {
            position,
            id,
            vocab,
        }),
        None => Ok(()),
    }
}
