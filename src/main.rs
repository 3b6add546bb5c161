fn main() -> std::process::ExitCode {
    databricks_auth::run()
}
