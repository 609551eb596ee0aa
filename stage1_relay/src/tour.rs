//! x
use anyhow::Result;
use std::process::ExitCode;
pub fn run(_step: bool) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
