//! TLS as it fails in real networks: each failure says what was presented and what to do.

mod support;

use support::{
    registry::{Options, Registry, quiet},
    tls::Authority,
};
use weir_engine::oci::{Client, RegistryConfig};

/// A registry that presents a certificate of `authority` for `names`, valid for `days`.
fn registry(authority: &Authority, names: &str, days: i32) -> Registry {
    Registry::start_with(&Options {
        tls: Some(authority.issue(names, days)),
        ..Options::default()
    })
}

fn trusting(authority: &Authority) -> RegistryConfig {
    RegistryConfig {
        ca_file: Some(authority.certificate()),
        ..quiet()
    }
}

/// What a ping of `registry` says.
async fn ping(registry: &Registry, config: &RegistryConfig) -> String {
    let client = Client::new(&registry.host(), config).unwrap();
    client.ping().await.map_or_else(
        |error| format!("{error} (retryable: {})", error.is_retryable()),
        |()| "ok".into(),
    )
}

fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
}

const HERE: &str = "DNS:localhost,IP:127.0.0.1";

#[tokio::test]
async fn an_unknown_authority_is_named_with_both_remedies_and_each_remedy_works() {
    let authority = Authority::new("Example Corp Root");
    let registry = registry(&authority, HERE, 30);
    let host = registry.host();
    let section = format!("[registries.\"{host}\"]");
    let error = ping(&registry, &quiet()).await;
    assert_says(
        &error,
        &[
            &host,
            "unknown authority",
            "Example Corp Root",
            "localhost",
            "127.0.0.1",
            "`ca_file`",
            "`insecure = true`",
            &section,
            "retryable: false",
        ],
    );
    assert_eq!(ping(&registry, &trusting(&authority)).await, "ok");
    assert_eq!(
        ping(
            &registry,
            &RegistryConfig {
                insecure: true,
                ..quiet()
            }
        )
        .await,
        "ok"
    );
}

#[tokio::test]
async fn another_authority_of_the_same_name_is_told_apart() {
    let (authority, other) = (
        Authority::new("Example Corp Root"),
        Authority::new("Example Corp Root"),
    );
    let error = ping(&registry(&authority, HERE, 30), &trusting(&other)).await;
    assert_says(
        &error,
        &[
            "Example Corp Root",
            "not by the authority of that name",
            "`ca_file`",
            "`insecure = true`",
        ],
    );
}

#[tokio::test]
async fn a_name_that_the_certificate_lacks_is_named_with_those_it_has() {
    let authority = Authority::new("Example Corp Root");
    let error = ping(
        &registry(&authority, "DNS:registry.example", 30),
        &trusting(&authority),
    )
    .await;
    assert_says(
        &error,
        &[
            "not valid for the name `127.0.0.1`",
            "registry.example",
            "Example Corp Root",
            "`insecure = true`",
        ],
    );
}

#[tokio::test]
async fn an_expired_certificate_gives_its_dates() {
    let authority = Authority::new("Example Corp Root");
    let error = ping(&registry(&authority, HERE, -1), &trusting(&authority)).await;
    assert_says(
        &error,
        &[
            "valid only from 20",
            "T",
            "Z to 20",
            "renew it",
            "Example Corp Root",
            "`insecure = true`",
        ],
    );
}

#[tokio::test]
async fn plain_http_is_used_only_with_insecure_even_on_this_machine() {
    let registry = Registry::start();
    let error = ping(&registry, &quiet()).await;
    assert_says(
        &error,
        &[
            &registry.host(),
            "plain HTTP",
            "`insecure = true`",
            "retryable: false",
        ],
    );
    assert_eq!(ping(&registry, &registry.config()).await, "ok");
}

#[tokio::test]
async fn a_ca_file_that_holds_no_certificate_is_named() {
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("ca.crt");
    let check = |expected: &str| {
        let config = RegistryConfig {
            ca_file: Some(path.clone()),
            ..quiet()
        };
        let error = Client::new("registry.example", &config)
            .unwrap_err()
            .to_string();
        assert_says(&error, &["registry.example", "ca_file", "ca.crt", expected]);
    };
    check("No such file");
    std::fs::write(&path, "not a certificate").unwrap();
    check("no PEM certificate");
}

#[tokio::test]
async fn nothing_that_listens_may_be_there_later() {
    let host = format!("127.0.0.1:{}", support::registry::free_port());
    let config = RegistryConfig {
        max_attempts: 1.try_into().unwrap(),
        ..quiet()
    };
    let error = Client::new(&host, &config)
        .unwrap()
        .ping()
        .await
        .unwrap_err();
    assert!(error.is_retryable());
    assert_says(&error.to_string(), &[&host, "refused"]);
}
