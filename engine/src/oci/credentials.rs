//! Logins: from the configuration, from Docker's and containers' files, from credential helpers.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;

use super::config::RegistryConfig;
use crate::secret::Secret;

/// What is shown to a registry or its token server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    /// Nobody in particular.
    Anonymous,
    /// Name and password.
    Basic {
        /// The name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// A refresh token, exchanged at the token server for access tokens.
    Identity(Secret),
    /// An access token sent as it is.
    Bearer(Secret),
}

/// Why a login that is configured cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// A file that the configuration names cannot be read.
    #[error("cannot read the credentials in `{path}`: {reason}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A credential helper failed.
    #[error("the credential helper `{helper}` gave no login for `{registry}`: {reason}")]
    Helper {
        /// Name of the program.
        helper: String,
        /// The registry asked for.
        registry: String,
        /// What it said, or what went wrong.
        reason: String,
    },
    /// The configuration gives half a login, or two.
    #[error("registry `{registry}`: give either `username` and `password`, or `token`")]
    Ambiguous {
        /// The registry's name in the configuration.
        registry: String,
    },
}

/// `config.json` of Docker and `auth.json` of containers: they share this form.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CredentialsFile {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

/// The login for `registry`: the one configured, else what the credentials' files say.
pub(super) async fn find(
    registry: &str,
    config: &RegistryConfig,
) -> Result<Credentials, CredentialsError> {
    match (&config.username, &config.password, &config.token) {
        (None, None, Some(token)) => return Ok(Credentials::Bearer(token.clone())),
        (Some(username), Some(password), None) => {
            return Ok(Credentials::Basic {
                username: username.clone(),
                password: password.clone(),
            });
        }
        (None, None, None) => {}
        _ => {
            return Err(CredentialsError::Ambiguous {
                registry: registry.to_owned(),
            });
        }
    }
    if let Some(path) = &config.credentials_file {
        let file = read(path)
            .await
            .map_err(|reason| file_error(path, reason))?;
        return Ok(in_file(&file, registry)
            .await?
            .unwrap_or(Credentials::Anonymous));
    }
    if config.find_credentials {
        for path in usual_places(|name| std::env::var_os(name).map(PathBuf::from)) {
            match read(&path).await {
                Ok(file) => {
                    if let Some(found) = in_file(&file, registry).await? {
                        return Ok(found);
                    }
                }
                // A file that nobody named may be missing; one that is there must be readable.
                Err(_) if !path.exists() => {}
                Err(reason) => return Err(file_error(&path, reason)),
            }
        }
    }
    Ok(Credentials::Anonymous)
}

fn file_error(path: &Path, reason: String) -> CredentialsError {
    CredentialsError::File {
        path: path.display().to_string(),
        reason,
    }
}

