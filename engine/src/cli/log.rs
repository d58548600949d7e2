//! `weir log`: the audit query.

use std::{
    io::{self, BufWriter, Write},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, ValueEnum};
use serde::Deserialize as _;
use serde_json::Value;

use super::{
    Access, CliError,
    access::Source,
    error::OUTSIDE,
    on_one_line,
    record::{COLUMNS, line, row, write_row},
    why::text,
};
use crate::{
    http::LARGEST_PAGE,
    query::{self, EventFilter, Query, Undecided},
};

/// Show what happened, filtered. Each filter that is given must be met; one that is given more than
/// once is met by any of its values.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// Only events of this type, as `decision.made` or `override.*`.
    #[arg(long = "type", value_name = "TYPE")]
    kinds: Vec<String>,
    /// Only about these repositories, as subject, source or target, or in the scope of an override
    /// or hold: patterns as in rules.
    #[arg(long = "repository", value_name = "PATTERN")]
    repositories: Vec<String>,
    /// Only about this tag; with --repository, about this tag there.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Only about this digest, or those that begin with these eight digits or more.
    #[arg(long = "digest", value_name = "DIGEST")]
    digests: Vec<String>,
    /// Only about this application, and what is in it.
    #[arg(long = "app", value_name = "REPO:TAG|DIGEST")]
    apps: Vec<String>,
    /// Only by this actor.
    #[arg(long = "actor", value_name = "ACTOR")]
    actors: Vec<String>,
    /// Only under this rule, or denied by it.
    #[arg(long = "rule", value_name = "RULE")]
    rules: Vec<String>,
    /// Only about this vulnerability: found, or overridden.
    #[arg(long = "vulnerability", value_name = "CVE")]
    vulnerabilities: Vec<String>,
    /// Only decisions with this verdict.
    #[arg(long = "verdict", value_name = "VERDICT")]
    verdicts: Vec<String>,
    /// Only with this reason code, as `scan-missing`.
    #[arg(long = "reason", value_name = "CODE")]
    reasons: Vec<String>,
    /// Only about this override, or decided with it.
    #[arg(long = "override", value_name = "ID")]
    overrides: Vec<String>,
    /// Only about this hold, or held by it.
    #[arg(long = "hold", value_name = "ID")]
    holds: Vec<String>,
    /// Only from this time on: RFC 3339, a date (its beginning, UTC), or an age as `7d`, `12h`.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only before this time. With --follow, the end of it.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only where this CEL expression over `seq`, `recorded_at`, `event` and `data` is true.
    #[arg(long = "where", value_name = "CEL")]
    expression: Option<String>,
    /// Only records after this sequence.
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    after: u64,
    /// Only records before this sequence.
    #[arg(long, value_name = "SEQ")]
    before: Option<u64>,
    /// At most so many; all if not given. With --follow, so many of those that are there.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Which come first. People read the newest first, programs get the oldest first, unless this
    /// says otherwise.
    #[arg(long, value_enum)]
    order: Option<Order>,
    /// Go on where the page ended that printed this; see --page.
    #[arg(long, value_name = "CURSOR", conflicts_with = "follow")]
    cursor: Option<String>,
    /// Print one page, of --limit records, and on stderr the cursor of the next.
    #[arg(long, conflicts_with_all = ["follow", "count", "by"])]
    page: bool,
    /// Only say how many there are.
    #[arg(long, conflicts_with_all = ["follow", "by", "limit"])]
    count: bool,
    /// Say how many there are for each of these.
    #[arg(
        long,
        value_name = "actor|rule|type|repository|verdict|reason|tag|vulnerability|override|hold",
        hide_possible_values = true,
        conflicts_with_all = ["follow", "limit"]
    )]
    by: Option<String>,
    /// Go on as records come; needs a running daemon.
    #[arg(long, short)]
    follow: bool,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value = "table")]
    output: Form,
    #[command(flatten)]
    access: Access,
}

/// Which records come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Order {
    /// The newest.
    Newest,
    /// The oldest.
    Oldest,
}

/// The form in which records are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated values (RFC 4180), with a heading.
    Csv,
}

/// How often a daemon is asked for more.
const LOOK: Duration = Duration::from_millis(300);

/// Runs the command.
///
/// # Errors
/// If the filter makes no sense or the log cannot be read.
pub fn run(args: &LogArgs) -> Result<ExitCode, CliError> {
    let mut source = args.access.open()?;
    let filter = args.filter();
    let expression = args.expression.as_deref().unwrap_or_default();
    for (field, meant) in query::unknown_fields(expression) {
        let meant = meant.map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
        tell!(
            "weir: warning: --where reads `data.{field}`, which no event of Weir's types has{meant}"
        );
    }
    let out = BufWriter::new(io::stdout().lock());
    let done = if args.count {
        count(&mut source, filter, args.output, out)
    } else if let Some(by) = &args.by {
        groups(&mut source, filter, by, args.output, out)
    } else {
        let printer = Printer {
            out,
            form: args.output,
            printed: 0,
        };
        records(args, &mut source, filter, printer)
    };
    match done {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(Ended::Output(error)) => Err(CliError::output(error)),
        Err(Ended::Error(error)) => Err(error),
    }
}

