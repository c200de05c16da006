//! Repositories on the hub and in the Hugging Face cache.

use crate::server::{Reply, Request, Server};
use crate::{policy, shown};
use smartkv::assets::{Policy, Progress, Record, Token, resolve_model, sha256_bytes};
use std::fs;
use std::path::Path;
use std::thread;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const FILES: [(&str, &str); 4] = [
    ("config.json", r#"{"model_type": "llama"}"#),
    ("tokenizer.json", "{}"),
    ("tokenizer_config.json", "{}"),
    ("model.safetensors", "weights"),
];

/// A hub with one repository of [`FILES`] and a GGUF file.
fn hub(request: &Request, _: usize) -> Reply {
    let info = |path: &str| {
        path.starts_with("/api/models/owner/name/revision/main")
            || path.starts_with("/api/models/HuggingFaceTB/")
    };
    if info(&request.path) {
        let names = FILES
            .iter()
            .map(|(name, _)| *name)
            .chain(["q/x.gguf", "README.md"]);
        let siblings: Vec<_> = names
            .map(|name| serde_json::json!({ "rfilename": name }))
            .collect();
        let info = serde_json::json!({ "sha": COMMIT, "siblings": siblings });
        return Reply::ok(info.to_string());
    }
    let Some((_, name)) = request.path.split_once(&format!("/resolve/{COMMIT}/")) else {
        return Reply::status(404);
    };
    match FILES.iter().find(|(file, _)| *file == name) {
        Some((_, body)) => Reply::file(body.as_bytes(), name, request),
        None if name == "q/x.gguf" => Reply::file(b"GGUF....", name, request),
        None => Reply::status(404),
    }
}

fn online(dir: &Path, server: &Server) -> Policy {
    Policy {
        endpoint: server.url.clone(),
        ..policy(dir)
    }
}

fn resolve(spec: &str, policy: &Policy) -> Result<std::path::PathBuf, String> {
    resolve_model(spec, policy, &Progress::Silent).map_err(|error| shown(&error))
}

fn assert_model(dir: &Path) {
    for (name, body) in FILES {
        assert_eq!(fs::read_to_string(dir.join(name)).unwrap(), body);
    }
}

#[test]
fn a_repository_is_fetched_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(hub);
    let policy = online(dir.path(), &server);
    let path = resolve("owner/name", &policy).unwrap();
    assert_model(&path);
    assert!(!path.join("README.md").exists());
    let asked = server.count();
    assert_eq!(asked, 1 + FILES.len());

    assert_eq!(resolve("owner/name", &policy).unwrap(), path);
    assert_eq!(
        resolve(&format!("owner/name@{COMMIT}"), &policy).unwrap(),
        path
    );
    assert_eq!(
        resolve("owner/name", &policy.offline_if(true)).unwrap(),
        path
    );
    assert_eq!(server.count(), asked);
}

#[test]
fn one_file_of_a_repository() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(hub);
    let policy = online(dir.path(), &server);
    let path = resolve("owner/name/q/x.gguf", &policy).unwrap();
    assert!(path.ends_with("q/x.gguf"), "{}", path.display());
    assert_eq!(resolve("owner/name/q/x.gguf", &policy).unwrap(), path);
    assert_eq!(server.count(), 2);
    // That file does not make the repository a model.
    assert_model(&resolve("owner/name", &policy).unwrap());
}

#[test]
fn a_named_model_is_recorded_with_commit_and_digests() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(hub);
    let policy = online(dir.path(), &server);
    let path = resolve("smollm2-135m-instruct-hf", &policy).unwrap();
    assert_model(&path);
    let record = Record::read(&path).unwrap();
    assert_eq!(record.commit.as_deref(), Some(COMMIT));
    for (file, (name, body)) in record.files.iter().zip(FILES) {
        assert_eq!(
            (file.name.as_str(), &file.sha256),
            (name, &sha256_bytes(body.as_bytes()))
        );
    }
    let asked = server.count();
    assert_eq!(resolve("smollm2-hf", &policy).unwrap(), path);
    assert_eq!(server.count(), asked);

    // A file that lost bytes is not the model any more, and is fetched again.
    fs::write(path.join("tokenizer.json"), "").unwrap();
    resolve("smollm2-hf", &policy).unwrap();
    assert_model(&path);
    assert!(server.count() > asked);
}

