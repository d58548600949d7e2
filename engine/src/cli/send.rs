//! `weir send`: events or raw payloads, to a daemon or just decoded.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::{Access, CliError, NO};
use crate::adapters::{self, AdapterSettings, Decoded, Delivery, Need, Pending, mark_source_only};

/// Send events or raw payloads; --dry-run prints what they mean and sends nothing.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// Files with a payload each; `-` for standard input.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Each line of a file is a payload of its own, as in a file of events in JSON Lines.
    #[arg(long)]
    lines: bool,
    /// Adapter that reads it; found by its content if not given.
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// Name of the source, part of the events' `source`.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// A header of the delivery, as `Name: value`; may be repeated.
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// Print the canonical events, or the rejection, as JSON Lines and send nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    access: Access,
}

/// Runs the command.
///
/// # Errors
/// If the payload cannot be read or not be sent.
pub fn run(args: &SendArgs) -> Result<ExitCode, CliError> {
    if let Some(adapter) = &args.adapter {
        check_adapter(adapter)?;
    }
    let headers = args.headers()?;
    let mut payloads = Vec::new();
    for file in &args.files {
        payloads.extend(args.payloads_of(file)?);
    }
    if args.dry_run {
        return dry_run(args, &headers, &payloads);
    }
    let daemon = args.access.running()?;
    let mut all_read = true;
    for (sent, payload) in payloads.into_iter().enumerate() {
        let Payload { place, body } = &payload;
        let (adapter, source) = (args.adapter.as_deref(), args.source.as_deref());
        let answer = daemon
            .deliver(adapter, source, &headers, body.clone())
            .map_err(|error| match sent {
                0 => error,
                _ => error.hint(format!(
                    "{sent} before {place} are accepted; sending all again does no harm"
                )),
            })?;
        // With a stream this is the place in it; the record comes when the stream is read.
        match answer["repeated"].as_bool() {
            Some(true) => tell!(
                "{place} came before, by its source and id: it is not recorded again and changes nothing; what is to count once more needs an id of its own, or another `--source`"
            ),
            _ => tell!("accepted at {}", answer["sequence"]),
        }
        // It is on record as it came, and of no effect.
        for one in decoded(args, &headers, &payload, &answer["source_only"]) {
            if let Decoded::Rejected(rejected) = one {
                tell!("rejected: {place}: {}", rejected.reason);
                all_read = false;
            }
        }
    }
    Ok(match all_read {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(NO),
    })
}

/// Refuses a name that no adapter has.
///
/// # Errors
/// Names those that there are.
pub(super) fn check_adapter(adapter: &str) -> Result<(), CliError> {
    let known = adapters::names();
    if known.iter().any(|(name, _)| *name == adapter) || adapter == "weir" {
        return Ok(());
    }
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    Err(CliError::usage(format!("there is no adapter `{adapter}`"))
        .hint(format!("adapters: {}", names.join(", "))))
}

/// What a payload means, without asking anybody; `source_only` is what a daemon answered of a delivery
/// that proved no more than its source, and else null.
fn decoded(
    args: &SendArgs,
    headers: &[(String, String)],
    payload: &Payload,
    source_only: &Value,
) -> Vec<Decoded> {
    let mut headers = headers.to_vec();
    if source_only.is_object() {
        mark_source_only(&mut headers);
    }
    let settings = AdapterSettings {
        vex: source_only["may_waive"] == true,
        ..AdapterSettings::default()
    };
    adapters::decode(&Delivery {
        adapter: args.adapter.as_deref(),
        source: args.source.as_deref().unwrap_or_default(),
        delivery_id: None,
        headers: &headers,
        body: &payload.body,
        settings: &settings,
    })
}

/// A payload, and where it was.
struct Payload {
    place: String,
    body: Vec<u8>,
}

impl SendArgs {
    fn payloads_of(&self, file: &Path) -> Result<Vec<Payload>, CliError> {
        let place = file.display();
        let body = if file.as_os_str() == "-" {
            let mut body = Vec::new();
            io::stdin().lock().read_to_end(&mut body).map(|_| body)
        } else {
            fs::read(file)
        };
        let body = body.map_err(CliError::read(file))?;
        let lines = body.split(|byte| *byte == b'\n').zip(1..);
        let mut told = lines.filter(|(line, _)| !line.trim_ascii().is_empty());
        if self.lines {
            let payloads = told.map(|(line, number)| Payload {
                place: format!("line {number} of {place}"),
                body: line.to_vec(),
            });
            return Ok(payloads.collect());
        }
        let is_whole = |(line, _): (&[u8], i32)| serde_json::from_slice::<IgnoredAny>(line).is_ok();
        if told.next().is_some_and(is_whole) && told.next().is_some_and(is_whole) {
            return Err(
                CliError::usage(format!("each line of {place} is a payload of its own"))
                    .hint("say so with --lines"),
            );
        }
        let place = place.to_string();
        Ok(vec![Payload { place, body }])
    }

    /// The headers of the delivery, with lower-case names.
    fn headers(&self) -> Result<Vec<(String, String)>, CliError> {
        let headers = self.headers.iter().map(|header| {
            let (name, value) = header.split_once(':').ok_or_else(|| {
                CliError::usage(format!("`{header}` is no header: expected `Name: value`"))
            })?;
            Ok((name.trim().to_lowercase(), value.trim().to_owned()))
        });
        headers.collect()
    }
}

/// Tells what a daemon looks up of an event that lacks something, and what becomes of it otherwise.
fn tell_lookup(pending: &Pending) {
    if let Some((what, repository)) = pending.lookup() {
        tell!(
            "looked up: a daemon asks the registry for the {what} in `{repository}`, and rejects this if none is configured for it: it needs {}",
            adapters::registry_for(&repository)
        );
    }
    if let Need::Leaf(report) = pending.need() {
        let otherwise = match &report.claimed {
            Some(claimed) => format!("takes it for one of {claimed}"),
            None => "rejects it".to_owned(),
        };
        tell!(
            "looked up: a daemon looks for the image that the report is about by its `ImageID` {}, in the log and in the registries that the report names; where that does not tell, it {otherwise}: name the image in the header `{}`",
            report.config_digest,
            adapters::SUBJECT_HEADER
        );
    }
}

fn dry_run(
    args: &SendArgs,
    headers: &[(String, String)],
    payloads: &[Payload],
) -> Result<ExitCode, CliError> {
    let source = args.source.as_deref().unwrap_or_default();
    let decoded = payloads
        .iter()
        .flat_map(|payload| decoded(args, headers, payload, &Value::Null));
    let mut output = io::stdout().lock();
    for one in decoded {
        let settled = match one {
            Decoded::NeedsResolving(pending) => {
                tell_lookup(&pending);
                pending.without_registry()
            }
            other => other,
        };
        let event = match settled {
            Decoded::Event(event) => *event,
            Decoded::Rejected(rejected) => adapters::rejection(source, rejected),
            Decoded::Ignored(reason) => {
                tell!("ignored: {reason}");
                continue;
            }
            Decoded::Untold(reason) => {
                tell!("left to reconciling: {reason}");
                continue;
            }
            Decoded::NeedsResolving(pending) => {
                adapters::rejection(source, pending.rejected("no registry was asked"))
            }
        };
        writeln!(output, "{}", event.json).map_err(CliError::output)?;
    }
    Ok(ExitCode::SUCCESS)
}
