//! The data sets of `LongBench`, as its programs treat them.

use crate::error::{EvalError, Result};
#[cfg(feature = "chinese")]
use crate::metrics::chinese;
use crate::metrics::classification::classification;
use crate::metrics::code::{CodeSimilarity, code_similarity};
use crate::metrics::retrieval::{PARAGRAPH, PARAGRAPH_ZH, count, retrieval};
use crate::metrics::{best_of, first_line, pltrdy, squad};

/// How a prediction is compared with one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metric {
    QaF1,
    QaF1Zh,
    RougeL,
    RougeLZh,
    Classification,
    Retrieval(&'static str),
    Count,
    CodeSimilarity,
}

/// One data set.
#[derive(Debug)]
pub(super) struct Dataset {
    pub(super) name: &'static str,
    pub(super) metric: Metric,
    /// Whether `LongBench-E` has it too.
    pub(super) extended: bool,
    pub(super) chinese: bool,
    /// A prompt of examples or code that is to be continued: no chat template.
    pub(super) continued: bool,
    /// Whether only the first line of an answer is scored.
    pub(super) first_line: bool,
}

const fn dataset(name: &'static str, metric: Metric) -> Dataset {
    Dataset {
        name,
        metric,
        extended: false,
        chinese: false,
        continued: false,
        first_line: false,
    }
}

impl Dataset {
    const fn extended(self) -> Self {
        Self {
            extended: true,
            ..self
        }
    }

    const fn chinese(self) -> Self {
        Self {
            chinese: true,
            ..self
        }
    }

    const fn code(self) -> Self {
        Self {
            continued: true,
            ..self
        }
    }

    const fn few_shot(self) -> Self {
        Self {
            continued: true,
            first_line: true,
            ..self
        }
    }
}

/// All of them in the order of the official programs.
pub(super) const DATASETS: [Dataset; 21] = [
    dataset("narrativeqa", Metric::QaF1),
    dataset("qasper", Metric::QaF1).extended(),
    dataset("multifieldqa_en", Metric::QaF1).extended(),
    dataset("multifieldqa_zh", Metric::QaF1Zh).chinese(),
    dataset("hotpotqa", Metric::QaF1).extended(),
    dataset("2wikimqa", Metric::QaF1).extended(),
    dataset("musique", Metric::QaF1),
    dataset("dureader", Metric::RougeLZh).chinese(),
    dataset("gov_report", Metric::RougeL).extended(),
    dataset("qmsum", Metric::RougeL),
    dataset("multi_news", Metric::RougeL).extended(),
    dataset("vcsum", Metric::RougeLZh).chinese(),
    dataset("trec", Metric::Classification)
        .extended()
        .few_shot(),
    dataset("triviaqa", Metric::QaF1).extended().few_shot(),
    dataset("samsum", Metric::RougeL).extended().few_shot(),
    dataset("lsht", Metric::Classification).chinese().few_shot(),
    dataset("passage_count", Metric::Count).extended(),
    dataset("passage_retrieval_en", Metric::Retrieval(PARAGRAPH)).extended(),
    dataset("passage_retrieval_zh", Metric::Retrieval(PARAGRAPH_ZH)).chinese(),
    dataset("lcc", Metric::CodeSimilarity).extended().code(),
    dataset("repobench-p", Metric::CodeSimilarity)
        .extended()
        .code(),
];

/// The data set called `name`.
pub(super) fn find(name: &str) -> Option<&'static Dataset> {
    DATASETS.iter().find(|dataset| dataset.name == name)
}

impl Metric {
    /// What a table calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::QaF1 => "F1",
            Self::QaF1Zh => "F1 of segmented words",
            Self::RougeL => "ROUGE-L (rouge)",
            Self::RougeLZh => "ROUGE-L (rouge) of segmented words",
            Self::Classification => "accuracy of labels",
            Self::Retrieval(_) | Self::Count => "accuracy of numbers",
            Self::CodeSimilarity => "edit similarity",
        }
    }

    /// Whether words must be segmented to compute it.
    pub(super) fn segments(self) -> bool {
        matches!(self, Self::QaF1Zh | Self::RougeLZh)
    }

    /// Whether an answer is short enough to be forced as well.
    pub(super) fn is_short(self) -> bool {
        !matches!(self, Self::RougeL | Self::RougeLZh)
    }

    /// Why `answer` can be no answer.
    pub(super) fn refuses(self, answer: &str) -> Option<String> {
        let Self::Retrieval(label) = self else {
            return None;
        };
        let fits = retrieval("", answer, label).is_some();
        (!fits).then(|| format!("`{answer}`: expected `{label}` and a number"))
    }

    /// The score of `prediction` against the best of `answers`.
    pub(super) fn score(
        self,
        prediction: &str,
        answers: &[String],
        classes: &[String],
        code: CodeSimilarity,
    ) -> Result<f64> {
        let score = |answer: &String| match self {
            Self::QaF1 => squad::qa_f1(prediction, answer),
            Self::RougeL => pltrdy::rouge_l(prediction, answer).f1,
            #[cfg(feature = "chinese")]
            Self::QaF1Zh => chinese::qa_f1(prediction, answer),
            #[cfg(feature = "chinese")]
            Self::RougeLZh => chinese::rouge_l(prediction, answer).f1,
            #[cfg(not(feature = "chinese"))]
            Self::QaF1Zh | Self::RougeLZh => 0.0,
            Self::Classification => classification(prediction, answer, classes),
            Self::Retrieval(label) => retrieval(prediction, answer, label).unwrap_or(0.0),
            Self::Count => count(prediction, answer),
            Self::CodeSimilarity => code_similarity(prediction, answer, code),
        };
        if self.segments() && cfg!(not(feature = "chinese")) {
            return Err(no_segmenter("its score"));
        }
        Ok(best_of(answers, score))
    }
}

impl Dataset {
    /// The score of an answer, of its first line where only that counts.
    pub(super) fn score(
        &self,
        answer: &str,
        answers: &[String],
        classes: &[String],
        code: CodeSimilarity,
    ) -> Result<f64> {
        let prediction = if self.first_line {
            first_line(answer)
        } else {
            answer
        };
        self.metric.score(prediction, answers, classes, code)
    }

    /// # Errors
    /// A score that this build cannot compute.
    pub(super) fn check(&self) -> Result<()> {
        if self.metric.segments() && cfg!(not(feature = "chinese")) {
            return Err(no_segmenter(&format!("`{}`", self.name)));
        }
        Ok(())
    }
}

fn no_segmenter(what: &str) -> EvalError {
    EvalError::Task(format!(
        "{what} is of Chinese words: built without the feature `chinese`, which segments them"
    ))
}
