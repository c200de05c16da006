//! RULER's questions from the files that the hub has them in.
#![cfg(feature = "parquet")]

mod common;

use common::{prose, tiny_long};
use smartkv_eval::task::{DataFile, DataSource, TaskCx};
use smartkv_eval::tasks::Ruler;
use smartkv_eval::{EvalError, Haystack, Result, Sample, Task};
use std::path::Path;

/// Files that lie in the repository under the names that the hub gives theirs.
struct Hub;

impl DataSource for Hub {
    fn files(&self, root: &str, names: &[&str]) -> Result<Vec<DataFile>> {
        assert!(
            names
                .iter()
                .any(|name| name.ends_with("validation-*.parquet"))
        );
        let kind = if root == "rajpurkar/squad_v2" {
            "squad"
        } else {
            "hotpot"
        };
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        Ok(vec![DataFile {
            path: folder.join(format!("{kind}.parquet")),
            member: None,
            name: "validation-00000-of-00001.parquet".into(),
            sha256: String::new(),
        }])
    }

    fn text(&self, name: &str) -> Result<Haystack> {
        Err(EvalError::Task(format!("no text {name}")))
    }
}

#[test]
fn questions_of_both_sets_are_read_from_parquet() {
    let model = tiny_long("questions");
    let haystack = Haystack {
        name: "mill".into(),
        text: prose(1),
    };
    let cx = TaskCx {
        tokenizer: model.tokenizer(),
        template: None,
        context_tokens: 2000,
        seed: 0,
        query_aware: false,
        data: &Hub,
        haystack: &haystack,
    };
    let task = Ruler {
        tasks: vec!["qa_1".into(), "qa_2".into()],
        ..Ruler::default()
    };
    let parts = task.parts(&cx).unwrap();
    let samples = |index: usize| -> Vec<Sample> {
        let samples = task.samples(&parts[index], &cx).unwrap();
        samples.map(Result::unwrap).collect()
    };
    let mut squad = samples(0);
    squad.sort_by(|a, b| a.answers.cmp(&b.answers));
    assert_eq!(squad.len(), 2, "what has no answer is not asked");
    assert_eq!(squad[0].answers, ["1992"]);
    assert_eq!(squad[1].answers, ["by the river"]);
    for sample in &squad {
        assert!(sample.context.contains("The mill stands by the river."));
        assert!(sample.context.contains("The bridge was closed in 1992."));
    }
    let hotpot = samples(1);
    assert_eq!(hotpot.len(), 1);
    assert!(
        hotpot[0]
            .context
            .contains("Children\nThree children ran along.")
    );
    assert_eq!(hotpot[0].answers, ["the bridge"]);
}
