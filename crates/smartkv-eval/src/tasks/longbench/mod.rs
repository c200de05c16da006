//! `LongBench`: questions about long documents, in English, Chinese and code.

mod datasets;
mod prompt;
mod settings;

use super::columns::{Row, rows};
use super::truncate;
use crate::error::{EvalError, Result};
use crate::metrics::code::CodeSimilarity;
use crate::task::{Answer, Ask, Part, Sample, Samples, Score, Task, TaskCx};
use datasets::{DATASETS, Dataset};
use serde_json::{Value, json};
use settings::Settings;
use smartkv_core::{config, task};

/// Lengths that `LongBench-E` tells apart: where each begins, in words or Chinese characters.
const LENGTHS: [(&str, usize); 3] = [("0-4k", 0), ("4-8k", 4000), ("8k+", 8000)];

/// Answers questions about long documents: the data sets of `LongBench` v1.
///
/// Everything follows the official programs: prompts and lengths of answers are read from their
/// two configuration files, a prompt too long for the context loses its middle before a chat
/// template is put around it, the data sets of examples and code get no template, and each has its
/// own metric with its quirks. A prompt is compressed up to the end of its document. Answers that
/// are short are forced as well, to measure their log-probability. Scores are those of
/// `eval.py` divided by 100, not rounded. Bai et al., `LongBench`: A Bilingual, Multitask Benchmark
/// for Long Context Understanding (ACL 2024).
#[config]
pub struct LongBench {
    /// Where the data is: a folder or a data set of the hub, `data.zip` as published, or files
    /// `trec.jsonl`, `trec_e.jsonl` or `trec/test-*.parquet` with the same columns.
    #[default("THUDM/LongBench".to_owned())]
    pub data: String,
    /// Where `dataset2prompt.json` and `dataset2maxlen.json` are: a folder, or a data set of the
    /// hub; among the data if absent. They are published in the folder `LongBench/config` of
    /// github.com/THUDM/LongBench.
    pub config: Option<String>,
    /// Those to run, a part of the task each; if none is named the 16 in English or code, of
    /// which `LongBench-E` has 13.
    pub datasets: Vec<String>,
    /// Take `LongBench-E`, which has as many short documents as long ones; a part for each of its
    /// three lengths.
    pub extended: bool,
    /// How lines of code are compared.
    pub code_similarity: CodeSimilarity,
}

impl LongBench {
    fn chosen(&self) -> Result<Vec<&'static Dataset>> {
        let offered = |dataset: &&Dataset| dataset.extended || !self.extended;
        if self.datasets.is_empty() {
            let usual = DATASETS.iter().filter(|dataset| !dataset.chinese);
            return Ok(usual.filter(offered).collect());
        }
        let find = |name: &String| {
            let found = datasets::find(name).filter(offered);
            found.ok_or_else(|| {
                let known = DATASETS.iter().filter(offered).map(|dataset| dataset.name);
                let known = known.collect::<Vec<_>>().join(", ");
                EvalError::parameter("datasets", name, format!("one of {known}"))
            })
        };
        self.datasets.iter().map(find).collect()
    }

    fn rows(
        &self,
        dataset: &Dataset,
        cx: &TaskCx<'_>,
    ) -> Result<impl Iterator<Item = Result<Row>>> {
        let name = dataset.name;
        let file = format!("{name}{}", if self.extended { "_e" } else { "" });
        let names = [
            format!("data.zip!data/{file}.jsonl"),
            format!("data/{file}.jsonl"),
            format!("{file}/test-*.parquet"),
            format!("{file}/test.parquet"),
            format!("{file}.parquet"),
        ];
        Ok(rows(cx.data.files(
            &self.data,
            &names.each_ref().map(String::as_str),
        )?))
    }
}

#[task(
    "longbench",
    family = "long documents",
    paper = "Bai et al. 2024, arXiv 2308.14508"
)]
impl Task for LongBench {
    fn parts(&self, cx: &TaskCx<'_>) -> Result<Vec<Part>> {
        let mut parts = Vec::new();
        let settings = Settings::read(self.config.as_deref().unwrap_or(&self.data), cx)?;
        for dataset in self.chosen()? {
            dataset.check()?;
            settings.of(dataset.name)?;
            let part = |name: String| Part {
                meta: [("dataset".to_owned(), json!(dataset.name))]
                    .into_iter()
                    .collect(),
                ..Part::new(name, dataset.metric.name())
            };
            if self.extended {
                for (length, _) in LENGTHS {
                    let mut part = part(format!("{} {length}", dataset.name));
                    part.meta.insert("length".to_owned(), json!(length));
                    parts.push(part);
                }
            } else {
                parts.push(part(dataset.name.to_owned()));
            }
        }
        Ok(parts)
    }

