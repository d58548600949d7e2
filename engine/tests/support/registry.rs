//! A real registry (CNCF distribution, the program `docker-registry`) on a port of its own, in a
//! directory of its own, ended when it is dropped.

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use weir_engine::{
    oci::{Clients, RegistryConfig},
    secret::Secret,
};
use weir_schema::Digest;

/// Who may use the registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    #[default]
    Open,
    /// `dev` with password `dev`, by htpasswd.
    Htpasswd,
    /// Whoever brings a token of the server at this address, signed by the certificate.
    Token {
        /// The token server.
        realm: String,
        /// PEM file of the certificate that signs tokens.
        certificate: PathBuf,
    },
}

/// How to start a registry.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Who may use it.
    pub access: Access,
    /// Certificate and key, for TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Where to send notifications.
    pub notify: Option<String>,
    /// Keeps everything in memory and logs nothing: several times as quick, for tests of many
    /// requests that do not look behind the registry's back.
    pub in_memory: bool,
}

/// A running registry.
pub struct Registry {
    process: Child,
    directory: TempDir,
    port: u16,
    tls: bool,
}

impl Registry {
    pub fn start() -> Self {
        Self::start_with(&Options::default())
    }

    pub fn start_with(options: &Options) -> Self {
        // Between choosing a port and listening on it, somebody else may take it.
        for _ in 0..10 {
            if let Some(registry) = Self::try_start(options) {
                return registry;
            }
        }
        panic!(
            "docker-registry does not start: is it installed? (Debian: apt-get install docker-registry)"
        );
    }

    fn try_start(options: &Options) -> Option<Self> {
        let directory = TempDir::new().unwrap();
        let port = free_port();
        let config = directory.path().join("config.yml");
        fs::write(&config, configuration(options, &directory, port)).unwrap();
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("docker-registry is installed (Debian: apt-get install docker-registry)");
        let mut registry = Self {
            process,
            directory,
            port,
            tls: options.tls.is_some(),
        };
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(20) {
            if registry.process.try_wait().unwrap().is_some() {
                return None;
            }
            if TcpStream::connect(registry.address()).is_ok() {
                return Some(registry);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// `127.0.0.1:PORT`, as repositories name it.
    pub fn host(&self) -> String {
        self.address().to_string()
    }

    /// How it is reached without more ado: nobody is asked, nothing is verified.
    pub fn config(&self) -> RegistryConfig {
        RegistryConfig {
            insecure: true,
            ..quiet()
        }
    }

    /// What the registry logged; it holds one line for each request.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    /// Puts a manifest into a repository behind the registry's back, however it looks.
    pub fn plant_manifest(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let root = self.directory.path().join("data/docker/registry/v2");
        let hex = digest.hex();
        let blob = root.join(format!("blobs/sha256/{}/{hex}", &hex[..2]));
        fs::create_dir_all(&blob).unwrap();
        fs::write(blob.join("data"), bytes).unwrap();
        let link = root.join(format!(
            "repositories/{repository}/_manifests/revisions/sha256/{hex}"
        ));
        fs::create_dir_all(&link).unwrap();
        fs::write(link.join("link"), digest.to_string()).unwrap();
        digest
    }

    /// The bytes that its blobs take on disk.
    pub fn stored_bytes(&self) -> u64 {
        fn below(path: &std::path::Path) -> u64 {
            let Ok(entries) = fs::read_dir(path) else {
                return 0;
            };
            entries
                .flatten()
                .map(|entry| match entry.metadata() {
                    Ok(found) if found.is_dir() => below(&entry.path()),
                    Ok(found) => found.len(),
                    Err(_) => 0,
                })
                .sum()
        }
        below(&self.directory.path().join("data/docker/registry/v2/blobs"))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ended = self.process.kill();
        let _ended = self.process.wait();
    }
}

/// No logins of this machine, and no long waiting.
pub fn quiet() -> RegistryConfig {
    RegistryConfig {
        find_credentials: false,
        ..RegistryConfig::default()
    }
}

/// Logged in as `dev`.
pub fn as_dev(config: RegistryConfig) -> RegistryConfig {
    RegistryConfig {
        username: Some("dev".into()),
        password: Some(Secret::new("dev")),
        ..config
    }
}

/// Clients of registries by name.
pub fn clients(configs: impl IntoIterator<Item = (String, RegistryConfig)>) -> Clients {
    let configs: BTreeMap<String, RegistryConfig> = configs.into_iter().collect();
    Clients::new("no-default.invalid", configs)
}

/// Deletes a manifest from the registry at `host`, as its own people do; false if it was not there.
pub async fn delete_manifest(host: &str, repository: &str, digest: &Digest) -> bool {
    delete(format!("http://{host}/v2/{repository}/manifests/{digest}")).await
}

/// The same of a blob.
pub async fn delete_blob(host: &str, repository: &str, digest: &Digest) -> bool {
    delete(format!("http://{host}/v2/{repository}/blobs/{digest}")).await
}

async fn delete(address: String) -> bool {
    weir_engine::oci::install_crypto_provider();
    let answer = reqwest::Client::new().delete(address).send().await.unwrap();
    match answer.status().as_u16() {
        202 => true,
        404 => false,
        other => panic!("the registry answers {other}"),
    }
}

/// A port that nobody has, and that nobody gets who does not ask for it by number: those that the
/// system hands out begin at 32768, also to connections that other tests make meanwhile.
pub fn free_port() -> u16 {
    use std::{
        hash::{BuildHasher, RandomState},
        ops::Range,
    };
    const PORTS: Range<u64> = 12_000..32_000;
    loop {
        let random = RandomState::new().hash_one(std::process::id());
        let port = PORTS.start + random % (PORTS.end - PORTS.start);
        let port = u16::try_from(port).unwrap();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

fn configuration(options: &Options, directory: &TempDir, port: u16) -> String {
    let path = |name: &str| directory.path().join(name).display().to_string();
    let data = path("data");
    let quiet = options.in_memory;
    let level = if quiet { "error" } else { "info" };
    let storage = if quiet {
        "inmemory: {}".to_owned()
    } else {
        format!("filesystem: {{rootdirectory: {data}}}")
    };
    let mut text = format!(
        "version: 0.1\nlog: {{level: {level}, accesslog: {{disabled: {quiet}}}}}\nstorage:\n  {storage}\n  delete: {{enabled: true}}\n\
         validation:\n  manifests:\n    urls:\n      allow: [\"^https://\"]\n\
         http:\n  addr: 127.0.0.1:{port}\n  secret: test\n"
    );
    if let Some((certificate, key)) = &options.tls {
        text += &format!(
            "  tls: {{certificate: {}, key: {}}}\n",
            certificate.display(),
            key.display()
        );
    }
    if let Some(url) = &options.notify {
        text += &format!(
            "notifications:\n  endpoints:\n    - {{name: weir, url: \"{url}\", timeout: 10s, threshold: 100, backoff: 100ms}}\n"
        );
    }
    match &options.access {
        Access::Open => {}
        Access::Htpasswd => {
            let file = path("htpasswd");
            let made = Command::new("htpasswd")
                .args(["-Bbn", "-C", "4", "dev", "dev"])
                .output()
                .unwrap();
            fs::write(&file, made.stdout).unwrap();
            text += &format!("auth:\n  htpasswd: {{realm: test, path: {file}}}\n");
        }
        Access::Token { realm, certificate } => {
            text += &format!(
                "auth:\n  token: {{realm: \"{realm}\", service: test-registry, issuer: test-issuer, rootcertbundle: {}}}\n",
                certificate.display()
            );
        }
    }
    text
}
