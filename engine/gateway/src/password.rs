//! Asks a person for a password without showing it. Keeps none.

use crate::output::Output;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io;

/// Shows typed characters again, whatever happens.
struct Echo(Option<Termios>);

impl Echo {
    fn off() -> Self {
        let stdin = io::stdin();
        let Ok(before) = tcgetattr(&stdin) else { return Self(None) };
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        match tcsetattr(&stdin, OptionalActions::Now, &quiet) {
            Ok(()) => Self(Some(before)),
            Err(_) => Self(None),
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // Nothing sensible is left to do when the terminal is gone.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// Reads a password twice from a terminal, once from a pipe. `None` at the end of input.
pub(crate) fn ask(output: &mut Output) -> io::Result<Option<String>> {
    if !output.interactive() {
        return output.read_line();
    }
    loop {
        let Some(first) = hidden(output, "Password: ")? else { return Ok(None) };
        let Some(second) = hidden(output, "Again: ")? else { return Ok(None) };
        if first == second {
            return Ok(Some(first));
        }
        output.note("The two differ, once more.")?;
    }
}

/// Reads a password that exists already, from a terminal. `None` at the end of input.
pub(crate) fn ask_once(output: &mut Output) -> io::Result<Option<String>> {
    hidden(output, "Password: ")
}

fn hidden(output: &mut Output, prompt: &str) -> io::Result<Option<String>> {
    output.prompt(prompt)?;
    let echo = Echo::off();
    let line = output.read_line();
    drop(echo);
    output.note("")?;
    line
}
