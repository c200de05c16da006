//! `ZeroSCROLLS`: where prompts are cut, what is left out, and scores.

use super::folder::{Folder, folder};
use super::{lines, made, raw, samples, score, shared};
use serde_json::{Value, json};
use smartkv_eval::task::{Sample, TaskCx};
use smartkv_host::template::ChatTemplate;

fn chars(text: &str) -> usize {
    text.chars().count()
}

fn row(id: &str, document: &str, query: &str, output: &str) -> Value {
    let head = "You are given a text – answer.\n\n";
    let (before, after) = ("\n\n", "\n\nAnswer:\n");
    let document_end = chars(head) + chars(document);
    let query_start = document_end + chars(before);
    json!({"id": id, "pid": format!("{id}_0"), "input":
        format!("{head}{document}{before}{query}{after}"), "output": output,
        "document_start_index": chars(head), "document_end_index": document_end,
        "query_start_index": query_start, "query_end_index": query_start + chars(query),
        "truncation_seperator": "... [The rest is omitted]\n\n"})
}

fn data(task: &str, rows: &[Value]) -> (tempfile::TempDir, Value) {
    let dir = folder(&[(&format!("{task}/validation.jsonl"), &lines(rows))]);
    let config =
        json!({"type": "zeroscrolls", "data": dir.path().display().to_string(), "tasks": [task]});
    (dir, config)
}

#[test]
fn prompts_are_cut_at_their_indices() {
    let rows = [
        row("a", "Ann é here.", "Who is?", "Ann"),
        row("b", "Bob.", "Who?", "Bob"),
        row("a", "Ann é here.", "Who is?", "It is Ann"),
    ];
    let (_dir, config) = data("qasper", &rows);
    let cx = raw(&Folder, 1000);
    let found = samples(made(&config).as_ref(), "qasper", &cx).unwrap();
    assert_eq!(found.len(), 2);
    let first = &found[0];
    assert_eq!(
        first.context,
        "You are given a text – answer.\n\nAnn é here."
    );
    assert_eq!(first.question, "\n\nWho is?");
    assert_eq!(first.answer_prefix, "\n\nAnswer:\n");
    // Rows with one id are one sample.
    assert_eq!(first.answers, ["Ann", "It is Ann"]);
    assert_eq!(first.gold.text().map(String::as_str), Some("Ann"));

    // Where an assistant's turn begins, the white space around the prefix goes.
    let template = ChatTemplate::new("{{ messages[0].content }}<a>", "", "");
    let chat = TaskCx {
        template: Some(&template),
        ..cx
    };
    let found = samples(made(&config).as_ref(), "qasper", &chat).unwrap();
    assert_eq!(found[0].answer_prefix, "Answer:");
    assert_eq!(found[0].gold.text().map(String::as_str), Some(" Ann"));
}

#[test]
fn long_documents_lose_their_end_to_a_remark() {
    let Some(path) = shared("qmsum/test.jsonl") else {
        return;
    };
    let text = std::fs::read_to_string(path).unwrap();
    let meetings = text
        .lines()
        .take(3)
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut rows = Vec::new();
    for (index, meeting) in meetings.enumerate() {
        let said = meeting["meeting_transcripts"].as_array().unwrap().iter();
        let said = said.map(|turn| {
            format!(
                "{}: {}\n",
                turn["speaker"].as_str().unwrap(),
                turn["content"].as_str().unwrap()
            )
        });
        let query = &meeting["specific_query_list"][0];
        let (query, answer) = (
            query["query"].as_str().unwrap(),
            query["answer"].as_str().unwrap(),
        );
        rows.push(row(
            &index.to_string(),
            &said.collect::<String>(),
            query,
            answer,
        ));
    }
    let (_dir, config) = data("qmsum", &rows);
    let task = made(&config);
    let cx = raw(&Folder, 2048);
    let found = samples(task.as_ref(), "qmsum", &cx).unwrap();
    for (sample, row) in found.iter().zip(&rows) {
        assert!((1900..=2048).contains(&cx.tokens(sample).unwrap()));
        assert_eq!(sample.meta["truncated"], true);
        let input = row["input"].as_str().unwrap();
        let start = sample
            .context
            .strip_suffix("... [The rest is omitted]\n\n")
            .unwrap();
        assert!(input.starts_with(start) && start.len() > 4000);
        let rest = format!("{}{}", sample.question, sample.answer_prefix);
        assert!(input.ends_with(&rest));
        assert!(!sample.question.starts_with('\n'));
    }
    let parts = task.parts(&cx).unwrap();
    let own = score(task.as_ref(), &parts[0], &found[0], &found[0].answers[0]);
    assert!((own - 1.0).abs() < 1e-9);
}

