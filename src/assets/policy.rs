//! Where to look, where to keep things, and whether a network may be used.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The Hugging Face hub, unless `HF_ENDPOINT` names another.
const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// A secret that does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Wraps a token.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// The token itself, for the header it goes into.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// How assets are found and fetched; built once, at the start.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Our own cache.
    pub cache_dir: PathBuf,
    /// The Hugging Face cache, read and never written.
    pub hub_cache_dir: Option<PathBuf>,
    /// A folder of data sets, looked into before any cache.
    pub data_dir: Option<PathBuf>,
    /// Where the hub answers, without a slash at the end.
    pub endpoint: String,
    /// Sent to the hub; only repositories with restricted access need one.
    pub token: Option<Token>,
    /// Use nothing but what is on this machine.
    pub offline: bool,
    /// Folders in which to look for Python, as in `PATH`.
    pub search_path: OsString,
    /// How often in a row a transfer may fail before it is given up.
    pub attempts: u32,
    /// Wait after the first failed attempt; doubled after each further one.
    pub backoff: Duration,
    /// Give up on a server that says nothing for this long.
    pub stall: Duration,
}

impl Policy {
    /// Reads the environment: `SMARTKV_CACHE`, `SMARTKV_DATA`, `XDG_CACHE_HOME`, `HF_HUB_CACHE`, `HF_HOME`,
    /// `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HUB_OFFLINE`.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_vars(|name| std::env::var_os(name))
    }

    /// A policy that keeps everything in `cache_dir` and knows no other cache.
    #[must_use]
    pub fn at(cache_dir: impl Into<PathBuf>) -> Self {
        Self {
            cache_dir: cache_dir.into(),
            hub_cache_dir: None,
            data_dir: None,
            endpoint: DEFAULT_ENDPOINT.to_owned(),
            token: None,
            offline: false,
            search_path: OsString::new(),
            attempts: 4,
            backoff: Duration::from_millis(500),
            stall: Duration::from_secs(60),
        }
    }

    /// The same, but also offline if `offline`: for a flag on top of the environment.
    #[must_use]
    pub fn offline_if(mut self, offline: bool) -> Self {
        self.offline |= offline;
        self
    }

    fn from_vars(var: impl Fn(&str) -> Option<OsString>) -> Self {
        // An empty variable is an unset one, as everywhere in the Hugging Face tools.
        let var = |name: &str| var(name).filter(|value| !value.is_empty());
        let text = |name: &str| var(name).and_then(|value| value.into_string().ok());
        let path = |name: &str| var(name).map(PathBuf::from);

        let home = path("HOME").or_else(|| path("USERPROFILE"));
        let caches = path("XDG_CACHE_HOME").or_else(|| Some(home?.join(".cache")));
        let hf_home = path("HF_HOME").or_else(|| Some(caches.clone()?.join("huggingface")));
        let token_file = path("HF_TOKEN_PATH").or_else(|| Some(hf_home.clone()?.join("token")));

        let cache_dir = path("SMARTKV_CACHE")
            .or_else(|| Some(caches?.join("smartkv")))
            .unwrap_or_else(|| PathBuf::from(".smartkv-cache"));
        let token = text("HF_TOKEN")
            .or_else(|| std::fs::read_to_string(token_file?).ok())
            .map(|token| token.trim().to_owned())
            .filter(|token| !token.is_empty())
            .map(Token);
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        let switched_on = |value: String| {
            matches!(
                value.to_ascii_lowercase().as_str(),
                "1" | "on" | "yes" | "true"
            )
        };
        Self {
            data_dir: path("SMARTKV_DATA"),
            hub_cache_dir: path("HF_HUB_CACHE").or_else(|| Some(hf_home?.join("hub"))),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token,
            offline: text("HF_HUB_OFFLINE").is_some_and(switched_on),
            search_path: var("PATH").unwrap_or_default(),
            ..Self::at(cache_dir)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(vars: &[(&str, &str)]) -> Policy {
        let value = |name: &str| {
            vars.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| OsString::from(value))
        };
        Policy::from_vars(value)
    }

    #[test]
    fn follows_the_usual_variables() {
        let plain = policy(&[("HOME", "/h"), ("SMARTKV_CACHE", "")]);
        assert_eq!(plain.cache_dir, PathBuf::from("/h/.cache/smartkv"));
        assert_eq!(
            plain.hub_cache_dir,
            Some("/h/.cache/huggingface/hub".into())
        );
        assert_eq!(plain.endpoint, DEFAULT_ENDPOINT);
        assert!(!plain.offline && plain.offline_if(true).offline);

        let xdg = policy(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]);
        assert_eq!(xdg.cache_dir, PathBuf::from("/x/smartkv"));
        assert_eq!(xdg.hub_cache_dir, Some("/x/huggingface/hub".into()));

        let set = policy(&[
            ("SMARTKV_CACHE", "/c"),
            ("HF_HOME", "/f"),
            ("SMARTKV_DATA", "/d"),
            ("HF_ENDPOINT", "http://mirror/"),
            ("HF_HUB_OFFLINE", "1"),
            ("HF_TOKEN", " secret\n"),
        ]);
        assert_eq!(set.cache_dir, PathBuf::from("/c"));
        assert_eq!(set.hub_cache_dir, Some("/f/hub".into()));
        assert_eq!(set.data_dir, Some("/d".into()));
        assert_eq!(set.endpoint, "http://mirror");
        assert!(set.offline);
        assert_eq!(set.token, Some(Token::new("secret")));
        assert!(!format!("{set:?}").contains("secret"));

        let nothing = policy(&[("HF_HUB_OFFLINE", "0")]);
        assert_eq!(nothing.cache_dir, PathBuf::from(".smartkv-cache"));
        assert!(!nothing.offline);
    }
}
