//! Files of data sets: in folders, in caches, on the hub.

use crate::server::{Reply, Request, Server};
use crate::{policy, shown};
use smartkv::assets::{
    AssetError, Datasets, Policy, Progress, Token, resolve_model, resolve_text, sha256_bytes,
    sha256_file,
};
use smartkv_eval::task::{DataFile, DataSource as _};
use smartkv_eval::{WindowCount, Windows, rows};
use smartkv_host::{LoadOptions, Model};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const SHARDS: [&str; 2] = [
    "data/test-00000-of-00002.jsonl",
    "data/test-00001-of-00002.jsonl",
];

/// Large enough to be cut in the middle.
fn shard(index: usize) -> Vec<u8> {
    let row = |i: usize| format!("{{\"row\": {}}}\n", index * 100_000 + i);
    (0..20_000).map(row).collect::<String>().into_bytes()
}

fn archive() -> Vec<u8> {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for name in ["data/a.jsonl", "data/b.jsonl", "data/deep/c.jsonl"] {
        let options = SimpleFileOptions::default();
        writer.start_file(name, options).unwrap();
        writer
            .write_all(format!("{{\"from\": \"{name}\"}}").as_bytes())
            .unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn content(name: &str) -> Option<Vec<u8>> {
    match name {
        "data.zip" => Some(archive()),
        "README.md" => Some(b"about".to_vec()),
        "data/train-00000-of-00001.jsonl" => Some(b"{}".to_vec()),
        _ => Some(shard(SHARDS.iter().position(|shard| *shard == name)?)),
    }
}

/// What the hub tells of a repository with `names`: large files with digests, small ones without.
fn listing(names: &[&str]) -> Reply {
    let file = |name: &&str| {
        let bytes = content(name).unwrap_or_default();
        let mut file = serde_json::json!({ "rfilename": name, "size": bytes.len(), "blobId": "x" });
        if bytes.len() > 1000 {
            file["lfs"] =
                serde_json::json!({ "sha256": sha256_bytes(&bytes), "size": bytes.len() });
        }
        file
    };
    let files: Vec<_> = names.iter().map(file).collect();
    Reply::ok(serde_json::json!({ "sha": COMMIT, "siblings": files }).to_string())
}

const NAMES: [&str; 5] = [
    "README.md",
    "data.zip",
    SHARDS[1],
    SHARDS[0],
    "data/train-00000-of-00001.jsonl",
];

/// A hub with the data set `owner/name`, which was called `old/name` once.
fn hub(request: &Request, _: usize) -> Reply {
    if request.path.contains("old/name") {
        let location = request.path.replace("old/name", "owner/name");
        return Reply {
            headers: vec![("location", location)],
            ..Reply::status(307)
        };
    }
    if request.path == "/api/datasets/owner/name/revision/main?blobs=true" {
        return listing(&NAMES);
    }
    let start = format!("/datasets/owner/name/resolve/{COMMIT}/");
    let file = request
        .path
        .strip_prefix(&start)
        .and_then(|name| Some((name, content(name)?)));
    match file {
        Some((name, bytes)) => Reply::file(&bytes, name, request),
        None => Reply::status(404),
    }
}

fn online(dir: &Path, server: &Server) -> Policy {
    Policy {
        endpoint: server.url.clone(),
        ..policy(dir)
    }
}

fn find(root: &str, names: &[&str], policy: &Policy) -> Result<Vec<DataFile>, AssetError> {
    Datasets::new(policy, Progress::Silent).find(root, names)
}

fn refused(root: &str, names: &[&str], policy: &Policy) -> String {
    shown(&find(root, names, policy).unwrap_err())
}

fn names(files: &[DataFile]) -> Vec<&str> {
    files.iter().map(|file| file.name.as_str()).collect()
}

/// Writes files beneath `dir`.
fn fill(dir: &Path, files: &[&str]) -> PathBuf {
    for name in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    dir.to_owned()
}

#[test]
fn a_pattern_is_matched_against_the_listing_and_fetched_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(hub);
    let policy = online(dir.path(), &server);
    let wanted = ["validation-*.jsonl", "data/test-*.jsonl"];
    let found = find("owner/name", &wanted, &policy).unwrap();
    assert_eq!(names(&found), SHARDS);
    for (index, file) in found.iter().enumerate() {
        assert_eq!(file.sha256, sha256_bytes(&shard(index)));
        assert_eq!(file.sha256, sha256_file(&file.path).unwrap());
        assert!(file.path.to_str().unwrap().contains(COMMIT));
        assert_eq!(rows::read(file).unwrap().count(), 20_000);
    }
    assert_eq!(server.count(), 3);

    // Here from now on, pinned to the commit, and other files of it come without asking again.
    let offline = policy.clone().offline_if(true);
    assert_eq!(find("owner/name", &wanted, &offline).unwrap(), found);
    let by_commit = format!("owner/name@{COMMIT}");
    assert_eq!(find(&by_commit, &wanted, &offline).unwrap(), found);
    assert_eq!(server.count(), 3);
    assert_eq!(
        find("owner/name", &["README.md"], &policy).unwrap().len(),
        1
    );
    assert_eq!(server.count(), 4);
    let text = refused("owner/name", &["data.zip!x"], &offline);
    assert!(text.contains("hub owner/name@main: offline mode"), "{text}");
}

#[test]
fn an_old_name_leads_to_the_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(hub);
    let found = find("old/name", &["README.md"], &online(dir.path(), &server)).unwrap();
    assert_eq!(fs::read(&found[0].path).unwrap(), b"about");
}

