//! The program as its users meet it: arguments in; exit code, standard output and standard error
//! out.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

#[path = "cli/bench.rs"]
mod bench;
#[path = "cli/budgets.rs"]
mod budgets;
#[path = "cli/calibrating.rs"]
mod calibrating;
#[path = "cli/comparing.rs"]
mod comparing;
#[path = "cli/configs.rs"]
mod configs;
#[path = "cli/files.rs"]
mod files;
#[path = "cli/foreseeing.rs"]
mod foreseeing;
#[path = "cli/generating.rs"]
mod generating;
#[path = "cli/listings.rs"]
mod listings;
#[path = "cli/new.rs"]
mod new;
#[path = "cli/output.rs"]
mod output;
#[path = "cli/precedence.rs"]
mod precedence;
#[path = "cli/program.rs"]
mod program;
#[path = "cli/protocols.rs"]
mod protocols;
#[path = "cli/real_model.rs"]
mod real_model;
#[path = "cli/records.rs"]
mod records;
#[path = "cli/tables.rs"]
mod tables;
#[path = "cli/tasks.rs"]
mod tasks;
