//! Logging in to real registries: who may do what, and what a refusal says.

mod support;

use std::{
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use support::{
    app,
    registry::{Access, Options, Registry, as_dev, quiet},
    stub::{Reply, Request, Stub},
    tls::Authority,
    token::TokenServer,
};
use weir_engine::{
    oci::{AuthFailure, Client, OciError, RegistryConfig},
    secret::Secret,
};
use weir_schema::Digest;

fn assert_says(error: &OciError, parts: &[&str]) {
    for part in parts {
        assert!(error.to_string().contains(part), "no `{part}` in: {error}");
    }
    assert!(!error.is_retryable(), "{error}");
}

fn client(registry: &Registry, config: RegistryConfig) -> Client {
    Client::new(&registry.host(), &config).unwrap()
}

fn wrong(config: RegistryConfig) -> RegistryConfig {
    RegistryConfig {
        password: Some(Secret::new("hunter2")),
        ..as_dev(config)
    }
}

#[tokio::test]
async fn by_htpasswd() {
    let registry = Registry::start_with(&Options {
        access: Access::Htpasswd,
        ..Options::default()
    });
    let host = registry.host();
    client(&registry, as_dev(registry.config()))
        .ping()
        .await
        .unwrap();

    let error = client(&registry, registry.config())
        .ping()
        .await
        .unwrap_err();
    assert_says(
        &error,
        &[
            &host,
            "a login is needed",
            "`username` and `password`",
            &format!("docker login {host}"),
        ],
    );

    let error = client(&registry, wrong(registry.config()))
        .ping()
        .await
        .unwrap_err();
    assert_says(&error, &[&host, "`dev`", "refused by the registry"]);
    assert!(!error.to_string().contains("hunter2"));
}

#[tokio::test]
async fn by_token() {
    let tokens = TokenServer::start().await;
    let registry = Registry::start_with(&Options {
        access: tokens.access(),
        ..Options::default()
    });
    let dev = client(&registry, as_dev(registry.config()));
    let image = app::image("web", "amd64", &[]);
    let digest = image.push(&dev, "dev/web", Some("1.0")).await;

    // Nobody may read, and is told what to do when that is not enough.
    let nobody = client(&registry, registry.config());
    assert!(
        nobody
            .head_manifest("dev/web", &digest.clone().into())
            .await
            .unwrap()
            .is_some()
    );
    let error = nobody.start_upload("dev/web").await.unwrap_err();
    assert!(
        matches!(&error, OciError::Auth(failure) if matches!(**failure, AuthFailure::LoginNeeded { .. }))
    );
    assert_says(&error, &["a login is needed", &registry.host()]);

    // A wrong password is an error, and not the same as no login.
    let error = client(&registry, wrong(registry.config()))
        .head_manifest("dev/web", &digest.into())
        .await
        .unwrap_err();
    assert_says(
        &error,
        &["`dev`", "token server", "invalid username/password"],
    );
}

#[tokio::test]
async fn a_login_may_come_from_a_file() {
    let registry = Registry::start_with(&Options {
        access: Access::Htpasswd,
        ..Options::default()
    });
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("config.json");
    // "dev:dev"
    std::fs::write(
        &file,
        format!(
            r#"{{"auths":{{"{}":{{"auth":"ZGV2OmRldg=="}}}}}}"#,
            registry.host()
        ),
    )
    .unwrap();
    let config = RegistryConfig {
        credentials_file: Some(file.clone()),
        ..registry.config()
    };
    client(&registry, config.clone()).ping().await.unwrap();

    std::fs::write(&file, "{").unwrap();
    let error = client(&registry, config).ping().await.unwrap_err();
    assert_says(&error, &["config.json"]);
}

/// The login `name_and_password` for the registry, in the form of `docker login`.
fn log_in(file: &Path, registry: &str, name_and_password: &str) {
    let auth = STANDARD.encode(name_and_password);
    let text = json!({"auths": {registry: {"auth": auth}}});
    std::fs::write(file, text.to_string()).unwrap();
}

#[tokio::test]
async fn a_login_that_is_corrected_is_used_at_once() {
    let tokens = TokenServer::start().await;
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("auth.json");
    for access in [Access::Htpasswd, tokens.access()] {
        let registry = Registry::start_with(&Options {
            access,
            ..Options::default()
        });
        let config = RegistryConfig {
            credentials_file: Some(file.clone()),
            ..registry.config()
        };
        log_in(&file, &registry.host(), "dev:expired");
        let client = client(&registry, config);
        let error = client.start_upload("dev/web").await.unwrap_err();
        assert_says(&error, &["the login of `dev` is refused"]);

        log_in(&file, &registry.host(), "dev:dev");
        client.start_upload("dev/web").await.unwrap();

        // It holds for as long as it is let in: only a refusal has it looked for again.
        std::fs::write(&file, "{").unwrap();
        client.start_upload("dev/web").await.unwrap();
    }
}

#[tokio::test]
async fn a_login_that_a_registry_calls_expired_is_renewed() {
    // As ECR does, with 403; its tokens live for twelve hours.
    let of = |name_and_password: &str| format!("Basic {}", STANDARD.encode(name_and_password));
    let (old, new) = (of("AWS:old"), of("AWS:new"));
    let stub = Stub::start(move |request| match &request.authorization {
        None => Reply::status(401).header("www-authenticate", "Basic realm=\"ecr\""),
        Some(login) if *login == new => Reply::status(200),
        Some(login) => {
            assert_eq!(*login, old);
            let text = "Your authorization token has expired. Reauthenticate and try again.";
            let error = json!({"errors": [{"code": "DENIED", "message": text}]});
            Reply::status(403).body(error.to_string())
        }
    })
    .await;
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("auth.json");
    let config = RegistryConfig {
        insecure: true,
        credentials_file: Some(file.clone()),
        ..quiet()
    };
    let client = Client::new(&stub.host(), &config).unwrap();
    log_in(&file, &stub.host(), "AWS:old");
    let error = client.ping().await.unwrap_err();
    assert_says(&error, &["has expired"]);
    let seen = stub.seen();
    let sent = seen.iter().filter(|seen| seen.authorization.is_some());
    assert_eq!(sent.count(), 1, "the same login is not sent again");

    log_in(&file, &stub.host(), "AWS:new");
    client.ping().await.unwrap();
}

#[tokio::test]
async fn a_refusal_that_gives_a_reason_is_not_taken_for_a_missing_login() {
    let check = async |login: bool, code: &str, told: &[&str], not_told: &str| {
        let error = json!({"errors": [{"code": code, "message": "not for you"}]}).to_string();
        let stub = Stub::start(move |_| Reply::status(403).body(error.clone())).await;
        let config = RegistryConfig {
            insecure: true,
            find_credentials: false,
            ..quiet()
        };
        let config = if login { as_dev(config) } else { config };
        let client = Client::new(&stub.host(), &config).unwrap();
        let said = format!("(it says: {code} not for you)");
        let error = client.start_upload("dev/web").await.unwrap_err();
        assert_says(&error, &[said.as_str()]);
        assert_says(&error, told);
        assert!(!error.to_string().contains(not_told), "{error}");
    };
    let nobody = ["refused with 403", "asked as nobody (no login)"];
    let (needed, denied) = ("a login is needed", "may not do this");
    check(false, "DENIED", &nobody, needed).await;
    check(false, "TAG_IMMUTABLE", &nobody, needed).await;
    check(true, "TAG_IMMUTABLE", &["asked as `dev`"], denied).await;
    check(true, "DENIED", &["`dev` may not do this"], "asked as").await;
}

/// A registry that gives tokens itself, each for one request, until it has `changed`: then it gives
/// none and does as `later` says.
async fn changing(changed: &Arc<AtomicBool>, later: fn(&Request) -> Reply) -> Stub {
    let changed = Arc::clone(changed);
    Stub::start(move |request| {
        let is_changed = changed.load(Ordering::SeqCst);
        match request.authorization.as_deref() {
            _ if request.path.starts_with("/token") && is_changed => Reply::status(404),
            _ if request.path.starts_with("/token") => {
                Reply::status(200).body(r#"{"token": "t0ken", "expires_in": 0}"#)
            }
            _ if is_changed => later(request),
            Some("Bearer t0ken") => Reply::status(200),
            _ => token_wanted(request),
        }
    })
    .await
}

fn token_wanted(request: &Request) -> Reply {
    let realm = format!("Bearer realm=\"http://{}/token\"", request.host);
    Reply::status(401).header("www-authenticate", &realm)
}

/// A client that the registry at `host` has let in as `dev`.
async fn let_in(host: &str) -> Client {
    let config = as_dev(RegistryConfig {
        insecure: true,
        ..quiet()
    });
    let client = Client::new(host, &config).unwrap();
    client.ping().await.unwrap();
    client
}

#[tokio::test]
async fn a_registry_that_no_longer_gives_tokens_gets_name_and_password() {
    let changed = Arc::default();
    let stub = changing(&changed, |request| match &request.authorization {
        Some(login) if login.starts_with("Basic ") => Reply::status(200),
        _ => Reply::status(401).header("www-authenticate", "Basic realm=\"new\""),
    })
    .await;
    let client = let_in(&stub.host()).await;
    changed.store(true, Ordering::SeqCst);
    client.ping().await.unwrap();
}

#[tokio::test]
async fn a_token_that_is_not_to_be_had_is_an_error_whatever_anybody_may_see() {
    let shown: [fn(&Request) -> Reply; 2] = [token_wanted, |_| Reply::status(200)];
    for later in shown {
        let changed = Arc::default();
        let stub = changing(&changed, later).await;
        let client = let_in(&stub.host()).await;
        changed.store(true, Ordering::SeqCst);
        for _ in 0..2 {
            let error = client.ping().await.unwrap_err();
            assert_says(&error, &[&stub.host(), "fetching a token", "404"]);
        }
    }
}

#[tokio::test]
async fn a_token_that_is_configured_is_sent_as_it_is() {
    let stub = Stub::start(|request| {
        if request.authorization.as_deref() == Some("Bearer t0ken") {
            Reply::status(200)
        } else {
            Reply::status(401).header(
                "www-authenticate",
                "Bearer realm=\"http://127.0.0.1:1/token\"",
            )
        }
    })
    .await;
    let config = |token: &str| RegistryConfig {
        insecure: true,
        token: Some(Secret::new(token)),
        ..quiet()
    };
    Client::new(&stub.host(), &config("t0ken"))
        .unwrap()
        .ping()
        .await
        .unwrap();
    let error = Client::new(&stub.host(), &config("other"))
        .unwrap()
        .ping()
        .await
        .unwrap_err();
    assert_says(&error, &["a token"]);
}

#[tokio::test]
async fn a_login_is_not_sent_to_a_token_server_without_tls() {
    let authority = Authority::new("Example Corp Root");
    let (realm, certificate) = (
        "http://tokens.invalid/token".to_owned(),
        authority.certificate(),
    );
    let registry = Registry::start_with(&Options {
        access: Access::Token { realm, certificate },
        tls: Some(authority.issue("IP:127.0.0.1", 30)),
        ..Options::default()
    });
    let config = RegistryConfig {
        ca_file: Some(authority.certificate()),
        ..as_dev(quiet())
    };
    let error = client(&registry, config).ping().await.unwrap_err();
    assert_says(&error, &["tokens.invalid", "plain HTTP", "not sent"]);
}

#[tokio::test]
async fn a_token_that_claims_to_live_for_ever_is_used() {
    let stub = Stub::start(|request| {
        let answer = json!({"token": "t0ken", "expires_in": u64::MAX});
        match (&request.authorization, request.path.as_str()) {
            (None, "/token?service=x") => Reply::status(200).body(answer.to_string()),
            (Some(_), _) => Reply::status(200),
            // It names itself as its token server, by the address it was reached at.
            (None, _) => {
                let realm = format!(
                    "Bearer realm=\"http://{}/token\",service=\"x\"",
                    request.host
                );
                Reply::status(401).header("www-authenticate", &realm)
            }
        }
    })
    .await;
    let config = RegistryConfig {
        insecure: true,
        ..quiet()
    };
    let client = Client::new(&stub.host(), &config).unwrap();
    client.ping().await.unwrap();
    client.ping().await.unwrap();
    let fetched = stub.seen();
    let fetched = fetched
        .iter()
        .filter(|seen| seen.path.starts_with("/token"));
    assert_eq!(fetched.count(), 1, "it is kept meanwhile");
}

#[tokio::test]
async fn a_login_is_not_sent_on_to_where_a_token_server_leads() {
    let elsewhere = Stub::start(|_| Reply::status(200).body(r#"{"token": "t"}"#)).await;
    let lead = format!("http://{}/token?x=secret", elsewhere.host());
    let directory = tempfile::TempDir::new().unwrap();
    for login in ["auth\":\"ZGV2OmRldg==", "identitytoken\":\"refresh"] {
        let lead = lead.clone();
        let stub = Stub::start(move |request| {
            if request.path.starts_with("/token") {
                return Reply::status(307).header("location", &lead);
            }
            let realm = format!("Bearer realm=\"http://{}/token\"", request.host);
            Reply::status(401).header("www-authenticate", &realm)
        })
        .await;
        let file = directory.path().join("config.json");
        let text = format!(r#"{{"auths":{{"{}":{{"{login}"}}}}}}"#, stub.host());
        std::fs::write(&file, text).unwrap();
        let config = RegistryConfig {
            insecure: true,
            credentials_file: Some(file),
            ..quiet()
        };
        let client = Client::new(&stub.host(), &config).unwrap();
        let error = client.ping().await.unwrap_err();
        let lead = format!("to `http://{}/token`", elsewhere.host());
        assert_says(&error, &[&stub.host(), &lead, "`realm`"]);
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    assert_eq!(elsewhere.seen().len(), 0);
}

#[tokio::test]
async fn a_login_is_not_given_to_whoever_a_registry_leads_to() {
    let digest = Digest::of(b"blob");
    for kind in ["Basic realm=\"elsewhere\"", "Bearer"] {
        // It asks for a login as the registry would, and names itself for a token server.
        let elsewhere = Stub::start(move |request| {
            let realm = format!("Bearer realm=\"http://{}/token\"", request.host);
            let challenge = if kind == "Bearer" { &*realm } else { kind };
            Reply::status(401).header("www-authenticate", challenge)
        })
        .await;
        let host = elsewhere.host();
        let stub = Stub::start(move |request| match &request.authorization {
            None => Reply::status(401).header("www-authenticate", "Basic realm=\"here\""),
            Some(_) if request.path.contains("/blobs/") => {
                Reply::status(307).header("location", &format!("http://{host}/store?sig=s3cret"))
            }
            Some(_) => Reply::status(200),
        })
        .await;
        let client = let_in(&stub.host()).await;
        let error = client.get_blob("dev/web", &digest, 1024).await.unwrap_err();
        assert!(
            error.is_retryable(),
            "the registry gives another address: {error}"
        );
        let text = error.to_string();
        let place = format!("at `http://{}/store`, where it leads", elsewhere.host());
        assert!(text.contains(&place) && !text.contains("s3cret"), "{text}");
        let seen = elsewhere.seen();
        assert!(!seen.is_empty());
        for request in seen {
            assert_eq!(request.authorization, None, "{request:?}");
            assert!(!request.path.starts_with("/token"), "{request:?}");
        }
    }
}

#[tokio::test]
async fn a_login_is_not_given_to_whoever_leads_back_to_the_registry() {
    // An upload is led to it, and it leads back to where a login is asked for.
    let home: Arc<OnceLock<String>> = Arc::default();
    let back = Arc::clone(&home);
    let elsewhere = Stub::start(move |_| {
        let place = format!("http://{}/v2/dev/web/blobs/uploads/1", back.get().unwrap());
        Reply::status(307).header("location", &place)
    })
    .await;
    let host = elsewhere.host();
    let registry = Stub::start(move |request| match &request.authorization {
        None => Reply::status(401).header("www-authenticate", "Basic realm=\"here\""),
        Some(_) if request.method == "POST" => {
            Reply::status(202).header("location", &format!("http://{host}/upload"))
        }
        Some(_) => Reply::status(200),
    })
    .await;
    home.set(registry.host()).unwrap();
    let client = let_in(&registry.host()).await;
    let upload = client.start_upload("dev/web").await.unwrap();
    let digest = Digest::of(b"blob");
    let sent = client.finish_upload(upload, &digest, b"blob".to_vec().into());
    let error = sent.await.unwrap_err();
    assert!(error.to_string().contains("answered 401"), "{error}");
    let seen = elsewhere.seen();
    assert!(!seen.is_empty());
    for request in seen {
        assert_eq!(request.authorization, None, "{request:?}");
    }
}
