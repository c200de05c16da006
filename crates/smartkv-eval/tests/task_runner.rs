//! The runner of tasks, on a tiny model: prefills, forks, journals, shards, failures.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod common;

use common::{Grid, SpoilsLater, prose, tiny};
use smartkv_core::{AttnStep, CacheShape, KvHook, MeasuredHook, Memory, config, task};
use smartkv_eval::task::{
    Answer, Ask, Forced, Gold, Journal, NoData, NoJournal, Part, SampleRecord, Samples, Score,
    Shard, Side, Stop, TaskCx, TaskTiming,
};
use smartkv_eval::{
    EvalError, Haystack, NoProgress, PromptStyle, Result, Sample, Task, TaskOptions, TaskResult,
    TaskRun,
};
use smartkv_host::{LogitsFor, Model};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Questions about contexts of prose.
///
/// Its name is one that the registry has too: a plugin's own types must not be hidden by it.
#[config]
struct Kind {
    /// Contexts.
    #[default(3)]
    contexts: usize,
    /// Questions about each, which follow each other.
    #[default(3)]
    questions: usize,
    /// Asks the questions of a context backwards.
    backwards: bool,
    /// Sample of which the answers are changed, as if the data had been.
    changed: Option<usize>,
    /// Sample whose context is beyond any model.
    endless: Option<usize>,
    /// How answers are made: `generate`, `choose` or `force`.
    #[default("generate".to_owned())]
    ask: String,
    /// Most tokens of a generated answer.
    #[default(6)]
    new_tokens: usize,
    /// Ends answers at a line break.
    lines: bool,
    /// Calls everything right that was answered with a context.
    trivial: bool,
}

const CHOICES: [&str; 4] = [" mill", " bridge", " x", " children ran"];

#[task("test_questions", family = "test")]
impl Task for Kind {
    fn parts(&self, _cx: &TaskCx<'_>) -> Result<Vec<Part>> {
        Ok(vec![Part::new("", "share of vowels")])
    }

    fn samples<'a>(&'a self, _part: &'a Part, _cx: &'a TaskCx<'a>) -> Result<Samples<'a>> {
        let text = prose(1);
        Ok(Box::new((0..self.contexts * self.questions).map(
            move |index| {
                let (context, mut question) = (index / self.questions, index % self.questions);
                if self.backwards {
                    question = self.questions - 1 - question;
                }
                let number = context * self.questions + question;
                let mut answers = vec![format!("answer {number}")];
                if self.changed == Some(index) {
                    answers.push("another".into());
                }
                let times = if self.endless == Some(index) { 400 } else { 1 };
                Ok(Sample {
                    id: number.to_string(),
                    context: text[20 * context..][..100].repeat(times),
                    question: format!("Q{question}:"),
                    answers,
                    gold: Gold::Text(" the river".into()),
                    ask: match self.ask.as_str() {
                        "choose" => Ask::Choose(CHOICES.map(str::to_owned).to_vec()),
                        "force" => Ask::Force,
                        _ => Ask::Generate {
                            max_new_tokens: self.new_tokens,
                            stop_at_newline: self.lines,
                        },
                    },
                    ..Sample::generate(self.new_tokens)
                })
            },
        )))
    }

    fn score(&self, _part: &Part, sample: &Sample, answer: &Answer) -> Result<Score> {
        if self.trivial {
            return Ok((!sample.context.is_empty()).into());
        }
        let vowels = answer.text.chars().filter(|c| "aeiou".contains(*c)).count();
        let all = answer.text.chars().count().max(1);
        #[expect(clippy::cast_precision_loss, reason = "letters of an answer")]
        Ok((vowels as f64 / all as f64).into())
    }
}

/// Counts forwards of more than one token, and fails when told to.
struct Spy {
    cache: Box<dyn MeasuredHook>,
    long: Arc<AtomicUsize>,
    /// Fails once it has seen so many tokens.
    fails_at: usize,
}

impl KvHook for Spy {
    fn shape(&self) -> &CacheShape {
        self.cache.shape()
    }
    fn seen(&self, sequence: usize) -> usize {
        self.cache.seen(sequence)
    }
    fn attend(&mut self, step: AttnStep<'_>, out: &mut [f32]) -> smartkv_core::Result<()> {
        if self.seen(0) + step.tokens >= self.fails_at {
            return Err(smartkv_core::Error::Step("the spy was told to".into()));
        }
        if step.layer == 0 && step.tokens > 20 {
            self.long.fetch_add(1, Ordering::Relaxed);
        }
        self.cache.attend(step, out)
    }
    fn end_step(&mut self, more_prompt: bool) -> smartkv_core::Result<()> {
        self.cache.end_step(more_prompt)
    }
    fn reset(&mut self) {
        self.cache.reset();
    }
}

