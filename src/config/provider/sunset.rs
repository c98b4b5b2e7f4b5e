//! The `[oauth.sunset]` table: the announced end of an endpoint. It concerns a file only when the file uses that
//! endpoint: a note about an old one stays silent until somebody's file goes back to it.

use crate::config::problem::{Fault, Problem, quoted};
use crate::config::reader::{Kind, Table};
use crate::mapping::Template;
use crate::oauth::Sunset;

/// Reads the table; what is returned concerns the file, and the problem says so at the key that uses what ends.
pub(super) fn read(table: &mut Table<'_>, endpoints: &[(&str, &Option<Template>)]) -> Option<(Sunset, Problem)> {
    let doc = "When an endpoint ends; a warning at check and start.";
    let (sunset, ends) = table.optional_table("sunset", doc, |table| {
        let date = table.value("date", Kind::Date, "The day, YYYY-MM-DD.", |entry| day(entry.date()?));
        let note = table.parsed("note", "What ends, and what to use instead.", super::filled);
        let doc = "What ends, as the beginning of its URL; without it, the file as a whole.";
        let ends = table.parsed("endpoint", doc, super::filled);
        for name in ["date", "note"] {
            table.need(name, "a sunset has a `date` and a `note`");
        }
        Some((Sunset { date: date?, note: note? }, ends))
    })?;
    let used_by = match ends {
        None => "sunset",
        Some(ends) => {
            let uses = |url: &Option<Template>| url.as_ref().is_some_and(|url| url.literal_prefix().starts_with(&ends));
            endpoints.iter().find(|(_, url)| uses(url)).map(|(name, _)| *name)?
        }
    };
    let fault = Fault::new(format!("an endpoint ends on {}", sunset.date), sunset.note.clone());
    let problem = table.place(used_by).problem(fault);
    Some((sunset, problem))
}

fn day(text: &str) -> Result<String, Fault> {
    match humantime::parse_rfc3339(&format!("{text}T00:00:00Z")) {
        Ok(_) if text.len() == 10 => Ok(text.to_owned()),
        _ => Err(Fault::new(format!("{} is not a day", quoted(text)), "write for example \"2027-02-16\"")),
    }
}
