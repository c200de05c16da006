//! `smartkv figures`: a store and records in, figures out, and checked again.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

#[path = "figures/analyses.rs"]
mod analyses;
#[path = "figures/checked.rs"]
mod checked;
#[path = "figures/drawn.rs"]
mod drawn;
#[path = "cli/program.rs"]
#[allow(dead_code, reason = "shared with the tests of the command line")]
mod program;
#[path = "sweep/study.rs"]
#[allow(dead_code, reason = "shared with the tests of sweeps")]
mod study;

use program::{Run, run};
use std::path::PathBuf;
use study::{Study, base, uniform};

/// A study that was run, with a folder for its figures.
struct Drawn {
    study: Study,
    out: PathBuf,
}

impl Drawn {
    fn new(study: Study) -> Self {
        let done = study.sweep("run", &["--jobs", "1", "--threads", "1"]);
        assert_eq!(done.code, 0, "{}", done.stderr);
        let out = study.folder.path().join("figures");
        Self { study, out }
    }

    /// Two strategies that pack and one that simulates, two seeds, a baseline.
    fn small() -> Self {
        let simulated = "gear: {type: gear, bits: 2, group_size: 16}";
        Self::new(Study::new(&format!(
            "{}axes:\n  strategy: {{{}, {}, {simulated}}}\nbaseline: {{strategy: uniform-4}}\nseeds: 2\n",
            base(2, 8),
            uniform(4),
            uniform(2)
        )))
    }

    /// `smartkv figures` on the store, with few resamples.
    fn figures(&self, more: &[&str]) -> Run {
        let out = self.out.to_str().unwrap();
        let mut args = vec!["figures", "--store", self.study.store(), "--out", out];
        if !more.contains(&"--resamples") && !more.contains(&"--check") {
            args.extend(["--resamples", "200"]);
        }
        args.extend(more);
        run(&args)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.out.join(name)
    }
}
