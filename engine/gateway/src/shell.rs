//! The local shell: sends statements to a session and prints what comes back. Knows no plan; governs nothing.

mod print;

pub(crate) use print::{Format, columns};

use crate::output::Output;
use futures::StreamExt;
use print::Printer;
use querygate_query_api::outcome::{CommandTag, Effect, Outcome};
use querygate_query_api::service::{Delivery, Session, Statement};
use querygate_types::{Error, ErrorCode, Result};
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// One session and how its rows are printed.
pub(crate) struct Shell {
    session: Arc<dyn Session>,
    user: String,
    format: Format,
    timing: bool,
}

fn written(error: io::Error) -> Error {
    Error::new(ErrorCode::DiskFull, "cannot write the output").with_detail(error.to_string())
}

const HELP: &str = "Statements end with ;\n  \\dt              tables\n  \\dv              views\n  \\d TABLE         columns of a table\n  \\timing          show times, or not\n  \\csv             print CSV, or tables again\n  \\q               leave";

impl Shell {
    pub(crate) fn new(session: Arc<dyn Session>, user: &str, format: Format) -> Self {
        Self { session, user: user.to_owned(), format, timing: false }
    }

    /// Number of statements in a text.
    pub(crate) fn count(&self, text: &str) -> Result<usize> {
        Ok(self.session.split(text)?.len())
    }

    pub(crate) async fn close(self) {
        self.session.close().await;
    }

    /// Runs every statement of a text. Stops at the first error, prints it, and returns false.
    pub(crate) async fn run(&mut self, text: &str, output: &mut Output) -> Result<bool> {
        self.run_all(text, output, false).await
    }

    /// Runs a text that was given as an argument: statements, or one backslash command.
    pub(crate) async fn run_argument(&mut self, text: &str, output: &mut Output) -> Result<bool> {
        match text.trim() {
            command if command.starts_with('\\') => self.meta(command, output).await.map(|_| true),
            _ => self.run(text, output).await,
        }
    }

    /// As [`Shell::run`]; `goes_on`: statements behind one that fails are run, too.
    async fn run_all(&mut self, text: &str, output: &mut Output, goes_on: bool) -> Result<bool> {
        let mut well = true;
        let statements = match self.session.split(text) {
            Ok(statements) => statements,
            Err(error) => {
                print_error(output, text, &error).map_err(written)?;
                return Ok(false);
            }
        };
        for statement in statements {
            let started = Instant::now();
            if let Err(error) = self.one(&statement, output).await {
                self.session.fail_transaction();
                if output.is_closed() {
                    return Err(error);
                }
                print_error(output, statement.text(), &error).map_err(written)?;
                if !goes_on {
                    return Ok(false);
                }
                well = false;
                continue;
            }
            if self.timing {
                let millis = started.elapsed().as_secs_f64() * 1_000.0;
                output.note(&format!("Time: {millis:.3} ms")).map_err(written)?;
            }
        }
        Ok(well)
    }

    async fn one(&self, statement: &Arc<dyn Statement>, output: &mut Output) -> Result<()> {
        let prepared = self.session.prepare(statement, &[]).await?;
        if !prepared.parameter_types().is_empty() {
            return Err(Error::new(ErrorCode::UndefinedParameter, "the shell binds no parameters")
                .with_hint("Write the value instead of $1, or PREPARE and EXECUTE."));
        }
        let outcome = self.session.run(&prepared, &[], Delivery::Batches).await?;
        self.effects(output).map_err(written)?;
        match outcome {
            Outcome::Empty => Ok(()),
            Outcome::Command(tag) => self.tag(&tag, 0, output).map_err(written),
            Outcome::Rows(mut rows) => {
                let mut printer = Printer::new(self.format, &rows.columns);
                while let Some(batch) = rows.batches.next().await {
                    printer.batch(&batch?, Some(self.session.as_ref()), output)?;
                }
                let count = printer.finish(output)?;
                self.effects(output).map_err(written)?;
                self.tag(&rows.tag, count, output).map_err(written)
            }
            Outcome::Messages(_) => Err(Error::internal("batches came as messages")),
            Outcome::CopyOut(mut rows, _) => {
                let mut printer = Printer::new(Format::Csv, &rows.columns);
                while let Some(batch) = rows.batches.next().await {
                    printer.batch(&batch?, Some(self.session.as_ref()), output)?;
                }
                printer.finish(output).map(|_| ())
            }
            Outcome::CopyIn(_) => {
                self.session.fail_transaction();
                Err(Error::new(ErrorCode::FeatureNotSupported, "COPY FROM STDIN is not supported in this shell")
                    .with_hint("Send it through the Postgres door, with psql's \\copy for example."))
            }
        }
    }

