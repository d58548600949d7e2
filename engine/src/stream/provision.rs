//! The stream of inputs itself: created if it is missing, checked if it is there.

use std::time::Duration;

use async_nats::jetstream::{
    self, ErrorCode,
    context::{CreateStreamErrorKind, GetStreamError, GetStreamErrorKind},
    stream::{Config, DiscardPolicy, Info, RetentionPolicy, StorageType},
};
use tokio::time::Instant;
use weir_schema::Timestamp;

pub(super) use crate::causes::said;

use super::{
    ConnectError, Connection, StreamConfig,
    connection::pause,
    limit::{MessageLimit, OwnLimit},
    server,
    unread::{Obstacle, Unread},
};

/// The stream of inputs on a connected server. Clones share the connection.
#[derive(Clone)]
pub struct Stream {
    pub(super) connection: Connection,
    created: String,
    /// What the stream takes of one message.
    pub(super) own_limit: OwnLimit,
    /// Whether its consumer can read it.
    pub(super) unread: Unread,
    warnings: Vec<String>,
}

/// A stream whose messages may have fewer bytes is warned of: a NATS server that is told nothing takes
/// as many, and what is decided on an application of many images may have them.
const LEAST_MESSAGE_BYTES: usize = 1 << 20;

/// Why the stream cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The stream there is cannot carry inputs.
    #[error("stream `{stream}` cannot carry the inputs: {problem}; {remedy}")]
    Unfit {
        /// The stream.
        stream: String,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// Another stream already takes our subjects.
    #[error(
        "cannot create stream `{stream}` on {subjects}: {owner} takes some of these subjects already; set `stream.stream` to that stream, or `stream.subjects` to another prefix"
    )]
    Overlap {
        /// The stream wanted.
        stream: String,
        /// Its subjects.
        subjects: String,
        /// The stream in the way.
        owner: String,
    },
    /// JetStream does not answer, or says that it cannot yet.
    #[error(
        "cannot {doing} stream `{stream}`: {problem}; see whether JetStream has a leader: more than half of the servers of a NATS cluster must run (`nats server report jetstream`)"
    )]
    NotYet {
        /// What was asked.
        doing: &'static str,
        /// The stream.
        stream: String,
        /// What was met.
        problem: String,
    },
    /// The server refuses.
    #[error("cannot {doing} stream `{stream}`: {problem}")]
    Server {
        /// What was asked.
        doing: &'static str,
        /// The stream.
        stream: String,
        /// What the server says.
        problem: String,
    },
}

impl Stream {
    /// Connects, and creates or checks the stream of inputs and, if enabled, that of outputs.
    /// Warns in the log of what the server cannot promise. Tries again for `connect_wait_seconds` while
    /// JetStream does not answer.
    ///
    /// # Errors
    /// The stream cannot carry inputs without losing some, or the server cannot be reached.
    pub async fn open(config: &StreamConfig) -> Result<Self, OpenError> {
        let patience = Duration::from_secs(config.connect_wait_seconds);
        let until = Instant::now() + patience;
        let connection = Connection::open(config).await?;
        let mut warnings = server::warnings(&connection).await;
        let info = ensure_until(until, &connection, wanted_inputs(&connection)).await?;
        check_inputs(&info, config)?;
        warnings.extend(too_small(
            &info,
            &connection,
            "what a report says may not fit, and is rejected then",
        ));
        if config.outputs.enabled {
            let info = ensure_until(until, &connection, wanted_outputs(&connection)).await?;
            check_subjects(&info, &config.output_subjects())?;
            warnings.extend(too_small(
                &info,
                &connection,
                "a decision may not fit, and is published as a reference then",
            ));
        }
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        Ok(Self {
            connection,
            created: created(&info),
            own_limit: OwnLimit::new(MessageLimit::of_stream(&info)),
            unread: Unread::default(),
            warnings,
        })
    }

    /// The stream's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.connection.config.stream
    }

    /// When the stream was created, as the server says. With the name it identifies the stream: one
    /// that was deleted and created anew counts from 1 again.
    #[must_use]
    pub fn created(&self) -> &str {
        &self.created
    }

    /// What the server cannot promise and the streams may not take, in sentences with their remedies.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What keeps a [`Consumer`](super::Consumer) of this stream or a clone from reading, if something does.
    #[must_use]
    pub fn obstacle(&self) -> Option<Obstacle> {
        self.unread.obstacle()
    }

    /// The connection that the stream is reached by.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Sequence of the last input in the stream; 0 if there is none yet.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn last_sequence(&self) -> Result<u64, OpenError> {
        match info(&self.connection, self.name()).await {
            Ok(Some(info)) => Ok(info.state.last_sequence),
            Ok(None) => Err(failed("read", self.name(), "it does not exist")),
            Err(problem) => Err(failed("read", self.name(), problem)),
        }
    }
}