#[test]
fn members_of_an_archive_on_the_hub() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(hub);
    let policy = online(dir.path(), &server);
    let found = find("owner/name", &["data.zip!data/*.jsonl"], &policy).unwrap();
    assert_eq!(
        names(&found),
        ["data.zip!data/a.jsonl", "data.zip!data/b.jsonl"]
    );
    let row = rows::read(&found[1]).unwrap().next().unwrap().unwrap();
    assert_eq!(row["from"], "data/b.jsonl");
    assert_eq!(found[0].sha256, sha256_bytes(&archive()));
    assert_eq!(server.count(), 2);

    let text = refused("owner/name", &["data.zip!a.jsonl"], &policy);
    assert!(
        text.contains("no `data.zip!a.jsonl` among README.md, data.zip, data/test"),
        "{text}"
    );
}

#[test]
fn a_gated_data_set_is_named_and_a_token_asked_for() {
    for (status, token, hint) in [
        (401, None, "set HF_TOKEN to a token that may read it"),
        (
            403,
            Some(Token::new("secret")),
            "accept its terms on the hub",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        // The list of a gated data set is public, its files are not.
        let server = Server::start(move |request, before| match request.path.as_str() {
            path if path.starts_with("/api") => hub(request, before),
            _ => Reply::status(status),
        });
        let policy = Policy {
            token,
            ..online(dir.path(), &server)
        };
        let text = refused("owner/name", &["README.md"], &policy);
        let first = "data set `owner/name` is not cached and no source gave it\n  \
                     hub owner/name@main: access denied";
        assert!(text.starts_with(first) && text.contains(hint), "{text}");
        assert!(
            !text.contains("secret") && !text.contains("models pull"),
            "{text}"
        );
    }
}

#[test]
fn a_data_set_or_file_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(hub);
    let policy = online(dir.path(), &server);
    let text = refused("owner/other", &["x.jsonl"], &policy);
    assert!(
        text.contains("hub owner/other@main: not found (404): "),
        "{text}"
    );
    assert!(
        text.contains("SMARTKV_DATA may name a folder with its files in `other`"),
        "{text}"
    );

    let text = refused("owner/name", &["x.jsonl", "y/*.parquet"], &policy);
    let listed =
        "no `x.jsonl` or `y/*.parquet` among README.md, data.zip, data/test-00000-of-00002";
    assert!(text.contains(listed), "{text}");
    let text = refused("./nothing/here.jsonl", &["x"], &policy);
    assert!(
        text.starts_with("no such file or folder: ./nothing/here.jsonl"),
        "{text}"
    );
}

#[test]
fn a_cut_download_is_taken_up_where_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|request, before| match before {
        1 => hub(request, before).cut(100_000),
        _ => hub(request, before),
    });
    let policy = Policy {
        attempts: 1,
        ..online(dir.path(), &server)
    };
    let text = refused("owner/name", &["data/test-*.jsonl"], &policy);
    assert!(
        text.contains("interrupted after") && text.contains("continue"),
        "{text}"
    );
    // What is there is no data set yet.
    let offline = policy.clone().offline_if(true);
    assert!(refused("owner/name", &["data/test-*.jsonl"], &offline).contains("offline mode"));

    assert_eq!(
        find("owner/name", &["data/test-*.jsonl"], &policy)
            .unwrap()
            .len(),
        2
    );
    let range = server.requests()[2].headers["range"].clone();
    assert_eq!(range, "bytes=100000-");
}

#[test]
fn a_file_with_other_content_than_listed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|request, before| {
        let mut reply = hub(request, before);
        if !request.path.starts_with("/api") {
            reply.body[7] ^= 1;
        }
        reply
    });
    let text = refused("owner/name", &[SHARDS[0]], &online(dir.path(), &server));
    assert!(text.contains("wrong SHA-256"), "{text}");
}

