//! The Chinese tasks of `LongBench`: scores of segmented words (feature `chinese`).
//!
//! Words are those of jieba with its own dictionary and its model for unknown words, as in
//! `metrics.py` of `LongBench`. The dictionary is loaded once, at the first score.

use super::Overlap;
use super::python::words;
use super::{pltrdy, squad};
use jieba_rs::Jieba;
use std::sync::LazyLock;

static JIEBA: LazyLock<Jieba> = LazyLock::new(Jieba::new);

/// Full-width and ideographic punctuation that [`qa_f1`] drops beside that of ASCII.
const PUNCTUATION: &str = "！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､、〃》「」\
                           『』【】〔〕〖〗〘〙〚〛〜〝〞〟〰〾〿–—‘’‛“”„‟…‧﹏";

/// The words of a Chinese text: `jieba.cut(text)`.
#[must_use]
pub fn segment(text: &str) -> Vec<&str> {
    JIEBA
        .cut(text, true)
        .into_iter()
        .map(|token| token.word)
        .collect()
}

/// Token F1 of segmented words in lower case without punctuation and white space
/// (`qa_f1_zh_score`): 0 when nothing is shared, two empty answers included.
#[must_use]
pub fn qa_f1(prediction: &str, reference: &str) -> f64 {
    let [prediction, reference] = [prediction, reference].map(|text| {
        let tokens = segment(text).into_iter().map(normalise);
        tokens.filter(|token| !token.is_empty()).collect::<Vec<_>>()
    });
    squad::token_f1(&prediction, &reference).f1
}

/// ROUGE of the package `rouge` over segmented words (`rouge_zh_score`).
///
/// `。` ends no sentence there, so a text without a `.` is one sentence.
#[must_use]
pub fn rouge_l(prediction: &str, reference: &str) -> Overlap {
    let [prediction, reference] = [prediction, reference].map(|text| segment(text).join(" "));
    pltrdy::rouge_l(&prediction, &reference)
}

fn normalise(token: &str) -> String {
    let bare: String = token
        .to_lowercase()
        .chars()
        .filter(|c| !c.is_ascii_punctuation() && !PUNCTUATION.contains(*c))
        .collect();
    words(&bare).collect()
}
