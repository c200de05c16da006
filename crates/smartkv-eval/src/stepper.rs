//! Running tokens through the model with a subject's cache, timed and observed.

use crate::error::{EvalError, Result};
use crate::progress::Progress;
use crate::speed::PhaseTime;
use crate::subject::{Phase, StepInfo, Subject};
use smartkv_host::{Logits, LogitsFor, Model};
use std::time::Instant;

/// One window or prompt on its way through one cache.
#[derive(Clone, Copy)]
pub(crate) struct Stepper<'a> {
    pub(crate) model: &'a Model,
    pub(crate) progress: &'a dyn Progress,
    /// Index of the window or prompt.
    pub(crate) unit: usize,
}

impl Stepper<'_> {
    /// One forward of `tokens`, which end any prompt.
    pub(crate) fn step(
        &self,
        subject: &mut dyn Subject,
        tokens: &[u32],
        phase: Phase,
        want: LogitsFor,
        time: &mut PhaseTime,
    ) -> Result<Logits> {
        self.forward(subject, tokens, phase, want, 0, time)
    }

    /// A prompt in chunks of `chunk` tokens, ended. Nothing happens for an empty one.
    pub(crate) fn prefill(
        &self,
        subject: &mut dyn Subject,
        tokens: &[u32],
        chunk: usize,
        time: &mut PhaseTime,
    ) -> Result<()> {
        let mut left = tokens.len();
        for part in tokens.chunks(chunk.max(1)) {
            left -= part.len();
            self.forward(subject, part, Phase::Prefill, LogitsFor::None, left, time)?;
        }
        Ok(())
    }

    fn forward(
        &self,
        subject: &mut dyn Subject,
        tokens: &[u32],
        phase: Phase,
        want: LogitsFor,
        left: usize,
        time: &mut PhaseTime,
    ) -> Result<Logits> {
        let start = Instant::now();
        let logits = self
            .model
            .forward_part(&[tokens], subject.hook(), want, left)?;
        time.seconds += start.elapsed().as_secs_f64();
        let info = StepInfo {
            unit: self.unit,
            phase,
            step: time.forwards,
            tokens: tokens.len(),
        };
        time.forwards += 1;
        time.tokens += tokens.len();
        subject.after_step(info);
        self.progress.advance(tokens.len());
        Ok(logits)
    }
}

/// Refuses a hook for another number of sequences than one.
pub(crate) fn check_subject(subject: &mut dyn Subject) -> Result<()> {
    match subject.hook().shape().batch {
        1 => Ok(()),
        batch => Err(EvalError::parameter(
            "batch",
            batch,
            "a cache for one sequence",
        )),
    }
}

/// Refuses what the model's context does not hold.
pub(crate) fn check_context(model: &Model, what: impl Into<String>, needed: usize) -> Result<()> {
    let limit = model.description().context_length;
    if needed > limit {
        return Err(EvalError::ContextTooLong {
            what: what.into(),
            needed,
            limit,
        });
    }
    Ok(())
}