/// Time of creation in the one form in which it is stored and compared.
pub(super) fn created(info: &Info) -> String {
    Timestamp::from_nanos(info.created.unix_timestamp_nanos())
        .unwrap_or(Timestamp::EPOCH)
        .to_string()
}

/// The stream's present state; `None` if there is no such stream.
pub(super) async fn info(connection: &Connection, name: &str) -> Result<Option<Info>, String> {
    look_up(connection, name)
        .await
        .map_err(|error| said(&error))
}

async fn look_up(connection: &Connection, name: &str) -> Result<Option<Info>, GetStreamError> {
    match connection.jetstream.get_stream(name).await {
        Ok(stream) => Ok(Some(stream.cached_info().clone())),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(answer)
                if answer.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                Ok(None)
            }
            _ => Err(error),
        },
    }
}

fn failed(doing: &'static str, stream: &str, problem: impl Into<String>) -> OpenError {
    OpenError::Server {
        doing,
        stream: stream.to_owned(),
        problem: problem.into(),
    }
}

/// As [`ensure`], again and again while JetStream does not answer.
async fn ensure_until(
    until: Instant,
    connection: &Connection,
    wanted: Config,
) -> Result<Info, OpenError> {
    let mut attempt = 0;
    loop {
        let pause = pause(attempt);
        match ensure(connection, wanted.clone()).await {
            Err(error @ OpenError::NotYet { .. }) if Instant::now() + pause < until => {
                tracing::warn!("{error}; trying again");
            }
            done => return done,
        }
        tokio::time::sleep(pause).await;
        attempt += 1;
    }
}

/// Whether an answer says that JetStream cannot yet, and not that it has no room.
fn is_not_yet(answer: &jetstream::Error) -> bool {
    answer.code() == 503
        && !matches!(
            answer.error_code(),
            ErrorCode::INSUFFICIENT_RESOURCES | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        )
}

/// The stream as it is, once it is there: it is created if it is missing.
pub(super) async fn ensure(connection: &Connection, wanted: Config) -> Result<Info, OpenError> {
    let name = wanted.name.clone();
    let not_yet = |doing, problem| OpenError::NotYet {
        doing,
        stream: name.clone(),
        problem,
    };
    match look_up(connection, &name).await {
        Ok(Some(info)) => return Ok(info),
        Ok(None) => {}
        Err(error) => {
            return Err(match error.kind() {
                GetStreamErrorKind::Request => not_yet("read", said(&error)),
                GetStreamErrorKind::JetStream(answer) if is_not_yet(&answer) => {
                    not_yet("read", said(&error))
                }
                _ => failed("read", &name, said(&error)),
            });
        }
    }
    let subjects = wanted.subjects.clone();
    let error = match connection.jetstream.create_stream(wanted).await {
        Ok(stream) => {
            tracing::info!(stream = %name, subjects = %subjects.join(", "), "created the stream");
            return Ok(stream.cached_info().clone());
        }
        Err(error) => error,
    };
    if let CreateStreamErrorKind::JetStream(answer) = error.kind() {
        if answer.error_code() == ErrorCode::STREAM_SUBJECT_OVERLAP {
            return Err(OpenError::Overlap {
                stream: name,
                owner: owner(connection, &subjects).await,
                subjects: subjects.join(", "),
            });
        }
        // Another node created it between our look and our attempt.
        if answer.error_code() == ErrorCode::STREAM_NAME_EXIST
            && let Ok(Some(info)) = info(connection, &name).await
        {
            return Ok(info);
        }
    }
    Err(match error.kind() {
        CreateStreamErrorKind::TimedOut | CreateStreamErrorKind::JetStreamUnavailable => {
            not_yet("create", said(&error))
        }
        CreateStreamErrorKind::JetStream(answer) if is_not_yet(&answer) => {
            not_yet("create", said(&error))
        }
        _ => failed("create", &name, said(&error)),
    })
}

/// The stream that takes one of `subjects`, for people.
async fn owner(connection: &Connection, subjects: &[String]) -> String {
    for subject in subjects {
        if let Ok(name) = connection
            .jetstream
            .stream_by_subject(subject.as_str())
            .await
        {
            return format!("stream `{name}`");
        }
    }
    "another stream".into()
}

fn wanted_inputs(connection: &Connection) -> Config {
    let config = &connection.config;
    Config {
        name: config.stream.clone(),
        description: Some("Inputs of Weir: what registries, scanners and operators said".into()),
        subjects: config.input_subjects(),
        retention: RetentionPolicy::Limits,
        // A full stream refuses what is new, so that its sender knows; it never forgets what it
        // acknowledged.
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: config.replicas,
        max_age: Duration::from_secs(config.max_age_seconds),
        max_bytes: limit(config.max_bytes),
        max_messages: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        duplicate_window: Duration::from_secs(config.duplicate_window_seconds),
        deny_delete: true,
        allow_direct: true,
        allow_atomic_publish: connection.client.is_server_compatible(2, 12, 0),
        ..Config::default()
    }
}

