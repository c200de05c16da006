//! A tracked run, as the rest of the program sees it.

use super::clock::Moment;
use super::json::{Json, Row};
use super::proto;
use super::recorder::{Event, Printed, Recorder};
use super::settings::Settings;
use super::shared::{Outcome, Shared};
use super::uploader::Uploader;
use std::path::{Component, Path};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Events that wait for the disk; more are dropped.
const QUEUE: usize = 8192;
/// How long a run that ends waits for the disk.
const DISK_PATIENCE: Duration = Duration::from_secs(10);

/// What is known of a run at its start; flags and variables win over it.
#[derive(Debug, Clone)]
pub struct RunInfo {
    /// Name that people see.
    pub name: Option<String>,
    /// Configuration, an object.
    pub config: Json,
    /// Group.
    pub group: Option<String>,
    /// Kind of work.
    pub job_type: Option<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Notes.
    pub notes: Option<String>,
}

impl Default for RunInfo {
    fn default() -> Self {
        Self {
            name: None,
            config: Json::Object(Row::new()),
            group: None,
            job_type: None,
            tags: Vec::new(),
            notes: None,
        }
    }
}

/// A run. No method fails, and none waits but [`finish`](Self::finish): what goes wrong becomes a
/// warning, and what cannot be kept is dropped.
///
/// A run that goes without being finished has failed: exit code 1.
#[derive(Debug, Default)]
pub struct Run(Option<Live>);

#[derive(Debug)]
struct Live {
    settings: Settings,
    events: SyncSender<Event>,
    shared: Arc<Shared>,
    dropped: AtomicBool,
}

impl Run {
    /// A run that nobody asked to track: every method does nothing.
    #[must_use]
    pub const fn off() -> Self {
        Self(None)
    }

    /// Begins a run. If its file cannot be made, that is told and nothing is tracked.
    #[must_use]
    pub fn start(settings: Settings, info: RunInfo) -> Self {
        for problem in &settings.problems {
            settings.notices.warn(problem);
        }
        let started = Moment::now();
        let run = describe(&settings, info, started);
        let shared = Arc::new(Shared::default());
        let recorder = match Recorder::create(&settings, run, started, shared.clone()) {
            Ok(recorder) => recorder,
            Err(error) => {
                let dir = settings.dir.display();
                let text = format!("{dir} cannot be written ({error}): nothing is tracked");
                settings.notices.warn(&text);
                return Self::off();
            }
        };
        let (events, inbox) = sync_channel(QUEUE);
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let spawned = thread::Builder::new().name(name.to_owned()).spawn(work);
            spawned.map(drop).map_err(|error| error.to_string())
        };
        let mut begun = spawn("track-record", Box::new(move || recorder.run(&inbox)));
        if settings.online {
            let sender = Uploader::new(&settings, shared.clone());
            let sending = sender.and_then(|sender| spawn("track-send", Box::new(|| sender.run())));
            if sending.is_err() {
                shared.change(|state| state.outcome = Some(Outcome::Kept));
            }
            begun = begun.and(sending);
        }
        if let Err(error) = begun {
            settings.notices.warn(&error);
        }
        Self(Some(Live {
            settings,
            events,
            shared,
            dropped: AtomicBool::new(false),
        }))
    }

    /// Whether anything is tracked.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether someone pressed Stop on the run's page.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        let live = self.0.as_ref();
        live.is_some_and(|live| live.shared.read(|state| state.stopped))
    }

    /// Adds a row to the history, with the next step; its fields become those of the summary.
    pub fn log(&self, row: Row) {
        self.tell(|| Event::Row(row, Moment::now()));
    }

    /// Adds rows that are there all at once. Unlike [`log`](Self::log) it waits for the disk, at
    /// most some seconds: they are more than the queue holds.
    pub fn log_all(&self, rows: impl IntoIterator<Item = Row>) {
        let Some(live) = &self.0 else { return };
        let end = Instant::now() + DISK_PATIENCE;
        for row in rows {
            live.tell_before(end, Event::Row(row, Moment::now()));
        }
    }

    /// Sets fields of the summary.
    pub fn summary(&self, fields: Row) {
        self.tell(|| Event::Summary(fields));
    }

    /// Keeps a file with the run, under a relative name such as `figures/pareto.svg`.
    pub fn file(&self, name: &str, content: impl Into<Vec<u8>>) {
        let Some(live) = &self.0 else { return };
        let path = Path::new(name);
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        if name.is_empty() || !path.components().all(plain) {
            let text = format!("`{name}` cannot name a file of a run: expected a relative path");
            live.settings.notices.warn(&text);
            return;
        }
        live.tell(Event::File(path.to_owned(), content.into()));
    }

    /// Keeps what was printed.
    pub fn output(&self, text: &str, printed: Printed) {
        for line in text.lines() {
            self.tell(|| Event::Line(line.to_owned(), printed, Moment::now()));
        }
    }

    /// Ends the run, and waits for the server as long as it takes anything.
    pub fn finish(mut self, exit_code: i32) {
        if let Some(live) = self.0.take() {
            live.finish(exit_code);
        }
    }

    fn tell(&self, event: impl FnOnce() -> Event) {
        if let Some(live) = &self.0 {
            live.tell(event());
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(live) = self.0.take() {
            live.finish(1);
        }
    }
}

