//! F8: how the program is built. `make reproduce` builds the released one twice and compares; this is what can be told without that.

use std::process::Command;

use super::bench::DATABRICKS;

#[test]
fn f8_the_program_is_loaded_anywhere_and_nothing_that_is_written_is_run() {
    let output = Command::new("readelf").args(["-hldW", DATABRICKS]).output().unwrap();
    let elf = String::from_utf8(output.stdout).unwrap();
    let line = |words: &[&str]| elf.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(line(&["Type:", "DYN"]) && line(&["FLAGS_1", "PIE"]), "its addresses are known before it starts\n{elf}");
    assert!(line(&["GNU_RELRO"]) && line(&["BIND_NOW"]), "its tables of functions can be written\n{elf}");
    assert!(line(&["GNU_STACK", " RW "]) && !line(&["LOAD", "RWE"]), "something can be both written and run\n{elf}");
    assert!(!line(&["(RPATH)"]) && !line(&["(RUNPATH)"]) && !line(&["TEXTREL"]), "it takes libraries from a folder of the builder\n{elf}");
}

#[test]
fn f8_the_released_program_is_built_without_the_folders_of_its_builder() {
    let build = |home: &str| {
        let mut make = Command::new("make");
        make.args(["-n", "--no-print-directory", "build"]).current_dir(env!("CARGO_MANIFEST_DIR")).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home);
        String::from_utf8(make.output().unwrap().stdout).unwrap()
    };
    let line = build("/home/ann");
    if env!("CARGO_MANIFEST_DIR").contains(' ') {
        return;
    }
    for (flag, place) in [
        ("--remap-path-prefix", "/home/ann/.cargo=cargo"),
        ("-ffile-prefix-map", "/home/ann/.cargo=cargo"),
        ("--remap-path-prefix", concat!(env!("CARGO_MANIFEST_DIR"), "=.")),
    ] {
        assert!(line.contains(&format!(" {flag}={place}")), "{line}");
    }
    // Half a folder would be no flag at all.
    assert!(!build("/home/ann bee").contains("bee"));
}
