//! Calls that are more than calls: loops, presence tests and bindings.

use super::ast::{Binding, Expr, ExprKind, Loop, LoopKind, Name, Span};
use super::diagnostics::Diagnostic;

/// The call as written, or the macro it is.
pub(super) fn expand(
    target: Option<Expr>,
    function: Name,
    args: Vec<Expr>,
    span: Span,
) -> Result<Expr, Diagnostic> {
    let call = Call {
        target,
        function,
        args,
        span,
    };
    let kind = match (&call.target, call.function.text.as_str(), call.args.len()) {
        (None, "has", 1) => call.has(),
        (
            Some(Expr {
                kind: ExprKind::Ident(namespace),
                ..
            }),
            name,
            _,
        ) if namespace == "cel" => match (name, call.args.len()) {
            ("bind", 3) => call.bind(),
            ("block", 2) => call.block(),
            ("index" | "iterVar" | "accuVar", _) => call.block_variable(),
            _ => call.plain(),
        },
        (Some(_), "optMap", 2) => call.optional(Binding::OptionalMap),
        (Some(_), "optFlatMap", 2) => call.optional(Binding::OptionalFlatMap),
        (Some(_), name, count) => match loop_of(name, count) {
            Some(shape) => call.into_loop(shape),
            None => call.plain(),
        },
        _ => call.plain(),
    }?;
    Ok(Expr { span, kind })
}

/// How the arguments of a looping macro are read.
struct Shape {
    how: LoopKind,
    variables: usize,
    filter: bool,
}

fn loop_of(name: &str, args: usize) -> Option<Shape> {
    let (how, variables, filter) = match (name, args) {
        ("all", 2) => (LoopKind::All, 1, false),
        ("all", 3) => (LoopKind::All, 2, false),
        ("exists", 2) => (LoopKind::Exists, 1, false),
        ("exists", 3) => (LoopKind::Exists, 2, false),
        ("exists_one" | "existsOne", 2) => (LoopKind::ExistsOne, 1, false),
        ("exists_one" | "existsOne", 3) => (LoopKind::ExistsOne, 2, false),
        ("filter", 2) => (LoopKind::Filter, 1, false),
        ("map", 2) => (LoopKind::Map, 1, false),
        ("map", 3) => (LoopKind::Map, 1, true),
        ("transformList", 3) => (LoopKind::Map, 2, false),
        ("transformList", 4) => (LoopKind::Map, 2, true),
        ("transformMap", 3) => (LoopKind::TransformMap, 2, false),
        ("transformMap", 4) => (LoopKind::TransformMap, 2, true),
        ("transformMapEntry", 3) => (LoopKind::TransformMapEntry, 2, false),
        ("transformMapEntry", 4) => (LoopKind::TransformMapEntry, 2, true),
        ("sortBy", 2) => (LoopKind::SortBy, 1, false),
        _ => return None,
    };
    Some(Shape {
        how,
        variables,
        filter,
    })
}

/// The names of the looping macros, for suggestions and the reference page.
pub(super) const LOOPS: &[(&str, &str)] = &[
    (
        "all(x, condition)",
        "Whether the condition holds for every element.",
    ),
    (
        "exists(x, condition)",
        "Whether the condition holds for some element.",
    ),
    (
        "exists_one(x, condition)",
        "Whether the condition holds for exactly one element.",
    ),
    (
        "filter(x, condition)",
        "The elements for which the condition holds.",
    ),
    (
        "map(x, expression)",
        "The value of the expression for every element.",
    ),
    (
        "map(x, condition, expression)",
        "The value of the expression for the elements for which the condition holds.",
    ),
    ("sortBy(x, key)", "The elements in the order of their keys."),
    (
        "transformList(i, x, expression)",
        "Like `map`, with the index or key as well; a condition may stand before the expression.",
    ),
    (
        "transformMap(k, v, expression)",
        "A map with the same keys and new values; a condition may stand before the expression.",
    ),
    (
        "transformMapEntry(k, v, {key: value})",
        "A map of new entries; a condition may stand before the entry.",
    ),
];

struct Call {
    target: Option<Expr>,
    function: Name,
    args: Vec<Expr>,
    span: Span,
}

impl Call {
    fn plain(self) -> Result<ExprKind, Diagnostic> {
        Ok(ExprKind::Call {
            target: self.target.map(Box::new),
            function: self.function,
            args: self.args,
        })
    }