#[test]
fn every_task_has_its_metric() {
    for (name, text, answers, expected) in [
        ("gov_report", "the cat sat", &["the cat sat"][..], 1.0),
        ("summ_screen_fd", "the cat", &["a dog"], 0.0),
        ("qmsum", "", &["a dog"], 0.0),
        ("squality", "dogs run", &["cats", "dogs run"], 1.0),
        ("qasper", "the cat", &["dog", "cat"], 1.0),
        ("narrative_qa", "a green cat", &["cat"], 2.0 / 3.0),
        ("musique", "", &["cat"], 0.0),
        ("quality", "(B) because", &["B"], 1.0),
        ("quality", "", &["B"], 0.0),
        ("space_digest", "about 60%", &["70%"], 0.5),
        ("space_digest", "many", &["70%"], 0.0),
        ("book_sum_sort", "3, 1, 2", &["3, 2, 1"], 2.0 / 3.0),
        ("book_sum_sort", "3, 1", &["3, 2, 1"], 0.0),
    ] {
        let task = made(&json!({"type": "zeroscrolls", "tasks": [name]}));
        let part = &task.parts(&raw(&Folder, 100)).unwrap()[0];
        let mut sample = Sample::generate(1);
        sample.answers = answers.iter().map(|&answer| answer.into()).collect();
        let scored = score(task.as_ref(), part, &sample, text);
        assert!((scored - expected).abs() < 1e-9, "{name}: {text}: {scored}");
    }
    let all = made(&json!({"type": "zeroscrolls"}));
    assert_eq!(all.parts(&raw(&Folder, 100)).unwrap().len(), 10);
}

#[test]
fn faults_of_rows_are_named() {
    let cx = raw(&Folder, 1000);
    let error = |task: &str, row: Value| {
        let (_dir, config) = data(task, &[row]);
        let error = samples(made(&config).as_ref(), task, &cx).unwrap_err();
        error
            .split_once("validation.jsonl:1: ")
            .unwrap()
            .1
            .to_owned()
    };
    let private = error("qasper", row("a", "x", "y", ""));
    assert!(
        private.contains("column `output`: expected an answer: those of the test"),
        "{private}"
    );
    let letter = error("quality", row("a", "x", "y", "none"));
    assert_eq!(letter, "column `output`: expected a letter A to D");
    let mut beyond = row("a", "x", "y", "z");
    beyond["query_end_index"] = json!(1000);
    let reason = error("qasper", beyond);
    assert_eq!(reason, "column `query_end_index`: 1000 is beyond the input");
    let mut renamed = row("a", "x", "y", "z");
    renamed
        .as_object_mut()
        .unwrap()
        .remove("truncation_seperator");
    let reason = error("qasper", renamed);
    assert!(
        reason.starts_with("no column `truncation_seperator`; there are `id`"),
        "{reason}"
    );
    let (_dir, config) = data("musique", &[row("a", "x", &"long ".repeat(400), "z")]);
    let short = samples(made(&config).as_ref(), "musique", &raw(&Folder, 200)).unwrap_err();
    assert!(short.contains("its query and answer alone need"), "{short}");
}
