//! x
use anyhow::Result;
pub fn run(_step: bool) -> Result<()> {
    Ok(())
}
