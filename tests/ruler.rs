//! RULER's samples with the tokenizer of the default model, fetched if it is not cached.
#![allow(clippy::unwrap_used, reason = "tests")]

use serde_json::json;
use smartkv::assets::{self, Policy, resolve_model, resolve_text};
use smartkv_eval::task::TaskCx;
use smartkv_eval::task::{DataFile, DataSource, NoData, Part};
use smartkv_eval::tasks::{Copy, Ruler};
use smartkv_eval::{EvalError, Haystack, Result, Sample, Task};
use smartkv_host::{LoadOptions, Model};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The default model and the prose needles hide in.
fn given() -> &'static (Model, Haystack) {
    static GIVEN: OnceLock<(Model, Haystack)> = OnceLock::new();
    GIVEN.get_or_init(|| {
        let policy = Policy::from_env();
        let quiet = assets::Progress::Silent;
        let path = resolve_model("smollm2-135m-instruct", &policy, &quiet).unwrap();
        let text = resolve_text("essays", &policy, &quiet).unwrap();
        let haystack = Haystack {
            name: text.source,
            text: text.text,
        };
        (Model::load(path, LoadOptions::default()).unwrap(), haystack)
    })
}

fn cx(data: &dyn DataSource, context_tokens: usize, seed: u64) -> TaskCx<'_> {
    let (model, haystack) = given();
    TaskCx {
        tokenizer: model.tokenizer(),
        template: model.template(),
        context_tokens,
        seed,
        query_aware: false,
        data,
        haystack,
    }
}

/// The first samples of every part.
fn samples(task: &dyn Task, cx: &TaskCx<'_>, most: usize) -> Vec<(Part, Vec<Sample>)> {
    let parts = task.parts(cx).unwrap().into_iter();
    let samples = |part: Part| {
        let samples = task.samples(&part, cx).unwrap().take(most);
        let samples = samples.collect::<Result<Vec<_>>>();
        let samples = samples.unwrap_or_else(|error| panic!("{}: {error}", part.name));
        (part, samples)
    };
    parts.map(samples).collect()
}

/// A folder with questions of our own about real prose, or with the published data where the
/// environment names it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        if let Some(data) = std::env::var_os("SMARTKV_TEST_DATA") {
            return Self(data.into());
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(folder.join("squad")).unwrap();
        std::fs::create_dir_all(folder.join("hotpotqa")).unwrap();
        let words: Vec<&str> = given().1.text.split_whitespace().collect();
        let paragraphs: Vec<String> = words.chunks(60).take(400).map(|c| c.join(" ")).collect();
        let article = |(index, paragraphs): (usize, &[String])| {
            let paragraphs: Vec<_> = paragraphs
                .iter()
                .map(|text| {
                    let answer = text.split(' ').next().unwrap();
                    json!({"context": text, "qas": [{
                        "question": format!("What does paragraph {} begin with?", text.len()),
                        "answers": [{"text": answer}], "is_impossible": false}]})
                })
                .collect();
            json!({"title": format!("article {index}"), "paragraphs": paragraphs})
        };
        let articles: Vec<_> = paragraphs.chunks(20).enumerate().map(article).collect();
        let squad = json!({"version": "v2.0", "data": articles});
        std::fs::write(folder.join("squad/dev-v2.0.json"), squad.to_string()).unwrap();
        let question = |(index, texts): (usize, &[String])| {
            let titles: Vec<String> = (0..texts.len())
                .map(|i| format!("title {index} {i}"))
                .collect();
            let context: Vec<_> = titles
                .iter()
                .zip(texts)
                .map(|(t, p)| json!([t, [p]]))
                .collect();
            let answer = texts[1].split(' ').next().unwrap();
            json!({"question": format!("How does {} begin?", titles[1]), "answer": answer,
                   "supporting_facts": [[titles[1], 0], [titles[2], 0]], "context": context})
        };
        let hotpot: Vec<_> = paragraphs.chunks(10).enumerate().map(question).collect();
        let path = folder.join("hotpotqa/hotpot_dev_distractor_official.json");
        std::fs::write(path, json!(hotpot).to_string()).unwrap();
        Self(folder)
    }
}

impl DataSource for Folder {
    /// The first file of the folder, which has one of its kind.
    fn files(&self, root: &str, names: &[&str]) -> Result<Vec<DataFile>> {
        let missing = || EvalError::Task(format!("no {names:?} in {root}"));
        let folder = self.0.join(root);
        let entries = std::fs::read_dir(&folder).map_err(|_| missing())?;
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let path = paths.pop().ok_or_else(missing)?;
        Ok(vec![DataFile {
            name: path.file_name().unwrap().to_string_lossy().into_owned(),
            path,
            member: None,
            sha256: String::new(),
        }])
    }

