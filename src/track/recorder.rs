//! The thread that writes a run into its file.

use super::clock::Moment;
use super::json::{Json, Row, object};
use super::proto::{self, Kind, Record};
use super::settings::Settings;
use super::shared::Shared;
use super::spool::SpoolWriter;
use super::system::System;
use prost::Message as _;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

/// Where a line was printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Printed {
    /// On standard output.
    Out,
    /// On standard error.
    Err,
}

/// What a run is told.
#[derive(Debug)]
pub(super) enum Event {
    Row(Row, Moment),
    Summary(Row),
    File(PathBuf, Vec<u8>),
    Line(String, Printed, Moment),
    Finish(i32),
}

/// Fields that rows get from here.
const OWN: [&str; 3] = ["_step", "_runtime", "_timestamp"];

/// A run that is being written.
pub(super) struct Recorder {
    writer: SpoolWriter,
    folder: PathBuf,
    settings: Settings,
    shared: Arc<Shared>,
    started: Moment,
    num: i64,
    step: i64,
    summary: BTreeMap<String, String>,
    system: System,
    log: Option<File>,
    failed: bool,
}

impl Recorder {
    /// Makes the folder and the file, and writes what is known at the start.
    pub(super) fn create(
        settings: &Settings,
        run: proto::Run,
        started: Moment,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let kind = if settings.online {
            "run"
        } else {
            "offline-run"
        };
        let name = format!("{kind}-{}-{}", started.stamp(), run.run_id);
        let folder = settings.dir.join(name);
        fs::create_dir_all(folder.join("files"))?;
        // What `wandb sync` and people get; a run may be started from another folder later.
        let folder = folder.canonicalize()?;
        let file = folder.join(format!("run-{}.wandb", run.run_id));
        let mut recorder = Self {
            writer: SpoolWriter::create(&file)?,
            folder,
            settings: settings.clone(),
            shared,
            started,
            num: 0,
            step: 0,
            summary: BTreeMap::new(),
            system: System::default(),
            log: None,
            failed: false,
        };
        recorder.begin(run)?;
        recorder.shared.change(|state| state.file = Some(file));
        recorder.commit();
        Ok(recorder)
    }

    fn begin(&mut self, run: proto::Run) -> io::Result<()> {
        let version = concat!("smartkv ", env!("CARGO_PKG_VERSION"));
        self.append(Kind::Header(proto::Header {
            version_info: Some(proto::VersionInfo {
                producer: version.to_owned(),
                min_consumer: String::new(),
            }),
        }))?;
        let host = run.host.clone();
        let config = run.config.clone().unwrap_or_default();
        self.append(Kind::Run(Box::new(run)))?;
        let environment = proto::Environment {
            os: std::env::consts::OS.to_owned(),
            started_at: Some(self.started.to_proto()),
            program: super::PROGRAM.to_owned(),
            host,
            cpu_count_logical: std::thread::available_parallelism()
                .map_or(0, |count| u32::try_from(count.get()).unwrap_or(u32::MAX)),
            writer_id: super::random_id(),
        };
        let metadata = serde_json::json!({
            "os": environment.os,
            "startedAt": format!("{}Z", self.started.iso()),
            "program": environment.program,
            "host": environment.host,
            "cpu_count_logical": environment.cpu_count_logical,
            "writerId": environment.writer_id,
            "smartkv": env!("CARGO_PKG_VERSION"),
        });
        self.append(Kind::Environment(environment))?;
        let config: Vec<(&str, String)> = config
            .update
            .iter()
            .map(|item| {
                (
                    item.key.as_str(),
                    object([("value", item.value_json.as_str())]),
                )
            })
            .collect();
        let config = object(config.iter().map(|(key, value)| (*key, value.as_str())));
        self.file(
            Path::new("wandb-metadata.json"),
            format!("{metadata}\n").as_bytes(),
        )?;
        // JSON is YAML.
        self.file(Path::new("config.yaml"), format!("{config}\n").as_bytes())
    }

    /// Writes events until the last.
    pub(super) fn run(mut self, events: &Receiver<Event>) {
        let mut measured = Instant::now();
        self.measure();
        loop {
            // Also while events come without a pause.
            if measured.elapsed() >= self.settings.pace.system {
                measured = Instant::now();
                self.measure();
            }
            let due = self.settings.pace.system.saturating_sub(measured.elapsed());
            match events.recv_timeout(due) {
                Ok(Event::Finish(code)) => {
                    self.measure();
                    self.end(code);
                    return;
                }
                Ok(event) => {
                    let done = self.record(event);
                    self.check(done);
                    self.commit();
                }
                Err(RecvTimeoutError::Timeout) => {}
                // A run is finished when its handle goes; without that it did not end well.
                Err(RecvTimeoutError::Disconnected) => {
                    self.end(1);
                    return;
                }
            }
        }
    }

