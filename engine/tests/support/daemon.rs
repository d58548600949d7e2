//! A real daemon, the program `weir`, on a port and in a directory of its own; ended when dropped.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use reqwest::Client;
use serde_json::Value;

use super::registry::free_port;

/// How long something may take on a loaded machine before the test says that it never will.
const PATIENCE: Duration = Duration::from_secs(60);

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
        weir_engine::oci::install_crypto_provider();
        let port = free_port();
        let file = directory.join("weir.toml");
        let (keys, tables) = match config.find('[') {
            Some(place) => config.split_at(place),
            None => (config, ""),
        };
        let text = format!(
            "data = \"{}\"\n{keys}\n[http]\nlisten = \"127.0.0.1:{port}\"\n{http}\n{tables}",
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
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let daemon = Self {
            process,
            url: format!("http://127.0.0.1:{port}"),
            client: Client::new(),
            directory: directory.to_owned(),
        };
        let began = Instant::now();
        while daemon
            .client
            .get(format!("{}/readyz", daemon.url))
            .send()
            .await
            .is_err()
        {
            assert!(
                began.elapsed() < PATIENCE,
                "the daemon starts:\n{}",
                daemon.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        daemon
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

    /// Posts a body; the status of the answer.
    pub async fn post(&self, path: &str, body: String) -> u16 {
        let request = self.client.post(format!("{}{path}", self.url)).body(body);
        request.send().await.unwrap().status().as_u16()
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
