//! `ZeroSCROLLS`: long documents with the instruction written out.

use super::columns::{Row, rows};
use super::truncate;
use crate::error::{EvalError, Result};
use crate::metrics::choice::choice_letter;
use crate::metrics::ordering::{
    concordance_index, exponential_similarity, stated_order, stated_share,
};
use crate::metrics::{best_of, rouge, squad};
use crate::task::{Answer, Part, Sample, Samples, Score, Task, TaskCx};
use serde_json::json;
use smartkv_core::{config, task};

/// Answers and summarises long documents: the ten tasks of `ZeroSCROLLS`.
///
/// Samples are those of the validation split, for the answers of the test split are private. A
/// prompt is cut into document, query and the beginning of the answer at the places that its row
/// names; one too long loses the end of its document, with the row's own remark in its place.
/// Metrics are those of the paper: token F1, ROUGE as SCROLLS has it, accuracy of choices,
/// exponential similarity of shares, concordance of orders. Summaries are scored by the geometric
/// mean of ROUGE-1, 2 and L of each sample; the official number takes it of the three means, which
/// the details of samples allow. Shaham et al., `ZeroSCROLLS`: A Zero-Shot Benchmark for Long Text
/// Understanding (2023).
#[config]
pub struct ZeroScrolls {
    /// Where the data is: a folder or a data set of the hub, with `qasper.zip` or
    /// `qasper/validation.jsonl` and so on, or parquet files with the same columns.
    #[default("tau/zero_scrolls".to_owned())]
    pub data: String,
    /// Tasks to run, a part each; all ten if none is named.
    pub tasks: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Metric {
    F1,
    Rouge,
    Choice,
    Share,
    Order,
}

/// Name, metric, most tokens of an answer.
const TASKS: [(&str, Metric, usize); 10] = [
    ("gov_report", Metric::Rouge, 1024),
    ("summ_screen_fd", Metric::Rouge, 512),
    ("qmsum", Metric::Rouge, 512),
    ("squality", Metric::Rouge, 512),
    ("qasper", Metric::F1, 128),
    ("narrative_qa", Metric::F1, 64),
    ("quality", Metric::Choice, 10),
    ("musique", Metric::F1, 32),
    ("space_digest", Metric::Share, 36),
    ("book_sum_sort", Metric::Order, 256),
];

/// Choices of a question of `quality`.
const CHOICES: u8 = 4;

impl Metric {
    fn name(self) -> &'static str {
        match self {
            Self::F1 => "F1",
            Self::Rouge => "ROUGE-1/2/L (geometric mean)",
            Self::Choice => "accuracy",
            Self::Share => "exponential similarity",
            Self::Order => "concordance index",
        }
    }

    fn score(self, text: &str, answers: &[String]) -> Score {
        let value = match self {
            Self::F1 => best_of(answers, |answer| squad::qa_f1(text, answer)),
            Self::Rouge => {
                let [one, two, l] = rouge::scrolls(text, answers);
                return Score::from(rouge::geometric_mean(one, two, l))
                    .with("rouge_1", one)
                    .with("rouge_2", two)
                    .with("rouge_l", l);
            }
            Self::Choice => {
                let chosen = choice_letter(text, CHOICES);
                best_of(answers, |answer| {
                    let right = chosen.is_some() && chosen == choice_letter(answer, CHOICES);
                    f64::from(u8::from(right))
                })
            }
            Self::Share => best_of(answers, |answer| {
                match (stated_share(text), stated_share(answer)) {
                    (Some(stated), Some(right)) => exponential_similarity(stated, right),
                    _ => 0.0,
                }
            }),
            Self::Order => best_of(answers, |answer| {
                concordance_index(&stated_order(text), &stated_order(answer))
            }),
        };
        value.into()
    }

    /// What is missing from `answer`.
    fn wants(self, answer: &str) -> Option<&'static str> {
        match self {
            Self::F1 | Self::Rouge => answer.is_empty().then_some(
                "an answer: those of the test split are private, take the validation split",
            ),
            Self::Choice => choice_letter(answer, CHOICES)
                .is_none()
                .then_some("a letter A to D"),
            Self::Share => stated_share(answer)
                .is_none()
                .then_some("a share in percent"),
            Self::Order => stated_order(answer)
                .is_empty()
                .then_some("numbers in order"),
        }
    }
}

fn find(name: &str) -> Result<(&'static str, Metric, usize)> {
    let found = TASKS.iter().find(|(known, ..)| *known == name);
    found.copied().ok_or_else(|| {
        let known = TASKS.map(|(name, ..)| name).join(", ");
        EvalError::parameter("tasks", name, format!("one of {known}"))
    })
}

#[task(
    "zeroscrolls",
    family = "long documents",
    paper = "Shaham et al. 2023, arXiv 2305.14196"
)]
impl Task for ZeroScrolls {
    fn parts(&self, _cx: &TaskCx<'_>) -> Result<Vec<Part>> {
        let part = |(name, metric, _): (&str, Metric, usize)| Part::new(name, metric.name());
        if self.tasks.is_empty() {
            return Ok(TASKS.map(part).to_vec());
        }
        self.tasks.iter().map(|name| find(name).map(part)).collect()
    }

