//! Puts the provider files into the binary: what stands in `providers/` when it is built is what it ships. And says by
//! which compiler.

use std::error::Error;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

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
    writeln!(io::stdout(), "cargo::rustc-env=KEYFERRY_RUSTC={}", rustc()?)?;
    std::fs::write(Path::new(&out).join("shipped.rs"), format!("&[\n{entries}]\n"))?;
    Ok(())
}

/// `1.95.0` of `rustc 1.95.0 (0123abcde 2026-03-01)`.
fn rustc() -> Result<String, Box<dyn Error>> {
    let rustc = std::env::var_os("RUSTC").ok_or("cargo names no RUSTC")?;
    let said = String::from_utf8(Command::new(rustc).arg("--version").output()?.stdout)?;
    Ok(said.split(' ').nth(1).ok_or("rustc says no version")?.trim().to_owned())
}
