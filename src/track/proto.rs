//! The records of a run's file: the part of W&B's protocol buffers that a run needs.
//!
//! Numbers are those of `wandb_internal.proto` in wandb 0.31. What we do not write is left out:
//! readers of protocol buffers skip what they do not know.

use prost::{Message, Oneof};

/// One record.
#[derive(Clone, PartialEq, Message)]
pub struct Record {
    /// Its number, from 1.
    #[prost(int64, tag = "1")]
    pub num: i64,
    /// What it says.
    #[prost(oneof = "Kind", tags = "2, 3, 5, 6, 7, 13, 17, 18, 21, 22, 26")]
    pub kind: Option<Kind>,
}

/// What a record says.
#[derive(Clone, PartialEq, Oneof)]
pub enum Kind {
    /// One row of the history.
    #[prost(message, tag = "2")]
    History(History),
    /// Fields of the summary.
    #[prost(message, tag = "3")]
    Summary(Items),
    /// Fields of the configuration.
    #[prost(message, tag = "5")]
    Config(Items),
    /// Files to upload.
    #[prost(message, tag = "6")]
    Files(Files),
    /// What the machine does.
    #[prost(message, tag = "7")]
    Stats(Stats),
    /// A line the program printed.
    #[prost(message, tag = "13")]
    Output(Output),
    /// The run.
    #[prost(message, tag = "17")]
    Run(Box<Run>),
    /// How it ended.
    #[prost(message, tag = "18")]
    Exit(Exit),
    /// Who writes.
    #[prost(message, tag = "21")]
    Header(Header),
    /// Nothing follows.
    #[prost(message, tag = "22")]
    Footer(Footer),
    /// What it runs on.
    #[prost(message, tag = "26")]
    Environment(Environment),
}

/// A field and its JSON.
#[derive(Clone, PartialEq, Message)]
pub struct Item {
    /// Name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Extended JSON.
    #[prost(string, tag = "16")]
    pub value_json: String,
}

/// Fields.
#[derive(Clone, PartialEq, Message)]
pub struct Items {
    /// Set or replaced.
    #[prost(message, repeated, tag = "1")]
    pub update: Vec<Item>,
}

/// One row.
#[derive(Clone, PartialEq, Message)]
pub struct History {
    /// Its fields, `_step`, `_runtime` and `_timestamp` among them.
    #[prost(message, repeated, tag = "1")]
    pub item: Vec<Item>,
    /// Its step once more.
    #[prost(message, optional, tag = "2")]
    pub step: Option<Step>,
}

/// A step.
#[derive(Clone, PartialEq, Message)]
pub struct Step {
    /// From 0.
    #[prost(int64, tag = "1")]
    pub num: i64,
}

/// Files in the run's folder.
#[derive(Clone, PartialEq, Message)]
pub struct Files {
    /// The files.
    #[prost(message, repeated, tag = "1")]
    pub files: Vec<FileItem>,
}

/// One file; its policy is the default, to upload at once.
#[derive(Clone, PartialEq, Message)]
pub struct FileItem {
    /// Path in the folder `files`.
    #[prost(string, tag = "1")]
    pub path: String,
}

/// What the machine does.
#[derive(Clone, PartialEq, Message)]
pub struct Stats {
    /// When.
    #[prost(message, optional, tag = "2")]
    pub timestamp: Option<Timestamp>,
    /// Measures, without the `system.` they are shown with.
    #[prost(message, repeated, tag = "3")]
    pub item: Vec<Item>,
}

/// A line the program printed.
#[derive(Clone, PartialEq, Message)]
pub struct Output {
    /// 0 for standard error, 1 for standard output.
    #[prost(int32, tag = "1")]
    pub output_type: i32,
    /// When.
    #[prost(message, optional, tag = "2")]
    pub timestamp: Option<Timestamp>,
    /// The line with its end.
    #[prost(string, tag = "3")]
    pub line: String,
}

/// Seconds and nanoseconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Timestamp {
    /// Whole seconds.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// The rest.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// The run.
#[derive(Clone, PartialEq, Message)]
pub struct Run {
    /// Its identity in the project.
    #[prost(string, tag = "1")]
    pub run_id: String,
    /// User or team; empty for the key's own.
    #[prost(string, tag = "2")]
    pub entity: String,
    /// Project.
    #[prost(string, tag = "3")]
    pub project: String,
    /// Configuration at the start.
    #[prost(message, optional, tag = "4")]
    pub config: Option<Items>,
    /// Group.
    #[prost(string, tag = "6")]
    pub run_group: String,
    /// Kind of work.
    #[prost(string, tag = "7")]
    pub job_type: String,
    /// Name that people see.
    #[prost(string, tag = "8")]
    pub display_name: String,
    /// Notes.
    #[prost(string, tag = "9")]
    pub notes: String,
    /// Tags.
    #[prost(string, repeated, tag = "10")]
    pub tags: Vec<String>,
    /// Sweep that started it.
    #[prost(string, tag = "12")]
    pub sweep_id: String,
    /// Machine.
    #[prost(string, tag = "13")]
    pub host: String,
    /// Start.
    #[prost(message, optional, tag = "17")]
    pub start_time: Option<Timestamp>,
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Exit {
    /// 0 for success.
    #[prost(int32, tag = "1")]
    pub exit_code: i32,
    /// Seconds.
    #[prost(int32, tag = "2")]
    pub runtime: i32,
}

/// Who writes, and who can read.
#[derive(Clone, PartialEq, Message)]
pub struct Header {
    /// Versions.
    #[prost(message, optional, tag = "1")]
    pub version_info: Option<VersionInfo>,
}

/// Versions.
#[derive(Clone, PartialEq, Message)]
pub struct VersionInfo {
    /// The writer's.
    #[prost(string, tag = "1")]
    pub producer: String,
    /// The oldest reader's.
    #[prost(string, tag = "2")]
    pub min_consumer: String,
}

/// Nothing follows.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Footer {}

/// What a run runs on.
#[derive(Clone, PartialEq, Message)]
pub struct Environment {
    /// Operating system.
    #[prost(string, tag = "1")]
    pub os: String,
    /// Start.
    #[prost(message, optional, tag = "3")]
    pub started_at: Option<Timestamp>,
    /// Program.
    #[prost(string, tag = "6")]
    pub program: String,
    /// Machine.
    #[prost(string, tag = "12")]
    pub host: String,
    /// CPUs.
    #[prost(uint32, tag = "17")]
    pub cpu_count_logical: u32,
    /// Name of this writer among those of the run.
    #[prost(string, tag = "199")]
    pub writer_id: String,
}
