//! A small W&B server on this machine: it keeps what it is sent, and fails when it is told to.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What a client asked for; header names in lower case.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) content: Vec<u8>,
    /// What was answered.
    pub(crate) status: u16,
}

impl Request {
    pub(crate) fn body(&self) -> Value {
        serde_json::from_slice(&self.content).unwrap()
    }

    /// The operation asked for. Older parts of the client name it in the query only.
    pub(crate) fn operation(&self) -> String {
        let body: Value = serde_json::from_slice(&self.content).unwrap_or_default();
        let name = body["operationName"].as_str().unwrap_or_default();
        let query = body["query"].as_str().unwrap_or_default();
        let words = query.split(|letter: char| !letter.is_alphanumeric());
        let second = words.filter(|word| !word.is_empty()).nth(1);
        let named = if name.is_empty() { second } else { Some(name) };
        named.unwrap_or_default().to_owned()
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.path.ends_with("/file_stream")
    }
}

/// A failure in the place of an answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fault {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<u64>,
    pub(crate) message: String,
}

/// An answer to what is asked, and to how often it was asked before.
pub(crate) type Answering<Q, A> = Box<dyn Fn(&Q, usize) -> Option<A> + Send + Sync>;

/// What the server is told to do.
#[derive(Default)]
pub(crate) struct Behaviour {
    /// Failures, by what is asked and how often it was asked before.
    pub(crate) fault: Option<Answering<Request, Fault>>,
    /// The answer to `RunResumeStatus`.
    pub(crate) resume: Value,
    /// Someone has pressed Stop.
    pub(crate) stopped: bool,
    /// Answers to what our client never asks, by the body and how often that was asked before.
    pub(crate) others: Option<Answering<Value, Value>>,
}

/// The server, and all that was asked of it.
pub(crate) struct Server {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, behaviour, base) = (requests.clone(), Arc::new(behaviour), url.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, behaviour, base) = (seen.clone(), behaviour.clone(), base.clone());
                thread::spawn(move || serve(&stream, &seen, &behaviour, &base));
            }
        });
        Self { url, requests }
    }

    /// A server that fails as `fault` says.
    pub(crate) fn failing(
        fault: impl Fn(&Request, usize) -> Option<Fault> + Send + Sync + 'static,
    ) -> Self {
        Self::start(Behaviour {
            fault: Some(Box::new(fault)),
            ..Behaviour::default()
        })
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Requests of an operation.
    pub(crate) fn asked(&self, operation: &str) -> Vec<Request> {
        let mut requests = self.requests();
        requests.retain(|request| request.operation() == operation);
        requests
    }

    /// Bodies that the stream took.
    pub(crate) fn streamed(&self) -> Vec<Value> {
        let requests = self.requests();
        let taken = |request: &&Request| request.is_stream() && request.status == 200;
        requests.iter().filter(taken).map(Request::body).collect()
    }

    /// A file of the stream as the server has put it together.
    pub(crate) fn file(&self, name: &str) -> BTreeMap<u64, String> {
        let mut lines = BTreeMap::new();
        for body in self.streamed() {
            let part = &body["files"][name];
            let offset = part["offset"].as_u64().unwrap_or(0);
            let content = part["content"].as_array().into_iter().flatten();
            let text = content.map(|line| line.as_str().unwrap().to_owned());
            lines.extend((offset..).zip(text));
        }
        lines
    }

    /// Files that were put, by name.
    pub(crate) fn stored(&self) -> BTreeMap<String, Vec<u8>> {
        let requests = self.requests();
        let put = requests
            .into_iter()
            .filter(|request| request.method == "PUT");
        let name = |path: &str| path.splitn(4, '/').last().unwrap().to_owned();
        put.map(|request| (name(&request.path), request.content))
            .collect()
    }
}

fn serve(stream: &TcpStream, seen: &Mutex<Vec<Request>>, behaviour: &Behaviour, base: &str) {
    let Some(mut request) = read(stream) else {
        return;
    };
    let kind = |request: &Request| (request.operation(), request.path.clone());
    let mut seen = seen.lock().unwrap();
    let before = seen
        .iter()
        .filter(|other| kind(other) == kind(&request))
        .count();
    let fault = behaviour
        .fault
        .as_ref()
        .and_then(|fault| fault(&request, before));
    let (status, retry_after, answer) = match fault {
        Some(fault) => {
            let answer = json!({"errors": [{"message": fault.message}]});
            (fault.status, fault.retry_after, answer)
        }
        None => (200, None, answer(&request, before, behaviour, base)),
    };
    request.status = status;
    seen.push(request);
    drop(seen);
    let body = answer.to_string();
    let wait = retry_after.map_or(String::new(), |seconds| {
        format!("retry-after: {seconds}\r\n")
    });
    let head = format!(
        "HTTP/1.1 {status} Test\r\nconnection: close\r\n{wait}content-length: {}\r\n\r\n",
        body.len()
    );
    // A client that has gone away is its own test's concern.
    let mut stream = stream;
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

fn answer(request: &Request, before: usize, behaviour: &Behaviour, base: &str) -> Value {
    if request.method == "PUT" {
        return json!({});
    }
    if request.is_stream() {
        let mut answer = json!({"exitcode": null, "limits": {}});
        if behaviour.stopped {
            answer["stopped"] = true.into();
        }
        return answer;
    }
    let body = request.body();
    let variables = &body["variables"];
    match request.operation().as_str() {
        "UpsertBucket" => {
            let entity = variables["entity"].as_str().unwrap_or("ent");
            let entity = json!({"id": "e", "name": entity});
            let project = json!({"id": "p", "name": variables["project"], "entity": entity});
            let bucket = json!({
                "id": "b",
                "name": variables["name"],
                "displayName": variables["displayName"],
                "config": variables["config"],
                "sweepName": variables["sweep"],
                "historyLineCount": 0,
                "project": project,
            });
            json!({"data": {"upsertBucket": {"bucket": bucket, "inserted": true}}})
        }
        "RunResumeStatus" => behaviour.resume.clone(),
        "CreateRunFiles" => {
            let run = variables["run"].as_str().unwrap();
            let names = variables["files"].as_array().unwrap().iter();
            let file = |name: &Value| {
                let url = format!("{base}/storage/{run}/{}", name.as_str().unwrap());
                json!({"name": name, "uploadUrl": url})
            };
            let files: Vec<Value> = names.map(file).collect();
            let headers = json!(["X-Storage: yes"]);
            let made = json!({"runID": run, "uploadHeaders": headers, "files": files});
            json!({"data": {"createRunFiles": made}})
        }
        other => {
            let others = behaviour.others.as_ref();
            let answer = others.and_then(|others| others(&body, before));
            answer.unwrap_or_else(|| panic!("unknown operation `{other}`: {body}"))
        }
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        Some(line.trim_end().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    while let Some((name, value)) = line()?.split_once(':') {
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut content = vec![0; length];
    reader.read_exact(&mut content).ok()?;
    Some(Request {
        method,
        path,
        headers,
        content,
        status: 0,
    })
}