    fn has(self) -> Result<ExprKind, Diagnostic> {
        let span = self.span;
        match self.args.into_iter().next().map(|arg| arg.kind) {
            Some(ExprKind::Select { operand, field }) => Ok(ExprKind::Has { operand, field }),
            Some(ExprKind::Index { .. }) => Err(Diagnostic::error(
                span,
                "`has()` takes a field, as in `has(artifact.size)`, and no key",
            )
            .with_help("whether a map has a key is asked with `key in map`".to_owned())),
            _ => Err(Diagnostic::error(
                span,
                "`has()` takes a field, as in `has(artifact.size)`",
            )),
        }
    }

    fn bind(self) -> Result<ExprKind, Diagnostic> {
        let [name, init, body] = take(self.args, self.span)?;
        Ok(ExprKind::Bind {
            name: variable(&name)?,
            init: init.into(),
            body: body.into(),
            how: Binding::Value,
        })
    }

    fn optional(self, how: Binding) -> Result<ExprKind, Diagnostic> {
        let span = self.span;
        let init = self
            .target
            .ok_or_else(|| misuse(span, &self.function.text))?;
        let [name, body] = take(self.args, span)?;
        Ok(ExprKind::Bind {
            name: variable(&name)?,
            init: init.into(),
            body: body.into(),
            how,
        })
    }

    fn block(self) -> Result<ExprKind, Diagnostic> {
        let span = self.span;
        let [inits, body] = take(self.args, span)?;
        match inits.kind {
            ExprKind::List(items) if items.iter().all(|item| !item.optional) => {
                Ok(ExprKind::Block {
                    inits: items.into_iter().map(|item| item.value).collect(),
                    body: body.into(),
                })
            }
            _ => Err(Diagnostic::error(
                inits.span,
                "`cel.block()` takes a list of expressions",
            )),
        }
    }

    /// `cel.index(n)` and its like are names that no one can write.
    fn block_variable(self) -> Result<ExprKind, Diagnostic> {
        block_name(&self.function.text, &self.args)
            .map(ExprKind::Ident)
            .ok_or_else(|| misuse(self.span, &format!("cel.{}", self.function.text)))
    }

    fn into_loop(self, shape: Shape) -> Result<ExprKind, Diagnostic> {
        let span = self.span;
        let range = self
            .target
            .ok_or_else(|| misuse(span, &self.function.text))?;
        let mut args = self.args.into_iter();
        let mut next = || args.next().ok_or_else(|| misuse(span, &self.function.text));
        let first = next()?;
        let name = variable(&first)?;
        let second = match shape.variables {
            2 => {
                let second = next()?;
                let second_name = variable(&second)?;
                if second_name == name {
                    let message = format!("the variable `{name}` is named twice");
                    return Err(Diagnostic::error(second.span, message));
                }
                Some(second_name)
            }
            _ => None,
        };
        let filter = if shape.filter { Some(next()?) } else { None };
        let body = next()?;
        if shape.how == LoopKind::TransformMapEntry && !matches!(body.kind, ExprKind::Map(_)) {
            return Err(Diagnostic::error(
                body.span,
                "`transformMapEntry()` takes a map of new entries",
            ));
        }
        Ok(ExprKind::Loop(Box::new(Loop {
            how: shape.how,
            range,
            variable: name,
            second,
            filter,
            body,
        })))
    }
}

fn take<const N: usize>(args: Vec<Expr>, span: Span) -> Result<[Expr; N], Diagnostic> {
    args.try_into().map_err(|_| misuse(span, "macro"))
}

fn misuse(span: Span, name: &str) -> Diagnostic {
    Diagnostic::error(span, format!("`{name}` is used with the wrong arguments"))
}

/// The name that a macro binds.
fn variable(expr: &Expr) -> Result<String, Diagnostic> {
    match &expr.kind {
        ExprKind::Ident(name) if !name.starts_with('.') => Ok(name.clone()),
        _ => Err(Diagnostic::error(
            expr.span,
            "a macro binds a plain name, as in `all(x, x > 0)`",
        )),
    }
}

/// The name behind `cel.index(n)`, `cel.iterVar(n, m)` and `cel.accuVar(n, m)`.
fn block_name(function: &str, args: &[Expr]) -> Option<String> {
    let mut name = format!("@{function}");
    let expected = if function == "index" { 1 } else { 2 };
    if args.len() != expected {
        return None;
    }
    for arg in args {
        let ExprKind::Literal(super::value::Value::Int(number)) = arg.kind else {
            return None;
        };
        name.push_str(&format!(":{number}"));
    }
    Some(name)
}
