//! What an expression may name: variables, and the records they are made of.
//!
//! An environment only declares; the values come from [`Facts`](super::Facts) and
//! [`Record`](super::Record), by the same indices. The facts of a rule are declared in
//! [`facts`](super::facts).

use super::facts;
use super::types::Type;
use std::sync::{Arc, LazyLock};

/// Whether a field always has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// There is a value whenever the rule may be judged.
    Always,
    /// There may be none: the checker wants `has()`, `.?` or a default around it.
    Optional,
}

/// A declared field of a record; its index is its place in the declaration.
#[derive(Clone, Debug)]
pub struct Field {
    /// As it is written in an expression.
    pub name: &'static str,
    /// The type of its values.
    pub ty: Type,
    /// Whether it may be absent.
    pub presence: Presence,
    /// One sentence for the reference page and the editor.
    pub doc: &'static str,
}

/// A declared record: a value with named fields.
#[derive(Clone, Debug)]
pub struct RecordType {
    /// The name of the type.
    pub name: &'static str,
    /// What to call a value of it in a message.
    pub noun: &'static str,
    /// One sentence for the reference page.
    pub doc: &'static str,
    /// The fields, in the order of their indices.
    pub fields: Vec<Field>,
}

impl Field {
    /// The only texts that it can be, where its sentence lists them; else none.
    pub fn words(&self) -> Vec<&'static str> {
        match self.doc.strip_prefix("One of ") {
            Some(list) => list.split('`').skip(1).step_by(2).collect(),
            None => Vec::new(),
        }
    }
}

impl RecordType {
    /// The index and declaration of the field called `name`.
    pub fn field(&self, name: &str) -> Option<(u16, &Field)> {
        (0u16..)
            .zip(&self.fields)
            .find(|(_, field)| field.name == name)
    }
}

/// A declared variable; its index is its place in the declaration.
#[derive(Clone, Debug)]
pub struct Variable {
    /// As it is written in an expression.
    pub name: Arc<str>,
    /// The type of its value.
    pub ty: Type,
    /// One sentence for the reference page and the editor.
    pub doc: &'static str,
}

/// The variables and record types against which an expression is compiled. Cloning one copies
/// nothing.
#[derive(Clone, Debug)]
pub struct Environment {
    variables: Arc<[Variable]>,
    records: Arc<[RecordType]>,
    container: Arc<str>,
    checked: bool,
}

static RULES: LazyLock<Environment> = LazyLock::new(|| Environment {
    variables: facts::variables().into(),
    records: facts::records().into(),
    container: "".into(),
    checked: true,
});

impl Environment {
    /// The facts that a rule may read: the one declaration of them.
    pub fn rules() -> &'static Environment {
        &RULES
    }

    /// An environment of variables whose types are known only at run time.
    pub fn open<I, S>(names: I) -> Environment
    where
        I: IntoIterator<Item = S>,
        S: Into<Arc<str>>,
    {
        Environment::of(names.into_iter().map(|name| (name, Type::Dyn)))
    }

    /// An environment of variables of these types.
    pub fn of<I, S>(variables: I) -> Environment
    where
        I: IntoIterator<Item = (S, Type)>,
        S: Into<Arc<str>>,
    {
        let variables = variables.into_iter().map(|(name, ty)| Variable {
            name: name.into(),
            ty,
            doc: "",
        });
        Environment {
            variables: variables.collect(),
            records: Arc::new([]),
            container: "".into(),
            checked: true,
        }
    }

    /// The same environment with these types of records.
    pub fn with_records(mut self, records: Vec<RecordType>) -> Environment {
        self.records = records.into();
        self
    }

    /// The same environment with its checks left to run time: an expression is refused only if it
    /// cannot be parsed.
    pub fn unchecked(mut self) -> Environment {
        self.checked = false;
        self
    }

    /// The same environment in which names are looked up relative to `container` first.
    pub fn within(mut self, container: &str) -> Environment {
        self.container = container.into();
        self
    }

    /// The variables, in the order of their indices.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// The record types.
    pub fn records(&self) -> &[RecordType] {
        &self.records
    }

    /// The declarations that a field read at `index` by this name may have. The same index means other
    /// fields in other records, so the name must agree too.
    pub(super) fn fields_at(&self, index: u16, name: &str) -> impl Iterator<Item = &Field> {
        let fields = self
            .records
            .iter()
            .filter_map(move |record| record.fields.get(usize::from(index)));
        fields.filter(move |field| field.name == name)
    }

    /// The index and declaration of the variable called `name`.
    pub fn variable(&self, name: &str) -> Option<(u16, &Variable)> {
        (0u16..)
            .zip(self.variables.iter())
            .find(|(_, variable)| *variable.name == *name)
    }

    /// The record type called `name`.
    pub fn record(&self, name: &str) -> Option<&RecordType> {
        self.records.iter().find(|record| record.name == name)
    }

    pub(super) fn container(&self) -> &str {
        &self.container
    }

    pub(super) fn is_checked(&self) -> bool {
        self.checked
    }
}
