//! One request over HTTP, and what its failure means.

use super::wire::Place;
use crate::assets::{Token, client_builder, innermost};
use reqwest::blocking::{Client, RequestBuilder};
use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url, header};
use serde_json::Value;
use std::time::Duration;

/// Longest part of a server's answer that is repeated to people.
const MESSAGE: usize = 200;

/// What is asked for, which decides what may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To create the run: the server may say that another request is at it.
    Upsert,
    /// Everything else.
    Other,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// `None` where no answer came.
    pub(super) status: Option<u16>,
    /// How long the server wants to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// For people; holds no key.
    pub(super) reason: String,
}

impl Failure {
    /// Whether the same request may succeed later.
    pub(super) fn is_transient(&self, purpose: Purpose) -> bool {
        match self.status {
            None => true,
            Some(409) => purpose == Purpose::Upsert,
            Some(400 | 401 | 403 | 404 | 410 | 413 | 422 | 501) => false,
            Some(status) => (400..600).contains(&status),
        }
    }

    fn of(reason: impl Into<String>) -> Self {
        Self {
            // Never transient.
            status: Some(0),
            retry_after: None,
            reason: reason.into(),
        }
    }
}

/// The way to the server.
#[derive(Debug)]
pub(super) struct Transport {
    client: Client,
    base: Url,
    key: Token,
}

impl Transport {
    pub(super) fn new(base_url: &str, key: Token) -> Result<Self, Failure> {
        let base = Url::parse(base_url).map_err(|error| Failure::of(error.to_string()))?;
        // The key goes to the server it is for; nobody may send it elsewhere.
        let client = client_builder(base_url).redirect(Policy::none()).build();
        let client = client.map_err(|error| Failure::of(innermost(&error)))?;
        Ok(Self { client, base, key })
    }

    /// An operation on the run.
    pub(super) fn graphql(&self, body: &Value) -> Result<Value, Failure> {
        let url = self.url(&["graphql"])?;
        let answer = self.post(url, body, Duration::from_secs(30))?;
        let errors = answer.get("errors").and_then(Value::as_array);
        let nothing = answer.get("data").is_none_or(Value::is_null);
        match errors.and_then(|errors| errors.first()) {
            Some(error) if nothing => {
                let message = error.get("message").and_then(Value::as_str);
                Err(Failure::of(self.clean(message.unwrap_or("no reason"))))
            }
            _ => Ok(answer),
        }
    }

    /// Lines for the run's stream.
    pub(super) fn stream(&self, place: &Place, body: &Value) -> Result<Value, Failure> {
        let (entity, project, run) = (&place.entity, &place.project, &place.run);
        let url = self.url(&["files", entity, project, run, "file_stream"])?;
        self.post(url, body, Duration::from_secs(180))
    }

    /// A file to the place the server named for it. That may be another's: no key goes along.
    pub(super) fn put(
        &self,
        url: &str,
        headers: &[(String, String)],
        content: Vec<u8>,
        timeout: Duration,
    ) -> Result<(), Failure> {
        let url = self.base.join(url);
        let url = url.map_err(|error| Failure::of(format!("no address to put it: {error}")))?;
        let local = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        if url.scheme() != "https" && !local {
            return Err(Failure::of("the address to put it is not encrypted"));
        }
        let mut request = self.client.put(url).body(content);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        self.answer(request.timeout(timeout))?;
        Ok(())
    }

    fn url(&self, path: &[&str]) -> Result<Url, Failure> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| Failure::of("the server's address has no path"))?
            .pop_if_empty()
            .extend(path);
        Ok(url)
    }

    fn post(&self, url: Url, body: &Value, timeout: Duration) -> Result<Value, Failure> {
        let request = self
            .client
            .post(url)
            .basic_auth("api", Some(self.key.reveal()))
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.to_string())
            .timeout(timeout);
        // An answer that is no JSON says nothing, which is no failure.
        Ok(serde_json::from_str(&self.answer(request)?).unwrap_or(Value::Null))
    }

    fn answer(&self, request: RequestBuilder) -> Result<String, Failure> {
        let lost = |error: &reqwest::Error| Failure {
            status: None,
            retry_after: None,
            reason: self.clean(&innermost(error)),
        };
        let response = request.send().map_err(|error| lost(&error))?;
        let status = response.status();
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let text = response.text().map_err(|error| lost(&error))?;
        if status.is_success() {
            return Ok(text);
        }
        Err(Failure {
            status: Some(status.as_u16()),
            retry_after,
            reason: self.refusal(status, &text),
        })
    }

    fn refusal(&self, status: StatusCode, text: &str) -> String {
        if status == StatusCode::UNAUTHORIZED {
            return "the server does not accept the key (HTTP 401)".to_owned();
        }
        let answer: Value = serde_json::from_str(text).unwrap_or_default();
        let message = answer
            .pointer("/errors/0/message")
            .or_else(|| answer.get("error"))
            .and_then(Value::as_str);
        let why = message.map_or(String::new(), |message| {
            format!(": {}", self.clean(message))
        });
        format!("HTTP {}{why}", status.as_u16())
    }

    /// A text of the server's without the key, on one line, not too long.
    fn clean(&self, text: &str) -> String {
        let text = text.replace(self.key.reveal(), "(key)");
        let line = text.lines().next().unwrap_or_default();
        line.chars().take(MESSAGE).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_again_is_what_the_client_tries_again() {
        let failure = |status| Failure {
            status,
            retry_after: None,
            reason: String::new(),
        };
        for status in [400, 401, 403, 404, 410, 413, 422, 501] {
            assert!(
                !failure(Some(status)).is_transient(Purpose::Upsert),
                "{status}"
            );
            assert!(
                !failure(Some(status)).is_transient(Purpose::Other),
                "{status}"
            );
        }
        for status in [402, 408, 418, 429, 500, 502, 503, 504, 599] {
            assert!(
                failure(Some(status)).is_transient(Purpose::Other),
                "{status}"
            );
        }
        assert!(failure(Some(409)).is_transient(Purpose::Upsert));
        assert!(!failure(Some(409)).is_transient(Purpose::Other));
        assert!(failure(None).is_transient(Purpose::Other));
        // A redirect would lead elsewhere.
        assert!(!failure(Some(302)).is_transient(Purpose::Other));
    }

    #[test]
    fn no_answer_makes_the_key_visible() {
        let key = "0123456789abcdef";
        let transport = Transport::new("http://127.0.0.1:1/base/", Token::new(key)).unwrap();
        let text = format!(r#"{{"errors": [{{"message": "bad key {key}\nmore"}}]}}"#);
        let reason = transport.refusal(StatusCode::BAD_REQUEST, &text);
        assert_eq!(reason, "HTTP 400: bad key (key)");
        assert!(!format!("{transport:?}").contains(key));
        assert_eq!(
            transport.url(&["files", "a b", "../x"]).unwrap().as_str(),
            "http://127.0.0.1:1/base/files/a%20b/..%2Fx"
        );
    }
}
