//! Text metrics against the reference programs.
//!
//! `golden/metrics_golden.json` was made with `LongBench`, `rouge` 1.0.1, `rouge-score` 0.1.2,
//! `rapidfuzz` and `fuzzywuzzy` (its longer texts are of Alpaca-libre, CC0);
//! `golden/text_metrics.json` with `golden/text_metrics.py`.

use serde::Deserialize;
use serde_json::Value;
use smartkv_eval::metrics::code::CodeSimilarity;
use smartkv_eval::metrics::rouge::Stemmer;
use smartkv_eval::metrics::{
    Overlap, classification, code, difflib, edit, pltrdy, porter, retrieval, rouge, ruler, squad,
};

#[track_caller]
fn same(got: f64, want: &Value, what: &str) {
    let want = want.as_f64().expect("a number");
    // The last printed digit; reading JSON may itself round to the next number.
    assert!(
        (got - want).abs() <= 2.0 * f64::EPSILON * want.abs(),
        "{what}: {got:?}, expected {want:?}"
    );
}

#[track_caller]
fn same_overlap(got: Overlap, want: &Value, what: &str) {
    for (i, got) in [got.precision, got.recall, got.f1].into_iter().enumerate() {
        same(got, &want[i], what);
    }
}

fn google(kind: &str, prediction: &str, reference: &str, stemmer: Stemmer) -> Overlap {
    match kind {
        "rougeL" => rouge::rouge_l(prediction, reference, stemmer),
        "rougeLsum" => rouge::rouge_lsum(prediction, reference, stemmer),
        _ => {
            let n = kind.trim_start_matches("rouge").parse().expect("rougeN");
            rouge::rouge_n(prediction, reference, n, stemmer)
        }
    }
}

fn check_google(scores: &Value, prediction: &str, reference: &str, stemmer: Stemmer) {
    let scores = scores.as_object().expect("scores by kind");
    assert!(scores.len() >= 4);
    for (kind, want) in scores {
        let got = google(kind, prediction, reference, stemmer);
        same_overlap(got, want, &format!("{kind} of {prediction:?}"));
    }
}

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/metrics_golden.json")).expect("JSON")
}

fn rows(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

#[test]
fn pairs_of_texts() {
    let golden = golden();
    let pairs = rows(&golden["pairs"]);
    assert_eq!(pairs.len(), 28);
    for pair in pairs {
        let (pred, gold) = (text(&pair["pred"]), text(&pair["gold"]));
        assert_eq!(squad::normalise(pred), text(&pair["lb_normalize_pred"]));
        let check = |got, key: &str| same(got, &pair[key], &format!("{key} of {pred:?}"));
        check(squad::qa_f1(pred, gold), "lb_qa_f1");
        check(pltrdy::rouge_l(pred, gold).f1, "lb_rougeL_f");
        check(
            code::code_similarity(pred, gold, CodeSimilarity::Difflib),
            "lb_code_sim_difflib",
        );
        check(100.0 * edit::indel_ratio(pred, gold), "indel_ratio_100");
        check(edit::levenshtein_similarity(pred, gold), "lev_norm_sim");
        check_google(&pair["google_rouge"], pred, gold, Stemmer::None);
        check_google(&pair["google_rouge_stem"], pred, gold, Stemmer::Porter);
    }
}

#[test]
fn classification_cases() {
    let golden = golden();
    for (key, cases) in [("classification", 8), ("classification_substring_quirk", 5)] {
        let classes: Vec<&str> = rows(&golden[key]["all_classes"]).iter().map(text).collect();
        assert_eq!(rows(&golden[key]["cases"]).len(), cases);
        for case in rows(&golden[key]["cases"]) {
            let got = classification::classification(text(&case[0]), text(&case[1]), &classes);
            same(got, &case[2], text(&case[0]));
        }
    }
}

#[test]
fn retrieval_and_count_cases() {
    let golden = golden();
    assert_eq!(rows(&golden["retrieval"]).len(), 6);
    for case in rows(&golden["retrieval"]) {
        let got = retrieval::retrieval(text(&case[0]), text(&case[1]), retrieval::PARAGRAPH);
        same(got.unwrap(), &case[2], text(&case[0]));
    }
    assert_eq!(rows(&golden["count"]).len(), 4);
    for case in rows(&golden["count"]) {
        let got = retrieval::count(text(&case[0]), text(&case[1]));
        same(got, &case[2], text(&case[0]));
    }
}

#[test]
fn code_cases() {
    let golden = golden();
    assert_eq!(rows(&golden["code_sim"]).len(), 7);
    for case in rows(&golden["code_sim"]) {
        let (pred, gold) = (text(&case[0]), text(&case[1]));
        let difflib = code::code_similarity(pred, gold, CodeSimilarity::Difflib);
        same(difflib, &case[2], pred);
        same(
            edit::indel_ratio(code::first_line_of_code(pred), gold),
            &case[3],
            pred,
        );
        let rounded = (100.0 * case[3].as_f64().unwrap()).round() / 100.0;
        let indel = code::code_similarity(pred, gold, CodeSimilarity::Indel);
        same(indel, &rounded.into(), pred);
    }
}

#[test]
fn ruler_cases() {
    let golden = golden();
    assert_eq!(rows(&golden["ruler"]).len(), 5);
    for case in rows(&golden["ruler"]) {
        let references: Vec<&str> = rows(&case[1]).iter().map(text).collect();
        same(
            ruler::match_all(text(&case[0]), &references),
            &case[2],
            "all",
        );
        same(
            ruler::match_part(text(&case[0]), &references),
            &case[3],
            "part",
        );
    }
}

#[derive(Deserialize)]
struct Packages {
    stems: std::collections::BTreeMap<String, String>,
    pairs: Vec<Value>,
    #[cfg_attr(
        not(feature = "chinese"),
        expect(dead_code, reason = "needs a dictionary")
    )]
    chinese: Vec<Value>,
}

