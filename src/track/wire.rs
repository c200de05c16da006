//! Requests and answers of the W&B protocol, as JSON.

use super::json::{Json, object};
use super::parse::parse;
use super::proto;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Creates a run, or changes it.
const UPSERT: &str = "mutation UpsertBucket($id: String, $name: String, $project: String, \
$entity: String, $groupName: String, $description: String, $displayName: String, $notes: String, \
$commit: String, $config: JSONString, $host: String, $debug: Boolean, $program: String, \
$repo: String, $jobType: String, $state: String, $sweep: String, $tags: [String!], \
$summaryMetrics: JSONString) { upsertBucket(input: {id: $id, name: $name, modelName: $project, \
entityName: $entity, groupName: $groupName, description: $description, displayName: $displayName, \
notes: $notes, commit: $commit, config: $config, host: $host, debug: $debug, \
jobProgram: $program, jobRepo: $repo, jobType: $jobType, state: $state, sweep: $sweep, \
tags: $tags, summaryMetrics: $summaryMetrics}) { bucket { id name displayName sweepName \
historyLineCount project { name entity { name } } } inserted } }";

/// What a run holds already.
const RESUME: &str = "query RunResumeStatus($project: String, $entity: String, $name: String!) { \
model(name: $project, entityName: $entity) { id name entity { id name } \
bucket(name: $name, missingOk: true) { id name summaryMetrics logLineCount historyLineCount \
eventsLineCount historyTail } } }";

/// Asks for places to put files.
const FILES: &str = "mutation CreateRunFiles($entity: String!, $project: String!, $run: String!, \
$files: [String!]!) { createRunFiles(input: {entityName: $entity, projectName: $project, \
runName: $run, files: $files}) { runID uploadHeaders files { name uploadUrl } } }";

/// A run as the server names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) entity: String,
    pub(super) project: String,
    pub(super) run: String,
}

/// What a run held before it was resumed.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Held {
    /// The server's own name of it.
    pub(super) id: String,
    /// Lines of the history.
    pub(super) history: u64,
    /// Lines of the system metrics.
    pub(super) events: u64,
    /// Lines of the output.
    pub(super) output: u64,
    /// The step that comes next.
    pub(super) step: i64,
    /// Seconds it ran.
    pub(super) runtime: f64,
    /// Summary: names and JSON.
    pub(super) summary: BTreeMap<String, String>,
}

/// One file and where it goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Upload {
    pub(super) name: String,
    pub(super) url: String,
}

fn text(value: &str) -> Value {
    if value.is_empty() {
        Value::Null
    } else {
        value.into()
    }
}

/// The request that creates `run`, or goes on with the one the server calls `id`.
pub(super) fn upsert(run: &proto::Run, program: &str, id: Option<&str>) -> Value {
    let config = run.config.iter().flat_map(|config| &config.update);
    let config: Vec<(String, String)> = config
        .map(|item| {
            let value = object([("value", item.value_json.as_str())]);
            (item.key.clone(), value)
        })
        .collect();
    let config = object(
        config
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str())),
    );
    let tags = (!run.tags.is_empty()).then_some(&run.tags);
    json!({
        "operationName": "UpsertBucket",
        "query": UPSERT,
        "variables": {
            "id": id,
            "name": run.run_id,
            "project": run.project,
            "entity": text(&run.entity),
            "groupName": text(&run.run_group),
            "description": null,
            "displayName": text(&run.display_name),
            "notes": text(&run.notes),
            "commit": null,
            "config": config,
            "host": text(&run.host),
            "debug": null,
            "program": program,
            "repo": null,
            "jobType": text(&run.job_type),
            "state": null,
            "sweep": text(&run.sweep_id),
            "tags": tags,
            "summaryMetrics": null,
        },
    })
}

/// Where the run is, in the words of the answer.
pub(super) fn place(answer: &Value) -> Option<Place> {
    let bucket = answer.pointer("/data/upsertBucket/bucket")?;
    let text = |pointer| Some(bucket.pointer(pointer)?.as_str()?.to_owned());
    Some(Place {
        entity: text("/project/entity/name")?,
        project: text("/project/name")?,
        run: text("/name")?,
    })
}

/// Asks what a run holds already.
pub(super) fn resume_status(run: &proto::Run) -> Value {
    json!({
        "operationName": "RunResumeStatus",
        "query": RESUME,
        "variables": {
            "project": run.project,
            "entity": text(&run.entity),
            "name": run.run_id,
        },
    })
}