/// The stream of outputs as it is created.
pub(super) fn wanted_outputs(connection: &Connection) -> Config {
    let config = &connection.config;
    Config {
        name: config.outputs.stream.clone(),
        description: Some("Outputs of Weir: decisions, promotions, violations".into()),
        subjects: config.output_subjects(),
        discard: DiscardPolicy::Old,
        max_age: Duration::from_secs(config.outputs.max_age_seconds),
        max_bytes: limit(config.outputs.max_bytes),
        deny_delete: false,
        ..wanted_inputs(connection)
    }
}

/// A limit as the server takes it: -1 is none.
fn limit(bytes: u64) -> i64 {
    match bytes {
        0 => -1,
        bytes => i64::try_from(bytes).unwrap_or(i64::MAX),
    }
}

fn check_inputs(info: &Info, config: &StreamConfig) -> Result<(), OpenError> {
    let found = &info.config;
    let unfit = |problem: &str, remedy: &str| {
        Err(OpenError::Unfit {
            stream: found.name.clone(),
            problem: problem.into(),
            remedy: remedy.into(),
        })
    };
    const ANOTHER: &str =
        "set `stream.stream` to a new name and Weir creates the stream as it needs it";
    match found.retention {
        RetentionPolicy::Limits => {}
        RetentionPolicy::WorkQueue => {
            return unfit(
                "its retention is `workqueue`: whatever is read is gone",
                ANOTHER,
            );
        }
        RetentionPolicy::Interest => {
            return unfit(
                "its retention is `interest`: what nobody waits for is lost",
                ANOTHER,
            );
        }
    }
    if found.sealed {
        return unfit("it is sealed", ANOTHER);
    }
    if found.no_ack {
        return unfit(
            "it acknowledges nothing (`no_ack`)",
            "switch acknowledgements on with `nats stream edit`",
        );
    }
    if found.mirror.is_some() {
        return unfit(
            "it is a mirror and takes no publishes",
            "name the mirrored stream",
        );
    }
    check_subjects(info, &config.input_subjects())?;
    for (applies, warning) in [
        (
            found.storage == StorageType::Memory,
            "is kept in memory: a restart of the server loses it",
        ),
        (
            found.discard == DiscardPolicy::Old && (found.max_bytes > 0 || found.max_messages > 0),
            "drops its oldest inputs when it is full: `discard: new` refuses new ones instead",
        ),
        (
            found.max_messages_per_subject > 0,
            "limits the messages of a subject: inputs may be lost before they are read",
        ),
        (
            found.duplicate_window < Duration::from_secs(config.duplicate_window_seconds),
            "recognises repeated publishes for a shorter time than `stream.duplicate_window_seconds`",
        ),
    ] {
        if applies {
            tracing::warn!(stream = %found.name, "the stream {warning}");
        }
    }
    Ok(())
}

/// The warning of a stream that takes smaller messages than the server does, and only small ones.
fn too_small(info: &Info, connection: &Connection, consequence: &str) -> Option<String> {
    let limit = MessageLimit::of_stream(info)?;
    let least = LEAST_MESSAGE_BYTES.min(connection.max_payload());
    (limit.bytes < least).then(|| {
        format!(
            "stream `{}` takes {limit}: {consequence}; {}",
            info.config.name,
            limit.remedy()
        )
    })
}

fn check_subjects(info: &Info, wanted: &[String]) -> Result<(), OpenError> {
    let found = &info.config.subjects;
    let missing: Vec<&str> = wanted
        .iter()
        .filter(|subject| !found.iter().any(|pattern| covers(pattern, subject)))
        .map(String::as_str)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(OpenError::Unfit {
        stream: info.config.name.clone(),
        problem: format!(
            "it takes {} but not {}",
            found.join(", "),
            missing.join(", ")
        ),
        remedy: "add the subjects with `nats stream edit`, or name another stream".into(),
    })
}

/// Whether every subject that `subject` (which may have wildcards) matches, `pattern` matches too.
pub(super) fn covers(pattern: &str, subject: &str) -> bool {
    let mut subject = subject.split('.');
    for token in pattern.split('.') {
        match (token, subject.next()) {
            (">", Some(_)) => return true,
            ("*", Some(other)) if other != ">" => {}
            (token, Some(other)) if token == other => {}
            _ => return false,
        }
    }
    subject.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_pattern_covers_what_it_matches_wholly() {
        for (pattern, subject, expected) in [
            ("registry.intake.>", "registry.intake.>", true),
            ("registry.>", "registry.intake.>", true),
            (">", "registry.intake.>", true),
            ("*.intake.>", "registry.intake.>", true),
            ("registry.*.>", "registry.intake.>", true),
            ("registry.intake.*", "registry.intake.>", false),
            ("registry.intake", "registry.intake.>", false),
            ("registry.intake.harbor.>", "registry.intake.>", false),
            ("other.>", "registry.intake.>", false),
        ] {
            assert_eq!(covers(pattern, subject), expected, "{pattern} {subject}");
        }
    }
}
