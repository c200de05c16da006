//! Running a task over caches.

use super::Task;
use super::answer::{Question, Role, Rows};
use super::context::TaskCx;
use super::data::{DataSource, Haystack, Recorded, Source};
use super::journal::Journal;
use super::options::TaskOptions;
use super::prompt::{Frame, Prompt};
use super::record::{Attempt, SampleRecord};
use super::sample::{Answer, Part, Sample};
use super::shared::SharedPrefill;
use super::summary::{TaskResult, summarise};
use crate::error::{EvalError, Result};
use crate::progress::Progress;
use crate::speed::PhaseTime;
use smartkv_core::MeasuredHook;
use smartkv_host::{LogitsFor, Model};
use std::collections::BTreeSet;
use std::time::Instant;

/// A cache that a task is asked of.
pub struct Side {
    /// What results call it.
    pub name: String,
    /// The cache, for one sequence.
    pub cache: Box<dyn MeasuredHook>,
}

/// A task to be run.
#[derive(Clone, Copy)]
pub struct TaskRun<'a> {
    /// The model that is asked.
    pub model: &'a Model,
    /// What it is asked.
    pub task: &'a dyn Task,
    /// How.
    pub options: &'a TaskOptions,
    /// Where data comes from.
    pub data: &'a dyn DataSource,
    /// The prose that needles hide in unless the task names another.
    pub haystack: &'a Haystack,
    /// Whether every cache attends to the prompt in full precision and compresses at its end:
    /// then one prefill serves all whose outputs are the first one's, to the bit.
    pub exact_prefill: bool,
}

/// Times of a run; no part of what repeats.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct TaskTiming {
    /// Prefill of contexts; shared by all caches where it could be.
    pub prefill: PhaseTime,
    /// Generated tokens of each cache.
    pub decode: Vec<PhaseTime>,
    /// Samples taken from an earlier, interrupted run.
    pub recalled: usize,
}

impl TaskRun<'_> {
    /// The files that the samples come from, without asking any: the first sample of every part is
    /// made and dropped.
    ///
    /// # Errors
    /// A task that asks for nothing, data that cannot be had.
    pub fn sources(&self) -> Result<Vec<Source>> {
        self.options.check()?;
        let data = Recorded::new(self.data);
        {
            let cx = TaskCx {
                data: &data,
                ..self.context()?
            };
            for part in &self.task.parts(&cx)? {
                let _ = self.task.samples(part, &cx)?.next();
            }
        }
        Ok(data.into_sources())
    }

    /// Asks every sample of every cache, the first being the reference of the others.
    ///
    /// A sample that fails for a cache counts with a score of 0. Finished samples are handed to
    /// `journal`, and those it recalls are not run again.
    ///
    /// # Errors
    /// Options or a task that ask for nothing, data that cannot be had or read, caches for more
    /// than one sequence, a journal that cannot be written.
    pub fn run(
        &self,
        sides: &mut [Side],
        journal: &mut dyn Journal,
        progress: &dyn Progress,
    ) -> Result<(TaskResult, TaskTiming)> {
        self.options.check()?;
        for side in &mut *sides {
            let batch = side.cache.shape().batch;
            if batch != 1 {
                return Err(EvalError::parameter(
                    "batch",
                    batch,
                    "a cache for one sequence",
                ));
            }
        }
        let data = Recorded::new(self.data);
        let cx = TaskCx {
            data: &data,
            ..self.context()?
        };
        let parts = self.task.parts(&cx)?;
        if parts.is_empty() {
            return Err(EvalError::Task("the task has no parts".into()));
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = parts.iter().find(|part| !names.insert(&part.name)) {
            let name = &twice.name;
            return Err(EvalError::Task(format!("part `{name}` is asked for twice")));
        }
        progress.begin(parts.iter().map(|part| self.expected(part)).sum());
        let mut timing = TaskTiming {
            decode: vec![PhaseTime::default(); sides.len()],
            ..TaskTiming::default()
        };
        let mut records = Vec::new();
        for part in &parts {
            progress.message(if part.name.is_empty() {
                "samples"
            } else {
                &part.name
            });
            let mut group = Group {
                run: self,
                cx: &cx,
                part,
                timing: &mut timing,
                held: None,
                apart: Vec::new(),
            };
            let samples = self.task.samples(part, &cx)?.enumerate();
            for (index, sample) in samples.take(self.options.limit.unwrap_or(usize::MAX)) {
                // A sample of another shard need not even be whole.
                if !self.options.shard.contains(index) {
                    continue;
                }
                records.push(match sample {
                    Ok(sample) => group.sample(index, &sample, sides, journal)?,
                    // Such a sample counts for what it is: one that cannot be answered here.
                    Err(
                        why @ (EvalError::ContextTooLong { .. } | EvalError::PromptTooShort { .. }),
                    ) => group.refused(index, &why, sides.len()),
                    Err(other) => return Err(other),
                });
                progress.advance(1);
            }
        }
        if records.is_empty() {
            return Err(EvalError::Task(
                "no samples: the data, the limit or the shard leaves none".into(),
            ));
        }
        let names = sides.iter().map(|side| side.name.clone()).collect();
        let result = TaskResult {
            sources: data.into_sources(),
            ..summarise(&parts, names, records, &self.options.bootstrap)?
        };
        Ok((result, timing))
    }

    /// What the task is told.
    ///
    /// # Errors
    /// A context beyond the model's, or a chat template that it lacks.
    pub fn context(&self) -> Result<TaskCx<'_>> {
        let limit = self.model.description().context_length;
        let context_tokens = self.options.context_tokens.unwrap_or(limit);
        if context_tokens > limit {
            return Err(EvalError::ContextTooLong {
                what: "the task".into(),
                needed: context_tokens,
                limit,
            });
        }
        Ok(TaskCx {
            tokenizer: self.model.tokenizer(),
            template: TaskCx::template(self.model.template(), self.options.style)?,
            context_tokens,
            seed: self.options.seed,
            query_aware: self.options.query_aware,
            data: self.data,
            haystack: self.haystack,
        })
    }

    /// Samples of a part that this run will ask, as far as that is known.
    fn expected(&self, part: &Part) -> usize {
        let most = self.options.limit.unwrap_or(usize::MAX);
        match part.samples {
            Some(samples) => {
                let shard = self.options.shard;
                (0..samples.min(most))
                    .filter(|&i| shard.contains(i))
                    .count()
            }
            None => 0,
        }
    }
}

