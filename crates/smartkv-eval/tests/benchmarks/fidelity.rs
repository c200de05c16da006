//! Text beside the exact cache's, and what a run records of its data.

use super::common::{Grid, SpoilsLater, prose, tiny_long};
use super::folder::{Folder, folder};
use super::{lines, made, raw, samples, shared};
use serde_json::{Value, json};
use smartkv_eval::NoProgress;
use smartkv_eval::task::{
    Answer, Haystack, NoJournal, Part, Sample, Side, TaskCx, TaskOptions, TaskRun,
};
use smartkv_host::Model;
use smartkv_host::template::ChatTemplate;

fn config(data: &str) -> Value {
    json!({"type": "rouge_fidelity", "data": data, "samples": 4, "max_new_tokens": 12})
}

#[test]
fn prompts_are_the_two_of_alpaca() {
    for file in [
        "alpaca/alpaca_slice_2000.json",
        "alpaca/alpaca_libre_tasks_v1_cc0.jsonl",
    ] {
        let Some(path) = shared(file) else {
            return;
        };
        let mut config = config(&path.display().to_string());
        config["samples"] = json!(60);
        let found = samples(made(&config).as_ref(), "", &raw(&Folder, 1024)).unwrap();
        assert_eq!(found.len(), 60);
        let (with, without): (Vec<&Sample>, Vec<&Sample>) = found
            .iter()
            .partition(|sample| sample.context.contains("\n\n### Input:\n"));
        assert!(!with.is_empty() && !without.is_empty());
        for (samples, paired) in [(with, true), (without, false)] {
            for Sample {
                context, question, ..
            } in samples
            {
                let says = "Below is an instruction that describes a task, paired with an input";
                assert_eq!(context.starts_with(says), paired);
                assert!(context.ends_with("\n\n### Response:") && question.is_empty());
            }
        }
    }
    // In a chat template there is nothing around them.
    let rows = [
        json!({"instruction": "Add.", "input": "1, 2"}),
        json!({"instruction": "Go."}),
    ];
    let dir = folder(&[("mine.jsonl", &lines(&rows))]);
    let path = dir.path().join("mine.jsonl").display().to_string();
    let template = ChatTemplate::new("<u>{{ messages[0].content }}<a>", "", "");
    let chat = TaskCx {
        template: Some(&template),
        ..raw(&Folder, 100)
    };
    let found = samples(made(&config(&path)).as_ref(), "", &chat).unwrap();
    let texts: Vec<&str> = found.iter().map(|sample| sample.context.as_str()).collect();
    assert_eq!(texts, ["Add.\n\n1, 2", "Go."]);
    let error = samples(made(&config(&path)).as_ref(), "", &raw(&Folder, 20)).unwrap_err();
    assert!(
        error.starts_with("instruction 1 and its answer needs "),
        "{error}"
    );

    let dir = folder(&[("x.jsonl", "{\"prompt\": \"no\"}\n")]);
    let path = dir.path().join("x.jsonl").display().to_string();
    let error = samples(made(&config(&path)).as_ref(), "", &raw(&Folder, 100)).unwrap_err();
    assert!(
        error.ends_with("x.jsonl:1: no column `instruction`; there are `prompt`"),
        "{error}"
    );
}

#[test]
fn an_answer_is_scored_beside_the_reference() {
    let task = made(&config("x"));
    let answer = |text: &str, tokens: &[u32]| Answer {
        text: text.into(),
        tokens: tokens.to_vec(),
        ..Answer::default()
    };
    let reference = answer("one two three", &[1, 2, 3]);
    let (part, sample) = (Part::default(), Sample::generate(3));
    let score = |own: &Answer, other| task.score_against(&part, &sample, own, other).unwrap();
    let same = score(&reference, Some(&reference));
    assert_eq!((same.value, same.details["exact_match"]), (1.0, 1.0));
    assert!(!same.details.contains_key("first_divergence"));
    let other = score(
        &answer("one two four five", &[1, 2, 4, 5]),
        Some(&reference),
    );
    assert!((other.value - 4.0 / 7.0).abs() < 1e-12);
    assert_eq!(other.details["exact_match"], 0.0);
    assert_eq!(other.details["common_prefix_tokens"], 2.0);
    assert_eq!(other.details["first_divergence"], 2.0);
    assert_eq!(score(&answer("", &[]), Some(&reference)).value, 0.0);
    let letterless = answer("你好", &[7]);
    assert_eq!(score(&letterless, Some(&letterless)).value, 1.0);
    assert_eq!(score(&reference, None).value, 0.0);
}

fn side(model: &Model, name: &str, step: f32) -> Side {
    Side {
        name: name.into(),
        cache: Box::new(SpoilsLater::new(model, Grid(step))),
    }
}

#[test]
fn the_reference_is_the_measure_and_sources_are_recorded() {
    let model = tiny_long("benchmarks-fidelity");
    let rows: Vec<Value> = (0..6)
        .map(|n| json!({"instruction": format!("{n} {}", prose(1)), "input": "", "output": "x"}))
        .collect();
    let dir = folder(&[("mine.jsonl", &lines(&rows))]);
    let root = dir.path().join("mine.jsonl").display().to_string();
    let task = made(&config(&root));
    let run = TaskRun {
        model: &model,
        task: task.as_ref(),
        options: &TaskOptions::default(),
        data: &Folder,
        haystack: &Haystack::default(),
        exact_prefill: false,
    };
    let mut sides = [
        side(&model, "f16", 0.0),
        side(&model, "same", 0.0),
        side(&model, "spoilt", 4.0),
    ];
    let (result, _) = run.run(&mut sides, &mut NoJournal, &NoProgress).unwrap();
    let scores: Vec<f64> = result
        .overall
        .sides
        .iter()
        .map(|side| side.score.mean)
        .collect();
    assert_eq!(scores[..2], [1.0, 1.0]);
    assert!(scores[2] < 1.0, "{scores:?}");
    assert!(result.overall.control.is_none());
    assert_eq!(result.samples.len(), 4);
    for sample in &result.samples {
        let [own, same, spoilt] = &sample.attempts[..] else {
            panic!("three caches");
        };
        assert_eq!(own.text, same.text);
        assert_eq!(
            spoilt.details.contains_key("first_divergence"),
            spoilt.text != own.text
        );
        assert_eq!(own.details["exact_match"], 1.0);
    }
    let [source] = &result.sources[..] else {
        panic!("one source: {:?}", result.sources);
    };
    assert_eq!(
        (source.name.as_str(), source.sha256.as_str()),
        ("mine.jsonl", "5eed")
    );
    assert_eq!(source.data, root);
    let record = serde_json::to_value(&result).unwrap();
    assert_eq!(record["sources"][0]["name"], "mine.jsonl");
}
