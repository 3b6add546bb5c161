#[cfg(target_os = "linux")]
mod terminal;
