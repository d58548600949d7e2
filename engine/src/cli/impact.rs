//! `weir impact`: which tags hold a vulnerability.

use std::process::ExitCode;

use clap::{Args, builder::NonEmptyStringValueParser};
use serde_json::Value;
use weir_schema::vulnerability_name;

use super::{
    Access, CliError, NO, Output, out,
    why::{short, text},
};
use crate::query::Query;

/// Show which tags hold a vulnerability: through which images, promoted when, overridden by whom.
#[derive(Debug, Args)]
pub struct ImpactArgs {
    /// The vulnerability, as `CVE-2024-3094`.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    vulnerability: String,
    /// As it was at this sequence or time.
    #[arg(long, value_name = "SEQ|TIME")]
    at: Option<String>,
    /// Exit with 1 if a tag holds it and no override covers it.
    #[arg(long)]
    exit_code: bool,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    access: Access,
}

/// Runs the command.
///
/// # Errors
/// If nobody can be asked.
pub fn run(args: &ImpactArgs) -> Result<ExitCode, CliError> {
    let vulnerability = vulnerability_name(&args.vulnerability).into_owned();
    let query = Query::Impact {
        vulnerability: vulnerability.clone(),
        at: args.at.clone(),
    };
    let answer = args.access.open()?.ask(&query)?;
    let tags = answer.as_array().cloned().unwrap_or_default();
    out::rows(args.output, &answer, &tags, |tags| {
        if tags.is_empty() {
            format!("no tag holds {vulnerability}\n")
        } else {
            format!("{}\n", table(tags))
        }
    })?;
    if tags.is_empty() && !vulnerability.starts_with("CVE-") {
        tell!(
            "hint: `{vulnerability}` is looked for as it is written, capitals and all; `weir log --by vulnerability` lists what scanners name"
        );
    }
    let counts = tags.iter().any(|tag| tag["counts"] == true);
    Ok(if args.exit_code && counts {
        ExitCode::from(NO)
    } else {
        ExitCode::SUCCESS
    })
}

fn table(tags: &[Value]) -> comfy_table::Table {
    let mut table = super::table([
        "TAG",
        "IMAGE",
        "PACKAGE",
        "SEVERITY",
        "SINCE",
        "CAME BY",
        "OVERRIDDEN BY",
    ]);
    for tag in tags {
        let name = format!("{}:{}", text(&tag["repository"]), text(&tag["tag"]));
        let hops = tag["lineage"].as_array().into_iter().flatten();
        let came_by = hops.last().map_or_else(
            || format!("push {}", text(&tag["pushed_at"])),
            |hop| format!("rule {} {}", text(&hop["rule"]), text(&hop["at"])),
        );
        for image in tag["images"].as_array().into_iter().flatten() {
            let digest = short(text(&image["digest"]));
            let image_name = match image["component"].as_str() {
                Some(component) => format!("{component} {digest}"),
                None => digest,
            };
            for finding in image["findings"].as_array().into_iter().flatten() {
                let overridden = match (&finding["override_id"], &finding["overridden_by"]) {
                    (Value::String(id), by) => format!("{} ({id})", text(by)),
                    _ => String::new(),
                };
                table.add_row([
                    name.clone(),
                    image_name.clone(),
                    format!(
                        "{} {}",
                        text(&finding["package"]),
                        text(&finding["version"])
                    ),
                    text(&finding["severity"]).to_owned(),
                    text(&image["first_seen"]).to_owned(),
                    came_by.clone(),
                    overridden,
                ]);
            }
        }
    }
    table
}
