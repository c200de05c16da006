//! `smartkv calibrate`: what it writes can be used, with the model it is for and no other.

use crate::program::{
    TEXT, TINY, file, finish, json, names, program, quick, refusal, refused, run,
};
use serde_json::Value;
use std::path::Path;
use tempfile::tempdir;

/// The tiny model's heads have 16 channels.
fn calibrate<'a>(strategy: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let args = ["calibrate", strategy, "--model", TINY];
    let sizes = ["--tokens", "240", "--window-tokens", "120"];
    [&args[..], &sizes, more].concat()
}

const GROUPS: [&str; 2] = ["--set", "group_size=16"];

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn bits_by_layer_are_learnt_written_and_used() {
    let dir = tempdir().unwrap();
    let out = dir.path().join("tuned.json");
    let args = calibrate("kvtuner", &[&GROUPS[..], &["--out", path(&out)]].concat());
    let first = run(&args);
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert!(first.stdout.contains("bits") && first.stdout.contains("Try it: smartkv eval"));
    assert_eq!(names(dir.path()), ["tuned.json"]);

    let config: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    assert_eq!(config["type"], "kvtuner");
    let bits = config["bits"].as_array().unwrap();
    assert_eq!(bits.len(), 2, "{config}");
    let spent: u64 = bits
        .iter()
        .flat_map(|pair| pair.as_array().unwrap())
        .filter_map(Value::as_u64)
        .sum();
    assert!(spent <= 2 * 2 * 4, "{bits:?}");
    let origin = &config["calibration"];
    assert_eq!(origin["model"], TINY);
    assert_eq!(origin["model_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(
        (&origin["text"], &origin["seed"]),
        (&"builtin".into(), &0.into())
    );
    assert_eq!(origin["windows"], 2);
    // Each window begins with the model's first token.
    assert_eq!(origin["tokens"], 242);

    // On standard output the same, and again the same.
    let args = calibrate("kvtuner", &[&GROUPS[..], &["--json"]].concat());
    assert_eq!(json(&run(&args)), config);

    let record = json(&run(&quick(&["--strategy", path(&out), "--json"])));
    assert_eq!(record["strategy"], "tuned");
    assert_eq!(record["calibration"], *origin);
    assert_eq!(record["config"]["bits"], config["bits"]);
    assert_eq!(record["config"].get("calibration"), None);
    assert_eq!(record["cache"]["storage"], "packed");
    assert!(record["cache"]["ratio"].as_f64().unwrap() < 1.0);
    let table = run(&quick(&["--strategy", path(&out)])).stdout;
    assert!(
        table.contains("Calibrated on 242 tokens of `builtin`."),
        "{table}"
    );
}

#[test]
fn a_calibration_helps_where_it_is_meant_to() {
    let dir = tempdir().unwrap();
    let out = dir.path().join("levels.json");
    let bits = ["--set", "bits=2"];
    let made = run(&calibrate(
        "kvquant",
        &[&bits[..], &["--out", path(&out)]].concat(),
    ));
    assert_eq!(made.code, 0, "{}", made.stderr);
    let record = json(&run(&quick(&["--strategy", path(&out), "--json"])));
    let cache = &record["cache"];
    assert_eq!(cache["storage"], "simulated");
    for field in ["ratio", "max_ratio", "bytes_per_token"] {
        assert_eq!(cache[field], Value::Null, "{field}");
    }
    assert_eq!(cache["live_bytes"], cache["f16_bytes"], "rows stay in f16");
    let claim = cache["logical_bytes"].as_u64().unwrap();
    assert!(claim > 0 && claim < cache["f16_bytes"].as_u64().unwrap());
    assert!(record["quality"]["kl_mean"].as_f64().unwrap() > 0.0);
}

#[test]
fn the_same_text_twice_is_told() {
    let dir = tempdir().unwrap();
    let out = dir.path().join("tuned.json");
    let more = [&GROUPS[..], &["--text", TEXT, "--out", path(&out)]].concat();
    assert_eq!(run(&calibrate("kvtuner", &more)).code, 0);
    let told = run(&quick(&["--strategy", path(&out)]));
    assert!(
        told.stderr.contains("warning: `tuned` was calibrated on"),
        "{}",
        told.stderr
    );
    assert!(told.stdout.contains("THE SAME TEXT"), "{}", told.stdout);
}

#[test]
fn another_model_is_refused_with_advice() {
    let dir = tempdir().unwrap();
    let out = dir.path().join("tuned.json");
    let more = [&GROUPS[..], &["--out", path(&out)]].concat();
    assert_eq!(run(&calibrate("kvtuner", &more)).code, 0);
    let other = format!("{TINY}/tiny-llama.gguf");
    let commands = [
        vec!["eval", "--text", TEXT, "--no-needle"],
        vec!["generate", "Hello"],
        vec!["bench", "--text", TEXT, "--quick"],
    ];
    for command in commands {
        let args = [&command[..], &["--model", &other, "--strategy", path(&out)]].concat();
        refused(
            1,
            &args,
            &[
                "`tuned` is calibrated for `tests/golden/tiny-llama` (SHA-256 ",
                "the model in use is `tests/golden/tiny-llama/tiny-llama.gguf`",
                "hint: calibrate again: smartkv calibrate",
            ],
        );
    }
    let tampered = std::fs::read_to_string(&out)
        .unwrap()
        .replace("model_sha256", "model_sha");
    let tampered = file(dir.path(), "tampered.json", tampered);
    refused(
        1,
        &quick(&["--strategy", &tampered]),
        &["tampered.json: `calibration`: unknown field `model_sha`"],
    );
}

#[test]
fn what_cannot_be_calibrated_is_refused() {
    refused(
        1,
        &calibrate("uniform", &[]),
        &["`uniform` has nothing to calibrate: strategies that have are kvquant, kvtuner"],
    );
    refused(1, &calibrate("kvtunr", &[]), &["did you mean `kvtuner`?"]);
    for option in ["--tokens", "--window-tokens", "--queries"] {
        let args = ["calibrate", "kvtuner", "--model", TINY, option, "0"];
        refused(1, &args, &[&format!("{option} 0: expected at least 1")]);
        let args = ["calibrate", "kvtuner", "--model", TINY, option, "some"];
        refused(2, &args, &["invalid digit"]);
    }
    refused(
        1,
        &calibrate("kvtuner", &["--text", "nowhere.txt"]),
        &["nowhere.txt"],
    );
    let dir = tempdir().unwrap();
    let short = file(dir.path(), "short.txt", "A few words only.");
    refused(
        1,
        &calibrate("kvtuner", &["--text", &short]),
        &["2 windows need 240", "--tokens"],
    );
    refused(1, &calibrate("kvtuner", &["--text", path(dir.path())]), &[]);
    let binary = file(dir.path(), "binary.txt", [0xff, 0xfe, 0x00]);
    refused(
        1,
        &calibrate("kvtuner", &["--text", &binary]),
        &["binary.txt"],
    );
    let args = ["calibrate", "kvtuner", "--model", TINY, "--tokens", "600"];
    refused(
        1,
        &args,
        &["a calibration window needs 513 tokens", "holds 256"],
    );
    refused(1, &calibrate("kvtuner", &[]), &["does not fit head_dim 16"]);
    let sets = ["--set", "average_bits=1"];
    refused(
        1,
        &calibrate("kvtuner", &[&GROUPS[..], &sets].concat()),
        &["average_bits"],
    );
    refused(
        1,
        &calibrate("kvtuner", &["--set", "bit=1"]),
        &["no field `bit`"],
    );
    let out = dir.path().join("no/such/folder.json");
    let args = [&GROUPS[..], &["--out", path(&out)]].concat();
    refused(
        1,
        &calibrate("kvtuner", &args),
        &["--out", "does not exist"],
    );
}

#[test]
fn an_interrupted_write_leaves_nothing() {
    // A folder in the place of the file is refused before anything is run.
    let dir = tempdir().unwrap();
    let args = [&GROUPS[..], &["--out", path(dir.path())]].concat();
    refused(
        1,
        &calibrate("kvtuner", &args),
        &["a folder, expected the name of a file"],
    );
    assert_eq!(names(dir.path()), Vec::<String>::new());
}

#[test]
fn threads_change_nothing() {
    let config = |threads: &str| {
        let more = [
            &GROUPS[..],
            &["--threads", threads, "--json", "--seed", "5"],
        ]
        .concat();
        json(&run(&calibrate("kvtuner", &more)))
    };
    assert_eq!(config("1"), config("3"));
}

#[test]
fn simulated_results_are_marked_wherever_they_are_shown() {
    let table = run(&quick(&["--strategy", "gear"]));
    assert_eq!(table.code, 0, "{}", table.stderr);
    assert!(
        table.stdout.contains("gear (simulated)"),
        "{}",
        table.stdout
    );
    for line in ["cache bytes per token", "ratio to f16", "decode tokens/s"] {
        let row = table.stdout.lines().find(|row| row.contains(line)).unwrap();
        assert!(
            row.ends_with("simulated") || row.ends_with("simulated "),
            "{row}"
        );
    }
    assert!(
        table.stdout.contains("a claim, not a measurement"),
        "{}",
        table.stdout
    );
    refused(
        1,
        &quick(&["--strategy", "gear", "--budget", "0.5"]),
        &["budget 0.5: `gear` is simulated: its rows stay in f16"],
    );
    let said = finish(program(&[
        "generate",
        "Hello",
        "--model",
        TINY,
        "--raw",
        "--strategy",
        "gear",
        "-n",
        "3",
    ]));
    assert!(said.stderr.contains("simulated in f16"), "{}", said.stderr);
    let sizes = [
        "--text",
        TEXT,
        "--contexts",
        "40,80",
        "--prefill-tokens",
        "40",
        "--tokens",
        "2",
    ];
    let bench = [
        "bench",
        "--model",
        TINY,
        "--strategy",
        "f16,gear",
        "--rounds",
        "1",
    ];
    let shown = run(&[&bench[..], &sizes].concat());
    assert!(
        shown.stdout.contains("gear (simulated)"),
        "{}{}",
        shown.stdout,
        shown.stderr
    );
    let record = json(&run(&[&bench[..], &sizes, &["--json"]].concat()));
    assert_eq!(record["strategies"][1]["simulated"], true);
    assert_eq!(record["rows"][1]["cache"]["ratio"], Value::Null);
    let refusal = refusal(&run(&[
        &["bench", "--model", TINY, "--strategy", "gear@0.5"][..],
        &sizes,
    ]
    .concat()));
    assert!(refusal.contains("is simulated"), "{refusal}");
}