#[test]
fn a_listing_that_leads_out_of_the_cache_is_refused() {
    for name in ["../x", "/etc/x", "data/../../x", "a\\b"] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(move |_, _| listing(&[name]));
        let text = refused("owner/name", &["*"], &online(dir.path(), &server));
        assert!(
            text.contains("unexpected answer") && text.contains(name),
            "{text}"
        );
        assert_eq!(server.count(), 1);
    }
}

#[test]
fn a_folder_or_file_comes_before_everything() {
    let dir = tempfile::tempdir().unwrap();
    let policy = policy(dir.path()).offline_if(true);
    let folder = fill(
        &dir.path().join("x"),
        &["data/a.jsonl", "b.jsonl", ".hidden.jsonl"],
    );
    let root = folder.to_str().unwrap();
    let found = |wanted: &[&str]| {
        let found = find(root, wanted, &policy).unwrap();
        names(&found).join(" ")
    };
    assert_eq!(found(&["nothing", "data/*.jsonl"]), "data/a.jsonl");
    assert_eq!(found(&["*.jsonl"]), "b.jsonl");
    // Out of its archive, and without the folder it has on the hub.
    assert_eq!(found(&["data.zip!data/a.jsonl"]), "data/a.jsonl");
    assert_eq!(found(&["data.zip!data/b.jsonl"]), "b.jsonl");
    let text = refused(root, &["c.jsonl"], &policy);
    assert!(
        text.contains("no `c.jsonl` among b.jsonl, data/a.jsonl"),
        "{text}"
    );

    let file = folder.join("b.jsonl");
    let alone = find(file.to_str().unwrap(), &["whatever"], &policy).unwrap();
    assert_eq!((alone.len(), &alone[0].path), (1, &file));
    let zip = folder.join("my.zip");
    fs::write(&zip, archive()).unwrap();
    let members = find(zip.to_str().unwrap(), &["data.zip!data/a.jsonl"], &policy).unwrap();
    assert_eq!(names(&members), ["my.zip!data/a.jsonl"]);
    fs::write(&zip, b"PK no").unwrap();
    let text = refused(zip.to_str().unwrap(), &["x"], &policy);
    assert!(
        text.contains("my.zip cannot be read as a zip archive"),
        "{text}"
    );
}

#[test]
fn a_folder_of_data_sets_holds_them_under_any_of_three_names() {
    let wanted = ["data/test.jsonl"];
    for place in ["owner/name/data", "owner--name", "name", "data"] {
        let dir = tempfile::tempdir().unwrap();
        let file = format!("{place}/test.jsonl");
        let data_dir = Some(fill(&dir.path().join("sets"), &[&file]));
        let policy = Policy {
            data_dir,
            ..policy(dir.path()).offline_if(true)
        };
        let found = find("owner/name", &wanted, &policy).unwrap();
        assert!(found[0].path.ends_with(&file), "{place}");
        let text = refused("owner/name", &["x.jsonl"], &policy);
        assert!(
            text.contains("sets: no `x.jsonl` among ") && text.contains("offline"),
            "{text}"
        );
    }
}

#[test]
fn the_hugging_face_cache_is_used_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("hf");
    let repo = root.join("datasets--owner--name");
    let snapshot = |commit: &str| repo.join("snapshots").join(commit);
    fill(&snapshot(COMMIT), &SHARDS);
    fs::create_dir_all(repo.join("refs")).unwrap();
    let policy = Policy {
        hub_cache_dir: Some(root),
        ..policy(dir.path()).offline_if(true)
    };
    let wanted = ["data/test-*.jsonl"];
    // By its commit, without a reference, and by the reference.
    let by_commit = format!("owner/name@{COMMIT}");
    let found = find(&by_commit, &wanted, &policy).unwrap();
    assert_eq!(names(&found), SHARDS);
    assert_eq!(find("owner/name", &wanted, &policy).unwrap(), found);
    let other = COMMIT.replace('0', "f");
    fill(&snapshot(&other), &["README.md"]);
    fs::write(repo.join("refs/main"), &other).unwrap();
    assert_eq!(find("owner/name", &wanted, &policy).unwrap(), found);

    // Only some of the parts that there are is not the data set.
    fs::remove_file(snapshot(COMMIT).join(SHARDS[0])).unwrap();
    let text = refused(&by_commit, &wanted, &policy);
    let missing = format!("hugging face cache: incomplete: no {}\n", SHARDS[0]);
    assert!(
        text.contains(&missing) && text.contains("offline mode"),
        "{text}"
    );
    assert!(!policy.cache_dir.exists());
}

