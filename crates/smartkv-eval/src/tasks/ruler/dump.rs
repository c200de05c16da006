//! Ready-made samples: RULER's own lines, and the rows that kvpress publishes.

use super::spec::{Family, Spec, names};
use crate::error::{EvalError, Result};
use crate::rows;
use crate::task::{DataFile, Sample, TaskCx};
use serde_json::Value;

/// How the question begins: everything before its last occurrence is context.
fn question_starts(family: &Family) -> &'static [&'static str] {
    match family {
        Family::Niah(_) => &[
            "What is the special magic",
            "What are all the special magic",
        ],
        Family::Vt => &["Question: Find all variables that are assigned the value"],
        Family::Cwe => &["Question: What are the 10 most common words in the above list?"],
        Family::Fwe => &["Question: Do not provide any explanation."],
        Family::Qa(_) => &["Answer the question based on the given documents."],
    }
}

/// How the answer begins, where the prompt has it.
fn answer_start(family: &Family) -> &'static str {
    match family {
        Family::Niah(_) => "The special magic",
        _ => "Answer:",
    }
}

/// Lengths that dumps are made for, the longest first.
const LENGTHS: [usize; 6] = [131_072, 65_536, 32_768, 16_384, 8192, 4096];

/// The files that may hold samples of `spec`.
fn files(root: &str, spec: &Spec, cx: &TaskCx<'_>) -> Result<Vec<DataFile>> {
    let task = spec.name;
    // Folders are named by the lengths they were made for, mostly with another tokenizer: the
    // longest that may fit.
    let lengths = LENGTHS
        .iter()
        .filter(|&&length| length <= cx.context_tokens);
    let folders: Vec<String> = lengths
        .flat_map(|length| {
            [
                format!("{length}/{task}/validation.jsonl"),
                format!("{length}/test-*.parquet"),
            ]
        })
        .collect();
    let alone = [
        format!("{task}/validation.jsonl"),
        format!("*{task}*.jsonl"),
        "test-*.parquet".to_owned(),
    ];
    let candidates: Vec<&str> = alone[..1]
        .iter()
        .chain(&folders)
        .chain(&alone[1..])
        .map(String::as_str)
        .collect();
    let mut files = cx.data.files(root, &candidates)?;
    // A file that names another task has nothing of this one.
    files.retain(|file| named(file).is_none_or(|name| name == task));
    Ok(files)
}

/// The task that a file's name has.
fn named(file: &DataFile) -> Option<&'static str> {
    let path = file.path.to_string_lossy();
    let parts: Vec<&str> = path.split(['/', '\\']).rev().take(2).collect();
    // The file first, then its folder.
    parts.into_iter().find_map(|part| {
        names().find(|name| {
            let mut around = part.match_indices(name).map(|(at, _)| {
                let before = part[..at].chars().next_back();
                let after = part[at + name.len()..].chars().next();
                [before, after]
            });
            around.any(|ends| ends.iter().flatten().all(|c| !c.is_ascii_alphanumeric()))
        })
    })
}

/// Those of `specs` that the dump has files for.
pub(super) fn present(
    root: &str,
    specs: &[&'static Spec],
    cx: &TaskCx<'_>,
) -> Result<Vec<&'static Spec>> {
    let mut found = Vec::new();
    let mut first = None;
    for &spec in specs {
        match files(root, spec, cx) {
            Ok(files) if !files.is_empty() => found.push(spec),
            Ok(_) => {}
            Err(error) => first = first.or(Some(error)),
        }
    }
    match first {
        _ if !found.is_empty() => Ok(found),
        Some(error) => Err(error),
        None => Err(EvalError::Task(format!("`{root}` has none of the `tasks`"))),
    }
}