    fn text(&self, name: &str) -> Result<Haystack> {
        Err(EvalError::Task(format!("no text {name}")))
    }
}

fn ruler(samples: usize) -> Ruler {
    Ruler {
        samples,
        squad: "squad".into(),
        hotpot: "hotpotqa".into(),
        ..Ruler::default()
    }
}

/// Tokens that may be missing at most: less than one more unit of the haystack brings.
fn slack(task: &str, tokens: usize) -> usize {
    match task {
        "niah_single_1" | "vt" => 32,
        "niah_single_2" | "niah_single_3" | "niah_multikey_1" | "niah_multivalue"
        | "niah_multiquery" => 10,
        "niah_multikey_2" => 40,
        "niah_multikey_3" => 120,
        "cwe" => 30,
        // Several words may become more frequent at once.
        "fwe" => 48,
        // A document more.
        _ => 700.min(tokens),
    }
}

#[test]
fn every_sample_fills_its_length_and_holds_its_answers() {
    let folder = Folder::new("ruler-lengths");
    for tokens in [512, 1024, 2048, 4096, 8192] {
        let cx = cx(&folder, tokens, 7);
        let made = samples(&ruler(2), &cx, 2);
        assert_eq!(made.len(), 13);
        for (part, samples) in made {
            assert_eq!(samples.len(), 2, "{}", part.name);
            for sample in samples {
                let used = cx.tokens(&sample).unwrap();
                let least = tokens - slack(&part.name, tokens);
                let what = format!("{} at {tokens}: {used}", part.name);
                assert!((least..=tokens).contains(&used), "{what}");
                check_answers(&part.name, &sample);
            }
        }
    }
}

fn check_answers(task: &str, sample: &Sample) {
    let Sample {
        context, answers, ..
    } = sample;
    let found = |text: &str| context.matches(text).count();
    match task {
        "vt" => {
            assert_eq!(answers.len(), 5);
            for (index, name) in answers.iter().enumerate() {
                let last = index + 1 == answers.len();
                assert_eq!(
                    found(&format!("VAR {name}")),
                    if last { 1 } else { 2 },
                    "{name}"
                );
            }
        }
        "cwe" => {
            let list = context.rsplit("Memorize").next().unwrap();
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for word in list
                .split_whitespace()
                .skip(7)
                .filter(|w| !w.ends_with('.'))
            {
                *counts.entry(word).or_default() += 1;
            }
            let most = counts.values().copied().max().unwrap();
            let mut common: Vec<&str> = counts
                .iter()
                .filter(|c| *c.1 == most)
                .map(|c| *c.0)
                .collect();
            let mut answers: Vec<&str> = answers.iter().map(String::as_str).collect();
            common.sort_unstable();
            answers.sort_unstable();
            assert_eq!(common, answers);
        }
        "fwe" => {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            let text = context.split("coded words. ").nth(1).unwrap();
            for word in text.split_whitespace() {
                *counts.entry(word).or_default() += 1;
            }
            let mut ranked: Vec<(usize, &str)> = counts.into_iter().map(|(w, n)| (n, w)).collect();
            ranked.sort_unstable_by(|a, b| b.cmp(a));
            let words: Vec<&str> = ranked[1..4].iter().map(|&(_, word)| word).collect();
            assert_eq!(ranked[0].1, "...");
            assert_eq!(words, *answers);
            assert!(ranked.get(4).is_none_or(|fifth| fifth.0 < ranked[3].0));
        }
        "qa_1" => assert!(answers.iter().any(|answer| found(answer) > 0)),
        // An answer may be `yes`.
        "qa_2" => assert_eq!(answers.len(), 1),
        _ => {
            let many = matches!(task, "niah_multivalue" | "niah_multiquery");
            assert_eq!(answers.len(), if many { 4 } else { 1 });
            for answer in answers {
                assert_eq!(found(answer), 1, "{answer}");
                assert_eq!(found(&format!(" is: {answer}.")), 1, "{answer}");
            }
        }
    }
}

#[test]
fn equal_seeds_give_equal_samples_whatever_else_is_asked() {
    let folder = Folder::new("ruler-seeds");
    let make = |seed, most| samples(&ruler(3), &cx(&folder, 1024, seed), most);
    let base = make(1, 3);
    assert_eq!(base, make(1, 3));
    for ((_, all), (part, first)) in base.iter().zip(make(1, 1)) {
        assert_eq!(all[0], first[0], "{}", part.name);
        assert_ne!(all[0].context, all[1].context, "{}", part.name);
    }
    for ((part, one), (_, other)) in base.iter().zip(make(2, 1)) {
        assert_ne!(one[0].context, other[0].context, "{}", part.name);
    }
    let only = Ruler {
        tasks: vec!["fwe".into(), "niah_multikey_3".into()],
        ..ruler(3)
    };
    let only = samples(&only, &cx(&NoData, 1024, 1), 3);
    let of = |name: &str| base.iter().find(|(part, _)| part.name == name).unwrap();
    assert_eq!(only[0].1, of("fwe").1);
    assert_eq!(only[1].1, of("niah_multikey_3").1);
}

