//! Commands that tell: help, strategies, models, doctor, completions.

use crate::program::{file, json, quick, refused, run};

#[test]
fn alone_and_with_help_the_program_teaches() {
    let alone = run(&[]);
    assert_eq!((alone.code, alone.stdout.as_str()), (2, ""));
    let help = run(&["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (0, ""));
    for text in [&alone.stderr, &help.stdout] {
        for part in [
            "Usage: smartkv",
            "Examples:",
            "smartkv eval --strategy smartkv --budget 0.5",
        ] {
            assert!(text.contains(part), "no `{part}` in {text}");
        }
    }
    for command in ["eval", "bench", "generate", "strategies", "completions"] {
        let help = run(&[command, "--help"]);
        assert_eq!(help.code, 0);
        let example = format!("Examples:\n  smartkv {command}");
        assert!(help.stdout.contains(&example), "{}", help.stdout);
    }
    let version = run(&["--version"]).stdout;
    assert_eq!(version, format!("smartkv {}\n", env!("CARGO_PKG_VERSION")));
    refused(
        2,
        &["evaluate"],
        &["unrecognized subcommand 'evaluate'", "eval"],
    );
    refused(2, &["eval", "--budgt", "1"], &["'--budgt'", "--budget"]);
}

#[test]
fn strategies_are_listed_and_explained() {
    let table = run(&["strategies"]);
    assert_eq!(table.code, 0);
    let list = json(&run(&["strategies", "--json"]));
    for kind in ["strategies", "trackers", "allocators", "configurations"] {
        let entries = list[kind].as_array().unwrap();
        assert!(!entries.is_empty());
        for entry in entries {
            let name = entry["name"].as_str().unwrap();
            assert!(table.stdout.contains(name), "{name}: {}", table.stdout);
            let text = run(&["strategies", name]);
            assert_eq!(text.code, 0, "{}", text.stderr);
            assert!(text.stdout.starts_with(name), "{}", text.stdout);
            let explained = json(&run(&["strategies", name, "--json"]));
            assert_eq!(explained["name"], name);
            for field in explained["fields"].as_array().unwrap() {
                for key in ["docs", "type"] {
                    assert_ne!(field[key], "", "{name}.{}", field["name"]);
                }
                assert!(text.stdout.contains(field["name"].as_str().unwrap()));
            }
        }
    }
}

#[test]
fn all_that_goes_by_a_name_is_explained() {
    let page = run(&["strategies", "random"]).stdout;
    let places = ["(other tracker", "(other allocator"].map(|kind| page.find(kind));
    assert!(
        places[0].is_some() && places[0] < places[1],
        "not both: {page}"
    );
    let both = json(&run(&["strategies", "random", "--json"]));
    assert_eq!(both["kind"], "tracker");
    assert_eq!(both["also"][0]["kind"], "allocator");
    assert_eq!(both["also"][0]["name"], "random");
    assert!(both["also"][1].is_null());
    let alone = json(&run(&["strategies", "ema", "--json"]));
    assert!(alone.get("also").is_none(), "{alone}");
    // A configuration of a strategy's own name is the strategy.
    let shipped = json(&run(&["strategies", "uniform", "--json"]));
    assert_eq!(shipped["kind"], "strategy");
    assert!(shipped.get("also").is_none(), "{shipped}");
    let schema = json(&run(&["strategies", "random", "--json-schema"]));
    for (index, kind) in ["tracker.random", "allocator.random"].iter().enumerate() {
        assert!(schema["$defs"][kind].is_object(), "{schema}");
        assert_eq!(schema["oneOf"][index]["$ref"], format!("#/$defs/{kind}"));
    }
}

#[test]
fn a_page_says_what_parameters_take_and_shows_a_file_that_works() {
    let list = json(&run(&["strategies", "--json"]));
    for entry in list["strategies"].as_array().unwrap() {
        let keys = ["name", "family", "storage", "summary", "paper"];
        for key in keys {
            assert!(entry.get(key).is_some(), "no {key}: {entry}");
        }
        let simulated = ["gear", "kvquant"]
            .iter()
            .any(|name| entry["name"] == *name);
        let storage = if simulated { "simulated" } else { "packed" };
        assert_eq!(entry["storage"], storage, "{entry}");
    }
    let page = run(&["strategies", "smartkv"]).stdout;
    for part in [
        "(mixed strategy, packed storage; crate smartkv-strategies)",
        "type: ema",
        "list of [integer,",
        "integer, at least 1",
        "number, at least 0",
    ] {
        assert!(page.contains(part), "no `{part}` in {page}");
    }
    let (_, example) = page.split_once("Example, as a file").unwrap();
    let lines = example.lines().skip(2);
    let lines: Vec<&str> = lines.map_while(|line| line.strip_prefix("  ")).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path(), "example.yaml", lines.join("\n"));
    let record = json(&run(&quick(&["--strategy", &file, "--json"])));
    let strategies = list["strategies"].as_array().unwrap();
    let smartkv = strategies.iter().find(|entry| entry["name"] == "smartkv");
    assert_eq!(record["config"], smartkv.unwrap()["config"]);
}

#[test]
fn schemas_are_printed_for_editors() {
    let all = json(&run(&["strategies", "--json-schema"]));
    assert_eq!(all["$ref"], "#/$defs/strategy");
    assert!(all["$defs"]["allocator.random"].is_object());
    for name in ["ema", "uniform-4"] {
        let one = json(&run(&["strategies", name, "--json-schema"]));
        assert_eq!(one["$defs"].as_object().unwrap().len(), 1, "{one}");
    }
    refused(
        1,
        &["strategies", "unifrm", "--json-schema"],
        &["did you mean `uniform`?"],
    );
}

#[test]
fn models_are_listed_and_described() {
    let table = run(&["models"]);
    assert_eq!(table.code, 0);
    let list = json(&run(&["models", "--json"]));
    for kind in ["models", "texts"] {
        for entry in list[kind].as_array().unwrap() {
            let name = entry["name"].as_str().unwrap();
            assert!(table.stdout.contains(name), "{}", table.stdout);
            assert_eq!(
                json(&run(&["models", "info", name, "--json"]))["name"],
                name
            );
        }
    }
    refused(
        1,
        &["models", "info", "smolm2"],
        &["unknown model `smolm2`"],
    );
    refused(
        1,
        &["models", "pull", "smolm2"],
        &["unknown model `smolm2`"],
    );
}

#[test]
fn the_doctor_reports() {
    let report = json(&run(&["doctor", "--json"]));
    assert_eq!(report["ok"], true);
    let text = run(&["doctor"]);
    assert_eq!(text.code, 0);
    for check in report["checks"].as_array().unwrap() {
        assert!(
            text.stdout.contains(check["name"].as_str().unwrap()),
            "{}",
            text.stdout
        );
        assert_ne!(check["found"], "");
    }
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]);
        assert_eq!((script.code, script.stderr.as_str()), (0, ""));
        for word in ["smartkv", "eval", "generate", "strategies", "budget"] {
            assert!(script.stdout.contains(word), "{shell}: no `{word}`");
        }
    }
    refused(2, &["completions", "cmd"], &["'cmd'", "bash"]);
}
