//! A private certificate authority and what it issues, made by `openssl` as people make them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// An authority with its files; they go when it is dropped.
pub struct Authority {
    directory: TempDir,
    name: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let authority = Self {
            directory: TempDir::new().unwrap(),
            name: name.to_owned(),
        };
        let (certificate, key) = authority.pair("ca");
        openssl(
            authority.directory.path(),
            &[
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
            ],
            &[
                ("-subj", &format!("/O=Tests/CN={name}")),
                ("-keyout", &path(&key)),
                ("-out", &path(&certificate)),
            ],
        );
        authority
    }

    /// The authority's own certificate: what `ca_file` names.
    pub fn certificate(&self) -> PathBuf {
        self.pair("ca").0
    }

    /// Certificate and key for `names` (`DNS:localhost,IP:127.0.0.1`), valid for `days`; negative
    /// days are over already.
    pub fn issue(&self, names: &str, days: i32) -> (PathBuf, PathBuf) {
        let at = self.directory.path();
        let (certificate, key) = self.pair("server");
        let (request, extensions) = (at.join("server.csr"), at.join("server.ext"));
        let text = format!(
            "basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName={names}\n"
        );
        std::fs::write(&extensions, text).unwrap();
        openssl(
            at,
            &[
                "req",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-subj",
                "/CN=registry",
            ],
            &[("-keyout", &path(&key)), ("-out", &path(&request))],
        );
        let (ca, ca_key) = self.pair("ca");
        openssl(
            at,
            &["x509", "-req", "-CAcreateserial"],
            &[
                ("-days", &days.to_string()),
                ("-in", &path(&request)),
                ("-CA", &path(&ca)),
                ("-CAkey", &path(&ca_key)),
                ("-extfile", &path(&extensions)),
                ("-out", &path(&certificate)),
            ],
        );
        (certificate, key)
    }

    /// The authority's own key.
    pub fn key(&self) -> PathBuf {
        self.pair("ca").1
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    fn pair(&self, stem: &str) -> (PathBuf, PathBuf) {
        let at = self.directory.path();
        (
            at.join(format!("{stem}.crt")),
            at.join(format!("{stem}.key")),
        )
    }
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

fn openssl(directory: &Path, words: &[&str], options: &[(&str, &str)]) {
    let mut command = Command::new("openssl");
    command.current_dir(directory).args(words);
    for (option, value) in options {
        command.args([option, value]);
    }
    let done = command.output().expect("openssl is installed");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}
