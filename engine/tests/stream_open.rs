//! Opening the stream, against a real server: its own checks, logins, TLS.

#[path = "support/nats.rs"]
#[expect(dead_code, reason = "each test file uses a part of it")]
mod nats;
#[path = "support/tls.rs"]
#[expect(dead_code, reason = "each test file uses a part of it")]
mod tls;

use std::time::Duration;

use async_nats::jetstream::stream::{Config, RetentionPolicy};
use nats::Nats;
use tls::Authority;
use weir_engine::stream::{OpenError, Stream, StreamConfig};

async fn open_error(config: &StreamConfig) -> String {
    match Stream::open(config).await {
        Ok(_) => panic!("it opened"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_stream_that_would_lose_inputs_is_refused() {
    let Some(nats) = Nats::start() else { return };
    let jetstream = nats.jetstream().await;
    let check = async |config: Config, cause: &str| {
        jetstream.create_stream(config).await.unwrap();
        let error = open_error(&nats.config()).await;
        assert!(error.contains(cause), "{error}");
        jetstream.delete_stream("WEIR").await.unwrap();
    };
    let good = Config {
        name: "WEIR".into(),
        subjects: vec!["registry.>".into()],
        ..Config::default()
    };
    let retention = RetentionPolicy::WorkQueue;
    check(
        Config {
            retention,
            ..good.clone()
        },
        "retention is `workqueue`",
    )
    .await;
    let retention = RetentionPolicy::Interest;
    check(
        Config {
            retention,
            ..good.clone()
        },
        "retention is `interest`",
    )
    .await;
    check(
        Config {
            no_ack: true,
            ..good.clone()
        },
        "acknowledges nothing",
    )
    .await;
    let subjects = vec!["registry.intake.>".into()];
    check(
        Config {
            subjects,
            ..good.clone()
        },
        "but not registry.events.>",
    )
    .await;
    jetstream.create_stream(good).await.unwrap();
    Stream::open(&nats.config()).await.unwrap();
}

#[tokio::test]
async fn a_stream_in_the_way_is_named() {
    let Some(nats) = Nats::start() else { return };
    let config = Config {
        name: "OTHER".into(),
        subjects: vec!["registry.intake.harbor.*".into()],
        ..Config::default()
    };
    nats.jetstream().await.create_stream(config).await.unwrap();
    let error = Stream::open(&nats.config()).await.err().unwrap();
    assert!(matches!(error, OpenError::Overlap { .. }), "{error}");
    assert!(error.to_string().contains("`OTHER`"), "{error}");
}

#[tokio::test]
async fn credentials_are_used_and_a_refusal_is_told_at_once() {
    let lines = "authorization { user: weir, password: hunter2 }";
    let Some(nats) = Nats::start_with(lines) else {
        return;
    };
    let error = open_error(&nats.config()).await;
    assert!(error.contains("refuses the credentials"), "{error}");
    let mut config = nats.config();
    config.user = Some("weir".into());
    config.password = Some(weir_engine::secret::Secret::new("hunter2"));
    Stream::open(&config).await.unwrap();
}

#[tokio::test]
async fn tls_that_cannot_be_made_is_told_at_once_with_its_cause_and_remedy() {
    weir_engine::oci::install_crypto_provider();
    let (authority, other) = (Authority::new("ours"), Authority::new("other"));
    let (certificate, key) = authority.issue("IP:127.0.0.1", 30);
    let lines = format!("tls {{ cert_file: {certificate:?}, key_file: {key:?} }}");
    let (Some(with_tls), Some(without)) = (Nats::start_with(&lines), Nats::start()) else {
        return;
    };
    let address = |nats: &Nats, host: &str| {
        let url = nats
            .url()
            .replace("nats://127.0.0.1", &format!("tls://{host}"));
        StreamConfig {
            urls: vec![url],
            // So long nobody waits.
            connect_wait_seconds: 600,
            ..nats.config()
        }
    };
    let (ours, others) = (authority.certificate(), other.certificate());
    for (nats, host, ca_file, cause, remedy) in [
        (
            &with_tls,
            "127.0.0.1",
            None,
            "UnknownIssuer",
            "set `stream.ca_file` to the",
        ),
        (
            &with_tls,
            "127.0.0.1",
            Some(&others),
            "UnknownIssuer",
            "the file of `stream.ca_file` does not hold",
        ),
        (
            &with_tls,
            "localhost",
            Some(&ours),
            "not valid for name",
            "as its certificate names it",
        ),
        (
            &without,
            "127.0.0.1",
            None,
            "",
            "write `nats://` in `stream.urls`",
        ),
    ] {
        let config = StreamConfig {
            ca_file: ca_file.cloned(),
            ..address(nats, host)
        };
        let told = tokio::time::timeout(Duration::from_secs(60), open_error(&config));
        let told = told.await.expect("it is told at once");
        assert!(told.contains(cause) && told.contains(remedy), "{told}");
    }
    let config = StreamConfig {
        ca_file: Some(ours),
        ..address(&with_tls, "127.0.0.1")
    };
    Stream::open(&config).await.unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_sync_is_warned_of() {
    let check = async |sync: &str, warned: bool| {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let lines = format!("jetstream {{ {sync} }}\nhttp: 127.0.0.1:{port}");
        let Some(nats) = Nats::start_with(&lines) else {
            return;
        };
        let mut config = nats.config();
        config.monitoring_url = Some(format!("http://127.0.0.1:{port}"));
        let stream = Stream::open(&config).await.unwrap();
        let found = stream
            .warnings()
            .iter()
            .any(|warning| warning.contains("sync_interval: always"));
        assert_eq!(found, warned, "{sync}: {:?}", stream.warnings());
    };
    check("", true).await;
    check("sync_interval: always", false).await;
}

#[tokio::test]
async fn a_stream_that_takes_only_small_messages_is_warned_of() {
    let Some(nats) = Nats::start_with("max_payload: 2MB") else {
        return;
    };
    let jetstream = nats.jetstream().await;
    let limit = async |name: &str, subjects: &str, max_message_size| {
        let config = Config {
            name: name.into(),
            subjects: vec![subjects.into()],
            max_message_size,
            ..Config::default()
        };
        jetstream.create_or_update_stream(config).await.unwrap();
    };
    for (inputs, outputs, expected) in [
        (-1, -1, vec![]),
        (1 << 20, 1 << 20, vec![]),
        (
            30_000,
            -1,
            vec!["`WEIR` takes a message of at most 30000 bytes"],
        ),
        (
            30_000,
            2000,
            vec![
                "`WEIR` takes a message of at most 30000 bytes",
                "`WEIR_EVENTS` takes a message of at most 2000 bytes",
            ],
        ),
    ] {
        limit("WEIR", "registry.>", inputs).await;
        limit("WEIR_EVENTS", "weir.events.>", outputs).await;
        let stream = Stream::open(&nats.config()).await.unwrap();
        let warnings = stream.warnings().iter();
        let found: Vec<&String> = warnings
            .filter(|one| one.contains("max_msg_size"))
            .collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found}");
        }
    }
}

#[tokio::test]
async fn no_server_is_told_with_the_address() {
    let config = StreamConfig {
        urls: vec!["nats://127.0.0.1:1".into()],
        connect_wait_seconds: 0,
        ..StreamConfig::default()
    };
    let error = open_error(&config).await;
    assert!(
        error.contains("no NATS server answers at nats://127.0.0.1:1"),
        "{error}"
    );
}

/// Of a NATS cluster of two the server numbered `own`, 0 or 1.
fn one_of_two(ports: [u16; 2], own: usize) -> Option<Nats> {
    let [first, second] = ports;
    Nats::start_with(&format!(
        "server_name: n{own}\ncluster {{ name: c, listen: \"127.0.0.1:{}\", routes: [\"nats-route://127.0.0.1:{first}\", \"nats-route://127.0.0.1:{second}\"] }}",
        ports[own]
    ))
}

#[tokio::test]
async fn a_jetstream_without_a_leader_is_waited_for() {
    let ports = [nats::free_port(), nats::free_port()];
    let Some(first) = one_of_two(ports, 0) else {
        return;
    };
    let mut config = first.config();
    config.connect_wait_seconds = 4;
    let began = std::time::Instant::now();
    let told = open_error(&config).await;
    assert!(
        told.contains("see whether JetStream has a leader"),
        "{told}"
    );
    assert!(began.elapsed() > Duration::from_secs(3), "{told}");

    config.connect_wait_seconds = 60;
    let opening = tokio::spawn(async move { Stream::open(&config).await.map(drop) });
    tokio::time::sleep(Duration::from_secs(4)).await;
    let _second = one_of_two(ports, 1);
    opening.await.unwrap().unwrap();
}
