//! Items by configuration: the shipped provider files against the documented answers of their providers, and the walk's
//! rules one by one. The walk does no I/O, so that a provider here is a function from request to answer.

mod edges; // each rule of paging, retries and fields
mod others; // the other shipped files, and the compatible variants
mod positions; // going on from every place
mod providers; // shipped files: what is asked, and which items come
mod support;
