//! L-Eval: several questions about each long document.

mod score;

use super::columns::{Row, rows};
use super::truncate;
use crate::error::{EvalError, Result};
use crate::task::{Answer, Part, Sample, Samples, Score, Task, TaskCx};
use score::Metric;
use serde_json::json;
use smartkv_core::{config, task};

/// Answers several questions about each long document: the data sets of L-Eval.
///
/// A row is a document with its instructions; their samples follow each other, so that the
/// document is prefilled once. A document too long for its longest question loses its end, that of
/// `codeU` its beginning. Those that ask for exams are scored by exact match as the official
/// program reads answers, the others by token F1 or by ROUGE as L-Eval scores n-grams; rows to be
/// judged by people or models are left out. Geometric means of ROUGE are of each sample, where the
/// program takes that of the three means, which is never lower. Two gifts of the program are not
/// made: a quarter for a choice without a letter, and the letter A for one that cannot be read.
/// An et al., L-Eval: Instituting Standardized Evaluation for Long Context Language Models (ACL
/// 2024).
#[config]
pub struct LEval {
    /// Where the data is: a folder or a data set of the hub, with
    /// `LEval/*/coursera.jsonl` and so on, or the files alone.
    #[default("L4NLP/LEval".to_owned())]
    pub data: String,
    /// Data sets to run, a part each; the seven of closed answers if none is named.
    pub datasets: Vec<String>,
    /// The prompt, with `{input}` for the document and `{instruction}` after it. L-Eval words it
    /// differently for each model and kind of task: this is what all have in common.
    #[default("{input}\n\n{instruction}".to_owned())]
    pub prompt: String,
    /// Most tokens of an answer.
    #[default(512)]
    #[range(1..)]
    pub max_new_tokens: usize,
}

/// Data sets whose answers are closed, and how each is scored.
const CLOSED: [(&str, Metric); 7] = [
    ("tpo", Metric::Choice),
    ("quality", Metric::Choice),
    ("coursera", Metric::Choices),
    ("gsm100", Metric::Number),
    ("topic_retrieval_longchat", Metric::Contained),
    ("codeU", Metric::Code),
    ("sci_fi", Metric::Loyalty),
];

/// Data sets whose answers are open: each row says how it is scored.
const OPEN: [(&str, Metric); 13] = [
    ("financial_qa", Metric::F1),
    ("legal_contract_qa", Metric::F1),
    ("multidoc_qa", Metric::F1),
    ("narrative_qa", Metric::F1),
    ("natural_question", Metric::F1),
    ("scientific_qa", Metric::F1),
    ("gov_report_summ", Metric::Rouge),
    ("meeting_summ", Metric::Rouge),
    ("news_summ", Metric::Rouge),
    ("paper_assistant", Metric::Rouge),
    ("patent_summ", Metric::Rouge),
    ("review_summ", Metric::Rouge),
    ("tv_show_summ", Metric::Rouge),
];

fn find(name: &str) -> Result<(&'static str, Metric)> {
    let mut all = CLOSED.iter().chain(&OPEN);
    all.find(|(known, _)| *known == name)
        .copied()
        .ok_or_else(|| {
            let known: Vec<&str> = CLOSED.iter().chain(&OPEN).map(|(name, _)| *name).collect();
            EvalError::parameter("datasets", name, format!("one of {}", known.join(", ")))
        })
}

#[task(
    "leval",
    family = "long documents",
    paper = "An et al. 2024, arXiv 2307.11088"
)]
impl Task for LEval {
    fn parts(&self, _cx: &TaskCx<'_>) -> Result<Vec<Part>> {
        self.frame()?;
        let part = |(name, metric): (&str, Metric)| Part::new(name, metric.name());
        if self.datasets.is_empty() {
            return Ok(CLOSED.map(part).to_vec());
        }
        self.datasets
            .iter()
            .map(|name| find(name).map(part))
            .collect()
    }

