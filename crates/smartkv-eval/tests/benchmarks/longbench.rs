//! `LongBench` against its official configuration, rows and scores.

use super::common::{Grid, SpoilsLater, tiny_long};
use super::folder::{Folder, folder};
use super::{MODEL, lines, made, raw, samples, score, shared};
use serde_json::{Map, Value, json};
use smartkv_eval::NoProgress;
use smartkv_eval::task::{
    Ask, Haystack, NoJournal, Part, Sample, Side, TaskCx, TaskOptions, TaskRun,
};
use smartkv_host::template::ChatTemplate;
use std::io::Write as _;
use std::path::Path;

const ALL: [&str; 21] = [
    "narrativeqa",
    "qasper",
    "multifieldqa_en",
    "multifieldqa_zh",
    "hotpotqa",
    "2wikimqa",
    "musique",
    "dureader",
    "gov_report",
    "qmsum",
    "multi_news",
    "vcsum",
    "trec",
    "triviaqa",
    "samsum",
    "lsht",
    "passage_count",
    "passage_retrieval_en",
    "passage_retrieval_zh",
    "lcc",
    "repobench-p",
];

/// Those whose score needs words to be segmented.
const SEGMENTED: [&str; 3] = ["multifieldqa_zh", "dureader", "vcsum"];

/// Configuration files with a prompt for all.
fn config() -> (String, String) {
    let all = |value: Value| {
        ALL.iter()
            .map(|name| ((*name).to_owned(), value.clone()))
            .collect()
    };
    let prompts: Map<String, Value> = all(json!("Read.\n{context}\n{input}\nAnswer:"));
    let lengths: Map<String, Value> = all(json!(16));
    (
        Value::from(prompts).to_string(),
        Value::from(lengths).to_string(),
    )
}

/// A folder with configuration files and one data set.
fn dataset(name: &str, rows: &[Value]) -> tempfile::TempDir {
    let (prompts, lengths) = config();
    folder(&[
        ("config/dataset2prompt.json", &prompts),
        ("config/dataset2maxlen.json", &lengths),
        (&format!("data/{name}.jsonl"), &lines(rows)),
    ])
}

fn row(answers: &Value, length: usize) -> Value {
    json!({"input": "Who?", "context": "It was Ann.", "answers": answers, "length": length,
        "dataset": "x", "language": "en", "all_classes": null, "_id": "id-1"})
}

fn of(dir: &Path, datasets: &[&str]) -> Value {
    json!({"type": "longbench", "data": dir.display().to_string(), "datasets": datasets})
}

