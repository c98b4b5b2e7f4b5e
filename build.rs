//! Puts the provider files into the binary: what stands in `providers/` when it is built is what it ships.

use std::error::Error;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("providers");
    writeln!(io::stdout(), "cargo::rerun-if-changed=providers")?;
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort_by(|one, other| one.file_stem().cmp(&other.file_stem()));
    let entries: String = files
        .iter()
        .map(|path| {
            let id = path.file_stem().unwrap_or_default().to_string_lossy();
            format!("    ({id:?}, include_str!({:?})),\n", path.display().to_string())
        })
        .collect();
    let out = std::env::var_os("OUT_DIR").ok_or("cargo names no OUT_DIR")?;
    std::fs::write(Path::new(&out).join("shipped.rs"), format!("&[\n{entries}]\n"))?;
    Ok(())
}
