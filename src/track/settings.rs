//! Whether, where and as what a run is tracked: flags, then the environment, then defaults.

use super::netrc;
use super::notices::Notices;
use super::pace::Pace;
use crate::assets::Token;
use reqwest::Url;
use std::ffi::OsString;
use std::path::PathBuf;

/// The public service, unless `WANDB_BASE_URL` names another.
const DEFAULT_BASE_URL: &str = "https://api.wandb.ai";
/// The project, unless told.
const DEFAULT_PROJECT: &str = "smartkv";

/// How a run is tracked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Into a file, and from there to a server.
    Online,
    /// Into a file.
    Offline,
    /// Not at all.
    Disabled,
}

impl Mode {
    fn parse(text: &str) -> Option<Self> {
        match text {
            // The second names are what older clients called them.
            "online" | "run" => Some(Self::Online),
            "offline" | "dryrun" => Some(Self::Offline),
            "disabled" => Some(Self::Disabled),
            _ => None,
        }
    }
}

/// What to do when the server knows a run of this name already (`WANDB_RESUME`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Resume {
    /// Write over it.
    #[default]
    Overwrite,
    /// Go on with it, or begin.
    Allow,
    /// Go on with it; without it nothing is sent.
    Must,
    /// Nothing is sent if there is one.
    Never,
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Online => "online",
            Self::Offline => "offline",
            Self::Disabled => "disabled",
        })
    }
}

/// What the command line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--wandb`, with a mode or without.
    pub wandb: Option<Option<Mode>>,
    /// Project.
    pub project: Option<String>,
    /// User or team.
    pub entity: Option<String>,
    /// Group.
    pub group: Option<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Name that people see.
    pub name: Option<String>,
    /// No network may be used.
    pub no_network: bool,
}

impl Flags {
    /// Whether any of them asks for tracking: who names a project wants to find a run there.
    fn ask(&self) -> bool {
        let named = [&self.project, &self.entity, &self.group, &self.name];
        self.wandb.is_some() || !self.tags.is_empty() || named.iter().any(|flag| flag.is_some())
    }
}

/// How one run is tracked; built once, at the start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether it is sent, too. Needs a key.
    pub online: bool,
    /// Where the server answers, without a slash at the end.
    pub base_url: String,
    /// The key, sent to that server only.
    pub key: Option<Token>,
    /// The folder that run folders are made in.
    pub dir: PathBuf,
    /// Identity in the project; a random one if absent.
    pub run_id: Option<String>,
    /// User or team; the key's own if absent.
    pub entity: Option<String>,
    /// Project.
    pub project: String,
    /// Group.
    pub group: Option<String>,
    /// Kind of work.
    pub job_type: Option<String>,
    /// Name that people see.
    pub name: Option<String>,
    /// Notes.
    pub notes: Option<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Sweep that started the run.
    pub sweep_id: Option<String>,
    /// File with the parameters the sweep chose.
    pub sweep_params: Option<PathBuf>,
    /// What to do with a run of the same name.
    pub resume: Resume,
    /// How often what happens.
    pub pace: Pace,
    /// Where warnings go.
    pub notices: Notices,
    /// What was wrong with the variables, told when the run starts.
    pub problems: Vec<String>,
}

impl Settings {
    /// Reads the environment; `None` unless tracking is asked for: by a flag, by `WANDB_MODE`, or by `WANDB_SWEEP_ID` or `WANDB_RUN_ID` as `wandb agent` sets them.
    ///
    /// Honoured are `WANDB_MODE`, `WANDB_BASE_URL`, `WANDB_API_KEY` (else the netrc file),
    /// `WANDB_ENTITY`, `WANDB_PROJECT`, `WANDB_RUN_ID`, `WANDB_NAME`, `WANDB_RUN_GROUP`,
    /// `WANDB_JOB_TYPE`, `WANDB_TAGS`, `WANDB_NOTES`, `WANDB_RESUME`, `WANDB_DIR`,
    /// `WANDB_SWEEP_ID` and `WANDB_SWEEP_PARAM_PATH`.
    #[must_use]
    pub fn from_env(flags: &Flags) -> Option<Self> {
        Self::from_vars(flags, |name| std::env::var_os(name))
    }

