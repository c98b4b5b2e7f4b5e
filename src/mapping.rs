//! JSON in, JSON out: paths, templates and values that provider files are written with, compiled when the file is loaded.
//! Knows nothing of OAuth, and of HTTP no more than what a field says of time.

mod braces;
mod path;
mod source;
mod template;
pub mod time;
pub mod wait;
mod wanted;

pub use path::{Path, PathError, Taken};
pub use source::{Phrase, Reference, Root, Scope, Source, SourceError};
pub(crate) use template::UNRESERVED_KEPT;
pub use template::{Encoding, Template, TemplateError};
pub use time::TimeFormat;
pub use wanted::Wanted;
