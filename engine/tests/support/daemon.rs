//! A real daemon, the program `weir`, on a port and in a directory of its own; ended when dropped.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use reqwest::Client;
use serde_json::Value;

/// How long something may take on a loaded machine before the test says that it never will.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running daemon.
pub struct Daemon {
    process: Child,
    url: String,
    client: Client,
    directory: PathBuf,
}

impl Daemon {
    /// Starts a daemon with its data and log in `directory`. `config` is what its configuration
    /// says besides: keys first, then tables; `http` is more of its table `[http]`.
    pub async fn start(directory: &Path, config: &str, http: &str) -> Self {
        Self::start_with(directory, config, http, &[]).await
    }

    /// As [`Self::start`], with variables.
    pub async fn start_with(
        directory: &Path,
        config: &str,
        http: &str,
        variables: &[(&str, &str)],
    ) -> Self {
        let mut daemon = Self::launch(directory, config, http, variables);
        let began = Instant::now();
        while !daemon.is_up().await {
            if let Some(ended) = daemon.process.try_wait().unwrap() {
                panic!(
                    "the daemon starts, and does not end with {ended}:\n{}",
                    daemon.log()
                );
            }
            assert!(
                began.elapsed() < PATIENCE,
                "the daemon starts:\n{}",
                daemon.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        daemon
    }

    /// Whether it answers; it says itself where, so no port has to be chosen for it.
    async fn is_up(&mut self) -> bool {
        let Ok(address) = fs::read_to_string(self.data().join("address")) else {
            return false;
        };
        address.trim().clone_into(&mut self.url);
        let ready = self.client.get(format!("{}/readyz", self.url)).send();
        ready.await.is_ok()
    }

    /// As [`Self::start_with`], and does not wait until it is up.
    pub fn launch(directory: &Path, config: &str, http: &str, variables: &[(&str, &str)]) -> Self {
        weir_engine::oci::install_crypto_provider();
        // A daemon that was killed leaves it.
        let _gone = fs::remove_file(directory.join("data/address"));
        let file = directory.join("weir.toml");
        let (keys, tables) = match config.find('[') {
            Some(place) => config.split_at(place),
            None => (config, ""),
        };
        let text = format!(
            "data = \"{}\"\n{keys}\n[http]\nlisten = \"127.0.0.1:0\"\n{http}\n{tables}",
            directory.join("data").display()
        );
        fs::write(&file, text).unwrap();
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(directory.join("log"))
            .unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["run", "--config"])
            .arg(&file)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self {
            process,
            url: String::new(),
            client: Client::new(),
            directory: directory.to_owned(),
        }
    }

    /// Sends a signal, as `HUP`. After `STOP` none of its threads goes on: on a loaded machine some
    /// do for a while, and what they say then is not in a copy that is made meanwhile.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.process.id().to_string())
            .status();
        assert!(sent.unwrap().success());
        let tasks = format!("/proc/{}/task", self.process.id());
        let goes_on = |task: std::io::Result<fs::DirEntry>| {
            let stat = task.and_then(|task| fs::read_to_string(task.path().join("stat")));
            stat.is_ok_and(|stat| {
                let state = stat.rsplit(')').next();
                !state.is_some_and(|state| [" T", " Z"].iter().any(|end| state.starts_with(end)))
            })
        };
        while name == "STOP" && fs::read_dir(&tasks).is_ok_and(|mut all| all.any(goes_on)) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// SIGTERM, and waits for the end, which must be a good one.
    pub fn stop(mut self) {
        self.signal("TERM");
        let began = Instant::now();
        loop {
            if let Some(ended) = self.process.try_wait().unwrap() {
                assert!(ended.success(), "{ended}:\n{}", self.log());
                return;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "it does not end:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The directory of its log.
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// SIGKILL: nothing is tidied up.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A client for requests of the test's own.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What the daemon said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// What is at `path`.
    pub async fn get(&self, path: &str) -> Value {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await;
        match answer {
            Ok(answer) => answer.json().await.unwrap_or_default(),
            Err(_) => Value::Null,
        }
    }

    /// Waits until what is at `path` is as expected.
    pub async fn until(&self, path: &str, enough: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let found = self.get(path).await;
            if enough(&found) {
                return found;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{path} never was as expected; last: {found:#}\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Says events, as operators do.
    pub async fn say(&self, events: &[Value]) {
        let request = self
            .client
            .post(format!("{}/v1/events", self.url))
            .header("content-type", "application/cloudevents-batch+json")
            .body(Value::from(events).to_string());
        let answer = request.send().await.unwrap();
        assert!(
            answer.status().is_success(),
            "{}",
            answer.text().await.unwrap_or_default()
        );
    }

    /// Posts a body; the status of the answer.
    pub async fn post(&self, path: &str, body: String) -> u16 {
        let request = self.client.post(format!("{}{path}", self.url)).body(body);
        request.send().await.unwrap().status().as_u16()
    }

    /// Waits until the daemon has said something.
    pub async fn says(&self, text: &str) {
        let began = Instant::now();
        while !self.log().contains(text) {
            assert!(
                began.elapsed() < PATIENCE,
                "it never said `{text}`:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Runs a command of `weir` against this daemon.
    pub fn weir(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(arguments)
            .env("WEIR_SERVER", &self.url)
            .output()
            .unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ended = self.process.kill();
        let _ended = self.process.wait();
    }
}
