//! `weir send`: events or raw payloads, to a daemon or just decoded.

use std::{
    fs,
    io::{self, Read, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;

use super::{Access, CliError, out};
use crate::adapters::{self, AdapterSettings, Decoded, Delivery};

/// Send events or raw payloads; --dry-run prints what they mean and sends nothing.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// File with the payload; `-` for standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
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
    let body = if args.file.as_os_str() == "-" {
        let mut body = Vec::new();
        io::stdin().lock().read_to_end(&mut body).map(|_| body)
    } else {
        fs::read(&args.file)
    };
    let body = body.map_err(|error| {
        CliError::outside(format!("cannot read {}: {error}", args.file.display()))
    })?;
    if let Some(adapter) = &args.adapter {
        let known = adapters::names();
        if !known.iter().any(|(name, _)| name == adapter) && adapter != "weir" {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            return Err(CliError::usage(format!("there is no adapter `{adapter}`"))
                .hint(format!("adapters: {}", names.join(", "))));
        }
    }
    let headers = args.headers()?;
    if args.dry_run {
        return dry_run(args, &headers, &body);
    }
    let answer = args.access.running()?.deliver(
        args.adapter.as_deref(),
        args.source.as_deref(),
        &headers,
        body,
    )?;
    // With a stream this is the place in it; the record comes when the stream is read.
    eprintln!("accepted at {}", answer["sequence"]);
    Ok(ExitCode::SUCCESS)
}

impl SendArgs {
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

fn dry_run(
    args: &SendArgs,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<ExitCode, CliError> {
    let source = args.source.as_deref().unwrap_or_default();
    let settings = AdapterSettings::default();
    let decoded = adapters::decode(&Delivery {
        adapter: args.adapter.as_deref(),
        source,
        delivery_id: None,
        headers,
        body,
        settings: &settings,
    });
    let mut output = io::stdout().lock();
    for one in decoded {
        let settled = match one {
            Decoded::NeedsResolving(pending) => pending.without_registry(),
            other => other,
        };
        let event = match settled {
            Decoded::Event(event) => *event,
            Decoded::Rejected(rejected) => adapters::rejection(source, rejected),
            Decoded::Ignored(reason) => {
                eprintln!("ignored: {reason}");
                continue;
            }
            Decoded::Untold(reason) => {
                eprintln!("left to reconciling: {reason}");
                continue;
            }
            Decoded::NeedsResolving(pending) => {
                adapters::rejection(source, pending.rejected("no registry was asked"))
            }
        };
        writeln!(output, "{}", event.json).map_err(out::failed)?;
    }
    Ok(ExitCode::SUCCESS)
}
