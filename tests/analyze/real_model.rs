//! The default model, fetched if it is not cached: attention as it really is.

use crate::program::{json, run};
use crate::{array, number};

#[test]
fn most_attention_goes_to_one_sink_and_rounding_what_gets_none_costs_least() {
    let record = json(&run(&[
        "analyze",
        "attention",
        "--json",
        "--windows",
        "1",
        "--prefill-tokens",
        "128",
        "--score-tokens",
        "16",
        "--bits",
        "3",
        "--ranked-by",
        "future",
    ]));
    let top = &record["top"][0][0];
    assert_eq!(
        (&top["position"], &top["sink"]),
        (&0.into(), &true.into()),
        "{top}"
    );
    let groups = array(&record["sensitivity"]["groups"]);
    let kl: Vec<f64> = groups
        .iter()
        .map(|group| number(&group["kl"]["mean"]))
        .collect();
    // Highest, lowest, random.
    assert!(kl[1] < kl[2] && kl[2] < kl[0], "{kl:?}");
    let lone = &record["sensitivity"]["lone"][0];
    assert!(number(&lone["rank_correlation"]["mean"]) > 0.5, "{lone}");
}