    fn samples<'a>(&'a self, part: &'a Part, cx: &'a TaskCx<'a>) -> Result<Samples<'a>> {
        let dataset = dataset(part)?;
        let settings = Settings::read(self.config.as_deref().unwrap_or(&self.data), cx)?;
        let (format, answer_tokens) = settings.of(dataset.name)?;
        let bucket = part.meta.get("length").and_then(Value::as_str);
        let wanted = move |row: &Row| -> Result<bool> {
            let length = row.number("length")?;
            let reached = LENGTHS.iter().rev().find(|(_, from)| length >= *from);
            let own = reached.map(|(name, _)| *name);
            Ok(bucket.is_none_or(|bucket| own == Some(bucket)))
        };
        let rows = self.rows(dataset, cx)?.filter_map(move |row| {
            let row = match row {
                Ok(row) => row,
                Err(error) => return Some(Err(error)),
            };
            match wanted(&row) {
                Ok(true) => Some(Ok(row)),
                Ok(false) => None,
                Err(error) => Some(Err(error)),
            }
        });
        Ok(Box::new(rows.map(move |row| {
            let prompt = Prompt {
                dataset,
                row: &row?,
                format: &format,
                answer_tokens,
            };
            prompt.sample(cx)
        })))
    }

    fn score(&self, part: &Part, sample: &Sample, answer: &Answer) -> Result<Score> {
        let classes = sample.meta.get("all_classes").and_then(Value::as_array);
        let classes: Vec<String> = classes
            .into_iter()
            .flatten()
            .filter_map(|class| Some(class.as_str()?.to_owned()))
            .collect();
        let dataset = dataset(part)?;
        let score = dataset.score(
            &answer.text,
            &sample.answers,
            &classes,
            self.code_similarity,
        )?;
        Ok(score.into())
    }
}

fn dataset(part: &Part) -> Result<&'static Dataset> {
    let name = part.meta.get("dataset").and_then(Value::as_str);
    let found = name.and_then(datasets::find);
    found.ok_or_else(|| EvalError::Task(format!("`{}` is no part of LongBench", part.name)))
}

/// What a sample is made of.
struct Prompt<'a> {
    dataset: &'static Dataset,
    row: &'a Row,
    format: &'a prompt::Format,
    answer_tokens: usize,
}

impl Prompt<'_> {
    fn sample(&self, cx: &TaskCx<'_>) -> Result<Sample> {
        let whole = self.whole(cx)?;
        let (context, question) = (whole.context.clone(), whole.question.clone());
        let text = format!("{context}{question}");
        let build = |most| {
            let Some((head, tail)) = truncate::middle(cx.tokenizer, &text, most)? else {
                return Ok(vec![whole.clone()]);
            };
            // The question is the end of what is left, or all of it if even that was cut.
            let asked = question.chars().count();
            let ends = tail.char_indices().rev().map(|(at, _)| at);
            let at = match asked.checked_sub(1) {
                None => tail.len(),
                Some(last) => ends.clone().nth(last).unwrap_or(0),
            };
            let (end, question) = tail.split_at(at);
            let mut sample = whole.clone();
            sample.context = format!("{head}{end}");
            question.clone_into(&mut sample.question);
            sample.meta.insert("truncated".to_owned(), json!(true));
            Ok(vec![sample])
        };
        let mut samples = truncate::fit(cx, self.answer_tokens, build)?;
        samples.pop().ok_or_else(|| self.row.bad("no prompt"))
    }

    /// The sample before anything is left out.
    fn whole(&self, cx: &TaskCx<'_>) -> Result<Sample> {
        let Self { dataset, row, .. } = self;
        let (context, question) = self.format.fill(row)?;
        let answers = row.texts("answers")?;
        if let Some(reason) = answers.iter().find_map(|a| dataset.metric.refuses(a)) {
            return Err(row.bad(format!("column `answers`: {reason}")));
        }
        let chat = !dataset.continued && cx.template.is_some();
        let mut sample = Sample {
            id: row.id("_id"),
            gold: dataset
                .metric
                .is_short()
                .then(|| {
                    // Right after a template's header, or after white space, there is no space.
                    let spaced = chat || question.ends_with(char::is_whitespace) || dataset.chinese;
                    format!("{}{}", if spaced { "" } else { " " }, answers[0])
                })
                .into(),
            context,
            question,
            answers,
            ask: Ask::Generate {
                max_new_tokens: self.answer_tokens,
                // Or the model goes on with dialogues of its own.
                stop_at_newline: dataset.name == "samsum",
            },
            chat: !dataset.continued,
            ..Sample::generate(self.answer_tokens)
        };
        sample
            .meta
            .insert("length".to_owned(), json!(row.number("length")?));
        if dataset.metric == datasets::Metric::Classification {
            sample
                .meta
                .insert("all_classes".to_owned(), json!(row.texts("all_classes")?));
        }
        Ok(sample)
    }
}
