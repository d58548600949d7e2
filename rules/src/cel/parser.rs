//! From text to our syntax tree, by the parser of the crate `cel`.
//!
//! This is the only file that names that crate. Its parser gives each node the place of one token;
//! here a node gets the place of all that was written for it.

use super::ast::{Arithmetic, Comparison, Entry, Expr, ExprKind, Item, Name, Span};
use super::diagnostics::Diagnostic;
use super::habits;
use super::limits::Limits;
use super::macros;
use super::scan::Scan;
use super::value::Value;
use cel_interpreter::common::ast::{
    CallExpr, EntryExpr, Expr as CrateKind, IdedExpr, LiteralValue, SourceInfo, operators,
};
use cel_interpreter::{Env, ParseError};

/// Brackets within brackets; the parser's own limit is a little higher and knows no place.
const MAX_BRACKETS: usize = 90;

const TOO_DEEP: &str = "the expression is nested too deeply";

/// Parses `source`, within the limits on its length, depth and nodes.
pub(super) fn parse(source: &str, limits: &Limits) -> Result<Expr, Vec<Diagnostic>> {
    if source.len() > limits.file_bytes {
        let (length, most) = (source.len(), limits.file_bytes);
        let message = format!("the source has {length} bytes, at most {most} are allowed");
        return Err(vec![Diagnostic::error(Span::default(), message)]);
    }
    let scan = Scan::of(source).map_err(|diagnostic| vec![diagnostic])?;
    if let Some((length, place)) = scan.code_over(limits.source_bytes) {
        let most = limits.source_bytes;
        let message = format!("the expression has {length} bytes, at most {most} are allowed");
        return Err(vec![Diagnostic::error(place, message)]);
    }
    if scan.is_empty() {
        return Err(vec![
            Diagnostic::error(Span::default(), "there is no expression")
                .with_help("write `true` for one that always holds".to_owned()),
        ]);
    }
    if let Some(place) = scan.depth_over(MAX_BRACKETS) {
        return Err(vec![Diagnostic::error(place, TOO_DEEP)]);
    }
    if let Some(place) = scan.chain_over(limits.depth * 4) {
        let message = "the expression has too many operators in a row";
        return Err(vec![Diagnostic::error(place, message)]);
    }
    if scan.separators() > limits.nodes {
        return Err(vec![too_many_parts(scan.whole(), limits)]);
    }
    // No macros: they are ours, and their calls are left as written.
    let parser = Env::default()
        .parser()
        .enable_ident_escape_syntax(true)
        .error_recovery_limit(5);
    let readable = blank_byte_order_mark(source);
    let parsed = parser.parse_with_source_info(&readable);
    let (tree, info) = parsed.map_err(|errors| {
        // What could not be made of the tree follows from what could not be read.
        let (internal, told): (Vec<_>, Vec<_>) = errors
            .errors
            .iter()
            .partition(|error| error.msg.starts_with("Incomplete "));
        let in_choice = internal.iter().any(|error| error.msg.contains("`_?_:_`"));
        let mut line = 0;
        let mut found = Vec::new();
        for error in told {
            // What follows on the same line is mostly the same mistake.
            if error.pos.0 != line {
                found.push(syntax_error(source, &scan, error));
            }
            line = error.pos.0;
        }
        match found.first_mut() {
            None => found.push(Diagnostic::error(scan.whole(), "this cannot be read")),
            Some(first) if first.help.is_none() && reads_a_field_with_question_mark(source) => {
                first.help = Some("what may be absent is read as `.?field`".to_owned());
            }
            Some(first) if in_choice && first.help.is_none() => {
                first.help = Some("a choice is written `condition ? this : that`".to_owned());
            }
            Some(_) => {}
        }
        found
    })?;
    let mut conversion = Conversion {
        source,
        info: &info,
        scan: &scan,
        limits,
        nodes: 0,
        depth: 0,
    };
    conversion.expr(tree).map_err(|diagnostic| vec![diagnostic])
}

/// The source with a byte order mark, which the parser rejects, replaced by as many spaces.
fn blank_byte_order_mark(source: &str) -> std::borrow::Cow<'_, str> {
    match source.strip_prefix('\u{feff}') {
        Some(rest) => format!("   {rest}").into(),
        None => source.into(),
    }
}

