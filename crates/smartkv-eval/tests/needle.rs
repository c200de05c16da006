//! Needle prompts and their protocol on a tiny model.
#![allow(clippy::unwrap_used, reason = "in tests only")]

mod common;

use common::{Grid, SpoilsLater, prose, tiny, tiny_long};
use smartkv_core::{AttnStep, CacheShape, KvHook, MeasuredHook, Memory};
use smartkv_eval::task::{NoData, NoJournal, Side};
use smartkv_eval::tasks::{Hay, Needle, NeedleValue};
use smartkv_eval::{
    EvalError, Haystack, NoProgress, PromptStyle, Sample, Task, TaskOptions, TaskResult, TaskRun,
};
use smartkv_host::Model;
use std::sync::{Arc, Mutex};

/// Asks `task` for things of one model and one text.
struct Asked<'a> {
    model: &'a Model,
    task: &'a Needle,
    options: TaskOptions,
    haystack: Haystack,
}

impl<'a> Asked<'a> {
    fn new(model: &'a Model, task: &'a Needle) -> Self {
        Self {
            model,
            task,
            options: TaskOptions {
                prefill_chunk: 100,
                control: false,
                ..TaskOptions::default()
            },
            haystack: Haystack {
                name: "mill".into(),
                text: prose(1),
            },
        }
    }

    fn style(mut self, style: PromptStyle, query_aware: bool) -> Self {
        self.options.style = style;
        self.options.query_aware = query_aware;
        self
    }

    fn seed(mut self, seed: u64) -> Self {
        self.options.seed = seed;
        self
    }

    fn run(&self) -> TaskRun<'_> {
        TaskRun {
            model: self.model,
            task: self.task,
            options: &self.options,
            data: &NoData,
            haystack: &self.haystack,
            exact_prefill: true,
        }
    }

    /// Every sample of every cell, and its tokens.
    fn samples(&self) -> Result<Vec<(Sample, usize)>, EvalError> {
        let run = self.run();
        let cx = run.context()?;
        let mut samples = Vec::new();
        for part in self.task.parts(&cx)? {
            for sample in self.task.samples(&part, &cx)? {
                let sample = sample?;
                let tokens = cx.tokens(&sample)?;
                samples.push((sample, tokens));
            }
        }
        Ok(samples)
    }

    fn ask(&self, caches: Vec<Box<dyn MeasuredHook>>) -> TaskResult {
        let side = |(i, cache)| Side {
            name: format!("cache {i}"),
            cache,
        };
        let mut sides: Vec<Side> = caches.into_iter().enumerate().map(side).collect();
        let asked = self.run().run(&mut sides, &mut NoJournal, &NoProgress);
        asked.expect("the tiny model can be asked").0
    }
}

fn one(length: usize, depth: u32) -> Needle {
    Needle {
        lengths: vec![length],
        depths: vec![depth],
        samples: 1,
        ..Needle::default()
    }
}

fn needle(sample: &Sample) -> String {
    format!(
        "One of the special magic numbers for {} is: {}.",
        sample.meta["key"].as_str().unwrap(),
        sample.answers[0]
    )
}

#[test]
fn prompts_have_exactly_their_length() {
    let model = tiny_long("needle-length");
    for haystack in [Hay::Noise, Hay::Prose] {
        for (style, query_aware) in [
            (PromptStyle::Chat, false),
            (PromptStyle::Chat, true),
            (PromptStyle::Raw, false),
            (PromptStyle::Raw, true),
        ] {
            let task = Needle {
                lengths: vec![512, 777, 1024, 1025],
                depths: vec![50],
                samples: 2,
                haystack,
                ..Needle::default()
            };
            let asked = Asked::new(&model, &task).style(style, query_aware);
            for (sample, tokens) in asked.samples().unwrap() {
                assert_eq!(sample.meta["length_tokens"], tokens);
            }
        }
    }
}

#[test]
fn values_of_every_kind_fill_their_length() {
    let model = tiny_long("needle-values");
    for (value, needles) in [
        (NeedleValue::Words, 1),
        (NeedleValue::Uuids, 1),
        (NeedleValue::Numbers, 4),
        (NeedleValue::Sentence, 1),
    ] {
        let task = Needle {
            value,
            needles,
            ..one(1500, 30)
        };
        let samples = Asked::new(&model, &task).samples().unwrap();
        let (sample, tokens) = &samples[0];
        assert_eq!(*tokens, 1500, "{value:?}");
        assert_eq!(sample.answers.len(), needles);
        for answer in &sample.answers {
            assert_eq!(sample.context.matches(answer.as_str()).count(), 1);
        }
        let gold = sample.gold.text().unwrap();
        assert!(sample.answers.iter().all(|answer| gold.contains(answer)));
        if needles > 1 {
            assert!(
                sample
                    .context
                    .starts_with("Some special magic numbers are hidden")
            );
            assert!(
                sample
                    .question
                    .starts_with("What are all the special magic numbers for ")
            );
        }
    }
    let task = Needle {
        value: NeedleValue::Sentence,
        needles: 2,
        ..one(1500, 30)
    };
    let refused = Asked::new(&model, &task).samples().unwrap_err().to_string();
    assert_eq!(refused, "needles = 2: expected 1: there is one sentence");
}

