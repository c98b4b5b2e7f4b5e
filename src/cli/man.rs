//! `keyferry man`: the manual, from the same texts as `--help`: one page for the whole, or one for each subcommand.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man;

use super::terminal::{print, say};
use super::{Failure, Outcome};

/// The arguments of `keyferry man`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keyferry man | man -l -
      read it now
  keyferry man --out /usr/local/share/man/man1
      for `man keyferry`, `man keyferry-connections-list` and so on")]
pub(super) struct Arguments {
    /// Write one page for each subcommand into this folder, instead of one page to standard output
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// What no `--help` says, as the main page ends.
const MORE: &str = r#".SH ENVIRONMENT
.TP
\fBKEYFERRY_\fITABLE\fB__\fIKEY\fR
Any key of the configuration, such as \fBKEYFERRY_SERVER__LISTEN\fR; goes before config.toml.
.TP
\fBKEYFERRY_STORE_KEY\fR
The key that seals the store: base64 of 32 bytes.
.TP
\fBKEYFERRY_URL\fR, \fBKEYFERRY_KEY\fR
Where \fBconnect\fR and \fBitems\fR find the sidecar, and their API key.
.TP
\fBKEYFERRY_ADMIN_URL\fR, \fBKEYFERRY_ADMIN_KEY\fR
Where \fBconnections\fR, \fBpeople\fR and \fBstore\fR find the admin listener, and the admin key.
.SH FILES
.TP
\fBconfig.toml\fR
The configuration, in the folder that keyferry is started in unless \fB\-\-config\fR names another.
.TP
\fBproviders/\fR
Provider files beside it, which add to those inside of the binary.
.SH "EXIT STATUS"
0 when all is well, 2 for a mistake in the configuration or in what was typed, 1 for anything else.
"#;

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let mut command = super::Arguments::command().disable_help_subcommand(true);
    command.build();
    match &arguments.out {
        None => {
            print(&whole(&command).map_err(unwritten)?)?;
            Ok(())
        }
        Some(folder) => {
            let count = write_pages(&command, folder).map_err(|error| {
                Failure::other(format!("the pages cannot be written to {}: {error}", folder.display()))
            })?;
            say(format_args!("{count} pages in {}", folder.display()))
        }
    }
}

fn unwritten(error: io::Error) -> Failure {
    Failure::other(format!("the page cannot be written: {error}"))
}

/// The whole tree in one page: what `keyferry --help` says, then each subcommand under its own heading.
fn whole(command: &Command) -> io::Result<Vec<u8>> {
    let man = page_of(command);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    page.extend(notes(&man)?);
    page.extend(b".SH COMMANDS\n");
    for subcommand in command.get_subcommands() {
        append(subcommand, &mut page)?;
    }
    page.extend(MORE.as_bytes());
    Ok(page)
}

/// A subcommand and those below it. The headings of its sections become paragraphs.
fn append(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let man = page_of(command);
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    page.extend(format!(".SS \"{name}\"\n").bytes());
    let mut body = Vec::new();
    man.render_description_section(&mut body)?;
    man.render_synopsis_section(&mut body)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut body)?;
    }
    if command.get_after_help().is_some() {
        body.extend(notes(&man)?);
    }
    for line in String::from_utf8_lossy(&body).lines() {
        page.extend(if line.starts_with(".SH ") { ".PP" } else { line }.bytes());
        page.push(b'\n');
    }
    command.get_subcommands().try_for_each(|subcommand| append(subcommand, page))
}

/// A page for the command and for each below it; says how many.
fn write_pages(command: &Command, folder: &Path) -> io::Result<usize> {
    fs::create_dir_all(folder)?;
    let man = page_of(command);
    let file = folder.join(man.get_filename());
    let is_main = !man.get_filename().contains('-');
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut page)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    if command.get_after_help().is_some() {
        page.extend(notes(&man)?);
    }
    if is_main {
        page.extend(MORE.as_bytes());
    }
    fs::write(file, page)?;
    command.get_subcommands().try_fold(1, |count, subcommand| Ok(count + write_pages(subcommand, folder)?))
}

fn page_of(command: &Command) -> Man {
    Man::new(command.clone()).source(concat!("keyferry ", env!("CARGO_PKG_VERSION"))).manual("Keyferry")
}

/// What clap_mangen calls `EXTRA` is examples, exit codes and what else is worth knowing. Lines that begin with blanks
/// stay as they were written.
fn notes(man: &Man) -> io::Result<Vec<u8>> {
    let mut extra = Vec::new();
    man.render_extra_section(&mut extra)?;
    let (mut page, mut is_kept) = (String::new(), false);
    for line in String::from_utf8_lossy(&extra).lines() {
        let keeps = line.starts_with("  ");
        if keeps != is_kept {
            page.push_str(if keeps { ".nf\n" } else { ".fi\n" });
            is_kept = keeps;
        }
        if line.starts_with("Exit codes:") {
            page.push_str(".br\n");
        }
        page.push_str(if line == ".SH EXTRA" { ".SH NOTES" } else { line });
        page.push('\n');
    }
    if is_kept {
        page.push_str(".fi\n");
    }
    Ok(page.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subcommand_has_its_place_in_the_one_page() {
        fn names(command: &Command) -> Vec<String> {
            let own = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
            std::iter::once(own).chain(command.get_subcommands().flat_map(names)).collect()
        }
        let mut command = super::super::Arguments::command().disable_help_subcommand(true);
        command.build();
        let page = String::from_utf8(whole(&command).expect("memory takes it")).expect("text");
        let all = names(&command);
        assert!(all.len() > 15, "{all:?}");
        for name in all.iter().skip(1) {
            assert_eq!(page.matches(&format!("\n.SS \"{name}\"\n")).count(), 1, "{name}");
        }
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "NOTES", "COMMANDS", "ENVIRONMENT", "FILES"] {
            assert_eq!(page.matches(&format!(".SH {section}\n")).count(), 1, "{section}\n{page}");
        }
    }
}
