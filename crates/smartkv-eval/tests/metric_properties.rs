//! What holds for the text metrics of any text.
#![expect(clippy::float_cmp, reason = "exact where it is exact")]

use proptest::prelude::*;
use smartkv_eval::metrics::code::{CodeSimilarity, code_similarity};
use smartkv_eval::metrics::rouge::{self, Stemmer};
use smartkv_eval::metrics::ruler::ControlCharacters;
use smartkv_eval::metrics::{
    Overlap, aggregate, choice, classification, common_prefix, difflib, edit, first_divergence,
    lcs, needle, ordering, pltrdy, porter, retrieval, ruler, squad,
};

const STEMMERS: [Stemmer; 2] = [Stemmer::None, Stemmer::Porter];

/// Anything at all, or words with the marks that the metrics cut at.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-dA-D0-3\\.\\n \u{e9}\u{130}`#/%()]{0,60}",
        "((the|a|cats?|ran|running|3\\.5%|Paragraph 7)[ .\\n]){0,20}",
    ]
}

fn overlaps(a: &str, b: &str) -> Vec<(&'static str, Overlap)> {
    let mut found = vec![
        ("pltrdy 1", pltrdy::rouge_n(a, b, 1)),
        ("pltrdy 2", pltrdy::rouge_n(a, b, 2)),
        ("pltrdy L", pltrdy::rouge_l(a, b)),
    ];
    for stemmer in STEMMERS {
        found.extend([
            ("1", rouge::rouge_n(a, b, 1, stemmer)),
            ("2", rouge::rouge_n(a, b, 2, stemmer)),
            ("L", rouge::rouge_l(a, b, stemmer)),
            ("Lsum", rouge::rouge_lsum(a, b, stemmer)),
        ]);
    }
    found
}

fn scores(a: &str, b: &str) -> Vec<(&'static str, f64)> {
    let classes = [a, b, "a", ""];
    let mut found = vec![
        ("qa_f1", squad::qa_f1(a, b)),
        ("squad_f1", squad::squad_f1(a, b)),
        (
            "classification",
            classification::classification(a, b, &classes),
        ),
        ("count", retrieval::count(a, b)),
        (
            "retrieval",
            retrieval::retrieval(a, b, "Paragraph ").unwrap_or(0.0),
        ),
        ("match_all", ruler::match_all(a, &classes)),
        ("match_part", ruler::match_part(a, &[b])),
        ("keywords", needle::keyword_recall(a, &classes)),
        ("share", ordering::stated_share(a).unwrap_or(0.0)),
        ("indel", edit::indel_ratio(a, b)),
        ("levenshtein", edit::levenshtein_similarity(a, b)),
        ("difflib", difflib::ratio(a, b)),
        ("code", code_similarity(a, b, CodeSimilarity::Indel)),
        (
            "code, difflib",
            code_similarity(a, b, CodeSimilarity::Difflib),
        ),
        (
            "concordance",
            ordering::concordance_index(&ordering::stated_order(a), &ordering::stated_order(b)),
        ),
    ];
    for (name, overlap) in overlaps(a, b) {
        found.extend([overlap.precision, overlap.recall, overlap.f1].map(|score| (name, score)));
    }
    found
}

