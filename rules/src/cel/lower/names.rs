//! Names and fields: what they stand for, and whether they are known to be present.

use super::guards::Guard;
use super::{Lowered, Lowering, dotted};
use crate::cel::ast::{Expr, ExprKind, Name, Span};
use crate::cel::diagnostics::{Diagnostic, suggest};
use crate::cel::environment::{Field, Presence};
use crate::cel::functions::{self, Function};
use crate::cel::habits;
use crate::cel::node::{Kind, Select};
use crate::cel::types::Type;
use crate::cel::value::Value;

/// Whether a field is there to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Certainty {
    Present,
    /// It is declared as one that may be absent.
    MayBeAbsent,
    /// It is a key of a map.
    Key,
}

impl Lowering<'_> {
    pub(super) fn ident(&mut self, span: Span, name: &str) -> Lowered {
        if let Some(bound) = self.scope.iter_mut().rev().find(|bound| bound.name == name) {
            bound.used = true;
            let (slot, ty) = (bound.slot, bound.ty.clone());
            return (self.node(span, Kind::Local(slot)), ty);
        }
        for candidate in self.candidates(name) {
            if let Some(found) = self.global(span, &candidate) {
                return found;
            }
        }
        let bound = self.scope.iter().map(|bound| bound.name.as_str());
        let help = suggest(
            name,
            bound.chain(self.environment.variables().iter().map(|v| &*v.name)),
        );
        let diagnostic = Diagnostic::error(span, format!("no variable '{name}'")).with_help(help);
        self.refuse(span, diagnostic)
    }

    /// The name in the container and in those around it; a leading dot means none of them.
    pub(super) fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(absolute) = name.strip_prefix('.') {
            return vec![absolute.to_owned()];
        }
        let mut candidates = Vec::new();
        let mut container = self.environment.container();
        while !container.is_empty() {
            candidates.push(format!("{container}.{name}"));
            container = container.rsplit_once('.').map_or("", |(outer, _)| outer);
        }
        candidates.push(name.to_owned());
        candidates
    }

    /// A variable of the environment or the name of a type.
    pub(super) fn global(&mut self, span: Span, name: &str) -> Option<Lowered> {
        if let Some((index, variable)) = self.environment.variable(name) {
            let (name, ty) = (variable.name.clone(), variable.ty.clone());
            self.reads += 1;
            self.time_dependent |= *name == *"now";
            if !self.variables.iter().any(|(known, _)| *known == index) {
                self.variables.push((index, name));
            }
            return Some((self.node(span, Kind::Variable(index)), ty));
        }
        let name = type_name(name)?;
        Some((
            self.node(span, Kind::Constant(Value::Type(name))),
            Type::Type,
        ))
    }

    /// A dotted name that is one variable or type, such as `google.protobuf.Timestamp`.
    pub(super) fn qualified(&mut self, expr: &Expr) -> Option<Lowered> {
        let name = dotted(expr)?;
        let root = name.split('.').next().unwrap_or_default();
        if self.scope.iter().any(|bound| bound.name == root) {
            return None;
        }
        self.candidates(&name)
            .into_iter()
            .find_map(|candidate| self.global(expr.span, &candidate))
    }

    pub(super) fn select(&mut self, expr: &Expr, operand: &Expr, name: &Name) -> Lowered {
        let (select, ty, certainty) = self.field(operand, name);
        if certainty == Certainty::MayBeAbsent && !self.is_guarded(expr) {
            let text = expr.span.text(self.source);
            let message = format!("'{}' may be absent", name.text);
            let help = format!(
                "guard it with `has({text})` or give a default with `.?{}.orValue(...)`",
                name.text
            );
            self.mismatch(name.span, message, Some(&help));
        }
        if certainty == Certainty::Key {
            self.warn_of_key(expr, operand, &name.text, name.span);
        }
        (self.node(expr.span, Kind::Select(select.into())), ty)
    }

    /// Warns of a key that may not be in the map, unless something guards it. It is no error: a rule
    /// may well mean that what lacks the key is not promoted.
    pub(super) fn warn_of_key(&mut self, expr: &Expr, map: &Expr, key: &str, place: Span) {
        if !self.environment.is_checked()
            || matches!(map.kind, ExprKind::Map(_))
            || self.is_guarded(expr)
        {
            return;
        }
        let map = map.span.text(self.source);
        let message = format!("'{key}' may not be in the map, which is an error");
        let help = format!(
            "give a default with `{map}[?\"{key}\"].orValue(...)`, or guard it with `\"{key}\" in {map}`"
        );
        self.diagnostics
            .push(Diagnostic::warning(place, message).with_help(help));
    }

    /// Whether what is read is known to be present where the pass is.
    fn is_guarded(&self, expr: &Expr) -> bool {
        self.path(expr)
            .is_some_and(|path| self.guards.contains(&Guard::Present(path)))
    }

    /// The operand and index of a field, its type, and whether it is there.
    pub(super) fn field(&mut self, operand: &Expr, name: &Name) -> (Select, Type, Certainty) {
        let (operand, operand_type) = self.lower(operand);
        let (ty, index, certainty) = self.field_type(&operand_type, name);
        let select = Select::new(operand, name.text.as_str().into(), index);
        (select, ty, certainty)
    }

    pub(super) fn field_type(
        &mut self,
        operand: &Type,
        name: &Name,
    ) -> (Type, Option<u16>, Certainty) {
        match operand {
            Type::Record(record) => {
                let environment = self.environment;
                let Some(declared) = environment.record(record) else {
                    return (Type::Dyn, None, Certainty::Present);
                };
                match declared.field(&name.text) {
                    Some((index, Field { ty, presence, .. })) => {
                        // Every duration among the facts is an age.
                        self.time_dependent |= *ty == Type::Duration;
                        let certainty = match presence {
                            Presence::Optional => Certainty::MayBeAbsent,
                            Presence::Always => Certainty::Present,
                        };
                        (ty.clone(), Some(index), certainty)
                    }
                    None => {
                        let fields = declared.fields.iter().map(|field| field.name);
                        let help = habits::of_field(declared.name, &name.text)
                            .map(str::to_owned)
                            .or_else(|| suggest(&name.text, fields))
                            .or_else(|| self.elsewhere(&name.text));
                        let message = format!("no field '{}' in {}", name.text, declared.noun);
                        let diagnostic = Diagnostic::error(name.span, message).with_help(help);
                        self.diagnostics.push(diagnostic);
                        (Type::Dyn, None, Certainty::Present)
                    }
                }
            }
            Type::Map(_, value) => (Type::clone(value).taken(), None, Certainty::Key),
            Type::Optional(inner) => match self.field_type(&inner.clone(), name) {
                (ty @ Type::Optional(_), _, _) => (ty, None, Certainty::Present),
                (ty, _, _) => (Type::optional(ty), None, Certainty::Present),
            },
            Type::Dyn | Type::Free => (Type::Dyn, None, Certainty::Present),
            Type::List(_) => {
                let help = "look at its elements with `all()`, `exists()` or an index".to_owned();
                self.mismatch(
                    name.span,
                    format!("no field '{}' in a list", name.text),
                    Some(&called(&name.text).unwrap_or(help)),
                );
                (Type::Dyn, None, Certainty::Present)
            }
            other => {
                self.mismatch(
                    name.span,
                    format!("no field '{}' in a value of type {other}", name.text),
                    called(&name.text).as_deref(),
                );
                (Type::Dyn, None, Certainty::Present)
            }
        }
    }

    /// Which variable has such a field, for one that was looked for in the wrong place.
    pub(super) fn elsewhere(&self, field: &str) -> Option<String> {
        self.environment.variables().iter().find_map(|variable| {
            let Type::Record(record) = &variable.ty else {
                return None;
            };
            self.environment.record(record)?.field(field)?;
            Some(format!("there is `{}.{field}`", variable.name))
        })
    }
}

/// The names of types, which are values.
fn type_name(name: &str) -> Option<&'static str> {
    const NAMES: &[&str] = &[
        "bool",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "list",
        "map",
        "null_type",
        "type",
        "optional_type",
        "google.protobuf.Duration",
        "google.protobuf.Timestamp",
        "semver",
    ];
    NAMES.iter().find(|known| **known == name).copied()
}

/// What to write where a method stands without its brackets.
fn called(name: &str) -> Option<String> {
    let is_method = |function: &Function| function.overloads().iter().any(|form| form.member);
    match functions::find(name).filter(|function| is_method(function)) {
        Some(_) => Some(format!("it is called: `{name}()`")),
        None => habits::of_function(name).map(str::to_owned),
    }
}
