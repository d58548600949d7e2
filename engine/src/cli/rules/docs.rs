//! `weir rules docs`: the reference of what a rule may read, from the declaration that the checker
//! and the facts use.

use std::io::Write;
use std::process::ExitCode;

use weir_rules::cel::Environment;

use crate::cli::CliError;

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
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    std::io::stdout()
        .lock()
        .write_all(text(args.output).as_bytes())
        .map_err(CliError::output)?;
    Ok(ExitCode::SUCCESS)
}

fn text(output: Output) -> String {
    let environment = Environment::rules();
    match output {
        Output::Markdown => environment.reference_markdown(),
        Output::Json => format!("{:#}\n", environment.editor_json()),
    }
}

#[cfg(test)]
mod tests {
    use super::Output;
    use super::text;
    use weir_rules::cel::Environment;

    #[test]
    fn every_declared_field_is_on_the_page_and_in_the_json() {
        let environment = Environment::rules();
        let page = text(Output::Markdown);
        let json: serde_json::Value = serde_json::from_str(&text(Output::Json)).unwrap();
        assert!(json.is_object());
        for record in environment.records() {
            for field in &record.fields {
                assert!(
                    page.contains(&format!("`{}`", field.name)),
                    "{}",
                    field.name
                );
            }
        }
    }
}
