//! Questions out of a user's own file.

use super::folder::{Folder, folder};
use super::{lines, made, raw, samples, score};
use serde_json::{Value, json};
use smartkv_eval::task::{Ask, Part, Sample};

fn row() -> Value {
    json!({"context": "It was Ann.", "question": "\nWho?", "answer_prefix": " It was",
        "answer": ["Ann", "Ann B."], "max_new_tokens": 5, "task": "who"})
}

fn file(rows: &[Value]) -> (tempfile::TempDir, Value) {
    let dir = folder(&[("mine.jsonl", &lines(rows))]);
    let path = dir.path().join("mine.jsonl");
    (
        dir,
        json!({"type": "file", "data": path.display().to_string()}),
    )
}

#[test]
fn rows_are_those_of_kvpress() {
    let plain = json!({"context": "c", "question": "q", "answer": "a"});
    let (_dir, config) = file(&[row(), plain]);
    let found = samples(made(&config).as_ref(), "", &raw(&Folder, 1000)).unwrap();
    let first = &found[0];
    assert_eq!(
        (first.context.as_str(), first.question.as_str()),
        ("It was Ann.", "\nWho?")
    );
    assert_eq!(first.answer_prefix, " It was");
    assert_eq!(first.answers, ["Ann", "Ann B."]);
    assert!(matches!(
        first.ask,
        Ask::Generate {
            max_new_tokens: 5,
            ..
        }
    ));
    assert!(matches!(
        found[1].ask,
        Ask::Generate {
            max_new_tokens: 64,
            ..
        }
    ));
    assert_eq!(
        (found[1].answer_prefix.as_str(), found[1].id.as_str()),
        ("", "2")
    );
}

#[test]
fn columns_may_have_other_names_and_divide_the_rows() {
    let mut other = row();
    other["task"] = json!(2);
    other["text"] = other["context"].take();
    let mut same = row();
    same["text"] = json!("Else.");
    let (_dir, mut config) = file(&[same, other]);
    config["context"] = json!("text");
    config["part"] = json!("task");
    let task = made(&config);
    let cx = raw(&Folder, 1000);
    let parts = task.parts(&cx).unwrap();
    let named: Vec<_> = parts
        .iter()
        .map(|part| (part.name.as_str(), part.samples))
        .collect();
    assert_eq!(named, [("who", Some(1)), ("2", Some(1))]);
    assert_eq!(
        samples(task.as_ref(), "2", &cx).unwrap()[0].context,
        "It was Ann."
    );
    // What is asked for by name must be there; the usual names may be absent.
    config["max_new_tokens"] = json!("length");
    let error = samples(made(&config).as_ref(), "2", &cx).unwrap_err();
    assert!(
        error.contains("mine.jsonl:2: no column `length`; there are "),
        "{error}"
    );
}

#[test]
fn metrics_are_chosen_by_name() {
    for (metric, text, expected) in [
        ("f1", "ann b", 1.0),
        ("f1", "", 0.0),
        ("exact_match", "The Ann!", 1.0),
        ("rouge_l", "ann c", 0.5),
        ("contains_all", "It was ann", 0.5),
        ("contains_any", "It was ann", 1.0),
        ("choice", "(A)", 0.0),
        ("edit_similarity", " Ann", 1.0),
    ] {
        let (_dir, mut config) = file(&[row()]);
        config["metric"] = json!(metric);
        let task = made(&config);
        let part = &task.parts(&raw(&Folder, 100)).unwrap()[0];
        let mut sample = Sample::generate(1);
        sample.answers = vec!["Ann".into(), "Ann B.".into()];
        if metric == "rouge_l" {
            sample.answers.truncate(1);
            assert!((score(task.as_ref(), part, &sample, text) - 2.0 / 3.0).abs() < 1e-12);
            continue;
        }
        assert_eq!(
            score(task.as_ref(), part, &sample, text),
            expected,
            "{metric}: {text}"
        );
    }
    let (_dir, mut config) = file(&[row()]);
    config["metric"] = json!("choice");
    let error = samples(made(&config).as_ref(), "", &raw(&Folder, 100)).unwrap_err();
    assert!(
        error.ends_with("mine.jsonl:1: column `answer`: no letter in `Ann`"),
        "{error}"
    );
}

#[test]
fn long_contexts_are_cut_or_refused() {
    let mut long = row();
    let numbers = (0..300)
        .map(|n| format!("{n} "))
        .collect::<Vec<_>>()
        .concat();
    long["context"] = json!(numbers);
    let (_dir, mut config) = file(&[long]);
    let cx = raw(&Folder, 128);
    for (how, last) in [("cut_end", false), ("cut_middle", true)] {
        config["too_long"] = json!(how);
        let sample = &samples(made(&config).as_ref(), "", &cx).unwrap()[0];
        assert!((120..=128).contains(&cx.tokens(sample).unwrap()));
        assert!(sample.context.starts_with("0 1 2 "));
        assert_eq!(sample.context.contains("299"), last);
        assert_eq!(sample.meta["truncated"], true);
    }
    config["too_long"] = json!("refuse");
    let error = samples(made(&config).as_ref(), "", &cx).unwrap_err();
    assert!(
        error.contains("mine.jsonl:1: ") && error.contains("context holds 128"),
        "{error}"
    );
    let none = made(&json!({"type": "file"}))
        .samples(&Part::default(), &cx)
        .err()
        .unwrap();
    assert_eq!(
        none.to_string(),
        "data = (empty): expected the file with the questions"
    );
}