/// The parser's error in our words.
fn syntax_error(source: &str, scan: &Scan, error: &ParseError) -> Diagnostic {
    let (line, column) = error.pos;
    let line_start: usize = source
        .split_inclusive('\n')
        .take(usize::try_from(line - 1).unwrap_or(0))
        .map(str::len)
        .sum();
    let in_line: usize = source[line_start..]
        .chars()
        .take(usize::try_from(column - 1).unwrap_or(0))
        .map(char::len_utf8)
        .sum();
    let start = (line_start + in_line).min(source.len());
    let message = error
        .msg
        .strip_prefix("Syntax error: ")
        .unwrap_or(&error.msg);
    let at = |length: usize| Span {
        start: start as u32,
        end: (start + length).min(source.len()) as u32,
    };
    if message.contains("Recursion limit") {
        return Diagnostic::error(scan.whole(), TOO_DEEP);
    }
    if message.contains("<EOF>") && message.contains("input '<EOF>'") {
        let end = scan.whole().end;
        return Diagnostic::error(
            Span {
                start: end.saturating_sub(1),
                end,
            },
            "the expression ends too early",
        )
        .with_help(scan.unclosed());
    }
    let quoted = |after: &str| {
        let rest = message.split_once(after)?.1;
        rest.split_once('\'').map(|(token, _)| token.to_owned())
    };
    let unexpected = quoted("extraneous input '")
        .or_else(|| quoted("mismatched input '"))
        .or_else(|| quoted("no viable alternative at input '"));
    let before = source[..start].trim_end();
    let before = before
        .rsplit(char::is_whitespace)
        .next()
        .unwrap_or_default();
    let diagnostic = |token: &str, says: &str| {
        // The parser quotes tokens, and texts have quotes of their own.
        let text = scan.text_at(start);
        let token = text.unwrap_or_else(|| token.trim_end_matches([' ', '\t', '\r', '\n']));
        if text.is_some() && before.ends_with(['\'', '"']) {
            let message = format!("unexpected `{}`", printable(token));
            return Diagnostic::error(at(token.len()), message)
                .with_help("texts are put together with `+`".to_owned());
        }
        let message = if says.is_empty() {
            format!("unexpected `{}`", printable(token))
        } else {
            format!("`{}` {says}", printable(token))
        };
        let help = habits::of_token(token, before).map(str::to_owned);
        Diagnostic::error(at(token.len()), message).with_help(help)
    };
    match (
        unexpected,
        quoted("missing '"),
        quoted("token recognition error at: '"),
    ) {
        (Some(token), _, _) => diagnostic(&token, ""),
        (_, Some(token), _) => {
            let message = format!("`{token}` is missing here");
            let end = scan.whole().end;
            // Just after the code rather than at the end of the file.
            let place = if start as u32 >= end {
                Span { start: end, end }
            } else {
                at(1)
            };
            Diagnostic::error(place, message).with_help(scan.unclosed())
        }
        (_, _, Some(token)) => diagnostic(&token, "has no meaning here"),
        _ => match message.strip_prefix("reserved identifier: ") {
            Some(word) => diagnostic(word, "is a word of the language, and no name"),
            None => Diagnostic::error(at(1), message.to_owned()),
        },
    }
}

/// Whether somewhere a field is read as `a?.b`, as in other languages.
fn reads_a_field_with_question_mark(source: &str) -> bool {
    let begins_name = |rest: &str| rest.starts_with(|first: char| first.is_ascii_alphabetic());
    source.split("?.").skip(1).any(begins_name)
}

/// A part of the source as a message shows it: short, and without characters that are not seen.
fn printable(token: &str) -> String {
    token
        .chars()
        .take(40)
        .flat_map(
            |character| match character.is_control() || habits::is_unseen(character) {
                true => character.escape_default().collect::<Vec<char>>(),
                false => vec![character],
            },
        )
        .collect()
}

fn too_many_parts(place: Span, limits: &Limits) -> Diagnostic {
    let message = format!("the expression has more than {} parts", limits.nodes);
    Diagnostic::error(place, message)
}

