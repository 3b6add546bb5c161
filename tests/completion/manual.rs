//! The manual pages, read by the two formatters that people have.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn pages() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/man");
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn mandoc_has_nothing_to_say_against_the_manual_pages() {
    assert!(pages().len() > 10);
    let output = Command::new("mandoc").args(["-Tlint", "-Wwarning"]).args(pages()).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn man_shows_every_page_without_warnings() {
    for page in pages() {
        let output = Command::new("man")
            .args(["--warnings", "-E", "UTF-8", "-l", "-P", "cat"])
            .arg(&page)
            .env("LC_ALL", "C.UTF-8")
            .env("MANWIDTH", "100")
            .output()
            .unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}: {}", page.display(), String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let name = page.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(text.contains("NAME") && text.contains(&name), "{text}");
    }
}