    /// Settings of a run kept in `dir` and not sent.
    #[must_use]
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self {
            online: false,
            base_url: DEFAULT_BASE_URL.to_owned(),
            key: None,
            dir: dir.into(),
            run_id: None,
            entity: None,
            project: DEFAULT_PROJECT.to_owned(),
            group: None,
            job_type: None,
            name: None,
            notes: None,
            tags: Vec::new(),
            sweep_id: None,
            sweep_params: None,
            resume: Resume::default(),
            pace: Pace::default(),
            notices: Notices::default(),
            problems: Vec::new(),
        }
    }

    /// The same with another source of variables.
    pub fn from_vars(flags: &Flags, var: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        // An empty variable is an unset one, as for the W&B client.
        let var = |name: &str| var(name).filter(|value| !value.is_empty());
        let text = |name: &str| var(name).and_then(|value| value.into_string().ok());
        let path = |name: &str| var(name).map(PathBuf::from);

        let mut problems = Vec::new();
        let named = text("WANDB_MODE");
        let by_variable = named.as_deref().and_then(Mode::parse);
        if let (Some(named), None) = (&named, by_variable) {
            problems.push(format!(
                "WANDB_MODE `{named}` is unknown: expected online, offline or disabled"
            ));
        }
        let sweep_id = text("WANDB_SWEEP_ID");
        let run_id = text("WANDB_RUN_ID");
        let asked = flags.ask() || by_variable.is_some() || sweep_id.is_some() || run_id.is_some();
        let mode = flags.wandb.flatten().or(by_variable);
        if !asked || mode == Some(Mode::Disabled) {
            return None;
        }

        let base_url = text("WANDB_BASE_URL").unwrap_or_else(|| DEFAULT_BASE_URL.to_owned());
        let (base_url, host) = match server(&base_url) {
            Ok((url, host)) => (url, Some(host)),
            Err(problem) => {
                problems.push(problem);
                (DEFAULT_BASE_URL.to_owned(), None)
            }
        };
        let online = mode != Some(Mode::Offline) && !flags.no_network;
        let key = online
            .then(|| text("WANDB_API_KEY").or_else(|| netrc_key(path, host.as_deref()?)))
            .flatten()
            .map(|key| key.trim().to_owned())
            .filter(|key| !key.is_empty())
            .map(Token::new);
        if online && mode == Some(Mode::Online) && key.is_none() {
            problems.push(
                "no key: expected WANDB_API_KEY, or an entry of the server in ~/.netrc".to_owned(),
            );
        }
        let run_id = run_id.filter(|id| {
            let good = is_run_id(id);
            if !good {
                problems.push(format!(
                    "WANDB_RUN_ID `{id}` cannot name a run: expected at most 128 letters, digits, \
                     `-`, `_` and `.`"
                ));
            }
            good
        });
        let resume = resume(text("WANDB_RESUME").as_deref(), &mut problems);
        // A sweep has its place already, and its server refuses runs from elsewhere.
        let placed = |flag: &Option<String>| flag.clone().filter(|_| sweep_id.is_none());
        let tags = text("WANDB_TAGS").unwrap_or_default();
        let tags = tags.split(',').map(|tag| tag.trim().to_owned());
        let tags = tags.filter(|tag| !tag.is_empty());
        Some(Self {
            online: online && host.is_some() && key.is_some(),
            base_url,
            key,
            run_id,
            entity: placed(&flags.entity).or_else(|| text("WANDB_ENTITY")),
            project: placed(&flags.project)
                .or_else(|| text("WANDB_PROJECT"))
                .unwrap_or_else(|| DEFAULT_PROJECT.to_owned()),
            group: flags.group.clone().or_else(|| text("WANDB_RUN_GROUP")),
            job_type: text("WANDB_JOB_TYPE"),
            name: flags.name.clone().or_else(|| text("WANDB_NAME")),
            notes: text("WANDB_NOTES"),
            tags: if flags.tags.is_empty() {
                tags.collect()
            } else {
                flags.tags.clone()
            },
            sweep_params: path("WANDB_SWEEP_PARAM_PATH"),
            sweep_id,
            resume,
            problems,
            ..Self::at(path("WANDB_DIR").unwrap_or_default().join("wandb"))
        })
    }
}

/// The key of `host` in the first netrc file there is.
fn netrc_key(path: impl Fn(&str) -> Option<PathBuf>, host: &str) -> Option<String> {
    let home = || path("HOME").or_else(|| path("USERPROFILE"));
    let files = match path("NETRC") {
        Some(file) => vec![file],
        None => home().map_or(Vec::new(), |home| {
            vec![home.join(".netrc"), home.join("_netrc")]
        }),
    };
    let mut texts = files
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok());
    let text = texts.next()?;
    let name = host.split(':').next().unwrap_or(host);
    netrc::password(&text, host).or_else(|| netrc::password(&text, name))
}

fn resume(text: Option<&str>, problems: &mut Vec<String>) -> Resume {
    match text {
        None => Resume::Overwrite,
        // The client's `auto` finds the name of the last run, which here comes from WANDB_RUN_ID.
        Some("allow" | "auto" | "true") => Resume::Allow,
        Some("must") => Resume::Must,
        Some("never") => Resume::Never,
        Some(other) => {
            problems.push(format!(
                "WANDB_RESUME `{other}` is unknown: expected allow, must, never or auto"
            ));
            Resume::Overwrite
        }
    }
}

/// The address of a server, and its host with the port.
fn server(text: &str) -> Result<(String, String), String> {
    let expected = "expected https, or http on this machine";
    // Not quoted: an address may hold a password.
    let url = Url::parse(text)
        .map_err(|error| format!("WANDB_BASE_URL is no address ({error}): {expected}"))?;
    let host = url.host_str().unwrap_or_default();
    let is_local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    let safe = url.scheme() == "https" || (url.scheme() == "http" && is_local);
    if !safe || host.is_empty() {
        return Err(format!(
            "WANDB_BASE_URL {}://{host}: {expected}",
            url.scheme()
        ));
    }
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let host = format!("{host}{port}");
    let path = url.path().trim_end_matches('/');
    Ok((format!("{}://{host}{path}", url.scheme()), host))
}

/// Whether a name can stand in the name of a folder and in an address.
pub(super) fn is_run_id(id: &str) -> bool {
    let good = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    (1..=128).contains(&id.len()) && !id.starts_with('.') && id.chars().all(good)
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
