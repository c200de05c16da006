//! Needle prompts and their protocol on a tiny model.

mod common;

use common::{Grid, SpoilsLater, Told, exact, prose, tiny, tiny_long};
use smartkv_eval::{
    Haystack, NeedleOptions, NeedlePrompt, NeedleResult, NoProgress, Phase, PromptStyle, Unwatched,
    Watched, needles,
};
use smartkv_host::Model;

fn text() -> Haystack {
    Haystack::Text {
        name: "mill".into(),
        text: prose(1),
    }
}

fn needle(prompt: &NeedlePrompt) -> String {
    format!(
        "One of the special magic numbers for {} is: {}.",
        prompt.key, prompt.value
    )
}

#[test]
fn prompts_have_exactly_their_length() {
    let model = tiny();
    for haystack in [Haystack::Noise, text()] {
        for style in [PromptStyle::Chat, PromptStyle::Raw] {
            for query_aware in [false, true] {
                let options = NeedleOptions {
                    style,
                    query_aware,
                    ..NeedleOptions::default()
                };
                for length in [512, 777, 1024, 1025] {
                    let prompt = options.prompt(&model, &haystack, length, 50, 0).unwrap();
                    let tokens = prompt.context_tokens.len() + prompt.question_tokens.len();
                    assert_eq!(tokens + options.max_new_tokens, length);
                }
            }
        }
    }
}

#[test]
fn the_needle_is_there_once_between_sentences_and_as_deep_as_asked() {
    let model = tiny();
    let options = NeedleOptions::default();
    for haystack in [Haystack::Noise, text()] {
        let mut last = None;
        for depth in [0, 10, 25, 50, 75, 90, 100] {
            let prompt = options.prompt(&model, &haystack, 1500, depth, 0).unwrap();
            let NeedlePrompt {
                context,
                value,
                needle_at_token,
                ..
            } = &prompt;
            assert_eq!(context.matches(&needle(&prompt)).count(), 1);
            assert_eq!(context.matches(value).count(), 1);
            let (before, after) = context.split_once(&needle(&prompt)).unwrap();
            let ends = [". ", ".\n", "! "];
            assert!(ends.iter().any(|end| before.ends_with(end)), "{before}");
            assert!(after.starts_with([' ', '\n']), "{after}");
            assert!(last < Some(*needle_at_token), "depth {depth}");
            last = Some(*needle_at_token);
            let share = 100 * needle_at_token / prompt.context_tokens.len();
            assert!(
                share.abs_diff(depth as usize) <= 14,
                "depth {depth}: {share}"
            );
        }
    }
}

#[test]
fn the_wording_is_that_of_ruler() {
    let model = tiny();
    let raw = NeedleOptions {
        style: PromptStyle::Raw,
        ..NeedleOptions::default()
    };
    let prompt = raw.prompt(&model, &Haystack::Noise, 700, 50, 0).unwrap();
    let key = &prompt.key;
    assert!(prompt.context.starts_with(
        "A special magic number is hidden within the following text. Make sure to memorize it. I \
         will quiz you about the number afterwards.\nThe grass is green. The sky is blue. The sun \
         is yellow. Here we go. There and back again.\n"
    ));
    assert!(prompt.context.ends_with('\n'));
    assert_eq!(
        prompt.question,
        format!(
            "What is the special magic number for {key} mentioned in the provided text? The \
             special magic number for {key} mentioned in the provided text is"
        )
    );
    assert!(prompt.value.len() == 7 && prompt.value.bytes().all(|byte| byte.is_ascii_digit()));
    let tokenizer = model.tokenizer();
    assert_eq!(prompt.context_tokens[0], tokenizer.bos().unwrap());
    assert_eq!(
        tokenizer.decode(&prompt.gold_tokens).unwrap(),
        format!(" {}", prompt.value)
    );

    let chat = NeedleOptions {
        style: PromptStyle::Chat,
        ..raw.clone()
    };
    let prompt = chat.prompt(&model, &Haystack::Noise, 700, 50, 0).unwrap();
    assert!(
        prompt
            .context
            .starts_with("<|bos|><|im_start|>user\nA special magic number")
    );
    let turn = "mentioned in the provided text?<|im_end|>\n<|im_start|>assistant\nThe special";
    assert!(prompt.question.contains(turn), "{}", prompt.question);
    assert!(!prompt.context.contains("What is the special"));

    let aware = NeedleOptions {
        query_aware: true,
        ..chat
    };
    let prompt = aware.prompt(&model, &Haystack::Noise, 700, 50, 0).unwrap();
    assert!(prompt.context.ends_with("mentioned in the provided text?"));
    assert!(prompt.question.starts_with("<|im_end|>"));
}

