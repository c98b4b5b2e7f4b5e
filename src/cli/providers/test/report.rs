//! What an author reads in the end: every scene, and what is to be mended.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use super::scene::Scene;
use super::transcript::Step;
use crate::config::Problem;

/// Widest name of a parameter that still lets its value stand in the common column.
const COLUMN: usize = 24;

/// Longest answer that is shown whole, in characters.
const LONGEST_ANSWER: usize = 400;

/// Everything that was played.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    pub(super) provider: String,
    pub(super) display_name: String,
    /// The values that it was played with, by the variable's name.
    pub(super) variables: Vec<(String, String)>,
    pub(super) warnings: Vec<String>,
    /// Keys whose part of an answer could not be made up.
    pub(super) unplayable: Vec<String>,
    pub(super) scenes: Vec<Scene>,
    pub(super) passed: bool,
}

impl Report {
    pub(super) fn warn(&mut self, warnings: &[Problem]) {
        self.warnings = warnings.iter().map(ToString::to_string).collect();
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({})", self.display_name, self.provider)?;
        for (name, value) in &self.variables {
            let value = if value.is_empty() { "nothing" } else { value };
            writeln!(f, "  variable {name} = {value}")?;
        }
        for warning in &self.warnings {
            writeln!(f, "  warning: {warning}")?;
        }
        for key in &self.unplayable {
            writeln!(f, "  {key}: no answer could be made up for it; give the vendor's own with --answer")?;
        }
        let mut shown = Vec::new();
        for scene in &self.scenes {
            write_scene(scene, &mut shown, f)?;
        }
        self.write_end(f)
    }
}

impl Report {
    fn write_end(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let played = self.scenes.iter().filter(|scene| scene.left_out.is_none()).count();
        let good = self.scenes.iter().filter(|scene| scene.left_out.is_none() && scene.faults.is_empty()).count();
        let left_out = self.scenes.len() - played;
        writeln!(f)?;
        write!(f, "{good} of {played} scenarios as they should be")?;
        if left_out > 0 {
            write!(f, ", {left_out} left out")?;
        }
        let mut told = Vec::new();
        for (scene, fault) in self.scenes.iter().flat_map(|scene| scene.faults.iter().map(move |fault| (scene, fault)))
        {
            // What is wrong in one scenario is so in the next.
            if !told.contains(&fault) {
                told.push(fault);
                write!(f, "\n  {}  {}  {}", scene.name, fault.key, fault.what)?;
            }
        }
        Ok(())
    }
}

/// A request that was shown whole, and in which scene.
type Shown<'a> = Vec<(&'a str, &'a Step)>;

fn write_scene<'a>(scene: &'a Scene, shown: &mut Shown<'a>, f: &mut Formatter<'_>) -> fmt::Result {
    if let Some(why) = &scene.left_out {
        return writeln!(f, "\n{}: left out; {why}", scene.name);
    }
    writeln!(f, "\n{}: {}", scene.name, scene.title)?;
    for step in &scene.steps {
        write_step(scene.name, step, shown, f)?;
    }
    if !scene.understood.is_empty() {
        writeln!(f, "  understood:")?;
        for (name, value) in &scene.understood {
            write_pair(name, value, f)?;
        }
    }
    for fault in &scene.faults {
        writeln!(f, "  wrong: {}: {}", fault.key, fault.what)?;
    }
    Ok(())
}

fn write_step<'a>(scene: &'a str, step: &'a Step, shown: &mut Shown<'a>, f: &mut Formatter<'_>) -> fmt::Result {
    let arrow = if step.is_redirect { '←' } else { '→' };
    write!(f, "  {arrow} {} {}", step.method, step.url)?;
    match shown.iter().find(|(_, before)| step.is_same_request(before)) {
        Some((before, _)) if *before == scene => writeln!(f, " (the same request)")?,
        Some((before, _)) => writeln!(f, " (the request of `{before}`)")?,
        None => {
            shown.push((scene, step));
            write_parameters(step, f)?;
        }
    }
    if let Some(answer) = &step.answer {
        let mut shown: String = answer.chars().take(LONGEST_ANSWER).collect();
        if answer.chars().nth(LONGEST_ANSWER).is_some() {
            shown.push('…');
        }
        writeln!(f, "  ← {shown}")?;
    }
    Ok(())
}

fn write_parameters(step: &Step, f: &mut Formatter<'_>) -> fmt::Result {
    writeln!(f)?;
    for (name, value) in &step.headers {
        writeln!(f, "    {name}: {value}")?;
    }
    for (name, value) in &step.query {
        write_pair(&format!("?{name}"), value, f)?;
    }
    for (name, value) in &step.body {
        write_pair(name, value, f)?;
    }
    Ok(())
}

fn write_pair(name: &str, value: &str, f: &mut Formatter<'_>) -> fmt::Result {
    let value = value.replace('\n', "\\n");
    writeln!(f, "    {name:COLUMN$} {value}")
}