#[test]
fn two_at_once_fetch_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(hub);
    for spec in ["owner/name", "smollm2-135m-instruct-hf"] {
        let before = server.count();
        let policy = online(dir.path(), &server);
        let paths = thread::scope(|scope| {
            let both = [(); 2].map(|()| scope.spawn(|| resolve(spec, &policy).unwrap()));
            both.map(|one| one.join().unwrap())
        });
        assert_eq!(paths[0], paths[1]);
        assert_model(&paths[0]);
        assert_eq!(server.count() - before, 1 + FILES.len());
    }
}

#[test]
fn the_token_goes_to_the_hub_and_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let files = Server::start(hub);
    let elsewhere = files.url.clone();
    let server = Server::start(move |request, before| {
        if request.path.starts_with("/api") {
            return hub(request, before);
        }
        // As the hub does for large files.
        let location = ("location", format!("{elsewhere}{}", request.path));
        Reply {
            headers: vec![location],
            ..Reply::status(302)
        }
    });
    let token = Some(Token::new("secret"));
    let policy = Policy {
        token,
        ..online(dir.path(), &server)
    };
    assert_model(&resolve("owner/name", &policy).unwrap());
    let bearer = |request: &Request| request.headers.get("authorization").cloned();
    assert!(
        server
            .requests()
            .iter()
            .all(|r| bearer(r).as_deref() == Some("Bearer secret"))
    );
    assert!(
        files
            .requests()
            .iter()
            .all(|request| bearer(request).is_none())
    );
    assert_eq!(files.count(), FILES.len());
}

#[test]
fn a_repository_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(hub);
    let text = resolve("owner/other", &online(dir.path(), &server)).unwrap_err();
    assert!(
        text.contains("hub owner/other@main: not found (404)"),
        "{text}"
    );
    assert!(text.contains("--model PATH"), "{text}");
}

#[test]
fn a_repository_without_a_model_names_its_gguf_files() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| {
        let siblings = [serde_json::json!({ "rfilename": "a.Q4_0.gguf" })];
        Reply::ok(serde_json::json!({ "sha": COMMIT, "siblings": siblings }).to_string())
    });
    let text = resolve("owner/name", &online(dir.path(), &server)).unwrap_err();
    assert!(
        text.contains("hint: try `owner/name/a.Q4_0.gguf`"),
        "{text}"
    );
}

#[test]
fn an_answer_that_would_lead_out_of_the_cache_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Reply::ok(r#"{"sha": "../../x", "siblings": []}"#));
    let text = resolve("owner/name", &online(dir.path(), &server)).unwrap_err();
    assert!(
        text.contains("unexpected answer") && text.contains("commit"),
        "{text}"
    );
}

/// Builds what the Hugging Face tools would leave: blobs, and links to them.
#[cfg(unix)]
fn hugging_face_cache(root: &Path, repo: &str, files: &[(&str, &[u8])]) {
    let repo = root.join(format!("models--{}", repo.replace('/', "--")));
    let snapshot = repo.join("snapshots").join(COMMIT);
    for dir in [&repo.join("refs"), &repo.join("blobs"), &snapshot] {
        fs::create_dir_all(dir).unwrap();
    }
    fs::write(repo.join("refs/main"), COMMIT).unwrap();
    for (name, body) in files {
        let digest = sha256_bytes(body);
        fs::write(repo.join("blobs").join(&digest), body).unwrap();
        let link = snapshot.join(name);
        std::os::unix::fs::symlink(format!("../../blobs/{digest}"), link).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn the_hugging_face_cache_is_used_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("hf");
    let files = FILES.map(|(name, body)| (name, body.as_bytes()));
    hugging_face_cache(&root, "owner/name", &files);
    hugging_face_cache(&root, "HuggingFaceTB/SmolLM2-135M-Instruct", &files);
    hugging_face_cache(&root, "owner/half", &files[..3]);
    hugging_face_cache(&root, "owner/gguf", &[("x.gguf", b"GGUF")]);
    let policy = Policy {
        hub_cache_dir: Some(root),
        offline: true,
        ..policy(dir.path())
    };

    for spec in ["owner/name", "smollm2-hf"] {
        let path = resolve(spec, &policy).unwrap();
        assert!(path.ends_with(COMMIT), "{}", path.display());
        assert_model(&path);
    }
    assert!(
        resolve("owner/gguf/x.gguf", &policy)
            .unwrap()
            .ends_with("x.gguf")
    );
    // A snapshot without its weights is not a model.
    let text = resolve("owner/half", &policy).unwrap_err();
    assert!(text.contains("offline mode"), "{text}");
    // Nothing is copied or made.
    assert!(!policy.cache_dir.exists());
}
