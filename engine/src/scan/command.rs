//! A scanner's command line, run on one image.

use std::{io, os::unix::fs::PermissionsExt as _, path::Path, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process,
};

/// What stands for the image in the command line.
const PLACE: &str = "{reference}";

/// How much of what a command complains of is kept: its end, which names the cause.
const KEPT_COMPLAINT: usize = 1000;

/// A command line with a place for the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command(Vec<String>);

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// What it wrote to its standard output.
    pub output: Vec<u8>,
    /// The end of what it wrote to its standard error.
    pub complaint: String,
    /// In words: `exit code 1`.
    pub how: String,
}

/// Why there is no result of a command.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The command line makes no sense.
    #[error("`{0}`: {1}")]
    Line(String, &'static str),
    /// It cannot be started.
    #[error("cannot run `{program}`: {source}")]
    Start {
        /// The program.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// It took too long and was ended.
    #[error("not done within {0:?}")]
    Timeout(Duration),
    /// It wrote more than a report has.
    #[error("it wrote more than {0} bytes")]
    TooLarge(usize),
    /// It cannot be watched.
    #[error("lost sight of the command: {0}")]
    Watch(io::Error),
}

impl std::str::FromStr for Command {
    type Err = CommandError;

    /// Takes a command line apart at its spaces; `'…'` and `"…"` keep what they hold together. No
    /// shell is asked, so nothing in an image's name can be taken for a command.
    fn from_str(line: &str) -> Result<Self, CommandError> {
        let failed = |problem| CommandError::Line(line.to_owned(), problem);
        let mut words = Vec::new();
        let mut word: Option<String> = None;
        let mut quote = None;
        for character in line.chars() {
            match (quote, character) {
                (Some(open), close) if open == close => quote = None,
                (None, '\'' | '"') => {
                    quote = Some(character);
                    word.get_or_insert_default();
                }
                (None, space) if space.is_whitespace() => words.extend(word.take()),
                (_, other) => word.get_or_insert_default().push(other),
            }
        }
        if quote.is_some() {
            return Err(failed("a quotation mark is not closed"));
        }
        words.extend(word);
        if words.is_empty() {
            return Err(failed("there is no command"));
        }
        if !words.iter().skip(1).any(|word| word.contains(PLACE)) {
            return Err(failed("`{reference}` must stand where the image goes"));
        }
        Ok(Self(words))
    }
}

impl Command {
    /// The name of the program, without its directory.
    #[must_use]
    pub fn name(&self) -> &str {
        let program = self.0.first().map(String::as_str).unwrap_or_default();
        program.rsplit('/').next().unwrap_or(program)
    }

    /// Finds the program, so that a worker without its scanner does not take a single request.
    ///
    /// # Errors
    /// If it is not there, or is no program that may be run.
    pub fn find(&self) -> Result<(), CommandError> {
        let program = self.0.first().map(String::as_str).unwrap_or_default();
        let failed = |source: io::Error| CommandError::Start {
            program: program.to_owned(),
            source,
        };
        if program.contains('/') {
            return executable(Path::new(program)).map_err(failed);
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut places = std::env::split_paths(&path);
        if places.any(|place| executable(&place.join(program)).is_ok()) {
            return Ok(());
        }
        let problem = "it is in no directory of `PATH`";
        Err(failed(io::Error::new(io::ErrorKind::NotFound, problem)))
    }

    /// Starts it on `reference`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&self, reference: &str) -> Result<Running, CommandError> {
        let mut words = self.0.iter().map(|word| word.replace(PLACE, reference));
        let program = words.next().unwrap_or_default();
        process::Command::new(&program)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            // What it starts is in its group, and is killed with it.
            .process_group(0)
            .spawn()
            .map(Running)
            .map_err(|source| CommandError::Start { program, source })
    }
}

/// A command that runs. Dropped, it is killed, with what it started and did not put into another
/// process group.
#[derive(Debug)]
pub struct Running(process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Until it has been waited for, no other group can have its number.
        let group = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = group.and_then(Pid::from_raw) {
            // There may be nobody left in it.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Running {
    /// Waits for its end, for at most `timeout`; then it is killed.
    ///
    /// # Errors
    /// If it takes too long, or writes more than `limit` bytes. That it fails is a result.
    pub async fn ended(mut self, timeout: Duration, limit: usize) -> Result<Ended, CommandError> {
        match tokio::time::timeout(timeout, self.watch(limit)).await {
            Ok(ended) => ended,
            Err(_elapsed) => Err(CommandError::Timeout(timeout)),
        }
    }

    /// Reads what it writes until nobody writes any more, and only then waits for it: while something
    /// that it started still writes, its group can be killed.
    async fn watch(&mut self, limit: usize) -> Result<Ended, CommandError> {
        let Self(child) = self;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (output, complaint) = tokio::join!(read(stdout, limit), read(stderr, limit));
        let output = output?;
        if output.len() > limit {
            return Err(CommandError::TooLarge(limit));
        }
        let status = child.wait().await.map_err(CommandError::Watch)?;
        Ok(Ended {
            output,
            complaint: end_of(&complaint?),
            how: match status.code() {
                Some(code) => format!("exit code {code}"),
                None => status.to_string(),
            },
        })
    }
}

fn executable(program: &Path) -> io::Result<()> {
    let found = std::fs::metadata(program)?;
    if found.is_file() && found.permissions().mode() & 0o111 != 0 {
        return Ok(());
    }
    let problem = "it is no executable file";
    Err(io::Error::new(io::ErrorKind::PermissionDenied, problem))
}

/// At most one byte more than `limit`, so that the caller sees that there was more.
async fn read(from: Option<impl AsyncRead + Unpin>, limit: usize) -> Result<Vec<u8>, CommandError> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        from.take(most)
            .read_to_end(&mut bytes)
            .await
            .map_err(CommandError::Watch)?;
    }
    Ok(bytes)
}

