//! Python programs that tests run: bounded in time, quiet, and gone when their test is.

use serde_json::Value;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The key that openwandb makes for its first user.
pub(crate) const LOCAL_KEY: &str = "local0000000000000000000000000000000000000000";
/// No program here needs longer.
const PATIENCE: Duration = Duration::from_secs(150);

pub(crate) fn python(program: &str) -> PathBuf {
    let folder = std::env::var_os("SMARTKV_TEST_WANDB");
    let folder = folder.expect("SMARTKV_TEST_WANDB names the folder of wandb and openwandb");
    Path::new(&folder).join(program)
}

/// A program in a home of its own, which tells nobody of its errors.
pub(crate) fn quiet(program: PathBuf, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", dir)
        .env("WANDB_ERROR_REPORTING", "false")
        .stdin(Stdio::null());
    command
}

/// Runs to the end, or kills it; gives what it printed.
pub(crate) fn finish(mut command: Command, dir: &Path) -> String {
    let log = dir.join("program.log");
    let file = File::create(&log).unwrap();
    command.stdout(file.try_clone().unwrap()).stderr(file);
    let mut child = Guard(command.spawn().unwrap());
    let end = Instant::now() + PATIENCE;
    let printed = || std::fs::read_to_string(&log).unwrap();
    while Instant::now() < end {
        if let Some(status) = child.0.try_wait().unwrap() {
            assert!(status.success(), "{}", printed());
            return printed();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("it does not end: {}", printed());
}

/// A process that does not outlive its test.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// openwandb with data of its own.
pub(crate) struct OpenWandb {
    port: u16,
    _process: Guard,
    _data: tempfile::TempDir,
}

impl OpenWandb {
    pub(crate) fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut command = quiet(python("openwandb"), data.path());
        command
            .args(["serve", "--host", "127.0.0.1", "--port", &port.to_string()])
            .args([
                "--base-url",
                &format!("http://127.0.0.1:{port}"),
                "--data-dir",
            ])
            .arg(data.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = Guard(command.spawn().unwrap());
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "openwandb does not start");
            std::thread::sleep(Duration::from_millis(100));
        }
        Self {
            port,
            _process: process,
            _data: data,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let request = format!("GET {path} HTTP/1.0\r\nhost: 127.0.0.1\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{path}: {answer}");
        serde_json::from_str(body).unwrap()
    }

    /// A run: its state, configuration and summary.
    pub(crate) fn run(&self, id: &str) -> (Value, Value, Value) {
        let run = self.get(&format!("/api/v2/runs/{id}"))["run"].clone();
        let embedded = |name: &str| serde_json::from_str(run[name].as_str().unwrap()).unwrap();
        (
            run["state"].clone(),
            embedded("config_json"),
            embedded("summary_json"),
        )
    }

    /// Values of a metric, in the order of their steps.
    pub(crate) fn metric(&self, id: &str, name: &str) -> Vec<f64> {
        let all = self.get(&format!("/api/v2/runs/{id}/metrics"));
        let values = all["metrics_by_key"][name].as_array().unwrap();
        values
            .iter()
            .map(|value| value["value"].as_f64().unwrap())
            .collect()
    }
}
