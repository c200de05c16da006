//! L-Eval: questions that share a document.

use super::folder::{Folder, folder};
use super::{lines, made, raw, samples, score, shared};
use serde_json::{Value, json};
use smartkv_eval::task::Ask;

fn row(instructions: &Value, outputs: &Value, evaluation: &str) -> Value {
    json!({"instructions": instructions, "outputs": outputs, "input": "A document. ".repeat(60),
        "source": "x", "evaluation": evaluation})
}

fn data(name: &str, rows: &[Value]) -> (tempfile::TempDir, Value) {
    let dir = folder(&[(&format!("{name}.jsonl"), &lines(rows))]);
    let config =
        json!({"type": "leval", "data": dir.path().display().to_string(), "datasets": [name]});
    (dir, config)
}

#[test]
fn questions_of_a_row_share_its_document() {
    let Some(dir) = shared("leval") else {
        return;
    };
    for (name, rouge) in [
        ("multidoc_qa", false),
        ("scientific_qa", false),
        ("tv_show_summ", true),
    ] {
        let text = std::fs::read_to_string(dir.join(format!("{name}.jsonl"))).unwrap();
        let rows = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let rows: Vec<Value> = rows.take(3).collect();
        let config = json!({"type": "leval", "data": dir.display().to_string(),
            "datasets": [name], "max_new_tokens": 64});
        let task = made(&config);
        let cx = raw(&Folder, 1500);
        let part = &task.parts(&cx).unwrap()[0];
        let mut samples = task.samples(part, &cx).unwrap().map(Result::unwrap);
        for row in &rows {
            if !matches!(row["evaluation"].as_str(), Some("exam" | "f1" | "rouge")) {
                continue;
            }
            let instructions = row["instructions"].as_array().unwrap();
            let own: Vec<_> = samples.by_ref().take(instructions.len()).collect();
            for (sample, (instruction, output)) in own
                .iter()
                .zip(instructions.iter().zip(row["outputs"].as_array().unwrap()))
            {
                assert_eq!(sample.context, own[0].context);
                assert!(row["input"].as_str().unwrap().starts_with(&sample.context));
                let question = format!("\n\n{}", instruction.as_str().unwrap());
                assert_eq!(sample.question, question);
                assert_eq!(json!(sample.answers[0]), *output);
                assert!(cx.tokens(sample).unwrap() <= 1500);
                let own = score(task.as_ref(), part, sample, &sample.answers[0]);
                assert!((own - 1.0).abs() < 1e-9, "{name}: {own}");
                assert_eq!(score(task.as_ref(), part, sample, ""), 0.0);
            }
            assert_eq!(
                own[0].meta.contains_key("truncated"),
                own[0].context.len() < 12_000
            );
        }
        assert_eq!(part.metric.starts_with("ROUGE"), rouge);
    }
}

#[test]
fn code_keeps_its_end_and_judged_rows_are_left_out() {
    let rows = [
        row(&json!(["a?"]), &json!(["3"]), "human"),
        row(
            &json!(["What does f(3) give?", "b?"]),
            &json!(["3", "4"]),
            "exam",
        ),
    ];
    let (_dir, mut config) = data("codeU", &rows);
    config["max_new_tokens"] = json!(8);
    config["prompt"] = json!("Code:\n{input}\n{instruction} Answer:");
    let cx = raw(&Folder, 100);
    let found = samples(made(&config).as_ref(), "codeU", &cx).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].context, found[1].context);
    assert!(found[0].context.starts_with("Code:\n") && found[0].context.ends_with("document. "));
    assert_eq!(found[1].question, "\nb? Answer:");
    assert!(matches!(
        found[0].ask,
        Ask::Generate {
            max_new_tokens: 8,
            ..
        }
    ));
    assert!(found.iter().all(|sample| cx.tokens(sample).unwrap() <= 100));
}

#[test]
fn faults_are_named() {
    let cx = raw(&Folder, 1000);
    let error = |rows: &[Value]| {
        let (_dir, config) = data("tpo", rows);
        let error = samples(made(&config).as_ref(), "tpo", &cx).unwrap_err();
        error.split_once("tpo.jsonl:1: ").unwrap().1.to_owned()
    };
    let uneven = error(&[row(&json!(["a", "b"]), &json!(["A"]), "exam")]);
    assert_eq!(uneven, "column `outputs`: 1 for 2 of `instructions`");
    let letter = error(&[row(&json!(["a"]), &json!(["none"]), "exam")]);
    assert_eq!(
        letter,
        "column `outputs`: `none` is no answer for exact match of choices"
    );
    let missing = error(&[json!({"instructions": ["a"]})]);
    assert_eq!(missing, "no column `evaluation`; there are `instructions`");
    let all = made(&json!({"type": "leval"}));
    assert_eq!(all.parts(&cx).unwrap().len(), 7);
    let wrong = made(&json!({"type": "leval", "prompt": "{instruction} {input}"}));
    let wrong = wrong.parts(&cx).unwrap_err().to_string();
    assert!(
        wrong.ends_with("expected {input} and then {instruction}"),
        "{wrong}"
    );
}
