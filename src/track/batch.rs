//! What the next request carries, made from the records of the file.

use super::clock::Moment;
use super::json::{object, quoted};
use super::proto::{self, Kind};
use super::wire::{Held, Lines, Stream};
use std::collections::BTreeMap;

/// Largest request the server takes, in bytes.
const MOST_BYTES: usize = 10 << 20;
/// Largest line of it.
const LONGEST_LINE: usize = MOST_BYTES - (100 << 10);

/// Which of the appended files a line belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    History,
    Events,
    Output,
}

/// Lines, summary and end that have not been sent.
#[derive(Debug, Default)]
pub(super) struct Batch {
    history: Lines,
    events: Lines,
    output: Lines,
    bytes: usize,
    /// A line for which there was no room.
    carry: Option<(Part, String, usize)>,
    /// Every field there ever was.
    summary: BTreeMap<String, String>,
    summary_changed: bool,
    /// Files to upload.
    pub(super) files: Vec<String>,
    /// Files uploaded that the server has not been told of.
    pub(super) uploaded: Vec<String>,
    /// How the run ended.
    pub(super) exit_code: Option<i32>,
    /// Lines left out because they are too long.
    pub(super) skipped: usize,
    base_step: i64,
    base_runtime: f64,
    started: Option<Moment>,
}

impl Batch {
    /// Begins after what a resumed run holds.
    pub(super) fn after(held: Option<Held>, started: Option<Moment>) -> Self {
        let held = held.unwrap_or_default();
        let lines = |offset| Lines {
            offset,
            lines: Vec::new(),
        };
        Self {
            history: lines(held.history),
            events: lines(held.events),
            output: lines(held.output),
            summary: held.summary,
            base_step: held.step,
            base_runtime: held.runtime,
            started,
            ..Self::default()
        }
    }

    /// Whether a request would say something.
    pub(super) fn has_news(&self) -> bool {
        let lines = [&self.history, &self.events, &self.output];
        self.summary_changed
            || self.exit_code.is_some()
            || !(self.files.is_empty() && self.uploaded.is_empty())
            || lines.iter().any(|lines| !lines.lines.is_empty())
    }

    /// Whether the next line must wait for the next request.
    pub(super) fn is_full(&self) -> bool {
        self.carry.is_some()
    }

    /// Takes one record in. Not to be called when [full](Self::is_full).
    pub(super) fn take(&mut self, kind: Kind) {
        match kind {
            Kind::History(history) => {
                let line = self.fields(history.item);
                let line = object(
                    line.iter()
                        .map(|(key, value)| (key.as_str(), value.as_str())),
                );
                self.line(Part::History, line);
            }
            Kind::Summary(items) => {
                let fields = self.fields(items.update);
                self.summary.extend(fields);
                self.summary_changed = true;
            }
            Kind::Stats(stats) => {
                let line = self.event(&stats);
                self.line(Part::Events, line);
            }
            Kind::Output(output) => {
                let time = output.timestamp.map(Moment::from_proto);
                let time = time.map(Moment::iso).unwrap_or_default();
                let kind = if output.output_type == 0 {
                    "ERROR "
                } else {
                    ""
                };
                let line = output.line.trim_end_matches('\n');
                self.line(Part::Output, format!("{kind}{time} {line}"));
            }
            Kind::Files(files) => self
                .files
                .extend(files.files.into_iter().map(|file| file.path)),
            Kind::Exit(exit) => self.exit_code = Some(exit.exit_code),
            Kind::Run(_)
            | Kind::Config(_)
            | Kind::Header(_)
            | Kind::Footer(_)
            | Kind::Environment(_) => {}
        }
    }

    /// Steps and times go on where a resumed run stopped.
    fn fields(&self, items: Vec<proto::Item>) -> Vec<(String, String)> {
        let moved = |key: &str, value: &str| match key {
            "_step" if self.base_step > 0 => {
                let step: i64 = value.parse().ok()?;
                Some(step.saturating_add(self.base_step).to_string())
            }
            "_runtime" if self.base_runtime > 0.0 => {
                let runtime: f64 = value.parse().ok()?;
                Some((runtime + self.base_runtime).to_string())
            }
            _ => None,
        };
        let field = |item: proto::Item| {
            let value = moved(&item.key, &item.value_json).unwrap_or(item.value_json);
            (item.key, value)
        };
        items.into_iter().map(field).collect()
    }

    fn event(&self, stats: &proto::Stats) -> String {
        let at = stats.timestamp.map(Moment::from_proto);
        let since = at
            .zip(self.started)
            .map_or(0.0, |(at, from)| at.since(from));
        let mut fields = vec![
            ("_wandb".to_owned(), "true".to_owned()),
            (
                "_timestamp".to_owned(),
                at.map_or(0.0, Moment::unix_seconds).to_string(),
            ),
            (
                "_runtime".to_owned(),
                (since + self.base_runtime).to_string(),
            ),
        ];
        let measured = stats.item.iter();
        fields
            .extend(measured.map(|item| (format!("system.{}", item.key), item.value_json.clone())));
        object(
            fields
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str())),
        )
    }

    /// Lines count as they stand in a request, where quotes are escaped.
    fn line(&mut self, part: Part, line: String) {
        let bytes = quoted(&line).len() + 1;
        if bytes > LONGEST_LINE {
            self.skipped += 1;
        } else if self.bytes + bytes > LONGEST_LINE {
            self.carry = Some((part, line, bytes));
        } else {
            self.bytes += bytes;
            self.part(part).lines.push(line);
        }
    }

    fn part(&mut self, part: Part) -> &mut Lines {
        match part {
            Part::History => &mut self.history,
            Part::Events => &mut self.events,
            Part::Output => &mut self.output,
        }
    }

    /// The next request; the end goes with the last one only.
    pub(super) fn stream(&mut self) -> Stream<'_> {
        let summary = self.summary_changed.then(|| self.summary());
        let summary = summary.filter(|summary| {
            let bytes = quoted(summary).len();
            // Alone it may be as long as a line; with lines it waits for the next request.
            let fits = bytes + self.bytes <= LONGEST_LINE;
            if bytes > LONGEST_LINE {
                self.skipped += 1;
                self.summary_changed = false;
            }
            fits
        });
        Stream {
            exit_code: self.exit_code.filter(|_| {
                let waits = self.summary_changed && summary.is_none();
                self.carry.is_none() && !waits
            }),
            summary,
            history: Some(&self.history),
            events: Some(&self.events),
            output: Some(&self.output),
            uploaded: &self.uploaded,
        }
    }

    fn summary(&self) -> String {
        let seconds = self.summary.get("_runtime");
        let seconds = seconds.and_then(|runtime| runtime.parse::<f64>().ok());
        let runtime = format!("{{\"runtime\":{:.0}}}", seconds.unwrap_or(0.0).floor());
        let fields = self.summary.iter().filter(|(key, _)| *key != "_wandb");
        let fields = fields.map(|(key, value)| (key.as_str(), value.as_str()));
        object(fields.chain([("_wandb", runtime.as_str())]))
    }

    /// The last request arrived. Says whether that was all of it.
    pub(super) fn arrived(&mut self, with_summary: bool) {
        for lines in [&mut self.history, &mut self.events, &mut self.output] {
            lines.offset += lines.lines.len() as u64;
            lines.lines.clear();
        }
        self.bytes = 0;
        self.uploaded.clear();
        if with_summary {
            self.summary_changed = false;
        }
        if let Some((part, line, bytes)) = self.carry.take() {
            self.bytes = bytes;
            self.part(part).lines.push(line);
        }
    }
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