impl MeasuredHook for Spy {
    fn fork(&self) -> Box<dyn MeasuredHook> {
        Box::new(Self {
            cache: self.cache.fork(),
            long: Arc::clone(&self.long),
            fails_at: self.fails_at,
        })
    }
    fn memory(&self) -> Memory {
        self.cache.memory()
    }
}

/// Keeps samples in memory, and breaks after some.
struct Notes {
    kept: BTreeMap<(String, usize), SampleRecord>,
    room: usize,
}

impl Notes {
    fn of(room: usize) -> Self {
        Self {
            kept: BTreeMap::new(),
            room,
        }
    }
}

impl Journal for Notes {
    fn recall(&self, part: &str, index: usize) -> Option<SampleRecord> {
        self.kept.get(&(part.to_owned(), index)).cloned()
    }
    fn keep(&mut self, record: &SampleRecord) -> Result<()> {
        if self.room == 0 {
            return Err(EvalError::Task("the disk is full".into()));
        }
        self.room -= 1;
        let key = (record.part.clone(), record.index);
        self.kept.insert(key, record.clone());
        Ok(())
    }
}

fn options() -> TaskOptions {
    let mut options = TaskOptions {
        style: PromptStyle::Raw,
        prefill_chunk: 1000,
        ..TaskOptions::default()
    };
    options.bootstrap.resamples = 200;
    options
}

/// An exact cache and one that spoils what it holds.
fn caches(model: &Model) -> Vec<Side> {
    let side = |name: &str, grid| Side {
        name: name.into(),
        cache: Box::new(SpoilsLater::new(model, Grid(grid))),
    };
    vec![side("exact", 0.0), side("coarse", 0.4)]
}

/// The same, watched: what they were given in steps of more than 20 tokens.
fn watched(model: &Model, fails_at: [usize; 2]) -> (Vec<Side>, [Arc<AtomicUsize>; 2]) {
    let counts = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let sides = caches(model).into_iter().zip(&counts).zip(fails_at);
    let sides = sides.map(|((side, count), fails_at)| Side {
        cache: Box::new(Spy {
            cache: side.cache,
            long: Arc::clone(count),
            fails_at,
        }),
        name: side.name,
    });
    (sides.collect(), counts)
}

fn run_with(
    model: &Model,
    task: &dyn Task,
    options: &TaskOptions,
    sides: &mut [Side],
    journal: &mut dyn Journal,
) -> Result<(TaskResult, TaskTiming)> {
    let run = TaskRun {
        model,
        task,
        options,
        data: &NoData,
        haystack: &Haystack::default(),
        exact_prefill: true,
    };
    run.run(sides, journal, &NoProgress)
}

fn run(model: &Model, task: &dyn Task, options: &TaskOptions) -> TaskResult {
    let mut sides = caches(model);
    let done = run_with(model, task, options, &mut sides, &mut NoJournal);
    done.unwrap().0
}

#[test]
fn a_context_is_prefilled_once_and_questions_do_not_see_each_other() {
    let model = tiny();
    let mut of_order = Vec::new();
    for backwards in [false, true] {
        let task = Kind {
            backwards,
            ..Kind::default()
        };
        let (mut sides, long) = watched(&model, [usize::MAX; 2]);
        let done = run_with(&model, &task, &options(), &mut sides, &mut NoJournal);
        let mut samples = done.unwrap().0.samples;
        for count in &long {
            assert_eq!(count.load(Ordering::Relaxed), 3, "one prefill a context");
        }
        samples.sort_by(|a, b| a.id.cmp(&b.id));
        for sample in &mut samples {
            sample.index = 0;
        }
        of_order.push(samples);
    }
    assert_eq!(of_order[0], of_order[1]);
    let differ = of_order[0]
        .iter()
        .filter(|s| s.attempts[0].forced != s.attempts[1].forced);
    assert_eq!(differ.count(), 9, "the coarse cache is no exact one");
}

