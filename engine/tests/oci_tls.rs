//! TLS as it fails in real networks: each failure says what was presented and what to do.

mod support;

use support::{
    registry::{Options, Registry, as_dev, quiet},
    stub::{Reply, Request, Stub},
    tls::Authority,
};
use weir_engine::oci::{Client, OciError, RegistryConfig};
use weir_schema::{Digest, Tag};

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

/// What is said where a registry with TLS leads to plain HTTP. Of `reply`, the second argument is
/// an address without TLS, which nothing must reach.
async fn led<F: Future<Output = Result<(), OciError>>>(
    authority: &Authority,
    reply: fn(&Request, &str) -> Reply,
    ask: impl FnOnce(Client) -> F,
) {
    let plain = Stub::start(|_| Reply::status(200).body(r#"{"token": "t"}"#)).await;
    // By another name of this machine, so that no address is taken for the registry's own.
    let port = plain.port();
    let address = format!("http://localhost:{port}/there?signature=s3cret");
    let stub = Stub::start_tls(authority.issue(HERE, 30), move |request| {
        reply(request, &address)
    })
    .await;
    let client = Client::new(&stub.host(), &as_dev(trusting(authority))).unwrap();
    let error = ask(client).await.unwrap_err();
    let text = error.to_string();
    let shown = format!("`http://localhost:{port}/there`");
    let section = format!("[registries.\"{}\"]", stub.host());
    assert_says(
        &text,
        &[&shown, "plain HTTP", "`insecure = true`", &section],
    );
    assert!(!text.contains("s3cret") && !error.is_retryable(), "{text}");
    assert_eq!(plain.seen().len(), 0, "{text}");
}

#[tokio::test]
async fn a_registry_with_tls_never_leads_to_plain_http() {
    let authority = &Authority::new("Example Corp Root");
    let digest = Digest::of(b"x");
    let away = |_: &Request, address: &str| Reply::status(307).header("location", address);
    led(authority, away, async |client| {
        let tag: Tag = "1.0".parse().unwrap();
        client.get_manifest("a", &tag.into()).await.map(drop)
    })
    .await;
    led(authority, away, async |client| {
        client.get_blob("a", &digest, 10).await.map(drop)
    })
    .await;
    led(authority, away, async |client| {
        let bytes = b"{}".to_vec().into();
        let reference = digest.clone().into();
        let stored = client.put_manifest("a", &reference, "a/b", bytes);
        stored.await.map(drop)
    })
    .await;
    let opened = |_: &Request, address: &str| Reply::status(202).header("location", address);
    led(authority, opened, async |client| {
        let upload = client.start_upload("a").await?;
        let bytes = b"x".to_vec().into();
        client.finish_upload(upload, &digest, bytes).await
    })
    .await;
    let page = |_: &Request, address: &str| {
        let link = format!("<{address}>; rel=\"next\"");
        let page = Reply::status(200).header("link", &link);
        page.body(r#"{"tags": ["1"]}"#)
    };
    led(authority, page, async |client| {
        client.tags("a").await.map(drop)
    })
    .await;
    let realm = |_: &Request, address: &str| {
        let challenge = format!("Bearer realm=\"{address}\"");
        Reply::status(401).header("www-authenticate", &challenge)
    };
    led(authority, realm, async |client| client.ping().await).await;
}

#[tokio::test]
async fn an_upload_at_another_host_with_tls_gets_the_content_and_no_login() {
    let authority = Authority::new("Example Corp Root");
    let storage = Stub::start_tls(authority.issue(HERE, 30), |_| Reply::status(201)).await;
    let port = storage.port();
    let stub = Stub::start_tls(authority.issue(HERE, 30), move |request| {
        match request.authorization {
            None => Reply::status(401).header("www-authenticate", "Basic realm=\"x\""),
            Some(_) => Reply::status(202)
                .header("location", &format!("https://localhost:{port}/up?state=1")),
        }
    })
    .await;
    let client = Client::new(&stub.host(), &as_dev(trusting(&authority))).unwrap();
    let upload = client.start_upload("a").await.unwrap();
    let bytes = b"x".to_vec().into();
    client
        .finish_upload(upload, &Digest::of(b"x"), bytes)
        .await
        .unwrap();
    let seen = storage.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(
        (seen[0].method.as_str(), &seen[0].authorization),
        ("PUT", &None)
    );
}

#[tokio::test]
async fn who_failed_at_another_host_is_told_with_that_host() {
    let storage = Stub::start(|_| Reply::status(403)).await;
    let place = format!("http://{}/up", storage.host());
    let leading = Stub::start(move |_| Reply::status(202).header("location", &place)).await;
    let own = Stub::start(|request| match request.method.as_str() {
        "POST" => Reply::status(202).header("location", "/v2/a/blobs/uploads/1"),
        _ => Reply::status(403),
    })
    .await;
    let failure = async |stub: &Stub| {
        let config = RegistryConfig {
            insecure: true,
            ..RegistryConfig::default()
        };
        let client = Client::new(&stub.host(), &config).unwrap();
        let upload = client.start_upload("a").await.unwrap();
        let bytes = b"x".to_vec().into();
        let ended = client.finish_upload(upload, &Digest::of(b"x"), bytes).await;
        ended.unwrap_err().to_string()
    };
    let elsewhere = format!("to `{}`, which it says to be the place", storage.host());
    let told = failure(&leading).await;
    assert!(told.contains(&elsewhere), "{told}");
    let told = failure(&own).await;
    assert!(!told.contains("to be the place"), "{told}");
}
