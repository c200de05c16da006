//! Runs that nothing disturbs.

use crate::program::{finish, json, program, run};
use crate::study::{Study, base, files, uniform};
use serde_json::Value;
use std::fs;

#[test]
fn records_are_the_same_bytes_whatever_runs_them() {
    let first = Study::small();
    let done = json(&first.sweep("run", &["--json"]));
    assert_eq!(done["summary"]["done"], 4);
    let records = first.records();
    assert_eq!(records.len(), 4);
    for text in records.values() {
        // Times and machines live apart.
        for word in ["tokens_per_s", "seconds", "threads", "kernels"] {
            assert!(!text.contains(word), "{word}");
        }
    }
    let facts = files(&first.store.join("runs"));
    assert_eq!(
        facts.keys().collect::<Vec<_>>(),
        records.keys().collect::<Vec<_>>()
    );
    for text in facts.values() {
        let facts: Value = serde_json::from_str(text).unwrap();
        assert!(facts["seconds"].as_f64().unwrap() > 0.0);
        assert!(facts["speed"]["decode_tokens_per_s"].as_f64().unwrap() > 0.0);
        assert!(facts["environment"]["kernels"].is_string());
    }

    let second = Study::small();
    let more = ["--jobs", "3", "--threads", "1"];
    assert_eq!(second.sweep("run", &more).code, 0);
    assert_eq!(second.records(), records);

    // Cell by cell, in another order, as other launchers do it.
    let third = Study::small();
    json(&third.sweep("plan", &["--json"]));
    for index in ["3", "1", "0", "2"] {
        let args = [
            "cell",
            "--plan",
            "study",
            "--index",
            index,
            "--store",
            third.store(),
        ];
        let done = run(&args);
        assert_eq!(
            (done.code, done.stdout.trim_end().ends_with(" done")),
            (0, true)
        );
        assert!(run(&args).stdout.trim_end().ends_with(" cached"));
    }
    assert_eq!(third.records(), records);
}

#[test]
fn what_is_there_is_not_run_again() {
    let study = Study::small();
    assert_eq!(study.sweep("run", &[]).code, 0);
    let before = files(&study.store.join("runs"));
    let again = json(&study.sweep("run", &["--json"]));
    assert_eq!(again["summary"]["cached"], 4);
    assert_eq!(files(&study.store.join("runs")), before);
    // A wider grid runs only what is new.
    let text = fs::read_to_string(&study.grid).unwrap();
    fs::write(&study.grid, text.replace("seeds: 2", "seeds: 3")).unwrap();
    let plan = json(&study.sweep("plan", &["--json"]));
    assert_eq!(plan["estimate"]["cells"], 2);
    assert!(plan["estimate"]["seconds"].as_f64().unwrap() > 0.0);
    assert!(plan["estimate"]["peak_resident_bytes"].as_u64().unwrap() > 0);
    let wider = json(&study.sweep("run", &["--json"]));
    assert_eq!(
        (&wider["summary"]["cached"], &wider["summary"]["done"]),
        (&4.into(), &2.into())
    );
}

#[test]
fn a_cell_measures_what_eval_measures() {
    let study = Study::new(&format!(
        "{}axes: {{strategy: {{{}}}}}\nseeds: [7]\n",
        base(2, 8),
        uniform(2)
    ));
    assert_eq!(study.sweep("run", &[]).code, 0);
    let record = study.records().into_values().next().unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    let config = study.folder.path().join("eval.yaml");
    let text = base(2, 8);
    let fields: Vec<&str> = text.lines().skip(1).map(|line| &line[2..]).collect();
    let fields = fields.join("\n");
    let strategy = uniform(2);
    let (_, strategy) = strategy.split_once(": ").unwrap();
    fs::write(
        &config,
        format!("{fields}\nstrategy: {strategy}\nseed: 7\n"),
    )
    .unwrap();
    let eval = json(&run(&[
        "eval",
        "--config",
        config.to_str().unwrap(),
        "--json",
    ]));
    assert_eq!(record["result"]["quality"], eval["quality"]);
    let mut cache = eval["cache"].clone();
    // What the system gave is no part of what repeats.
    cache.as_object_mut().unwrap().remove("allocated_bytes");
    assert_eq!(record["result"]["cache"], cache);
    assert_eq!(record["result"]["samples"], eval["samples"]);
}

