//! Asking a server: how a request goes out and what its answer means.

use super::{AssetError, Policy, Result, Token};
use reqwest::StatusCode;
use reqwest::blocking::{Client, ClientBuilder, RequestBuilder, Response};
use std::error::Error as _;
use std::sync::Once;
use std::thread;
use std::time::Duration;

/// Time a server has to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// Fetches a short text.
pub(crate) fn get_text(policy: &Policy, url: &str, token: Option<&Token>) -> Result<String> {
    let client = client(policy, url)?;
    let get = || {
        let response = accept(
            send(authorised(client.get(url), token), url)?,
            url,
            token.is_some(),
        )?;
        response.text().map_err(|error| unreachable(url, &error))
    };
    let mut failures = 0;
    loop {
        match get() {
            Err(error) if error.is_transient() && failures + 1 < policy.attempts => {
                failures += 1;
                pause(policy, failures);
            }
            done => return done,
        }
    }
}

pub(super) fn client(policy: &Policy, url: &str) -> Result<Client> {
    // For a blocking client this bounds each read, not the whole transfer.
    let builder = builder(url).timeout(policy.stall);
    builder.build().map_err(|error| unreachable(url, &error))
}

/// What every client of this program is made from: TLS, a name, and the way to `url`.
pub(crate) fn builder(url: &str) -> ClientBuilder {
    static PROVIDER: Once = Once::new();
    // An error means that someone else has installed one, which is as good.
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    let builder = Client::builder()
        .user_agent(concat!("smartkv/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT);
    // A mirror on this machine is not behind the proxy that leads to the world.
    let on_this_machine = ["http://127.0.0.1", "http://localhost"];
    let is_local = on_this_machine.iter().any(|host| url.starts_with(host));
    if is_local {
        builder.no_proxy()
    } else {
        builder
    }
}

pub(super) fn authorised(request: RequestBuilder, token: Option<&Token>) -> RequestBuilder {
    match token {
        Some(token) => request.bearer_auth(token.reveal()),
        None => request,
    }
}

pub(super) fn send(request: RequestBuilder, url: &str) -> Result<Response> {
    request.send().map_err(|error| unreachable(url, &error))
}

/// Lets an answer pass that carries what was asked for.
pub(super) fn accept(response: Response, url: &str, with_token: bool) -> Result<Response> {
    let url = url.to_owned();
    match response.status() {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(response),
        StatusCode::NOT_FOUND => Err(AssetError::NotFound { url }),
        status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Err(AssetError::Denied {
            url,
            status: status.as_u16(),
            with_token,
        }),
        status => Err(AssetError::Refused {
            url,
            status: status.as_u16(),
        }),
    }
}

fn unreachable(url: &str, error: &reqwest::Error) -> AssetError {
    AssetError::Connection {
        url: url.to_owned(),
        reason: innermost(error),
    }
}

/// The innermost cause says most: `Connection refused` rather than `error sending request`.
pub(crate) fn innermost(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut reason = error.to_string();
    while let Some(error) = cause {
        reason = error.to_string();
        cause = error.source();
    }
    reason
}

pub(super) fn pause(policy: &Policy, failures: u32) {
    let doublings = failures.saturating_sub(1).min(16);
    thread::sleep(
        policy
            .backoff
            .saturating_mul(1 << doublings)
            .min(LONGEST_PAUSE),
    );
}