/// Why nothing more is printed.
enum Ended {
    Output(io::Error),
    Error(CliError),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<CliError> for Ended {
    fn from(error: CliError) -> Self {
        Self::Error(error)
    }
}

impl LogArgs {
    fn filter(&self) -> EventFilter {
        let newest_first = match self.order {
            Some(order) => order == Order::Newest,
            None => self.output == Form::Table && !self.follow,
        };
        EventFilter {
            after: self.after,
            before: self.before,
            cursor: self.cursor.clone(),
            newest_first,
            limit: 0,
            kinds: self.kinds.clone(),
            repositories: self.repositories.clone(),
            tags: self.tags.clone(),
            digests: self.digests.clone(),
            apps: self.apps.clone(),
            actors: self.actors.clone(),
            rules: self.rules.clone(),
            vulnerabilities: self.vulnerabilities.clone(),
            verdicts: self.verdicts.clone(),
            reasons: self.reasons.clone(),
            overrides: self.overrides.clone(),
            holds: self.holds.clone(),
            since: self.since.clone(),
            until: self.until.clone(),
            expression: self.expression.clone(),
        }
    }
}

fn count(
    source: &mut Source,
    filter: EventFilter,
    form: Form,
    mut out: impl Write,
) -> Result<(), Ended> {
    let answer = source.ask(&Query::Count(filter.clone()))?;
    warn_of(&answer["undecided"]);
    if answer["count"] == 0 {
        hint_of_types(source, &filter.kinds)?;
    }
    match form {
        Form::Table => writeln!(out, "{}", answer["count"])?,
        Form::Json | Form::Jsonl => writeln!(out, "{answer}")?,
        Form::Csv => writeln!(out, "count\r\n{}\r", answer["count"])?,
    }
    Ok(out.flush()?)
}

fn groups(
    source: &mut Source,
    filter: EventFilter,
    by: &str,
    form: Form,
    mut out: impl Write,
) -> Result<(), Ended> {
    let by = by.to_owned();
    let answer = source.ask(&Query::Groups {
        filter: filter.clone(),
        by: by.clone(),
    })?;
    warn_of(&answer["undecided"]);
    let groups = answer["groups"].as_array().cloned().unwrap_or_default();
    if groups.is_empty() {
        hint_of_types(source, &filter.kinds)?;
        let found = source.ask(&Query::Count(filter))?;
        if found["count"].as_u64().is_some_and(|found| found > 0) {
            tell!(
                "hint: of {} records that are found none says a {by}",
                found["count"]
            );
        }
    }
    match form {
        Form::Json => writeln!(out, "{answer}")?,
        Form::Jsonl => {
            for group in groups {
                writeln!(out, "{group}")?;
            }
        }
        Form::Csv => {
            write_row(&mut out, [&*by, "count"])?;
            for group in groups {
                write_row(&mut out, [text(&group[&by]), &group["count"].to_string()])?;
            }
        }
        Form::Table => {
            let mut table = super::table([by.to_uppercase().as_str(), "COUNT"]);
            for group in groups {
                table.add_row([on_one_line(text(&group[&by])), group["count"].to_string()]);
            }
            writeln!(out, "{table}")?;
        }
    }
    Ok(out.flush()?)
}

fn records(
    args: &LogArgs,
    source: &mut Source,
    mut filter: EventFilter,
    mut printer: Printer<impl Write>,
) -> Result<(), Ended> {
    let limit = args
        .limit
        .map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let mut left = limit.unwrap_or(usize::MAX);
    if args.follow {
        if matches!(source, Source::Log(_)) {
            return Err(Ended::Error(CliError::usage(
                "--follow needs a running daemon: the log of a stopped one does not grow",
            )));
        }
        if filter.newest_first {
            return Err(Ended::Error(CliError::usage(
                "--follow goes forward: leave out --order newest",
            )));
        }
        if limit.is_some() {
            filter.after = print_last(source, &filter, left, &mut printer)?;
            left = usize::MAX;
        }
    }
    let (mut began, mut lost) = (false, false);
    let mut undecided = None;
    loop {
        filter.limit = left.min(LARGEST_PAGE);
        // What comes after this moment is not before `--until` any more.
        let is_over = args.until.as_ref().is_some_and(|until| {
            let now = chrono::Utc::now().into();
            query::time("until", until, now).is_ok_and(|until| until <= now)
        });
        let page = match source.events(&filter) {
            // Whoever follows goes on when the daemon is there again.
            Err(error) if args.follow && began && error.code == OUTSIDE => {
                if !lost {
                    tell!("weir: {error}; waiting until it does");
                }
                lost = true;
                std::thread::sleep(LOOK);
                if let Ok(daemon) = args.access.running() {
                    *source = Source::Daemon(daemon);
                }
                continue;
            }
            page => page?,
        };
        // A question that cannot be answered has no heading.
        if !began {
            printer.begin()?;
        }
        (began, lost) = (true, false);
        note(&mut undecided, page.undecided);
        if args.follow {
            warn(undecided.take());
        }
        left -= page.events.len();
        for event in &page.events {
            printer.record(event)?;
        }
        printer.out.flush()?;
        if args.page {
            if let Some(next) = page.next {
                tell!("next page: --cursor {next}");
            }
            break;
        }
        match page.next {
            _ if left == 0 => break,
            Some(next) => filter.cursor = Some(next),
            None if args.follow && !is_over => {
                filter.cursor = None;
                filter.after = page.through;
                std::thread::sleep(LOOK);
            }
            None => break,
        }
    }
    printer.end()?;
    printer.out.flush()?;
    warn(undecided);
    if printer.printed == 0 {
        hint_of_types(source, &filter.kinds)?;
    }
    Ok(())
}

/// Says which of the types that were asked for are neither Weir's nor on record, where nothing was found.
fn hint_of_types(source: &mut Source, kinds: &[String]) -> Result<(), CliError> {
    for kind in kinds.iter().filter(|kind| !query::is_type(kind)) {
        let with_type = EventFilter {
            kinds: vec![kind.clone()],
            ..EventFilter::default()
        };
        // Types of others are recorded too.
        if source.ask(&Query::Count(with_type))?["count"] == 0 {
            tell!(
                "hint: there is no type `{}`, and nothing of it is on record; `weir log --by type` lists those on record",
                on_one_line(kind)
            );
        }
    }
    Ok(())
}

/// Adds the records left out of one page to those of the pages before.
fn note(known: &mut Option<Undecided>, more: Option<Undecided>) {
    match (known, more) {
        (Some(known), Some(more)) => known.count += more.count,
        (known, more) => *known = known.take().or(more),
    }
}

fn warn_of(undecided: &Value) {
    warn(Undecided::deserialize(undecided).ok());
}

/// Says that records were left out, of which it is not known whether they were asked for.
fn warn(undecided: Option<Undecided>) {
    if let Some(Undecided {
        count,
        seq,
        problem,
    }) = undecided
    {
        tell!(
            "weir: warning: --where could not be answered for {count} of the records, which are left out; for record {seq}:\n{problem}"
        );
    }
}

/// Prints the last `count` records that match, the oldest of them first; gives the last record that
/// was looked at.
fn print_last(
    source: &mut Source,
    filter: &EventFilter,
    count: usize,
    printer: &mut Printer<impl Write>,
) -> Result<u64, Ended> {
    let mut newest = EventFilter {
        newest_first: true,
        ..filter.clone()
    };
    let mut last = Vec::new();
    let mut through = None;
    while last.len() < count {
        newest.limit = (count - last.len()).min(LARGEST_PAGE);
        let page = source.events(&newest)?;
        through.get_or_insert(page.through);
        warn(page.undecided);
        last.extend(page.events);
        newest.cursor = page.next;
        if newest.cursor.is_none() {
            break;
        }
    }
    for event in last.iter().rev() {
        printer.record(event)?;
    }
    Ok(through.unwrap_or(filter.after).max(filter.after))
}

/// Prints records in their form.
struct Printer<W> {
    out: W,
    form: Form,
    printed: u64,
}

impl<W: Write> Printer<W> {
    fn begin(&mut self) -> io::Result<()> {
        match self.form {
            Form::Csv => write_row(&mut self.out, COLUMNS),
            Form::Json => self.out.write_all(b"["),
            Form::Table | Form::Jsonl => Ok(()),
        }
    }

    fn record(&mut self, record: &str) -> Result<(), Ended> {
        let value = || serde_json::from_str::<Value>(record).map_err(CliError::outside);
        self.printed += 1;
        match self.form {
            Form::Jsonl => writeln!(self.out, "{record}")?,
            Form::Json if self.printed == 1 => write!(self.out, "{record}")?,
            Form::Json => write!(self.out, ",{record}")?,
            Form::Table => writeln!(self.out, "{}", line(&value()?))?,
            Form::Csv => write_row(&mut self.out, row(&value()?).iter().map(|cell| &**cell))?,
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        match self.form {
            Form::Json => writeln!(self.out, "]"),
            Form::Table | Form::Jsonl | Form::Csv => Ok(()),
        }
    }
}