    /// Whether a query has any row.
    async fn finds(&self, query: &str) -> Result<bool> {
        for statement in self.session.split(query)? {
            let prepared = self.session.prepare(&statement, &[]).await?;
            let Outcome::Rows(mut rows) = self.session.run(&prepared, &[], Delivery::Batches).await? else { continue };
            while let Some(batch) = rows.batches.next().await {
                if batch?.num_rows() > 0 {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn tag(&self, tag: &CommandTag, rows: u64, output: &mut Output) -> io::Result<()> {
        match (tag, self.format) {
            (CommandTag::Counted(_), Format::Table) => {
                output.line(&format!("({rows} {})\n", if rows == 1 { "row" } else { "rows" }))
            }
            (CommandTag::Counted(_), Format::Csv | Format::Plain) => Ok(()),
            (CommandTag::Fixed(text), Format::Table) => output.line(text),
            (CommandTag::Fixed(_), Format::Csv | Format::Plain) => Ok(()),
        }
    }

    fn effects(&self, output: &mut Output) -> io::Result<()> {
        for effect in self.session.take_effects() {
            match effect {
                Effect::ParameterStatus { .. } => {}
                Effect::Notice(notice) => {
                    output.note(&format!("{}:  {}", notice.severity, notice.message))?;
                    if let Some(hint) = notice.hint {
                        output.note(&format!("HINT:  {hint}"))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Runs a script: as one text, or line by line when it has backslash commands. Goes on after an error, as psql does, and returns false
    /// in the end.
    pub(crate) async fn script(&mut self, text: &str, output: &mut Output) -> Result<bool> {
        if !text.lines().any(|line| line.starts_with('\\')) {
            return self.run_all(text, output, true).await;
        }
        let (mut pending, mut well) = (String::new(), true);
        for line in text.lines() {
            if line.starts_with('\\') && pending.trim().is_empty() {
                if !self.meta(line.trim(), output).await? {
                    return Ok(well);
                }
                continue;
            }
            pending.push_str(line);
            pending.push('\n');
            if line.trim_end().ends_with(';') {
                well &= self.run_all(&std::mem::take(&mut pending), output, true).await?;
            }
        }
        Ok(self.run_all(&pending, output, true).await? && well)
    }

    /// Reads statements from a person until the end of input or `\q`.
    pub(crate) async fn talk(&mut self, output: &mut Output) -> Result<()> {
        output.note(&format!("querygate sql as {}; \\? for help, \\q to leave", self.user)).map_err(written)?;
        let mut pending = String::new();
        loop {
            let prompt = if pending.is_empty() { format!("{}=> ", self.user) } else { format!("{}-> ", self.user) };
            output.prompt(&prompt).map_err(written)?;
            let Some(line) = output.read_line().map_err(written)? else { return Ok(()) };
            if pending.is_empty() && line.trim_start().starts_with('\\') {
                if !self.meta(line.trim(), output).await? {
                    return Ok(());
                }
                continue;
            }
            pending.push_str(&line);
            pending.push('\n');
            if line.trim_end().ends_with(';') {
                let text = std::mem::take(&mut pending);
                self.run(&text, output).await?;
            } else if pending.trim().is_empty() {
                pending.clear();
            }
        }
    }

    /// A backslash command. False to leave.
    async fn meta(&mut self, line: &str, output: &mut Output) -> Result<bool> {
        let (command, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let argument = argument.trim().trim_end_matches(';');
        match (command, argument) {
            ("\\q", "") => return Ok(false),
            ("\\?", "") => output.note(HELP).map_err(written)?,
            ("\\timing", "") => {
                self.timing = !self.timing;
                output.note(if self.timing { "Timing is on." } else { "Timing is off." }).map_err(written)?;
            }
            ("\\csv", "") => {
                self.format = if self.format == Format::Csv { Format::Table } else { Format::Csv };
            }
            ("\\dt", "") => {
                self.run(&format!("{TABLES} AND table_type = 'BASE TABLE' {TABLES_ORDER}"), output).await?;
            }
            ("\\dv", "") => {
                self.run(&format!("{TABLES} AND table_type = 'VIEW' {TABLES_ORDER}"), output).await?;
            }
            ("\\d", table) if is_identifier(table) => {
                let columns = format!("{COLUMNS_HEAD}{table}{COLUMNS_TAIL}");
                match self.finds(&columns).await {
                    Ok(false) => {
                        output.note(&format!("Did not find any relation named \"{table}\".")).map_err(written)?;
                    }
                    // What fails does so again, and is printed.
                    Ok(true) | Err(_) => {
                        self.run(&columns, output).await?;
                    }
                }
            }
            _ => output.note("no such command; \\? for help").map_err(written)?,
        }
        Ok(true)
    }
}

const TABLES: &str = "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog', 'information_schema')";
const TABLES_ORDER: &str = "ORDER BY table_schema, table_name";
const COLUMNS_HEAD: &str = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = '";
const COLUMNS_TAIL: &str = "' ORDER BY table_schema, ordinal_position";

/// Safe to stand in a statement without quoting.
fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn print_error(output: &mut Output, text: &str, error: &Error) -> io::Result<()> {
    output.note(&format!("{}:  {}  ({})", output.red("ERROR"), error.message(), error.code().sqlstate()))?;
    if let Some(position) = error.position() {
        show_position(output, text, position as usize)?;
    }
    for (name, value) in [("DETAIL", error.detail()), ("HINT", error.hint()), ("CONSTRAINT", error.constraint())] {
        if let Some(value) = value {
            output.note(&format!("{name}:  {value}"))?;
        }
    }
    Ok(())
}

fn show_position(output: &mut Output, text: &str, position: usize) -> io::Result<()> {
    let mut left = position.saturating_sub(1);
    for (number, line) in text.lines().enumerate() {
        let length = line.chars().count();
        if left <= length {
            let head = format!("LINE {}: ", number + 1);
            output.note(&format!("{head}{line}"))?;
            return output.note(&format!("{}^", " ".repeat(head.chars().count() + left)));
        }
        left -= length + 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_points_at_its_place() {
        let (mut output, captured) = Output::captured("");
        let error = Error::new(ErrorCode::UndefinedColumn, "column \"x\" does not exist").with_position(12);
        print_error(&mut output, "SELECT a,\n  x FROM t", &error).unwrap();
        assert_eq!(captured.text(), "ERROR:  column \"x\" does not exist  (42703)\nLINE 2:   x FROM t\n         ^\n");
    }

    #[test]
    fn only_plain_names_enter_a_statement() {
        for (name, good) in [("accounts", true), ("a'b", false), ("", false), ("a b", false)] {
            assert_eq!(is_identifier(name), good, "{name}");
        }
    }
}