#[test]
fn a_dump_in_either_layout_is_cut_as_samples_are_made() {
    let folder = Folder::new("ruler-dumped");
    let made = samples(&ruler(2), &cx(&folder, 1024, 3), 2);
    let dump = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ruler-dump");
    for (part, made) in made {
        for (layout, named) in [("official", true), ("kvpress", false)] {
            let folder = dump.join(layout).join(&part.name);
            std::fs::create_dir_all(&folder).unwrap();
            let row = |(index, sample): (usize, &Sample)| {
                let Sample {
                    context,
                    question,
                    answer_prefix,
                    answers,
                    ..
                } = sample;
                if named {
                    let input = format!("{context}{question}{answer_prefix}");
                    json!({"index": index, "input": input, "outputs": answers, "length": 1})
                } else {
                    json!({"index": index, "context": context, "question": question,
                           "answer_prefix": answer_prefix, "answer": answers,
                           "task": part.name, "max_new_tokens": 1})
                }
                .to_string()
            };
            let rows: Vec<String> = made.iter().enumerate().map(row).collect();
            std::fs::write(folder.join("validation.jsonl"), rows.join("\n")).unwrap();
            let task = Ruler {
                tasks: vec![part.name.clone()],
                dump: Some(part.name.clone()),
                ..ruler(2)
            };
            let source = Folder(dump.join(layout));
            let read = samples(&task, &cx(&source, 1024, 3), 9);
            assert_eq!(read[0].1, made, "{} {layout}", part.name);
        }
    }
}

#[test]
fn what_is_unknown_or_missing_says_what_to_do() {
    let unknown = Ruler {
        tasks: vec!["niah_single_4".into()],
        ..ruler(1)
    };
    let error = unknown
        .parts(&cx(&NoData, 1024, 0))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`niah_single_4`") && error.contains("niah_single_3, "),
        "{error}"
    );
    let error = ruler(1).parts(&cx(&NoData, 1024, 0)).unwrap_err();
    assert!(
        error
            .hints()
            .iter()
            .any(|hint| hint.contains("leave qa_1 and qa_2 out")),
        "{error}"
    );
    let short = Ruler {
        tasks: vec!["vt".into()],
        ..ruler(1)
    };
    let cx = cx(&NoData, 100, 0);
    let part = short.parts(&cx).unwrap().remove(0);
    let error = short
        .samples(&part, &cx)
        .unwrap()
        .next()
        .unwrap()
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("a sample of vt of 100 tokens is too short"),
        "{error}"
    );
}

#[test]
fn copies_are_of_single_tokens() {
    let cx = cx(&NoData, 1024, 0);
    for (part, samples) in samples(&Copy::default(), &cx, 3) {
        let words = part.meta["words"].as_u64().unwrap();
        for sample in samples {
            let gold = sample.gold.text().unwrap();
            let tokens = cx.tokenizer.encode(gold, false).unwrap();
            assert_eq!(tokens.len() as u64, words);
            assert!(sample.context.contains(gold));
        }
    }
}

#[test]
fn official_samples_are_read_where_they_are_at_hand() {
    // 100 lines of RULER's own, named after their task, with the answer's beginning in the input.
    let Some(data) = std::env::var_os("SMARTKV_TEST_DATA") else {
        return;
    };
    let folder = Folder(data.into());
    let cx = cx(&folder, 8192, 0);
    let task = Ruler {
        dump: Some("ruler".into()),
        ..ruler(500)
    };
    let read = samples(&task, &cx, 500);
    assert_eq!(read.len(), 1);
    let (part, samples) = &read[0];
    assert_eq!(
        (part.name.as_str(), samples.len()),
        ("niah_multikey_3", 100)
    );
    for sample in samples {
        let Sample {
            context,
            question,
            answer_prefix,
            answers,
            ..
        } = sample;
        assert!(context.starts_with("A special magic uuid is hidden within the following text."));
        assert!(context.ends_with(".\n") && context.contains(&answers[0]));
        assert!(question.starts_with("What is the special magic uuid for "));
        assert!(question.ends_with(" mentioned in the provided text?"));
        assert!(answer_prefix.starts_with(" The special magic uuid for "));
        assert!(answer_prefix.ends_with(" mentioned in the provided text is"));
    }
}
