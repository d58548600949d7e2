//! What the server can and cannot promise, as far as it can be told from here.

use std::time::Duration;

use serde_json::Value;

use super::Connection;

/// The least server version without known ways to lose acknowledged messages that Weir relies on:
/// 2.12.3 mends losses after membership changes.
const LEAST_VERSION: (u64, u64, u64) = (2, 12, 3);
/// How long to wait for what is only good to know.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sentences to warn with, each with its remedy; none if there is nothing to say.
pub(super) async fn warnings(connection: &Connection) -> Vec<String> {
    let mut warnings = Vec::new();
    let version = connection.server_version();
    if parse_version(&version).is_none_or(|version| version < LEAST_VERSION) {
        let (major, minor, patch) = LEAST_VERSION;
        warnings.push(format!(
            "NATS server {version} can lose what it acknowledged: use {major}.{minor}.{patch} or later"
        ));
    }
    match sync_always(connection).await {
        Some(false) => warnings.push(
            "the NATS server does not sync what it acknowledges: a power cut loses inputs of the last minutes; set `jetstream { sync_interval: always }`".into(),
        ),
        Some(true) => {}
        None => tracing::debug!(
            "cannot tell whether the NATS server syncs what it acknowledges; `stream.monitoring_url` would tell"
        ),
    }
    warnings
}

/// Whether the server syncs each message; `None` if it does not tell us.
async fn sync_always(connection: &Connection) -> Option<bool> {
    if let Some(url) = &connection.config.monitoring_url {
        let url = format!("{}/jsz?config=true", url.trim_end_matches('/'));
        match fetch(&url).await {
            Ok(jsz) => return sync_of(&jsz),
            Err(error) => {
                tracing::warn!(%url, %error, "cannot read the NATS server's monitoring port")
            }
        }
    }
    // Answered only where this account may ask system questions.
    let question = connection
        .client
        .request("$SYS.REQ.SERVER.PING.JSZ", r#"{"config":true}"#.into());
    let answer = tokio::time::timeout(PATIENCE, question).await.ok()?.ok()?;
    let answer: Value = serde_json::from_slice(&answer.payload).ok()?;
    sync_of(answer.get("data")?)
}

async fn fetch(url: &str) -> Result<Value, reqwest::Error> {
    // The client wants a TLS provider even for plain addresses.
    crate::oci::install_crypto_provider();
    let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
    client
        .get(url)
        .send()
        .await?
        .error_for_status()?
        .json()
        .await
}

fn sync_of(jsz: &Value) -> Option<bool> {
    let config = jsz.get("config")?;
    if let Some(always) = config.get("sync_always").and_then(Value::as_bool) {
        return Some(always);
    }
    // `sync_always` is left out when it is false.
    config.get("sync_interval").map(|_| false)
}

fn parse_version(version: &str) -> Option<(u64, u64, u64)> {
    let version = version.trim_start_matches('v');
    let release = version.split(['-', '+']).next()?;
    let mut parts = release.split('.').map(str::parse);
    let mut next = || parts.next()?.ok();
    Some((next()?, next()?, next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(parse_version("2.9.10").unwrap() < LEAST_VERSION);
        assert!(parse_version("v2.12.3-RC.1").unwrap() >= LEAST_VERSION);
        assert!(parse_version("2.15.1").unwrap() > LEAST_VERSION);
        assert_eq!(parse_version("dev"), None);
    }

    #[test]
    fn an_interval_without_always_is_not_always() {
        let jsz = |config: Value| serde_json::json!({ "config": config });
        let config = serde_json::json!({"sync_interval": 120_000_000_000_u64, "sync_always": true});
        assert_eq!(sync_of(&jsz(config)), Some(true));
        let config = serde_json::json!({"sync_interval": 120_000_000_000_u64});
        assert_eq!(sync_of(&jsz(config)), Some(false));
        assert_eq!(sync_of(&serde_json::json!({})), None);
    }
}