/// The official rows of `name` with the official configuration.
fn official(name: &str) -> Option<(Value, Vec<Value>, String, u64)> {
    let dir = shared("longbench")?;
    let rows = std::fs::read_to_string(dir.join(format!("{name}.jsonl"))).unwrap();
    let rows = rows.lines().map(|line| serde_json::from_str(line).unwrap());
    let config = |file: &str| -> Value {
        let text = std::fs::read_to_string(dir.join("config").join(file)).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let prompt = config("dataset2prompt.json")[name]
        .as_str()
        .unwrap()
        .to_owned();
    let length = config("dataset2maxlen.json")[name].as_u64().unwrap();
    Some((of(&dir, &[name]), rows.take(12).collect(), prompt, length))
}

fn filled(prompt: &str, row: &Value) -> String {
    // The context last: it may hold braces.
    let text = |column: &str| row[column].as_str().unwrap();
    prompt
        .replace("{input}", text("input"))
        .replace("{context}", text("context"))
}

#[test]
fn prompts_are_the_official_ones() {
    for name in ["multi_news", "passage_retrieval_zh"] {
        let Some((config, rows, prompt, length)) = official(name) else {
            return;
        };
        let task = made(&config);
        let cx = raw(&Folder, 1 << 20);
        let part = &task.parts(&cx).unwrap()[0];
        let made = task.samples(part, &cx).unwrap();
        for (sample, row) in made.zip(&rows) {
            let sample = sample.unwrap();
            assert_eq!(
                sample.context.clone() + &sample.question,
                filled(&prompt, row)
            );
            assert!(sample.context.ends_with(row["context"].as_str().unwrap()));
            assert!(sample.chat);
            assert_eq!(sample.id, row["_id"]);
            assert_eq!(json!(sample.answers), row["answers"]);
            let most = usize::try_from(length).unwrap();
            let ask = Ask::Generate {
                max_new_tokens: most,
                stop_at_newline: false,
            };
            assert_eq!(sample.ask, ask);
            assert!(sample.meta.get("truncated").is_none());
            let own = sample.answers[0].clone();
            let expected = if name == "multi_news" { 0.999 } else { 1.0 };
            assert!(score(task.as_ref(), part, &sample, &own) >= expected);
            assert_eq!(score(task.as_ref(), part, &sample, ""), 0.0);
        }
    }
}

#[test]
fn long_prompts_keep_both_halves() {
    for name in ["multi_news", "passage_retrieval_zh"] {
        let Some((config, rows, prompt, length)) = official(name) else {
            return;
        };
        let context = 1200;
        let most = context - usize::try_from(length).unwrap();
        let task = made(&config);
        let cx = raw(&Folder, context);
        let part = &task.parts(&cx).unwrap()[0];
        let tokenizer = MODEL.tokenizer();
        let mut cut = 0;
        for (sample, row) in task.samples(part, &cx).unwrap().zip(&rows) {
            let sample = sample.unwrap();
            assert!(cx.tokens(&sample).unwrap() <= context);
            let whole = filled(&prompt, row);
            let tokens = tokenizer.encode(&whole, true).unwrap();
            let text = sample.context.clone() + &sample.question;
            if tokens.len() <= most {
                assert_eq!(text, whole);
                continue;
            }
            cut += 1;
            assert_eq!(sample.meta["truncated"], true);
            let halves = |most: usize| {
                let half = most / 2;
                tokenizer.decode(&tokens[..half]).unwrap()
                    + &tokenizer.decode(&tokens[tokens.len() - half..]).unwrap()
            };
            // A few tokens less where context and question take more apart than together.
            assert!((most - 6..=most).any(|most| text == halves(most)), "{name}");
            let after = prompt.split_once("{context}").unwrap().1;
            let question = after.replace("{input}", row["input"].as_str().unwrap());
            assert_eq!(sample.question, question);
        }
        assert!(cut > 0, "{name}");
    }
}

#[test]
fn the_published_archive_is_read_as_it_is() {
    let (prompts, lengths) = config();
    let dir = folder(&[
        ("config/dataset2prompt.json", &prompts),
        ("config/dataset2maxlen.json", &lengths),
    ]);
    let file = std::fs::File::create(dir.path().join("data.zip")).unwrap();
    let mut archive = zip::ZipWriter::new(file);
    let options = zip::write::SimpleFileOptions::default();
    archive.start_file("data/qasper.jsonl", options).unwrap();
    let rows = lines(&[row(&json!(["Ann"]), 3), json!({"input": "Who?"})]);
    archive.write_all(rows.as_bytes()).unwrap();
    archive.finish().unwrap();
    let task = made(&of(dir.path(), &["qasper"]));
    let cx = raw(&Folder, 100);
    let parts = task.parts(&cx).unwrap();
    let read: Vec<_> = task.samples(&parts[0], &cx).unwrap().collect();
    assert_eq!(read[0].as_ref().unwrap().context, "Read.\nIt was Ann.");
    let error = read[1].as_ref().unwrap_err().to_string();
    let fault = "data.zip!data/qasper.jsonl:2: no column `length`; there are `input`";
    assert!(error.ends_with(fault), "{error}");
}

#[test]
fn a_question_longer_than_what_is_left_is_cut_itself() {
    let long = json!({"input": "word ".repeat(300), "context": "It was Ann.", "answers": ["Ann"],
        "length": 3, "all_classes": null});
    let dir = dataset("qasper", &[long]);
    let task = made(&of(dir.path(), &["qasper"]));
    let cx = raw(&Folder, 116);
    let sample = &samples(task.as_ref(), "qasper", &cx).unwrap()[0];
    assert!(cx.tokens(sample).unwrap() <= 116);
    assert!(
        sample.context.starts_with("Read.\nIt was Ann."),
        "{}",
        sample.context
    );
    assert!(
        sample.question.ends_with("word \nAnswer:"),
        "{}",
        sample.question
    );
    let error = samples(task.as_ref(), "qasper", &raw(&Folder, 16)).unwrap_err();
    assert!(error.contains("the model's context holds 16"), "{error}");
}

#[test]
fn data_sets_are_treated_as_their_programs_do() {
    let dir = dataset("samsum", &[row(&json!(["A summary."]), 10)]);
    let task = made(&of(dir.path(), &["samsum"]));
    let cx = raw(&Folder, 1000);
    let sample = &samples(task.as_ref(), "samsum", &cx).unwrap()[0];
    assert!(!sample.chat);
    let ask = Ask::Generate {
        max_new_tokens: 16,
        stop_at_newline: true,
    };
    assert_eq!(sample.ask, ask);
    // English and code by default, and those of LongBench-E.
    let names = |config: &Value| {
        let parts = made(config).parts(&cx).unwrap();
        parts.into_iter().map(|part| part.name).collect::<Vec<_>>()
    };
    let usual = names(&of(dir.path(), &[]));
    assert_eq!(usual.len(), 16);
    assert!(
        usual
            .iter()
            .all(|name| !name.ends_with("_zh") && name != "lsht")
    );
    let mut extended = of(dir.path(), &[]);
    extended["extended"] = json!(true);
    let extended = names(&extended);
    assert_eq!(extended.len(), 3 * 13);
    assert_eq!(extended[0..3], ["qasper 0-4k", "qasper 4-8k", "qasper 8k+"]);
}

#[test]
fn the_extended_benchmark_is_cut_by_length() {
    let rows = [1, 3999, 4000, 7999, 8000, 9000].map(|length| row(&json!(["Ann"]), length));
    let dir = dataset("qasper_e", &rows);
    let mut config = of(dir.path(), &["qasper"]);
    config["extended"] = json!(true);
    let task = made(&config);
    let cx = raw(&Folder, 1000);
    for (name, lengths) in [
        ("qasper 0-4k", [1, 3999]),
        ("qasper 4-8k", [4000, 7999]),
        ("qasper 8k+", [8000, 9000]),
    ] {
        let samples = samples(task.as_ref(), name, &cx).unwrap();
        let found: Vec<&Value> = samples
            .iter()
            .map(|sample| &sample.meta["length"])
            .collect();
        assert_eq!(found, lengths.map(Value::from).iter().collect::<Vec<_>>());
    }
    config["datasets"] = json!(["narrativeqa"]);
    let error = made(&config).parts(&cx).unwrap_err().to_string();
    assert!(
        error.starts_with("datasets = narrativeqa: expected one of qasper, "),
        "{error}"
    );
}

#[test]
fn every_data_set_has_its_metric() {
    let dir = dataset("trec", &[]);
    let classes = json!(["Food", "Other food", "City"]);
    for (name, text, answers, expected) in [
        (
            "narrativeqa",
            "the green cat",
            &["A cat", "dog"][..],
            2.0 / 3.0,
        ),
        ("qasper", "Yes.", &["no", "yes"], 1.0),
        ("multifieldqa_en", "in Paris", &["Paris"], 2.0 / 3.0),
        ("hotpotqa", "Ann", &["Bob"], 0.0),
        ("2wikimqa", "Ann B.", &["ann b"], 1.0),
        ("musique", "1999", &["In 1999"], 2.0 / 3.0),
        (
            "gov_report",
            "the cat sat on the mat",
            &["the cat was on the mat"],
            0.8,
        ),
        ("qmsum", "THE CAT", &["the cat"], 0.0),
        ("multi_news", "the cat", &["the cat"], 1.0),
        ("trec", "\n Other food\nType: City", &["Other food"], 1.0),
        ("trec", "Other food or City", &["Other food"], 0.5),
        ("trec", "\nQuestion: City\nCity", &["Food"], 0.0),
        ("triviaqa", "\nAnn\nPassage:", &["Ann"], 1.0),
        ("samsum", "Ann came.\nDialogue: no", &["Ann came."], 1.0),
        ("lsht", "City\nFood", &["City"], 1.0),
        ("passage_count", "There are 7, or 8.", &["7"], 0.5),
        (
            "passage_retrieval_en",
            "Paragraph 12",
            &["Paragraph 12"],
            1.0,
        ),
        (
            "passage_retrieval_en",
            "Paragraph 1",
            &["Paragraph 12"],
            0.0,
        ),
        ("passage_retrieval_zh", "段落3", &["段落3"], 1.0),
        ("lcc", "\n# a comment\nx = 1\ny = 2", &["x = 1"], 1.0),
        ("repobench-p", "```\nabcd", &["abce"], 0.75),
    ] {
        let task = made(&of(dir.path(), &[name]));
        let part = &task.parts(&raw(&Folder, 100)).unwrap()[0];
        let mut sample = Sample::generate(1);
        sample.answers = answers.iter().map(|&answer| answer.into()).collect();
        sample.meta.insert("all_classes".into(), classes.clone());
        let scored = score(task.as_ref(), part, &sample, text);
        assert!((scored - expected).abs() < 1e-8, "{name}: {text}: {scored}");
        assert_eq!(score(task.as_ref(), part, &sample, ""), 0.0, "{name}");
    }
}

#[test]
fn chinese_words_need_their_feature() {
    let (dir, cx) = (dataset("x", &[]), raw(&Folder, 100));
    for name in ALL {
        let parts = made(&of(dir.path(), &[name])).parts(&cx);
        if SEGMENTED.contains(&name) && cfg!(not(feature = "chinese")) {
            let error = parts.unwrap_err().to_string();
            assert!(error.contains("the feature `chinese`"), "{error}");
            continue;
        }
        let part: Part = parts.unwrap().remove(0);
        if SEGMENTED.contains(&name) {
            let mut sample = Sample::generate(1);
            sample.answers = vec!["厦门大学。".into()];
            let task = made(&of(dir.path(), &[name]));
            let scored = score(task.as_ref(), &part, &sample, "厦门大学。");
            assert!(scored > 0.999, "{name}: {scored}");
        }
    }
}

#[test]
fn faults_of_rows_name_file_line_and_column() {
    let cx = raw(&Folder, 1000);
    let error = |name: &str, row_2: &Value| {
        let dir = dataset(name, &[row(&json!(["Paragraph 1"]), 1), row_2.clone()]);
        let task = made(&of(dir.path(), &[name]));
        let parts = task.parts(&cx).unwrap();
        let read: Vec<_> = task.samples(&parts[0], &cx).unwrap().collect();
        assert_eq!(read.len(), 2);
        let error = read[1].as_ref().unwrap_err().to_string();
        let (file, reason) = error.split_once(&format!("{name}.jsonl:2: ")).unwrap();
        assert!(file.ends_with("data/"), "{error}");
        reason.to_owned()
    };
    let mut renamed = row(&json!(["x"]), 1);
    let context = renamed.as_object_mut().unwrap().remove("context").unwrap();
    renamed["document"] = context;
    let reason = error("qasper", &renamed);
    assert!(
        reason.starts_with("no column `context`; there are `input`, "),
        "{reason}"
    );
    let reason = error("qasper", &row(&json!([]), 1));
    assert_eq!(reason, "column `answers`: an empty list");
    let reason = error("passage_retrieval_en", &row(&json!(["12"]), 1));
    assert_eq!(
        reason,
        "column `answers`: `12`: expected `Paragraph ` and a number"
    );
    assert_eq!(
        error("qasper", &json!(3)),
        "expected an object of columns, found a number"
    );
}

#[test]
fn the_configuration_is_asked_for_by_its_files() {
    let cx = raw(&Folder, 1000);
    let dir = folder(&[("data/qasper.jsonl", "")]);
    let error = made(&of(dir.path(), &["qasper"])).parts(&cx).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("LongBench needs dataset2prompt.json and dataset2maxlen.json"),
        "{text}"
    );
    assert!(error.hints()[0].contains("https://github.com/THUDM/LongBench"));
    // Elsewhere than the data, and wrong in one entry.
    let (prompts, _) = config();
    let elsewhere = folder(&[
        ("dataset2prompt.json", &prompts),
        ("dataset2maxlen.json", r#"{"qasper": "many"}"#),
    ]);
    let mut config = of(dir.path(), &["qasper"]);
    config["config"] = json!(elsewhere.path().display().to_string());
    let text = made(&config).parts(&cx).unwrap_err().to_string();
    assert!(
        text.ends_with("dataset2maxlen.json: `qasper`: expected a number of tokens"),
        "{text}"
    );
}

#[test]
fn the_official_configuration_knows_all() {
    let Some(dir) = shared("longbench") else {
        return;
    };
    let known = ALL
        .iter()
        .filter(|name| cfg!(feature = "chinese") || !SEGMENTED.contains(name));
    let known: Vec<&str> = known.copied().collect();
    let parts = made(&of(&dir, &known)).parts(&raw(&Folder, 100)).unwrap();
    assert_eq!(parts.len(), known.len());
}

#[test]
fn a_chat_template_has_its_room() {
    let Some((config, rows, prompt, length)) = official("multi_news") else {
        return;
    };
    let source = "System: be brief, and say so.\n\nUser: {{ messages[0].content }}\nAssistant:";
    let template = ChatTemplate::new(source, "", "");
    let context = 1200;
    let cx = TaskCx {
        template: Some(&template),
        ..raw(&Folder, context)
    };
    let task = made(&config);
    let part = &task.parts(&cx).unwrap()[0];
    let tokenizer = MODEL.tokenizer();
    for (sample, row) in task.samples(part, &cx).unwrap().zip(&rows) {
        let sample = sample.unwrap();
        let needed = cx.tokens(&sample).unwrap();
        assert!(needed <= context);
        let whole = filled(&prompt, row);
        let count = tokenizer.encode(&whole, true).unwrap().len();
        let length = usize::try_from(length).unwrap();
        if count + length <= context - 40 {
            assert_eq!(sample.context.clone() + &sample.question, whole);
        } else if count + length > context {
            assert!(needed >= context - 8, "{needed}");
        }
    }
}

#[test]
fn a_run_names_data_and_configuration() {
    let rows = [row(&json!(["Ann"]), 3), row(&json!(["Bob", "Ann"]), 3)];
    let dir = dataset("hotpotqa", &rows);
    let model = tiny_long("benchmarks-longbench");
    let task = made(&of(dir.path(), &["hotpotqa"]));
    let run = TaskRun {
        model: &model,
        task: task.as_ref(),
        options: &TaskOptions::default(),
        data: &Folder,
        haystack: &Haystack::default(),
        exact_prefill: false,
    };
    let side = |name: &str, step| Side {
        name: name.into(),
        cache: Box::new(SpoilsLater::new(&model, Grid(step))),
    };
    let mut sides = [side("f16", 0.0), side("spoilt", 4.0)];
    let (result, _) = run.run(&mut sides, &mut NoJournal, &NoProgress).unwrap();
    let names: Vec<&str> = result
        .sources
        .iter()
        .map(|source| source.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "dataset2maxlen.json",
            "dataset2prompt.json",
            "hotpotqa.jsonl"
        ]
    );
    assert_eq!(result.samples.len(), 2);
    assert!(result.samples.iter().all(|sample| sample.control.is_some()));
    let forced = result.samples[0].attempts[1].forced.unwrap();
    assert!(forced.tokens > 0 && forced.kl_nats.unwrap() > 0.0);
    // Equal inputs, equal results.
    let again = run.run(&mut sides, &mut NoJournal, &NoProgress).unwrap().0;
    assert_eq!(result, again);
}
