//! What commands print: data goes to stdout, and whoever reads may have seen enough.

use std::{
    fmt::Display,
    io::{self, Write},
};

use serde_json::Value;

use super::{CliError, Output, tamed};

/// Prints a text as it is.
pub(super) fn text(text: impl Display) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    write!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(CliError::output)
}

/// Prints a line.
pub(super) fn line(line: impl Display) -> Result<(), CliError> {
    text(format_args!("{line}\n"))
}

/// Prints an answer that has rows: as one document, a row a line, or as `for_people` tells it, who gets
/// them [`tamed`].
pub(super) fn rows(
    form: Output,
    answer: &Value,
    rows: &[Value],
    for_people: impl FnOnce(&[Value]) -> String,
) -> Result<(), CliError> {
    match form {
        Output::Json => line(answer),
        Output::Jsonl => rows.iter().try_for_each(line),
        Output::Table => {
            let rows: Vec<Value> = rows.iter().map(tamed).collect();
            text(for_people(&rows))
        }
    }
}
