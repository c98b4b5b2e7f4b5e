//! Text with placeholders in braces, as templates and phrases are written. `{{` and `}}` stand for literal braces.

/// A piece of such a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece<P> {
    /// As it stands.
    Literal(String),
    /// What stands between two braces.
    Placeholder(P),
}

/// Takes a text apart. `closing` finds the brace that ends a placeholder in what follows the one that begins it; a brace
/// without its partner is `unbalanced`.
pub(super) fn pieces<P, E>(
    text: &str,
    closing: impl Fn(&str) -> Option<usize>,
    unbalanced: impl Fn() -> E,
    placeholder: impl Fn(&str) -> Result<P, E>,
) -> Result<Vec<Piece<P>>, E> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        literal.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        let after = &rest[at + 1..];
        if let Some(after_pair) = after.strip_prefix(brace) {
            literal.push_str(brace);
            rest = after_pair;
            continue;
        }
        if brace == "}" {
            return Err(unbalanced());
        }
        let end = closing(after).ok_or_else(&unbalanced)?;
        let found = placeholder(&after[..end])?;
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
        }
        pieces.push(Piece::Placeholder(found));
        rest = &after[end + 1..];
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}