/// The samples of `spec`. Rows that do not say their task, in a file that does not either, are
/// taken for its own if it is the `only` one.
pub(super) fn samples<'a>(
    root: &str,
    spec: &'static Spec,
    only: bool,
    cx: &'a TaskCx<'a>,
) -> Result<impl Iterator<Item = Result<Sample>> + use<'a>> {
    let mut samples = Vec::new();
    for file in files(root, spec, cx)? {
        let known = named(&file).is_some();
        for (index, row) in rows::read(&file)?.enumerate() {
            let row = row?;
            let task = row.get("task").and_then(Value::as_str);
            if task.is_some_and(|task| task != spec.name) {
                continue;
            }
            if task.is_none() && !known && !only {
                let reason = "nothing says which task this is of: name one in `tasks`";
                return Err(rows::bad(&file, Some(index + 1), reason));
            }
            samples.push((file.clone(), index, row));
        }
    }
    Ok(samples.into_iter().map(move |(file, index, row)| {
        let sample =
            sample(spec, &row).map_err(|reason| rows::bad(&file, Some(index + 1), reason))?;
        let needed = cx.tokens(&sample)?;
        if needed > cx.context_tokens {
            return Err(EvalError::ContextTooLong {
                what: format!("row {} of {}", index + 1, file.path.display()),
                needed,
                limit: cx.context_tokens,
            });
        }
        Ok(sample)
    }))
}

fn sample(spec: &Spec, row: &Value) -> std::result::Result<Sample, String> {
    let text = |field: &str| row.get(field).and_then(Value::as_str);
    let answers = ["answer", "outputs", "answers"]
        .iter()
        .find_map(|name| row.get(*name));
    let answers = answers.and_then(Value::as_array).into_iter().flatten();
    let answers: Vec<String> = answers
        .filter_map(|a| Some(a.as_str()?.to_owned()))
        .collect();
    if answers.is_empty() {
        return Err("no `outputs` or `answer`: a list of texts is expected".to_owned());
    }
    let prefix = text("answer_prefix");
    let (context, question, answer_prefix) =
        match (text("context"), text("question"), text("input")) {
            (Some(context), Some(question), _) => (
                context.to_owned(),
                question.to_owned(),
                prefix.unwrap_or_default().to_owned(),
            ),
            (_, _, Some(input)) => split(
                &spec.family,
                &format!("{input}{}", prefix.unwrap_or_default()),
            )
            .ok_or("the question of the task is not in `input`")?,
            _ => return Err("neither `input` nor `context` and `question`".to_owned()),
        };
    let id = row
        .get("index")
        .map(ToString::to_string)
        .unwrap_or_default();
    Ok(Sample {
        id,
        ..spec.sample(context, question, answer_prefix, answers)
    })
}

/// Cuts a prompt into context, question and the beginning of the answer.
fn split(family: &Family, input: &str) -> Option<(String, String, String)> {
    let starts = question_starts(family).iter();
    let at = starts.filter_map(|start| input.rfind(start)).max()?;
    let (context, rest) = input.split_at(at);
    let end = rest.find(answer_start(family)).unwrap_or(rest.len());
    // The space between belongs to the answer, as RULER has it; one more is the question's own.
    let end = rest[..end].strip_suffix(' ').map_or(end, str::len);
    let (question, prefix) = rest.split_at(end);
    Some((context.to_owned(), question.to_owned(), prefix.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::ruler::spec::find;
    use std::path::PathBuf;

    #[test]
    fn files_are_named_after_their_task() {
        let file = |path: &str| DataFile {
            path: PathBuf::from(path),
            member: None,
            name: path.into(),
            sha256: String::new(),
        };
        for (path, name) in [
            (
                "ruler/4096_niah_multikey_3_first100.jsonl",
                Some("niah_multikey_3"),
            ),
            ("niah_single_1/validation.jsonl", Some("niah_single_1")),
            ("vt/validation.jsonl", Some("vt")),
            ("4096/test-00000-of-00001.parquet", None),
            ("private/data.jsonl", None),
        ] {
            assert_eq!(named(&file(path)), name, "{path}");
        }
    }

    #[test]
    fn the_last_question_is_the_one_that_is_asked() {
        let question = "Question: What are the 10 most common words in the above list?";
        let input = format!("1. a\n{question} Answer: 1. a\n2. b\n{question} Answer: The top:");
        let family = &find("cwe").unwrap().family;
        let (context, asked, prefix) = split(family, &input).unwrap();
        assert_eq!(context, format!("1. a\n{question} Answer: 1. a\n2. b\n"));
        assert_eq!(
            (asked.as_str(), prefix.as_str()),
            (question, " Answer: The top:")
        );
        assert_eq!(split(family, "no question"), None);
    }
}
