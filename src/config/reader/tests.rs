use std::path::Path;

use super::*;
use crate::config::document::Layer;

/// Reads one table of a file and, over it, one environment variable; answers what was read and what was noted.
fn read<T>(toml: &str, text: Option<(&str, &str)>, read: impl FnOnce(&mut Table<'_>) -> T) -> (T, Vec<String>) {
    let report = Report::default();
    let environment = Environment::new([("TOKEN".into(), "s3cret".into())]);
    let context = Context { report: &report, environment: &environment, keys: None };
    let file = Layer::toml("a.toml", Path::new("/etc/a.toml"), toml).expect("TOML");
    let mut layers = vec![file];
    if let Some((key, value)) = text {
        let keys: Vec<String> = key.split('.').map(str::to_owned).collect();
        layers.push(Layer::text("environment variable X", Path::new("/home"), &keys, value));
    }
    let document = Document::merge("a.toml", Path::new("/etc"), &layers);
    let result = Table::read(&document, &context, read);
    (result, report.finish().0.iter().map(ToString::to_string).collect())
}

#[test]
fn values_in_files_have_the_type_of_their_key() {
    fn check<T: PartialEq + fmt::Debug>(
        toml: &str,
        accessor: impl FnOnce(&mut Table<'_>) -> Option<T>,
        expected: Result<T, &str>,
    ) {
        let (value, problems) = read(toml, None, accessor);
        match expected {
            Ok(expected) => assert_eq!((value, problems), (Some(expected), vec![]), "{toml:?}"),
            Err(problem) => assert_eq!((value, problems), (None, vec![format!("a.toml  k  {problem}")]), "{toml:?}"),
        }
    }
    let text = |table: &mut Table<'_>| table.text("k", "");
    let integer = |table: &mut Table<'_>| table.integer("k", "", 1..=9);
    let boolean = |table: &mut Table<'_>| table.boolean("k", "");
    let duration = |table: &mut Table<'_>| table.duration("k", "");
    let path = |table: &mut Table<'_>| table.path("k", "");
    check("k = 'a'", text, Ok("a".into()));
    check("k = 1", text, Err("is a number where text belongs; write it in quotes"));
    check("k = 2027-02-16", text, Err("is a date where text belongs; write it in quotes"));
    check("k = 7", integer, Ok(7));
    check("k = '7'", integer, Err("is text where a whole number belongs; write a number from 1 to 9"));
    check("k = 7.5", integer, Err("is a number where a whole number belongs; write a number from 1 to 9"));
    check("k = 10", integer, Err("is out of bounds; write a number from 1 to 9"));
    check("k = -1", integer, Err("is out of bounds; write a number from 1 to 9"));
    check("k = true", boolean, Ok(true));
    check("k = 'true'", boolean, Err("is text where true or false belongs; write `true` or `false`, without quotes"));
    check("k = '1m 30s'", duration, Ok(Duration::from_secs(90)));
    check("k = 90", duration, Ok(Duration::from_secs(90)));
    check("k = '90'", duration, Err("`90` is not a span of time; write for example \"30s\", \"5m\" or \"60d\""));
    check("k = -1", duration, Err("is not a span of time; write for example \"30s\", \"5m\" or \"60d\""));
    check("k = '101y'", duration, Err("is longer than a hundred years; write for example \"30s\", \"5m\" or \"60d\""));
    check(
        "k = 9223372036854775807",
        duration,
        Err("is longer than a hundred years; write for example \"30s\", \"5m\" or \"60d\""),
    );
    check("k = 'x/y'", path, Ok("/etc/x/y".into()));
    check("k = '/x'", path, Ok("/x".into()));
    check("k = ''", path, Err("is empty; name a path"));
}

#[test]
fn text_takes_the_type_of_its_key() {
    fn check<T: PartialEq + fmt::Debug>(text: &str, accessor: impl FnOnce(&mut Table<'_>) -> T, expected: T) {
        let (value, problems) = read("k = [[]]", Some(("k", text)), accessor);
        assert_eq!((value, problems), (expected, vec![]), "{text:?}");
    }
    let list = |table: &mut Table<'_>| {
        let list = table.list("k", "", |text| Ok(text.to_owned())).unwrap_or_default();
        list.into_iter().map(|(_, text)| text).collect::<Vec<_>>()
    };
    check("7", |table| table.integer("k", "", 1..=9), Some(7));
    check("7", |table| table.text("k", ""), Some("7".into()));
    check("Yes", |table| table.boolean("k", ""), Some(true));
    check("0", |table| table.boolean("k", ""), Some(false));
    check("90", |table| table.duration("k", ""), Some(Duration::from_secs(90)));
    check("x", |table| table.path("k", ""), Some("/home/x".into()));
    check("a, b,", list, vec!["a".into(), "b".into()]);
    check(r#"["a,b", 'c']"#, list, vec!["a,b".into(), "c".into()]);
    check(r#"["a\/b"]"#, list, vec!["a/b".into()]);
    check("", list, vec![]);
    check("{ a = 'b' }", |table| table.texts("k", ""), vec![("a".into(), "b".into())]);
}

#[test]
fn reading_goes_on_after_a_mistake() {
    let (_, problems) = read("[t]\na = 1\nb = 2\nlsiten = 3\n[t.u]\nc = 1\n", Some(("t.b", "x")), |table| {
        table.table("t", "", |table| {
            table.text("a", "");
            table.integer("b", "", 0..=9);
            table.text("listen", "");
            table.table("u", "", |table| table.boolean("c", ""))
        })
    });
    insta::assert_snapshot!(problems.join("\n"), @r"
    a.toml  t.a  is a number where text belongs; write it in quotes
    environment variable X  t.b  is text where a whole number belongs; write a number from 0 to 9
    a.toml  t.u.c  is a number where true or false belongs; write `true` or `false`, without quotes
    a.toml  t.lsiten  is not a key of [t]; did you mean `listen`?
    ");
}

#[test]
fn secrets_are_followed_and_never_shown() {
    let (secret, problems) = read("k = 'env:TOKEN'", None, |table| table.secret("k", ""));
    assert_eq!((secret, problems), (Some(Resolved::Found("s3cret".to_owned().into())), vec![]));
    let (_, problems) = read("k = ['canary']\nx = 'canary'", None, |table| table.secret("k", ""));
    assert!(!problems.concat().contains("canary"), "{problems:?}");
}

#[test]
fn named_tables_may_be_written_short() {
    let (found, problems) = read("[t]\na = '1'\nb = { p = '2' }\nc = 3\nd = { q = 1 }", None, |table| {
        table.shorthand_tables("t", "", "<name>", "p", |name, table| Some((name.to_owned(), table.text("p", "")?)))
    });
    assert_eq!(found, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
    insta::assert_snapshot!(problems.join("\n"), @r"
    a.toml  t.c.p  is a number where text belongs; write it in quotes
    a.toml  t.d.q  is not a key of [t.d]; did you mean `p`?
    ");
}
