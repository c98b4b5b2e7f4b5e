//! `keyferry completions`: what a shell needs to finish words of this command line.

use clap::{Args, CommandFactory as _};
use clap_complete::{Shell, generate};

use super::Outcome;
use super::terminal::print;

/// The arguments of `keyferry completions`.
#[derive(Debug, Args)]
#[command(after_help = "Put what it prints where your shell looks for it:
  bash        keyferry completions bash > ~/.local/share/bash-completion/completions/keyferry
  zsh         keyferry completions zsh > \"${fpath[1]}/_keyferry\"
  fish        keyferry completions fish > ~/.config/fish/completions/keyferry.fish
  elvish      keyferry completions elvish >> ~/.config/elvish/rc.elv
  powershell  keyferry completions powershell >> $PROFILE
It holds for the next shell that you start.")]
pub(super) struct Arguments {
    /// The shell that is to complete
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let mut script = Vec::new();
    generate(arguments.shell, &mut super::Arguments::command(), "keyferry", &mut script);
    print(&script)?;
    Ok(())
}
