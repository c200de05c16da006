//! Sweeps beyond one machine: what is handed to Slurm and what its answers mean, against commands
//! that only answer; the same on a real Slurm, which `.ci/slurm` starts; and the cell's command
//! under other programs that run commands.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

#[path = "slurm/answers.rs"]
mod answers;
#[path = "slurm/fake.rs"]
mod fake;
#[path = "slurm/others.rs"]
mod others;
#[path = "cli/program.rs"]
#[allow(dead_code, reason = "shared with the tests of the command line")]
mod program;
#[path = "slurm/real.rs"]
mod real;
#[path = "slurm/scripts.rs"]
mod scripts;
#[path = "sweep/study.rs"]
#[allow(dead_code, reason = "shared with the tests of sweeps")]
mod study;