#[test]
fn any_cell_can_be_made_alone() {
    let model = tiny();
    let make = |seed, length, depth, sample| {
        let options = NeedleOptions {
            seed,
            ..NeedleOptions::default()
        };
        options
            .prompt(&model, &text(), length, depth, sample)
            .unwrap()
    };
    let base = make(1, 600, 50, 0);
    assert_eq!(base, make(1, 600, 50, 0));
    for other in [
        make(2, 600, 50, 0),
        make(1, 601, 50, 0),
        make(1, 600, 51, 0),
        make(1, 600, 50, 1),
    ] {
        assert_ne!(base.value, other.value);
    }
    // The grid around a cell does not change it.
    let model = tiny_long("needle-alone");
    let result = |lengths: &[usize], depths: &[u32]| {
        let options = NeedleOptions {
            lengths_tokens: lengths.into(),
            depths_percent: depths.into(),
            max_new_tokens: 3,
            ..NeedleOptions::default()
        };
        run(&model, &options, &mut exact(&model))
    };
    let (grid, alone) = (result(&[500, 600], &[0, 50]), result(&[600], &[50]));
    assert_eq!(grid.samples[3], alone.samples[0]);
    assert_eq!(
        (grid.cells.len(), grid.samples.len(), grid.accuracy.trials),
        (4, 4, 4)
    );
}

fn run(
    model: &Model,
    options: &NeedleOptions,
    cache: &mut dyn smartkv_core::KvHook,
) -> NeedleResult {
    needles(model, options, &text(), &mut Unwatched(cache), &NoProgress)
        .expect("the tiny model can be asked")
        .0
}

fn small() -> NeedleOptions {
    NeedleOptions {
        lengths_tokens: vec![520],
        depths_percent: vec![20, 80],
        samples: 2,
        max_new_tokens: 4,
        prefill_chunk: 100,
        ..NeedleOptions::default()
    }
}

#[test]
fn results_repeat_and_see_the_compressed_context() {
    let model = tiny_long("needle-repeat");
    let small = NeedleOptions {
        depths_percent: vec![20],
        samples: 1,
        ..small()
    };
    let plain = run(&model, &small, &mut exact(&model));
    assert_eq!(plain, run(&model, &small, &mut exact(&model)));
    assert!(plain.chat_template && plain.haystack == "mill");
    let gold = |result: &NeedleResult| result.gold_log_prob_per_token_nats.unwrap();
    let same = run(&model, &small, &mut SpoilsLater::new(&model, Grid(0.0)));
    assert!((gold(&plain) - gold(&same)).abs() < 1e-4);
    let spoilt = run(&model, &small, &mut SpoilsLater::new(&model, Grid(1.0)));
    assert!((gold(&plain) - gold(&spoilt)).abs() > 1e-3);
    let json = serde_json::to_string(&plain).unwrap();
    assert!(json.contains("\"haystack\":\"mill\"") && !json.contains("seconds"));
}

#[test]
fn the_context_is_compressed_before_the_question_is_seen() {
    let model = tiny_long("needle-order");
    let mut cache = exact(&model);
    let mut steps = Vec::new();
    let mut watched = Watched::new(&mut cache, |_, step| {
        steps.push((step.unit, step.phase, step.tokens));
    });
    let told = Told::default();
    let options = NeedleOptions {
        samples: 1,
        ..small()
    };
    let (result, timing) = needles(&model, &options, &text(), &mut watched, &told).unwrap();
    let sample = &result.samples[0];
    let first: Vec<_> = steps.iter().filter(|step| step.0 == 0).collect();
    let of = |phase| -> usize { first.iter().filter(|s| s.1 == phase).map(|s| s.2).sum() };
    assert_eq!(of(Phase::Prefill), sample.context_tokens);
    assert_eq!(
        of(Phase::Question),
        sample.prompt_tokens - sample.context_tokens
    );
    assert_eq!(
        first
            .iter()
            .filter(|step| step.1 == Phase::Question)
            .count(),
        1
    );
    assert!(of(Phase::Decode) < 4);
    let phases: Vec<_> = first.iter().map(|step| step.1 as u8).collect();
    assert!(phases.is_sorted(), "{phases:?}");
    assert_eq!(timing.prefill[0].tokens, sample.prompt_tokens);
    assert_eq!(
        (*told.total.borrow(), *told.advanced.borrow()),
        (1040, 1040)
    );
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let model = tiny();
    let error = |options: &NeedleOptions, haystack: &Haystack| {
        let mut cache = exact(&model);
        let result = needles(
            &model,
            options,
            haystack,
            &mut Unwatched(&mut cache),
            &NoProgress,
        );
        result.map(|_| ()).unwrap_err().to_string()
    };
    let short = NeedleOptions {
        lengths_tokens: vec![200],
        ..small()
    };
    let message = error(&short, &text());
    assert!(message.starts_with("a needle prompt of 200 tokens is too short: the least is "));
    let long = NeedleOptions {
        lengths_tokens: vec![257],
        ..small()
    };
    assert!(error(&long, &text()).contains("the model's context holds 256"));
    let empty = Haystack::Text {
        name: "nothing".into(),
        text: String::new(),
    };
    assert_eq!(
        error(&short, &empty),
        "haystack = nothing: expected a text that has a sentence"
    );
    assert!(
        error(
            &NeedleOptions {
                samples: 0,
                ..small()
            },
            &text()
        )
        .starts_with("samples = 0")
    );
}