#[test]
fn the_needle_is_there_once_between_sentences_and_as_deep_as_asked() {
    let model = tiny_long("needle-depth");
    for haystack in [Hay::Noise, Hay::Prose] {
        let depths = vec![0, 10, 25, 50, 75, 90, 100];
        let task = Needle {
            lengths: vec![1500],
            depths: depths.clone(),
            samples: 1,
            haystack,
            ..Needle::default()
        };
        let mut last = None;
        let samples = Asked::new(&model, &task).samples().unwrap();
        for ((sample, _), depth) in samples.iter().zip(depths) {
            assert_eq!(sample.context.matches(&needle(sample)).count(), 1);
            assert_eq!(sample.context.matches(&sample.answers[0]).count(), 1);
            let (before, after) = sample.context.split_once(&needle(sample)).unwrap();
            let ends = [". ", ".\n", "! "];
            assert!(ends.iter().any(|end| before.ends_with(end)), "{before}");
            assert!(after.starts_with([' ', '\n']), "{after}");
            let share = sample.meta["needle_at_percent"].as_f64().unwrap();
            assert!(last < Some(share), "depth {depth}");
            last = Some(share);
            assert!(
                (share - f64::from(depth)).abs() <= 14.0,
                "depth {depth}: {share}"
            );
        }
    }
}

#[test]
fn the_wording_is_that_of_ruler() {
    let model = tiny_long("needle-wording");
    let task = Needle {
        haystack: Hay::Noise,
        ..one(700, 50)
    };
    let make = |style, query_aware| {
        let asked = Asked::new(&model, &task).style(style, query_aware);
        asked.samples().unwrap().remove(0).0
    };
    let raw = make(PromptStyle::Raw, false);
    let key = raw.meta["key"].as_str().unwrap();
    assert!(raw.context.starts_with(
        "A special magic number is hidden within the following text. Make sure to memorize it. I \
         will quiz you about the number afterwards.\nThe grass is green. The sky is blue. The sun \
         is yellow. Here we go. There and back again.\n"
    ));
    assert!(raw.context.ends_with('\n'));
    assert_eq!(
        format!("{}{}", raw.question, raw.answer_prefix),
        format!(
            "What is the special magic number for {key} mentioned in the provided text? The \
             special magic number for {key} mentioned in the provided text is"
        )
    );
    let value = &raw.answers[0];
    assert!(value.len() == 7 && value.bytes().all(|byte| byte.is_ascii_digit()));
    assert_eq!(raw.gold.text(), Some(&format!(" {value}")));

    let chat = make(PromptStyle::Chat, false);
    assert!(
        chat.answer_prefix
            .starts_with("The special magic number for ")
    );
    assert!(!chat.context.contains("What is the special"));
    assert_eq!((chat.question, chat.answers), (raw.question, raw.answers));
}

#[test]
fn any_cell_can_be_made_alone() {
    let model = tiny_long("needle-alone");
    let make = |seed, length, depth, sample: usize| {
        let task = Needle {
            samples: sample + 1,
            ..one(length, depth)
        };
        let mut samples = Asked::new(&model, &task).seed(seed).samples().unwrap();
        samples.remove(sample).0
    };
    let base = make(1, 600, 50, 0);
    assert_eq!(base, make(1, 600, 50, 0));
    for other in [
        make(2, 600, 50, 0),
        make(1, 601, 50, 0),
        make(1, 600, 51, 0),
        make(1, 600, 50, 1),
    ] {
        assert_ne!(base.answers, other.answers);
    }
    // The grid around a cell does not change it.
    let grid = Needle {
        lengths: vec![500, 600],
        depths: vec![0, 50],
        samples: 2,
        ..Needle::default()
    };
    let grid = Asked::new(&model, &grid).seed(1).samples().unwrap();
    assert_eq!(grid.len(), 8);
    assert_eq!(grid[6].0, base);
}