#[test]
fn an_interrupted_run_goes_on_and_changed_data_is_asked_again() {
    let model = tiny();
    let task = Kind::default();
    let whole = run(&model, &task, &options());
    for room in [0, 1, 4, 8] {
        let mut notes = Notes::of(room);
        let broken = run_with(&model, &task, &options(), &mut caches(&model), &mut notes);
        assert!(broken.unwrap_err().to_string().contains("the disk is full"));
        assert_eq!(notes.kept.len(), room);
        notes.room = usize::MAX;
        let (mut sides, long) = watched(&model, [usize::MAX; 2]);
        let (result, timing) = run_with(&model, &task, &options(), &mut sides, &mut notes).unwrap();
        assert_eq!(result, whole, "after {room} samples");
        assert_eq!(timing.recalled, room);
        let contexts = 3 - room / 3;
        assert_eq!(
            long[0].load(Ordering::Relaxed),
            contexts,
            "after {room} samples"
        );
        let changed = Kind {
            changed: Some(4),
            ..Kind::default()
        };
        let again = run_with(
            &model,
            &changed,
            &options(),
            &mut caches(&model),
            &mut notes,
        );
        let (again, timing) = again.unwrap();
        assert_eq!(timing.recalled, 8);
        assert_eq!(again.samples[4].answers.len(), 2);
    }
}

#[test]
fn limits_and_shards_cut_the_samples() {
    let model = tiny();
    let task = Kind::default();
    let whole = run(&model, &task, &options());
    let limited = TaskOptions {
        limit: Some(5),
        ..options()
    };
    assert_eq!(run(&model, &task, &limited).samples, whole.samples[..5]);
    let mut united = Vec::new();
    for index in 1..=4 {
        let shard: Shard = format!("{index}/4").parse().unwrap();
        let options = TaskOptions { shard, ..options() };
        united.extend(run(&model, &task, &options).samples);
    }
    united.sort_by_key(|sample| sample.index);
    assert_eq!(united, whole.samples);
}

#[test]
fn what_fails_counts_as_zero_and_the_others_go_on() {
    let model = tiny();
    let whole = run(&model, &Kind::default(), &options());
    let task = Kind {
        endless: Some(4),
        ..Kind::default()
    };
    let result = run(&model, &task, &options());
    for side in &result.overall.sides {
        assert_eq!((side.failed, result.overall.n), (1, 9));
    }
    for (sample, sound) in result.samples.iter().zip(&whole.samples) {
        if sample.index == 4 {
            for attempt in &sample.attempts {
                assert!(attempt.failure.is_some() && attempt.score == 0.0);
            }
        } else {
            assert_eq!(sample, sound);
        }
    }
    // A cache that fails at its prompt, or at its question, fails alone.
    let task = Kind {
        contexts: 1,
        ..Kind::default()
    };
    let whole = run(&model, &task, &options());
    let question = whole.samples[0].context_tokens + 1;
    for fails_at in [30, question] {
        let (mut sides, _) = watched(&model, [usize::MAX, fails_at]);
        let done = run_with(&model, &task, &options(), &mut sides, &mut NoJournal);
        let result = done.unwrap().0;
        assert_eq!(result.overall.sides[0], whole.overall.sides[0]);
        assert_eq!(result.overall.sides[1].failed, 3);
        let why = result.samples[0].attempts[1].failure.as_ref().unwrap();
        assert!(why.contains("the spy was told to"), "{why}");
    }
}

#[test]
fn a_task_that_needs_no_context_says_so() {
    let model = tiny();
    let twelve = Kind {
        contexts: 4,
        trivial: true,
        ..Kind::default()
    };
    let result = run(&model, &twelve, &options()).overall;
    assert!(result.control.unwrap().mean < 0.5);
    assert_eq!(
        (result.discriminative, result.undecided),
        (Some(true), None)
    );
    let blind = run(
        &model,
        &Kind {
            trivial: false,
            ..twelve
        },
        &options(),
    )
    .overall;
    assert_eq!(blind.discriminative, Some(false));
    let seven = TaskOptions {
        limit: Some(7),
        ..options()
    };
    let few = Kind {
        trivial: true,
        ..Kind::default()
    };
    let result = run(&model, &few, &seven).overall;
    assert_eq!(result.discriminative, None);
    assert!(result.undecided.unwrap().contains("n = 7"));
    let none = TaskOptions {
        control: false,
        ..seven
    };
    let result = run(&model, &few, &none);
    assert!(result.samples.iter().all(|sample| sample.control.is_none()));
    assert_eq!(
        (result.overall.control, result.overall.undecided),
        (None, None)
    );
}

