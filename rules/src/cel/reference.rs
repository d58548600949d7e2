//! The reference page and the hints for editors, made from the declarations that the checker uses.

use super::environment::{Environment, Presence};
use super::functions;
use super::macros;
use super::types::Type;
use serde_json::{Value as Json, json};
use std::fmt::Write;

/// What the parser reads as more than a call, besides the loops.
const FORMS: &[(&str, &str)] = &[
    (
        "has(a.b)",
        "Whether the field is present, or the key is in the map.",
    ),
    ("a.?b", "The field as an optional, absent if it is."),
    (
        "a[?k]",
        "The element as an optional, absent if there is none.",
    ),
    (
        "cel.bind(x, value, expression)",
        "The expression, in which `x` stands for the value.",
    ),
    (
        "optional.optMap(x, expression)",
        "The expression with the value in `x`, if there is one.",
    ),
    (
        "optional.optFlatMap(x, expression)",
        "Like `optMap`, of an expression that is optional itself.",
    ),
];

impl Environment {
    /// The variables, their fields, the macros and the functions, as a page of Markdown.
    pub fn reference_markdown(&self) -> String {
        let mut page = String::from(
            "# What a rule may read\n\n## Variables\n\n| name | type | meaning |\n|---|---|---|\n",
        );
        for variable in self.variables() {
            row(
                &mut page,
                &[
                    &code(&variable.name),
                    &code(&variable.ty.to_string()),
                    variable.doc,
                ],
            );
        }
        for record in self.records() {
            let _ = write!(
                page,
                "\n### {}\n\n{}\n\n| field | type | meaning |\n|---|---|---|\n",
                record.name, record.doc
            );
            for field in &record.fields {
                let ty = match field.presence {
                    Presence::Always => code(&field.ty.to_string()),
                    Presence::Optional => format!("{}, optional", code(&field.ty.to_string())),
                };
                row(&mut page, &[&code(field.name), &ty, field.doc]);
            }
        }
        page.push_str(
            "\nA text that is absent is the empty string. A field that is optional is read within \
             `has()`, with `.?`, or with a default.\n\n## Macros\n\n| form | meaning |\n|---|---|\n",
        );
        for (form, doc) in FORMS
            .iter()
            .map(|(form, doc)| ((*form).to_owned(), doc))
            .chain(loops())
        {
            row(&mut page, &[&code(&form), doc]);
        }
        page.push_str("\n## Functions\n\n| function | meaning |\n|---|---|\n");
        for function in functions::all() {
            let forms: Vec<String> = function.signatures.iter().map(|text| code(text)).collect();
            row(&mut page, &[&forms.join("<br>"), function.doc]);
        }
        page
    }

    /// The same for editors: variables, types, macros and functions with their documentation.
    pub fn editor_json(&self) -> Json {
        let variables: Vec<Json> = self
            .variables()
            .iter()
            .map(|variable| json!({"name": &*variable.name, "type": type_json(&variable.ty), "doc": variable.doc}))
            .collect();
        let types: Vec<Json> = self
            .records()
            .iter()
            .map(|record| {
                let fields: Vec<Json> = record
                    .fields
                    .iter()
                    .map(|field| {
                        json!({
                            "name": field.name,
                            "type": type_json(&field.ty),
                            "optional": field.presence == Presence::Optional,
                            "doc": field.doc,
                        })
                    })
                    .collect();
                json!({"name": record.name, "doc": record.doc, "fields": fields})
            })
            .collect();
        let macros: Vec<Json> = FORMS
            .iter()
            .map(|(form, doc)| ((*form).to_owned(), doc))
            .chain(loops())
            .map(|(form, doc)| json!({"form": form, "doc": doc}))
            .collect();
        let functions: Vec<Json> = functions::all()
            .map(|function| json!({"name": function.name, "signatures": function.signatures, "doc": function.doc}))
            .collect();
        json!({"variables": variables, "types": types, "macros": macros, "functions": functions})
    }
}

fn loops() -> impl Iterator<Item = (String, &'static &'static str)> {
    macros::LOOPS
        .iter()
        .map(|(form, doc)| (format!("list.{form}"), doc))
}

/// The name of a type; of a list the name of its elements' type as well, which is what completion
/// within a loop needs.
fn type_json(ty: &Type) -> Json {
    match ty {
        Type::List(element) => json!({"list": type_json(element)}),
        Type::Map(key, value) => json!({"map": [type_json(key), type_json(value)]}),
        other => other.to_string().into(),
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn row(page: &mut String, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}