fn packages() -> Packages {
    serde_json::from_str(include_str!("golden/text_metrics.json")).expect("JSON")
}

#[test]
fn stems_of_nltk() {
    let stems = packages().stems;
    assert!(stems.len() > 500, "{}", stems.len());
    for (word, want) in stems {
        assert_eq!(porter::stem(&word), want, "{word}");
    }
}

#[test]
fn random_texts() {
    let pairs = packages().pairs;
    assert_eq!(pairs.len(), 12);
    check_pairs(&pairs);
}

fn check_pairs(pairs: &[Value]) {
    for pair in pairs {
        let (pred, gold) = (text(&pair["pred"]), text(&pair["gold"]));
        let pltrdy = [
            ("rouge-1", pltrdy::rouge_n(pred, gold, 1)),
            ("rouge-2", pltrdy::rouge_n(pred, gold, 2)),
            ("rouge-l", pltrdy::rouge_l(pred, gold)),
        ];
        for (kind, got) in pltrdy {
            // The package refuses a text without sentences; LongBench scores that 0.
            let zero = serde_json::json!([0.0, 0.0, 0.0]);
            let want = pair["pltrdy"].get(kind).unwrap_or(&zero);
            same_overlap(got, want, &format!("{kind} of {pred:?} and {gold:?}"));
        }
        check_google(&pair["none"], pred, gold, Stemmer::None);
        check_google(&pair["porter"], pred, gold, Stemmer::Porter);
        same(100.0 * edit::indel_ratio(pred, gold), &pair["indel"], pred);
        same(
            edit::levenshtein_similarity(pred, gold),
            &pair["levenshtein"],
            pred,
        );
        same(difflib::ratio(pred, gold), &pair["difflib"], pred);
    }
}

#[cfg(feature = "chinese")]
#[test]
fn chinese_texts() {
    use smartkv_eval::metrics::chinese;
    let cases = packages().chinese;
    assert_eq!(cases.len(), 8);
    for case in cases {
        let (pred, gold) = (text(&case["pred"]), text(&case["gold"]));
        for (sentence, words) in [(pred, "pred_words"), (gold, "gold_words")] {
            let words: Vec<&str> = rows(&case[words]).iter().map(text).collect();
            assert_eq!(chinese::segment(sentence), words);
        }
        same(chinese::qa_f1(pred, gold), &case["f1"], pred);
        same(chinese::rouge_l(pred, gold).f1, &case["rouge_l"], pred);
    }
}