#[test]
fn a_task_gets_the_error_with_its_advice() {
    let dir = tempfile::tempdir().unwrap();
    let policy = policy(dir.path()).offline_if(true);
    let data = Datasets::new(&policy, Progress::Silent);
    let error = data.files("owner/name", &["x.jsonl"]).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("data set `owner/name` is not cached"),
        "{error}"
    );
    assert!(
        error
            .hints()
            .iter()
            .any(|hint| hint.contains("HF_HUB_OFFLINE"))
    );
    assert!(
        error
            .hints()
            .iter()
            .any(|hint| hint.contains("SMARTKV_DATA"))
    );

    let path = dir.path().join("prose.txt");
    fs::write(&path, "some prose").unwrap();
    let text = data.text(path.to_str().unwrap()).unwrap();
    assert_eq!(text.text, "some prose");
    assert!(data.text("esays").unwrap_err().hints()[0].contains("did you mean `essays`"));
}

/// The data sets for tests, where this machine has them beside the repository.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data")
        .join(name);
    path.exists().then_some(path)
}

#[test]
fn wikitext_is_the_text_that_published_perplexities_are_of() {
    let Some(folder) = shared("wikitext-2-raw") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    // As the Hugging Face cache has it.
    let root = dir.path().join("hf");
    let snapshot = root
        .join("datasets--Salesforce--wikitext/snapshots")
        .join(COMMIT);
    fs::create_dir_all(snapshot.join("wikitext-2-raw-v1")).unwrap();
    let name = "test-00000-of-00001.parquet";
    let dest = snapshot.join("wikitext-2-raw-v1").join(name);
    fs::copy(folder.join("parquet").join(name), dest).unwrap();
    let policy = Policy {
        hub_cache_dir: Some(root),
        ..policy(dir.path()).offline_if(true)
    };
    let text = resolve_text("wikitext-2", &policy, &Progress::Silent).unwrap();
    let digest = "696cca6b65a171b0a358a4be6732cdfdf2dd6164a32e20fd70e3c13fc4dfae83";
    assert_eq!(
        (text.source.as_str(), text.sha256.as_str()),
        ("wikitext-2", digest)
    );
    assert_eq!(text.text.len(), 1_296_370);

    // The same from the file as it was first published, with its lines as rows.
    let raw = fs::read_to_string(folder.join("wiki.test.raw")).unwrap();
    let row = |line: &str| {
        if line.trim().is_empty() {
            String::new()
        } else {
            format!("{line}\n")
        }
    };
    let rows: Vec<String> = raw.lines().map(row).collect();
    assert_eq!(rows.len(), 4358);
    assert_eq!(rows.join("\n\n"), text.text);

    // Made once: the data set is not needed again.
    let alone = Policy {
        hub_cache_dir: None,
        ..policy
    };
    assert_eq!(
        resolve_text("wikitext-2", &alone, &Progress::Silent).unwrap(),
        text
    );
}

#[test]
fn wikitext_that_is_not_to_be_had_says_where_it_was_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let policy = policy(dir.path()).offline_if(true);
    let text = shown(&resolve_text("wikitext-2", &policy, &Progress::Silent).unwrap_err());
    let first = "text `wikitext-2` is not cached and no source gave it\n  \
                 data set Salesforce/wikitext: data set `Salesforce/wikitext` is not cached";
    assert!(
        text.starts_with(first) && text.contains("offline mode"),
        "{text}"
    );
    assert!(text.contains("SMARTKV_DATA"), "{text}");
}

#[test]
fn all_of_wikitext_is_148_windows_of_2048_tokens() {
    let Some(folder) = shared("wikitext-2-raw/parquet") else {
        return;
    };
    let path = folder.join("test-00000-of-00001.parquet");
    let dir = tempfile::tempdir().unwrap();
    let files = find(path.to_str().unwrap(), &["any"], &policy(dir.path())).unwrap();
    let rows = rows::read(&files[0]).unwrap().map(|row| row.unwrap());
    let rows: Vec<String> = rows
        .map(|row| row["text"].as_str().unwrap().to_owned())
        .collect();

    let model = resolve_model("default", &Policy::from_env(), &Progress::Silent);
    let model = model.unwrap_or_else(|error| panic!("{}", shown(&error)));
    let model = Model::load(model, LoadOptions::default()).unwrap();
    let tokens = model
        .tokenizer()
        .encode(&rows.join("\n\n"), true)
        .unwrap()
        .len();
    assert_eq!(tokens, 304_978);
    let windows = Windows {
        prefill: 1024,
        score: 1023,
        count: WindowCount::All,
    };
    let cut = windows.cut(tokens).unwrap();
    assert_eq!((cut.starts.len(), cut.tokens_per_window), (148, 2048));
    assert_eq!(cut.starts[147], 147 * 2048);
}
