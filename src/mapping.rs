//! JSON in, JSON out: paths and templates that provider files are written with, compiled when the file is loaded. Knows
//! nothing of OAuth or HTTP.

mod path;
mod template;

pub use path::{Path, PathError};
pub use template::{Encoding, Template, TemplateError};