    fn samples<'a>(&'a self, part: &'a Part, cx: &'a TaskCx<'a>) -> Result<Samples<'a>> {
        let (name, metric, answer_tokens) = find(&part.name)?;
        let names = [
            format!("{name}.zip!{name}/validation.jsonl"),
            format!("{name}.zip!validation.jsonl"),
            format!("{name}/validation.jsonl"),
            format!("{name}/validation-*.parquet"),
            format!("{name}_validation.jsonl"),
        ];
        let files = cx
            .data
            .files(&self.data, &names.each_ref().map(String::as_str))?;
        // Rows with the same id are one sample with several references.
        let mut found: Vec<(String, Row, Vec<String>)> = Vec::new();
        for row in rows(files) {
            let row = row?;
            let answer = row.text("output")?.to_owned();
            if let Some(wanted) = metric.wants(&answer) {
                return Err(row.bad(format!("column `output`: expected {wanted}")));
            }
            let id = row.id("id");
            match found.iter_mut().find(|(known, ..)| *known == id) {
                Some((.., answers)) => answers.push(answer),
                None => found.push((id, row, vec![answer])),
            }
        }
        Ok(Box::new(found.into_iter().map(
            move |(id, row, answers)| {
                let gold = (metric != Metric::Rouge).then(|| answers[0].clone());
                let bare = Sample {
                    id,
                    answers,
                    gold: gold.into(),
                    ..Sample::generate(answer_tokens)
                };
                Prompt::of(&row)?.sample(&row, &bare, answer_tokens, cx)
            },
        )))
    }

    fn score(&self, part: &Part, sample: &Sample, answer: &Answer) -> Result<Score> {
        let (_, metric, _) = find(&part.name)?;
        Ok(metric.score(&answer.text, &sample.answers))
    }
}

/// A row's `input`, and where it is cut, in bytes.
struct Prompt<'a> {
    input: &'a str,
    separator: &'a str,
    document_end: usize,
    query_start: usize,
    query_end: usize,
}

impl<'a> Prompt<'a> {
    fn of(row: &'a Row) -> Result<Self> {
        let input = row.text("input")?;
        let place = |column: &str| {
            let index = row.number(column)?;
            let mut ends = input.char_indices().map(|(at, _)| at).chain([input.len()]);
            let at = ends.nth(index);
            at.ok_or_else(|| row.bad(format!("column `{column}`: {index} is beyond the input")))
        };
        let document_end = place("document_end_index")?;
        // Where there is no query it is empty, behind the document.
        let query_start = place("query_start_index")?.max(document_end);
        let query_end = place("query_end_index")?.max(query_start);
        Ok(Self {
            input,
            separator: row.text("truncation_seperator")?,
            document_end,
            query_start,
            query_end,
        })
    }

    fn sample(
        &self,
        row: &Row,
        bare: &Sample,
        answer_tokens: usize,
        cx: &TaskCx<'_>,
    ) -> Result<Sample> {
        let tokenizer = cx.tokenizer;
        let input = self.input;
        let prefix = &input[self.query_end..];
        // Without a template the prompt is the input as it is; with one the assistant begins.
        let prefix = if cx.template.is_some() {
            prefix.trim()
        } else {
            prefix
        };
        let whole = Sample {
            context: input[..self.document_end].to_owned(),
            question: input[self.document_end..self.query_end].to_owned(),
            answer_prefix: prefix.to_owned(),
            gold: bare
                .gold
                .text()
                .map(|gold| {
                    let spaced = prefix.is_empty() || prefix.ends_with(char::is_whitespace);
                    format!("{}{gold}", if spaced { "" } else { " " })
                })
                .into(),
            ..bare.clone()
        };
        let build = |most: usize| {
            if tokenizer.encode(input, true)?.len() <= most {
                return Ok(vec![whole.clone()]);
            }
            let kept = format!("{}{}", self.separator, &input[self.query_start..]);
            let kept = tokenizer.encode(&kept, true)?.len();
            let room = most.checked_sub(kept).filter(|&room| room > 0);
            let room = room.ok_or_else(|| {
                row.bad(format!(
                    "its query and answer alone need {}",
                    kept + answer_tokens
                ))
            })?;
            let before = &input[..self.query_start];
            let start = truncate::start(tokenizer, before, room)?;
            let start = start.as_deref().unwrap_or(before);
            let mut sample = Sample {
                context: format!("{start}{}", self.separator),
                question: input[self.query_start..self.query_end].to_owned(),
                ..whole.clone()
            };
            sample.meta.insert("truncated".to_owned(), json!(true));
            Ok(vec![sample])
        };
        let mut samples = truncate::fit(cx, answer_tokens, build)?;
        samples.pop().ok_or_else(|| row.bad("no prompt"))
    }
}
