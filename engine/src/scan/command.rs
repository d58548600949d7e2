//! A scanner's command line, run on one image.

use std::{process::Stdio, time::Duration};

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
        source: std::io::Error,
    },
    /// It took too long and was ended.
    #[error("not done within {0:?}")]
    Timeout(Duration),
    /// It wrote more than a report has.
    #[error("it wrote more than {0} bytes")]
    TooLarge(usize),
    /// It cannot be watched.
    #[error("lost sight of the command: {0}")]
    Watch(std::io::Error),
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

    /// Runs it on `reference` for at most `timeout`; then it is killed.
    ///
    /// # Errors
    /// If it cannot be started, takes too long, or writes more than `limit` bytes. That it fails is
    /// a result.
    pub async fn run(
        &self,
        reference: &str,
        timeout: Duration,
        limit: usize,
    ) -> Result<Ended, CommandError> {
        let mut words = self.0.iter().map(|word| word.replace(PLACE, reference));
        let program = words.next().unwrap_or_default();
        let mut child = process::Command::new(&program)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| CommandError::Start { program, source })?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let watch = async {
            let (output, complaint, status) =
                tokio::join!(read(stdout, limit), read(stderr, limit), child.wait());
            let output = output?;
            if output.len() > limit {
                return Err(CommandError::TooLarge(limit));
            }
            let status = status.map_err(CommandError::Watch)?;
            Ok(Ended {
                output,
                complaint: end_of(&complaint?),
                how: match status.code() {
                    Some(code) => format!("exit code {code}"),
                    None => status.to_string(),
                },
            })
        };
        // Dropped, the child is killed.
        match tokio::time::timeout(timeout, watch).await {
            Ok(ended) => ended,
            Err(_elapsed) => Err(CommandError::Timeout(timeout)),
        }
    }
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

    #[tokio::test]
    async fn a_command_that_hangs_writes_too_much_or_is_not_there_has_no_result() {
        let run = async |line: &str, limit| {
            let command: Command = line.parse().unwrap();
            command.run("r", Duration::from_millis(300), limit).await
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
