//! The README is true: its commands run, and the code it shows is the code there is.

use std::path::Path;
use std::process::Command;

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file))
        .expect("a file of the repository")
}

/// Lines of the ```` ```sh ```` blocks, without comments.
fn commands(text: &str) -> Vec<String> {
    let blocks = text.split("```").skip(1).step_by(2);
    let lines = blocks
        .filter_map(|block| block.strip_prefix("sh\n"))
        .flat_map(str::lines);
    lines
        .map(|line| {
            line.split(" #")
                .next()
                .unwrap_or_default()
                .trim()
                .to_string()
        })
        .filter(|line| !line.is_empty())
        .collect()
}

/// Splits a command line; single quotes keep words together.
fn words(line: &str) -> Vec<String> {
    let quoted = line.split('\'').enumerate();
    quoted
        .flat_map(|(index, part)| match index % 2 {
            0 => part
                .split_whitespace()
                .map(str::to_string)
                .collect::<Vec<_>>(),
            _ => vec![part.to_string()],
        })
        .collect()
}

#[test]
fn every_command_of_the_readme_runs() {
    // Studies leave their records in the folder they are run in.
    let folder = tempfile::tempdir().unwrap();
    let mut run = 0;
    for line in commands(&read("README.md")) {
        // This very test is the other command.
        if line == "cargo test" {
            continue;
        }
        let arguments = line
            .strip_prefix("cargo run --release -- ")
            .or_else(|| line.strip_prefix("smartkv "))
            .unwrap_or_else(|| panic!("the README has a command that no test runs: {line}"));
        let output = Command::new(env!("CARGO_BIN_EXE_smartkv"))
            .args(words(arguments))
            .current_dir(folder.path())
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}\n{error}");
        assert!(!output.stdout.is_empty(), "{line} printed nothing");
        run += 1;
    }
    assert!(run >= 8, "only {run} commands found");
}

/// What `eval --strategy smartkv --budget 0.5` promises in the README's first lines.
#[test]
fn half_the_bytes_cost_less_than_a_percent_of_perplexity() {
    let output = Command::new(env!("CARGO_BIN_EXE_smartkv"))
        .args([
            "eval",
            "--strategy",
            "smartkv",
            "--budget",
            "0.5",
            "--no-needle",
            "--json",
        ])
        .args(["--windows", "3", "--score-tokens", "128"])
        .output()
        .unwrap();
    let record: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |path: &str| record.pointer(path).unwrap().as_f64().unwrap();
    assert!(number("/cache/ratio") <= 0.5 && number("/cache/max_ratio") <= 0.5);
    let ratio = number("/quality/perplexity_ratio");
    assert!((ratio - 1.0).abs() < 0.01, "perplexity ratio {ratio}");
}

/// Code blocks that follow a line `<!-- path -->`, with that path.
fn shown(text: &str) -> Vec<(&str, &str)> {
    let marks = text.split("\n<!-- ").skip(1);
    marks
        .filter_map(|part| {
            let (path, rest) = part.split_once(" -->\n")?;
            let (_, code) = rest.trim_start().strip_prefix("```")?.split_once('\n')?;
            Some((path, code.split("\n```").next()?))
        })
        .collect()
}

#[test]
fn the_guides_show_the_real_files() {
    for (name, least) in [("docs/strategies.md", 6), ("docs/tasks.md", 1)] {
        let guide = read(name);
        let blocks = shown(&guide);
        assert!(
            blocks.len() >= least,
            "only {} files are shown",
            blocks.len()
        );
        for (path, code) in blocks {
            assert!(
                format!("\n{}", read(path)).contains(&format!("\n{code}\n")),
                "{name} and {path} have drifted apart: {code}"
            );
        }
        // No Rust is shown that is in no file.
        let rust = guide.matches("```rust").count();
        assert_eq!(rust, guide.matches(".rs -->\n\n```rust").count());
    }
}

#[test]
fn commands_of_the_guides_are_commands() {
    let guides = ["docs/strategies.md", "docs/tasks.md", "docs/experiments.md"]
        .map(read)
        .concat();
    for line in guides.lines() {
        if let Some(command) = line.strip_prefix("smartkv ") {
            let command = command.split_whitespace().next().unwrap();
            let help = Command::new(env!("CARGO_BIN_EXE_smartkv"))
                .args([command, "--help"])
                .output()
                .unwrap();
            assert!(help.status.success(), "{line}");
        }
    }
}