fn end_of(complaint: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaint);
    let text = text.trim();
    let skip = text.chars().count().saturating_sub(KEPT_COMPLAINT);
    text.chars().skip(skip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.parse::<Command>().unwrap().0
    }

    #[test]
    fn a_command_line_is_taken_apart_as_a_shell_would_and_not_given_to_one() {
        assert_eq!(
            words("trivy image --format json {reference}"),
            ["trivy", "image", "--format", "json", "{reference}"]
        );
        assert_eq!(
            words("scan 'a b' \"it's\" x='' r={reference}"),
            ["scan", "a b", "it's", "x=", "r={reference}"]
        );
        for (line, problem) in [
            ("", "no command"),
            ("trivy image", "{reference}"),
            ("trivy 'image {reference}", "not closed"),
        ] {
            let error = line.parse::<Command>().unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn a_program_is_found_by_its_path_or_by_its_name() {
        let find = |line: &str| {
            let command: Command = line.parse().unwrap();
            command.find().map_err(|error| error.to_string())
        };
        assert_eq!(find("sh {reference}"), Ok(()));
        assert_eq!(find("/bin/sh {reference}"), Ok(()));
        for (line, problem) in [
            (
                "trivvy {reference}",
                "`trivvy`: it is in no directory of `PATH`",
            ),
            ("/bin/trivvy {reference}", "`/bin/trivvy`: No such file"),
            (
                "/etc/passwd {reference}",
                "`/etc/passwd`: it is no executable",
            ),
            ("/bin {reference}", "`/bin`: it is no executable"),
        ] {
            let error = find(line).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }

    /// Whether the process with this number runs: is there, and is no zombie.
    fn runs(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.chars().next());
        state.is_some_and(|state| state != 'Z')
    }

    #[tokio::test]
    async fn what_a_command_started_is_killed_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pid");
        // It waits for its child, or leaves it behind with its output.
        for then in ["wait", "exit 0"] {
            let line = format!(
                "sh -c 'sleep 60 & echo $! > {}; {then}' {{reference}}",
                file.display()
            );
            let command: Command = line.parse().unwrap();
            let running = command.start("r").unwrap();
            let ended = running.ended(Duration::from_millis(500), 10).await;
            assert!(matches!(ended, Err(CommandError::Timeout(_))), "{ended:?}");
            let child = std::fs::read_to_string(&file).unwrap();
            let child = child.trim();
            for _ in 0..100 {
                if !runs(child) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            assert!(!runs(child), "{then}: {child} goes on");
        }
    }

    #[tokio::test]
    async fn a_command_that_hangs_writes_too_much_or_is_not_there_has_no_result() {
        let run = async |line: &str, limit| {
            let command: Command = line.parse().unwrap();
            let running = command.start("r")?;
            running.ended(Duration::from_millis(300), limit).await
        };
        let timeout = run("sh -c 'sleep 60' {reference}", 10).await;
        assert!(
            matches!(timeout, Err(CommandError::Timeout(_))),
            "{timeout:?}"
        );
        let large = run("echo 0123456789 {reference}", 5).await;
        assert!(matches!(large, Err(CommandError::TooLarge(5))), "{large:?}");
        let none = run("/nonexistent/scanner {reference}", 5).await;
        assert!(matches!(none, Err(CommandError::Start { .. })), "{none:?}");
        let failed = run("sh -c 'echo out; echo no >&2; exit 3' {reference}", 10)
            .await
            .unwrap();
        assert_eq!(
            (failed.output.as_slice(), &*failed.complaint, &*failed.how),
            (&b"out\n"[..], "no", "exit code 3")
        );
    }
}