#[test]
fn a_query_aware_cache_compresses_after_the_question() {
    let model = tiny();
    let aware = TaskOptions {
        query_aware: true,
        ..options()
    };
    let (agnostic, aware) = (
        run(&model, &Kind::default(), &options()),
        run(&model, &Kind::default(), &aware),
    );
    for (before, after) in agnostic.samples.iter().zip(&aware.samples) {
        assert_eq!(
            before.context_tokens + before.question_tokens,
            after.context_tokens + after.question_tokens
        );
        assert!(before.context_tokens < after.context_tokens);
        // The tokens are the same, so the exact cache answers the same.
        assert_eq!(before.attempts[0].text, after.attempts[0].text);
        // The last token alone sees the spoilt cache, and sees its own neighbours spoilt.
        assert_eq!(after.question_tokens, 1);
        assert_ne!(before.attempts[1].forced, after.attempts[1].forced);
    }
}

#[test]
fn results_do_not_depend_on_threads() {
    let model = tiny();
    let task = Kind {
        contexts: 2,
        ..Kind::default()
    };
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| run(&model, &task, &options()))
    };
    let one = on(1);
    assert_eq!(one, on(2));
    assert_eq!(one, on(5));
}

/// Log-probability of `continuation` after `prompt`, by the model alone.
fn log_prob(model: &Model, prompt: &str, continuation: &str) -> f64 {
    let tokenizer = model.tokenizer();
    let before = tokenizer.encode(prompt, true).unwrap();
    let tokens = tokenizer
        .encode(&format!("{prompt}{continuation}"), true)
        .unwrap();
    assert_eq!(tokens[..before.len()], before[..]);
    let mut cache = common::exact(model);
    let logits = model
        .forward(&[&tokens], &mut cache, LogitsFor::All, false)
        .unwrap();
    let rows = before.len()..tokens.len();
    rows.map(|at| {
        let row = logits.row(0, at - 1);
        let max = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let sum: f64 = row.iter().map(|&x| (f64::from(x) - max).exp()).sum();
        f64::from(row[tokens[at] as usize]) - max - sum.ln()
    })
    .sum()
}

#[test]
fn the_choice_of_the_largest_log_probability_is_taken() {
    let model = tiny();
    let task = Kind {
        ask: "choose".into(),
        ..Kind::default()
    };
    let result = run(&model, &task, &options());
    let text = prose(1);
    for (index, sample) in result.samples.iter().enumerate() {
        let prompt = format!("{}Q{}:", &text[20 * (index / 3)..][..100], index % 3);
        let best = CHOICES
            .iter()
            .max_by(|a, b| log_prob(&model, &prompt, a).total_cmp(&log_prob(&model, &prompt, b)));
        assert_eq!(&sample.attempts[0].text, best.unwrap());
        let Forced { nll_nats, .. } = sample.attempts[0].forced.unwrap();
        let expected = -log_prob(&model, &prompt, " the river");
        assert!((nll_nats - expected).abs() < 1e-3, "{nll_nats} {expected}");
    }
}

#[test]
fn answers_end_where_they_should() {
    let model = tiny();
    let generate = |new_tokens, lines| {
        let task = Kind {
            new_tokens,
            lines,
            ..Kind::default()
        };
        run(&model, &task, &options()).samples
    };
    let long = generate(40, false);
    for count in [0, 1] {
        for (sample, full) in generate(count, false).iter().zip(&long) {
            let attempt = &sample.attempts[0];
            assert!(attempt.failure.is_none());
            assert!(attempt.generated_tokens <= count);
            assert!(full.attempts[0].text.starts_with(&attempt.text));
            if attempt.generated_tokens == count {
                assert_eq!(attempt.stop, Some(Stop::MaxNewTokens));
            }
        }
    }
    for (sample, full) in generate(40, true).iter().zip(&long) {
        let (short, full) = (&sample.attempts[0], &full.attempts[0]);
        match short.stop {
            Some(Stop::Newline) => {
                assert!(full.text.len() > short.text.len() && full.text.starts_with(&short.text));
                assert!(full.text[short.text.len()..].contains('\n'));
            }
            _ => assert_eq!(short.text, full.text),
        }
    }
}