    fn record(&mut self, event: Event) -> io::Result<()> {
        match event {
            Event::Row(row, at) => self.row(row, at),
            Event::Summary(row) => self.summary(row.into_iter().map(item).collect()),
            Event::File(name, content) => self.file(&name, &content),
            Event::Line(line, printed, at) => self.line(line, printed, at),
            Event::Finish(_) => Ok(()),
        }
    }

    fn row(&mut self, row: Row, at: Moment) -> io::Result<()> {
        let own = [
            Json::Int(self.step),
            Json::Float(at.since(self.started)),
            Json::Float(at.unix_seconds()),
        ];
        let own = OWN.iter().map(|name| (*name).to_owned()).zip(own);
        let row = row
            .into_iter()
            .filter(|(key, _)| !OWN.contains(&key.as_str()));
        let items: Vec<proto::Item> = row.chain(own).map(item).collect();
        let step = Some(proto::Step { num: self.step });
        self.append(Kind::History(proto::History {
            item: items.clone(),
            step,
        }))?;
        self.step += 1;
        self.summary(items)
    }

    fn summary(&mut self, update: Vec<proto::Item>) -> io::Result<()> {
        for item in &update {
            self.summary
                .insert(item.key.clone(), item.value_json.clone());
        }
        self.append(Kind::Summary(proto::Items { update }))
    }

    fn line(&mut self, mut line: String, printed: Printed, at: Moment) -> io::Result<()> {
        line.push('\n');
        let log = match &mut self.log {
            Some(log) => log,
            none => none.insert(File::create(self.folder.join("files/output.log"))?),
        };
        log.write_all(line.as_bytes())?;
        self.append(Kind::Output(proto::Output {
            output_type: i32::from(printed == Printed::Out),
            timestamp: Some(at.to_proto()),
            line,
        }))
    }

    /// Keeps a file with the run; the name was checked when it was given.
    fn file(&mut self, name: &Path, content: &[u8]) -> io::Result<()> {
        let path = self.folder.join("files").join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, content)?;
        self.announce(name)
    }

    fn announce(&mut self, name: &Path) -> io::Result<()> {
        let path = name.to_string_lossy().into_owned();
        let files = vec![proto::FileItem { path }];
        self.append(Kind::Files(proto::Files { files }))
    }

    fn measure(&mut self) {
        let item = self.system.measure().into_iter().map(item).collect();
        let timestamp = Some(Moment::now().to_proto());
        let done = self.append(Kind::Stats(proto::Stats { timestamp, item }));
        self.check(done);
        self.commit();
    }

    fn end(&mut self, exit_code: i32) {
        let done = self.write_end(exit_code);
        self.check(done);
        let committed = self.writer.len();
        self.shared.change(|state| {
            (state.committed, state.closed, state.exit_code) = (committed, true, exit_code);
        });
    }

    fn write_end(&mut self, exit_code: i32) -> io::Result<()> {
        if self.log.take().is_some() {
            self.announce(Path::new("output.log"))?;
        }
        let fields = self
            .summary
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()));
        let summary = format!("{}\n", object(fields));
        self.file(Path::new("wandb-summary.json"), summary.as_bytes())?;
        #[expect(clippy::cast_possible_truncation, reason = "seconds of a run")]
        let runtime = Moment::now().since(self.started) as i32;
        self.append(Kind::Exit(proto::Exit { exit_code, runtime }))?;
        self.append(Kind::Footer(proto::Footer {}))
    }

    fn append(&mut self, kind: Kind) -> io::Result<()> {
        let record = Record {
            num: self.num + 1,
            kind: Some(kind),
        };
        self.writer.append(&record.encode_to_vec())?;
        self.num += 1;
        Ok(())
    }

    /// Lets the other thread have what is written.
    fn commit(&self) {
        let committed = self.writer.len();
        self.shared.change(|state| state.committed = committed);
    }

    /// Says once that something could not be written, and goes on: a disk may get room again.
    fn check(&mut self, done: io::Result<()>) {
        let Err(error) = done else { return };
        if !std::mem::replace(&mut self.failed, true) {
            let folder = self.folder.display();
            let text = format!("{folder} cannot be written ({error}): records are missing there");
            self.settings.notices.warn(&text);
        }
    }
}

fn item((key, value): (String, Json)) -> proto::Item {
    proto::Item {
        key,
        value_json: value.to_string(),
    }
}