proptest! {
    #[test]
    fn every_score_is_a_share(a in any_text(), b in any_text()) {
        for (name, score) in scores(&a, &b) {
            prop_assert!((0.0..=1.0).contains(&score), "{name}: {score}");
        }
    }

    #[test]
    fn a_text_is_like_itself(a in any_text()) {
        for (name, overlap) in overlaps(&a, &a) {
            // 0 where there is nothing to compare, and the smoothed F of pltrdy.
            prop_assert!(overlap.f1 == 0.0 || overlap.f1 > 1.0 - 1e-8, "{name}: {overlap:?}");
        }
        prop_assert_eq!(squad::squad_f1(&a, &a), 1.0);
        prop_assert!(squad::exact_match(&a, &a));
        prop_assert_eq!(edit::indel_ratio(&a, &a), 1.0);
        prop_assert_eq!(edit::levenshtein_similarity(&a, &a), 1.0);
        prop_assert_eq!(ruler::match_part(&a, &[&a]), 1.0);
        prop_assert_eq!(first_divergence(a.as_bytes(), a.as_bytes()), None);
    }

    #[test]
    fn words_that_are_there_score(words in prop::collection::vec("[a-z]{4,9}", 1..30)) {
        let text = words.join(" ");
        for (name, overlap) in overlaps(&text, &text) {
            let bigrams = name.ends_with('2') && words.len() < 2;
            prop_assert!(bigrams || overlap.f1 > 1.0 - 1e-8, "{name}: {overlap:?}");
        }
    }

    #[test]
    fn swapping_the_texts_swaps_precision_and_recall(a in any_text(), b in any_text()) {
        // Which words a union of subsequences holds depends on the reference's sentences.
        let symmetric = |(name, _): &(&str, Overlap)| *name != "Lsum" && *name != "pltrdy L";
        let there = overlaps(&a, &b).into_iter().filter(symmetric);
        for ((name, there), (_, back)) in there.zip(overlaps(&b, &a).into_iter().filter(symmetric)) {
            prop_assert_eq!(there.precision, back.recall, "{}", name);
            prop_assert_eq!(there.recall, back.precision, "{}", name);
        }
        prop_assert_eq!(squad::qa_f1(&a, &b), squad::qa_f1(&b, &a));
        prop_assert_eq!(edit::indel_distance(&a, &b), edit::indel_distance(&b, &a));
        prop_assert_eq!(edit::levenshtein_distance(&a, &b), edit::levenshtein_distance(&b, &a));
        prop_assert_eq!(
            common_prefix(a.as_bytes(), b.as_bytes()),
            common_prefix(b.as_bytes(), a.as_bytes())
        );
    }

    #[test]
    fn edit_distances_are_ordered(a in any_text(), b in any_text()) {
        let (indel, all) = (edit::indel_distance(&a, &b), edit::levenshtein_distance(&a, &b));
        prop_assert!(all <= indel && indel <= 2 * all);
    }

    #[test]
    fn readers_accept_any_text(a in any_text(), choices: u8) {
        let normal = squad::normalise(&a);
        prop_assert!(!normal.chars().any(|c| c.is_ascii_punctuation() || c.is_ascii_uppercase()));
        let clean = ruler::clean(&a, ControlCharacters::Removed);
        prop_assert!(!clean.chars().any(|c| c < ' '));
        prop_assert_eq!(&ruler::clean(&clean, ControlCharacters::Broken), &clean);
        if let Some(letter) = choice::choice_letter(&a, choices) {
            prop_assert!(letter.is_ascii_uppercase() && letter as u8 - b'A' < choices);
        }
        prop_assert!(porter::stem(&a).len() <= a.len() + 1);
        prop_assert!(a.contains(aggregate::first_line(&a)));
    }

    #[test]
    fn stems_are_plain_words(word in "[a-z0-9]{0,12}(s|ed|ing|y|ation|alli|logi|ness|e|ll)?") {
        let stem = porter::stem(&word);
        prop_assert!(stem.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
        prop_assert!(stem.is_empty() == word.is_empty() || word == "s");
    }

    #[test]
    fn percentages_are_near_the_mean(scores in prop::collection::vec(0.0_f64..=1.0, 1..50)) {
        let mean: f64 = 100.0 * scores.iter().sum::<f64>() / f64::from(u8::try_from(scores.len())?);
        for percent in [aggregate::longbench_percent(&scores), aggregate::ruler_percent(&scores)] {
            prop_assert!((percent.unwrap() - mean).abs() <= 0.005 + 1e-9);
        }
    }
}

/// A full table would hold 400 million cells: these take a row of bits at a time.
#[test]
fn long_texts_fit() {
    let text = |step: u32| -> String {
        let words = (0..20_000_u32).map(|i| (i * step % 997).to_string());
        words.collect::<Vec<_>>().join(" ")
    };
    let (a, b) = (text(31), text(47));
    for (name, overlap) in [
        ("L", rouge::rouge_l(&a, &b, Stemmer::None)),
        ("Lsum", rouge::rouge_lsum(&a, &b, Stemmer::None)),
        ("pltrdy", pltrdy::rouge_l(&a, &b)),
    ] {
        assert!(overlap.f1 > 0.0 && overlap.f1 <= 1.0, "{name}: {overlap:?}");
    }
    let characters = |text: &str| text.chars().take(20_000).collect::<String>();
    assert!(edit::indel_ratio(&characters(&a), &characters(&b)) > 0.3);
    assert_eq!(lcs::lcs_len(a.as_bytes(), a.as_bytes()), a.len());
}