#[test]
fn results_repeat_and_see_the_compressed_context() {
    let model = tiny_long("needle-repeat");
    let task = Needle {
        lengths: vec![520],
        depths: vec![20, 80],
        samples: 2,
        max_new_tokens: Some(4),
        ..Needle::default()
    };
    let asked = Asked::new(&model, &task);
    let spoils = |grid| Box::new(SpoilsLater::new(&model, Grid(grid))) as Box<dyn MeasuredHook>;
    let result = asked.ask(vec![spoils(0.0), spoils(0.0), spoils(1.0)]);
    let again = asked.ask(vec![spoils(0.0), spoils(0.0), spoils(1.0)]);
    assert_eq!(result, again);
    assert_eq!((result.parts.len(), result.samples.len()), (2, 4));
    let gold = |side: usize| result.overall.sides[side].gold_nll_nats.unwrap();
    assert!((gold(0) - gold(1)).abs() < 1e-4);
    assert!((gold(0) - gold(2)).abs() > 1e-3);
    for record in &result.samples {
        let prompt = record.context_tokens + record.question_tokens;
        assert_eq!(prompt + 4, 520);
        assert_eq!(record.meta["length_tokens"], 520);
    }
    let json = serde_json::to_string(&result).unwrap();
    assert!(!json.contains("seconds"));
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let model = tiny();
    let error = |task: &Needle, text: &str| {
        let mut asked = Asked::new(&model, task);
        asked.haystack.text = text.into();
        asked.samples().unwrap_err().to_string()
    };
    let prose = prose(1);
    let message = error(&one(200, 50), &prose);
    assert!(message.starts_with("a needle prompt of 200 tokens is too short: the least is "));
    let message = error(&one(257, 50), &prose);
    assert_eq!(
        message,
        "a needle prompt needs 257 tokens: the model's context holds 256"
    );
    assert_eq!(
        error(&one(200, 50), ""),
        "haystack = mill: expected a text that has a sentence"
    );
    let none = Needle {
        samples: 0,
        ..one(200, 50)
    };
    assert!(error(&none, &prose).starts_with("samples = 0"));
    assert_eq!(
        error(&one(200, 101), &prose),
        "depths = 101: expected 0 to 100"
    );
}

/// What a cache was given: the tokens of a step and whether more of the prompt follows, or a fork.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Step(usize, bool),
    Fork,
}

/// Writes down what a cache is given.
struct Spy {
    inner: Box<dyn MeasuredHook>,
    events: Arc<Mutex<Vec<Event>>>,
    tokens: usize,
}

impl KvHook for Spy {
    fn shape(&self) -> &CacheShape {
        self.inner.shape()
    }

    fn seen(&self, sequence: usize) -> usize {
        self.inner.seen(sequence)
    }

    fn attend(&mut self, step: AttnStep<'_>, out: &mut [f32]) -> smartkv_core::Result<()> {
        self.tokens = step.tokens;
        self.inner.attend(step, out)
    }

    fn end_step(&mut self, more_prompt: bool) -> smartkv_core::Result<()> {
        let event = Event::Step(self.tokens, more_prompt);
        self.events.lock().unwrap().push(event);
        self.inner.end_step(more_prompt)
    }

    fn reset(&mut self) {
        self.inner.reset();
    }
}

impl MeasuredHook for Spy {
    fn fork(&self) -> Box<dyn MeasuredHook> {
        self.events.lock().unwrap().push(Event::Fork);
        Box::new(Self {
            inner: self.inner.fork(),
            events: Arc::clone(&self.events),
            tokens: 0,
        })
    }

    fn memory(&self) -> Memory {
        self.inner.memory()
    }
}

#[test]
fn the_context_is_compressed_before_the_question_is_seen() {
    let model = tiny_long("needle-order");
    let task = one(520, 20);
    let events = Arc::new(Mutex::new(Vec::new()));
    let spy = Spy {
        inner: Box::new(SpoilsLater::new(&model, Grid(0.0))),
        events: Arc::clone(&events),
        tokens: 0,
    };
    let result = Asked::new(&model, &task).ask(vec![Box::new(spy)]);
    let record = &result.samples[0];
    let events = events.lock().unwrap().clone();
    let fork = events
        .iter()
        .position(|&event| event == Event::Fork)
        .unwrap();
    let (prefill, rest) = events.split_at(fork);
    let mut total = 0;
    for (index, event) in prefill.iter().enumerate() {
        let Event::Step(tokens, more) = *event else {
            unreachable!("cut at the first fork");
        };
        total += tokens;
        // The last chunk ends the prompt, and so the cache is compressed.
        assert_eq!(more, index + 1 < prefill.len());
    }
    assert_eq!(total, record.context_tokens);
    assert_eq!(rest[1], Event::Step(record.question_tokens, false));
    let decoded = &rest[2..];
    let single = |event: &Event| matches!(event, Event::Fork | Event::Step(1, false));
    assert!(decoded.iter().all(single), "{decoded:?}");
}
