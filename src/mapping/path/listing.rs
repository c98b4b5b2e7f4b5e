//! What stands around the nodes of a path: the place of the list that holds them, and all its members, of which a filter
//! may choose some.

use jsonpath_rust::parser::model::{JpQuery, Segment, Selector};

/// The path up to the first step that may select more than one node.
pub(super) fn place(query: &JpQuery) -> JpQuery {
    let end = query.segments.iter().position(|segment| !is_singular(segment)).unwrap_or(query.segments.len());
    JpQuery::new(query.segments[..end].to_vec())
}

/// The path to all members of the lists that the nodes are, or lie in, whatever its last filter says of them; `None` where
/// that cannot be known, because something else chooses among them.
pub(super) fn members(query: &JpQuery) -> Option<JpQuery> {
    let Some(last) = query.segments.iter().rposition(|segment| !is_singular(segment)) else {
        return Some(query.clone());
    };
    let mut segments = query.segments[..=last].to_vec();
    if let Some(Segment::Selector(selector @ Selector::Filter(_))) = segments.last_mut() {
        *selector = Selector::Wildcard;
    }
    (!segments.iter().any(chooses)).then(|| JpQuery::new(segments))
}

/// Whether the last step selects the members of something: `[*]`, `[?…]`, `[a:b]`.
pub(super) fn ends_in_members(query: &JpQuery) -> bool {
    let mut last = query.segments.last();
    while let Some(Segment::Descendant(inner)) = last {
        last = Some(&**inner);
    }
    last.is_some_and(|segment| !is_singular(segment))
}

fn is_singular(segment: &Segment) -> bool {
    matches!(segment, Segment::Selector(Selector::Name(_) | Selector::Index(_)))
}

/// Whether the step leaves out members of a list, or makes a list of what was none.
fn chooses(segment: &Segment) -> bool {
    match segment {
        Segment::Selector(selector) => matches!(selector, Selector::Filter(_) | Selector::Slice(..)),
        Segment::Selectors(selectors) => !selectors.iter().all(|selector| matches!(selector, Selector::Name(_))),
        Segment::Descendant(inner) => !is_singular(inner),
    }
}