/// Where `podman`, `skopeo` and `docker` keep logins, in the order in which skopeo looks.
fn usual_places(variable: impl Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    let home = variable("HOME");
    let under_home = |path: &str| home.as_ref().map(|home| home.join(path));
    [
        variable("REGISTRY_AUTH_FILE"),
        variable("XDG_RUNTIME_DIR").map(|run| run.join("containers/auth.json")),
        variable("XDG_CONFIG_HOME")
            .or_else(|| under_home(".config"))
            .map(|c| c.join("containers/auth.json")),
        variable("DOCKER_CONFIG")
            .or_else(|| under_home(".docker"))
            .map(|d| d.join("config.json")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Says why the file that a configuration names holds no logins, if it does not.
///
/// # Errors
/// It cannot be read, or is no such file.
pub(super) fn check(path: &Path) -> Result<(), String> {
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    parsed(&text).map(drop)
}

async fn read(path: &Path) -> Result<CredentialsFile, String> {
    let text = tokio::fs::read(path)
        .await
        .map_err(|error| error.to_string())?;
    parsed(&text)
}

fn parsed(text: &[u8]) -> Result<CredentialsFile, String> {
    serde_json::from_slice(text).map_err(|error| error.to_string())
}

async fn in_file(
    file: &CredentialsFile,
    registry: &str,
) -> Result<Option<Credentials>, CredentialsError> {
    let helper = file
        .cred_helpers
        .iter()
        .find(|(key, _)| host_of(key) == host_of(registry))
        .map(|(_, helper)| helper);
    if let Some(helper) = helper {
        return ask_helper(helper, registry).await.map(Some);
    }
    // Docker leaves an empty entry where its store holds the secret.
    let entry = file
        .auths
        .iter()
        .find(|(key, _)| host_of(key) == host_of(registry))
        .map(|(_, entry)| entry);
    match entry.map(decode) {
        Some(Ok(Some(found))) => Ok(Some(found)),
        Some(Err(reason)) => Err(CredentialsError::File {
            path: format!("auths of {registry}"),
            reason,
        }),
        Some(Ok(None)) => match &file.creds_store {
            Some(store) => ask_helper(store, registry).await.map(Some),
            None => Ok(None),
        },
        None => Ok(None),
    }
}

/// `https://index.docker.io/v1/` and `docker.io` are the same registry; so is any key with a
/// scheme or a path.
fn host_of(key: &str) -> &str {
    let key = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    let host = key.split('/').next().unwrap_or(key);
    match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        other => other,
    }
}

fn decode(entry: &Entry) -> Result<Option<Credentials>, String> {
    if !entry.identitytoken.is_empty() {
        return Ok(Some(Credentials::Identity(Secret::new(
            &entry.identitytoken,
        ))));
    }
    if !entry.username.is_empty() {
        return Ok(Some(basic(&entry.username, &entry.password)));
    }
    if entry.auth.is_empty() {
        return Ok(None);
    }
    let bytes = STANDARD
        .decode(entry.auth.trim())
        .map_err(|_| "`auth` is not base64".to_owned())?;
    let text = String::from_utf8(bytes).map_err(|_| "`auth` is not text".to_owned())?;
    // Docker pads the password with zero bytes.
    let (username, password) = text.split_once(':').ok_or("`auth` has no colon")?;
    Ok(Some(basic(username, password.trim_end_matches('\0'))))
}

fn basic(username: &str, password: &str) -> Credentials {
    Credentials::Basic {
        username: username.to_owned(),
        password: Secret::new(password),
    }
}

/// What a helper prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

/// Runs `docker-credential-HELPER get`, as Docker does.
async fn ask_helper(helper: &str, registry: &str) -> Result<Credentials, CredentialsError> {
    // A helper may go to a cloud's metadata service; longer than this it hangs.
    const PATIENCE: Duration = Duration::from_secs(30);
    let program = format!("docker-credential-{helper}");
    let failed = |reason: String| CredentialsError::Helper {
        helper: program.clone(),
        registry: registry.to_owned(),
        reason,
    };
    let conversation = async {
        let mut child = tokio::process::Command::new(&program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(registry.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(PATIENCE, conversation)
        .await
        .map_err(|_| failed("no answer".to_owned()))?
        .map_err(|error: std::io::Error| failed(error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        // What helpers say when they simply have no login; pulling may still be allowed.
        if said.contains("credentials not found") {
            return Ok(Credentials::Anonymous);
        }
        return Err(failed(said));
    }
    let answer: HelperAnswer =
        serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))?;
    if answer.username == "<token>" {
        return Ok(Credentials::Identity(Secret::new(&answer.secret)));
    }
    Ok(basic(&answer.username, &answer.secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(json: &str, registry: &str, expected: Option<Credentials>) {
        let file: CredentialsFile = serde_json::from_str(json).unwrap();
        assert_eq!(in_file(&file, registry).await.unwrap(), expected, "{json}");
    }

    #[tokio::test]
    async fn logins_of_docker_and_podman_are_found() {
        let ci = || Some(basic("ci", "pa:ss"));
        check(
            r#"{"auths":{"r.example:5000":{"auth":"Y2k6cGE6c3M="}}}"#,
            "r.example:5000",
            ci(),
        )
        .await;
        check(
            r#"{"auths":{"https://r.example/v2/":{"auth":"Y2k6cGE6c3M="}}}"#,
            "r.example",
            ci(),
        )
        .await;
        check(
            r#"{"auths":{"https://index.docker.io/v1/":{"auth":"Y2k6cGE6c3M="}}}"#,
            "docker.io",
            ci(),
        )
        .await;
        check(
            r#"{"auths":{"r.example":{"username":"ci","password":"pa:ss"}}}"#,
            "r.example",
            ci(),
        )
        .await;
        check(
            r#"{"auths":{"r.example":{"auth":"Y2k6cGE6c3M=","identitytoken":"refresh"}}}"#,
            "r.example",
            Some(Credentials::Identity(Secret::new("refresh"))),
        )
        .await;
        check(
            r#"{"auths":{"r.example":{"auth":"Y2k6cGE6c3M="}}}"#,
            "r.example:443",
            None,
        )
        .await;
        check(r#"{"auths":{"r.example":{}}}"#, "r.example", None).await;
        check(r#"{"HttpHeaders":{}}"#, "r.example", None).await;
    }

    #[tokio::test]
    async fn a_damaged_login_is_an_error_and_not_anonymous() {
        for (auth, wanted) in [
            ("%%", "`auth` is not base64"),
            ("/w==", "`auth` is not text"),
            ("Y2k=", "`auth` has no colon"),
        ] {
            let file: CredentialsFile = serde_json::from_str(&format!(
                r#"{{"auths":{{"r.example":{{"auth":"{auth}"}}}}}}"#
            ))
            .unwrap();
            let error = in_file(&file, "r.example").await.unwrap_err().to_string();
            assert!(error.contains(wanted), "{auth}: {error}");
        }
    }

    #[tokio::test]
    async fn a_missing_helper_is_named() {
        let file: CredentialsFile =
            serde_json::from_str(r#"{"credHelpers":{"r.example":"no-such-helper"}}"#).unwrap();
        let error = in_file(&file, "r.example").await.unwrap_err().to_string();
        assert!(
            error.contains("docker-credential-no-such-helper") && error.contains("r.example"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn half_a_login_or_two_are_refused() {
        for text in [
            "username = \"ci\"",
            "password = \"p\"",
            "username = \"ci\"\npassword = \"p\"\ntoken = \"t\"",
        ] {
            let config: RegistryConfig = toml::from_str(text).unwrap();
            assert!(
                matches!(
                    find("r", &config).await,
                    Err(CredentialsError::Ambiguous { .. })
                ),
                "{text}"
            );
        }
    }

    #[test]
    fn the_usual_places_are_those_of_skopeo() {
        let places = usual_places(|name| match name {
            "HOME" => Some("/home/ci".into()),
            "XDG_RUNTIME_DIR" => Some("/run/user/1".into()),
            _ => None,
        });
        let expected: Vec<PathBuf> = [
            "/run/user/1/containers/auth.json",
            "/home/ci/.config/containers/auth.json",
            "/home/ci/.docker/config.json",
        ]
        .map(Into::into)
        .into();
        assert_eq!(places, expected);
    }
}