struct Conversion<'a> {
    source: &'a str,
    info: &'a SourceInfo,
    scan: &'a Scan<'a>,
    limits: &'a Limits,
    nodes: usize,
    depth: usize,
}

impl Conversion<'_> {
    fn expr(&mut self, tree: IdedExpr) -> Result<Expr, Diagnostic> {
        let token = self.token(tree.id);
        self.nodes += 1;
        if self.nodes > self.limits.nodes {
            return Err(too_many_parts(token, self.limits));
        }
        self.depth += 1;
        if self.depth > self.limits.depth {
            let message = format!(
                "the expression is nested more than {} levels deep",
                self.limits.depth
            );
            return Err(Diagnostic::error(token, message));
        }
        let expr = self.kind(tree, token)?;
        self.depth -= 1;
        Ok(expr)
    }

    fn kind(&mut self, tree: IdedExpr, token: Span) -> Result<Expr, Diagnostic> {
        let (span, kind) = match tree.expr {
            CrateKind::Unspecified => {
                return Err(Diagnostic::error(token, "nothing is written here"));
            }
            CrateKind::Literal(literal) => (
                self.signed(token, &literal),
                ExprKind::Literal(value(literal)),
            ),
            CrateKind::Ident(name) => {
                let span = Span {
                    start: token.start,
                    end: token.end,
                };
                (
                    if name.starts_with('.') {
                        self.scan.with_leading_dot(span)
                    } else {
                        span
                    },
                    ExprKind::Ident(name),
                )
            }
            CrateKind::Select(select) => {
                let operand = self.expr(*select.operand)?;
                let field = Name {
                    text: select.field,
                    span: self.scan.name_after(token),
                };
                (
                    operand.span.around(field.span),
                    ExprKind::Select {
                        operand: operand.into(),
                        field,
                    },
                )
            }
            CrateKind::List(list) => {
                let mut span = token;
                let mut items = Vec::with_capacity(list.elements.len());
                for (at, element) in list.elements.into_iter().enumerate() {
                    let value = self.expr(element)?;
                    span = span.around(value.span);
                    items.push(Item {
                        value,
                        optional: list.optional_indices.contains(&at),
                    });
                }
                (span, ExprKind::List(items))
            }
            CrateKind::Map(map) => {
                let mut span = token;
                let mut entries = Vec::with_capacity(map.entries.len());
                for entry in map.entries {
                    let EntryExpr::MapEntry(entry) = entry.expr else {
                        return Err(Diagnostic::error(token, "a map has keys, not fields"));
                    };
                    let (key, value) = (self.expr(entry.key)?, self.expr(entry.value)?);
                    span = span.around(key.span).around(value.span);
                    entries.push(Entry {
                        key,
                        value,
                        optional: entry.optional,
                    });
                }
                (span, ExprKind::Map(entries))
            }
            CrateKind::Struct(message) => (token, ExprKind::Message(message.type_name)),
            CrateKind::Call(call) => return self.call(call, token),
            CrateKind::Comprehension(_) => {
                return Err(Diagnostic::error(
                    token,
                    "macros are not expanded by the parser",
                ));
            }
        };
        Ok(Expr {
            span: self.scan.balanced(span),
            kind,
        })
    }

    fn call(&mut self, call: CallExpr, token: Span) -> Result<Expr, Diagnostic> {
        let name = call.func_name;
        let operator = !name.chars().any(|c| c.is_alphanumeric()) || name == operators::IN;
        let mut span = token;
        let target = match call.target {
            Some(target) => {
                let target = self.expr(*target)?;
                span = span.around(target.span);
                Some(target)
            }
            None => None,
        };
        let mut args = Vec::with_capacity(call.args.len());
        for arg in call.args {
            // The field of `.?` is a literal placed at the dot, and no expression of its own.
            let arg = self.expr(arg)?;
            span = span.around(arg.span);
            args.push(arg);
        }
        if operator {
            if name == operators::OPT_SELECT {
                span = span.around(self.scan.name_after(token));
            }
            let kind = self.operator(&name, args, token)?;
            return Ok(Expr {
                span: self.scan.balanced(span),
                kind,
            });
        }
        let function = Name {
            span: self.scan.name_before(token),
            text: name,
        };
        span = self.scan.balanced(span.around(function.span));
        macros::expand(target, function, args, span)
    }

    fn operator(
        &mut self,
        name: &str,
        args: Vec<Expr>,
        token: Span,
    ) -> Result<ExprKind, Diagnostic> {
        let wrong = || Diagnostic::error(token, format!("wrong use of the operator `{name}`"));
        let compare = |how, a: Expr, b: Expr| ExprKind::Compare(how, a.into(), b.into());
        let calculate = |how, a: Expr, b: Expr| ExprKind::Arithmetic(how, a.into(), b.into());
        let mut args = args.into_iter();
        let first = args.next().ok_or_else(wrong)?;
        let Some(second) = args.next() else {
            return match name {
                operators::LOGICAL_NOT => Ok(ExprKind::Not(first.into())),
                operators::NEGATE => Ok(ExprKind::Negate(first.into())),
                _ => Err(wrong()),
            };
        };
        Ok(match name {
            operators::LOGICAL_AND => ExprKind::And(first.into(), second.into()),
            operators::LOGICAL_OR => ExprKind::Or(first.into(), second.into()),
            operators::EQUALS => compare(Comparison::Equal, first, second),
            operators::NOT_EQUALS => compare(Comparison::NotEqual, first, second),
            operators::LESS => compare(Comparison::Less, first, second),
            operators::LESS_EQUALS => compare(Comparison::LessOrEqual, first, second),
            operators::GREATER => compare(Comparison::Greater, first, second),
            operators::GREATER_EQUALS => compare(Comparison::GreaterOrEqual, first, second),
            operators::ADD => calculate(Arithmetic::Add, first, second),
            operators::SUBSTRACT => calculate(Arithmetic::Subtract, first, second),
            operators::MULTIPLY => calculate(Arithmetic::Multiply, first, second),
            operators::DIVIDE => calculate(Arithmetic::Divide, first, second),
            operators::MODULO => calculate(Arithmetic::Modulo, first, second),
            operators::IN => ExprKind::In(first.into(), second.into()),
            operators::INDEX => ExprKind::Index {
                operand: first.into(),
                index: second.into(),
            },
            operators::OPT_INDEX => ExprKind::OptionalIndex {
                operand: first.into(),
                index: second.into(),
            },
            operators::OPT_SELECT => {
                let ExprKind::Literal(Value::String(text)) = second.kind else {
                    return Err(wrong());
                };
                let field = Name {
                    text: text.to_string(),
                    span: self.scan.name_after(token),
                };
                ExprKind::OptionalSelect {
                    operand: first.into(),
                    field,
                }
            }
            operators::CONDITIONAL => {
                let third = args.next().ok_or_else(wrong)?;
                ExprKind::Conditional(Box::new([first, second, third]))
            }
            _ => return Err(wrong()),
        })
    }

    /// The place of the node's own token.
    fn token(&self, id: u64) -> Span {
        let (start, stop) = self.info.offset_for(id).unwrap_or_default();
        let length = self.source.len() as u32;
        Span {
            start: start.min(length),
            end: stop.saturating_add(1).clamp(start.min(length), length),
        }
    }

    /// The place of a literal with its sign, which the parser reads as part of the number.
    fn signed(&self, token: Span, literal: &LiteralValue) -> Span {
        let negative = match literal {
            LiteralValue::Int(number) => *number.inner() < 0,
            LiteralValue::Double(number) => number.inner().is_sign_negative(),
            _ => false,
        };
        if negative {
            self.scan.with_sign(token)
        } else {
            token
        }
    }
}

fn value(literal: LiteralValue) -> Value {
    match literal {
        LiteralValue::Boolean(value) => Value::Bool(*value.inner()),
        LiteralValue::Bytes(value) => Value::Bytes(value.inner().into()),
        LiteralValue::Double(value) => Value::Double(*value.inner()),
        LiteralValue::Int(value) => Value::Int(*value.inner()),
        LiteralValue::Null => Value::Null,
        LiteralValue::String(value) => Value::String(value.inner().into()),
        LiteralValue::UInt(value) => Value::Uint(*value.inner()),
    }
}
