//! Single files: whole, resumed, refused, damaged.

use crate::server::{Reply, Request, Server};
use crate::{policy, shown};
use smartkv::assets::{AssetError, Download, Expected, FileRecord, Progress, sha256_bytes};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Larger than what is read at once, so that a cut falls between reads too.
fn content() -> Vec<u8> {
    (0..700_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

struct Case {
    dir: TempDir,
    download: Download,
    attempts: u32,
}

impl Case {
    /// A download of [`content`], pinned.
    fn new(server: &Server) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let expected = Expected {
            bytes: Some(content().len() as u64),
            sha256: Some(sha256_bytes(&content())),
        };
        let download = Download {
            url: format!("{}/file", server.url),
            dest: dir.path().join("deep/file.bin"),
            label: "file.bin".to_owned(),
            expected,
            token: None,
        };
        Self {
            dir,
            download,
            attempts: 3,
        }
    }

    fn unpinned(server: &Server) -> Self {
        let mut case = Self::new(server);
        case.download.expected = Expected::default();
        case
    }

    fn once(mut self) -> Self {
        self.attempts = 1;
        self
    }

    fn run(&self) -> Result<FileRecord, AssetError> {
        let mut policy = policy(self.dir.path());
        policy.attempts = self.attempts;
        self.download.run(&policy, &Progress::Silent)
    }

    fn dest(&self) -> &Path {
        &self.download.dest
    }

    fn partial(&self) -> PathBuf {
        self.dest().with_file_name("file.bin.partial")
    }

    /// The file is there whole, and nothing else is.
    fn assert_whole(&self) {
        assert_eq!(fs::read(self.dest()).unwrap(), content());
        let folder = fs::read_dir(self.dest().parent().unwrap()).unwrap();
        assert_eq!(folder.count(), 1, "something was left behind");
    }
}

fn file(request: &Request, _: usize) -> Reply {
    Reply::file(&content(), "v1", request)
}

fn range(request: &Request) -> Option<&str> {
    request.headers.get("range").map(String::as_str)
}

#[test]
fn fetches_a_file() {
    let server = Server::start(file);
    let case = Case::new(&server);
    let record = case.run().unwrap();
    assert_eq!(record.bytes, content().len() as u64);
    assert_eq!(record.sha256, sha256_bytes(&content()));
    case.assert_whole();
    assert_eq!(server.count(), 1);
}

#[test]
fn a_later_run_resumes_what_a_cut_connection_left() {
    let server = Server::start(|request, before| match before {
        0 => Reply::file(&content(), "v1", request).cut(300_000),
        _ => Reply::file(&content(), "v1", request),
    });
    let case = Case::new(&server).once();
    let error = case.run().unwrap_err();
    assert!(
        matches!(error, AssetError::Interrupted { have: 300_000, .. }),
        "{error}"
    );
    assert!(shown(&error).contains("continue"), "{}", shown(&error));
    assert_eq!(fs::metadata(case.partial()).unwrap().len(), 300_000);
    assert!(!case.dest().exists());

    case.run().unwrap();
    case.assert_whole();
    let second = &server.requests()[1];
    assert_eq!(range(second), Some("bytes=300000-"));
    assert_eq!(second.headers["if-range"], "\"v1\"");
}

#[test]
fn one_run_gets_over_connections_that_break_and_still_move_on() {
    let server = Server::start(|request, _| Reply::file(&content(), "v1", request).cut(150_000));
    let case = Case::unpinned(&server);
    case.run().unwrap();
    case.assert_whole();
    // More breaks than attempts: what counts is attempts without a byte.
    assert_eq!(server.count(), 5);
}

#[test]
fn gives_up_on_connections_that_bring_nothing() {
    let server = Server::start(|request, _| file(request, 0).cut(0));
    let case = Case::new(&server);
    assert!(matches!(
        case.run().unwrap_err(),
        AssetError::Interrupted { have: 0, .. }
    ));
    assert_eq!(server.count(), 3);
}

#[test]
fn starts_over_when_the_server_ignores_the_range() {
    let server = Server::start(|request, before| match before {
        0 => file(request, 0).cut(300_000),
        _ => Reply::ok(content()),
    });
    let case = Case::new(&server).once();
    case.run().unwrap_err();
    case.run().unwrap();
    assert_eq!(range(&server.requests()[1]), Some("bytes=300000-"));
    case.assert_whole();
}

#[test]
fn starts_over_when_the_file_has_changed() {
    let server = Server::start(|request, before| match before {
        0 => Reply::file(&vec![7; 500_000], "v0", request).cut(300_000),
        _ => file(request, before),
    });
    let case = Case::unpinned(&server).once();
    case.run().unwrap_err();
    case.run().unwrap();
    case.assert_whole();
}

#[test]
fn without_digest_or_etag_nothing_is_resumed() {
    let server = Server::start(|_, before| match before {
        0 => Reply::ok(content()).cut(300_000),
        _ => Reply::ok(content()),
    });
    let case = Case::unpinned(&server).once();
    case.run().unwrap_err();
    case.run().unwrap();
    assert_eq!(range(&server.requests()[1]), None);
    case.assert_whole();
}

#[test]
fn a_partial_file_longer_than_the_file_is_dropped() {
    let server = Server::start(file);
    let mut case = Case::new(&server);
    case.download.expected.bytes = None;
    fs::create_dir_all(case.dest().parent().unwrap()).unwrap();
    fs::write(case.partial(), vec![1; 800_000]).unwrap();
    case.run().unwrap();
    case.assert_whole();
    assert_eq!(server.count(), 2);
}

#[test]
fn a_complete_partial_file_is_only_verified() {
    let server = Server::start(file);
    let case = Case::new(&server);
    fs::create_dir_all(case.dest().parent().unwrap()).unwrap();
    fs::write(case.partial(), content()).unwrap();
    case.run().unwrap();
    case.assert_whole();
    assert_eq!(server.count(), 0);
}

#[test]
fn the_wrong_content_is_deleted() {
    let mut other = content();
    other[1000] ^= 1;
    let server = Server::start(move |request, _| Reply::file(&other, "v1", request));
    let case = Case::new(&server);
    let error = case.run().unwrap_err();
    assert!(matches!(error, AssetError::Digest { .. }), "{error}");
    assert!(
        error.to_string().contains("wrong SHA-256 and was deleted"),
        "{error}"
    );
    assert_eq!(
        fs::read_dir(case.dest().parent().unwrap()).unwrap().count(),
        0
    );
    assert_eq!(server.count(), 1);
}

#[test]
fn the_wrong_size_is_told_before_anything_is_fetched() {
    let server = Server::start(|request, _| Reply::file(b"short", "v1", request));
    let case = Case::new(&server);
    let error = case.run().unwrap_err();
    assert!(
        matches!(error, AssetError::Length { found: 5, .. }),
        "{error}"
    );
    assert!(!case.dest().exists() && !case.partial().exists());
}

#[test]
fn refusals_are_named_and_not_repeated() {
    for (status, message) in [
        (404, "not found (404)"),
        (401, "access denied (401)"),
        (403, "access denied (403)"),
    ] {
        let server = Server::start(move |_, _| Reply::status(status));
        let case = Case::new(&server);
        let error = case.run().unwrap_err();
        assert!(error.to_string().starts_with(message), "{error}");
        assert!(error.to_string().contains(&case.download.url), "{error}");
        assert_eq!(shown(&error).contains("HF_TOKEN"), status != 404);
        assert_eq!(server.count(), 1);
    }
}

#[test]
fn a_busy_server_is_asked_again() {
    let server = Server::start(|request, before| match before {
        0 => Reply::status(503),
        _ => file(request, before),
    });
    let case = Case::new(&server);
    case.run().unwrap();
    case.assert_whole();
    assert_eq!(server.count(), 2);

    let server = Server::start(|_, _| Reply::status(503));
    let error = Case::new(&server).run().unwrap_err();
    assert!(
        matches!(error, AssetError::Refused { status: 503, .. }),
        "{error}"
    );
    assert_eq!(server.count(), 3);
}

#[test]
fn no_server_is_a_connection_error() {
    let server = Server::start(file);
    let mut case = Case::new(&server);
    case.download.url = "http://127.0.0.1:1/file".to_owned();
    let error = case.run().unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot reach http://127.0.0.1:1/file: "),
        "{error}"
    );
}

/// Writing to `/dev/full` fails as on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_with_what_it_takes() {
    let server = Server::start(file);
    let case = Case::new(&server);
    fs::create_dir_all(case.dest().parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/dev/full", case.partial()).unwrap();
    let error = case.run().unwrap_err();
    let AssetError::DiskFull { path, need } = &error else {
        panic!("{error}")
    };
    assert_eq!(
        (path, *need),
        (&case.partial(), Some(content().len() as u64))
    );
    assert!(error.to_string().contains("needs 683.59 KiB"), "{error}");
    assert!(shown(&error).contains("SMARTKV_CACHE"));
    assert!(!case.dest().exists());
    assert_eq!(server.count(), 1);
}
