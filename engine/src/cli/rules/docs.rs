//! `weir rules docs`: the reference of what a rule may read, from the declaration that the checker
//! and the facts use.

use std::fmt::Write as _;
use std::io::Write;
use std::process::ExitCode;

use serde_json::{Value, json};
use weir_rules::cel::{Environment, Presence, RecordType, Type};

use crate::cli::failure::Failure;

/// Shows what a rule may read.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How to print the reference
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// How the reference is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// A page for people
    #[default]
    Markdown,
    /// For editors
    Json,
}

/// Prints the reference.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let environment = Environment::rules();
    let text = match args.output {
        Output::Markdown => markdown(environment),
        Output::Json => format!("{:#}\n", describe(environment)),
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn markdown(environment: &Environment) -> String {
    let mut page = String::from("# What a rule may read\n\n| variable | type | |\n|---|---|---|\n");
    // Writing to a string cannot fail.
    for variable in environment.variables() {
        let _ = writeln!(page, "| `{}` | {} | {} |", variable.name, type_link(&variable.ty), variable.doc);
    }
    for record in environment.records() {
        let _ = write!(
            page,
            "\n## {}\n\n{}\n\n| field | type | |\n|---|---|---|\n",
            record.name, record.doc
        );
        for field in &record.fields {
            let may_be_absent = match field.presence {
                Presence::Always => "",
                Presence::Optional => " May be absent: guard it with `has()` or `.?`.",
            };
            let _ = writeln!(
                page,
                "| `{}` | {} | {}{may_be_absent} |",
                field.name,
                type_link(&field.ty),
                field.doc
            );
        }
    }
    page
}

fn type_link(ty: &Type) -> String {
    match ty {
        Type::Record(name) => format!("[{name}](#{})", name.to_lowercase()),
        Type::List(element) => format!("list of {}", type_link(element)),
        Type::Map(key, value) => format!("map from {} to {}", type_link(key), type_link(value)),
        other => format!("`{other}`"),
    }
}

fn describe(environment: &Environment) -> Value {
    let variables: Vec<Value> = environment
        .variables()
        .iter()
        .map(|variable| {
            json!({ "name": &*variable.name, "type": variable.ty.to_string(), "doc": variable.doc })
        })
        .collect();
    let records: Vec<Value> = environment.records().iter().map(describe_record).collect();
    json!({ "variables": variables, "types": records })
}

fn describe_record(record: &RecordType) -> Value {
    let fields: Vec<Value> = record
        .fields
        .iter()
        .map(|field| {
            json!({
                "name": field.name,
                "type": field.ty.to_string(),
                "optional": field.presence == Presence::Optional,
                "doc": field.doc,
            })
        })
        .collect();
    json!({ "name": record.name, "doc": record.doc, "fields": fields })
}

#[cfg(test)]
mod tests {
    use super::{describe, markdown};
    use weir_rules::cel::Environment;

    #[test]
    fn every_declared_field_is_on_the_page_and_in_the_json() {
        let environment = Environment::rules();
        let page = markdown(environment);
        let json = describe(environment);
        for (index, record) in environment.records().iter().enumerate() {
            assert!(page.contains(&format!("\n## {}\n", record.name)));
            assert_eq!(json["types"][index]["fields"].as_array().unwrap().len(), record.fields.len());
            for field in &record.fields {
                assert!(page.contains(&format!("| `{}` |", field.name)), "{}", field.name);
            }
        }
        assert_eq!(json["variables"].as_array().unwrap().len(), environment.variables().len());
    }
}