#[test]
fn tasks_are_cells_too_and_their_data_is_part_of_the_id() {
    let study = Study::new("");
    let data = study.folder.path().join("rows.jsonl");
    let rows = |answer: &str| {
        let row = |n: u8| {
            format!(
                "{{\"context\": \"A text.\", \"q\": \"what is {n}?\", \"a\": \"{answer}{n}\"}}\n"
            )
        };
        fs::write(&data, (0..4).map(row).collect::<Vec<_>>().concat()).unwrap();
    };
    rows("x");
    let grid = format!(
        "{}  ask:\n    tasks:\n      - {{type: file, data: {}, question: q, answer: a, \
         new_tokens: 2}}\n    limit: 2\n    control: false\naxes: {{strategy: {{{}}}, \
         task.metric: [exact_match, f1]}}\n",
        base(1, 4),
        data.display(),
        uniform(4)
    );
    fs::write(&study.grid, grid).unwrap();
    let done = study.sweep("run", &[]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let records = study.records();
    assert_eq!(records.len(), 2);
    for text in records.values() {
        let record: Value = serde_json::from_str(text).unwrap();
        let measure = &record["cell"]["measure"];
        assert_eq!(measure["kind"], "tasks");
        assert_eq!(measure["tasks"][0]["data"][0]["name"], "rows.jsonl");
        let result = &record["result"]["tasks"][0];
        assert_eq!(result["result"]["samples"].as_array().unwrap().len(), 2);
        assert!(result.get("timing").is_none());
    }
    rows("y");
    let again = json(&study.sweep("plan", &["--json"]));
    assert!(
        again["cells"]
            .as_array()
            .unwrap()
            .iter()
            .all(|cell| cell["state"] == "missing")
    );
}

#[test]
fn two_runners_on_one_store_both_finish() {
    let study = Study::new(&format!(
        "{}axes: {{strategy: {{{}, {}, {}, {}}}}}\nseeds: 2\n",
        base(3, 16),
        uniform(4),
        uniform(2),
        uniform(3),
        uniform(8)
    ));
    let args = [
        "sweep",
        "run",
        study.grid(),
        "--store",
        study.store(),
        "--json",
    ];
    let spawn = || {
        let mut command = program(&args);
        command
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let both = [spawn(), spawn()].map(|child| child.wait_with_output().unwrap());
    let mut run_here = 0;
    for output in both {
        assert!(output.status.success());
        let done: Value = serde_json::from_slice(&output.stdout).unwrap();
        let count = |key: &str| done["summary"][key].as_u64().unwrap();
        assert_eq!(count("cached") + count("done"), 8);
        run_here += count("done");
    }
    assert!(run_here >= 8);
    let alone = Study::new(&fs::read_to_string(&study.grid).unwrap());
    assert_eq!(alone.sweep("run", &[]).code, 0);
    assert_eq!(study.records(), alone.records());
}

#[test]
fn status_says_what_is_there() {
    let study = Study::small();
    json(&study.sweep("plan", &["--json"]));
    let args = [
        "cell",
        "--plan",
        "study",
        "--index",
        "0",
        "--store",
        study.store(),
    ];
    assert_eq!(run(&args).code, 0);
    let status = json(&run(&[
        "sweep",
        "status",
        "study",
        "--store",
        study.store(),
        "--json",
    ]));
    let plan = &status["plans"][0];
    assert_eq!((&plan["done"], &plan["missing"]), (&1.into(), &3.into()));
    let listed = run(&[
        "cell",
        "--plan",
        "study",
        "--list",
        "--store",
        study.store(),
    ]);
    assert_eq!(listed.stdout.lines().count(), 3);
    let table = finish(program(&[
        "sweep",
        "status",
        study.grid(),
        "--store",
        study.store(),
    ]));
    assert!(table.stdout.contains("study"), "{}", table.stdout);
}
