//! The pages, and the fenced blocks in them. What is done with a block stands on its fence, where a reader of the source sees
//! it and a forge shows nothing of it: the first word is the language, the rest is one of these.
//!
//! | fence | |
//! |---|---|
//! | `toml config` | a whole `config.toml`: it loads, without a mistake or a warning |
//! | `toml provider` | a whole provider file, whose first line is `# providers/NAME.toml`: it loads |
//! | `toml part` | a part of a provider file: it loads on top of the page's last whole one |
//! | `toml keys` | written by the program, see `keyferry schema config --markdown` |
//! | `sh` | it is run in the page's folder, and ends well |
//! | `sh serve` | the same; its last line is a server, which stays for the blocks below |
//! | `sh stopped` | the same while Keyferry is stopped; it is started again afterwards |
//! | `sh container` | it is run by `tests/image/blocks`, which needs containers; here it only has to be shell |
//! | `text output`, `json answer` | what the last `sh` printed; `…` stands for anything |
//! | `http request`, `http answer` | it is sent, and that comes back |
//! | `text returned` | where the browser ends that opens what the last answer said |
//! | `json item` | the item of that id is exactly this |
//! | `js snippet`, `python snippet`, `html snippet`, `yaml snippet` | lines of a file: they have to be that language |
//! | `text picture` | a drawing |
//! | anything, then `shown: REASON` | nothing is done with it, for that reason; shell has to be shell |

use std::{fs, path::Path};

/// A page of the documentation.
pub(crate) struct Page {
    /// Its path in the repository.
    pub(crate) path: String,
    /// Its blocks, in their order.
    pub(crate) blocks: Vec<Block>,
}

/// A fenced block.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// Page and line, for messages.
    pub(crate) place: String,
    /// The language on its fence.
    pub(crate) language: String,
    /// What else stands there.
    pub(crate) mark: String,
    /// What is in it, without the indentation of the fence.
    pub(crate) text: String,
}

impl Page {
    /// Reads a page of the repository.
    pub(crate) fn read(path: &str) -> Self {
        let text = fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { path: path.to_owned(), blocks: blocks(path, &text) }
    }

    /// Every page there is.
    pub(crate) fn all() -> Vec<Self> {
        let mut paths = vec!["README.md".to_owned()];
        for folder in ["docs", "deploy", "examples"] {
            paths.extend(below(folder));
        }
        paths.extend(Some("CONTRIBUTING.md".to_owned()).filter(|path| repository().join(path).exists()));
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// Its blocks of one kind: `toml provider`.
    pub(crate) fn of(&self, fence: &str) -> Vec<&Block> {
        self.blocks.iter().filter(|block| block.fence() == fence).collect()
    }
}

impl Block {
    /// Its language and mark.
    pub(crate) fn fence(&self) -> String {
        format!("{} {}", self.language, self.mark).trim().to_owned()
    }

    /// Why nothing is done with it, where nothing is.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.mark.strip_prefix("shown:").map(str::trim).filter(|reason| !reason.is_empty())
    }

    /// The name of a provider file that is one as a whole.
    pub(crate) fn file(&self) -> &str {
        let name = self.text.lines().next().and_then(|line| line.strip_prefix("# "));
        let name = name.filter(|name| name.starts_with("providers/") && name.ends_with(".toml"));
        name.unwrap_or_else(|| panic!("{}: a provider file's first line is `# providers/NAME.toml`", self.place))
    }
}

pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn below(folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(repository().join(folder)) else { return Vec::new() };
    let paths = entries.map(|entry| format!("{folder}/{}", entry.expect("an entry").file_name().to_string_lossy()));
    let (folders, files): (Vec<_>, Vec<_>) = paths.partition(|path| repository().join(path).is_dir());
    // A link to a folder could lead anywhere; the examples have none.
    let deeper = folders.iter().flat_map(|folder| below(folder));
    deeper.chain(files.into_iter().filter(|path| path.ends_with(".md"))).collect()
}

fn blocks(path: &str, text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, Block)> = None;
    for (number, line) in text.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (Some(_), Some("")) => blocks.extend(open.take().map(|(_, block)| block)),
            (Some((indent, block)), _) => {
                let own = line.len() - line.trim_start().len();
                block.text.push_str(&line[own.min(*indent)..]);
                block.text.push('\n');
            }
            (None, Some(info)) => {
                let (language, mark) = info.split_once(' ').unwrap_or((info, ""));
                let [language, mark] = [language, mark].map(|text| text.trim().to_owned());
                let block = Block { place: format!("{path}:{}", number + 1), language, mark, text: String::new() };
                open = Some((line.len() - line.trim_start().len(), block));
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{path} has a block without an end");
    blocks
}