    fn samples<'a>(&'a self, part: &'a Part, cx: &'a TaskCx<'a>) -> Result<Samples<'a>> {
        let (name, metric) = find(&part.name)?;
        let names = [
            format!("LEval/*/{name}.jsonl"),
            format!("LEval-data/*/{name}.jsonl"),
            format!("*/{name}.jsonl"),
            format!("{name}.jsonl"),
            format!("{name}/test-*.parquet"),
        ];
        let files = cx
            .data
            .files(&self.data, &names.each_ref().map(String::as_str))?;
        // Only the samples of a row at a time: they repeat its document.
        let samples = rows(files).flat_map(move |row| {
            let made = row.and_then(|row| self.of_row(&row, (name, metric), cx));
            let (made, error) = match made {
                Ok(made) => (made, None),
                Err(error) => (Vec::new(), Some(Err(error))),
            };
            made.into_iter().map(Ok).chain(error)
        });
        Ok(Box::new(samples))
    }

    fn score(&self, part: &Part, sample: &Sample, answer: &Answer) -> Result<Score> {
        let (_, metric) = find(&part.name)?;
        Ok(metric.score(&answer.text, &sample.answers))
    }
}

impl LEval {
    /// The prompt's text before the document, between the two, and after the instruction.
    fn frame(&self) -> Result<[&str; 3]> {
        let parts = self
            .prompt
            .split_once("{input}")
            .and_then(|(before, rest)| {
                let (between, after) = rest.split_once("{instruction}")?;
                Some([before, between, after])
            });
        let expected = "{input} and then {instruction}";
        parts.ok_or_else(|| EvalError::parameter("prompt", &self.prompt, expected))
    }

    /// The samples of a row; none if its answers are to be judged.
    fn of_row(
        &self,
        row: &Row,
        (name, metric): (&str, Metric),
        cx: &TaskCx<'_>,
    ) -> Result<Vec<Sample>> {
        let evaluation = row.text("evaluation")?;
        if !matches!(evaluation, "exam" | "f1" | "rouge") {
            return Ok(Vec::new());
        }
        let instructions = row.texts("instructions")?;
        let outputs = row.texts("outputs")?;
        if instructions.len() != outputs.len() {
            return Err(row.bad(format!(
                "column `outputs`: {} for {} of `instructions`",
                outputs.len(),
                instructions.len()
            )));
        }
        if let Some(output) = outputs.iter().find(|output| !metric.accepts(output)) {
            return Err(row.bad(format!(
                "column `outputs`: `{output}` is no answer for {}",
                metric.name()
            )));
        }
        let [before, between, after] = self.frame()?;
        let document = row.text("input")?;
        let build = |most: usize| {
            // The text around the document is counted with what is left of it.
            let around = format!("{before}{between}{after}");
            let longest = instructions.iter().map(|i| tokens(cx, i)).max_by_key(count);
            let longest = longest.transpose()?.unwrap_or(0);
            let room = most.saturating_sub(tokens(cx, &around)? + longest).max(1);
            let kept = if name == "codeU" {
                truncate::end(cx.tokenizer, document, room)?
            } else {
                truncate::start(cx.tokenizer, document, room)?
            };
            let context = format!("{before}{}", kept.as_deref().unwrap_or(document));
            let pairs = instructions.iter().zip(&outputs).zip(1..);
            let sample = |((instruction, output), number): ((&String, &String), usize)| {
                let mut sample = Sample {
                    id: format!("{}/{number}", row.id("id")),
                    context: context.clone(),
                    question: format!("{between}{instruction}{after}"),
                    answers: vec![output.clone()],
                    ..Sample::generate(self.max_new_tokens)
                };
                if kept.is_some() {
                    sample.meta.insert("truncated".to_owned(), json!(true));
                }
                sample
            };
            Ok(pairs.map(sample).collect())
        };
        truncate::fit(cx, self.max_new_tokens, build)
    }
}

fn tokens(cx: &TaskCx<'_>, text: &str) -> Result<usize> {
    Ok(cx.tokenizer.encode(text, false)?.len())
}

/// Errors first, so that they are found as the longest.
fn count(tokens: &Result<usize>) -> usize {
    tokens.as_ref().copied().unwrap_or(usize::MAX)
}