impl Live {
    fn tell(&self, event: Event) {
        if self.events.try_send(event).is_err() && !self.dropped.swap(true, Ordering::Relaxed) {
            let dir = self.settings.dir.display();
            let text = format!("{dir} is too slow: what did not fit is not tracked");
            self.settings.notices.warn(&text);
        }
    }

    /// The same, but waits for room until `end`: for what comes all at once, after the work.
    fn tell_before(&self, end: Instant, mut event: Event) {
        while let Err(TrySendError::Full(back)) = self.events.try_send(event) {
            if Instant::now() > end {
                self.tell(back);
                return;
            }
            event = back;
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn finish(self, exit_code: i32) {
        let end = Instant::now() + DISK_PATIENCE;
        self.tell_before(end, Event::Finish(exit_code));
        let left = end.saturating_duration_since(Instant::now());
        let written = self.shared.wait(left, |state| state.closed);
        let sent = written && self.settings.online && self.goodbye();
        let page = self.shared.read(|state| state.page.clone());
        self.shared.change(|state| state.abandoned = true);
        let file = self
            .shared
            .read(|state| state.file.clone())
            .unwrap_or_default();
        let folder = file.parent().unwrap_or(&file).display().to_string();
        match page {
            Some(page) if sent => self.settings.notices.note(&page),
            _ => self.settings.notices.note(&format!(
                "the run is in {folder}; `wandb sync {folder}` sends it"
            )),
        }
    }

    /// Waits for the last answer while answers come. Says whether the server has everything.
    fn goodbye(&self) -> bool {
        loop {
            let (answers, outage) = self.shared.read(|state| (state.answers, state.outage));
            let patience = if answers > 0 && !outage {
                self.settings.pace.goodbye
            } else {
                self.settings.pace.last_attempt
            };
            let moved = self.shared.wait(patience, |state| {
                state.outcome.is_some() || state.answers > answers
            });
            match self.shared.read(|state| state.outcome) {
                Some(outcome) => return outcome == Outcome::Sent,
                None if moved => {}
                None => {
                    let seconds = patience.as_secs();
                    let text = match self.shared.read(|state| state.storing.clone()) {
                        Some(name) => format!("{name} could not be uploaded in {seconds} s"),
                        None => format!("the server has not answered for {seconds} s"),
                    };
                    self.settings.notices.warn(&text);
                    return false;
                }
            }
        }
    }
}

/// The record of a run that begins.
fn describe(settings: &Settings, info: RunInfo, started: Moment) -> proto::Run {
    let or = |first: &Option<String>, second: Option<String>| {
        first.clone().or(second).unwrap_or_default()
    };
    let run_id = settings.run_id.clone().unwrap_or_else(super::random_id);
    let mut config = match info.config {
        Json::Object(fields) => fields,
        other => vec![("value".to_owned(), other)],
    };
    // What a sweep chose is shown under the names it chose them by.
    for (key, value) in super::sweep::parameters(settings) {
        config.retain(|(own, _)| *own != key);
        config.push((key, value));
    }
    let item = |(key, value): (String, Json)| proto::Item {
        key,
        value_json: value.to_string(),
    };
    proto::Run {
        run_id,
        entity: settings.entity.clone().unwrap_or_default(),
        project: settings.project.clone(),
        config: Some(proto::Items {
            update: config.into_iter().map(item).collect(),
        }),
        run_group: or(&settings.group, info.group),
        job_type: or(&settings.job_type, info.job_type),
        display_name: or(&settings.name, info.name),
        notes: or(&settings.notes, info.notes),
        tags: if settings.tags.is_empty() {
            info.tags
        } else {
            settings.tags.clone()
        },
        sweep_id: settings.sweep_id.clone().unwrap_or_default(),
        host: super::host(),
        start_time: Some(started.to_proto()),
    }
}