/// The samples of one part, those with the same context together.
struct Group<'a> {
    run: &'a TaskRun<'a>,
    cx: &'a TaskCx<'a>,
    part: &'a Part,
    timing: &'a mut TaskTiming,
    /// The context tokens that the caches hold, and which of them failed to.
    held: Option<(Vec<u32>, Vec<Option<String>>)>,
    /// The caches that the first one's prefill does not serve.
    apart: Vec<bool>,
}

impl Group<'_> {
    fn sample(
        &mut self,
        index: usize,
        sample: &Sample,
        sides: &mut [Side],
        journal: &mut dyn Journal,
    ) -> Result<SampleRecord> {
        let frame = Frame::of(self.cx.template.filter(|_| sample.chat))?;
        let aware = self.run.options.query_aware;
        let prompt = frame.prompt(self.cx.tokenizer, sample, aware)?;
        let fingerprint = prompt.fingerprint(sample);
        let done = journal.recall(&self.part.name, index);
        if let Some(record) = done.filter(|record| record.fingerprint == fingerprint) {
            self.timing.recalled += 1;
            return Ok(record);
        }
        self.hold(&prompt, sides);
        let failures = match &self.held {
            Some((_, failures)) => failures.clone(),
            None => Vec::new(),
        };
        let question = Question {
            model: self.run.model,
            sample,
            prompt: &prompt,
        };
        let mut reference: Option<(Answer, Option<Rows>)> = None;
        let mut attempts = Vec::with_capacity(sides.len());
        for (place, side) in sides.iter().enumerate() {
            let memory = side.cache.memory();
            let failed = failures.get(place).cloned().flatten();
            let attempt = if let Some(why) = failed {
                Attempt::failed(&why)
            } else {
                let time = &mut self.timing.decode[place];
                let role = match &reference {
                    _ if place == 0 => Role::Reference,
                    Some((answer, rows)) => Role::Candidate(answer, rows.as_ref()),
                    None => Role::Alone,
                };
                match question.ask(side.cache.as_ref(), role, time) {
                    Ok((answer, rows)) => {
                        if place == 0 {
                            reference = Some((answer.clone(), rows));
                        }
                        let beside = reference.as_ref().map(|(answer, _)| answer);
                        let task = self.run.task;
                        let score = task.score_against(self.part, sample, &answer, beside)?;
                        Attempt::of(answer, score)
                    }
                    Err(error) => Attempt::failed(&error),
                }
            };
            attempts.push(Attempt {
                live_bytes: memory.live_bytes,
                f16_bytes: memory.f16_bytes,
                simulated: memory.logical_bytes.is_some(),
                ..attempt
            });
        }
        let control = match sides.first_mut() {
            // A prompt that is all context leaves nothing to ask without it.
            Some(side) if self.run.options.control && sample.asks() => {
                Some(self.control(&frame, sample, side)?)
            }
            _ => None,
        };
        let record = SampleRecord {
            part: self.part.name.clone(),
            index,
            fingerprint,
            id: sample.id.clone(),
            context_tokens: prompt.context.len(),
            question_tokens: prompt.rest.len(),
            answers: sample.answers.clone(),
            meta: sample.meta.clone(),
            control,
            attempts,
        };
        journal.keep(&record)?;
        Ok(record)
    }

    /// The record of a sample that could not be made.
    fn refused(&self, index: usize, why: &EvalError, sides: usize) -> SampleRecord {
        let failed = Attempt::failed(why);
        SampleRecord {
            part: self.part.name.clone(),
            index,
            fingerprint: String::new(),
            id: String::new(),
            context_tokens: 0,
            question_tokens: 0,
            answers: Vec::new(),
            meta: serde_json::Map::new(),
            control: self.run.options.control.then(|| failed.clone()),
            attempts: vec![failed; sides],
        }
    }

    /// Lets every cache hold the compressed context, unless they do.
    fn hold(&mut self, prompt: &Prompt, sides: &mut [Side]) {
        if self
            .held
            .as_ref()
            .is_some_and(|(held, _)| *held == prompt.context)
        {
            return;
        }
        let start = Instant::now();
        let mut failures = vec![None; sides.len()];
        let apart = self.prefill_together(&prompt.context, sides);
        let each = sides.iter_mut().zip(&mut failures).zip(apart);
        for ((side, failure), _) in each.filter(|(_, apart)| *apart) {
            side.cache.reset();
            *failure = self.prefill(&prompt.context, side.cache.as_mut()).err();
        }
        self.timing.prefill.seconds += start.elapsed().as_secs_f64();
        self.timing.prefill.tokens += prompt.context.len();
        self.held = Some((prompt.context.clone(), failures));
    }

    /// One prefill for as many as it serves; says which need one of their own.
    fn prefill_together(&mut self, context: &[u32], sides: &mut [Side]) -> Vec<bool> {
        let all = vec![true; sides.len()];
        if !self.run.exact_prefill || sides.len() < 2 {
            return all;
        }
        let mut apart = std::mem::take(&mut self.apart);
        apart.resize(sides.len(), false);
        let Some(mut shared) = SharedPrefill::new(sides, &mut apart) else {
            return all;
        };
        smartkv_core::KvHook::reset(&mut shared);
        if self.fill(context, &mut shared).is_err() {
            // The first one's failure says nothing of the others.
            return all;
        }
        self.apart.clone_from(&apart);
        apart
    }

    fn prefill(
        &self,
        context: &[u32],
        cache: &mut dyn MeasuredHook,
    ) -> std::result::Result<(), String> {
        self.fill(context, cache).map_err(|error| error.to_string())
    }

    fn fill(&self, context: &[u32], hook: &mut dyn smartkv_core::KvHook) -> Result<()> {
        if context.is_empty() {
            return Ok(());
        }
        let chunk = self.run.options.prefill_chunk;
        self.run
            .model
            .prefill(&[context], hook, chunk, LogitsFor::None)?;
        Ok(())
    }

    /// The question without its context, which is forked off an empty cache.
    fn control(&self, frame: &Frame, sample: &Sample, side: &mut Side) -> Result<Attempt> {
        let bare = Sample {
            context: String::new(),
            gold: sample.gold.clone(),
            ..sample.clone()
        };
        let aware = self.run.options.query_aware;
        let prompt = match frame.prompt(self.cx.tokenizer, &bare, aware) {
            Ok(prompt) => prompt,
            // Nothing but the context was there to answer from.
            Err(error) => return Ok(Attempt::failed(&error)),
        };
        let mut empty = side.cache.fork();
        empty.reset();
        if let Err(why) = self.prefill(&prompt.context, empty.as_mut()) {
            return Ok(Attempt::failed(&why));
        }
        let question = Question {
            model: self.run.model,
            sample: &bare,
            prompt: &prompt,
        };
        let mut untimed = PhaseTime::default();
        Ok(
            match question.ask(empty.as_ref(), Role::Alone, &mut untimed) {
                Ok((answer, _)) => {
                    let score = self.run.task.score(self.part, &bare, &answer)?;
                    Attempt::of(answer, score)
                }
                Err(error) => Attempt::failed(&error),
            },
        )
    }
}