/// What the run holds; `None` if there is none.
pub(super) fn held(answer: &Value) -> Option<Held> {
    let bucket = answer.pointer("/data/model/bucket")?.as_object()?;
    let count = |name: &str| bucket.get(name).and_then(Value::as_u64).unwrap_or(0);
    let embedded = |name: &str| {
        let text = bucket.get(name)?.as_str()?;
        parse(text)
    };
    let summary = embedded("summaryMetrics");
    let tail = embedded("historyTail");
    let tail: Vec<Json> = tail
        .iter()
        .flat_map(Json::items)
        .filter_map(|line| parse(line.text()?))
        .collect();
    let everywhere = || tail.iter().chain(&summary);
    let step = everywhere()
        .filter_map(|row| match row.get("_step")? {
            Json::Int(step) => Some(*step),
            Json::Unsigned(step) => i64::try_from(*step).ok(),
            _ => None,
        })
        .max();
    let runtime = everywhere().filter_map(|row| {
        let seconds = row.get("_runtime")?.to_string().parse::<f64>().ok()?;
        seconds.is_finite().then_some(seconds)
    });
    let history = count("historyLineCount");
    let fields = match &summary {
        Some(Json::Object(fields)) => fields.as_slice(),
        _ => &[],
    };
    // Every line has had a step of its own at least.
    let next = step.map_or(i64::try_from(history).unwrap_or(i64::MAX), |step| {
        step.saturating_add(1)
    });
    Some(Held {
        id: bucket
            .get("id")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        history,
        events: count("eventsLineCount"),
        output: count("logLineCount"),
        // A step of a run without history was none.
        step: if history > 0 { next } else { 0 },
        runtime: runtime.fold(0.0, f64::max),
        summary: fields
            .iter()
            .map(|(key, value)| (key.clone(), value.to_string()))
            .collect(),
    })
}

/// Asks for places to put files.
pub(super) fn create_files(place: &Place, names: &[String]) -> Value {
    json!({
        "operationName": "CreateRunFiles",
        "query": FILES,
        "variables": {
            "entity": place.entity,
            "project": place.project,
            "run": place.run,
            "files": names,
        },
    })
}

/// The places, and the headers to send there.
pub(super) fn uploads(answer: &Value) -> (Vec<Upload>, Vec<(String, String)>) {
    let made = answer.pointer("/data/createRunFiles");
    let list = |name| {
        let list = made.and_then(|made| made.get(name)?.as_array());
        list.into_iter().flatten()
    };
    let upload = |file: &Value| {
        Some(Upload {
            name: file.get("name")?.as_str()?.to_owned(),
            url: file.get("uploadUrl")?.as_str()?.to_owned(),
        })
    };
    let header = |header: &Value| {
        let (name, value) = header.as_str()?.split_once(':')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    let uploads = list("files").filter_map(upload).collect();
    (uploads, list("uploadHeaders").filter_map(header).collect())
}

/// Lines for one file of the stream.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Lines the server has already.
    pub(super) offset: u64,
    /// Those that come next.
    pub(super) lines: Vec<String>,
}

/// What one request to the stream says.
#[derive(Debug, Default)]
pub(super) struct Stream<'a> {
    pub(super) history: Option<&'a Lines>,
    pub(super) events: Option<&'a Lines>,
    pub(super) output: Option<&'a Lines>,
    pub(super) summary: Option<String>,
    pub(super) uploaded: &'a [String],
    pub(super) exit_code: Option<i32>,
}

impl Stream<'_> {
    /// The body. Nothing at all is the heartbeat.
    pub(super) fn body(&self) -> Value {
        let mut files = Map::new();
        let appended = [
            ("wandb-history.jsonl", self.history),
            ("wandb-events.jsonl", self.events),
            ("output.log", self.output),
        ];
        for (name, lines) in appended {
            if let Some(lines) = lines.filter(|lines| !lines.lines.is_empty()) {
                let part = json!({"offset": lines.offset, "content": lines.lines});
                files.insert(name.to_owned(), part);
            }
        }
        if let Some(summary) = &self.summary {
            let part = json!({"offset": 0, "content": [summary]});
            files.insert("wandb-summary.json".to_owned(), part);
        }
        let mut body = Map::new();
        if !files.is_empty() {
            body.insert("files".to_owned(), files.into());
        }
        if !self.uploaded.is_empty() {
            body.insert("uploaded".to_owned(), json!(self.uploaded));
        }
        if let Some(code) = self.exit_code {
            body.insert("complete".to_owned(), true.into());
            body.insert("exitcode".to_owned(), code.into());
        }
        body.into()
    }
}

/// Whether the answer says that someone pressed Stop.
pub(super) fn is_stopped(answer: &Value) -> bool {
    answer.get("stopped").and_then(Value::as_bool) == Some(true)
}
